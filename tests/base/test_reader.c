/* Tests of base/reader: fields in order, and the failure that sticks. */
#include "base/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const uint8_t sample[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,   10,
                                 11, 12, 13, 14, 15, 16, 17, 18, 'a', 'b'};

static void
test_fields_in_order(void **state)
{
    struct reader r = reader_over(bytes_of(sample, sizeof(sample)));
    struct bytes run;

    assert_int_equal(reader_left(&r), sizeof(sample));
    assert_int_equal(reader_u8(&r), 0x01);
    assert_int_equal(reader_u16be(&r), 0x0203);
    assert_int_equal(reader_u24be(&r), 0x040506);
    assert_int_equal(reader_u32be(&r), 0x0708090a);
    assert_true(reader_u64be(&r) == 0x0b0c0d0e0f101112u);
    assert_false(reader_finished(&r)); /* left over */
    run = reader_borrow(&r, 1);
    assert_ptr_equal(run.ptr, sample + 18);
    assert_int_equal(run.len, 1);
    run = reader_rest(&r);
    assert_int_equal(run.len, 1);
    assert_true(reader_finished(&r));
    assert_int_equal(reader_rest(&r).len, 0);
    assert_true(reader_finished(&r));
}

/* Read the whole sample shape from every shorter input: it must fail, and give zeros after that. */
static void
test_every_cut_fails_and_sticks(void **state)
{
    for (size_t len = 0; len < sizeof(sample); len++) {
        struct reader r = reader_over(bytes_of(sample, len));

        reader_u8(&r);
        reader_u16be(&r);
        reader_u24be(&r);
        reader_u32be(&r);
        reader_u64be(&r);
        reader_borrow(&r, 2);
        assert_true(r.failed);
        assert_false(reader_finished(&r));
        assert_int_equal(reader_u8(&r), 0); /* even where a byte is left */
        assert_int_equal(reader_left(&r), 0);
        assert_null(reader_rest(&r).ptr);
        assert_null(reader_borrow(&r, 0).ptr);
    }
}

static void
test_huge_length_from_outside(void **state)
{
    struct reader r = reader_over(bytes_of(sample, sizeof(sample)));

    assert_int_equal(reader_borrow(&r, SIZE_MAX).len, 0);
    assert_true(r.failed);
}

static void
test_nothing_at_all(void **state)
{
    struct reader r = reader_over(bytes_of(NULL, 0));

    assert_true(reader_finished(&r));
    assert_int_equal(reader_borrow(&r, 0).len, 0);
    assert_true(reader_finished(&r));
    assert_int_equal(reader_u64be(&r), 0);
    assert_false(reader_finished(&r));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_in_order),
        cmocka_unit_test(test_every_cut_fails_and_sticks),
        cmocka_unit_test(test_huge_length_from_outside),
        cmocka_unit_test(test_nothing_at_all),
    };

    return cmocka_run_group_tests_name("base/reader", tests, NULL, NULL);
}
