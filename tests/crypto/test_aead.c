/* Tests of crypto/aead: published vectors, every bit, in place. */
#include "crypto/prim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "base/attr.h"
#include "base/hex.h"

/* Both ciphers behind one shape: the nonce is read as far as the cipher needs it. */
struct cipher {
    const char *name;
    void (*seal)(uint8_t *out, const uint8_t *key, const uint8_t *nonce, struct bytes ad,
                 struct bytes in);
    enum rc (*open)(uint8_t *out, const uint8_t *key, const uint8_t *nonce, struct bytes ad,
                    struct bytes in);
    size_t nonce_size;
};

static const struct cipher ciphers[] = {
    {"gcm",     aes256gcm_seal, aes256gcm_open, 12},
    {"xchacha", xchacha_seal,   xchacha_open,   24},
};

static void
from_hex(uint8_t *out, size_t len, const char *text)
{
    assert_int_equal(hex_read(out, len, bytes_of_str(text), NULL), RC_OK);
}

/* The GCM specification's test case 16 (AES-256, 60 bytes, associated data). */
static void
test_aead_gcm_vector(void **state)
{
    uint8_t key[32], nonce[12], ad[20], plain[60], want[76], out[76];

    from_hex(key, 32, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    from_hex(nonce, 12, "cafebabefacedbaddecaf888");
    from_hex(ad, 20, "feedfacedeadbeeffeedfacedeadbeefabaddad2");
    from_hex(plain, 60,
             "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
             "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
    from_hex(want, 76,
             "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
             "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
             "76fc6ece0f4e1768cddf8853bb2d551b");
    aes256gcm_seal(out, key, nonce, bytes_of(ad, 20), bytes_of(plain, 60));
    assert_memory_equal(out, want, sizeof(want));
}

/* draft-irtf-cfrg-xchacha-03, appendix A.3.1. */
static void
test_aead_xchacha_vector(void **state)
{
    static const char plain[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
                                "only one tip for the future, sunscreen would be it.";
    uint8_t key[32], nonce[24], ad[12], tag[16], out[sizeof(plain) - 1 + 16];

    for (uint8_t i = 0; i < 32; i++)
        key[i] = 0x80 + i;
    for (uint8_t i = 0; i < 24; i++)
        nonce[i] = 0x40 + i;
    from_hex(ad, 12, "50515253c0c1c2c3c4c5c6c7");
    from_hex(tag, 16, "c0875924c1c7987947deafd8780acf49");
    xchacha_seal(out, key, nonce, bytes_of(ad, 12), bytes_of_str(plain));
    assert_memory_equal(out + sizeof(plain) - 1, tag, 16);
}

static const size_t sizes[] = {0, 1, 15, 16, 17, 300, 5000};

static void
test_aead_round_trip_in_place(void **state)
{
    uint8_t key[32] = {1}, nonce[24] = {2}, plain[5000], room[5016];

    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (uint8_t)(i * 7);
    for (size_t c = 0; c < ARRAY_LEN(ciphers); c++)
        for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
            size_t n = sizes[s];

            memcpy(room, plain, n);
            ciphers[c].seal(room, key, nonce, bytes_of_str("ad"), bytes_of(room, n));
            if (n > 4)
                assert_memory_not_equal(room, plain, n);
            assert_int_equal(
                ciphers[c].open(room, key, nonce, bytes_of_str("ad"), bytes_of(room, n + 16)),
                RC_OK);
            assert_memory_equal(room, plain, n);
        }
}

static void
test_aead_every_bit_is_authenticated(void **state)
{
    static const uint8_t zeros[20];

    for (size_t c = 0; c < ARRAY_LEN(ciphers); c++) {
        uint8_t key[32] = {1}, nonce[24] = {2}, ad[3] = {3}, sealed[36], out[20];
        /* everything that goes into opening, one after another */
        struct {
            uint8_t *at;
            size_t len;
        } parts[] = {
            {key,    sizeof(key)          },
            {nonce,  ciphers[c].nonce_size},
            {ad,     sizeof(ad)           },
            {sealed, sizeof(sealed)       },
        };

        ciphers[c].seal(sealed, key, nonce, bytes_of(ad, 3), bytes_of_str("twenty bytes of text"));
        for (size_t p = 0; p < ARRAY_LEN(parts); p++)
            for (size_t bit = 0; bit < parts[p].len * 8; bit++) {
                parts[p].at[bit / 8] ^= (uint8_t)(1 << bit % 8);
                memset(out, 0xee, sizeof(out));
                assert_int_equal(ciphers[c].open(out, key, nonce, bytes_of(ad, 3),
                                                 bytes_of(sealed, sizeof(sealed))),
                                 RC_AUTH);
                assert_memory_equal(out, zeros, sizeof(out)); /* nothing is left to be used */
                parts[p].at[bit / 8] ^= (uint8_t)(1 << bit % 8);
            }
        for (size_t n = 0; n < sizeof(sealed); n++)
            assert_int_equal(ciphers[c].open(out, key, nonce, bytes_of(ad, 3), bytes_of(sealed, n)),
                             RC_AUTH);
        assert_int_equal(
            ciphers[c].open(out, key, nonce, bytes_of(ad, 3), bytes_of(sealed, sizeof(sealed))),
            RC_OK);
        assert_memory_equal(out, "twenty bytes of text", 20);
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
        cmocka_unit_test(test_aead_gcm_vector),
        cmocka_unit_test(test_aead_xchacha_vector),
        cmocka_unit_test(test_aead_round_trip_in_place),
        cmocka_unit_test(test_aead_every_bit_is_authenticated),
    };

    return cmocka_run_group_tests_name("crypto/aead", tests, start, NULL);
}
