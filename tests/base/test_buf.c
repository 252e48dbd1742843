/* Tests of base/buf: byte order, the ceiling and how it sticks, growth, consuming. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void
test_integers_are_big_endian(void **state)
{
    static const uint8_t want[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18};
    struct buf buf;

    buf_init(&buf, 100);
    buf_put_u8(&buf, 0x01);
    buf_put_u16be(&buf, 0x0203);
    buf_put_u24be(&buf, 0x040506);
    buf_put_u32be(&buf, 0x0708090a);
    buf_put_u64be(&buf, 0x0b0c0d0e0f101112);
    assert_int_equal(buf.len, sizeof(want));
    assert_memory_equal(buf.ptr, want, sizeof(want));
    buf_wipe(&buf);
}

static void
test_ceiling_is_exact_and_sticks(void **state)
{
    for (size_t max = 0; max < 300; max++) {
        struct buf buf;

        buf_init(&buf, max);
        for (size_t i = 0; i < max; i++)
            buf_put_u8(&buf, (uint8_t)i);
        assert_false(buf_failed(&buf));
        assert_int_equal(buf.len, max);
        buf_put_u8(&buf, 0);
        assert_true(buf_failed(&buf));
        assert_int_equal(buf.len, max);
        buf_consume(&buf, max / 2);
        buf_put_u8(&buf, 0); /* there would be room now, but the failure stays */
        assert_true(buf_failed(&buf));
        assert_int_equal(buf.len, max - max / 2);
        assert_string_equal(buf_cstr(&buf), "");
        buf_reset(&buf);
        assert_false(buf_failed(&buf));
        buf_free(&buf);
    }
}

static void
test_too_much_at_once_appends_nothing(void **state)
{
    struct buf buf;

    buf_init(&buf, 8);
    buf_put_str(&buf, "12345");
    buf_put_str(&buf, "6789");
    assert_true(buf_failed(&buf));
    assert_int_equal(buf.len, 5);
    buf_reset(&buf);
    assert_null(buf_extend(&buf, SIZE_MAX));
    buf_reset(&buf);
    assert_false(buf_reserve(&buf, 9));
    buf_reset(&buf);
    buf_printf(&buf, "%s", "123456789");
    assert_true(buf_failed(&buf));
    assert_int_equal(buf.len, 0);
    buf_free(&buf);
}

static void
test_text(void **state)
{
    struct buf buf;

    buf_init(&buf, 1000);
    assert_string_equal(buf_cstr(&buf), "");
    buf_printf(&buf, "%s", "");
    assert_false(buf_failed(&buf));
    for (int i = 0; i < 100; i++)
        buf_printf(&buf, "%02d", i);
    buf_put_char(&buf, '!');
    buf_put_str(&buf, NULL);
    assert_int_equal(strlen(buf_cstr(&buf)), 201);
    assert_int_equal(strncmp(buf_cstr(&buf), "000102", 6), 0);
    assert_string_equal(buf_cstr(&buf) + 196, "9899!");
    buf_consume(&buf, 196);
    assert_string_equal(buf_cstr(&buf), "9899!");
    buf_consume(&buf, 5);
    assert_int_equal(buf.len, 0);
    buf_wipe(&buf);
}

static void
test_reserve_keeps_the_place(void **state)
{
    struct buf buf;
    uint8_t *place;

    buf_init(&buf, 1 << 20);
    assert_true(buf_reserve(&buf, 5000));
    place = buf_extend(&buf, 1);
    for (int i = 0; i < 4999; i++)
        buf_put_u8(&buf, 7);
    assert_ptr_equal(buf.ptr, place);
    buf_free(&buf);
    buf_free(&buf);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_are_big_endian),
        cmocka_unit_test(test_ceiling_is_exact_and_sticks),
        cmocka_unit_test(test_too_much_at_once_appends_nothing),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_reserve_keeps_the_place),
    };

    return cmocka_run_group_tests_name("base/buf", tests, NULL, NULL);
}
