/* graph_routes.c - the table of Graph routes, and the one place where their rights are checked.
 *
 * Order of checks: path, method, kind of principal, permission, object. The first four depend on
 * the path alone (an id says its kind), so their answers tell nothing about which objects exist;
 * the last gives one answer for missing, revoked and foreign (I32). */
#include "manager/graph.h"

#include <ctype.h>

/* A row is one fact: this method on this kind of node and edge, who may, with which permission (any
 * of the bits), done by this handler. Kind NONE: the path's first segment is the edge itself. */
static const struct route {
    enum http_method method;
    enum object_kind kind;
    const char *edge;
    enum who who;
    uint32_t needs;
    enum rc (*handle)(struct graph_call *call, struct err *err);
} routes[] = {
    {HTTP_GET,    OBJECT_NUMBER,   "",                                 WHO_USER, PERM_WHATSAPP,   graph_number_get          },
    {HTTP_POST,   OBJECT_NUMBER,   "",                                 WHO_USER, PERM_MANAGEMENT, graph_number_post         },
    {HTTP_GET,    OBJECT_WABA,     "",                                 WHO_USER, PERM_MANAGEMENT, graph_waba_get            },
    {HTTP_GET,    OBJECT_WABA,     "phone_numbers",                    WHO_USER, PERM_MANAGEMENT, graph_waba_numbers        },
    {HTTP_GET,    OBJECT_WABA,     "subscribed_apps",                  WHO_USER, PERM_MANAGEMENT, graph_waba_apps_get       },
    {HTTP_POST,   OBJECT_WABA,     "subscribed_apps",                  WHO_USER, PERM_MANAGEMENT, graph_waba_apps_post      },
    {HTTP_DELETE, OBJECT_WABA,     "subscribed_apps",                  WHO_USER, PERM_MANAGEMENT,
     graph_waba_apps_delete                                                                                                 },
    {HTTP_GET,    OBJECT_BUSINESS, "",                                 WHO_USER, PERM_BUSINESS,   graph_business_get        },
    {HTTP_GET,    OBJECT_BUSINESS, "owned_whatsapp_business_accounts", WHO_USER,
     PERM_BUSINESS | PERM_MANAGEMENT,                                                             graph_business_wabas      },
    {HTTP_GET,    OBJECT_APP,      "",                                 WHO_ANY,  0,               graph_app_get             },
    {HTTP_GET,    OBJECT_APP,      "subscriptions",                    WHO_APP,  0,               graph_subscriptions_get   },
    {HTTP_POST,   OBJECT_APP,      "subscriptions",                    WHO_APP,  0,               graph_subscriptions_post  },
    {HTTP_DELETE, OBJECT_APP,      "subscriptions",                    WHO_APP,  0,               graph_subscriptions_delete},
    {HTTP_GET,    OBJECT_NONE,     "debug_token",                      WHO_ANY,  0,               graph_debug_token         },
    {HTTP_GET,    OBJECT_NONE,     "me",                               WHO_ANY,  0,               graph_me                  },
};

struct target {
    uint64_t node;
    char node_text[OBJECT_ID_TEXT_SIZE];
    char edge[GRAPH_PATH_MAX];
};

/* "/NODE", "/NODE/EDGE", "/NAME", with or without slashes at the ends. */
static bool
read_path(struct target *out, const char *path)
{
    char first[GRAPH_PATH_MAX];
    size_t len;

    memset(out, 0, sizeof(*out));
    path += strspn(path, "/");
    len = strcspn(path, "/");
    if (len == 0 || len >= sizeof(first))
        return false;
    memcpy(first, path, len);
    first[len] = '\0';
    path += len;
    path += strspn(path, "/");
    len = strlen(path);
    while (len > 0 && path[len - 1] == '/')
        len--;
    if (len >= sizeof(out->edge) || memchr(path, '/', len) != NULL)
        return false;
    if (object_id_read(&out->node, bytes_of_str(first), NULL) == RC_OK) {
        object_id_write(out->node_text, out->node);
        memcpy(out->edge, path, len);
        return true;
    }
    memcpy(out->edge, first, strlen(first));
    return len == 0; /* names have no edges */
}

static enum rc
refuse_object(struct graph_call *call, const struct target *target)
{
    char method[16];
    const char *name = http_method_name(call->method);
    size_t i;

    for (i = 0; name[i] != '\0' && i < sizeof(method) - 1; i++)
        method[i] = (char)tolower((unsigned char)name[i]);
    method[i] = '\0';
    return graph_refuse(call, GRAPH_NO_OBJECT,
                        "Unsupported %s request. Object with ID '%s' does not exist, cannot be "
                        "loaded due to missing permissions, or does not support this operation. "
                        "Please read the Graph API documentation at "
                        "https://developers.facebook.com/docs/graph-api",
                        method, target->node_text[0] != '\0' ? target->node_text : target->edge);
}

/* The row, or NULL with *is_path true when the path exists with other methods. */
static const struct route *
find_route(bool *is_path, const struct target *target, enum http_method method)
{
    enum object_kind kind = object_id_kind(target->node);

    *is_path = false;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (routes[i].kind != kind || strcmp(routes[i].edge, target->edge) != 0 ||
            (kind == OBJECT_NONE && target->node != 0))
            continue;
        *is_path = true;
        if (routes[i].method == method)
            return &routes[i];
    }
    return NULL;
}

static bool
has_nodes(enum object_kind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (routes[i].kind == kind && kind != OBJECT_NONE)
            return true;
    }
    return false;
}

static enum rc
check_and_run(struct graph_call *call, const struct route *route, const struct target *target,
              struct err *err)
{
    const struct principal *p = call->p;
    enum rc rc;

    if (((unsigned)route->who & (unsigned)p->kind) == 0)
        return route->who == WHO_APP
                   ? graph_refuse(call, GRAPH_NEEDS_APP,
                                  "This method must be called with an app access_token.")
                   : graph_refuse(call, GRAPH_NEEDS_USER,
                                  "This method must be called with a system user access token.");
    if (route->needs != 0 && (p->scopes & route->needs) == 0)
        return graph_refuse(call, GRAPH_NO_PERMISSION,
                            "Application does not have permission for this action");
    if (call->node != 0) {
        rc = rights_see(call->w, p, call->node, err);
        if (rc == RC_NOTFOUND)
            return refuse_object(call, target);
        if (rc != RC_OK)
            return rc;
    }
    return route->handle(call, err);
}

static enum http_method
read_method(const char *name)
{
    static const enum http_method methods[] = {HTTP_GET, HTTP_POST, HTTP_DELETE};

    for (size_t i = 0; name != NULL && i < ARRAY_LEN(methods); i++) {
        if (strcmp(name, http_method_name(methods[i])) == 0)
            return methods[i];
    }
    return HTTP_OTHER;
}

enum rc
graph_handle(int *status, struct buf *body, struct work *w, const struct principal *p,
             const struct graph_request *req, struct err *err)
{
    struct graph_call call = {.w = w,
                              .p = p,
                              .method = read_method(req->method),
                              .params = json_is_object(req->params) ? req->params : NULL,
                              .version = req->version != NULL ? req->version : "v24.0",
                              .origin = req->origin,
                              .path = req->path != NULL ? req->path : "",
                              .trace_id = req->trace_id,
                              .status = 200,
                              .body = body};
    const struct route *route;
    struct target target;
    bool is_path;
    enum rc rc;

    if (!read_path(&target, call.path)) {
        rc = graph_refuse(&call, GRAPH_UNKNOWN_PATH, "Unknown path components");
        goto out;
    }
    call.node = target.node;
    route = find_route(&is_path, &target, call.method);
    if (route != NULL)
        rc = check_and_run(&call, route, &target, err);
    else if (is_path || (target.node != 0 && !has_nodes(object_id_kind(target.node))))
        rc = refuse_object(&call, &target);
    else
        rc = graph_refuse(&call, GRAPH_UNKNOWN_PATH, "Unknown path components: /%.100s",
                          target.edge);
out:
    *status = call.status;
    if (rc == RC_OK && buf_failed(body))
        rc = err_set(err, RC_LIMIT, "graph", "the answer is too long");
    return rc;
}

bool
graph_route_at(struct graph_route_row *out, size_t i)
{
    if (i >= ARRAY_LEN(routes))
        return false;
    *out = (struct graph_route_row){routes[i].method, routes[i].kind, routes[i].edge, routes[i].who,
                                    routes[i].needs};
    return true;
}
