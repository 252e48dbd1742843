/* ident.h - identifiers on the wire: message ids, lanes, the device list's hash, statements.
 *
 * Source: docs/protocol/wire.md. Thread rule: pure. */
#ifndef PARLEY_WIRE_IDENT_H
#define PARLEY_WIRE_IDENT_H

#include "base/bytes.h"
#include "base/rng.h"

#define MESSAGE_ID_BYTES 16u
#define DEVICE_LIST_HASH_SIZE 8u

/* 48-bit Unix milliseconds, then 80 random bits. */
void message_id_make(uint8_t out[MESSAGE_ID_BYTES], int64_t unix_ms, struct rng rng);
int64_t message_id_unix_ms(const uint8_t id[MESSAGE_ID_BYTES]);

/* Lane of a business device's queue for traffic with this peer: a fixed mix of the number, mod 32.
 */
uint32_t lane_of_peer(uint64_t peer_account);

/* One line of a device list, in any order; the hash sorts. FNV-style is not enough here: the hash
 * is compared by the relay only to notice change, but it must not collide by accident: 64 bits of a
 * keyed mix (SipHash-2-4 with a fixed public key). */
struct device_entry {
    uint32_t device;
    uint32_t registration_id;
    uint8_t identity_key[33];
};
void device_list_hash(uint8_t out[DEVICE_LIST_HASH_SIZE], const struct device_entry *entries,
                      size_t n);

#endif
