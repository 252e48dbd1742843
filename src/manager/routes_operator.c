/* routes_operator.c - what the command line and the supervisor call: one table. */
#include "manager/operator.h"
#include "manager/provision.h"
#include "manager/sql.h"

static enum rc
status_show(struct call *call, struct work *w, struct err *err)
{
    static const char *const names[] = {"businesses", "wabas", "numbers", "apps", "tokens"};
    struct store_rows rows;
    struct json_writer jw;
    enum rc rc;

    store_query(&rows, w->tx, &manager_part, SQL_COUNTS_ALL, ST_NONE);
    jw_init(&jw, &call->out);
    jw_object(&jw);
    jw_kv_str(&jw, "program", "parley-manager");
    for (size_t i = 0; rows.has_row && i < ARRAY_LEN(names); i++)
        jw_kv_int(&jw, names[i], store_col_int(&rows, (int)i));
    jw_kv_int(&jw, "time", w->now_s);
    jw_object_end(&jw);
    rc = rows.rc;
    store_rows_end(&rows);
    return rc;
}

#define OPS PROGRAM_OPERATORS
#define ANY (PROGRAM_OPERATORS | PROGRAM_CLOUD)

const struct internal_route operator_routes[] = {
    {HTTP_GET,    "/internal/v1/status",       ANY, false, NULL, status_show,              NULL},
    {HTTP_POST,   "/internal/v1/provision",    OPS, true,  NULL, provision_handle,         NULL},
    {HTTP_POST,   "/internal/v1/businesses",   OPS, true,  NULL, operator_business_create, NULL},
    {HTTP_GET,    "/internal/v1/businesses",   OPS, false, NULL, operator_business_list,   NULL},
    {HTTP_GET,    "/internal/v1/businesses/*", OPS, false, NULL, operator_business_show,   NULL},
    {HTTP_DELETE, "/internal/v1/businesses/*", OPS, true,  NULL, operator_business_remove, NULL},
    {HTTP_POST,   "/internal/v1/wabas",        OPS, true,  NULL, operator_waba_create,     NULL},
    {HTTP_GET,    "/internal/v1/wabas",        OPS, false, NULL, operator_waba_list,       NULL},
    {HTTP_GET,    "/internal/v1/wabas/*",      OPS, false, NULL, operator_waba_show,       NULL},
    {HTTP_DELETE, "/internal/v1/wabas/*",      OPS, true,  NULL, operator_waba_remove,     NULL},
    {HTTP_POST,   "/internal/v1/numbers",      OPS, true,  NULL, operator_number_create,   NULL},
    {HTTP_GET,    "/internal/v1/numbers",      OPS, false, NULL, operator_number_list,     NULL},
    {HTTP_GET,    "/internal/v1/numbers/*",    OPS, false, NULL, operator_number_show,     NULL},
    {HTTP_DELETE, "/internal/v1/numbers/*",    OPS, true,  NULL, operator_number_remove,   NULL},
    {HTTP_POST,   "/internal/v1/apps",         OPS, true,  NULL, operator_app_create,      NULL},
    {HTTP_GET,    "/internal/v1/apps",         OPS, false, NULL, operator_app_list,        NULL},
    {HTTP_GET,    "/internal/v1/apps/*",       OPS, false, NULL, operator_app_show,        NULL},
    {HTTP_DELETE, "/internal/v1/apps/*",       OPS, true,  NULL, operator_app_remove,      NULL},
    {HTTP_POST,   "/internal/v1/tokens",       OPS, true,  NULL, operator_token_create,    NULL},
    {HTTP_GET,    "/internal/v1/tokens",       OPS, false, NULL, operator_token_list,      NULL},
    {HTTP_GET,    "/internal/v1/tokens/*",     OPS, false, NULL, operator_token_show,      NULL},
    {HTTP_DELETE, "/internal/v1/tokens/*",     OPS, true,  NULL, operator_token_remove,    NULL},
};
const size_t operator_routes_n = ARRAY_LEN(operator_routes);
