/* Tests of crypto/curve and crypto/field: published vectors, both sign bits, keys of small order,
 * and the session library's own curve code as an independent judge. */
#include "crypto/prim.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <sodium.h>

#include "base/attr.h"
#include "base/hex.h"
#include "crypto/field.h"

static void
from_hex(uint8_t *out, size_t len, const char *text)
{
    assert_int_equal(hex_read(out, len, bytes_of_str(text), NULL), RC_OK);
}

/* RFC 7748, section 6.1: Bob's side of the exchange. */
static void
test_curve_x25519_vector(void **state)
{
    uint8_t priv[32], pub[32], peer[32], want[32], out[32];

    from_hex(priv, 32, "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    from_hex(peer, 32, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    from_hex(want, 32, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    x25519_public(pub, priv);
    assert_memory_equal(pub, want, 32);
    from_hex(want, 32, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_int_equal(x25519_dh(out, priv, peer), RC_OK);
    assert_memory_equal(out, want, 32);
}

static void
test_curve_x25519_keypairs(void **state)
{
    uint8_t a[32], a_pub[32], b[32], b_pub[32], ab[32], ba[32];

    x25519_keypair(a, a_pub, rng_system());
    x25519_keypair(b, b_pub, rng_system());
    assert_int_equal(a[0] & 7, 0);
    assert_int_equal(a[31] & 0xc0, 0x40);
    assert_int_equal(x25519_dh(ab, a, b_pub), RC_OK);
    assert_int_equal(x25519_dh(ba, b, a_pub), RC_OK);
    assert_memory_equal(ab, ba, 32);
}

/* Points of small order in u form; the last two are p and p + 1, which mean 0 and 1. */
static const char *const small_order[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void
test_curve_zero_secret_refused(void **state)
{
    static const uint8_t zeros[32];
    uint8_t priv[32], pub[32], bad[32], out[32];

    x25519_keypair(priv, pub, rng_system());
    for (size_t i = 0; i < ARRAY_LEN(small_order); i++) {
        from_hex(bad, 32, small_order[i]);
        assert_int_equal(x25519_dh(out, priv, bad), RC_AUTH);
        assert_memory_equal(out, zeros, 32);
    }
}

/* RFC 8032, section 7.1, test 2 */
static void
test_curve_ed25519_vector(void **state)
{
    uint8_t seed[32], pub[32], want[64], sig[64];

    from_hex(seed, 32, "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    from_hex(want, 32, "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    ed25519_public(pub, seed);
    assert_memory_equal(pub, want, 32);
    from_hex(want, 64,
             "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
             "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
    ed25519_sign(sig, seed, bytes_of("\x72", 1));
    assert_memory_equal(sig, want, 64);
    assert_int_equal(ed25519_verify(sig, pub, bytes_of("\x72", 1)), RC_OK);
    assert_int_equal(ed25519_verify(sig, pub, bytes_of("\x73", 1)), RC_AUTH);
    sig[10] ^= 1;
    assert_int_equal(ed25519_verify(sig, pub, bytes_of("\x72", 1)), RC_AUTH);
}

/* libsodium knows the map in the other direction: there and back again. */
static void
test_curve_field_inverts_the_map(void **state)
{
    for (int i = 0; i < 300; i++) {
        uint8_t seed[32], edwards[32], montgomery[32], y[32];

        ed25519_keypair(seed, edwards, rng_system());
        assert_int_equal(crypto_sign_ed25519_pk_to_curve25519(montgomery, edwards), 0);
        field_edwards_y(y, montgomery);
        edwards[31] &= 0x7f;
        assert_memory_equal(y, edwards, 32);
        montgomery[31] |= 0x80; /* ignored */
        field_edwards_y(y, montgomery);
        assert_memory_equal(y, edwards, 32);
    }
}

/* Where limbs carry and wrap. y = (u - 1) / (u + 1), computed by hand. */
static const struct {
    const char *u, *y;
} field_cases[] = {
  /* 0: -1 */
    {"0000000000000000000000000000000000000000000000000000000000000000",
     "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
 /* p, which is 0 */
    {"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
     "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
 /* 1: 0 */
    {"0100000000000000000000000000000000000000000000000000000000000000",
     "0000000000000000000000000000000000000000000000000000000000000000"},
 /* 9, the base point: 4/5 */
    {"0900000000000000000000000000000000000000000000000000000000000000",
     "5866666666666666666666666666666666666666666666666666666666666666"},
 /* -1 has no image: 0 */
    {"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
     "0000000000000000000000000000000000000000000000000000000000000000"},
 /* 2^255 - 1, which is 18: 17/19 */
    {"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
     "c66b28afa1bc86f21aca6b28afa1bc86f21aca6b28afa1bc86f21aca6b28af21"},
};

static void
test_curve_field_edges(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(field_cases); i++) {
        uint8_t u[32], want[32], y[32];

        from_hex(u, 32, field_cases[i].u);
        from_hex(want, 32, field_cases[i].y);
        field_edwards_y(y, u);
        assert_memory_equal(y, want, 32);
    }
}

static void
test_curve_signatures_with_both_sign_bits(void **state)
{
    struct bytes msg = bytes_of_str("signed prekey");
    unsigned seen[2] = {0};

    for (int i = 0; i < 100; i++) {
        uint8_t priv[32], pub[32], random64[64], sig[64];

        x25519_keypair(priv, pub, rng_system());
        rng_fill(rng_system(), random64, sizeof(random64));
        curve_sign(sig, priv, msg, random64);
        seen[sig[63] >> 7]++;
        assert_int_equal(curve_verify(sig, pub, msg), RC_OK);
        assert_int_equal(curve_verify(sig, pub, bytes_of_str("signed prekex")), RC_AUTH);
        sig[63] ^= 0x80;
        assert_int_equal(curve_verify(sig, pub, msg), RC_AUTH);
    }
    assert_true(seen[0] > 10 && seen[1] > 10); /* the chance to fail here is below 2^-60 */
}

static void
test_curve_every_bit_of_a_signature(void **state)
{
    struct bytes msg = bytes_of_str("m");
    uint8_t priv[32], pub[32], random64[64] = {5}, sig[64];

    x25519_keypair(priv, pub, rng_system());
    curve_sign(sig, priv, msg, random64);
    for (size_t bit = 0; bit < 512; bit++) {
        sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(curve_verify(sig, pub, msg), RC_AUTH);
        sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < 255; bit++) { /* the 256th is no part of a u-coordinate */
        pub[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(curve_verify(sig, pub, msg), RC_AUTH);
        pub[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(curve_verify(sig, pub, msg), RC_OK);
}

/* The other form in use: sign bit always 0, the private key negated where its point's is 1. */
static void
test_curve_verifies_xeddsa(void **state)
{
    for (int i = 0; i < 20; i++) {
        uint8_t priv[32], pub[32], scalar[32], point[32], nonce[32], wide[64], sig[64];
        crypto_hash_sha512_state hash;

        x25519_keypair(priv, pub, rng_system());
        memcpy(wide, priv, 32);
        memset(wide + 32, 0, 32);
        crypto_core_ed25519_scalar_reduce(scalar, wide);
        assert_int_equal(crypto_scalarmult_ed25519_base_noclamp(point, scalar), 0);
        if (point[31] & 0x80)
            crypto_core_ed25519_scalar_negate(scalar, scalar);
        assert_int_equal(crypto_scalarmult_ed25519_base_noclamp(point, scalar), 0);
        assert_int_equal(point[31] & 0x80, 0);
        crypto_core_ed25519_scalar_random(nonce);
        assert_int_equal(crypto_scalarmult_ed25519_base_noclamp(sig, nonce), 0);
        crypto_hash_sha512_init(&hash);
        crypto_hash_sha512_update(&hash, sig, 32);
        crypto_hash_sha512_update(&hash, point, 32);
        crypto_hash_sha512_update(&hash, (const uint8_t *)"m", 1);
        crypto_hash_sha512_final(&hash, wide);
        crypto_core_ed25519_scalar_reduce(sig + 32, wide);
        crypto_core_ed25519_scalar_mul(sig + 32, sig + 32, scalar);
        crypto_core_ed25519_scalar_add(sig + 32, sig + 32, nonce);
        assert_int_equal(curve_verify(sig, pub, bytes_of_str("m")), RC_OK);
    }
}

static void
test_curve_small_order_keys_refused(void **state)
{
    struct bytes msg = bytes_of_str("m");

    for (size_t i = 0; i < ARRAY_LEN(small_order); i++) {
        uint8_t pub[32], sig[64] = {1}; /* R neutral, S zero: verifies under the neutral key */

        from_hex(pub, 32, small_order[i]);
        assert_int_equal(curve_verify(sig, pub, msg), RC_AUTH);
        sig[63] |= 0x80;
        assert_int_equal(curve_verify(sig, pub, msg), RC_AUTH);
    }
}

/* The session library carries curve code of other authors: it is asked directly, and where it is
 * not installed the test says so. */
static void
test_curve_agrees_with_the_session_library(void **state)
{
    union {
        void *symbol;
        int (*call)(uint8_t *sig, const uint8_t *priv, const uint8_t *msg, unsigned long len,
                    const uint8_t *random64);
    } sign;
    union {
        void *symbol;
        int (*call)(const uint8_t *sig, const uint8_t *pub, const uint8_t *msg, unsigned long len);
    } verify;
    struct bytes msg = bytes_of_str("one message, two implementations");
    void *lib = dlopen("libsignal-protocol-c.so", RTLD_NOW | RTLD_LOCAL);

    if (lib == NULL) {
        print_message("skipped: libsignal-protocol-c.so is not installed\n");
        skip();
    }
    sign.symbol = dlsym(lib, "curve25519_sign");
    verify.symbol = dlsym(lib, "curve25519_verify");
    assert_non_null(sign.symbol);
    assert_non_null(verify.symbol);
    for (int i = 0; i < 50; i++) {
        uint8_t priv[32], pub[32], random64[64], ours[64], theirs[64];

        x25519_keypair(priv, pub, rng_system());
        rng_fill(rng_system(), random64, sizeof(random64));
        curve_sign(ours, priv, msg, random64);
        assert_int_equal(sign.call(theirs, priv, msg.ptr, msg.len, random64), 0);
        assert_memory_equal(ours, theirs, 64);
        assert_int_equal(verify.call(ours, pub, msg.ptr, msg.len), 0);
        assert_int_equal(curve_verify(theirs, pub, msg), RC_OK);
    }
    dlclose(lib);
}

static int
start(void **state)
{
    return crypto_start(NULL) == RC_OK ? 0 : -1;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_curve_x25519_vector),
        cmocka_unit_test(test_curve_x25519_keypairs),
        cmocka_unit_test(test_curve_zero_secret_refused),
        cmocka_unit_test(test_curve_ed25519_vector),
        cmocka_unit_test(test_curve_field_inverts_the_map),
        cmocka_unit_test(test_curve_field_edges),
        cmocka_unit_test(test_curve_signatures_with_both_sign_bits),
        cmocka_unit_test(test_curve_every_bit_of_a_signature),
        cmocka_unit_test(test_curve_verifies_xeddsa),
        cmocka_unit_test(test_curve_small_order_keys_refused),
        cmocka_unit_test(test_curve_agrees_with_the_session_library),
    };

    return cmocka_run_group_tests_name("crypto/curve", tests, start, NULL);
}
