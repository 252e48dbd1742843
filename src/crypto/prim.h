/* prim.h - the primitives, each one call: hashes, HKDF, AEAD, X25519, signatures.
 *
 * Backed by OpenSSL EVP (per-thread cached contexts) and libsodium; nothing is implemented here
 * that a library serves. Comparison of tags is constant-time inside the libraries. Call
 * crypto_start() once per process before anything else. A thread whose contexts find no memory at
 * their first use ends the process: hashes and seals have no other way to fail.
 * Thread rule: every call may run on any thread. */
#ifndef PARLEY_CRYPTO_PRIM_H
#define PARLEY_CRYPTO_PRIM_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/rng.h"

#define SHA256_SIZE 32u
#define SHA512_SIZE 64u
#define X25519_SIZE 32u /* private and public keys, shared secrets */
#define ED25519_PUBLIC_SIZE 32u
#define ED25519_SEED_SIZE 32u
#define SIGNATURE_SIZE 64u
#define AEAD_KEY_SIZE 32u
#define AEAD_TAG_SIZE 16u

NODISCARD enum rc crypto_start(struct err *err);

void sha256(uint8_t out[SHA256_SIZE], struct bytes in);
void sha256_2(uint8_t out[SHA256_SIZE], struct bytes a, struct bytes b); /* of a || b */
void sha512(uint8_t out[SHA512_SIZE], struct bytes in);
void hmac_sha1(uint8_t out[20], struct bytes key, struct bytes in); /* X-Hub-Signature only */
void hmac_sha256(uint8_t out[SHA256_SIZE], struct bytes key, struct bytes in);
/* HMAC over two runs joined, for "label || data" inputs. */
void hmac_sha256_2(uint8_t out[SHA256_SIZE], struct bytes key, struct bytes a, struct bytes b);
/* RFC 5869. out_len <= 255*32. An empty salt means 32 zero bytes. */
void hkdf_sha256(uint8_t *out, size_t out_len, struct bytes ikm, struct bytes salt,
                 struct bytes info);

/* AES-256-GCM with a 96-bit nonce. out holds in.len + 16 (seal) or in.len - 16 (open) bytes and may
 * equal in.ptr. Open: RC_AUTH on a wrong tag, out is cleared. */
void aes256gcm_seal(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], struct bytes ad,
                    struct bytes in);
NODISCARD enum rc aes256gcm_open(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12],
                                 struct bytes ad, struct bytes in);

/* XChaCha20-Poly1305 (24-byte nonce), same sizes as above. */
void xchacha_seal(uint8_t *out, const uint8_t key[32], const uint8_t nonce[24], struct bytes ad,
                  struct bytes in);
NODISCARD enum rc xchacha_open(uint8_t *out, const uint8_t key[32], const uint8_t nonce[24],
                               struct bytes ad, struct bytes in);

/* X25519 (RFC 7748). Private keys are clamped. */
void x25519_keypair(uint8_t priv[32], uint8_t pub[32], struct rng rng);
void x25519_public(uint8_t pub[32], const uint8_t priv[32]);
/* RC_AUTH when the shared secret would be all zero. */
NODISCARD enum rc x25519_dh(uint8_t out[32], const uint8_t priv[32], const uint8_t pub[32]);

/* Ed25519 (RFC 8032): the platform's authority and the relay's root of trust. */
void ed25519_keypair(uint8_t seed[32], uint8_t pub[32], struct rng rng);
void ed25519_public(uint8_t pub[32], const uint8_t seed[32]);
void ed25519_sign(uint8_t sig[64], const uint8_t seed[32], struct bytes msg);
NODISCARD enum rc ed25519_verify(const uint8_t sig[64], const uint8_t pub[32], struct bytes msg);

/* Signatures by Curve25519 keys, Signal's classic form: the Edwards sign bit rides in bit 7 of byte
 * 63 (XEdDSA with sign 0 verifies too). pub is the 32-byte Montgomery key without the 0x05 byte.
 * random64 is 64 fresh random bytes. Small-order keys and bad points are RC_AUTH. */
void curve_sign(uint8_t sig[64], const uint8_t priv[32], struct bytes msg,
                const uint8_t random64[64]);
NODISCARD enum rc curve_verify(const uint8_t sig[64], const uint8_t pub[32], struct bytes msg);

/* Argon2id, interactive limits, self-describing text (libsodium crypto_pwhash_str): two-step PINs
 * and passwords. out holds 128 bytes. */
NODISCARD enum rc password_hash(char out[128], struct bytes password, struct err *err);
NODISCARD enum rc password_verify(const char stored[128], struct bytes password);

#endif
