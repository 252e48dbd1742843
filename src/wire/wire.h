/* wire.h - frames between a device and the relay: pack, unpack, and the limits both sides keep.
 *
 * The generated structs of wire.proto are used as they are. The payload of an envelope is opaque
 * bytes here. Source: docs/protocol/wire.md. Thread rule: pure. */
#ifndef PARLEY_WIRE_WIRE_H
#define PARLEY_WIRE_WIRE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "wire.pb-c.h"

#define WIRE_FRAME_MAX (1024u * 1024)  /* one frame */
#define WIRE_ENVELOPE_MAX (68u * 1024) /* one ciphertext */
#define WIRE_DEVICES_MAX 8u            /* devices of one account */
#define WIRE_PREKEYS_MAX 1000u         /* one-time prekeys in one upload */
#define WIRE_BUSINESS_LANES 32u
#define WIRE_NOTICE_ITEMS_MAX 1000u /* items in one notice: its body stays below an envelope */
#define WIRE_ARENA_MAX                                                                             \
    (4u * 1024 * 1024) /* ceiling of an arena that any legal frame unpacks into */
#define WIRE_EXPIRY_MAX_MS (30ll * 24 * 3600 * 1000)
#define WIRE_REQUEST_TIMEOUT_MS 10000

/* Append one packed frame. RC_LIMIT past WIRE_FRAME_MAX. */
NODISCARD enum rc wire_pack(struct buf *out, const Parley__Wire__Frame *frame, struct err *err);
/* *out and all it points to live in the arena. RC_MALFORMED (protobuf, sizes of ids, keys and
 * counts, UTF-8, no body), RC_LIMIT (longer than WIRE_FRAME_MAX), RC_NOMEM (the arena's ceiling,
 * which a hostile frame reaches). A body kind that we do not know is RC_PROTO. On failure *out is
 * NULL. */
NODISCARD enum rc wire_unpack(Parley__Wire__Frame **out, struct arena *arena, struct bytes in,
                              struct err *err);
/* The same for a notice body. */
NODISCARD enum rc wire_notice_pack(struct buf *out, const Parley__Wire__Notice *notice,
                                   struct err *err);
NODISCARD enum rc wire_notice_unpack(Parley__Wire__Notice **out, struct arena *arena,
                                     struct bytes in, struct err *err);
/* Stable lower-case name of a frame's kind ("publish_result"), for logs and traces. */
const char *wire_frame_name(const Parley__Wire__Frame *frame);
const char *wire_reason_name(Parley__Wire__Reason reason);

/* Borrow a protobuf bytes field. */
#define wire_bytes(field) bytes_of((field).data, (field).len)
/* A protobuf bytes field over borrowed memory. */
#define wire_field(b) ((ProtobufCBinaryData){.len = (b).len, .data = (uint8_t *)(uintptr_t)(b).ptr})

#endif
