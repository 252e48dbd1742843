/* Batches: what company a job gets, who is undone when one fails, and that no answer says more than
 * the file holds - with the back end failing at each of its operations in turn. */
#include "harness.h"

#include "flaky.h"

static void
test_one_batch_one_commit(void **state)
{
    static struct put puts[STORE_BATCH_MAX];
    struct store *store = item_store(":memory:");
    struct store_stats stats;
    struct tally tally;
    struct gate gate;

    tally_init(&tally);
    gate_shut(&gate, store);
    for (unsigned i = 0; i < ARRAY_LEN(puts); i++) {
        put_init(&puts[i], &tally, 1, i);
        store_submit(store, &puts[i].job);
    }
    store_stats(store, &stats);
    assert_int_equal(stats.waiting, ARRAY_LEN(puts));
    assert_true(stats.oldest_wait_us >= 0);
    sem_post(&gate.opened);
    tally_wait(&tally, ARRAY_LEN(puts));
    store_stats(store, &stats);
    assert_int_equal(stats.commits, 2); /* the gate's, and one for all others */
    store_free(&store);
}

/* Which jobs of a batch of six fail, how, and how often the others run. */
static const struct fail_case {
    const char *name;
    unsigned failing;  /* bit i: job i answers RC_DENIED after its row was put */
    unsigned clashing; /* bit i: job i puts the row that job i - 1 has put */
    unsigned runs, reruns;
} fail_cases[] = {
    {"none fails",            0,    0,    1, 0},
    {"the first",             0x01, 0,    2, 1},
    {"the last",              0x20, 0,    2, 1},
    {"some",                  0x15, 0,    2, 1},
    {"all",                   0x3f, 0,    2, 1},
    {"a clash",               0,    0x04, 2, 1},
    {"a clash and a refusal", 0x08, 0x04, 2, 1},
};

/* Row id of job i: a clashing one takes that of its predecessor. */
static int64_t
id_in(const struct fail_case *c, unsigned i)
{
    return (c->clashing >> i & 1) != 0 ? (int64_t)i - 1 : (int64_t)i;
}

static void
check_fail_case(const struct fail_case *c, const char *path)
{
    struct store *store = item_store(path);
    struct store_stats stats;
    struct tally tally;
    struct put puts[6];
    struct gate gate;

    tally_init(&tally);
    gate_shut(&gate, store);
    for (unsigned i = 0; i < 6; i++) {
        put_init(&puts[i], &tally, 1, id_in(c, i));
        if ((c->failing >> i & 1) != 0)
            puts[i].answer_instead = RC_DENIED;
        store_submit(store, &puts[i].job);
    }
    sem_post(&gate.opened);
    tally_wait(&tally, 6);
    for (unsigned i = 0; i < 6; i++) {
        enum rc want = (c->failing >> i & 1) != 0    ? RC_DENIED
                       : (c->clashing >> i & 1) != 0 ? RC_EXISTS
                                                     : RC_OK;

        assert_int_equal(puts[i].got, want);
        assert_int_equal(puts[i].done_at, i);
        assert_true(puts[i].runs <= c->runs);
        if (want != RC_EXISTS)
            assert_int_equal(has_now(store, 1, i), want == RC_OK);
    }
    store_stats(store, &stats);
    assert_int_equal(stats.reruns, c->reruns);
    store_free(&store);
}

static void
test_a_failing_job_is_undone_alone(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(fail_cases); i++) {
        struct scratch scratch;

        print_message("# %s\n", fail_cases[i].name);
        scratch_init(&scratch);
        check_fail_case(&fail_cases[i], scratch.path);
        check_fail_case(&fail_cases[i], ":memory:");
        scratch_wipe(&scratch);
    }
}

/* ---- a job that swallows a failure ---- */

static enum rc
swallow(void *ctx, struct store_tx *tx, struct err *err)
{
    enum rc rc;

    rc = store_run(tx, &item_part, ITEM_PUT, NULL, err, ST_ARGS(ST_I(1), ST_I(2), ST_NULL));
    if (rc != RC_OK)
        return rc;
    rc = store_run(tx, &item_part, ITEM_PUT, NULL, NULL, ST_ARGS(ST_I(1), ST_I(1), ST_NULL));
    assert_int_equal(rc, RC_EXISTS);
    return RC_OK;
}

static void
test_a_swallowed_failure_still_undoes(void **state)
{
    struct store *store = item_store(":memory:");

    assert_int_equal(put_now(store, 1, 1), RC_OK);
    assert_int_equal(store_do(store, swallow, NULL, NULL), RC_EXISTS);
    assert_false(has_now(store, 1, 2));
    store_free(&store);
}

/* ---- the back end fails ---- */

struct fatal_seen {
    atomic_uint n;
};

static void
on_fatal(void *ctx, const struct err *err)
{
    ((struct fatal_seen *)ctx)->n++;
}

#define ROUNDS 4
#define PUTS 5

/* Four batches of five, the third job of each refused after writing, while the n-th operation
 * fails. Fills `puts` with the answers; false when nothing failed because n is past the end. */
static bool
run_under_fault(const char *path, struct flaky *flaky, unsigned n, struct put puts[],
                struct fatal_seen *fatal)
{
    struct store_opt opt = {
        .path = path, .parts = item_parts, .n_parts = 1, .on_fatal = on_fatal, .ctx = fatal};
    unsigned ops = flaky->ops;
    enum rc with = flaky->with;
    bool does_it_first = flaky->does_it_first;
    struct store *store;
    struct tally tally;
    struct gate gate;

    flaky->fail_at = 0;
    assert_int_equal(store_open_with(&store, &opt, &backend_flaky, flaky, NULL), RC_OK);
    flaky_arm(flaky, ops, n, with);
    flaky->does_it_first = does_it_first;
    tally_init(&tally);
    for (unsigned round = 0; round < ROUNDS; round++) {
        /* one batch for sure, where a failure would not keep the gate itself shut */
        bool has_gate = round > 0 && (with == RC_FULL || with == RC_NOMEM);

        if (has_gate)
            gate_shut(&gate, store);
        for (unsigned i = 0; i < PUTS; i++) {
            struct put *put = &puts[round * PUTS + i];

            put_init(put, &tally, 1, round * PUTS + i);
            put->answer_instead = i == 2 ? RC_DENIED : RC_OK;
            store_submit(store, &put->job);
        }
        if (has_gate)
            sem_post(&gate.opened);
        tally_wait(&tally, (round + 1) * PUTS);
    }
    store_free(&store);
    for (unsigned i = 0; i < ROUNDS * PUTS; i++)
        assert_int_equal(puts[i].done_at, i);
    return flaky->failed > 0;
}

/* What the file holds, against what was said. */
static void
compare(const char *path, const struct put puts[], bool refusal_is_sure)
{
    struct store *store = item_store(path);

    for (unsigned i = 0; i < ROUNDS * PUTS; i++) {
        bool is_there = has_now(store, 1, puts[i].id);

        if (puts[i].got == RC_OK)
            assert_true(is_there);
        else if (refusal_is_sure || puts[i].got == RC_DENIED)
            assert_false(is_there);
    }
    store_free(&store);
}

static const struct fault_case {
    const char *name;
    unsigned ops;
    enum rc with;
    bool does_it_first;
} fault_cases[] = {
    {"any operation, I/O error",   FLAKY_ANY,                      RC_IO,    false},
    {"commit kept, then an error", FLAKY_COMMIT,                   RC_IO,    true },
    {"any operation, disk full",   FLAKY_STATEMENT | FLAKY_COMMIT, RC_FULL,  false},
    {"no memory",                  FLAKY_STATEMENT | FLAKY_COMMIT, RC_NOMEM, false},
    {"another process holds it",   FLAKY_BEGIN,                    RC_BUSY,  false},
};

static void
check_fault(const struct fault_case *c, unsigned n, bool *is_past_end)
{
    struct flaky flaky = {
        .real = &backend_sqlite, .ops = c->ops, .with = c->with, .does_it_first = c->does_it_first};
    static struct put puts[ROUNDS * PUTS];
    struct fatal_seen fatal = {.n = 0};
    struct scratch scratch;
    bool is_over = false;

    scratch_init(&scratch);
    *is_past_end = !run_under_fault(scratch.path, &flaky, n, puts, &fatal);
    compare(scratch.path, puts, c->with != RC_IO);
    scratch_wipe(&scratch);
    assert_int_equal(fatal.n, !*is_past_end && c->with == RC_IO);
    for (unsigned i = 0; i < ROUNDS * PUTS && c->with == RC_IO; i++) {
        /* after the failure nothing is acknowledged, nor refused for another reason */
        assert_false(is_over && puts[i].got != RC_IO);
        is_over = puts[i].got == RC_IO;
    }
    if (c->with != RC_IO && n == 1) /* one failure, and it works again */
        assert_int_equal(puts[ROUNDS * PUTS - 1].got, RC_OK);
}

static void
test_i4_nothing_said_that_is_not_kept(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(fault_cases); i++) {
        bool is_past_end = false;
        unsigned n;

        for (n = 1; !is_past_end; n++)
            check_fault(&fault_cases[i], n, &is_past_end);
        print_message("# %s: %u places\n", fault_cases[i].name, n - 2);
        assert_true(n > 4);
    }
}

/* A batch that does not fit is tried job by job: here the first job alone is refused. */
static void
test_i6_full_disk_refuses_only_what_does_not_fit(void **state)
{
    struct flaky flaky = {.real = &backend_sqlite};
    struct store_opt opt = {.path = ":memory:", .parts = item_parts, .n_parts = 1};
    struct store_stats stats;
    struct store *store;
    struct tally tally;
    struct put puts[3];
    struct gate gate;

    assert_int_equal(store_open_with(&store, &opt, &backend_flaky, &flaky, NULL), RC_OK);
    tally_init(&tally);
    gate_shut(&gate, store);
    for (unsigned i = 0; i < 3; i++) {
        put_init(&puts[i], &tally, 1, i);
        store_submit(store, &puts[i].job);
    }
    flaky_arm(&flaky, FLAKY_COMMIT, 2, RC_FULL); /* the gate's commit is the first */
    flaky.times = 2;
    sem_post(&gate.opened);
    tally_wait(&tally, 3);
    assert_int_equal(puts[0].got, RC_FULL);
    assert_int_equal(puts[1].got, RC_OK);
    assert_int_equal(puts[2].got, RC_OK);
    assert_false(has_now(store, 1, 0));
    assert_int_equal(count_now(store, 1), 2);
    store_stats(store, &stats);
    assert_int_equal(stats.refused_full, 1);
    store_free(&store);
}

/* I3: when run() has been called and the commit is still under way, nothing has been said. */
static struct put *peeked;
static bool peeked_done;

static enum rc
peek_commit(void *conn, struct err *err)
{
    enum rc rc = backend_sqlite.commit(conn, err);

    if (peeked != NULL)
        peeked_done = peeked->is_done;
    return rc;
}

static void
test_i3_done_comes_after_the_commit(void **state)
{
    struct backend_ops ops = backend_sqlite;
    struct store_opt opt = {.path = ":memory:", .parts = item_parts, .n_parts = 1};
    struct store *store;
    struct tally tally;
    struct put put;

    ops.commit = peek_commit;
    assert_int_equal(store_open_with(&store, &opt, &ops, NULL, NULL), RC_OK);
    tally_init(&tally);
    put_init(&put, &tally, 1, 1);
    peeked = &put;
    peeked_done = true;
    store_submit(store, &put.job);
    tally_wait(&tally, 1);
    assert_false(peeked_done);
    store_free(&store);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_batch_one_commit),
        cmocka_unit_test(test_a_failing_job_is_undone_alone),
        cmocka_unit_test(test_a_swallowed_failure_still_undoes),
        cmocka_unit_test(test_i4_nothing_said_that_is_not_kept),
        cmocka_unit_test(test_i6_full_disk_refuses_only_what_does_not_fit),
        cmocka_unit_test(test_i3_done_comes_after_the_commit),
    };

    return cmocka_run_group_tests_name("store/writer", tests, NULL, NULL);
}
