/* Reading: beside the writer, never behind what has been said, and never writing. */
#include "harness.h"

struct look {
    struct store_job job; /* first */
    int64_t id;
    bool found;
    bool writes; /* try what is not allowed */
    struct tally *tally;
    enum rc got;
};

static enum rc
look_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct look *look = (struct look *)job;
    struct store_rows rows;

    if (look->writes)
        return store_run(tx, &item_part, ITEM_DROP, NULL, err, ST_ARGS(ST_I(1), ST_I(look->id)));
    store_query(&rows, tx, &item_part, ITEM_BODY, ST_ARGS(ST_I(1), ST_I(look->id)));
    look->found = rows.has_row;
    store_rows_end(&rows);
    return rows.rc;
}

static void
look_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct look *look = (struct look *)job;

    look->got = rc;
    tally_count(look->tally);
}

static void
check_reading(const char *path)
{
    struct store *store = item_store(path);
    struct tally tally;

    tally_init(&tally);
    for (int64_t id = 1; id <= 200; id++) {
        struct look look = {
            .job = {.run = look_run, .done = look_done},
              .id = id, .tally = &tally
        };

        assert_int_equal(put_now(store, 1, id), RC_OK);
        store_read(store, &look.job);
        tally_wait(&tally, (unsigned)id);
        assert_int_equal(look.got, RC_OK);
        assert_true(look.found);
    }
    struct look look = {
        .job = {.run = look_run, .done = look_done},
          .id = 1, .writes = true, .tally = &tally
    };
    store_read(store, &look.job);
    tally_wait(&tally, 201);
    assert_int_equal(look.got, RC_INVAL);
    assert_true(has_now(store, 1, 1));
    store_free(&store);
}

static void
test_read_sees_every_commit_said_before(void **state)
{
    struct scratch scratch;

    scratch_init(&scratch);
    check_reading(scratch.path);
    check_reading(":memory:");
    scratch_wipe(&scratch);
}

/* Readers do not wait for the writer: one answers while a batch is held open. */
struct hold {
    struct store_job job; /* first */
    struct store *store;
    struct tally *looks;
    bool answered;
};

static enum rc
hold_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct hold *hold = (struct hold *)job;
    struct look look = {
        .job = {.run = look_run, .done = look_done},
          .id = 1, .tally = hold->looks
    };
    enum rc rc;

    rc = store_run(tx, &item_part, ITEM_PUT, NULL, err, ST_ARGS(ST_I(1), ST_I(2), ST_NULL));
    store_read(store_of(tx), &look.job);
    tally_wait(hold->looks, 1); /* would never end if the reader stood behind us */
    hold->answered = look.got == RC_OK && look.found;
    return rc;
}

static void
hold_done(struct store_job *job, enum rc rc, const struct err *err)
{
    ((struct hold *)job)->answered &= rc == RC_OK;
    tally_count(((struct hold *)job)->looks);
}

static void
test_reader_does_not_wait_for_the_writer(void **state)
{
    struct hold hold = {
        .job = {.run = hold_run, .done = hold_done}
    };
    struct scratch scratch;
    struct tally looks;

    scratch_init(&scratch);
    tally_init(&looks);
    hold.looks = &looks;
    hold.store = item_store(scratch.path);
    assert_int_equal(put_now(hold.store, 1, 1), RC_OK);
    store_submit(hold.store, &hold.job);
    tally_wait(&looks, 2);
    assert_true(hold.answered);
    store_free(&hold.store);
    scratch_wipe(&scratch);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_sees_every_commit_said_before),
        cmocka_unit_test(test_reader_does_not_wait_for_the_writer),
    };

    return cmocka_run_group_tests_name("store/reader", tests, NULL, NULL);
}
