/* curve.c - X25519, Ed25519, and signatures by Curve25519 keys, on libsodium.
 *
 * No branch or index depends on a private key here. Sources: RFC 7748, RFC 8032; for curve_*, the
 * XEdDSA text of the Signal documentation with the older placement of the sign bit. */
#include "crypto/prim.h"

#include <sodium.h>

#include "crypto/context.h"
#include "crypto/field.h"

void
x25519_public(uint8_t pub[32], const uint8_t priv[32])
{
    crypto_must(crypto_scalarmult_base(pub, priv) == 0, "x25519 base");
}

void
x25519_keypair(uint8_t priv[32], uint8_t pub[32], struct rng rng)
{
    rng_fill(rng, priv, X25519_SIZE);
    priv[0] &= 248;
    priv[31] = (priv[31] & 127) | 64;
    x25519_public(pub, priv);
}

enum rc
x25519_dh(uint8_t out[32], const uint8_t priv[32], const uint8_t pub[32])
{
    if (crypto_scalarmult(out, priv, pub) == 0)
        return RC_OK;
    bytes_wipe(out, X25519_SIZE);
    return RC_AUTH;
}

void
ed25519_public(uint8_t pub[32], const uint8_t seed[32])
{
    uint8_t both[crypto_sign_SECRETKEYBYTES];

    crypto_must(crypto_sign_seed_keypair(pub, both, seed) == 0, "ed25519 key");
    bytes_wipe(both, sizeof(both));
}

void
ed25519_keypair(uint8_t seed[32], uint8_t pub[32], struct rng rng)
{
    rng_fill(rng, seed, ED25519_SEED_SIZE);
    ed25519_public(pub, seed);
}

void
ed25519_sign(uint8_t sig[64], const uint8_t seed[32], struct bytes msg)
{
    uint8_t both[crypto_sign_SECRETKEYBYTES], pub[ED25519_PUBLIC_SIZE];

    crypto_must(crypto_sign_seed_keypair(pub, both, seed) == 0, "ed25519 key");
    crypto_must(crypto_sign_detached(sig, NULL, msg.ptr, msg.len, both) == 0, "ed25519 sign");
    bytes_wipe(both, sizeof(both));
}

enum rc
ed25519_verify(const uint8_t sig[64], const uint8_t pub[32], struct bytes msg)
{
    return crypto_sign_verify_detached(sig, msg.ptr, msg.len, pub) == 0 ? RC_OK : RC_AUTH;
}

/* The nonce: SHA-512(FE FF..FF || private key || message || 64 random bytes), reduced. The prefix
 * can never be the start of a point or key, so this hash is apart from every other use of SHA-512.
 */
static void
make_nonce(uint8_t nonce[32], const uint8_t priv[32], struct bytes msg, const uint8_t random64[64])
{
    crypto_hash_sha512_state state;
    uint8_t prefix[32], wide[64];

    memset(prefix, 0xff, sizeof(prefix));
    prefix[0] = 0xfe;
    crypto_hash_sha512_init(&state);
    crypto_hash_sha512_update(&state, prefix, sizeof(prefix));
    crypto_hash_sha512_update(&state, priv, X25519_SIZE);
    crypto_hash_sha512_update(&state, msg.ptr, msg.len);
    crypto_hash_sha512_update(&state, random64, 64);
    crypto_hash_sha512_final(&state, wide);
    crypto_core_ed25519_scalar_reduce(nonce, wide);
    bytes_wipe(&state, sizeof(state));
    bytes_wipe(wide, sizeof(wide));
}

/* SHA-512(R || public point || message), reduced. */
static void
make_challenge(uint8_t challenge[32], const uint8_t r[32], const uint8_t point[32],
               struct bytes msg)
{
    crypto_hash_sha512_state state;
    uint8_t wide[64];

    crypto_hash_sha512_init(&state);
    crypto_hash_sha512_update(&state, r, 32);
    crypto_hash_sha512_update(&state, point, 32);
    crypto_hash_sha512_update(&state, msg.ptr, msg.len);
    crypto_hash_sha512_final(&state, wide);
    crypto_core_ed25519_scalar_reduce(challenge, wide);
}

void
curve_sign(uint8_t sig[64], const uint8_t priv[32], struct bytes msg, const uint8_t random64[64])
{
    uint8_t scalar[32], point[32], nonce[32], challenge[32], product[32];

    memcpy(scalar, priv, sizeof(scalar));
    scalar[0] &= 248;
    scalar[31] = (scalar[31] & 127) | 64;
    crypto_must(crypto_scalarmult_ed25519_base_noclamp(point, scalar) == 0, "curve key");
    make_nonce(nonce, scalar, msg, random64);
    /* zero with probability 2^-252: as good as impossible, and refused */
    crypto_must(crypto_scalarmult_ed25519_base_noclamp(sig, nonce) == 0, "curve nonce");
    make_challenge(challenge, sig, point, msg);
    crypto_core_ed25519_scalar_mul(product, challenge, scalar);
    crypto_core_ed25519_scalar_add(sig + 32, product, nonce);
    sig[63] |= point[31] & 0x80;
    bytes_wipe(scalar, sizeof(scalar));
    bytes_wipe(nonce, sizeof(nonce));
    bytes_wipe(product, sizeof(product));
}

enum rc
curve_verify(const uint8_t sig[64], const uint8_t pub[32], struct bytes msg)
{
    uint8_t plain[64], point[32];

    field_edwards_y(point, pub);
    memcpy(plain, sig, sizeof(plain));
    point[31] |= sig[63] & 0x80;
    plain[63] &= 0x7f;
    return ed25519_verify(plain, point, msg);
}
