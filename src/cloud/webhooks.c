/* webhooks.c - events as receivers expect them: rendered inside the transaction that makes the
 * event.
 *
 * One event a POST; ASCII and compact (base/json.h), because receivers verify the signature over
 * exactly these bytes. The shape differs by the version of the app's subscription: `conversation`
 * up to v23. Runs on the store's writer thread. Source: docs/cloud-api.md, "Webhooks". */
#include <stdio.h>

#include "base/e164.h"
#include "base/hex.h"
#include "base/object_id.h"
#include "cloud/call.h"
#include "content/wamid.h"

#define BODY_MAX (256u * 1024)
#define LAST_VERSION_WITH_CONVERSATION 23u
#define CONVERSATION_S (24 * 3600)
#define HREF "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"

/* ---- the envelope ---- */

static void
begin(struct json_writer *w, struct buf *out, const struct directory_targets *targets,
      uint64_t account)
{
    char id[OBJECT_ID_TEXT_SIZE], digits[E164_TEXT_SIZE];

    jw_init(w, out);
    jw_object(w);
    jw_kv_str(w, "object", "whatsapp_business_account");
    jw_key(w, "entry");
    jw_array(w);
    jw_object(w);
    jw_kv_str(w, "id", object_id_write(id, targets->waba_id));
    jw_key(w, "changes");
    jw_array(w);
    jw_object(w);
    jw_key(w, "value");
    jw_object(w);
    jw_kv_str(w, "messaging_product", "whatsapp");
    jw_key(w, "metadata");
    jw_object(w);
    jw_kv_str(w, "display_phone_number", e164_write(digits, account));
    jw_kv_str(w, "phone_number_id", object_id_write(id, targets->number_id));
    jw_object_end(w);
}

static void
end(struct json_writer *w)
{
    jw_object_end(w); /* value */
    jw_kv_str(w, "field", "messages");
    jw_object_end(w);
    jw_array_end(w); /* changes */
    jw_object_end(w);
    jw_array_end(w); /* entry */
    jw_object_end(w);
}

static void
put_time(struct json_writer *w, const char *key, int64_t ms)
{
    char text[24];

    snprintf(text, sizeof text, "%lld", (long long)(ms / 1000));
    jw_kv_str(w, key, text);
}

static void
put_contact(struct json_writer *w, const char *wa_id, const char *name)
{
    jw_key(w, "contacts");
    jw_array(w);
    jw_object(w);
    jw_key(w, "profile");
    jw_object(w);
    jw_kv_str(w, "name", name == NULL ? "" : name);
    jw_object_end(w);
    jw_kv_str(w, "wa_id", wa_id);
    jw_object_end(w);
    jw_array_end(w);
}

static enum rc
enqueue(struct cloud *cloud, struct store_tx *tx, uint64_t account,
        const struct directory_target *target, const struct buf *body, struct err *err)
{
    struct hooks_event event = {.account = account,
                                .app = target->app,
                                .profile = HOOKS_CLOUD,
                                .url = target->url,
                                .body = buf_bytes(body),
                                .now_ms = clock_unix_ms(cloud->opt.clock)};
    uint8_t event_id[16];

    if (buf_failed(body))
        return err_set(err, RC_LIMIT, "cloud.webhook", "the event is too large to render");
    return hooks_enqueue(cloud->pump, tx, &event, event_id, err);
}

/* ---- incoming messages ---- */

static void
put_context(struct json_writer *w, const struct gateway_inbound *in)
{
    const Parley__Content__Context *context = in->payload->context;
    struct wamid quoted = {.user = in->peer};
    char text[WAMID_SIZE], digits[E164_TEXT_SIZE];

    if (context == NULL || context->message_id.len != sizeof quoted.message_id)
        return;
    quoted.is_from_business = context->author != in->peer;
    memcpy(quoted.message_id, context->message_id.data, sizeof quoted.message_id);
    jw_key(w, "context");
    jw_object(w);
    jw_kv_str(w, "from", e164_write(digits, quoted.is_from_business ? in->account : in->peer));
    jw_kv_str(w, "id", wamid_write(text, &quoted));
    jw_object_end(w);
}

static void
put_body(struct json_writer *w, const Parley__Content__Payload *payload)
{
    if (payload->body_case == PARLEY__CONTENT__PAYLOAD__BODY_TEXT) {
        jw_kv_str(w, "type", "text");
        jw_key(w, "text");
        jw_object(w);
        jw_kv_str(w, "body", payload->text->body);
        jw_object_end(w);
        return;
    }
    jw_key(w, "errors");
    jw_array(w);
    jw_object(w);
    jw_kv_int(w, "code", 131051);
    jw_kv_str(w, "title", "Message type unknown");
    jw_kv_str(w, "message", "Message type unknown");
    jw_key(w, "error_data");
    jw_object(w);
    jw_kv_str(w, "details", "Message type is currently not supported.");
    jw_object_end(w);
    jw_object_end(w);
    jw_array_end(w);
    jw_kv_str(w, "type", "unsupported");
}

static void
render_inbound(struct buf *out, const struct directory_targets *targets,
               const struct gateway_inbound *in)
{
    struct wamid id = {.user = in->peer, .is_from_business = false};
    char text[WAMID_SIZE], from[E164_TEXT_SIZE];
    struct json_writer w;

    memcpy(id.message_id, in->message_id, sizeof id.message_id);
    e164_write(from, in->peer);
    begin(&w, out, targets, in->account);
    put_contact(&w, from, in->payload->profile_name);
    jw_key(&w, "messages");
    jw_array(&w);
    jw_object(&w);
    put_context(&w, in);
    jw_kv_str(&w, "from", from);
    jw_kv_str(&w, "id", wamid_write(text, &id));
    put_time(&w, "timestamp", in->accepted_at_ms > 0 ? in->accepted_at_ms : in->now_ms);
    put_body(&w, in->payload);
    jw_object_end(&w);
    jw_array_end(&w);
    end(&w);
}

enum rc
webhook_inbound(void *ctx, struct store_tx *tx, const struct gateway_inbound *in, struct err *err)
{
    struct cloud *cloud = ctx;
    struct directory_targets targets;
    struct buf body;
    enum rc rc = RC_OK;

    if (!directory_targets(cloud->directory, in->account, "messages", &targets) || targets.n == 0)
        return RC_OK;
    buf_init(&body, BODY_MAX);
    render_inbound(&body, &targets, in);
    for (size_t i = 0; rc == RC_OK && i < targets.n; i++)
        rc = enqueue(cloud, tx, in->account, &targets.target[i], &body, err);
    buf_wipe(&body);
    return rc;
}

/* ---- statuses ---- */

/* One row a reason: what the business is told. */
static const struct failure {
    int code;
    const char *title, *details;
} failures[] = {
    [GATEWAY_NO_REASON] = {131000, "Something went wrong",  "The message could not be sent."  },
    [GATEWAY_NO_ACCOUNT] = {131026, "Message undeliverable",
                           "The recipient is not on this network."                            },
    [GATEWAY_OVERFLOW] = {131000, "Something went wrong",
                           "The recipient has too many undelivered messages."                 },
    [GATEWAY_EXPIRED] = {131026, "Message undeliverable", "expired"                         },
    [GATEWAY_REJECTED] = {131000, "Something went wrong",  "The network refused the message."},
};

static void
put_failure(struct json_writer *w, enum gateway_reason reason)
{
    const struct failure *f = &failures[reason];

    jw_key(w, "errors");
    jw_array(w);
    jw_object(w);
    jw_kv_int(w, "code", f->code);
    jw_kv_str(w, "title", f->title);
    jw_kv_str(w, "message", f->title);
    jw_key(w, "error_data");
    jw_object(w);
    jw_kv_str(w, "details", f->details);
    jw_object_end(w);
    jw_kv_str(w, "href", HREF);
    jw_object_end(w);
    jw_array_end(w);
}

static void
put_conversation(struct json_writer *w, const struct gateway_status *status)
{
    char id[2 * sizeof status->message_id + 1];
    struct buf hex;

    buf_init(&hex, sizeof id);
    hex_put(&hex, bytes_of(status->message_id, sizeof status->message_id));
    jw_key(w, "conversation");
    jw_object(w);
    jw_kv_bytes(w, "id", buf_bytes(&hex));
    if (status->kind == GATEWAY_SENT)
        put_time(w, "expiration_timestamp", status->at_ms + 1000ll * CONVERSATION_S);
    jw_key(w, "origin");
    jw_object(w);
    jw_kv_str(w, "type", "service");
    jw_object_end(w);
    jw_object_end(w);
    buf_free(&hex);
}

/* Free-form messages are service messages, free inside the customer service window. */
static void
put_pricing(struct json_writer *w)
{
    jw_key(w, "pricing");
    jw_object(w);
    jw_kv_bool(w, "billable", false);
    jw_kv_str(w, "pricing_model", "PMP");
    jw_kv_str(w, "category", "service");
    jw_kv_str(w, "type", "free_customer_service");
    jw_object_end(w);
}

static void
render_status(struct buf *out, const struct directory_targets *targets,
              const struct gateway_status *status, bool with_conversation)
{
    struct wamid id = {.user = status->peer, .is_from_business = true};
    bool is_priced = status->kind == GATEWAY_SENT || status->kind == GATEWAY_DELIVERED;
    char text[WAMID_SIZE], peer[E164_TEXT_SIZE];
    struct json_writer w;

    memcpy(id.message_id, status->message_id, sizeof id.message_id);
    begin(&w, out, targets, status->account);
    jw_key(&w, "statuses");
    jw_array(&w);
    jw_object(&w);
    jw_kv_str(&w, "id", wamid_write(text, &id));
    jw_kv_str(&w, "status", gateway_status_name(status->kind));
    put_time(&w, "timestamp", status->at_ms);
    jw_kv_str(&w, "recipient_id", e164_write(peer, status->peer));
    if (status->opaque.len > 0)
        jw_kv_bytes(&w, "biz_opaque_callback_data", status->opaque);
    if (is_priced && with_conversation)
        put_conversation(&w, status);
    if (is_priced)
        put_pricing(&w);
    if (status->kind == GATEWAY_FAILED)
        put_failure(&w, status->reason);
    jw_object_end(&w);
    jw_array_end(&w);
    end(&w);
}

enum rc
webhook_status(void *ctx, struct store_tx *tx, const struct gateway_status *status, struct err *err)
{
    struct cloud *cloud = ctx;
    struct directory_targets targets;
    enum rc rc = RC_OK;

    if (!directory_targets(cloud->directory, status->account, "messages", &targets))
        return RC_OK;
    for (size_t i = 0; rc == RC_OK && i < targets.n; i++) {
        struct buf body;

        buf_init(&body, BODY_MAX);
        render_status(&body, &targets, status,
                      targets.target[i].version_major <= LAST_VERSION_WITH_CONVERSATION);
        rc = enqueue(cloud, tx, status->account, &targets.target[i], &body, err);
        buf_wipe(&body);
    }
    return rc;
}
