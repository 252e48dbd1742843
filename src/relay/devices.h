/* devices.h - a device's public keys in the store: written, replaced, removed, added to, served.
 *
 * Owns the rules of prekeys: each one-time key is served at most once ever, oldest first, and an
 * upload that comes twice adds nothing (I26); a new registration forgets the old one's keys.
 * Thread rule: the store's writer inside run(), unless a comment says otherwise.
 * Source: docs/protocol/registration.md. */
#ifndef PARLEY_RELAY_DEVICES_H
#define PARLEY_RELAY_DEVICES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"
#include "wire/wire.h"

#define DEVICE_PREKEYS_MAX 2000u /* unserved one-time keys of one device */

struct relay;

struct one_time_key {
    uint32_t id;
    uint8_t key[33];
};

struct signed_key {
    uint32_t id;
    int64_t created_ms;
    uint8_t key[33], signature[64];
};

struct device_keys {
    uint32_t registration_id;
    uint8_t identity[33];
    struct signed_key signed_prekey;
    uint8_t statement[256], statement_signature[64];
    size_t statement_len;
    size_t n_one_time;
};

/* Any thread: copy out of a checked frame; one_time has room for all. */
void device_keys_copy(struct device_keys *out, struct one_time_key *one_time,
                      const Parley__Wire__DeviceKeys *in);
void signed_key_copy(struct signed_key *out, const Parley__Wire__SignedPrekey *in);
/* Any thread: the identity key's signature over the prekey. */
bool device_signed_prekey_holds(const uint8_t identity[33], const struct signed_key *key);

/* One registration of a device. */
struct device_change {
    uint64_t account, generation;
    uint32_t device, n_lanes;
    int64_t now_ms;
    const uint8_t *noise_key;
    const struct device_keys *keys;
    const struct one_time_key *one_time;
    bool has_rest; /* out: envelopes of the registration before wait to be returned */
};
/* Replace whatever the device was: keys, prekeys, lanes fenced at the new generation. */
NODISCARD enum rc device_write(struct device_change *change, struct store_tx *tx, struct err *err);
/* The device is gone, if its generation is still this one; its queue goes back to the senders. */
NODISCARD enum rc device_remove(struct store_tx *tx, uint64_t account, uint32_t device,
                                uint64_t generation, int64_t now_ms, struct err *err);

/* What a device has left to serve. */
struct prekey_stock {
    uint64_t account;
    uint32_t device;
    uint64_t generation;
    uint32_t left, signed_id;
    uint64_t place; /* of the newest */
};
/* RC_NOTFOUND: no such active device. */
NODISCARD enum rc prekey_stock_read(struct prekey_stock *out, struct store_tx *tx, uint64_t account,
                                    uint32_t device, struct err *err);
NODISCARD enum rc prekey_stock_write(const struct prekey_stock *stock, struct store_tx *tx,
                                     struct err *err);
/* Add keys behind the others; those that were here before are passed over. RC_LIMIT: too many. */
NODISCARD enum rc prekey_add(struct prekey_stock *stock, struct store_tx *tx,
                             const struct one_time_key *keys, size_t n, int64_t now_ms,
                             struct err *err);
/* Take the oldest away and give it: it is never given again. RC_NOTFOUND: none left. */
NODISCARD enum rc prekey_spend(struct one_time_key *out, struct prekey_stock *stock,
                               struct store_tx *tx, struct err *err);

/* Any thread, after a commit: end connections of the device whose generation is below. */
void device_close_routes(struct relay *relay, uint64_t account, uint32_t device,
                         uint64_t generation, const char *text);

#endif
