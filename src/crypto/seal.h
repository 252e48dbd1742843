/* seal.h - records sealed at rest, and the ring of keys that seal them.
 *
 * Layers: master key -> scope key (a number, an account, a whole program) -> period key (a UTC day
 * for content and webhook bodies, a year for identities, sessions and prekeys) -> record.
 * Record = 01 || key id u32 || nonce 24 || ciphertext || tag (XChaCha20-Poly1305). The associated
 * data binds table, row key, column and row version, so a record moved elsewhere does not open.
 * Wrapped keys live in a ring file of their own: destroying a period key makes its records
 * unreadable everywhere. Source: docs/protocol/at-rest.md.
 * Thread rule: a ring may be used from several threads, and a ring file by several processes (both
 * lock inside). */
#ifndef PARLEY_CRYPTO_SEAL_H
#define PARLEY_CRYPTO_SEAL_H

#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/rng.h"

#define SEAL_OVERHEAD 45u     /* 1 + 4 + 24 + 16 */
#define SEAL_NAME_MAX 63u     /* bytes of a table's or column's name */
#define SEAL_KEY_MAX 512u     /* bytes of a row's primary key */
#define KEYRING_LABEL_MAX 63u /* bytes of a hash key's label */

struct keyring;

enum seal_period { SEAL_DAY, SEAL_YEAR };

struct keyring_opt {
    const char *ring_path;   /* wrapped keys; made when absent, 0600 */
    const char *master_path; /* 32 raw bytes; made at first start, 0400 */
    struct rng rng;
};

/* Open or create. A ring file without its master key is refused (RC_NOTFOUND, text says what to
 * do): a new master key is never made silently beside existing data. RC_AUTH: the master key is not
 * the ring's. RC_DENIED: the master key's file is open to others. RC_MALFORMED: damaged. A
 * half-written last key is cut off. Blocking I/O: at start only. */
NODISCARD enum rc keyring_open(struct keyring **out, const struct keyring_opt *opt,
                               struct err *err);
void keyring_free(struct keyring **ring);
/* Bytes of a half-written last key that were cut off since the ring was opened: worth a line in the
 * log. That key was never handed out, so nothing is lost with it. */
size_t keyring_torn_bytes(struct keyring *ring);

/* The key for (scope, period kind, platform time): its id. Made and made durable (one fsync) when
 * it does not exist yet, so the first record of a day waits for the disk once. */
NODISCARD enum rc keyring_current(struct keyring *ring, uint32_t *key_id, uint64_t scope,
                                  enum seal_period period, int64_t unix_ms, struct err *err);
/* A 32-byte key of the scope for keyed hashes (HMAC of peers' numbers, idempotency keys); the same
 * for ever. label separates uses. The first call for a scope waits for the disk. */
NODISCARD enum rc keyring_hash_key(struct keyring *ring, uint8_t out[32], uint64_t scope,
                                   const char *label, struct err *err);
/* Destroy day keys of days that ended before unix_ms; rewrites the ring. *destroyed counts them. */
NODISCARD enum rc keyring_destroy_before(struct keyring *ring, uint32_t *destroyed, int64_t unix_ms,
                                         struct err *err);
/* Destroy everything of a scope. */
NODISCARD enum rc keyring_destroy_scope(struct keyring *ring, uint64_t scope, struct err *err);

/* Where a record lives; joined unambiguously into the associated data. */
struct seal_place {
    const char *table;  /* static */
    const char *column; /* static */
    struct bytes key;   /* the row's primary key, encoded by the caller */
    uint64_t version;   /* row version; 0 where rows are written once */
};

/* Append the sealed record to *out. RC_NOTFOUND: key id unknown. */
NODISCARD enum rc seal_record(struct keyring *ring, uint32_t key_id, const struct seal_place *place,
                              struct bytes plain, struct buf *out, struct err *err);
/* Append the plaintext to *out. RC_AUTH: tampered or moved; RC_NOTFOUND: its key was destroyed. */
NODISCARD enum rc seal_open(struct keyring *ring, const struct seal_place *place,
                            struct bytes record, struct buf *out, struct err *err);

#endif
