/* Tests of crypto/hash: published vectors, joined runs, threads. */
#include "crypto/prim.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "base/attr.h"
#include "base/hex.h"

static void
assert_hex(const uint8_t *got, size_t len, const char *want)
{
    struct buf text;

    buf_init(&text, 1024);
    hex_put(&text, bytes_of(got, len));
    assert_string_equal(buf_cstr(&text), want);
    buf_free(&text);
}

/* FIPS 180-4 examples */
static void
test_hash_sha2(void **state)
{
    uint8_t out[64];

    sha256(out, bytes_of(NULL, 0));
    assert_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256(out, bytes_of_str("abc"));
    assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_2(out, bytes_of_str("a"), bytes_of_str("bc"));
    assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha512(out, bytes_of_str("abc"));
    assert_hex(out, 64,
               "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
               "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

static const char long_key[] =
    "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"
    "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"
    "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"
    "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"
    "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"
    "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa";

/* RFC 4231 (SHA-256) cases 2 and 6; the third is the empty key and text */
static const struct {
    const char *key, *text, *want;
} hmac_cases[] = {
    {"Jefe",   "what do ya want for nothing?",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"                                                                    },
    {long_key, "Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"                                                                    },
    {"",       "",                                                       "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
};

static void
test_hash_hmac_sha256(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(hmac_cases); i++) {
        struct bytes key = bytes_of_str(hmac_cases[i].key);
        struct bytes text = bytes_of_str(hmac_cases[i].text);
        uint8_t out[32];

        hmac_sha256(out, key, text);
        assert_hex(out, 32, hmac_cases[i].want);
        for (size_t cut = 0; cut <= text.len; cut++) {
            hmac_sha256_2(out, key, bytes_of(text.ptr, cut),
                          bytes_of(text.ptr + cut, text.len - cut));
            assert_hex(out, 32, hmac_cases[i].want);
        }
    }
}

/* RFC 2202, cases 2 and 6 (its key is 80 bytes) */
static void
test_hash_hmac_sha1(void **state)
{
    uint8_t out[20];

    hmac_sha1(out, bytes_of_str("Jefe"), bytes_of_str("what do ya want for nothing?"));
    assert_hex(out, 20, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    hmac_sha1(out, bytes_of(long_key, 80),
              bytes_of_str("Test Using Larger Than Block-Size Key - Hash Key First"));
    assert_hex(out, 20, "aa4ae5e15272d00e95705637ce8a3b55ed402112");
}

/* RFC 5869, cases 1 and 3 */
static void
test_hash_hkdf(void **state)
{
    uint8_t ikm[22], salt[13], info[10], out[255 * 32], head[100];

    memset(ikm, 0x0b, sizeof(ikm));
    for (uint8_t i = 0; i < sizeof(salt); i++)
        salt[i] = i;
    for (uint8_t i = 0; i < sizeof(info); i++)
        info[i] = 0xf0 + i;
    hkdf_sha256(out, 42, bytes_of(ikm, 22), bytes_of(salt, 13), bytes_of(info, 10));
    assert_hex(
        out, 42,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    hkdf_sha256(out, 42, bytes_of(ikm, 22), bytes_of(NULL, 0), bytes_of(NULL, 0));
    assert_hex(
        out, 42,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
    /* a longer output starts with the shorter one; the longest works */
    hkdf_sha256(head, sizeof(head), bytes_of(ikm, 22), bytes_of(NULL, 0), bytes_of(NULL, 0));
    hkdf_sha256(out, sizeof(out), bytes_of(ikm, 22), bytes_of(NULL, 0), bytes_of(NULL, 0));
    assert_memory_equal(out, head, sizeof(head));
}

/* Gives its argument back if anything went wrong. */
static void *
hash_often(void *arg)
{
    uint8_t want[32], out[32];

    hmac_sha256(want, bytes_of_str("k"), bytes_of_str("v"));
    for (int i = 0; i < 2000; i++) {
        hmac_sha256(out, bytes_of_str("k"), bytes_of_str("v"));
        if (memcmp(out, want, sizeof(out)) != 0)
            return arg;
    }
    return NULL;
}

static void
test_hash_threads(void **state)
{
    pthread_t threads[4];
    int mark = 0;
    void *failed;

    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hash_often, &mark), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
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
        cmocka_unit_test(test_hash_sha2),      cmocka_unit_test(test_hash_hmac_sha256),
        cmocka_unit_test(test_hash_hmac_sha1), cmocka_unit_test(test_hash_hkdf),
        cmocka_unit_test(test_hash_threads),
    };

    return cmocka_run_group_tests_name("crypto/hash", tests, start, NULL);
}
