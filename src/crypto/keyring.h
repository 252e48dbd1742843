/* keyring.h - what seal.c needs of a ring beyond its public face (seal.h). Private to src/crypto.
 */
#ifndef PARLEY_CRYPTO_KEYRING_H
#define PARLEY_CRYPTO_KEYRING_H

#include "crypto/seal.h"

/* Copy the period key of that id; the caller wipes it. RC_NOTFOUND: never made, or destroyed. */
NODISCARD enum rc keyring_key_copy(struct keyring *ring, uint8_t key[32], uint32_t key_id,
                                   struct err *err);
struct rng keyring_rng(const struct keyring *ring);

#endif
