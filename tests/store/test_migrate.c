/* Schemas grow: each script once, in order, all or nothing, and never backwards. */
#include "harness.h"

static const char *const scripts[] = {
    "CREATE TABLE shelf (shard BIGINT NOT NULL, id BIGINT NOT NULL, PRIMARY KEY (shard, id));"
    "INSERT INTO shelf (shard, id) VALUES (1, 1);",
    "ALTER TABLE shelf ADD COLUMN label TEXT; INSERT INTO shelf (shard, id) VALUES (1, 2);",
    "CREATE TABLE half (shard BIGINT NOT NULL, id BIGINT NOT NULL, PRIMARY KEY (shard, id));"
    "CREATE GARBAGE;",
};
static const char *const statements[] = {"SELECT COUNT(*) FROM shelf WHERE shard = ?1"};

static struct store_part
shelf_part(size_t n_migrations)
{
    return (struct store_part){.name = "test.shelf",
                               .migrations = scripts,
                               .n_migrations = n_migrations,
                               .statements = statements,
                               .n_statements = 1};
}

struct count {
    const struct store_part *part;
    int64_t n;
};

static enum rc
count_run(void *ctx, struct store_tx *tx, struct err *err)
{
    struct count *count = ctx;
    struct store_rows rows;

    store_query(&rows, tx, count->part, 0, ST_ARGS(ST_I(1)));
    if (rows.has_row)
        count->n = store_col_int(&rows, 0);
    store_rows_end(&rows);
    return rows.rc;
}

/* Open with so many scripts; the number of rows on the shelf, or -1 and the reason in *rc. */
static int64_t
open_with(const char *path, size_t n_migrations, enum rc *rc)
{
    struct store_part part = shelf_part(n_migrations);
    const struct store_part *const parts[] = {&item_part, &part};
    struct store_opt opt = {.path = path, .parts = parts, .n_parts = 2};
    struct count count = {.part = &part};
    struct store *store;

    if ((*rc = store_open(&store, &opt, NULL)) != RC_OK)
        return -1;
    assert_int_equal(store_do(store, count_run, &count, NULL), RC_OK);
    store_free(&store);
    return count.n;
}

/* In this order on one file. */
static const struct step {
    const char *name;
    size_t n_migrations;
    enum rc want;
    int64_t rows;
} step_cases[] = {
    {"first",                           1, RC_OK,    1 },
    {"the same again",                  1, RC_OK,    1 },
    {"one more",                        2, RC_OK,    2 },
    {"the next fails half-way",         3, RC_INVAL, -1},
    {"and has left nothing",            2, RC_OK,    2 },
    {"it fails at the same place",      3, RC_INVAL, -1},
    {"an older program is turned away", 1, RC_STALE, -1},
};

static void
test_each_script_once_and_in_order(void **state)
{
    struct scratch scratch;

    scratch_init(&scratch);
    for (size_t i = 0; i < ARRAY_LEN(step_cases); i++) {
        enum rc rc;

        print_message("# %s\n", step_cases[i].name);
        assert_int_equal(open_with(scratch.path, step_cases[i].n_migrations, &rc),
                         step_cases[i].rows);
        assert_int_equal(rc, step_cases[i].want);
    }
    scratch_wipe(&scratch);
}

static void *
open_main(void *arg)
{
    enum rc rc;
    int64_t rows = open_with(arg, 2, &rc);

    return rc == RC_OK && rows == 2 ? arg : NULL;
}

/* Programs that start on one new file at the same time: one makes the tables, all find them. */
static void
test_several_start_at_once(void **state)
{
    for (int round = 0; round < 5; round++) {
        struct scratch scratch;
        pthread_t threads[4];
        void *ok;

        scratch_init(&scratch);
        for (size_t i = 0; i < ARRAY_LEN(threads); i++)
            assert_int_equal(pthread_create(&threads[i], NULL, open_main, scratch.path), 0);
        for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
            pthread_join(threads[i], &ok);
            assert_non_null(ok);
        }
        scratch_wipe(&scratch);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_script_once_and_in_order),
        cmocka_unit_test(test_several_start_at_once),
    };

    return cmocka_run_group_tests_name("store/migrate", tests, NULL, NULL);
}
