/* send_message.c - POST /{phone-number-id}/messages: read the request, hand it to the gateway,
 * answer.
 *
 * The answer 200 leaves only from on_accepted, after the covering commit (I1, I3). What a request
 * may say is message_request.c's. Source: docs/cloud-api.md, "Sending". */
#include <string.h>

#include "base/e164.h"
#include "cloud/call.h"
#include "cloud/message_request.h"
#include "content/wamid.h"

#define CATEGORY_SERVICE 4u /* wire Category of free-form messages */

struct sending {
    struct call *call;
    struct message_request request;
    char wamid[WAMID_SIZE];
};

/* ---- the answer ---- */

static void
reply_accepted(struct sending *s)
{
    struct json_writer w;
    struct buf body;
    char wa_id[E164_TEXT_SIZE];

    buf_init(&body, 4096);
    jw_init(&w, &body);
    jw_object(&w);
    jw_kv_str(&w, "messaging_product", "whatsapp");
    jw_key(&w, "contacts");
    jw_array(&w);
    jw_object(&w);
    jw_kv_str(&w, "input", s->request.input);
    jw_kv_str(&w, "wa_id", e164_write(wa_id, s->request.to));
    jw_object_end(&w);
    jw_array_end(&w);
    jw_key(&w, "messages");
    jw_array(&w);
    jw_object(&w);
    jw_kv_str(&w, "id", s->wamid);
    jw_object_end(&w);
    jw_array_end(&w);
    jw_object_end(&w);
    call_reply(s->call, 200, buf_bytes(&body));
    buf_free(&body);
}

/* What the gateway's refusals are in Graph's words. */
static void
fail_rc(struct call *call, enum rc rc)
{
    switch (rc) {
    case RC_EXISTS:
        call_fail(call, G_CONFLICT,
                  "(#100) The Idempotency-Key was used before with another request body.");
        break;
    case RC_PROTO:
        call_fail(call, G_NOT_REGISTERED, "Register the number before it can send messages.");
        break;
    case RC_LIMIT:
        call_fail(call, G_BAD_VALUE, "The message is too long.");
        break;
    case RC_NOTFOUND:
        call_fail(call, G_BAD_VALUE,
                  "Param message_id is not the id of a message received by this number.");
        break;
    default:
        call_fail(call, G_UNAVAILABLE,
                  "Service temporarily unavailable. Please retry your request.");
        break;
    }
}

static void
on_accepted(void *ctx, enum rc rc, const struct gateway_accepted *accepted)
{
    struct sending *s = ctx;
    struct wamid id = {.user = s->request.to, .is_from_business = true};

    if (rc != RC_OK) {
        fail_rc(s->call, rc);
        return;
    }
    memcpy(id.message_id, accepted->message_id, sizeof id.message_id);
    wamid_write(s->wamid, &id);
    reply_accepted(s);
}

static void
on_marked(void *ctx, enum rc rc)
{
    if (rc == RC_OK)
        call_success(ctx);
    else
        fail_rc(ctx, rc);
}

/* ---- the request ---- */

static void
submit(struct sending *s, uint64_t account)
{
    struct call *call = s->call;
    struct wamid id = {.user = s->request.to, .is_from_business = true};
    struct gateway_send req = {.account = account,
                               .to = s->request.to,
                               .category = CATEGORY_SERVICE,
                               .payload = &s->request.payload,
                               .opaque = s->request.opaque,
                               .idempotency_key =
                                   bytes_of_str(http_request_header(call->req, "Idempotency-Key")),
                               .request_body = http_request_body(call->req)};

    if (req.idempotency_key.len > GATEWAY_IDEMPOTENCY_KEY_MAX) {
        call_fail(call, G_BAD_PARAM, "(#100) The Idempotency-Key is longer than %u characters.",
                  GATEWAY_IDEMPOTENCY_KEY_MAX);
        return;
    }
    gateway_message_id(call->cloud->gateway, req.message_id);
    memcpy(id.message_id, req.message_id, sizeof id.message_id);
    s->request.payload.public_id = wamid_write(s->wamid, &id);
    gateway_send(call->cloud->gateway, &req, on_accepted, s);
}

void
send_message_handle(struct call *call)
{
    struct sending *s = arena_alloc(call->arena, sizeof *s);
    struct directory_number number;
    struct refusal refusal;

    if (s == NULL) {
        call_fail(call, G_UNAVAILABLE, "Out of memory. Please retry your request.");
        return;
    }
    if (!directory_number_by_id(call->cloud->directory, call->node, &number)) {
        fail_rc(call, directory_is_loaded(call->cloud->directory) ? RC_PROTO : RC_BUSY);
        return;
    }
    s->call = call;
    if (!message_request_read(&s->request, call->params, number.account, call->arena, &refusal))
        call_fail(call, refusal.code, "%s", refusal.text);
    else if (s->request.action == MESSAGE_MARK_READ)
        gateway_mark_read(call->cloud->gateway, number.account, s->request.read_id,
                          s->request.with_typing, on_marked, call);
    else
        submit(s, number.account);
}
