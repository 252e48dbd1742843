/* vault.c - a sorted list of entries, a hash table of uses, and slabs of locked memory. */
#include "crypto/vault.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define VAULT_SLAB_KEYS 128u /* one page of keys between libsodium's guard pages */
#define KEY_SIZE 32u

void
vault_init(struct vault *vault)
{
    *vault = (struct vault){0};
}

void
vault_wipe(struct vault *vault)
{
    for (size_t i = 0; i < vault->slab_count; i++)
        sodium_free(vault->slabs[i]); /* clears, then unlocks */
    free(vault->slabs);
    free(vault->entries);
    free(vault->table);
    vault_init(vault);
}

/* The n-th entry's key is in the n-th slot. */
static uint8_t *
slot_of(const struct vault *vault, size_t n)
{
    return vault->slabs[n / VAULT_SLAB_KEYS] + (n % VAULT_SLAB_KEYS) * KEY_SIZE;
}

static bool
is_same_use(const struct key_use *a, const struct key_use *b)
{
    return a->kind == b->kind && a->scope == b->scope && a->index == b->index;
}

/* Where the search for a use starts. Scopes are ours, not a peer's choice: mixing is enough. */
static size_t
hash_use(const struct vault *vault, const struct key_use *use)
{
    uint64_t h = use->scope * UINT64_C(0x9e3779b97f4a7c15);

    h = (h ^ (uint64_t)use->index ^ (uint64_t)use->kind << 32) * UINT64_C(0xd6e8feb86659fd93);
    return (size_t)(h >> 32) & (vault->table_size - 1);
}

static void
put_in_table(struct vault *vault, size_t position)
{
    size_t at = hash_use(vault, &vault->entries[position].use);

    while (vault->table[at] != 0)
        at = (at + 1) & (vault->table_size - 1);
    vault->table[at] = (uint32_t)position + 1;
}

static bool
grow_table(struct vault *vault)
{
    size_t size = vault->table_size == 0 ? 64 : vault->table_size * 2;
    uint32_t *fresh = calloc(size, sizeof(*fresh));

    if (fresh == NULL)
        return false;
    free(vault->table);
    vault->table = fresh;
    vault->table_size = size;
    for (size_t i = 0; i < vault->count; i++)
        put_in_table(vault, i);
    return true;
}

static bool
grow_entries(struct vault *vault)
{
    size_t room = vault->room == 0 ? VAULT_SLAB_KEYS : vault->room * 2;
    struct vault_entry *fresh = realloc(vault->entries, room * sizeof(*fresh));

    if (fresh == NULL)
        return false;
    vault->entries = fresh;
    vault->room = room;
    return true;
}

static bool
add_slab(struct vault *vault)
{
    uint8_t **fresh = realloc(vault->slabs, (vault->slab_count + 1) * sizeof(*fresh));

    if (fresh == NULL)
        return false;
    vault->slabs = fresh;
    fresh[vault->slab_count] = sodium_malloc(VAULT_SLAB_KEYS * KEY_SIZE);
    if (fresh[vault->slab_count] == NULL)
        return false;
    vault->slab_count++;
    return true;
}

enum rc
vault_reserve(struct vault *vault, struct err *err)
{
    if (vault->count >= VAULT_KEYS_MAX)
        return err_set(err, RC_LIMIT, "keyring", "more than %u keys", VAULT_KEYS_MAX);
    if ((vault->count == vault->room && !grow_entries(vault)) ||
        ((vault->count + 1) * 2 > vault->table_size && !grow_table(vault)) ||
        (vault->count == vault->slab_count * VAULT_SLAB_KEYS && !add_slab(vault)))
        return err_set(err, RC_NOMEM, "keyring", "no memory for one more key");
    return RC_OK;
}

void
vault_add(struct vault *vault, uint32_t id, const struct key_use *use, const uint8_t key[32])
{
    assert(vault->count < vault->room);
    assert(vault->count == 0 || vault->entries[vault->count - 1].id < id);
    vault->entries[vault->count] = (struct vault_entry){.id = id, .use = *use};
    memcpy(slot_of(vault, vault->count), key, KEY_SIZE);
    put_in_table(vault, vault->count++);
}

const struct vault_entry *
vault_find_id(const struct vault *vault, uint32_t id)
{
    size_t low = 0, high = vault->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (vault->entries[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < vault->count && vault->entries[low].id == id ? &vault->entries[low] : NULL;
}

const struct vault_entry *
vault_find_use(const struct vault *vault, const struct key_use *use)
{
    if (vault->table_size == 0)
        return NULL;
    for (size_t at = hash_use(vault, use); vault->table[at] != 0;
         at = (at + 1) & (vault->table_size - 1)) {
        const struct vault_entry *entry = &vault->entries[vault->table[at] - 1];

        if (is_same_use(&entry->use, use))
            return entry;
    }
    return NULL;
}

const uint8_t *
vault_key(const struct vault *vault, const struct vault_entry *entry)
{
    return slot_of(vault, (size_t)(entry - vault->entries));
}
