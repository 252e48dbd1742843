/* test_lease.c - at most one instance acts for a number (I29), and another takes over (I30). */
#include <semaphore.h>
#include <stdio.h>

#include "pair.h"

#define LEASE_MS 2000 /* far above a stall of a busy machine */

static void
lease_set(struct pair *p, const char *holder, const char *boot, int64_t until_ms)
{
    char sql[256];

    snprintf(sql, sizeof sql,
             "UPDATE gw_lease SET holder = %s, boot = %s, until_ms = %lld WHERE account = %llu",
             holder, boot, (long long)until_ms, (unsigned long long)BAKERY);
    sql_exec(p->biz.place->db, sql);
}

/* Registered under a long lease (making a thousand keys takes a while), then on a short one. */
static void
start_with(struct pair *p, int64_t lease_ms)
{
    pair_start(p);
    biz_stop_gateway(&p->biz);
    p->biz.lease_ms = lease_ms;
    biz_start(&p->biz);
    biz_wait_up(&p->biz);
}

static bool
is_ours(void *ctx)
{
    return biz_is_ours(ctx);
}

static bool
is_not_ours(void *ctx)
{
    return !biz_is_ours(ctx);
}

static void
test_i29_a_lease_is_respected(void **state)
{
    struct pair *p = *state;
    struct biz b;

    start_with(p, LEASE_MS);
    biz_init_beside(&b, &p->biz, "node-b");
    b.port = p->net.port;
    biz_start(&b);
    net_pass_ms(&p->net, LEASE_MS * 3 / 2);
    assert_true(biz_is_ours(&p->biz));
    assert_false(biz_is_ours(&b));
    assert_int_equal(biz_say(&b, ANNA, "not ours", NULL), RC_BUSY);
    biz_wipe(&b);
}

/* The holder does not know yet that another has taken over: nothing that it tries has an effect. */
static void
test_i29_the_old_holder_is_fenced_by_the_store_and_the_relay(void **state)
{
    struct pair *p = *state;
    struct biz b;
    uint8_t id[16], in[16];
    char told[16];

    p->biz.lease_ms = 3600 * 1000; /* it will not look by itself */
    pair_start(p);
    pair_acquaint(p);
    p->biz_wire.is_shut = true;
    proxy_cut(&p->biz_wire);
    biz_init_beside(&b, &p->biz, "node-b");
    b.port = p->net.port;
    b.lease_ms = LEASE_MS;
    lease_set(p, "holder", "boot", 0);
    biz_start(&b);
    biz_wait_up(&b);
    assert_true(biz_is_ours(&p->biz)); /* it thinks */
    assert_int_equal(biz_say(&p->biz, ANNA, "fenced", NULL), RC_FENCED);
    assert_false(biz_is_ours(&p->biz));
    assert_int_equal(biz_say(&b, ANNA, "from b", id), RC_OK);
    biz_wait_status(&b, id, GATEWAY_DELIVERED);
    assert_int_equal(person_say(&p->anna, BAKERY, "to b", in), RC_OK);
    biz_wait_events(&b, EVENT_MESSAGE, 2);
    assert_string_equal(biz_told(&b, id, told), "sd");
    assert_shown(&p->anna, "hello\nfrom b\n");
    biz_wipe(&b);
}

/* The relay refuses the lower epoch and the store's lease is with the other: it waits. */
static void
test_i29_a_lower_epoch_does_not_displace_a_higher_one(void **state)
{
    struct pair *p = *state;
    struct biz b;
    uint8_t id[16];

    p->biz.lease_ms = 3600 * 1000;
    pair_start(p);
    pair_acquaint(p);
    p->biz_wire.is_shut = true;
    proxy_cut(&p->biz_wire);
    biz_init_beside(&b, &p->biz, "node-b");
    b.port = p->net.port;
    b.lease_ms = LEASE_MS;
    lease_set(p, "holder", "boot", 0);
    biz_start(&b);
    biz_wait_up(&b);
    b.ups = 0;
    p->biz_wire.is_shut = false; /* now it comes back with its old epoch */
    assert_true(net_wait(&p->net, is_not_ours, &p->biz));
    assert_int_equal(b.ups, 0);
    assert_int_equal(biz_say(&b, ANNA, "from b", id), RC_OK);
    biz_wait_status(&b, id, GATEWAY_DELIVERED);
    assert_int_equal(b.ups, 0);
    biz_wipe(&b);
}

static void
test_i30_take_over_when_the_holder_is_gone(void **state)
{
    struct pair *p = *state;
    struct biz b;
    int64_t until_ms, now_ms;
    uint8_t id[16];

    pair_start(p);
    pair_acquaint(p);
    biz_stop_gateway(&p->biz);
    biz_init_beside(&b, &p->biz, "node-b");
    b.port = p->net.port;
    b.lease_ms = LEASE_MS;
    until_ms = clock_mono_ms(p->net.clock) + LEASE_MS;
    lease_set(p, "'ghost'", "boot", until_ms);
    biz_start(&b);
    assert_true(net_wait(&p->net, is_ours, &b));
    now_ms = clock_mono_ms(p->net.clock);
    assert_true(now_ms > until_ms);
    assert_true(now_ms < until_ms + LEASE_MS + 5000);
    biz_wait_up(&b);
    assert_int_equal(biz_say(&b, ANNA, "taken over", id), RC_OK);
    biz_wait_status(&b, id, GATEWAY_DELIVERED);
    biz_wipe(&b);
}

/* Times of another boot of the machine mean nothing; a lease of one's own name neither. */
static void
test_i30_leases_that_have_ended_anyway(void **state)
{
    static const struct {
        const char *holder, *boot;
    } cases[] = {
        {"'ghost'", "'another-boot'"},
        {"holder",  "boot"          },
    };
    struct pair *p = *state;

    pair_start(p);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        biz_stop_gateway(&p->biz);
        lease_set(p, cases[i].holder, cases[i].boot, INT64_C(1) << 60);
        biz_start(&p->biz);
        biz_wait_up(&p->biz);
    }
}

struct gate {
    struct store_job job;
    sem_t opened;
    bool is_done;
};

static enum rc
gate_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct gate *gate = (struct gate *)job;

    while (sem_wait(&gate->opened) != 0)
        ;
    return RC_OK;
}

static void
gate_done(struct store_job *job, enum rc rc, const struct err *err)
{
    ((struct gate *)job)->is_done = true;
}

static bool
is_gate_done(void *ctx)
{
    return ((struct gate *)ctx)->is_done;
}

/* A disk that hangs: no renewal is written, so it stops before the lease has ended. */
static void
test_i29_a_hanging_renewal_stops_the_holder_in_time(void **state)
{
    struct pair *p = *state;
    struct gate gate = {.is_done = false};
    int64_t from_ms;
    uint8_t id[16];

    start_with(p, LEASE_MS);
    pair_acquaint(p);
    sem_init(&gate.opened, 0, 0);
    gate.job = (struct store_job){.run = gate_run, .done = gate_done, .loop = p->net.loop};
    from_ms = clock_mono_ms(p->net.clock);
    store_submit(p->biz.place->store, &gate.job);
    assert_true(net_wait(&p->net, is_not_ours, &p->biz));
    assert_true(clock_mono_ms(p->net.clock) - from_ms < 5 * LEASE_MS);
    sem_post(&gate.opened);
    assert_true(net_wait(&p->net, is_gate_done, &gate));
    sem_destroy(&gate.opened);
    biz_wait_up(&p->biz); /* nobody else wanted it */
    assert_int_equal(biz_say(&p->biz, ANNA, "back", id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
}

/* Removed and added again at once: the old endpoint may still have jobs, the new one begins after
 * them. */
static void
test_i29_removed_and_added_again_under_load(void **state)
{
    struct pair *p = *state;
    uint8_t id[16];

    pair_start(p);
    for (unsigned i = 0; i < 5; i++) {
        biz_say_many(&p->biz, ANNA, "roll", 10);
        assert_int_equal(person_say(&p->anna, BAKERY, "thanks", NULL), RC_OK);
        gateway_number_remove(p->biz.gateway, BAKERY);
        assert_int_equal(gateway_number_add(p->biz.gateway, BAKERY, NULL), RC_OK);
        biz_wait_up(&p->biz);
    }
    assert_int_equal(biz_say(&p->biz, ANNA, "last", id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
    person_wait_events(&p->anna, EVENT_MESSAGE, 51);
    biz_wait_events(&p->biz, EVENT_MESSAGE, 5);
    biz_wait_events(&p->biz, EVENT_STATUS, 102);
    net_pass_ms(&p->net, 100);
    assert_int_equal(events_count(p->anna.place.store, ANNA, EVENT_MESSAGE, NULL), 51);
    assert_int_equal(events_count(p->biz.place->store, BAKERY, EVENT_MESSAGE, NULL), 5);
    assert_int_equal(events_count(p->biz.place->store, BAKERY, EVENT_STATUS, NULL), 102);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        PREPARED_TEST(test_i29_a_lease_is_respected),
        PREPARED_TEST(test_i29_the_old_holder_is_fenced_by_the_store_and_the_relay),
        PREPARED_TEST(test_i29_a_lower_epoch_does_not_displace_a_higher_one),
        PREPARED_TEST(test_i30_take_over_when_the_holder_is_gone),
        PREPARED_TEST(test_i30_leases_that_have_ended_anyway),
        PREPARED_TEST(test_i29_a_hanging_renewal_stops_the_holder_in_time),
        PREPARED_TEST(test_i29_removed_and_added_again_under_load),
    };

    return cmocka_run_group_tests_name("gateway/lease", tests, NULL, NULL);
}
