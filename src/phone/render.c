/* render.c - one message as a JSON object, as a person would see it; and its id. Source:
 * docs/phone.md, "A message". */
#include <inttypes.h>
#include <stdio.h>

#include "base/hex.h"
#include "phone/internal.h"

static const char *const status_names[STATUS_END] = {
    [STATUS_PENDING] = "pending",     [STATUS_SENT] = "sent", [STATUS_FAILED] = "failed",
    [STATUS_DELIVERED] = "delivered", [STATUS_READ] = "read", [STATUS_RECEIVED] = "received",
    [STATUS_SEEN] = "read",
};

/* The id of any message of a conversation: whichever end wrote it, the person is the user. */
static void
wamid_of(char *out, uint64_t user, bool is_from_business, const uint8_t message_id[16])
{
    struct wamid id = {.user = user, .is_from_business = is_from_business};

    memcpy(id.message_id, message_id, sizeof id.message_id);
    wamid_write(out, &id);
}

void
render_id(char *out, const struct message_view *view)
{
    const char *given = view->payload->public_id;

    if (given != NULL && given[0] != '\0')
        snprintf(out, CONTENT_PUBLIC_ID_MAX + 1, "%s", given);
    else
        wamid_of(out, view->account, view->direction == DIRECTION_IN, view->message_id);
}

enum rc
public_id_read(uint8_t message_id[16], const char *text, struct err *err)
{
    struct wamid id;

    if (strlen(text) == 32 && hex_read(message_id, 16, bytes_of_str(text), NULL) == RC_OK)
        return RC_OK;
    if (wamid_read(&id, bytes_of_str(text), NULL) != RC_OK)
        return err_set(err, RC_MALFORMED, "phone.id", "this is not a message's id");
    memcpy(message_id, id.message_id, 16);
    return RC_OK;
}

static void
put_number(struct json_writer *w, const char *key, uint64_t number)
{
    char digits[E164_TEXT_SIZE];

    jw_kv_str(w, key, e164_write(digits, number));
}

static void
put_context(struct json_writer *w, const struct message_view *view)
{
    const Parley__Content__Context *context = view->payload->context;
    char id[WAMID_SIZE];

    if (context == NULL || context->message_id.len != 16)
        return;
    wamid_of(id, view->account, context->author != view->account, context->message_id.data);
    jw_key(w, "context");
    jw_object(w);
    jw_kv_str(w, "id",
              view->context_id != NULL && view->context_id[0] != '\0' ? view->context_id : id);
    if (context->author != 0)
        put_number(w, "from", context->author);
    jw_object_end(w);
}

static void
put_body(struct json_writer *w, const Parley__Content__Payload *payload)
{
    if (payload->body_case != PARLEY__CONTENT__PAYLOAD__BODY_TEXT) {
        jw_kv_str(w, "type", "unsupported");
        return;
    }
    jw_kv_str(w, "type", "text");
    jw_kv_str(w, "text", payload->text->body);
}

void
render_message(struct buf *out, const struct message_view *view)
{
    const Parley__Content__Payload *payload = view->payload;
    bool is_in = view->direction == DIRECTION_IN;
    char id[CONTENT_PUBLIC_ID_MAX + 1], seconds[24];
    struct json_writer w;

    render_id(id, view);
    snprintf(seconds, sizeof seconds, "%" PRId64, view->at_ms / 1000);
    jw_init(&w, out);
    jw_object(&w);
    jw_kv_str(&w, "id", id);
    jw_kv_str(&w, "direction", is_in ? "in" : "out");
    put_number(&w, "from", payload->sender_account);
    put_number(&w, "to", payload->recipient_account);
    if (is_in && payload->profile_name != NULL && payload->profile_name[0] != '\0')
        jw_kv_str(&w, "name", payload->profile_name);
    jw_kv_str(&w, "timestamp", seconds);
    put_body(&w, payload);
    put_context(&w, view);
    jw_kv_str(&w, "status",
              view->status >= 0 && view->status < STATUS_END && status_names[view->status] != NULL
                  ? status_names[view->status]
                  : "unknown");
    jw_object_end(&w);
}
