/* What a job sees: values in and out, rows, and what happens to a job that uses them wrongly. */
#include "harness.h"

#include <string.h>

/* Run one function in a transaction and take its answer. */
#define IN_TX(store, fn) store_do((store), (fn), NULL, NULL)

static const struct value_case {
    const char *name;
    struct store_arg in;
    bool is_null;
    int64_t as_int;
    struct bytes as_bytes;
} value_cases[] = {
    {"null",            {.kind = STORE_NULL},                      true,  0,         {NULL, 0}                },
    {"zero",            {.kind = STORE_INT, .i = 0},               false, 0,         {(const uint8_t *)"0", 1}},
    {"smallest",
     {.kind = STORE_INT, .i = INT64_MIN},
     false,                                                               INT64_MIN,
     {(const uint8_t *)"-9223372036854775808", 20}                                                            },
    {"blob with zeros",
     {.kind = STORE_BLOB, .b = {(const uint8_t *)"a\0b", 3}},
     false,                                                               0,
     {(const uint8_t *)"a\0b", 3}                                                                             },
    {"empty blob",      {.kind = STORE_BLOB, .b = {NULL, 0}},      false, 0,         {NULL, 0}                },
    {"text",
     {.kind = STORE_TEXT, .b = {(const uint8_t *)"h\xc3\xa9", 3}},
     false,                                                               0,
     {(const uint8_t *)"h\xc3\xa9", 3}                                                                        },
    {"empty text",      {.kind = STORE_TEXT, .b = {NULL, 0}},      false, 0,         {NULL, 0}                },
};

static enum rc
values_run(void *ctx, struct store_tx *tx, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(value_cases); i++) {
        const struct value_case *c = &value_cases[i];
        struct store_rows rows;

        assert_int_equal(
            store_run(tx, &item_part, ITEM_PUT, NULL, err, ST_ARGS(ST_I(1), ST_I(i), c->in)),
            RC_OK);
        store_query(&rows, tx, &item_part, ITEM_BODY, ST_ARGS(ST_I(1), ST_I(i)));
        assert_true(rows.has_row);
        assert_int_equal(store_col_is_null(&rows, 0), c->is_null);
        assert_int_equal(store_col_int(&rows, 0), c->as_int);
        assert_true(bytes_equal(store_col_bytes(&rows, 0), c->as_bytes));
        store_next(&rows);
        assert_false(rows.has_row);
        assert_int_equal(rows.rc, RC_OK);
    }
    return RC_OK;
}

static void
test_values_come_back(void **state)
{
    struct store *store = item_store(":memory:");

    assert_int_equal(IN_TX(store, values_run), RC_OK);
    store_free(&store);
}

static enum rc
changed_run(void *ctx, struct store_tx *tx, struct err *err)
{
    uint64_t changed = 9;

    assert_int_equal(
        store_run(tx, &item_part, ITEM_PUT_ONCE, &changed, err, ST_ARGS(ST_I(1), ST_I(1), ST_NULL)),
        RC_OK);
    assert_int_equal(changed, 1);
    assert_int_equal(
        store_run(tx, &item_part, ITEM_PUT_ONCE, &changed, err, ST_ARGS(ST_I(1), ST_I(1), ST_NULL)),
        RC_OK);
    assert_int_equal(changed, 0);
    assert_int_equal(store_run(tx, &item_part, ITEM_DROP, &changed, err, ST_ARGS(ST_I(1), ST_I(7))),
                     RC_OK);
    assert_int_equal(changed, 0);
    return RC_OK;
}

static void
test_changed_counts_rows(void **state)
{
    struct store *store = item_store(":memory:");

    assert_int_equal(IN_TX(store, changed_run), RC_OK);
    store_free(&store);
}

/* Rows in order; the same loop left early, then started again; another statement inside it. */
static enum rc
rows_run(void *ctx, struct store_tx *tx, struct err *err)
{
    struct store_rows rows, body;
    int64_t want = 0;

    for (int64_t id = 0; id < 10; id++) {
        if (store_run(tx, &item_part, ITEM_PUT, NULL, err, ST_ARGS(ST_I(1), ST_I(id), ST_T("x"))) !=
            RC_OK)
            return err->rc;
    }
    for (store_query(&rows, tx, &item_part, ITEM_LIST, ST_ARGS(ST_I(1))); rows.has_row;
         store_next(&rows)) {
        if (store_col_int(&rows, 0) == 4)
            break;
    }
    store_rows_end(&rows);
    assert_false(rows.has_row);
    store_rows_end(&rows); /* once more does no harm */
    for (store_query(&rows, tx, &item_part, ITEM_LIST, ST_ARGS(ST_I(1))); rows.has_row;
         store_next(&rows)) {
        assert_int_equal(store_col_int(&rows, 0), want++);
        store_query(&body, tx, &item_part, ITEM_BODY, ST_ARGS(ST_I(1), ST_I(want - 1)));
        assert_true(bytes_equal(store_col_bytes(&body, 0), bytes_of_str("x")));
        store_rows_end(&body);
    }
    assert_int_equal(want, 10);
    return rows.rc;
}

static void
test_rows_in_order_and_left_early(void **state)
{
    struct store *store = item_store(":memory:");

    assert_int_equal(IN_TX(store, rows_run), RC_OK);
    store_free(&store);
}

/* A query's values need not outlive the call that started it. */
static enum rc
borrowed_run(void *ctx, struct store_tx *tx, struct err *err)
{
    int64_t shard = 1;
    struct store_arg args[1] = {ST_I(shard)};
    struct store_rows rows;
    int64_t n = 0;

    store_query(&rows, tx, &item_part, ITEM_LIST, args, 1);
    args[0] = ST_I(2);
    for (; rows.has_row; store_next(&rows))
        n++;
    assert_int_equal(n, 3);
    return rows.rc;
}

static void
test_values_are_borrowed_for_the_call(void **state)
{
    struct store *store = item_store(":memory:");

    for (int64_t id = 0; id < 3; id++)
        assert_int_equal(put_now(store, 1, id), RC_OK);
    assert_int_equal(IN_TX(store, borrowed_run), RC_OK);
    store_free(&store);
}

static enum rc
take_run(void *ctx, struct store_tx *tx, struct err *err)
{
    struct store_rows rows;

    store_query(&rows, tx, &item_part, ITEM_TAKE, ST_ARGS(ST_I(1)));
    *(int64_t *)ctx = rows.has_row ? store_col_int(&rows, 0) : -1;
    store_rows_end(&rows);
    return rows.rc;
}

static void
test_rows_of_a_change_are_returned(void **state)
{
    struct store *store = item_store(":memory:");
    static const int64_t want[] = {3, 5, -1};
    int64_t got;

    assert_int_equal(put_now(store, 1, 5), RC_OK);
    assert_int_equal(put_now(store, 1, 3), RC_OK);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_int_equal(store_do(store, take_run, &got, NULL), RC_OK);
        assert_int_equal(got, want[i]);
    }
    store_free(&store);
}

/* ---- wrong use is the job's own failure, and the next job finds everything in order ---- */

static enum rc
too_few_values(void *ctx, struct store_tx *tx, struct err *err)
{
    return store_run(tx, &item_part, ITEM_PUT, NULL, err, ST_ARGS(ST_I(1)));
}

static enum rc
wrong_sql(void *ctx, struct store_tx *tx, struct err *err)
{
    struct store_rows rows;

    store_query(&rows, tx, &item_part, ITEM_WRONG, ST_ARGS(ST_I(1)));
    assert_false(rows.has_row);
    return rows.rc;
}

static enum rc
null_in_key(void *ctx, struct store_tx *tx, struct err *err)
{
    return store_run(tx, &item_part, ITEM_PUT, NULL, err, ST_ARGS(ST_NULL, ST_NULL, ST_NULL));
}

static enum rc
leaves_rows_open(void *ctx, struct store_tx *tx, struct err *err)
{
    struct store_rows rows;

    store_query(&rows, tx, &item_part, ITEM_LIST, ST_ARGS(ST_I(1)));
    assert_true(rows.has_row);
    return RC_OK;
}

static enum rc
says_nothing(void *ctx, struct store_tx *tx, struct err *err)
{
    return RC_STALE;
}

static const struct wrong_case {
    const char *name;
    enum rc (*run)(void *ctx, struct store_tx *tx, struct err *err);
    enum rc want;
} wrong_cases[] = {
    {"too few values",           too_few_values,   RC_INVAL},
    {"SQL that does not parse",  wrong_sql,        RC_INVAL},
    {"NULL where it may not be", null_in_key,      RC_INVAL},
    {"rows left open",           leaves_rows_open, RC_OK   },
    {"an answer without a word", says_nothing,     RC_STALE},
};

static void
test_wrong_use_hurts_nobody_else(void **state)
{
    struct store *store = item_store(":memory:");

    assert_int_equal(put_now(store, 1, 0), RC_OK);
    assert_int_equal(put_now(store, 1, 1), RC_OK);
    for (size_t i = 0; i < ARRAY_LEN(wrong_cases); i++) {
        for (int twice = 0; twice < 2; twice++) {
            struct err err = {.rc = RC_OK};

            print_message("# %s\n", wrong_cases[i].name);
            assert_int_equal(store_do(store, wrong_cases[i].run, NULL, &err), wrong_cases[i].want);
            assert_int_equal(err.rc, wrong_cases[i].want);
            assert_int_equal(count_now(store, 1), 2);
        }
    }
    store_free(&store);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_come_back),
        cmocka_unit_test(test_changed_counts_rows),
        cmocka_unit_test(test_rows_in_order_and_left_early),
        cmocka_unit_test(test_values_are_borrowed_for_the_call),
        cmocka_unit_test(test_rows_of_a_change_are_returned),
        cmocka_unit_test(test_wrong_use_hurts_nobody_else),
    };

    return cmocka_run_group_tests_name("store/tx", tests, NULL, NULL);
}
