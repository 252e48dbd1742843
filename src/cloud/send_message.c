/* send_message.c - POST /{phone-number-id}/messages: validate, make the payload, hand it to the
 * gateway.
 *
 * The answer 200 leaves only from on_accepted, after the covering commit (I1, I3). A body with
 * `status` is not a send: it marks an incoming message as read. Kinds of messages are rows of
 * `kinds`; what a kind needs is its own function. Source: docs/cloud-api.md, "Sending". */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/e164.h"
#include "cloud/call.h"
#include "content/wamid.h"

#define TEXT_MAX 4096u        /* characters of a body */
#define OPAQUE_MAX_CHARS 512u /* biz_opaque_callback_data */
#define INPUT_MAX 64u         /* characters of `to` */
#define CATEGORY_SERVICE 4u   /* wire Category of free-form messages */

struct sending {
    struct call *call;
    uint64_t account, to;
    const char *input; /* `to` as it came */
    uint8_t message_id[16];
    char wamid[WAMID_SIZE];
    Parley__Content__Payload payload;
    Parley__Content__Context context;
    Parley__Content__Text text;
    uint8_t quoted_id[16];
    struct bytes opaque;
};

/* ---- the kinds: each fills the payload's body, or has answered and returns false ---- */

static bool
fill_text(struct sending *s)
{
    struct call *call = s->call;
    const json_t *text = params_object(call, "text");
    const json_t *body = json_object_get(text, "body");
    const json_t *preview = json_object_get(text, "preview_url");
    struct bytes value;

    if (!json_is_object(text)) {
        call_fail(call, G_BAD_PARAM, "(#100) The parameter text is required.");
        return false;
    }
    if (!json_is_string(body)) {
        call_fail(call, G_BAD_PARAM, "(#100) Param text['body'] must be a string.");
        return false;
    }
    value = bytes_of(json_string_value(body), json_string_length(body));
    if (value.len == 0) {
        call_fail(call, G_BAD_PARAM, "(#100) Param text['body'] must not be empty.");
        return false;
    }
    if (bytes_utf8_count(value) > TEXT_MAX) {
        call_fail(call, G_BAD_PARAM,
                  "(#100) Param text['body'] must be at most %u characters long.", TEXT_MAX);
        return false;
    }
    if (preview == NULL)
        preview = json_object_get(call->params, "preview_url"); /* where old clients put it */
    s->text = (Parley__Content__Text)PARLEY__CONTENT__TEXT__INIT;
    s->text.body = (char *)(uintptr_t)json_string_value(body);
    s->text.preview_url = json_truthy(preview);
    s->payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_TEXT;
    s->payload.text = &s->text;
    return true;
}

static bool
fill_later(struct sending *s)
{
    call_fail(s->call, G_UNSUPPORTED, "This platform does not send this type of message yet.");
    return false;
}

static const struct kind {
    const char *type;
    bool (*fill)(struct sending *s);
} kinds[] = {
    {"text",        fill_text },
    {"audio",       fill_later},
    {"contacts",    fill_later},
    {"document",    fill_later},
    {"image",       fill_later},
    {"interactive", fill_later},
    {"location",    fill_later},
    {"reaction",    fill_later},
    {"sticker",     fill_later},
    {"template",    fill_later},
    {"video",       fill_later},
};

static const struct kind *
kind_find(struct call *call)
{
    const char *type = json_str(call->params, "type");

    if (type == NULL && json_object_get(call->params, "type") == NULL)
        type = "text";
    for (size_t i = 0; type != NULL && i < ARRAY_LEN(kinds); i++)
        if (strcasecmp(kinds[i].type, type) == 0)
            return &kinds[i];
    call_fail(
        call, G_BAD_PARAM,
        "(#100) Param type must be one of {AUDIO, CONTACTS, DOCUMENT, GIF, IMAGE, INTERACTIVE, "
        "LINK_PREVIEW, LOCATION, PIN, REACTION, STICKER, TEMPLATE, TEXT, VIDEO} - got \"%.40s\".",
        type == NULL ? "" : type);
    return NULL;
}

/* ---- the envelope ---- */

static bool
read_product(struct call *call)
{
    const char *product = json_str(call->params, "messaging_product");

    if (product == NULL)
        call_fail(call, G_BAD_PARAM, "(#100) The parameter messaging_product is required.");
    else if (strcasecmp(product, "whatsapp") != 0)
        call_fail(call, G_BAD_PARAM,
                  "(#100) Param messaging_product must be one of {WHATSAPP} - got \"%.40s\".",
                  product);
    return product != NULL && strcasecmp(product, "whatsapp") == 0;
}

static bool
read_recipient(struct sending *s)
{
    struct call *call = s->call;
    const json_t *to = json_object_get(call->params, "to");
    const char *type = json_str(call->params, "recipient_type");

    if (type != NULL && strcasecmp(type, "individual") != 0) {
        call_fail(call, G_BAD_PARAM,
                  "(#100) Param recipient_type must be one of {INDIVIDUAL} on this platform.");
        return false;
    }
    if (json_is_integer(to))
        s->input = arena_printf(call->arena, "%lld", (long long)json_integer_value(to));
    else
        s->input = json_string_value(to);
    if (s->input == NULL || s->input[0] == '\0') {
        call_fail(call, G_BAD_PARAM, "(#100) The parameter to is required.");
        return false;
    }
    if (strncmp(s->input, "00", 2) == 0 || strlen(s->input) > INPUT_MAX ||
        e164_read(&s->to, bytes_of_str(s->input), NULL) != RC_OK) {
        call_fail(call, G_BAD_VALUE, "Param to is not a valid phone number.");
        return false;
    }
    if (s->to == s->account) {
        call_fail(call, G_SELF, "The recipient is the number that sends.");
        return false;
    }
    return true;
}

static bool
read_opaque(struct sending *s)
{
    const json_t *opaque = json_object_get(s->call->params, "biz_opaque_callback_data");

    if (opaque == NULL || json_is_null(opaque))
        return true;
    s->opaque = bytes_of(json_string_value(opaque), json_string_length(opaque));
    if (json_is_string(opaque) && bytes_utf8_count(s->opaque) <= OPAQUE_MAX_CHARS)
        return true;
    call_fail(s->call, G_BAD_PARAM,
              "(#100) Param biz_opaque_callback_data must be a string of at most %u characters.",
              OPAQUE_MAX_CHARS);
    return false;
}

/* A quote of an id that is not ours to know is no error: the message goes without the quote. */
static bool
read_context(struct sending *s)
{
    const json_t *context = params_object(s->call, "context");
    const char *id = json_str(context, "message_id");
    struct wamid quoted;

    if (context == NULL || json_is_null(context))
        return true;
    if (!json_is_object(context) || id == NULL) {
        call_fail(s->call, G_BAD_PARAM, "(#100) Param context['message_id'] must be a string.");
        return false;
    }
    if (wamid_read(&quoted, bytes_of_str(id), NULL) != RC_OK || quoted.user != s->to)
        return true;
    memcpy(s->quoted_id, quoted.message_id, sizeof s->quoted_id);
    s->context = (Parley__Content__Context)PARLEY__CONTENT__CONTEXT__INIT;
    s->context.message_id = (ProtobufCBinaryData){.len = sizeof s->quoted_id, .data = s->quoted_id};
    s->context.author = quoted.is_from_business ? s->account : s->to;
    s->payload.context = &s->context;
    return true;
}

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
    jw_kv_str(&w, "input", s->input);
    jw_kv_str(&w, "wa_id", e164_write(wa_id, s->to));
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

static void
on_accepted(void *ctx, enum rc rc, const struct gateway_accepted *accepted)
{
    struct sending *s = ctx;
    struct wamid id = {.user = s->to, .is_from_business = true};

    switch (rc) {
    case RC_OK:
        memcpy(id.message_id, accepted->message_id, sizeof id.message_id);
        wamid_write(s->wamid, &id);
        reply_accepted(s);
        break;
    case RC_EXISTS:
        call_fail(s->call, G_CONFLICT,
                  "(#100) The Idempotency-Key was used before with another request body.");
        break;
    case RC_PROTO:
        call_fail(s->call, G_NOT_REGISTERED, "Register the number before it can send messages.");
        break;
    case RC_LIMIT:
        call_fail(s->call, G_BAD_VALUE, "The message is too long.");
        break;
    default:
        call_fail(s->call, G_UNAVAILABLE,
                  "Service temporarily unavailable. Please retry your request.");
        break;
    }
}

static void
submit(struct sending *s)
{
    struct call *call = s->call;
    const char *key = http_request_header(call->req, "Idempotency-Key");
    struct wamid id = {.user = s->to, .is_from_business = true};
    struct gateway_send req = {.account = s->account,
                               .to = s->to,
                               .category = CATEGORY_SERVICE,
                               .payload = &s->payload,
                               .opaque = s->opaque,
                               .idempotency_key = bytes_of_str(key),
                               .request_body = http_request_body(call->req)};

    if (req.idempotency_key.len > GATEWAY_IDEMPOTENCY_KEY_MAX) {
        call_fail(call, G_BAD_PARAM, "(#100) The Idempotency-Key is longer than %u characters.",
                  GATEWAY_IDEMPOTENCY_KEY_MAX);
        return;
    }
    gateway_message_id(call->cloud->gateway, s->message_id);
    memcpy(req.message_id, s->message_id, sizeof req.message_id);
    memcpy(id.message_id, s->message_id, sizeof id.message_id);
    s->payload.public_id = wamid_write(s->wamid, &id);
    gateway_send(call->cloud->gateway, &req, on_accepted, s);
}

/* ---- mark as read ---- */

static void
on_marked(void *ctx, enum rc rc)
{
    struct call *call = ctx;

    if (rc == RC_OK)
        call_success(call);
    else if (rc == RC_NOTFOUND)
        call_fail(call, G_BAD_VALUE,
                  "Param message_id is not the id of a message received by this number.");
    else if (rc == RC_PROTO)
        call_fail(call, G_NOT_REGISTERED, "Register the number before it can send messages.");
    else
        call_fail(call, G_UNAVAILABLE,
                  "Service temporarily unavailable. Please retry your request.");
}

static void
mark_read(struct call *call, uint64_t account)
{
    const char *status = json_str(call->params, "status");
    const char *text = json_str(call->params, "message_id");
    const json_t *typing = params_object(call, "typing_indicator");
    const char *typing_type = json_str(typing, "type");
    struct wamid id;

    if (status == NULL || strcasecmp(status, "read") != 0) {
        call_fail(call, G_BAD_PARAM, "(#100) Param status must be one of {READ}.");
    } else if (text == NULL) {
        call_fail(call, G_BAD_PARAM, "(#100) The parameter message_id is required.");
    } else if (typing != NULL && (typing_type == NULL || strcasecmp(typing_type, "text") != 0)) {
        call_fail(call, G_BAD_PARAM,
                  "(#100) Param typing_indicator['type'] must be one of {TEXT}.");
    } else if (wamid_read(&id, bytes_of_str(text), NULL) != RC_OK || id.is_from_business) {
        on_marked(call, RC_NOTFOUND);
    } else {
        gateway_mark_read(call->cloud->gateway, account, id.message_id, typing != NULL, on_marked,
                          call);
    }
}

void
send_message_handle(struct call *call)
{
    struct directory_number number;
    const struct kind *kind;
    struct sending *s;

    if (!directory_number_by_id(call->cloud->directory, call->node, &number)) {
        call_fail(call, G_NOT_REGISTERED, "Register the number before it can send messages.");
        return;
    }
    if (!read_product(call))
        return;
    if (json_object_get(call->params, "status") != NULL) {
        mark_read(call, number.account);
        return;
    }
    if ((s = arena_alloc(call->arena, sizeof *s)) == NULL) {
        call_fail(call, G_UNAVAILABLE, "Out of memory. Please retry your request.");
        return;
    }
    s->call = call;
    s->account = number.account;
    s->payload = (Parley__Content__Payload)PARLEY__CONTENT__PAYLOAD__INIT;
    if (read_recipient(s) && (kind = kind_find(call)) != NULL && read_opaque(s) &&
        read_context(s) && kind->fill(s))
        submit(s);
}
