/* noise_cipher.h - a cipher state with associated data, as the handshake needs it. Private to
 * src/crypto; noise.h has what a transport needs. */
#ifndef PARLEY_CRYPTO_NOISE_CIPHER_H
#define PARLEY_CRYPTO_NOISE_CIPHER_H

#include "crypto/noise.h"

/* Under the next counter, without rekeying. Sizes and overlap as in noise_encrypt(). */
void noise_cipher_seal(struct noise_cipher *c, uint8_t *out, struct bytes ad, struct bytes in);
/* RC_AUTH: wrong tag; the counter stays where it is. */
NODISCARD enum rc noise_cipher_open(struct noise_cipher *c, uint8_t *out, struct bytes ad,
                                    struct bytes in);

#endif
