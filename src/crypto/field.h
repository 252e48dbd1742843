/* field.h - the one piece of field arithmetic that no library exports: from a Curve25519 public key
 * to the Edwards point with the same private key. Private to src/crypto.
 *
 * Works on public keys only. Source: RFC 7748, section 4.1 (the birational map). */
#ifndef PARLEY_CRYPTO_FIELD_H
#define PARLEY_CRYPTO_FIELD_H

#include <stdint.h>

/* y = (u - 1) / (u + 1) modulo 2^255 - 19, canonical, sign bit clear. u's top bit is ignored. u =
 * -1 has no image; it gives y = 0, a point of order four that every verifier refuses. */
void field_edwards_y(uint8_t y[32], const uint8_t u[32]);

#endif
