/* How jobs become batches: never more than promised, never a wait that nobody profits from. */
#include "harness.h"

#include <time.h>

static struct store *
store_with(uint32_t commit_delay_us, uint32_t batch_max)
{
    struct store_opt opt = {.path = ":memory:",
                            .parts = item_parts,
                            .n_parts = 1,
                            .commit_delay_us = commit_delay_us,
                            .batch_max = batch_max};
    struct store *store;

    assert_int_equal(store_open(&store, &opt, NULL), RC_OK);
    return store;
}

static const struct size_case {
    uint32_t batch_max;
    unsigned jobs, commits;
} size_cases[] = {
    {0,   250, 3 }, /* 100, 100, 50 */
    {1,   20,  20},
    {7,   21,  3 },
    {999, 250, 3 }, /* more than the ceiling is the ceiling */
};

static void
test_a_batch_has_its_ceiling(void **state)
{
    static struct put puts[250];

    for (size_t c = 0; c < ARRAY_LEN(size_cases); c++) {
        struct store *store = store_with(0, size_cases[c].batch_max);
        struct store_stats stats;
        struct tally tally;
        struct gate gate;

        tally_init(&tally);
        gate_shut(&gate, store);
        for (unsigned i = 0; i < size_cases[c].jobs; i++) {
            put_init(&puts[i], &tally, 1, i);
            store_submit(store, &puts[i].job);
        }
        sem_post(&gate.opened);
        tally_wait(&tally, size_cases[c].jobs);
        store_stats(store, &stats);
        assert_int_equal(stats.commits, size_cases[c].commits + 1); /* and the gate's */
        store_free(&store);
    }
}

/* With a delay of a minute, tally_wait would give up first if a lone job were made to wait. */
static void
test_a_lone_job_is_not_kept_waiting(void **state)
{
    struct store *store = store_with(60000000, 0);
    struct tally tally;

    tally_init(&tally);
    for (unsigned i = 0; i < 200; i++) {
        struct put put;

        put_init(&put, &tally, 1, i);
        store_submit(store, &put.job);
        tally_wait(&tally, i + 1);
        assert_int_equal(put.got, RC_OK);
    }
    store_free(&store);
}

/* Somebody who never stops submitting. */
struct stream {
    struct store *store;
    struct tally tally;
    atomic_bool is_over;
};

static void *
stream_main(void *arg)
{
    static struct put puts[20000];
    struct stream *stream = arg;

    for (unsigned i = 0; i < ARRAY_LEN(puts) && !stream->is_over; i++) {
        put_init(&puts[i], &stream->tally, 2, i);
        store_submit(stream->store, &puts[i].job);
        clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = 100000}, NULL);
    }
    return NULL;
}

/* Company that keeps coming does not hold a job up for ever: the delay, or the ceiling, ends it. */
static void
test_company_that_keeps_coming_is_not_waited_for(void **state)
{
    struct stream stream = {.store = store_with(20000, 0)};
    struct tally mine;
    pthread_t thread;

    tally_init(&stream.tally);
    tally_init(&mine);
    assert_int_equal(pthread_create(&thread, NULL, stream_main, &stream), 0);
    for (unsigned i = 0; i < 50; i++) {
        struct put put;

        put_init(&put, &mine, 1, i);
        store_submit(stream.store, &put.job);
        tally_wait(&mine, i + 1);
        assert_int_equal(put.got, RC_OK);
    }
    stream.is_over = true;
    pthread_join(thread, NULL);
    store_free(&stream.store);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_batch_has_its_ceiling),
        cmocka_unit_test(test_a_lone_job_is_not_kept_waiting),
        cmocka_unit_test(test_company_that_keeps_coming_is_not_waited_for),
    };

    return cmocka_run_group_tests_name("store/gather", tests, NULL, NULL);
}
