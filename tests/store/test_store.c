/* Opening, the doors, closing: what a program sees of a store that works. */
#include "harness.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

static void
test_keeps_what_was_committed(void **state)
{
    struct scratch scratch;
    struct store *store;

    scratch_init(&scratch);
    store = item_store(scratch.path);
    assert_int_equal(put_now(store, 1, 10), RC_OK);
    assert_int_equal(put_now(store, 1, 10), RC_EXISTS);
    assert_int_equal(put_now(store, 1, 11), RC_OK);
    store_free(&store);
    assert_null(store);
    store = item_store(scratch.path);
    assert_int_equal(count_now(store, 1), 2);
    assert_int_equal(count_now(store, 2), 0);
    store_free(&store);
    scratch_wipe(&scratch);
}

static void
test_file_is_private(void **state)
{
    struct scratch scratch;
    struct store *store;
    struct stat st;
    mode_t before = umask(0);

    scratch_init(&scratch);
    store = item_store(scratch.path);
    assert_int_equal(stat(scratch.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    store_free(&store);
    umask(before);
    scratch_wipe(&scratch);
}

static void
test_open_failure_sets_null(void **state)
{
    struct store_opt opt = {.path = "/nonexistent/db", .parts = item_parts, .n_parts = 1};
    struct store *store = (struct store *)&opt;
    struct err err = {.rc = RC_OK};

    assert_int_equal(store_open(&store, &opt, &err), RC_IO);
    assert_null(store);
    assert_int_equal(err.rc, RC_IO);
}

/* ---- done() on a loop ---- */

struct on_loop {
    struct put put;
    struct loop *loop;
    pthread_t thread;
    bool was_on_loop;
};

static void
loop_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct on_loop *self = (struct on_loop *)job;

    self->put.got = rc;
    self->was_on_loop = pthread_equal(self->thread, pthread_self());
    loop_stop(self->loop);
}

static void
test_done_runs_on_the_loop(void **state)
{
    struct store *store = item_store(":memory:");
    struct on_loop self = {.thread = pthread_self()};

    assert_int_equal(loop_new(&self.loop, NULL), RC_OK);
    put_init(&self.put, NULL, 1, 1);
    self.put.job.loop = self.loop;
    self.put.job.done = loop_done;
    store_submit(store, &self.put.job);
    loop_run(self.loop);
    assert_int_equal(self.put.got, RC_OK);
    assert_true(self.was_on_loop);
    store_free(&store);
    loop_free(&self.loop);
}

/* ---- many threads ---- */

#define THREADS 8
#define PUTS_PER_THREAD 1250

struct crowd {
    struct store *store;
    struct tally tally;
    struct put *puts;
    int64_t shard;
};

static void *
crowd_main(void *arg)
{
    struct crowd *crowd = arg;

    for (int64_t i = 0; i < PUTS_PER_THREAD; i++) {
        put_init(&crowd->puts[i], &crowd->tally, crowd->shard, i);
        store_submit(crowd->store, &crowd->puts[i].job);
    }
    return NULL;
}

/* 10,000 jobs from 8 threads: all kept, none lost, each thread's in its own order. */
static void
test_many_threads_in_order(void **state)
{
    static struct put puts[THREADS][PUTS_PER_THREAD];
    static struct crowd crowds[THREADS];
    pthread_t threads[THREADS];
    struct store_stats stats;
    struct scratch scratch;
    struct store *store;

    scratch_init(&scratch);
    store = item_store(scratch.path);
    for (int t = 0; t < THREADS; t++) {
        crowds[t] = (struct crowd){.store = store, .puts = puts[t], .shard = t};
        tally_init(&crowds[t].tally);
        assert_int_equal(pthread_create(&threads[t], NULL, crowd_main, &crowds[t]), 0);
    }
    for (int t = 0; t < THREADS; t++) {
        pthread_join(threads[t], NULL);
        tally_wait(&crowds[t].tally, PUTS_PER_THREAD);
        assert_int_equal(crowds[t].tally.n_ok, PUTS_PER_THREAD);
        for (unsigned i = 0; i < PUTS_PER_THREAD; i++)
            assert_int_equal(puts[t][i].done_at, i);
        assert_int_equal(count_now(store, t), PUTS_PER_THREAD);
    }
    store_stats(store, &stats);
    assert_int_equal(stats.jobs, THREADS * PUTS_PER_THREAD + THREADS);
    assert_true(stats.commits <= stats.jobs);
    assert_int_equal(stats.waiting, 0);
    store_free(&store);
    scratch_wipe(&scratch);
}

/* Two stores on one file, as two programs on one host would have them. */
static void
test_two_stores_share_a_file(void **state)
{
    struct scratch scratch;
    struct store *one, *two;

    scratch_init(&scratch);
    one = item_store(scratch.path);
    two = item_store(scratch.path);
    for (int64_t id = 0; id < 50; id++) {
        assert_int_equal(put_now(one, 1, 2 * id), RC_OK);
        assert_int_equal(put_now(two, 1, 2 * id + 1), RC_OK);
    }
    assert_int_equal(count_now(one, 1), 100);
    assert_int_equal(count_now(two, 1), 100);
    store_free(&one);
    assert_int_equal(put_now(two, 1, 1000), RC_OK);
    store_free(&two);
    one = item_store(scratch.path);
    assert_int_equal(count_now(one, 1), 101);
    store_free(&one);
    scratch_wipe(&scratch);
}

/* What was submitted is finished before the store closes. */
static void
test_close_finishes_what_was_submitted(void **state)
{
    static struct put puts[500];
    struct scratch scratch;
    struct tally tally;
    struct store *store;

    scratch_init(&scratch);
    tally_init(&tally);
    store = item_store(scratch.path);
    for (unsigned i = 0; i < ARRAY_LEN(puts); i++) {
        put_init(&puts[i], &tally, 1, i);
        store_submit(store, &puts[i].job);
    }
    store_free(&store);
    assert_int_equal(tally.n_ok, ARRAY_LEN(puts));
    store = item_store(scratch.path);
    assert_int_equal(count_now(store, 1), ARRAY_LEN(puts));
    store_free(&store);
    scratch_wipe(&scratch);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_what_was_committed),
        cmocka_unit_test(test_file_is_private),
        cmocka_unit_test(test_open_failure_sets_null),
        cmocka_unit_test(test_done_runs_on_the_loop),
        cmocka_unit_test(test_many_threads_in_order),
        cmocka_unit_test(test_two_stores_share_a_file),
        cmocka_unit_test(test_close_finishes_what_was_submitted),
    };

    return cmocka_run_group_tests_name("store/store", tests, NULL, NULL);
}
