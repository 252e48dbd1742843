/* call.h - one Graph request on its way: who asks, what for, and the one reply it gets. Internal.
 *
 * Everything lives in the request's arena and goes with the reply. Thread rule: one loop. */
#ifndef PARLEY_CLOUD_CALL_H
#define PARLEY_CLOUD_CALL_H

#include <jansson.h>

#include "base/arena.h"
#include "base/json.h"
#include "cloud/cloud.h"
#include "cloud/directory.h"
#include "cloud/graph_code.h"
#include "cloud/manager_link.h"
#include "cloud/principal.h"
#include "crypto/seal.h"
#include "gateway/gateway.h"
#include "hooks/hooks.h"
#include "http/server.h"
#include "store/store.h"

#define CLOUD_VERSION "v24.0" /* the newest; what unversioned paths mean */
#define CLOUD_BODY_MAX (1024u * 1024)

struct cloud {
    struct cloud_opt opt;
    const struct store_part *parts[4];
    struct store *store;
    struct keyring *ring;
    struct http_server *https, *http, *internal;
    struct directory *directory;
    struct manager_link *manager;
    struct principals *principals;
    struct gateway *gateway;
    struct hooks_pump *pump;
    int lock_fd;
    bool is_ready, is_closing;
    struct report *reports; /* registrations to be told to the manager, numbers.c */
    struct loop_timer due;
    void (*on_closed)(void *ctx);
    void *closed_ctx;
};

struct call {
    struct cloud *cloud;
    struct http_request *req;
    struct arena *arena; /* the request's */
    enum http_method method;
    char version[12];           /* "v24.0" */
    uint64_t node;              /* first path segment when it is an id; 0 */
    const char *path;           /* without version and trailing slash: "/120…/messages" */
    const char *edge;           /* "messages", "" for the node itself */
    json_t *params;             /* query, form and JSON merged; released with the reply */
    struct principal principal; /* a copy: the cache may drop its own */
    const struct route *route;
    char trace[20];
};

/* ---- reply.c: answers in Graph's own shape; the call is gone afterwards ---- */

void call_fail(struct call *call, enum graph_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* A refusal by the manager: its error object with our trace id. */
void call_fail_with(struct call *call, int status, const json_t *error);
void call_reply(struct call *call, int status, struct bytes json);
void call_success(struct call *call); /* {"success":true} */
/* The body of an error that the HTTP layer refuses by itself (http_server_opt.on_refuse). */
const char *reply_refused(void *ctx, int status, struct buf *body);
void trace_make(struct cloud *cloud, char out[20]);

/* ---- params.c ---- */

/* Merge query, form fields and JSON into call->params. RC_MALFORMED with a text for people. */
NODISCARD enum rc params_read(struct call *call, struct err *err);

/* ---- routes.c ---- */

void routes_handle(void *ctx, struct http_request *req);

/* ---- handlers, one file each ---- */
void send_message_handle(struct call *call); /* POST /{number}/messages */
void number_register_handle(struct call *call);
void number_request_code_handle(struct call *call);
void number_verify_code_handle(struct call *call);
void number_deregister_handle(struct call *call);
void forward_handle(struct call *call);   /* to the manager, as it is */
void subscribe_handle(struct call *call); /* handshake first, then forward */

/* ---- numbers.c ---- */
void numbers_on_directory(void *ctx, uint64_t account, bool is_cloud_hosted);
void numbers_on_removed(void *ctx, uint64_t account);
void numbers_on_state(void *ctx, uint64_t account, bool is_up);
void numbers_report_all(struct cloud *cloud);
void numbers_free(struct cloud *cloud);

/* ---- internal.c ---- */
void internal_handle(void *ctx, struct http_request *req);

/* ---- webhooks.c: in transactions ---- */
enum rc webhook_inbound(void *ctx, struct store_tx *tx, const struct gateway_inbound *in,
                        struct err *err);
enum rc webhook_status(void *ctx, struct store_tx *tx, const struct gateway_status *status,
                       struct err *err);

#endif
