/* Padding: lengths that come out, and what is not padding. */
#include "content/check.h"

#include "samples.h"

static const struct size_case {
    size_t len, want;
} sizes[] = {
    {0,     64   },
    {63,    64   },
    {64,    128  },
    {127,   128  },
    {1023,  1024 },
    {1024,  1280 },
    {1279,  1280 },
    {1280,  1536 },
    {65279, 65280},
    {65535, 65536},
};

static void
test_sizes_and_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct buf buf;
        struct bytes inner;
        uint8_t *at;

        buf_init(&buf, CONTENT_MAX);
        assert_int_equal(pad_size(sizes[i].len), sizes[i].want);
        at = buf_extend(&buf, sizes[i].len);
        if (sizes[i].len > 0)
            memset(at, 0x80, sizes[i].len); /* looks like the mark, and is not */
        pad_append(&buf, sizes[i].len);
        assert_int_equal(buf.len, sizes[i].want);
        assert_int_equal(pad_strip(&inner, buf_bytes(&buf), NULL), RC_OK);
        assert_int_equal(inner.len, sizes[i].len);
        buf_free(&buf);
    }
}

static void
test_strip_refuses(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"",                0},
        {"\0\0\0\0",        4},
        {"abc",             3},
        {"abc\x80\0\0\x01", 7},
        {"abc\x81\0\0",     6},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct bytes inner;

        assert_int_equal(pad_strip(&inner, bytes_of(bad[i].bytes, bad[i].len), NULL), RC_MALFORMED);
        assert_int_equal(inner.len, 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_and_round_trip),
        cmocka_unit_test(test_strip_refuses),
    };

    return cmocka_run_group_tests_name("content/pad", tests, NULL, NULL);
}
