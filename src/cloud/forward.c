/* forward.c - Graph calls that the manager answers: handed on with the principal, never with the
 * token.
 *
 * A call that sets a callback URL is preceded by the subscription handshake, made here: the Cloud
 * alone calls businesses. Source: docs/protocol/internal.md, 3.3. */
#include <string.h>

#include "cloud/call.h"
#include "cloud/message_request.h"

static void
on_forwarded(void *ctx, enum rc rc, int status, const json_t *body)
{
    struct call *call = ctx;
    const json_t *answer = json_object_get(body, "body");
    int graph_status = (int)json_int(body, "status", 0);
    struct json_writer w;
    struct buf out;

    if (rc != RC_OK || status != 200 || graph_status < 200 || graph_status > 599 ||
        answer == NULL) {
        call_fail(call, G_UNAVAILABLE,
                  "Service temporarily unavailable. Please retry your request.");
        return;
    }
    buf_init(&out, 4 * CLOUD_BODY_MAX);
    jw_init(&w, &out);
    jw_value(&w, answer);
    call_reply(call, graph_status, buf_bytes(&out));
    buf_wipe(&out);
}

static void
put_principal(struct json_writer *w, const struct principal *p)
{
    jw_key(w, "principal");
    jw_object(w);
    jw_kv_str(w, "kind", p->is_app ? "APP" : "SYSTEM_USER");
    jw_kv_u64_str(w, "token_id", p->token_id);
    jw_kv_u64_str(w, "app_id", p->app_id);
    jw_kv_u64_str(w, "business_id", p->business_id);
    jw_object_end(w);
}

void
forward_handle(struct call *call)
{
    const char *host = http_request_header(call->req, "Host");
    struct json_writer w;
    struct buf body;

    json_object_del(call->params, "access_token"); /* the token stays here */
    json_object_del(call->params, "appsecret_proof");
    buf_init(&body, 2 * CLOUD_BODY_MAX);
    jw_init(&w, &body);
    jw_object(&w);
    jw_kv_str(&w, "method", http_method_name(call->method));
    jw_kv_str(&w, "path", call->path);
    jw_kv_str(&w, "version", call->version);
    if (host != NULL)
        jw_kv_str(&w, "origin",
                  arena_printf(call->arena, "%s://%s",
                               http_request_is_tls(call->req) ? "https" : "http", host));
    jw_key(&w, "params");
    jw_value(&w, call->params);
    put_principal(&w, &call->principal);
    jw_kv_str(&w, "trace_id", call->trace);
    jw_object_end(&w);
    if (buf_failed(&body))
        call_fail(call, G_TOO_LARGE, "The request is too large.");
    else
        manager_link_post(call->cloud->manager, "/internal/v1/graph", buf_bytes(&body),
                          on_forwarded, call);
    buf_wipe(&body);
}

/* ---- the handshake ---- */

static void
on_handshake(void *ctx, enum rc rc, const char *text)
{
    struct call *call = ctx;

    if (rc == RC_OK)
        forward_handle(call);
    else
        call_fail(call, G_HOOK_REFUSED,
                  "(#2200) Callback verification failed: the URL did not answer the challenge. %s",
                  text == NULL ? "" : text);
}

/* Where each kind of call carries the URL it would set. */
static const char *
callback_of(struct call *call, const char **verify_token)
{
    const json_t *source = call->params;
    const char *name = "override_callback_uri";

    if (strcmp(call->edge, "subscriptions") == 0)
        name = "callback_url";
    else if (call->edge[0] == '\0')
        source = json_member_object(call->params, "webhook_configuration");
    *verify_token = json_str(source, "verify_token");
    return json_str(source, name);
}

void
subscribe_handle(struct call *call)
{
    const char *verify_token = NULL;
    const char *url = callback_of(call, &verify_token);

    if (url == NULL || url[0] == '\0' || verify_token == NULL)
        forward_handle(call); /* clears, or is refused by the manager */
    else
        hooks_handshake(call->cloud->pump, url, verify_token, on_handshake, call);
}
