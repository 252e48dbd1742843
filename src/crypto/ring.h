/* ring.h - the bytes of a key ring: one header, then records of one size. Private to src/crypto.
 *
 * Knows how a key is wrapped and how a ring proves that a master key is its own; does no I/O.
 * Source: docs/protocol/at-rest.md, "The ring file". Thread rule: pure. */
#ifndef PARLEY_CRYPTO_RING_H
#define PARLEY_CRYPTO_RING_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/rng.h"
#include "crypto/vault.h"

#define RING_HEADER_SIZE 64u
#define RING_RECORD_SIZE 96u
#define RING_ID_SIZE 16u

struct ring_header {
    uint8_t ring_id[RING_ID_SIZE];
    uint32_t next_id; /* ids below were given before the file was last rewritten */
};

/* The key that wraps scope keys, and the one that wraps a scope's period keys. */
void ring_master_wrap_key(uint8_t out[32], const uint8_t master[32], const uint8_t ring_id[16]);
void ring_scope_wrap_key(uint8_t out[32], const uint8_t scope_key[32]);

void ring_header_put(struct buf *out, const struct ring_header *header, const uint8_t master[32]);
/* RC_MALFORMED: not a ring; RC_AUTH: another master key's ring. */
NODISCARD enum rc ring_header_read(struct ring_header *out, struct bytes in,
                                   const uint8_t master[32], struct err *err);

/* Append one record: key wrapped under wrap_key. */
void ring_record_put(struct buf *out, const uint8_t ring_id[16], uint32_t id,
                     const struct key_use *use, const uint8_t key[32], const uint8_t wrap_key[32],
                     struct rng rng);
/* What a record of RING_RECORD_SIZE bytes says about itself, not yet authenticated. RC_MALFORMED.
 */
NODISCARD enum rc ring_record_peek(uint32_t *id, struct key_use *use, struct bytes in);
/* RC_AUTH: damaged, or from another ring. */
NODISCARD enum rc ring_record_open(uint8_t key[32], struct bytes in, const uint8_t ring_id[16],
                                   const uint8_t wrap_key[32]);

#endif
