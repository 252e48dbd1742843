/* test_requests.c - the table of requests in flight: ids, limits, deadlines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "link/requests.h"

static void
nobody(void *ctx, enum rc rc, const Parley__Wire__Frame *reply)
{
}

static uint32_t
add(struct requests *r, intptr_t mark, int64_t deadline_ms)
{
    uint32_t id = 0;

    assert_int_equal(requests_add(r, &id, nobody, (void *)mark, deadline_ms, NULL), RC_OK);
    assert_int_not_equal(id, 0);
    return id;
}

static void
empty(struct requests *r)
{
    struct request out;

    while (requests_take_any(r, &out))
        ;
    assert_int_equal(r->count, 0);
    requests_wipe(r);
}

static void
test_answers_find_their_request_once_in_any_order(void **state)
{
    enum { N = 300 };
    struct requests r;
    struct request out;
    uint32_t ids[N];

    requests_init(&r, 512);
    for (intptr_t i = 0; i < N; i++)
        ids[i] = add(&r, i, 1000);
    for (intptr_t i = N - 1; i >= 0; i -= 2) {
        assert_true(requests_take(&r, ids[i], &out));
        assert_int_equal((intptr_t)out.ctx, i);
        assert_false(requests_take(&r, ids[i], &out));
    }
    assert_int_equal(r.count, N / 2);
    assert_false(requests_take(&r, 0, &out));
    assert_false(requests_take(&r, ids[N - 1] + 1, &out));
    empty(&r);
}

static void
test_the_table_refuses_above_its_ceiling_and_gives_memory_back(void **state)
{
    struct requests r;
    struct request out;
    uint32_t id;

    requests_init(&r, 32);
    for (intptr_t i = 0; i < 32; i++)
        add(&r, i, 1000);
    assert_int_equal(requests_add(&r, &id, nobody, NULL, 1000, NULL), RC_BUSY);
    assert_true(requests_take_any(&r, &out));
    add(&r, 99, 1000);
    while (requests_take_any(&r, &out))
        ;
    assert_null(r.slots);
    empty(&r);
}

/* One request that waits for ever, while the ids of the others go round and wrap. */
static void
test_ids_skip_what_is_taken_and_zero_when_they_wrap(void **state)
{
    struct requests r;
    struct request out;
    uint32_t old;

    requests_init(&r, 16);
    r.last_id = UINT32_MAX - 40;
    old = add(&r, 7, 1000);
    for (intptr_t i = 0; i < 100; i++) {
        uint32_t id = add(&r, i, 1000);

        assert_int_not_equal(id, old);
        assert_true(requests_take(&r, id, &out));
        assert_int_equal((intptr_t)out.ctx, i);
    }
    assert_true(r.last_id < 200); /* it did wrap */
    assert_true(requests_take(&r, old, &out));
    assert_int_equal((intptr_t)out.ctx, 7);
    empty(&r);
}

static void
test_deadlines_take_out_what_is_due_and_no_more(void **state)
{
    struct requests r;
    struct request out;

    requests_init(&r, 64);
    assert_int_equal(r.next_deadline_ms, INT64_MAX);
    for (intptr_t i = 0; i < 40; i++)
        add(&r, i, 1000 + 10 * i);
    assert_int_equal(r.next_deadline_ms, 1000);
    assert_false(requests_take_due(&r, 999, &out));
    for (intptr_t i = 0; i < 5; i++) {
        assert_true(requests_take_due(&r, 1049, &out));
        assert_in_range(out.deadline_ms, 1000, 1049);
    }
    assert_false(requests_take_due(&r, 1049, &out));
    assert_int_equal(r.next_deadline_ms, 1050);
    assert_int_equal(r.count, 35);
    empty(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_find_their_request_once_in_any_order),
        cmocka_unit_test(test_the_table_refuses_above_its_ceiling_and_gives_memory_back),
        cmocka_unit_test(test_ids_skip_what_is_taken_and_zero_when_they_wrap),
        cmocka_unit_test(test_deadlines_take_out_what_is_due_and_no_more),
    };

    return cmocka_run_group_tests_name("link/requests", tests, NULL, NULL);
}
