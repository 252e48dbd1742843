/* check.c - is a payload within its bounds?
 *
 * Two parts: a walk over the schema that finds every string of every kind, also of kinds that are
 * added later, and one small function per kind for its sizes. Knows nothing of bytes on the wire.
 */
#include "content/check.h"

static enum rc check_strings(const ProtobufCMessage *message, struct err *err);

static enum rc
check_string(const char *text, struct err *err)
{
    if (text != NULL && !bytes_is_utf8(bytes_of_str(text)))
        return err_set(err, RC_MALFORMED, "content.check", "a text is not UTF-8");
    return RC_OK;
}

/* One value of a field: a string, a message or something that has no text in it. */
static enum rc
check_value(const ProtobufCFieldDescriptor *field, const void *at, struct err *err)
{
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return check_string(*(const char *const *)at, err);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE && *(const ProtobufCMessage *const *)at != NULL)
        return check_strings(*(const ProtobufCMessage *const *)at, err);
    return RC_OK;
}

static enum rc
check_field(const ProtobufCFieldDescriptor *field, const uint8_t *base, struct err *err)
{
    const void *count_at = base + field->quantifier_offset;
    const void *at = base + field->offset;
    enum rc rc = RC_OK;

    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        return *(const uint32_t *)count_at == field->id ? check_value(field, at, err) : RC_OK;
    if (field->label != PROTOBUF_C_LABEL_REPEATED)
        return check_value(field, at, err);
    if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE)
        return RC_OK;
    for (size_t i = 0; rc == RC_OK && i < *(const size_t *)count_at; i++)
        rc = check_value(field, *(const uint8_t *const *)at + i * sizeof(void *), err);
    return rc;
}

/* The schema has no cycles, so its depth bounds the recursion. */
static enum rc
check_strings(const ProtobufCMessage *message, struct err *err)
{
    enum rc rc = RC_OK;

    for (unsigned i = 0; rc == RC_OK && i < message->descriptor->n_fields; i++)
        rc = check_field(&message->descriptor->fields[i], (const uint8_t *)message, err);
    return rc;
}

static enum rc
check_id(const ProtobufCBinaryData *id, struct err *err)
{
    if (id->len != MESSAGE_ID_SIZE)
        return err_set(err, RC_MALFORMED, "content.check", "message id of %zu bytes", id->len);
    return RC_OK;
}

static enum rc
check_length(const char *text, size_t max, const char *what, struct err *err)
{
    size_t len = text == NULL ? 0 : strlen(text);

    if (len > max)
        return err_set(err, RC_LIMIT, "content.check", "%s of %zu bytes", what, len);
    return RC_OK;
}

static enum rc
check_receipt(const Parley__Content__Receipt *receipt, struct err *err)
{
    enum rc rc = RC_OK;

    if (receipt->kind <= PARLEY__CONTENT__RECEIPT_KIND__RECEIPT_NONE)
        return err_set(err, RC_MALFORMED, "content.check", "receipt without a kind");
    if (receipt->n_message_ids == 0)
        return err_set(err, RC_MALFORMED, "content.check", "receipt for no message");
    if (receipt->n_message_ids > CONTENT_RECEIPT_IDS_MAX)
        return err_set(err, RC_LIMIT, "content.check", "receipt for %zu messages",
                       receipt->n_message_ids);
    for (size_t i = 0; rc == RC_OK && i < receipt->n_message_ids; i++)
        rc = check_id(&receipt->message_ids[i], err);
    return rc;
}

static enum rc
check_retry(const Parley__Content__Retry *retry, struct err *err)
{
    if (retry->attempt < 1 || retry->attempt > CONTENT_RETRY_ATTEMPTS_MAX)
        return err_set(err, RC_MALFORMED, "content.check", "attempt %u", retry->attempt);
    return check_id(&retry->message_id, err);
}

/* A kind that this version does not know has no bounds here: its bytes were bounded as a whole. */
static enum rc
check_body(const Parley__Content__Payload *payload, struct err *err)
{
    switch (payload->body_case) {
    case PARLEY__CONTENT__PAYLOAD__BODY_TEXT:
        return check_length(payload->text->body, CONTENT_TEXT_MAX, "text", err);
    case PARLEY__CONTENT__PAYLOAD__BODY_RECEIPT:
        return check_receipt(payload->receipt, err);
    case PARLEY__CONTENT__PAYLOAD__BODY_RETRY:
        return check_retry(payload->retry, err);
    default:
        return RC_OK;
    }
}

enum rc
check_payload(const Parley__Content__Payload *payload, struct err *err)
{
    enum rc rc;

    if ((rc = check_strings(&payload->base, err)) != RC_OK ||
        (rc = check_id(&payload->message_id, err)) != RC_OK ||
        (rc = check_length(payload->public_id, CONTENT_PUBLIC_ID_MAX, "public id", err)) != RC_OK ||
        (rc = check_length(payload->profile_name, CONTENT_NAME_MAX, "name", err)) != RC_OK)
        return rc;
    if (payload->first_message_id.len != 0 &&
        (rc = check_id(&payload->first_message_id, err)) != RC_OK)
        return rc;
    if (payload->context != NULL && (rc = check_id(&payload->context->message_id, err)) != RC_OK)
        return rc;
    return check_body(payload, err);
}
