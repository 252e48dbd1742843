/* test_order.c - messages arrive in order and are shown once, however often wires are cut (I9-I12).
 */
#include "pair.h"

#include <stdio.h>

#define MANY 60u

static void
assert_numbered(struct person *person, const char *prefix, size_t n)
{
    struct event *events;
    size_t n_events = events_load(person->place.store, person->number, &events), k = 0;

    for (size_t i = 0; i < n_events; i++) {
        char want[64];

        if (events[i].kind != EVENT_MESSAGE)
            continue;
        snprintf(want, sizeof want, "%s %zu", prefix, k++);
        assert_string_equal(events[i].text, want);
    }
    assert_int_equal(k, n);
    free(events);
}

static void
test_i12_order_of_accept_is_order_of_display(void **state)
{
    struct pair *p = *state;

    /* the first of them wait for bundles, later ones find a session */
    biz_say_many(&p->biz, ANNA, "roll", MANY);
    person_wait_events(&p->anna, EVENT_MESSAGE, MANY);
    assert_numbered(&p->anna, "roll", MANY);
    biz_wait_events(&p->biz, EVENT_STATUS, 2 * MANY);
}

static void
test_i10_i11_i12_cut_wires_lose_and_repeat_nothing(void **state)
{
    struct pair *p = *state;

    for (unsigned i = 0; i < 6; i++) {
        char prefix[16];

        /* both ends are cut in the middle of things, at no particular byte */
        snprintf(prefix, sizeof prefix, "batch %u", i);
        biz_say_many(&p->biz, ANNA, prefix, 10);
        net_pass_ms(&p->net, 3 * i);
        proxy_cut(i % 2 == 0 ? &p->biz_wire : &p->anna_wire);
        if (i % 3 == 0)
            proxy_cut(&p->anna_wire);
    }
    person_wait_events(&p->anna, EVENT_MESSAGE, 60);
    biz_wait_events(&p->biz, EVENT_STATUS, 120);
    net_pass_ms(&p->net, 300);
    assert_int_equal(events_count(p->anna.place.store, ANNA, EVENT_MESSAGE, NULL), 60);
    assert_int_equal(events_count(p->biz.place->store, BAKERY, EVENT_STATUS, NULL), 120);
    {
        struct event *events;
        size_t n = events_load(p->anna.place.store, ANNA, &events), k = 0;

        for (size_t i = 0; i < n; i++) {
            char want[64];

            if (events[i].kind != EVENT_MESSAGE)
                continue;
            snprintf(want, sizeof want, "batch %zu %zu", k / 10, k % 10);
            assert_string_equal(events[i].text, want);
            k++;
        }
        free(events);
    }
}

static void
swallow_now(void *ctx)
{
    proxy_swallow(ctx, true);
}

static bool
is_swallowing(void *ctx)
{
    struct proxy *wire = ctx;

    return __atomic_load_n(&wire->is_swallowing, __ATOMIC_SEQ_CST);
}

/* Everything is stored, the ack is lost: the relay hands it out again, and it is not shown again.
 */
static void
test_i10_i11_lost_acks_are_not_shown_twice(void **state)
{
    struct pair *p = *state;
    uint8_t id[16];
    struct endpoint_stats stats;

    p->anna.in_message = swallow_now;
    p->anna.in_message_ctx = &p->anna_wire;
    assert_int_equal(biz_say(&p->biz, ANNA, "once", id), RC_OK);
    assert_true(net_wait(&p->net, is_swallowing, &p->anna_wire));
    person_wait_events(&p->anna, EVENT_MESSAGE, 1);
    p->anna.in_message = NULL;
    net_pass_ms(&p->net, 50); /* the ack goes into the void */
    assert_int_equal(events_count(p->biz.place->store, BAKERY, EVENT_STATUS, id), 1);
    proxy_cut(&p->anna_wire);
    proxy_swallow(&p->anna_wire, false);
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
    endpoint_stats(p->anna.endpoint, &stats);
    assert_int_equal(stats.duplicates_in, 1);
    assert_shown(&p->anna, "once\n");
}

/* The same at the business: crash after the commit, before the ack (B2, I19). */
static void
test_i19_crash_between_commit_and_ack(void **state)
{
    struct pair *p = *state;
    uint8_t id[16], later[16];
    struct event *events;
    size_t n;

    p->biz.in_message = swallow_now;
    p->biz.in_message_ctx = &p->biz_wire;
    assert_int_equal(person_say(&p->anna, BAKERY, "once", id), RC_OK);
    assert_true(net_wait(&p->net, is_swallowing, &p->biz_wire));
    biz_wait_events(&p->biz, EVENT_MESSAGE, 1);
    p->biz.in_message = NULL;
    proxy_cut(&p->biz_wire);
    p->biz_wire.is_shut = true;
    biz_stop(&p->biz);
    p->biz_wire.is_shut = false;
    proxy_swallow(&p->biz_wire, false);
    biz_start(&p->biz);
    biz_wait_up(&p->biz);
    assert_int_equal(person_say(&p->anna, BAKERY, "twice", later), RC_OK);
    biz_wait_events(&p->biz, EVENT_MESSAGE, 2);
    person_wait_events(&p->anna, EVENT_RECEIPT, 2);
    n = events_load(p->biz.place->store, BAKERY, &events);
    assert_int_equal(n, 2);
    assert_memory_equal(events[0].message_id, id, 16);
    assert_memory_equal(events[1].message_id, later, 16);
    free(events);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_i12_order_of_accept_is_order_of_display),
        PAIR_TEST(test_i10_i11_i12_cut_wires_lose_and_repeat_nothing),
        PAIR_TEST(test_i10_i11_lost_acks_are_not_shown_twice),
        PAIR_TEST(test_i19_crash_between_commit_and_ack),
    };

    return cmocka_run_group_tests_name("gateway/order", tests, NULL, NULL);
}
