/* internal.c - the Cloud's side of the internal channel: registration steps for operators' tools.
 *
 * The caller is the common name of its client certificate; the table says which may call what.
 * Answers are those of the Graph routes: the same handlers serve both. Source:
 * docs/protocol/internal.md. */
#include <stdio.h>
#include <string.h>

#include "base/object_id.h"
#include "cloud/call.h"

#define PREFIX "/internal/v1/"
#define NUMBERS PREFIX "numbers/"

static const char *const tools[] = {"parley-cli", "parley-supervisor", "parley-manager"};

static const struct internal_row {
    enum http_method method;
    const char *edge; /* behind the number's id */
    void (*handle)(struct call *call);
} number_rows[] = {
    {HTTP_POST, "request_code", number_request_code_handle},
    {HTTP_POST, "verify_code",  number_verify_code_handle },
    {HTTP_POST, "register",     number_register_handle    },
    {HTTP_POST, "deregister",   number_deregister_handle  },
};

static bool
is_tool(const char *name)
{
    for (size_t i = 0; name != NULL && i < ARRAY_LEN(tools); i++)
        if (strcmp(tools[i], name) == 0)
            return true;
    return false;
}

static void
refuse(struct http_request *req, int status, const char *rc, const char *text)
{
    static const struct http_header json = {"Content-Type", "application/json"};
    struct json_writer w;
    struct buf body;

    buf_init(&body, 1024);
    jw_init(&w, &body);
    jw_object(&w);
    jw_key(&w, "error");
    jw_object(&w);
    jw_kv_str(&w, "rc", rc);
    jw_kv_str(&w, "message", text);
    jw_object_end(&w);
    jw_object_end(&w);
    http_reply(req, status, &json, 1, buf_bytes(&body));
    buf_free(&body);
}

static void
put_number(void *ctx, uint64_t account)
{
    struct json_writer *w = ((void **)ctx)[0];
    struct cloud *cloud = ((void **)ctx)[1];
    struct gateway_number_info info;
    struct directory_number number;
    char id[OBJECT_ID_TEXT_SIZE];

    if (!directory_number_by_account(cloud->directory, account, &number) ||
        !gateway_number_info(cloud->gateway, account, &info))
        return;
    jw_object(w);
    jw_kv_str(w, "id", object_id_write(id, number.id));
    jw_kv_bool(w, "is_ours", info.is_ours);
    jw_kv_bool(w, "is_registered", info.is_registered);
    jw_kv_bool(w, "is_connected", info.is_up);
    jw_object_end(w);
}

static void
reply_status(struct cloud *cloud, struct http_request *req)
{
    static const struct http_header json = {"Content-Type", "application/json"};
    struct json_writer w;
    struct buf body;
    void *ctx[] = {&w, cloud};

    buf_init(&body, 4 * 1024 * 1024);
    jw_init(&w, &body);
    jw_object(&w);
    jw_kv_str(&w, "program", "parley-cloud");
    jw_kv_bool(&w, "is_manager_connected", manager_link_is_up(cloud->manager));
    jw_key(&w, "numbers");
    jw_array(&w);
    gateway_each_number(cloud->gateway, put_number, ctx);
    jw_array_end(&w);
    jw_object_end(&w);
    http_reply(req, 200, &json, 1, buf_bytes(&body));
    buf_free(&body);
}

static void
run_row(struct cloud *cloud, struct http_request *req, const struct internal_row *row, uint64_t id)
{
    struct call *call = arena_alloc(http_request_arena(req), sizeof *call);
    struct directory_number number;
    struct err err = {0};

    if (call == NULL) {
        refuse(req, 503, "nomem", "out of memory");
        return;
    }
    call->cloud = cloud;
    call->req = req;
    call->arena = http_request_arena(req);
    call->method = http_request_method(req);
    call->node = id;
    snprintf(call->version, sizeof call->version, "%s", CLOUD_VERSION);
    trace_make(cloud, call->trace);
    if (!directory_number_by_id(cloud->directory, id, &number))
        refuse(req, 404, "notfound", "no such number here (yet)");
    else if (params_read(call, &err) != RC_OK)
        call_fail(call, G_BAD_PARAM, "(#100) Invalid parameter: %s", err.text);
    else
        row->handle(call);
}

void
internal_handle(void *ctx, struct http_request *req)
{
    struct cloud *cloud = ctx;
    const char *path = http_request_path(req), *edge;
    uint64_t id;

    if (!is_tool(http_request_peer_name(req))) {
        refuse(req, 403, "denied", "this program may not call the Cloud");
        return;
    }
    if (cloud->is_closing) {
        refuse(req, 503, "closed", "the Cloud is shutting down");
        return;
    }
    if (strcmp(path, PREFIX "status") == 0 && http_request_method(req) == HTTP_GET) {
        reply_status(cloud, req);
        return;
    }
    if (strncmp(path, NUMBERS, strlen(NUMBERS)) == 0 &&
        (edge = strchr(path + strlen(NUMBERS), '/')) != NULL &&
        object_id_read(&id,
                       bytes_of(path + strlen(NUMBERS), (size_t)(edge - path) - strlen(NUMBERS)),
                       NULL) == RC_OK)
        for (size_t i = 0; i < ARRAY_LEN(number_rows); i++)
            if (http_request_method(req) == number_rows[i].method &&
                strcmp(edge + 1, number_rows[i].edge) == 0) {
                run_row(cloud, req, &number_rows[i], id);
                return;
            }
    refuse(req, 404, "notfound", "no such route");
}
