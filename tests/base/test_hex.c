/* Tests of base/hex: hexadecimal and base64; vectors of RFC 4648, section 10. */
#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void
test_hex_both_ways(void **state)
{
    static const uint8_t raw[] = {0x00, 0x1f, 0xa0, 0xff};
    uint8_t back[4];
    struct buf buf;

    buf_init(&buf, 100);
    hex_put(&buf, bytes_of(raw, sizeof(raw)));
    assert_string_equal(buf_cstr(&buf), "001fa0ff");
    hex_put_upper(&buf, bytes_of(raw, sizeof(raw)));
    hex_put(&buf, bytes_of(NULL, 0));
    assert_string_equal(buf_cstr(&buf), "001fa0ff001FA0FF");
    assert_int_equal(hex_read(back, 4, bytes_of_str("001Fa0Ff"), NULL), RC_OK);
    assert_memory_equal(back, raw, 4);
    buf_free(&buf);
}

static void
test_hex_refuses(void **state)
{
    static const char *const bad[] = {"",       "0",    "00",   "001",  "00000",
                                      "000000", "0g00", "00 0", "0x00", "00-1"};
    uint8_t out[2];

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (hex_read(out, 2, bytes_of_str(bad[i]), NULL) != RC_MALFORMED)
            fail_msg("\"%s\" was taken", bad[i]);
    }
    assert_int_equal(hex_read(out, 0, bytes_of_str(""), NULL), RC_OK);
}

static const struct {
    const char *raw, *text, *url;
} base64_cases[] = {
    {"",             "",         ""        },
    {"f",            "Zg==",     "Zg"      },
    {"fo",           "Zm8=",     "Zm8"     },
    {"foo",          "Zm9v",     "Zm9v"    },
    {"foob",         "Zm9vYg==", "Zm9vYg"  },
    {"fooba",        "Zm9vYmE=", "Zm9vYmE" },
    {"foobar",       "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xfe", "+//+",     "-__-"    },
};

static void
test_base64_both_ways(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(base64_cases); i++) {
        struct bytes raw = bytes_of_str(base64_cases[i].raw);
        const char *spellings[] = {base64_cases[i].text, base64_cases[i].url};
        struct buf buf;

        buf_init(&buf, 100);
        base64_put(&buf, raw);
        assert_string_equal(buf_cstr(&buf), base64_cases[i].text);
        buf_reset(&buf);
        base64url_put(&buf, raw);
        assert_string_equal(buf_cstr(&buf), base64_cases[i].url);
        for (size_t k = 0; k < 2; k++) {
            buf_reset(&buf);
            assert_int_equal(base64_read(&buf, bytes_of_str(spellings[k]), NULL), RC_OK);
            assert_true(bytes_equal(buf_bytes(&buf), raw));
        }
        buf_free(&buf);
    }
}

static void
test_base64_refuses_and_leaves_nothing(void **state)
{
    static const char *const bad[] = {
        "A",     "=",     "==",      "====",   "A===",     "Zg=",   "Zg===",
        "Zm8==", "Zm9v=", "Zm9vYg=", "Zm9v\n", " Zm9v",    "Zm 9v", "Z=g=",
        "Zm9v!", "Zh==",  "Zm9",     "Zm9=",   "Zg==Zg==",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct buf buf;

        buf_init(&buf, 100);
        buf_put_str(&buf, "before");
        if (base64_read(&buf, bytes_of_str(bad[i]), NULL) != RC_MALFORMED)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_string_equal(buf_cstr(&buf), "before");
        buf_free(&buf);
    }
}

static void
test_base64_ceiling(void **state)
{
    struct buf buf;

    buf_init(&buf, 5);
    assert_int_equal(base64_read(&buf, bytes_of_str("Zm9vYmFy"), NULL), RC_NOMEM);
    buf_free(&buf);
    buf_init(&buf, 7);
    base64_put(&buf, bytes_of_str("foobar"));
    assert_true(buf_failed(&buf));
    buf_free(&buf);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hex_both_ways),
        cmocka_unit_test(test_hex_refuses),
        cmocka_unit_test(test_base64_both_ways),
        cmocka_unit_test(test_base64_refuses_and_leaves_nothing),
        cmocka_unit_test(test_base64_ceiling),
    };

    return cmocka_run_group_tests_name("base/hex", tests, NULL, NULL);
}
