/* message_request.c - see message_request.h. */
#include "cloud/message_request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/e164.h"
#include "base/json.h"
#include "content/wamid.h"

#define TEXT_MAX 4096u          /* characters of a body */
#define OPAQUE_MAX_CHARS 512u   /* biz_opaque_callback_data */
#define INPUT_MAX 64u           /* characters of `to` */
#define MEMBER_MAX (256 * 1024) /* bytes of JSON text inside a member */

struct reading {
    struct message_request *out;
    json_t *params;
    uint64_t account;
    struct arena *arena;
    struct refusal *refusal;
};

static bool refuse(struct reading *r, enum graph_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Say why, and give false, so that refusing is one line. */
static bool
refuse(struct reading *r, enum graph_code code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(r->refusal->text, sizeof r->refusal->text, fmt, ap);
    va_end(ap);
    r->refusal->code = code;
    return false;
}

const json_t *
json_member_object(json_t *params, const char *name)
{
    json_t *value = json_object_get(params, name), *parsed = NULL;

    if (!json_is_string(value))
        return value;
    if (json_read(&parsed, bytes_of_str(json_string_value(value)), MEMBER_MAX, NULL) != RC_OK)
        return value;
    json_object_set_new(params, name, parsed);
    return parsed;
}

/* ---- the kinds: each fills the payload's body ---- */

static bool
read_text(struct reading *r)
{
    const json_t *text = json_member_object(r->params, "text");
    const json_t *body = json_object_get(text, "body");
    const json_t *preview = json_object_get(text, "preview_url");
    struct message_request *out = r->out;
    struct bytes value;

    if (!json_is_object(text))
        return refuse(r, G_BAD_PARAM, "(#100) The parameter text is required.");
    if (!json_is_string(body))
        return refuse(r, G_BAD_PARAM, "(#100) Param text['body'] must be a string.");
    value = bytes_of(json_string_value(body), json_string_length(body));
    if (value.len == 0)
        return refuse(r, G_BAD_PARAM, "(#100) Param text['body'] must not be empty.");
    if (bytes_utf8_count(value) > TEXT_MAX)
        return refuse(r, G_BAD_PARAM,
                      "(#100) Param text['body'] must be at most %u characters long.", TEXT_MAX);
    if (preview == NULL)
        preview = json_object_get(r->params, "preview_url"); /* where old clients put it */
    out->text = (Parley__Content__Text)PARLEY__CONTENT__TEXT__INIT;
    out->text.body = (char *)(uintptr_t)json_string_value(body);
    out->text.preview_url = json_truthy(preview);
    out->payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_TEXT;
    out->payload.text = &out->text;
    return true;
}

static bool
read_later(struct reading *r)
{
    return refuse(r, G_UNSUPPORTED, "This platform does not send this type of message yet.");
}

static const struct kind {
    const char *type;
    bool (*read)(struct reading *r);
} kinds[] = {
    {"text",        read_text },
    {"audio",       read_later},
    {"contacts",    read_later},
    {"document",    read_later},
    {"image",       read_later},
    {"interactive", read_later},
    {"location",    read_later},
    {"reaction",    read_later},
    {"sticker",     read_later},
    {"template",    read_later},
    {"video",       read_later},
};

static bool
read_kind(struct reading *r)
{
    const json_t *given = json_object_get(r->params, "type");
    const char *type = given == NULL ? "text" : json_string_value(given);

    for (size_t i = 0; type != NULL && i < ARRAY_LEN(kinds); i++)
        if (strcasecmp(kinds[i].type, type) == 0)
            return kinds[i].read(r);
    return refuse(r, G_BAD_PARAM,
                  "(#100) Param type must be one of {AUDIO, CONTACTS, DOCUMENT, GIF, IMAGE, "
                  "INTERACTIVE, LINK_PREVIEW, LOCATION, PIN, REACTION, STICKER, TEMPLATE, TEXT, "
                  "VIDEO} - got \"%.40s\".",
                  type == NULL ? "" : type);
}

/* ---- the envelope ---- */

static bool
read_product(struct reading *r)
{
    const char *product = json_str(r->params, "messaging_product");

    if (product == NULL)
        return refuse(r, G_BAD_PARAM, "(#100) The parameter messaging_product is required.");
    if (strcasecmp(product, "whatsapp") != 0)
        return refuse(r, G_BAD_PARAM,
                      "(#100) Param messaging_product must be one of {WHATSAPP} - got \"%.40s\".",
                      product);
    return true;
}

static bool
read_recipient(struct reading *r)
{
    const json_t *to = json_object_get(r->params, "to");
    const char *type = json_str(r->params, "recipient_type");
    struct message_request *out = r->out;

    if (type != NULL && strcasecmp(type, "individual") != 0)
        return refuse(r, G_BAD_PARAM,
                      "(#100) Param recipient_type must be one of {INDIVIDUAL} on this platform.");
    if (json_is_integer(to))
        out->input = arena_printf(r->arena, "%lld", (long long)json_integer_value(to));
    else
        out->input = json_string_value(to);
    if (out->input == NULL || out->input[0] == '\0')
        return refuse(r, G_BAD_PARAM, "(#100) The parameter to is required.");
    if (strncmp(out->input, "00", 2) == 0 || strlen(out->input) > INPUT_MAX ||
        e164_read(&out->to, bytes_of_str(out->input), NULL) != RC_OK)
        return refuse(r, G_BAD_VALUE, "Param to is not a valid phone number.");
    if (out->to == r->account)
        return refuse(r, G_SELF, "The recipient is the number that sends.");
    return true;
}

static bool
read_opaque(struct reading *r)
{
    const json_t *opaque = json_object_get(r->params, "biz_opaque_callback_data");

    if (opaque == NULL || json_is_null(opaque))
        return true;
    if (json_is_string(opaque))
        r->out->opaque = bytes_of(json_string_value(opaque), json_string_length(opaque));
    if (!json_is_string(opaque) || bytes_utf8_count(r->out->opaque) > OPAQUE_MAX_CHARS)
        return refuse(
            r, G_BAD_PARAM,
            "(#100) Param biz_opaque_callback_data must be a string of at most %u characters.",
            OPAQUE_MAX_CHARS);
    return true;
}

/* A quote of an id that is not of this chat is no error: the message goes without the quote. */
static bool
read_context(struct reading *r)
{
    const json_t *context = json_member_object(r->params, "context");
    const char *id = json_str(context, "message_id");
    struct message_request *out = r->out;
    struct wamid quoted;

    if (context == NULL || json_is_null(context))
        return true;
    if (!json_is_object(context) || id == NULL)
        return refuse(r, G_BAD_PARAM, "(#100) Param context['message_id'] must be a string.");
    if (wamid_read(&quoted, bytes_of_str(id), NULL) != RC_OK || quoted.user != out->to)
        return true;
    memcpy(out->quoted_id, quoted.message_id, sizeof out->quoted_id);
    out->context = (Parley__Content__Context)PARLEY__CONTENT__CONTEXT__INIT;
    out->context.message_id =
        (ProtobufCBinaryData){.len = sizeof out->quoted_id, .data = out->quoted_id};
    out->context.author = quoted.is_from_business ? r->account : out->to;
    out->payload.context = &out->context;
    return true;
}

/* ---- mark as read ---- */

static bool
read_mark(struct reading *r)
{
    const char *status = json_str(r->params, "status"), *id = json_str(r->params, "message_id");
    const json_t *typing = json_member_object(r->params, "typing_indicator");
    const char *typing_type = json_str(typing, "type");
    struct wamid read;

    if (status == NULL || strcasecmp(status, "read") != 0)
        return refuse(r, G_BAD_PARAM, "(#100) Param status must be one of {READ}.");
    if (id == NULL)
        return refuse(r, G_BAD_PARAM, "(#100) The parameter message_id is required.");
    if (typing != NULL && (typing_type == NULL || strcasecmp(typing_type, "text") != 0))
        return refuse(r, G_BAD_PARAM,
                      "(#100) Param typing_indicator['type'] must be one of {TEXT}.");
    if (wamid_read(&read, bytes_of_str(id), NULL) != RC_OK || read.is_from_business)
        return refuse(r, G_BAD_VALUE,
                      "Param message_id is not the id of a message received by this number.");
    r->out->action = MESSAGE_MARK_READ;
    r->out->with_typing = typing != NULL;
    memcpy(r->out->read_id, read.message_id, sizeof r->out->read_id);
    return true;
}

bool
message_request_read(struct message_request *out, json_t *params, uint64_t account,
                     struct arena *arena, struct refusal *refusal)
{
    struct reading r = {
        .out = out, .params = params, .account = account, .arena = arena, .refusal = refusal};

    memset(out, 0, sizeof *out);
    out->payload = (Parley__Content__Payload)PARLEY__CONTENT__PAYLOAD__INIT;
    if (!read_product(&r))
        return false;
    if (json_object_get(params, "status") != NULL)
        return read_mark(&r);
    return read_recipient(&r) && read_opaque(&r) && read_context(&r) && read_kind(&r);
}
