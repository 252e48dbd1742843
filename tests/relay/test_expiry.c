/* test_expiry.c - what the relay gives up, and what it says then: thirty days, new registrations,
 * forgetting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "rig.h"

#define ANA 15557654321u
#define SHOP 15550123400u
#define DAY_MS (24ll * 3600 * 1000)

struct pair {
    struct rig rig;
    struct device ana, shop;
};

static int
set_up(void **state)
{
    struct pair *p = calloc(1, sizeof(*p));

    rig_init(&p->rig);
    rig_start(&p->rig);
    device_init(&p->ana, &p->rig, ANA);
    device_init(&p->shop, &p->rig, SHOP);
    p->shop.is_business = true;
    device_register(&p->ana, 0);
    device_register(&p->shop, 0);
    *state = p;
    return 0;
}

static int
tear_down(void **state)
{
    struct pair *p = *state;

    device_wipe(&p->ana);
    device_wipe(&p->shop);
    rig_wipe(&p->rig);
    free(p);
    return 0;
}

static void
test_i15_one_notice_and_never_handed_out(void **state)
{
    struct pair *p = *state;
    struct message ms[3] = {{.to = &p->ana}, {.to = &p->ana}, {.to = &p->ana}};
    unsigned told[3] = {0};

    device_come(&p->shop);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(device_publish_wait(&p->shop, &ms[i]), OK);
    rig_advance(&p->rig, 30 * DAY_MS - 60000);
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM envelope WHERE state = 2"), 0);
    rig_advance(&p->rig, 61000);
    device_wait_deliveries(&p->shop, 3);
    rig_advance(&p->rig, DAY_MS);
    rig_restart(&p->rig);
    rig_advance(&p->rig, 1000);
    device_come(&p->shop);
    device_wait_deliveries(&p->shop, 6); /* the same three again: nobody has acknowledged them */
    for (size_t i = 0; i < 6; i++) {
        const struct delivery *d = &p->shop.deliveries[i];

        assert_int_equal(d->class, PARLEY__WIRE__CLASS__NOTICE);
        assert_int_equal(d->sender, 0);
        assert_int_equal(d->lane, lane_of_peer(ANA));
        assert_int_equal(d->notice_reason, REASON(EXPIRED));
        assert_int_equal(d->n_items, 1);
        for (unsigned k = 0; k < 3; k++)
            told[k] += memcmp(d->notice_id, ms[k].id, MESSAGE_ID_BYTES) == 0;
    }
    for (unsigned k = 0; k < 3; k++)
        assert_int_equal(told[k], 2);
    device_come(&p->ana);
    rig_pass_ms(&p->rig, 100);
    assert_int_equal(p->ana.n_deliveries, 0);
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM envelope WHERE body IS NOT NULL"), 3);
}

/* Past its time, but no sweep has come by yet: not handed out either. */
static void
test_i15_not_handed_out_before_the_sweep(void **state)
{
    struct pair *p = *state;
    int64_t now = clock_unix_ms(p->rig.clock);
    struct message brief = {.to = &p->ana, .number = 1, .expires_ms = now + 60000};
    struct message later = {.to = &p->ana, .number = 2};

    device_come(&p->shop);
    assert_int_equal(device_publish_wait(&p->shop, &brief), OK);
    assert_int_equal(device_publish_wait(&p->shop, &later), OK);
    assert_int_equal(clock_set_offset_ms(p->rig.clock, 61000, NULL), RC_OK);
    device_come(&p->ana);
    device_wait_deliveries(&p->ana, 1);
    assert_int_equal(p->ana.deliveries[0].number, 2);
    device_ack(&p->ana, 0, p->ana.deliveries[0].seq); /* cumulative, but not for this */
    rig_advance(&p->rig, 1);
    device_wait_deliveries(&p->shop, 1);
    assert_int_equal(p->shop.deliveries[0].notice_reason, REASON(EXPIRED));
    assert_memory_equal(p->shop.deliveries[0].notice_id, brief.id, MESSAGE_ID_BYTES);
}

/* Delivered at the last moment, the ack comes after the deadline: it changes nothing. */
static void
test_i15_late_ack(void **state)
{
    struct pair *p = *state;
    int64_t now = clock_unix_ms(p->rig.clock);
    struct message brief = {.to = &p->ana, .expires_ms = now + 60000};

    device_come(&p->shop);
    device_come(&p->ana);
    assert_int_equal(device_publish_wait(&p->shop, &brief), OK);
    device_wait_deliveries(&p->ana, 1);
    rig_advance(&p->rig, 61000);
    device_ack(&p->ana, 0, 1);
    device_wait_deliveries(&p->shop, 1);
    rig_pass_ms(&p->rig, 100);
    assert_int_equal(rig_sql(&p->rig, "SELECT expired FROM lane WHERE account = 15557654321"), 1);
    assert_int_equal(rig_sql(&p->rig, "SELECT acked FROM lane WHERE account = 15557654321"), 0);
    assert_int_equal(device_publish_wait(&p->shop, &brief), OK); /* seen before: once accepted */
}

/* More than one bite: many messages, short and long lives mixed. */
static void
test_many_expire_in_bites(void **state)
{
    enum { N = 1300 };
    struct pair *p = *state;
    int64_t now = clock_unix_ms(p->rig.clock);

    device_come(&p->shop);
    for (uint32_t i = 0; i < N; i++) {
        struct message m = {
            .to = &p->ana, .number = i, .expires_ms = i % 2 == 0 ? now + 3600000 : 0};

        device_publish(&p->shop, &m);
    }
    device_wait_results(&p->shop, N);
    p->shop.acks = true;
    rig_advance(&p->rig, 3600001);
    device_wait_deliveries(&p->shop, N / 2);
    assert_int_equal(rig_sql(&p->rig, "SELECT expired FROM lane WHERE account = 15557654321"),
                     N / 2);
    p->ana.acks = true;
    device_come(&p->ana);
    device_wait_deliveries(&p->ana, N / 2);
    for (uint32_t i = 0; i < N / 2; i++)
        assert_int_equal(p->ana.deliveries[i].number, 2 * i + 1);
}

static void
test_new_registration_returns_what_waited(void **state)
{
    enum { N = 250 };
    struct pair *p = *state;
    struct device again;
    struct message first = {.to = &p->ana, .number = 0};
    size_t items = 0;

    device_come(&p->shop);
    assert_int_equal(device_publish_wait(&p->shop, &first), OK);
    for (uint32_t i = 1; i < N; i++) {
        struct message m = {.to = &p->ana, .number = i};

        device_publish(&p->shop, &m);
    }
    device_wait_results(&p->shop, N);
    device_init(&again, &p->rig, ANA);
    again.acks = true;
    device_register(&again, 0);
    assert_int_equal(device_login(&again, NULL, 0), OK);
    rig_advance(&p->rig, 1);
    device_wait_deliveries(&p->shop, 3);
    for (size_t i = 0; i < p->shop.n_deliveries; i++) {
        assert_int_equal(p->shop.deliveries[i].notice_reason, REASON(STALE_DEVICES));
        items += p->shop.deliveries[i].n_items;
    }
    assert_int_equal(items, N);
    assert_int_equal(again.n_deliveries, 0);
    assert_int_equal(rig_sql(&p->rig, "SELECT purged FROM lane WHERE account = 15557654321"), N);
    /* stored bytes for the old device are refused; encrypted anew, the same message goes through */
    assert_int_equal(device_publish_wait(&p->shop, &first), REASON(STALE_DEVICES));
    first.to = &again;
    assert_int_equal(device_publish_wait(&p->shop, &first), OK);
    device_wait_deliveries(&again, 1);
    assert_memory_equal(again.deliveries[0].id, first.id, MESSAGE_ID_BYTES);
    /* and is counted once */
    assert_int_equal(rig_sql(&p->rig, "SELECT SUM(count) FROM meter"), N);
    device_wipe(&again);
}

static void
test_dedupe_rows_are_forgotten(void **state)
{
    struct pair *p = *state;
    struct message m = {.to = &p->ana};

    p->ana.acks = true;
    device_come(&p->shop);
    device_come(&p->ana);
    assert_int_equal(device_publish_wait(&p->shop, &m), OK);
    device_wait_deliveries(&p->ana, 1);
    rig_pass_ms(&p->rig, 50);
    rig_advance(&p->rig, 30 * DAY_MS);
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM envelope"), 1);
    assert_int_equal(device_publish_wait(&p->shop, &m), OK); /* still known */
    rig_advance(&p->rig, 2 * DAY_MS);
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM envelope"), 0);
    m.expires_ms = clock_unix_ms(p->rig.clock) + 60000;
    assert_int_equal(device_publish_wait(&p->shop, &m), REASON(EXPIRED)); /* never a second time */
}

/* The clock is where it was after a restart, even with a fresh clock object. */
static void
test_platform_time_survives_a_restart(void **state)
{
    struct pair *p = *state;
    struct clock *fresh;
    int64_t before;

    device_come(&p->shop);
    rig_exec(&p->rig, "INSERT INTO note (part, name, value) VALUES (0, 1, 864000000)"
                      " ON CONFLICT (part, name) DO UPDATE SET value = 864000000");
    before = clock_wall_ms(p->rig.clock);
    rig_stop(&p->rig);
    assert_int_equal(clock_new_system(&fresh, NULL), RC_OK);
    clock_free(&p->rig.clock);
    p->rig.clock = p->rig.opt.clock = fresh;
    rig_start(&p->rig);
    assert_true(clock_unix_ms(fresh) >= before + 864000000);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_i15_one_notice_and_never_handed_out),
        TEST(test_i15_not_handed_out_before_the_sweep),
        TEST(test_i15_late_ack),
        TEST(test_many_expire_in_bites),
        TEST(test_new_registration_returns_what_waited),
        TEST(test_dedupe_rows_are_forgotten),
        TEST(test_platform_time_survives_a_restart),
    };

    return cmocka_run_group_tests_name("relay/expiry", tests, NULL, NULL);
}
