/* routes.c - every Graph path, one row: method, kind of node, edge, who may, handler.
 *
 * Rows say `here` by their handler or forward to the manager. Order of checks: token, then route
 * and object, then right, then the body. An object that the token may not see is answered as
 * missing (I32). Source: docs/cloud-api.md, "Routes". */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/object_id.h"
#include "cloud/call.h"
#include "cloud/route.h"

static const struct route routes[] = {
    {HTTP_POST, OBJECT_NUMBER, "messages",        SCOPE_MESSAGING,  send_message_handle       },
    {HTTP_PUT,  OBJECT_NUMBER, "messages",        SCOPE_MESSAGING,  send_message_handle       },
    {HTTP_POST, OBJECT_NUMBER, "register",        SCOPE_EITHER,     number_register_handle    },
    {HTTP_POST, OBJECT_NUMBER, "deregister",      SCOPE_EITHER,     number_deregister_handle  },
    {HTTP_POST, OBJECT_NUMBER, "request_code",    SCOPE_MANAGEMENT, number_request_code_handle},
    {HTTP_POST, OBJECT_NUMBER, "verify_code",     SCOPE_MANAGEMENT, number_verify_code_handle },
    {HTTP_POST, OBJECT_NUMBER, "",                SCOPE_MANAGER,    subscribe_handle          },
    {HTTP_POST, OBJECT_APP,    "subscriptions",   SCOPE_MANAGER,    subscribe_handle          },
    {HTTP_POST, OBJECT_WABA,   "subscribed_apps", SCOPE_MANAGER,    subscribe_handle          },
};

/* Everything else goes to the manager, which has a table of its own. */
static const struct route forward_route = {HTTP_OTHER, OBJECT_NONE, NULL, SCOPE_MANAGER,
                                           forward_handle};

/* ---- the path ---- */

static bool
is_version(const char *segment, size_t n)
{
    size_t i = 1, dots = 0;

    if (n < 4 || n > 8 || segment[0] != 'v')
        return false;
    for (; i < n; i++) {
        if (segment[i] == '.')
            dots++;
        else if (segment[i] < '0' || segment[i] > '9')
            return false;
    }
    return dots == 1 && segment[1] != '.' && segment[n - 1] != '.';
}

/* "/v24.0/123/messages/" becomes version v24.0, path "/123/messages", node 123, edge "messages". */
static bool
read_path(struct call *call)
{
    const char *at = http_request_path(call->req), *slash;
    size_t n = strlen(at);
    char *path;

    while (n > 1 && at[n - 1] == '/')
        n--;
    if (at[0] != '/')
        return false;
    slash = memchr(at + 1, '/', n - 1);
    snprintf(call->version, sizeof call->version, "%s", CLOUD_VERSION);
    if (is_version(at + 1, (size_t)((slash == NULL ? at + n : slash) - at - 1))) {
        size_t version_len = (size_t)((slash == NULL ? at + n : slash) - at - 1);

        snprintf(call->version, sizeof call->version, "%.*s", (int)version_len, at + 1);
        at += version_len + 1;
        n -= version_len + 1;
    }
    path = arena_printf(call->arena, "%.*s", (int)n, n == 0 ? "/" : at);
    if (path == NULL)
        return false;
    if (path[0] == '\0')
        path = arena_copy_str(call->arena, "/");
    call->path = path;
    slash = strchr(path + 1, '/');
    call->edge = slash == NULL ? "" : slash + 1;
    n = slash == NULL ? strlen(path + 1) : (size_t)(slash - path - 1);
    if (object_id_read(&call->node, bytes_of(path + 1, n), NULL) != RC_OK)
        call->node = 0;
    return true;
}

static const struct route *
route_find(const struct call *call)
{
    enum object_kind kind = object_id_kind(call->node);

    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        if (routes[i].method == call->method && routes[i].kind == kind &&
            strcmp(routes[i].edge, call->edge) == 0)
            return &routes[i];
    return &forward_route;
}

/* ---- the right ---- */

static void
no_object(struct call *call)
{
    const char *method = call->method == HTTP_GET      ? "get"
                         : call->method == HTTP_DELETE ? "delete"
                                                       : "post";

    call_fail(call, G_NO_OBJECT,
              "Unsupported %s request. Object with ID '%llu' does not exist, cannot be loaded due "
              "to missing permissions, or does not support this operation. Please read the Graph "
              "API documentation at https://developers.facebook.com/docs/graph-api",
              method, (unsigned long long)call->node);
}

static bool
may(struct call *call)
{
    uint32_t wanted = call->route->scope;

    if (wanted == SCOPE_MANAGER)
        return true; /* the manager checks its own */
    if (!principal_has_number(&call->principal, call->node)) {
        no_object(call);
        return false;
    }
    if ((call->principal.scopes & wanted) != 0)
        return true;
    if (wanted == SCOPE_MESSAGING)
        call_fail(call, G_ACCESS_DENIED,
                  "The access token lacks the permission whatsapp_business_messaging.");
    else
        call_fail(call, G_NO_PERMISSION,
                  "(#10) Application does not have permission for this action");
    return false;
}

/* ---- the token ---- */

static void
on_principal(void *ctx, const struct principal *principal, int status, const json_t *error)
{
    struct call *call = ctx;
    struct err err = {0};

    if (principal == NULL && error != NULL) {
        call_fail_with(call, status, error);
        return;
    }
    if (principal == NULL || call->cloud->is_closing) {
        call_fail(call, G_UNAVAILABLE,
                  "Service temporarily unavailable. Please retry your request.");
        return;
    }
    call->principal = *principal;
    if (!may(call))
        return;
    call->principal.numbers = NULL; /* the cache's, and gone by the time the call goes on */
    call->principal.n_numbers = 0;
    if (params_read(call, &err) != RC_OK) {
        call_fail(call, G_BAD_PARAM, "(#100) Invalid parameter: %s", err.text);
        return;
    }
    call->route->handle(call);
}

/* The token in the header wins over the query. Borrowed from the request. */
static const char *
bearer(struct call *call)
{
    static const char *const schemes[] = {"Bearer ", "OAuth "};
    const char *header = http_request_header(call->req, "Authorization");

    for (size_t i = 0; header != NULL && i < ARRAY_LEN(schemes); i++) {
        size_t n = strlen(schemes[i]);

        if (strncasecmp(header, schemes[i], n) == 0) {
            header += n;
            while (*header == ' ')
                header++;
            return header;
        }
    }
    if (header != NULL)
        return "";
    return http_request_query(call->req, "access_token");
}

static void
authenticate(struct call *call)
{
    const char *token = bearer(call);

    if (token == NULL) {
        call_fail(call, G_OAUTH_REQUIRED, "An access token is required to request this resource.");
        return;
    }
    if (token[0] == '\0' || strlen(token) > TOKEN_MAX) {
        call_fail(call, G_BAD_TOKEN, "Invalid OAuth access token - Cannot parse access token");
        return;
    }
    principals_check(call->cloud->principals, token,
                     http_request_query(call->req, "appsecret_proof"), on_principal, call);
}

static void
answer_options(struct call *call)
{
    static const struct http_header headers[] = {
        {"access-control-allow-origin",  "*"                             },
        {"access-control-allow-methods", "GET, POST, PUT, DELETE"        },
        {"access-control-allow-headers", "Authorization, Content-Type, *"},
    };

    http_reply(call->req, 200, headers, ARRAY_LEN(headers), bytes_of(NULL, 0));
}

void
routes_handle(void *ctx, struct http_request *req)
{
    struct call *call = arena_alloc(http_request_arena(req), sizeof *call);

    if (call == NULL) {
        http_reply(req, 503, NULL, 0, bytes_of_str("{\"error\":{\"code\":2}}"));
        return;
    }
    call->cloud = ctx;
    call->req = req;
    call->arena = http_request_arena(req);
    call->method = http_request_method(req);
    trace_make(call->cloud, call->trace);
    snprintf(call->version, sizeof call->version, "%s", CLOUD_VERSION);
    if (call->method == HTTP_OPTIONS) {
        answer_options(call);
        return;
    }
    if (call->cloud->is_closing) {
        call_fail(call, G_UNAVAILABLE,
                  "Service temporarily unavailable. Please retry your request.");
        return;
    }
    if (!read_path(call)) {
        call_fail(call, G_UNKNOWN_PATH, "Unknown path components");
        return;
    }
    call->route = route_find(call);
    authenticate(call);
}
