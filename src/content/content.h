/* content.h - the payload inside the ciphertext: pack with padding, unpack with bounds.
 *
 * The generated structs of content.proto are used as they are. Padding hides lengths: to the next
 * multiple of 64 bytes up to 1 KiB, of 256 above, as 0x80 then zeros. For the two ends only: the
 * relay, the manager and the web front doors never see this header.
 * Source: docs/protocol/content.md. Thread rule: pure. */
#ifndef PARLEY_CONTENT_CONTENT_H
#define PARLEY_CONTENT_CONTENT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "content.pb-c.h"

#define CONTENT_VERSION 1u
#define CONTENT_MAX (64u * 1024)      /* packed and padded */
#define CONTENT_TEXT_MAX (16u * 1024) /* bytes of a text body we accept from a peer */
#define CONTENT_PUBLIC_ID_MAX 256u    /* bytes of a dialect's message id */
#define CONTENT_NAME_MAX 512u         /* bytes of a profile name */
#define CONTENT_RECEIPT_IDS_MAX 1024u /* messages that one receipt speaks of */
#define CONTENT_RETRY_ATTEMPTS_MAX 5u

/* Append the packed, padded payload; nothing on failure. RC_LIMIT past CONTENT_MAX or a bound
 * above, RC_MALFORMED where unpacking would refuse it. */
NODISCARD enum rc content_pack(struct buf *out, const Parley__Content__Payload *payload,
                               struct err *err);
/* *out points into the arena. RC_MALFORMED (padding, protobuf, UTF-8, sizes of ids), RC_PROTO (a
 * newer version), RC_LIMIT. An unknown body kind unpacks with body_case NOT_SET: the caller
 * decides. */
NODISCARD enum rc content_unpack(Parley__Content__Payload **out, struct arena *arena,
                                 struct bytes padded, struct err *err);

/* Message ids: 48-bit Unix milliseconds, then 80 random bits. */
#define MESSAGE_ID_SIZE 16u

#endif
