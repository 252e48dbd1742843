/* keys.h - prekeys of an endpoint. Internal to endpoint/; see keys.c. */
#ifndef PARLEY_ENDPOINT_KEYS_H
#define PARLEY_ENDPOINT_KEYS_H

#include "endpoint/internal.h"

/* Store private halves, sealed. Inside a transaction. */
NODISCARD enum rc keys_store_signed(struct endpoint *ep, struct store_tx *tx,
                                    const struct session_signed_prekey *key, struct err *err);
NODISCARD enum rc keys_store_one_time(struct endpoint *ep, struct store_tx *tx,
                                      const struct session_prekey *keys, size_t n, int64_t now_ms,
                                      struct err *err);
/* The id `step` further on, wrapping from SESSION_PREKEY_ID_MAX to 1. */
uint32_t keys_next_id(uint32_t id, uint32_t step);
/* Public halves as wire structs; they borrow from the keys. */
void keys_wire_signed(Parley__Wire__SignedPrekey *out, const struct session_signed_prekey *key);
bool keys_wire_one_time(struct arena *arena, Parley__Wire__OneTimePrekey ***out,
                        const struct session_prekey *keys, size_t n);

#endif
