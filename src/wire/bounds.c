/* bounds.c - the table of what each field may hold, and the walk that applies it.
 *
 * A field without a row is free within its type. Every message is walked by its descriptor, so a
 * new submessage needs no code here, only rows. Source: docs/protocol/wire.md. */
#include "wire/bounds.h"

#include <string.h>

#include "base/bytes.h"
#include "wire/ident.h"
#include "wire/wire.h"

#define ACCOUNT_MAX 999999999999999u /* E.164: at most 15 digits */
#define REGISTRATION_ID_MAX 0x3fffu  /* 14 bits */
#define PREKEY_ID_MAX 0xffffffu
#define CERTIFICATE_MAX 2048u
#define STATEMENT_MAX 256u
#define TEXT_MAX 512u
#define KEY_TYPE 0x05u /* first byte of every public key */

#define AT(type, field) offsetof(Parley__Wire__##type, field)
#define TIME_MAX INT64_MAX

static const struct wire_bound address[] = {
    {AT(Address, account), 1, ACCOUNT_MAX, false},
    {AT(Address, device),  1, INT32_MAX,   false},
};
static const struct wire_bound login[] = {
    {AT(Login, address),            1, 1,                   false},
    {AT(Login, n_lanes),            0, WIRE_BUSINESS_LANES, false},
    {AT(Login, number_certificate), 1, CERTIFICATE_MAX,     true },
    {AT(Login, client),             0, 128,                 false},
};
static const struct wire_bound lane_claim[] = {
    {AT(LaneClaim, mask), 1, UINT32_MAX, false},
};
static const struct wire_bound login_ok[] = {
    {AT(LoginOk, server_time_ms),   0, TIME_MAX,      false},
    {AT(LoginOk, signed_prekey_id), 0, PREKEY_ID_MAX, false},
};
static const struct wire_bound refusal[] = {
    {AT(Refusal, reason), 1, INT32_MAX, false},
    {AT(Refusal, text),   0, TEXT_MAX,  false},
};
static const struct wire_bound close_frame[] = {
    {AT(Close, text), 0, TEXT_MAX, false},
};
static const struct wire_bound code_request[] = {
    {AT(CodeRequest, number),   1, ACCOUNT_MAX, false},
    {AT(CodeRequest, method),   1, 8,           false},
    {AT(CodeRequest, language), 0, 16,          false},
};
static const struct wire_bound code_verify[] = {
    {AT(CodeVerify, number), 1, ACCOUNT_MAX, false},
    {AT(CodeVerify, code),   1, 16,          false},
};
static const struct wire_bound ticket[] = {
    {AT(Ticket, ticket),        16, 64,       false},
    {AT(Ticket, expires_at_ms), 0,  TIME_MAX, false},
};
static const struct wire_bound register_frame[] = {
    {AT(Register, ticket),             16, 64,              false},
    {AT(Register, pin),                6,  6,               true },
    {AT(Register, new_pin),            6,  6,               true },
    {AT(Register, keys),               1,  1,               false},
    {AT(Register, channel_signature),  64, 64,              false},
    {AT(Register, number_certificate), 1,  CERTIFICATE_MAX, true },
};
static const struct wire_bound registered[] = {
    {AT(Registered, address), 1, 1, false},
};
static const struct wire_bound device_keys[] = {
    {AT(DeviceKeys, registration_id), 1,  REGISTRATION_ID_MAX, false},
    {AT(DeviceKeys, identity_key),    33, 33,                  false},
    {AT(DeviceKeys, signed_prekey),   1,  1,                   false},
    {AT(DeviceKeys, n_one_time),      0,  WIRE_PREKEYS_MAX,    false},
};
static const struct wire_bound signed_prekey[] = {
    {AT(SignedPrekey, id),         0,  PREKEY_ID_MAX, false},
    {AT(SignedPrekey, key),        33, 33,            false},
    {AT(SignedPrekey, signature),  64, 64,            false},
    {AT(SignedPrekey, created_ms), 0,  TIME_MAX,      false},
};
static const struct wire_bound one_time_prekey[] = {
    {AT(OneTimePrekey, id),  0,  PREKEY_ID_MAX, false},
    {AT(OneTimePrekey, key), 33, 33,            false},
};
static const struct wire_bound statement[] = {
    {AT(DeviceStatement, details),   1,  STATEMENT_MAX, false},
    {AT(DeviceStatement, signature), 64, 64,            false},
};
static const struct wire_bound prekey_upload[] = {
    {AT(PrekeyUpload, n_one_time), 0, WIRE_PREKEYS_MAX, false},
};
static const struct wire_bound prekey_status[] = {
    {AT(PrekeyStatus, signed_prekey_id), 0, PREKEY_ID_MAX, false},
};
static const struct wire_bound bundle_fetch[] = {
    {AT(BundleFetch, account),   1, ACCOUNT_MAX,      false},
    {AT(BundleFetch, n_devices), 0, WIRE_DEVICES_MAX, false},
};
static const struct wire_bound bundles[] = {
    {AT(Bundles, account),            1,                     ACCOUNT_MAX,           false},
    {AT(Bundles, device_list_hash),   DEVICE_LIST_HASH_SIZE, DEVICE_LIST_HASH_SIZE, false},
    {AT(Bundles, n_bundles),          0,                     WIRE_DEVICES_MAX,      false},
    {AT(Bundles, number_certificate), 1,                     CERTIFICATE_MAX,       true },
};
/* keys_only answers carry no signed prekey. */
static const struct wire_bound bundle[] = {
    {AT(Bundle, device),          1,  INT32_MAX,           false},
    {AT(Bundle, registration_id), 1,  REGISTRATION_ID_MAX, false},
    {AT(Bundle, identity_key),    33, 33,                  false},
};
static const struct wire_bound publish[] = {
    {AT(Publish, message_id),       MESSAGE_ID_BYTES,      MESSAGE_ID_BYTES,      false},
    {AT(Publish, recipient),        1,                     ACCOUNT_MAX,           false},
    {AT(Publish, device_list_hash), DEVICE_LIST_HASH_SIZE, DEVICE_LIST_HASH_SIZE, false},
    {AT(Publish, class_),           1,                     4,                     false},
    {AT(Publish, category),         0,                     4,                     false},
    {AT(Publish, expires_at_ms),    0,                     TIME_MAX,              false},
    {AT(Publish, n_ciphertexts),    1,                     WIRE_DEVICES_MAX,      false},
};
static const struct wire_bound ciphertext[] = {
    {AT(DeviceCiphertext, device),          1, INT32_MAX,           false},
    {AT(DeviceCiphertext, type),            2, 3,                   false},
    {AT(DeviceCiphertext, body),            1, WIRE_ENVELOPE_MAX,   false},
    {AT(DeviceCiphertext, registration_id), 1, REGISTRATION_ID_MAX, false},
};
static const struct wire_bound publish_result[] = {
    {AT(PublishResult, message_id),       MESSAGE_ID_BYTES,      MESSAGE_ID_BYTES,      false},
    {AT(PublishResult, reason),           0,                     INT32_MAX,             false},
    {AT(PublishResult, text),             0,                     TEXT_MAX,              false},
    {AT(PublishResult, device_list_hash), DEVICE_LIST_HASH_SIZE, DEVICE_LIST_HASH_SIZE, true },
    {AT(PublishResult, n_devices),        0,                     WIRE_DEVICES_MAX,      false},
};
static const struct wire_bound device_entry[] = {
    {AT(DeviceEntry, device),          1, INT32_MAX,           false},
    {AT(DeviceEntry, registration_id), 1, REGISTRATION_ID_MAX, false},
};
static const struct wire_bound deliver[] = {
    {AT(Deliver, lane),           0,                WIRE_BUSINESS_LANES - 1, false},
    {AT(Deliver, message_id),     MESSAGE_ID_BYTES, MESSAGE_ID_BYTES,        true },
    {AT(Deliver, class_),         1,                5,                       false},
    {AT(Deliver, category),       0,                4,                       false},
    {AT(Deliver, expires_at_ms),  0,                TIME_MAX,                false},
    {AT(Deliver, type),           0,                3,                       false},
    {AT(Deliver, body),           1,                WIRE_ENVELOPE_MAX,       false},
    {AT(Deliver, accepted_at_ms), 0,                TIME_MAX,                false},
};
static const struct wire_bound ack[] = {
    {AT(Ack, n_lanes), 1, WIRE_BUSINESS_LANES, false},
};
static const struct wire_bound lane_ack[] = {
    {AT(LaneAck, lane), 0, WIRE_BUSINESS_LANES - 1, false},
};
static const struct wire_bound notice[] = {
    {AT(Notice, reason),  1, INT32_MAX,             false},
    {AT(Notice, n_items), 1, WIRE_NOTICE_ITEMS_MAX, false},
};
static const struct wire_bound notice_item[] = {
    {AT(NoticeItem, message_id), MESSAGE_ID_BYTES, MESSAGE_ID_BYTES, false},
    {AT(NoticeItem, recipient),  1,                ACCOUNT_MAX,      false},
    {AT(NoticeItem, device),     0,                INT32_MAX,        false},
};
static const struct wire_bound block_signal[] = {
    {AT(BlockSignal, account), 1, ACCOUNT_MAX, false},
};

#define ROWS(message, rows)                                                                        \
    {                                                                                              \
        &parley__wire__##message##__descriptor, rows, ARRAY_LEN(rows)                              \
    }

/* The messages of the hot path first: the search is linear. */
const struct wire_bounds wire_bounds_table[] = {
    ROWS(publish, publish),
    ROWS(device_ciphertext, ciphertext),
    ROWS(publish_result, publish_result),
    ROWS(deliver, deliver),
    ROWS(address, address),
    ROWS(ack, ack),
    ROWS(lane_ack, lane_ack),
    ROWS(one_time_prekey, one_time_prekey),
    ROWS(signed_prekey, signed_prekey),
    ROWS(bundle, bundle),
    ROWS(bundles, bundles),
    ROWS(bundle_fetch, bundle_fetch),
    ROWS(device_statement, statement),
    ROWS(device_keys, device_keys),
    ROWS(device_entry, device_entry),
    ROWS(prekey_upload, prekey_upload),
    ROWS(prekey_status, prekey_status),
    ROWS(login, login),
    ROWS(lane_claim, lane_claim),
    ROWS(login_ok, login_ok),
    ROWS(refusal, refusal),
    ROWS(close, close_frame),
    ROWS(code_request, code_request),
    ROWS(code_verify, code_verify),
    ROWS(ticket, ticket),
    ROWS(register, register_frame),
    ROWS(registered, registered),
    ROWS(notice, notice),
    ROWS(notice_item, notice_item),
    ROWS(block_signal, block_signal),
};
const size_t wire_bounds_count = ARRAY_LEN(wire_bounds_table);

static const struct wire_bounds *
bounds_of(const ProtobufCMessageDescriptor *message)
{
    for (size_t i = 0; i < wire_bounds_count; i++)
        if (wire_bounds_table[i].message == message)
            return &wire_bounds_table[i];
    return NULL;
}

static const struct wire_bound *
bound_of(const struct wire_bounds *bounds, size_t offset)
{
    for (size_t i = 0; bounds != NULL && i < bounds->n; i++)
        if (bounds->rows[i].offset == offset)
            return &bounds->rows[i];
    return NULL;
}

static enum rc
refuse(struct err *err, const ProtobufCMessageDescriptor *message, const char *field,
       const char *what)
{
    return err_set(err, RC_MALFORMED, "wire.bounds", "%s.%s: %s", message->short_name, field, what);
}

/* What a row counts for this field. Negative numbers are above every maximum. */
static uint64_t
measure(const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)at)->len;
    case PROTOBUF_C_TYPE_STRING:
        return strlen(*(char *const *)at);
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(ProtobufCMessage *const *)at != NULL;
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_INT32:
        return (uint64_t)(int64_t) * (const int32_t *)at;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return *(const uint32_t *)at;
    default:
        return *(const uint64_t *)at;
    }
}

static bool
is_key_typed(const ProtobufCFieldDescriptor *field, const struct wire_bound *bound, const void *at)
{
    if (field->type != PROTOBUF_C_TYPE_BYTES || bound->max != 33)
        return true;
    return ((const ProtobufCBinaryData *)at)->data[0] == KEY_TYPE;
}

static enum rc
check_single(const ProtobufCMessageDescriptor *message, const ProtobufCFieldDescriptor *field,
             const struct wire_bound *bound, const uint8_t *base, struct err *err)
{
    const void *at = base + field->offset;

    if (bound != NULL) {
        uint64_t n = measure(field, at);

        if (n > bound->max || (n < bound->min && !(n == 0 && bound->may_be_empty)))
            return refuse(err, message, field->name, "out of bounds");
        if (!is_key_typed(field, bound, at))
            return refuse(err, message, field->name, "not a key of type 5");
    }
    if (field->type == PROTOBUF_C_TYPE_STRING && !bytes_is_utf8(bytes_of_str(*(char *const *)at)))
        return refuse(err, message, field->name, "not UTF-8");
    if (field->type == PROTOBUF_C_TYPE_MESSAGE && *(ProtobufCMessage *const *)at != NULL)
        return wire_bounds_check(*(ProtobufCMessage *const *)at, err);
    return RC_OK;
}

/* Repeated fields of wire.proto are messages or plain numbers; a row bounds their count. */
static enum rc
check_repeated(const ProtobufCMessageDescriptor *message, const ProtobufCFieldDescriptor *field,
               const struct wire_bound *bound, const uint8_t *base, struct err *err)
{
    size_t n = *(const size_t *)(const void *)(base + field->quantifier_offset);
    ProtobufCMessage *const *items = *(ProtobufCMessage *const *const *)(base + field->offset);
    enum rc rc = RC_OK;

    if (bound != NULL && (n < bound->min || n > bound->max))
        return refuse(err, message, field->name, "too few or too many");
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return RC_OK;
    for (size_t i = 0; i < n && rc == RC_OK; i++)
        rc = wire_bounds_check(items[i], err);
    return rc;
}

/* Rules that span fields: only the relay speaks in notices, and nobody else leaves out who speaks.
 */
static enum rc
check_deliver(const Parley__Wire__Deliver *d, struct err *err)
{
    bool is_notice = d->class_ == PARLEY__WIRE__CLASS__NOTICE;

    if (is_notice)
        return RC_OK;
    if (d->sender == NULL || d->message_id.len == 0)
        return refuse(err, d->base.descriptor, "sender", "missing");
    if (d->type < PARLEY__WIRE__CIPHER_TYPE__WHISPER)
        return refuse(err, d->base.descriptor, "type", "out of bounds");
    return RC_OK;
}

enum rc
wire_bounds_check(const ProtobufCMessage *message, struct err *err)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    const struct wire_bounds *bounds = bounds_of(descriptor);
    const uint8_t *base = (const uint8_t *)message;
    enum rc rc = RC_OK;

    for (unsigned i = 0; i < descriptor->n_fields && rc == RC_OK; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            rc = check_repeated(descriptor, field, bound_of(bounds, field->quantifier_offset), base,
                                err);
        else
            rc = check_single(descriptor, field, bound_of(bounds, field->offset), base, err);
    }
    if (rc == RC_OK && descriptor == &parley__wire__deliver__descriptor)
        rc = check_deliver((const Parley__Wire__Deliver *)message, err);
    return rc;
}
