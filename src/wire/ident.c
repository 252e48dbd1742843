/* ident.c - identifiers on the wire: message ids, lanes, the device list's hash.
 *
 * Owns nothing. The mix behind lane_of_peer and the key behind device_list_hash are part of the
 * protocol: changing either moves every queue or makes every device list stale.
 * Source: docs/protocol/wire.md. */
#include "wire/ident.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

#include "wire/wire.h"

#define ENTRY_BYTES (4u + 4u + 33u)

static_assert(DEVICE_LIST_HASH_SIZE == crypto_shorthash_siphash24_BYTES, "the hash is one SipHash");

/* Public on purpose: the hash tells change from no change, it keeps nothing secret. */
static const uint8_t device_list_key[crypto_shorthash_siphash24_KEYBYTES] = {
    'P', 'L', 'Y', '-', 'd', 'e', 'v', 'i', 'c', 'e', '-', 'l', 'i', 's', 't', '1'};

void
message_id_make(uint8_t out[MESSAGE_ID_BYTES], int64_t unix_ms, struct rng rng)
{
    assert(unix_ms >= 0 && unix_ms < (int64_t)1 << 48);
    for (unsigned i = 0; i < 6; i++)
        out[i] = (uint8_t)((uint64_t)unix_ms >> (40 - 8 * i));
    rng_fill(rng, out + 6, MESSAGE_ID_BYTES - 6);
}

int64_t
message_id_unix_ms(const uint8_t id[MESSAGE_ID_BYTES])
{
    uint64_t ms = 0;

    for (unsigned i = 0; i < 6; i++)
        ms = ms << 8 | id[i];
    return (int64_t)ms;
}

/* The finisher of a well-known 64-bit generator: neighbouring numbers land on unrelated lanes. */
uint32_t
lane_of_peer(uint64_t peer_account)
{
    uint64_t z = peer_account + 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (uint32_t)(z % WIRE_BUSINESS_LANES);
}

static void
put_u32(uint8_t *out, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (uint8_t)(v >> (24 - 8 * i));
}

static int
by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, ENTRY_BYTES);
}

void
device_list_hash(uint8_t out[DEVICE_LIST_HASH_SIZE], const struct device_entry *entries, size_t n)
{
    uint8_t rows[WIRE_DEVICES_MAX][ENTRY_BYTES] = {{0}};

    assert(n <= WIRE_DEVICES_MAX);
    for (size_t i = 0; i < n; i++) {
        put_u32(rows[i], entries[i].device);
        put_u32(rows[i] + 4, entries[i].registration_id);
        memcpy(rows[i] + 8, entries[i].identity_key, sizeof(entries[i].identity_key));
    }
    qsort(rows, n, ENTRY_BYTES, by_bytes);
    crypto_shorthash_siphash24(out, rows[0], n * ENTRY_BYTES, device_list_key);
}
