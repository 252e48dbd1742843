/* ring_file.h - the key ring on disk: loaded into a vault, appended to, rewritten without some
 * keys. Private to src/crypto.
 *
 * New keys are appended, one record and one flush each: a ring of n keys grows by 96 bytes, where a
 * rewrite would cost n. Only destroying rewrites, in one durable step. Several processes may share
 * a ring: whoever reads or changes the file holds its lock, and reads first what others appended.
 * Thread rule: one owner; keyring.c locks around it. */
#ifndef PARLEY_CRYPTO_RING_FILE_H
#define PARLEY_CRYPTO_RING_FILE_H

#include <sys/types.h>

#include "crypto/ring.h"
#include "crypto/vault.h"

struct ring_file {
    char *path;
    int lock_fd, fd; /* -1 when not open */
    dev_t dev;
    ino_t ino;
    uint64_t size; /* bytes known to be good; what follows was written by others since */
    struct ring_header header;
    uint32_t next_id;
    uint64_t torn_bytes; /* cut off since the file was opened */
    bool is_broken;      /* a flush failed: what is on disk is unknown, nothing may be added */
};

/* In-place; opens the lock and waits for it. Unlock and wipe whatever it returned. */
NODISCARD enum rc ring_file_init(struct ring_file *file, const char *path, struct err *err);
void ring_file_wipe(struct ring_file *file);
/* Waits until no other process is at work on the file. */
NODISCARD enum rc ring_file_lock(struct ring_file *file, struct err *err);
void ring_file_unlock(struct ring_file *file);

/* True if the file was appended to or replaced behind our back (needs no lock). */
bool ring_file_is_stale(const struct ring_file *file);
/* Under the lock: a ring without keys, with an id of its own. */
NODISCARD enum rc ring_file_create(struct ring_file *file, const uint8_t master[32], struct rng rng,
                                   struct err *err);
/* Under the lock: all keys into an empty vault. Cuts off a torn last record. RC_MALFORMED: a
 * damaged record before the last; RC_AUTH: not this master key's ring. */
NODISCARD enum rc ring_file_load(struct ring_file *file, struct vault *vault,
                                 const uint8_t master[32], struct err *err);
/* Under the lock: only what was appended since. */
NODISCARD enum rc ring_file_load_rest(struct ring_file *file, struct vault *vault,
                                      const uint8_t master[32], struct err *err);
/* True if the path leads to another file than the one that is open. */
bool ring_file_is_replaced(const struct ring_file *file);

/* Under the lock: add one key with id next_id and flush it. RC_FULL, RC_IO: nothing was added. */
NODISCARD enum rc ring_file_append(struct ring_file *file, const struct key_use *use,
                                   const uint8_t key[32], const uint8_t wrap_key[32],
                                   struct rng rng, struct err *err);
/* Under the lock: rewrite without the keys for which must_go says so, overwrite the old bytes.
 * Afterwards the file is stale to everybody, us included. *dropped counts; 0 means untouched. */
NODISCARD enum rc ring_file_drop(struct ring_file *file, uint32_t *dropped,
                                 const uint8_t master[32],
                                 bool (*must_go)(const struct key_use *use, const void *ctx),
                                 const void *ctx, struct err *err);

#endif
