/* wire.c - frames between a device and the relay: pack and unpack.
 *
 * Owns nothing: what is unpacked lives in the caller's arena, what is packed in the caller's
 * buffer. Never looks into an envelope. What may stand in a field is bounds.c's table. Source:
 * docs/protocol/wire.md. */
#include "wire/wire.h"

#include <stddef.h>

#include "wire/bounds.h"

/* protobuf-c's allocator over an arena; remembers that it was the ceiling, not the bytes. */
struct lender {
    struct arena *arena;
    bool is_exhausted;
};

static void *
lend(void *data, size_t size)
{
    struct lender *lender = data;
    void *piece = arena_alloc(lender->arena, size);

    if (piece == NULL)
        lender->is_exhausted = true;
    return piece;
}

static void
keep(void *data, void *piece)
{
    (void)data; /* the arena releases everything at once */
    (void)piece;
}

static enum rc
unpack(ProtobufCMessage **out, const ProtobufCMessageDescriptor *descriptor, struct arena *arena,
       struct bytes in, struct err *err)
{
    struct lender lender = {.arena = arena};
    ProtobufCAllocator allocator = {.alloc = lend, .free = keep, .allocator_data = &lender};

    *out = NULL;
    if (in.len > WIRE_FRAME_MAX)
        return err_set(err, RC_LIMIT, "wire.unpack", "%zu bytes", in.len);
    *out = protobuf_c_message_unpack(descriptor, &allocator, in.len, in.ptr);
    if (*out == NULL && lender.is_exhausted)
        return err_set(err, RC_NOMEM, "wire.unpack", "%s of %zu bytes grows too large",
                       descriptor->short_name, in.len);
    if (*out == NULL)
        return err_set(err, RC_MALFORMED, "wire.unpack", "%s of %zu bytes does not parse",
                       descriptor->short_name, in.len);
    return RC_OK;
}

static enum rc
pack(struct buf *out, const ProtobufCMessage *message, struct err *err)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *room;

    if (size > WIRE_FRAME_MAX)
        return err_set(err, RC_LIMIT, "wire.pack", "%s of %zu bytes",
                       message->descriptor->short_name, size);
    if (size == 0)
        return RC_OK;
    if ((room = buf_extend(out, size)) == NULL)
        return err_set(err, RC_NOMEM, "wire.pack", "no room for %zu bytes", size);
    protobuf_c_message_pack(message, room);
    return RC_OK;
}

enum rc
wire_pack(struct buf *out, const Parley__Wire__Frame *frame, struct err *err)
{
    return pack(out, &frame->base, err);
}

/* The member of the oneof that is set, or NULL. */
static const ProtobufCFieldDescriptor *
body_field(const Parley__Wire__Frame *frame)
{
    return protobuf_c_message_descriptor_get_field(&parley__wire__frame__descriptor,
                                                   (unsigned)frame->body_case);
}

enum rc
wire_unpack(Parley__Wire__Frame **out, struct arena *arena, struct bytes in, struct err *err)
{
    ProtobufCMessage *message;
    Parley__Wire__Frame *frame;
    enum rc rc;

    *out = NULL;
    if ((rc = unpack(&message, &parley__wire__frame__descriptor, arena, in, err)) != RC_OK)
        return rc;
    frame = (Parley__Wire__Frame *)message;
    if (frame->body_case == PARLEY__WIRE__FRAME__BODY__NOT_SET && message->n_unknown_fields > 0)
        return err_set(err, RC_PROTO, "wire.unpack", "frame of unknown kind %u",
                       (unsigned)message->unknown_fields[0].tag);
    if (frame->body_case == PARLEY__WIRE__FRAME__BODY__NOT_SET)
        return err_set(err, RC_MALFORMED, "wire.unpack", "frame without a body");
    /* Every member of the oneof is a pointer to a message at the same place. */
    if ((rc = wire_bounds_check((const ProtobufCMessage *)frame->login, err)) != RC_OK)
        return rc;
    *out = frame;
    return RC_OK;
}

enum rc
wire_notice_pack(struct buf *out, const Parley__Wire__Notice *notice, struct err *err)
{
    return pack(out, &notice->base, err);
}

enum rc
wire_notice_unpack(Parley__Wire__Notice **out, struct arena *arena, struct bytes in,
                   struct err *err)
{
    ProtobufCMessage *message;
    enum rc rc;

    *out = NULL;
    if ((rc = unpack(&message, &parley__wire__notice__descriptor, arena, in, err)) != RC_OK)
        return rc;
    if ((rc = wire_bounds_check(message, err)) != RC_OK)
        return rc;
    *out = (Parley__Wire__Notice *)message;
    return RC_OK;
}

const char *
wire_frame_name(const Parley__Wire__Frame *frame)
{
    const ProtobufCFieldDescriptor *field = body_field(frame);

    return field == NULL ? "none" : field->name;
}

const char *
wire_reason_name(Parley__Wire__Reason reason)
{
    static const char *const names[] = {
        [PARLEY__WIRE__REASON__REASON_UNSPECIFIED] = "none",
        [PARLEY__WIRE__REASON__MALFORMED] = "malformed",
        [PARLEY__WIRE__REASON__NOT_LOGGED_IN] = "not_logged_in",
        [PARLEY__WIRE__REASON__UNKNOWN_DEVICE] = "unknown_device",
        [PARLEY__WIRE__REASON__FENCED] = "fenced",
        [PARLEY__WIRE__REASON__NO_ACCOUNT] = "no_account",
        [PARLEY__WIRE__REASON__STALE_DEVICES] = "stale_devices",
        [PARLEY__WIRE__REASON__OVERFLOW] = "overflow",
        [PARLEY__WIRE__REASON__RATE_LIMITED] = "rate_limited",
        [PARLEY__WIRE__REASON__WRONG_CODE] = "wrong_code",
        [PARLEY__WIRE__REASON__CODE_EXPIRED] = "code_expired",
        [PARLEY__WIRE__REASON__TICKET_INVALID] = "ticket_invalid",
        [PARLEY__WIRE__REASON__PIN_MISMATCH] = "pin_mismatch",
        [PARLEY__WIRE__REASON__BAD_SIGNATURE] = "bad_signature",
        [PARLEY__WIRE__REASON__TOO_LARGE] = "too_large",
        [PARLEY__WIRE__REASON__UNAVAILABLE] = "unavailable",
        [PARLEY__WIRE__REASON__BAD_CERTIFICATE] = "bad_certificate",
        [PARLEY__WIRE__REASON__EXPIRED] = "expired",
        [PARLEY__WIRE__REASON__NOT_ALLOWED] = "not_allowed",
        [PARLEY__WIRE__REASON__CODE_NOT_SENT] = "code_not_sent",
    };

    return (size_t)reason < ARRAY_LEN(names) ? names[reason] : "unknown";
}
