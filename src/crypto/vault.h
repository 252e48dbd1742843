/* vault.h - unwrapped keys in locked memory, found by id or by what they are for. Private to
 * src/crypto.
 *
 * Owns the memory of the keys: pages that are locked, left out of core dumps and cleared on
 * release. Does no I/O and no cryptography. Thread rule: one owner; keyring.c locks around it. */
#ifndef PARLEY_CRYPTO_VAULT_H
#define PARLEY_CRYPTO_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define VAULT_KEYS_MAX (256u * 1024) /* 8 MiB of keys */

enum key_kind { KEY_SCOPE = 1, KEY_DAY = 2, KEY_YEAR = 3 }; /* as written in the ring file */

/* What a key is for. */
struct key_use {
    enum key_kind kind;
    uint64_t scope;
    int64_t index; /* KEY_DAY: days since 1970; KEY_YEAR: the year; KEY_SCOPE: 0 */
};

struct vault_entry {
    uint32_t id;
    struct key_use use;
};

struct vault {
    struct vault_entry *entries; /* ascending by id */
    size_t count, room;
    uint32_t *table;   /* open addressing over uses: position in entries + 1, 0 = free */
    size_t table_size; /* a power of two, at least twice count */
    uint8_t **slabs;   /* a page of keys each, in locked memory, in entries' order */
    size_t slab_count;
};

/* In-place; allocates nothing yet. */
void vault_init(struct vault *vault);
/* Clears every key. Safe on a zeroed struct. */
void vault_wipe(struct vault *vault);

/* Make sure one more key can be added without failing. RC_NOMEM, RC_LIMIT at VAULT_KEYS_MAX. */
NODISCARD enum rc vault_reserve(struct vault *vault, struct err *err);
/* Copy a key in. Room was reserved; id is above all others; its use is new. */
void vault_add(struct vault *vault, uint32_t id, const struct key_use *use, const uint8_t key[32]);
/* Borrowed until the next vault_reserve(), or NULL. */
const struct vault_entry *vault_find_id(const struct vault *vault, uint32_t id);
const struct vault_entry *vault_find_use(const struct vault *vault, const struct key_use *use);
/* The 32 bytes of an entry's key. Borrowed until vault_wipe(). */
const uint8_t *vault_key(const struct vault *vault, const struct vault_entry *entry);

#endif
