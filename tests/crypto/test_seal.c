/* Tests of crypto/seal: a record opens at its place, whole, and nowhere else. */
#include "folder.h"

static const uint8_t row_key[] = {0, 1, 2, 3};
static const struct seal_place home = {
    .table = "message", .column = "body", .key = {row_key, 4},
            .version = 5
};

struct fixture {
    struct folder f;
    struct keyring *ring;
    uint32_t key_id;
    struct buf record, plain;
};

static int
set_up(void **state)
{
    struct fixture *x = calloc(1, sizeof(*x));

    assert_non_null(x);
    folder_make(&x->f);
    x->ring = folder_open(&x->f);
    x->key_id = folder_key(x->ring, 7, SEAL_DAY, NOON);
    buf_init(&x->record, 1u << 20);
    buf_init(&x->plain, 1u << 20);
    *state = x;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *x = *state;

    keyring_free(&x->ring);
    folder_remove(&x->f);
    buf_free(&x->record);
    buf_free(&x->plain);
    free(x);
    return 0;
}

static enum rc
open_at(struct fixture *x, const struct seal_place *at)
{
    buf_reset(&x->plain);
    return seal_open(x->ring, at, buf_bytes(&x->record), &x->plain, NULL);
}

static void
test_seal_there_and_back(void **state)
{
    static const size_t sizes[] = {0, 1, 300, 70000};
    static const uint8_t plain[70000] = {1, 2, 3};
    struct fixture *x = *state;

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        buf_reset(&x->record);
        buf_put_str(&x->record, "before"); /* it is appended */
        assert_int_equal(
            seal_record(x->ring, x->key_id, &home, bytes_of(plain, sizes[i]), &x->record, NULL),
            RC_OK);
        assert_int_equal(x->record.len, 6 + sizes[i] + SEAL_OVERHEAD);
        assert_int_equal(x->record.ptr[6], 1);
        buf_consume(&x->record, 6);
        assert_int_equal(open_at(x, &home), RC_OK);
        assert_true(bytes_equal(buf_bytes(&x->plain), bytes_of(plain, sizes[i])));
    }
}

static void
test_seal_never_the_same_twice(void **state)
{
    struct fixture *x = *state;
    struct buf again;

    buf_init(&again, 4096);
    assert_int_equal(seal_record(x->ring, x->key_id, &home, bytes_of_str("text"), &x->record, NULL),
                     RC_OK);
    assert_int_equal(seal_record(x->ring, x->key_id, &home, bytes_of_str("text"), &again, NULL),
                     RC_OK);
    assert_memory_not_equal(again.ptr + 5, x->record.ptr + 5, 24);
    buf_free(&again);
}

/* Places that differ in one part, or whose parts join to the same text. */
static const struct seal_place elsewhere[] = {
    {.table = "messages",    .column = "body",    .key = {row_key, 4},     .version = 5         },
    {.table = "message",     .column = "header",  .key = {row_key, 4},     .version = 5         },
    {.table = "message",     .column = "body",    .key = {row_key, 3},     .version = 5         },
    {.table = "message",     .column = "body",    .key = {row_key + 1, 3}, .version = 5         },
    {.table = "message",     .column = "body",    .key = {NULL, 0},        .version = 5         },
    {.table = "message",     .column = "body",    .key = {row_key, 4},     .version = 4         },
    {.table = "message",     .column = "body",    .key = {row_key, 4},     .version = 5ull << 32},
    {.table = "messageb",    .column = "ody",     .key = {row_key, 4},     .version = 5         },
    {.table = "message\x04", .column = "body",    .key = {row_key, 4},     .version = 5         },
    {.table = "",            .column = "message", .key = {row_key, 4},     .version = 5         },
};

static void
test_seal_moved_records_refused(void **state)
{
    struct fixture *x = *state;

    assert_int_equal(seal_record(x->ring, x->key_id, &home, bytes_of_str("text"), &x->record, NULL),
                     RC_OK);
    for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++) {
        if (open_at(x, &elsewhere[i]) != RC_AUTH)
            fail_msg("opened at place %zu", i);
        assert_int_equal(x->plain.len, 0);
    }
    assert_int_equal(open_at(x, &home), RC_OK);
}

static void
test_seal_every_bit_and_length(void **state)
{
    struct fixture *x = *state;

    assert_int_equal(seal_record(x->ring, x->key_id, &home, bytes_of_str("text"), &x->record, NULL),
                     RC_OK);
    for (size_t bit = 0; bit < x->record.len * 8; bit++) {
        enum rc want = bit / 8 >= 1 && bit / 8 <= 4 ? RC_NOTFOUND : RC_AUTH;

        x->record.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (open_at(x, &home) != want)
            fail_msg("bit %zu", bit);
        assert_int_equal(x->plain.len, 0);
        x->record.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    size_t whole = x->record.len;
    for (x->record.len = 0; x->record.len < whole; x->record.len++)
        assert_int_equal(open_at(x, &home), RC_AUTH);
    buf_put_u8(&x->record, 0); /* and one byte more */
    assert_int_equal(open_at(x, &home), RC_AUTH);
}

/* The key's id is part of what is authenticated: another day's key does not open it either. */
static void
test_seal_other_keys_refused(void **state)
{
    struct fixture *x = *state;
    uint32_t other = folder_key(x->ring, 7, SEAL_DAY, NOON + DAY);

    assert_true(other < 256);
    assert_int_equal(seal_record(x->ring, x->key_id, &home, bytes_of_str("text"), &x->record, NULL),
                     RC_OK);
    x->record.ptr[4] = (uint8_t)other;
    assert_int_equal(open_at(x, &home), RC_AUTH);
    /* neither a scope's own key nor one that was never made seals anything */
    for (uint32_t id = 0; id < 100; id++) {
        enum rc want = id == x->key_id || id == other ? RC_OK : RC_NOTFOUND;

        buf_reset(&x->plain);
        assert_int_equal(seal_record(x->ring, id, &home, bytes_of_str("x"), &x->plain, NULL), want);
        assert_true(want == RC_OK || x->plain.len == 0);
    }
}

static void
test_seal_places_have_limits(void **state)
{
    char name[SEAL_NAME_MAX + 2];
    uint8_t key[SEAL_KEY_MAX + 1] = {0};
    struct seal_place longest = {
        .table = name, .column = name, .key = {key, SEAL_KEY_MAX},
                .version = UINT64_MAX
    };
    struct fixture *x = *state;

    memset(name, 'n', sizeof(name));
    name[SEAL_NAME_MAX] = 0;
    assert_int_equal(
        seal_record(x->ring, x->key_id, &longest, bytes_of_str("text"), &x->record, NULL), RC_OK);
    assert_int_equal(open_at(x, &longest), RC_OK);
    longest.key.len++;
    assert_int_equal(open_at(x, &longest), RC_INVAL);
    longest.key.len--;
    name[SEAL_NAME_MAX] = 'n';
    name[SEAL_NAME_MAX + 1] = 0;
    assert_int_equal(open_at(x, &longest), RC_INVAL);
    assert_int_equal(
        seal_record(x->ring, x->key_id, &longest, bytes_of_str("text"), &x->plain, NULL), RC_INVAL);
}

static void
test_seal_no_room(void **state)
{
    struct fixture *x = *state;
    struct buf tiny;

    buf_init(&tiny, 10);
    assert_int_equal(seal_record(x->ring, x->key_id, &home, bytes_of_str("text"), &tiny, NULL),
                     RC_NOMEM);
    assert_int_equal(tiny.len, 0);
    buf_free(&tiny);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_seal_there_and_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_seal_never_the_same_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_seal_moved_records_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_seal_every_bit_and_length, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_seal_other_keys_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_seal_places_have_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_seal_no_room, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("crypto/seal", tests, start_crypto, NULL);
}
