/* routes_operator.c - what the command line and the supervisor call: make, list, show, revoke.
 *
 * One group of functions a kind of object; the table is at the end. Secrets are in the answer to a
 * POST, and in an app's own answer when ?with_secrets=1 asks for them. */
#include "manager/call.h"

#include "base/e164.h"
#include "base/hex.h"
#include "manager/provision.h"
#include "manager/sql.h"
#include "manager/tokens.h"

/* ---- lists ---- */

struct list {
    struct json_writer jw;
    struct work *w;
};

static void
list_begin(struct list *list, struct call *call, struct work *w)
{
    list->w = w;
    jw_init(&list->jw, &call->out);
    jw_object(&list->jw);
    jw_key(&list->jw, "data");
    jw_array(&list->jw);
}

static void
list_end(struct list *list)
{
    jw_array_end(&list->jw);
    jw_object_end(&list->jw);
}

static enum rc
put_success(struct call *call)
{
    struct json_writer jw;

    jw_init(&jw, &call->out);
    jw_object(&jw);
    jw_kv_bool(&jw, "success", true);
    jw_object_end(&jw);
    return RC_OK;
}

static enum rc
body_id(uint64_t *out, const struct call *call, const char *key, bool is_required, struct err *err)
{
    const char *text = json_str(call->body, key);

    *out = 0;
    if (text == NULL)
        return is_required ? err_set(err, RC_INVAL, "operator", "%s is missing", key) : RC_OK;
    return object_id_read(out, bytes_of_str(text), err);
}

static enum rc
need_business(const struct call *call, struct err *err)
{
    return call->business != 0
               ? RC_OK
               : err_set(err, RC_INVAL, "operator", "say of which business: ?business_id=");
}

static void
put_tail(struct json_writer *jw, int64_t created_s, int64_t revoked_s)
{
    jw_kv_int(jw, "created_at", created_s);
    jw_kv_bool(jw, "is_revoked", revoked_s != 0);
}

/* ---- business ---- */

static enum rc
put_business(void *ctx, const struct business *b, struct err *err)
{
    struct json_writer *jw = &((struct list *)ctx)->jw;

    jw_object(jw);
    jw_kv_u64_str(jw, "id", b->id);
    jw_kv_str(jw, "name", b->name);
    put_tail(jw, b->created_s, b->revoked_s);
    jw_object_end(jw);
    return RC_OK;
}

static enum rc
business_create(struct call *call, struct work *w, struct err *err)
{
    struct list one = {.w = w};
    struct business b;
    enum rc rc = business_make(&b, w, json_str(call->body, "name"), err);

    jw_init(&one.jw, &call->out);
    return rc == RC_OK ? put_business(&one, &b, err) : rc;
}

static enum rc
business_list(struct call *call, struct work *w, struct err *err)
{
    struct list list;
    enum rc rc;

    list_begin(&list, call, w);
    rc = business_each(w, call->after, put_business, &list, err);
    list_end(&list);
    return rc;
}

static enum rc
business_show(struct call *call, struct work *w, struct err *err)
{
    struct list one = {.w = w};
    struct business b;
    enum rc rc = business_load(&b, w, call->id, REVOKED_TOO, err);

    jw_init(&one.jw, &call->out);
    return rc == RC_OK ? put_business(&one, &b, err) : rc;
}

static enum rc
business_remove(struct call *call, struct work *w, struct err *err)
{
    enum rc rc = business_revoke(w, call->id, err);

    return rc == RC_OK ? put_success(call) : rc;
}

/* ---- WABA ---- */

static enum rc
put_waba(void *ctx, const struct waba *waba, struct err *err)
{
    struct json_writer *jw = &((struct list *)ctx)->jw;

    jw_object(jw);
    jw_kv_u64_str(jw, "id", waba->id);
    jw_kv_u64_str(jw, "business_id", waba->business);
    jw_kv_str(jw, "name", waba->name);
    jw_kv_str(jw, "namespace", waba->namespace);
    put_tail(jw, waba->created_s, waba->revoked_s);
    jw_object_end(jw);
    return RC_OK;
}

static enum rc
waba_create(struct call *call, struct work *w, struct err *err)
{
    struct list one = {.w = w};
    struct waba waba;
    uint64_t business;
    enum rc rc;

    if ((rc = body_id(&business, call, "business_id", true, err)) != RC_OK ||
        (rc = waba_make(&waba, w, business, json_str(call->body, "name"), err)) != RC_OK)
        return rc;
    jw_init(&one.jw, &call->out);
    return put_waba(&one, &waba, err);
}

static enum rc
waba_list(struct call *call, struct work *w, struct err *err)
{
    struct list list;
    enum rc rc;

    if ((rc = need_business(call, err)) != RC_OK)
        return rc;
    list_begin(&list, call, w);
    rc = waba_each(w, call->business, call->after, put_waba, &list, err);
    list_end(&list);
    return rc;
}

static enum rc
waba_show(struct call *call, struct work *w, struct err *err)
{
    struct list one = {.w = w};
    struct waba waba;
    enum rc rc = waba_load(&waba, w, call->id, REVOKED_TOO, err);

    jw_init(&one.jw, &call->out);
    return rc == RC_OK ? put_waba(&one, &waba, err) : rc;
}

static enum rc
waba_remove(struct call *call, struct work *w, struct err *err)
{
    enum rc rc = waba_revoke(w, call->id, err);

    return rc == RC_OK ? put_success(call) : rc;
}

/* ---- number ---- */

static enum rc
put_number(void *ctx, const struct number *n, struct err *err)
{
    struct json_writer *jw = &((struct list *)ctx)->jw;
    char digits[E164_TEXT_SIZE];
    struct buf cert;

    buf_init(&cert, 2 * sizeof(n->cert));
    base64_put(&cert, bytes_of(n->cert, n->cert_len));
    jw_object(jw);
    jw_kv_u64_str(jw, "id", n->id);
    jw_kv_u64_str(jw, "waba_id", n->waba);
    jw_kv_u64_str(jw, "business_id", n->business);
    jw_kv_str(jw, "number", e164_write(digits, n->digits));
    jw_kv_str(jw, "display_name", n->display_name);
    jw_kv_str(jw, "hosting", hosting_name(n->hosting));
    jw_kv_bool(jw, "is_verified", n->is_verified);
    jw_kv_bool(jw, "is_registered", n->is_registered);
    jw_kv_bytes(jw, "certificate", buf_bytes(&cert));
    put_tail(jw, n->created_s, n->revoked_s);
    jw_object_end(jw);
    buf_free(&cert);
    return RC_OK;
}

static enum rc
number_create(struct call *call, struct work *w, struct err *err)
{
    const char *text = json_str(call->body, "number");
    const char *display = json_str(call->body, "display_name");
    struct list one = {.w = w};
    enum hosting hosting;
    struct number n;
    struct waba waba;
    uint64_t id, digits;
    enum rc rc;

    if (text == NULL)
        return err_set(err, RC_INVAL, "operator", "number is missing");
    if ((rc = e164_read(&digits, bytes_of_str(text), err)) != RC_OK ||
        (rc = hosting_read(&hosting, json_str(call->body, "hosting"), err)) != RC_OK ||
        (rc = body_id(&id, call, "waba_id", true, err)) != RC_OK ||
        (rc = waba_load(&waba, w, id, LIVE_ONLY, err)) != RC_OK)
        return rc;
    rc = number_make(&n, w, &waba, digits, display != NULL ? display : waba.name, hosting, err);
    jw_init(&one.jw, &call->out);
    return rc == RC_OK ? put_number(&one, &n, err) : rc;
}

static enum rc
number_list(struct call *call, struct work *w, struct err *err)
{
    struct list list;
    enum rc rc;

    if ((rc = need_business(call, err)) != RC_OK)
        return rc;
    list_begin(&list, call, w);
    rc = number_each(w, call->business, call->after, put_number, &list, err);
    list_end(&list);
    return rc;
}

static enum rc
number_show(struct call *call, struct work *w, struct err *err)
{
    struct list one = {.w = w};
    struct number n;
    enum rc rc = number_load(&n, w, call->id, REVOKED_TOO, err);

    jw_init(&one.jw, &call->out);
    return rc == RC_OK ? put_number(&one, &n, err) : rc;
}

static enum rc
number_remove(struct call *call, struct work *w, struct err *err)
{
    enum rc rc = number_revoke(w, call->id, err);

    return rc == RC_OK ? put_success(call) : rc;
}

/* ---- app ---- */

static void
put_app_members(struct json_writer *jw, const struct app *app, bool with_secrets)
{
    jw_object(jw);
    jw_kv_u64_str(jw, "id", app->id);
    jw_kv_u64_str(jw, "business_id", app->business);
    jw_kv_str(jw, "name", app->name);
    if (with_secrets) {
        jw_kv_str(jw, "secret", app->secret);
        jw_kv_str(jw, "verify_token", app->verify_token);
    }
    put_tail(jw, app->created_s, app->revoked_s);
    jw_object_end(jw);
}

static enum rc
put_app(void *ctx, const struct app *app, struct err *err)
{
    put_app_members(&((struct list *)ctx)->jw, app, false);
    return RC_OK;
}

static enum rc
app_create(struct call *call, struct work *w, struct err *err)
{
    uint64_t business, waba_id;
    struct json_writer jw;
    struct waba waba;
    struct app app;
    enum rc rc;

    if ((rc = body_id(&business, call, "business_id", true, err)) != RC_OK ||
        (rc = body_id(&waba_id, call, "waba_id", false, err)) != RC_OK)
        return rc;
    if (waba_id != 0) {
        if ((rc = waba_load(&waba, w, waba_id, LIVE_ONLY, err)) != RC_OK)
            return rc;
        if (waba.business != business)
            return err_set(err, RC_NOTFOUND, "operator", "the business has no such WABA");
    }
    if ((rc = app_make(&app, w, business, json_str(call->body, "name"), err)) != RC_OK)
        return rc;
    if (waba_id != 0)
        rc = waba_app_put(w, &waba, app.id, NULL, err);
    jw_init(&jw, &call->out);
    put_app_members(&jw, &app, true);
    app_wipe(&app);
    return rc;
}

static enum rc
app_list(struct call *call, struct work *w, struct err *err)
{
    struct list list;
    enum rc rc;

    if ((rc = need_business(call, err)) != RC_OK)
        return rc;
    list_begin(&list, call, w);
    rc = app_each(w, call->business, call->after, put_app, &list, err);
    list_end(&list);
    return rc;
}

static enum rc
app_show(struct call *call, struct work *w, struct err *err)
{
    struct json_writer jw;
    struct app app;
    enum rc rc = app_load(&app, w, call->id, REVOKED_TOO, err);

    if (rc != RC_OK)
        return rc;
    jw_init(&jw, &call->out);
    put_app_members(&jw, &app, call->with_secrets);
    app_wipe(&app);
    return RC_OK;
}

static enum rc
app_remove(struct call *call, struct work *w, struct err *err)
{
    enum rc rc = app_revoke(w, call->id, err);

    return rc == RC_OK ? put_success(call) : rc;
}

/* ---- token ---- */

static void
put_token_members(struct json_writer *jw, const struct principal *p, int64_t revoked_s,
                  const char *token)
{
    jw_object(jw);
    jw_kv_u64_str(jw, "id", p->token);
    jw_kv_str(jw, "kind", principal_kind_name(p->kind));
    jw_kv_u64_str(jw, "app_id", p->app);
    jw_kv_u64_str(jw, "user_id", p->user);
    jw_kv_u64_str(jw, "business_id", p->business);
    jw_key(jw, "scopes");
    jw_array(jw);
    for (unsigned i = 0; i < PERM_NAMES; i++) {
        if (p->scopes & permission_at(i))
            jw_str(jw, permission_name(i));
    }
    jw_array_end(jw);
    jw_key(jw, "waba_ids");
    jw_array(jw);
    for (unsigned i = 0; i < p->n_wabas; i++)
        jw_u64_str(jw, p->wabas[i]);
    jw_array_end(jw);
    jw_kv_int(jw, "expires_at", p->expires_s);
    if (token != NULL)
        jw_kv_str(jw, "token", token);
    put_tail(jw, p->created_s, revoked_s);
    jw_object_end(jw);
}

static enum rc
put_token(void *ctx, const struct principal *p, int64_t revoked_s, struct err *err)
{
    put_token_members(&((struct list *)ctx)->jw, p, revoked_s, NULL);
    return RC_OK;
}

static enum rc
read_scopes(uint32_t *out, const json_t *scopes, struct err *err)
{
    *out = json_array_size(scopes) == 0 ? PERM_WHATSAPP : 0;
    for (size_t i = 0; i < json_array_size(scopes); i++) {
        const char *name = json_string_value(json_array_get(scopes, i));
        uint32_t bit = name == NULL ? 0 : permission_read(name);

        if (bit == 0)
            return err_set(err, RC_INVAL, "operator",
                           "a scope is whatsapp_business_messaging, whatsapp_business_management "
                           "or business_management");
        *out |= bit;
    }
    return RC_OK;
}

/* The WABAs that a token is narrowed to must be the business's own. */
static enum rc
read_wabas(uint64_t out[TOKEN_WABAS_MAX], unsigned *n, const struct call *call, struct work *w,
           uint64_t business, struct err *err)
{
    const json_t *ids = json_object_get(call->body, "waba_ids");
    struct waba waba;
    enum rc rc;

    *n = 0;
    if (json_array_size(ids) > TOKEN_WABAS_MAX)
        return err_set(err, RC_INVAL, "operator", "at most %u WABAs a token", TOKEN_WABAS_MAX);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const char *text = json_string_value(json_array_get(ids, i));

        if ((rc = object_id_read(&out[*n], bytes_of_str(text), err)) != RC_OK ||
            (rc = waba_load(&waba, w, out[*n], LIVE_ONLY, err)) != RC_OK)
            return rc;
        if (waba.business != business)
            return err_set(err, RC_NOTFOUND, "operator", "the business has no such WABA");
        ++*n;
    }
    return RC_OK;
}

/* The system user named, else the business's first, else a new one. */
static enum rc
find_user(struct system_user *out, const struct call *call, struct work *w, uint64_t business,
          struct err *err)
{
    uint64_t id;
    enum rc rc;

    if ((rc = body_id(&id, call, "user_id", false, err)) != RC_OK)
        return rc;
    if (id == 0) {
        rc = user_first(out, w, business, err);
        return rc == RC_NOTFOUND ? user_make(out, w, business, "admin", err) : rc;
    }
    rc = user_load(out, w, id, err);
    if (rc == RC_OK && out->business != business)
        rc = err_set(err, RC_NOTFOUND, "operator", "the business has no such system user");
    return rc;
}

static enum rc
token_create(struct call *call, struct work *w, struct err *err)
{
    int64_t expires_in_s = json_int(call->body, "expires_in_s", 0);
    struct token_opt opt = {.label = "operator"};
    uint64_t app_id, wabas[TOKEN_WABAS_MAX];
    char token[TOKEN_SIZE] = "";
    struct system_user user;
    struct json_writer jw;
    struct principal p;
    struct app app = {0};
    enum rc rc;

    if (expires_in_s < 0)
        return err_set(err, RC_INVAL, "operator", "expires_in_s is not negative");
    if ((rc = body_id(&app_id, call, "app_id", true, err)) != RC_OK ||
        (rc = read_scopes(&opt.scopes, json_object_get(call->body, "scopes"), err)) != RC_OK ||
        (rc = app_load(&app, w, app_id, LIVE_ONLY, err)) != RC_OK)
        goto out;
    if ((rc = read_wabas(wabas, &opt.n_wabas, call, w, app.business, err)) != RC_OK ||
        (rc = find_user(&user, call, w, app.business, err)) != RC_OK)
        goto out;
    opt.app = &app;
    opt.user = user.id;
    opt.wabas = wabas;
    opt.expires_s = expires_in_s == 0 ? 0 : w->now_s + expires_in_s;
    if ((rc = token_make(token, &p, w, &opt, err)) != RC_OK)
        goto out;
    jw_init(&jw, &call->out);
    put_token_members(&jw, &p, 0, token);
out:
    bytes_wipe(token, sizeof(token));
    app_wipe(&app);
    return rc;
}

static enum rc
token_list(struct call *call, struct work *w, struct err *err)
{
    struct list list;
    enum rc rc;

    if ((rc = need_business(call, err)) != RC_OK)
        return rc;
    list_begin(&list, call, w);
    rc = token_each(w, call->business, call->after, put_token, &list, err);
    list_end(&list);
    return rc;
}

static enum rc
token_show(struct call *call, struct work *w, struct err *err)
{
    struct json_writer jw;
    struct principal p;
    int64_t revoked_s;
    enum rc rc = token_load(&p, &revoked_s, w, call->id, err);

    if (rc != RC_OK)
        return rc;
    jw_init(&jw, &call->out);
    put_token_members(&jw, &p, revoked_s, NULL);
    return RC_OK;
}

static enum rc
token_remove(struct call *call, struct work *w, struct err *err)
{
    enum rc rc = token_revoke(w, call->id, err);

    return rc == RC_OK ? put_success(call) : rc;
}

/* ---- status ---- */

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
    {HTTP_GET,    "/internal/v1/status",       ANY, false, NULL, status_show,      NULL},
    {HTTP_POST,   "/internal/v1/provision",    OPS, true,  NULL, provision_handle, NULL},
    {HTTP_POST,   "/internal/v1/businesses",   OPS, true,  NULL, business_create,  NULL},
    {HTTP_GET,    "/internal/v1/businesses",   OPS, false, NULL, business_list,    NULL},
    {HTTP_GET,    "/internal/v1/businesses/*", OPS, false, NULL, business_show,    NULL},
    {HTTP_DELETE, "/internal/v1/businesses/*", OPS, true,  NULL, business_remove,  NULL},
    {HTTP_POST,   "/internal/v1/wabas",        OPS, true,  NULL, waba_create,      NULL},
    {HTTP_GET,    "/internal/v1/wabas",        OPS, false, NULL, waba_list,        NULL},
    {HTTP_GET,    "/internal/v1/wabas/*",      OPS, false, NULL, waba_show,        NULL},
    {HTTP_DELETE, "/internal/v1/wabas/*",      OPS, true,  NULL, waba_remove,      NULL},
    {HTTP_POST,   "/internal/v1/numbers",      OPS, true,  NULL, number_create,    NULL},
    {HTTP_GET,    "/internal/v1/numbers",      OPS, false, NULL, number_list,      NULL},
    {HTTP_GET,    "/internal/v1/numbers/*",    OPS, false, NULL, number_show,      NULL},
    {HTTP_DELETE, "/internal/v1/numbers/*",    OPS, true,  NULL, number_remove,    NULL},
    {HTTP_POST,   "/internal/v1/apps",         OPS, true,  NULL, app_create,       NULL},
    {HTTP_GET,    "/internal/v1/apps",         OPS, false, NULL, app_list,         NULL},
    {HTTP_GET,    "/internal/v1/apps/*",       OPS, false, NULL, app_show,         NULL},
    {HTTP_DELETE, "/internal/v1/apps/*",       OPS, true,  NULL, app_remove,       NULL},
    {HTTP_POST,   "/internal/v1/tokens",       OPS, true,  NULL, token_create,     NULL},
    {HTTP_GET,    "/internal/v1/tokens",       OPS, false, NULL, token_list,       NULL},
    {HTTP_GET,    "/internal/v1/tokens/*",     OPS, false, NULL, token_show,       NULL},
    {HTTP_DELETE, "/internal/v1/tokens/*",     OPS, true,  NULL, token_remove,     NULL},
};
const size_t operator_routes_n = ARRAY_LEN(operator_routes);
