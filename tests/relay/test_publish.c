/* test_publish.c - messages through a real relay: accepted, delivered, acknowledged, refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "rig.h"

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
    device_init(&p->ana, &p->rig, 15557654321);
    device_init(&p->shop, &p->rig, 15550123400);
    p->shop.is_business = true;
    device_register(&p->ana, 10);
    device_register(&p->shop, 10);
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
test_there_and_back(void **state)
{
    struct pair *p = *state;
    struct message hello = {.to = &p->shop, .number = 1}, answer = {.to = &p->ana, .number = 2};

    p->ana.acks = p->shop.acks = true;
    device_come(&p->ana);
    device_come(&p->shop);
    assert_int_equal(device_publish_wait(&p->ana, &hello), OK);
    device_wait_deliveries(&p->shop, 1);
    assert_int_equal(p->shop.deliveries[0].sender, p->ana.number);
    assert_int_equal(p->shop.deliveries[0].lane, lane_of_peer(p->ana.number));
    assert_int_equal(p->shop.deliveries[0].number, 1);
    assert_memory_equal(p->shop.deliveries[0].id, hello.id, MESSAGE_ID_BYTES);
    answer.category = PARLEY__WIRE__CATEGORY__UTILITY;
    assert_int_equal(device_publish_wait(&p->shop, &answer), OK);
    device_wait_deliveries(&p->ana, 1);
    assert_int_equal(p->ana.deliveries[0].number, 2);
    assert_int_equal(p->ana.deliveries[0].seq, 1);
}

/* ---- refusals ---- */

static void
test_refusals(void **state)
{
    struct pair *p = *state;
    int64_t now = clock_unix_ms(p->rig.clock);
    struct device stranger;
    struct message m;

    device_init(&stranger, &p->rig, 15550000009);
    device_come(&p->ana);
    const struct refusal_case {
        const char *name;
        struct message m;
        Parley__Wire__Reason want;
    } cases[] = {
        {"nobody there",     {.to = &stranger},                          REASON(NO_ACCOUNT)   },
        {"old device list",  {.to = &p->shop, .spoil_hash = true},       REASON(STALE_DEVICES)},
        {"old registration", {.to = &p->shop, .registration_id = 16381}, REASON(STALE_DEVICES)},
        {"expired",          {.to = &p->shop, .expires_ms = now - 1},    REASON(EXPIRED)      },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        m = cases[i].m;
        if (device_publish_wait(&p->ana, &m) != cases[i].want)
            fail_msg("%s: %d", cases[i].name, p->ana.reply->publish_result->reason);
        if (cases[i].want == REASON(STALE_DEVICES)) {
            const Parley__Wire__PublishResult *r = p->ana.reply->publish_result;

            assert_int_equal(r->n_devices, 1);
            assert_int_equal(r->devices[0]->registration_id, p->shop.registration_id);
            assert_int_equal(r->device_list_hash.len, DEVICE_LIST_HASH_SIZE);
        }
    }
    /* an id so old that it may have been forgotten */
    m = (struct message){.to = &p->shop};
    message_id_make(m.id, now - 31ll * 24 * 3600 * 1000 - 1000, rng_system());
    assert_int_equal(device_publish_wait(&p->ana, &m), REASON(EXPIRED));
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM envelope"), 0);
    device_wipe(&stranger);
}

static void
test_lanes_that_are_not_ours(void **state)
{
    struct pair *p = *state;
    struct claim claim = {.mask = ~(1u << lane_of_peer(p->ana.number))};
    struct message m = {.to = &p->ana};

    device_connect(&p->shop);
    assert_int_equal(device_login(&p->shop, &claim, 1), OK);
    assert_int_equal(device_publish_wait(&p->shop, &m), REASON(NOT_ALLOWED));
}

/* A body above the envelope's ceiling is no frame of ours. */
static void
test_too_large(void **state)
{
    struct pair *p = *state;
    struct message m = {.to = &p->shop, .len = WIRE_ENVELOPE_MAX};

    device_come(&p->ana);
    assert_int_equal(device_publish_wait(&p->ana, &m), OK);
    m = (struct message){.to = &p->shop, .len = WIRE_ENVELOPE_MAX + 1};
    device_publish(&p->ana, &m);
    device_wait_end(&p->ana);
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM envelope"), 1);
}

/* More than 30 days is shortened, not refused: clocks differ. */
static void
test_expiry_is_shortened(void **state)
{
    struct pair *p = *state;
    int64_t now = clock_unix_ms(p->rig.clock), limit;
    struct message m = {.to = &p->shop, .expires_ms = now + 90ll * 24 * 3600 * 1000};

    device_come(&p->ana);
    assert_int_equal(device_publish_wait(&p->ana, &m), OK);
    limit = clock_unix_ms(p->rig.clock) + WIRE_EXPIRY_MAX_MS;
    assert_true(rig_sql(&p->rig, "SELECT expires_ms FROM envelope") <= limit);
}

static void
test_people_have_no_category(void **state)
{
    struct pair *p = *state;
    struct message m = {.to = &p->shop, .category = PARLEY__WIRE__CATEGORY__MARKETING};

    device_come(&p->ana);
    assert_int_equal(device_publish_wait(&p->ana, &m), OK);
    assert_int_equal(rig_sql(&p->rig, "SELECT (meta / 256) % 256 FROM envelope"), 0);
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM meter"), 0);
}

/* ---- once ---- */

static void
test_i5_duplicate_is_acknowledged_after_a_commit(void **state)
{
    struct pair *p = *state;
    struct message m = {.to = &p->ana, .category = PARLEY__WIRE__CATEGORY__UTILITY};

    device_come(&p->shop);
    assert_int_equal(device_publish_wait(&p->shop, &m), OK);
    for (int64_t again = 1; again <= 3; again++) {
        assert_int_equal(device_publish_wait(&p->shop, &m), OK);
        /* the answer is here, so what this try wrote has been committed: seen from outside */
        assert_int_equal(
            rig_sql(&p->rig, "SELECT duplicates FROM lane WHERE account = 15557654321"), again);
    }
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM envelope"), 1);
    assert_int_equal(rig_sql(&p->rig, "SELECT SUM(count) FROM meter"), 1);
    assert_int_equal(rig_sql(&p->rig, "SELECT enqueued FROM lane WHERE account = 15557654321"), 1);
    /* still so after a restart, after the ack, and when the sender's list has become old */
    rig_restart(&p->rig);
    p->ana.acks = true;
    device_come(&p->ana);
    device_wait_deliveries(&p->ana, 1);
    device_come(&p->shop);
    assert_int_equal(device_publish_wait(&p->shop, &m), OK);
    m.spoil_hash = true;
    assert_int_equal(device_publish_wait(&p->shop, &m), OK);
    rig_pass_ms(&p->rig, 50);
    assert_int_equal(p->ana.n_deliveries, 1);
}

/* The same id twice within one batch. */
static void
test_i5_twice_at_once(void **state)
{
    struct pair *p = *state;
    struct message m = {.to = &p->shop};

    p->shop.acks = true;
    device_come(&p->ana);
    device_come(&p->shop);
    message_id_make(m.id, clock_unix_ms(p->rig.clock), rng_system());
    for (unsigned i = 0; i < 20; i++)
        device_publish(&p->ana, &m);
    device_wait_results(&p->ana, 20);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(p->ana.results[i].reason, OK);
    rig_pass_ms(&p->rig, 50);
    assert_int_equal(p->shop.n_deliveries, 1);
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM envelope"), 1);
}

static void
test_metering_counts_messages_once(void **state)
{
    static const uint32_t categories[] = {PARLEY__WIRE__CATEGORY__MARKETING,
                                          PARLEY__WIRE__CATEGORY__UTILITY,
                                          PARLEY__WIRE__CATEGORY__UTILITY};
    struct pair *p = *state;

    device_come(&p->shop);
    for (size_t i = 0; i < ARRAY_LEN(categories); i++) {
        struct message m = {.to = &p->ana, .category = categories[i]};

        assert_int_equal(device_publish_wait(&p->shop, &m), OK);
        assert_int_equal(device_publish_wait(&p->shop, &m), OK);
    }
    struct message receipt = {.to = &p->ana, .class = PARLEY__WIRE__CLASS__RECEIPT};
    struct message stale = {.to = &p->ana, .category = categories[0], .spoil_hash = true};

    assert_int_equal(device_publish_wait(&p->shop, &receipt), OK);
    assert_int_equal(device_publish_wait(&p->shop, &stale), REASON(STALE_DEVICES));
    assert_int_equal(rig_sql(&p->rig, "SELECT count FROM meter WHERE category = 1"), 1);
    assert_int_equal(rig_sql(&p->rig, "SELECT count FROM meter WHERE category = 2"), 2);
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM meter"), 2);
}

static void
test_highest_counter_is_kept(void **state)
{
    struct pair *p = *state;
    struct message m = {.to = &p->shop};

    device_come(&p->ana);
    p->ana.counter = 41;
    assert_int_equal(device_publish_wait(&p->ana, &m), OK);
    rig_restart(&p->rig);
    device_come(&p->ana);
    assert_int_equal(p->ana.reply->login_ok->highest_counter, 42);
}

/* ---- ephemeral ---- */

static bool
has_one(void *ctx)
{
    return ((struct device *)ctx)->n_deliveries == 1;
}

static void
test_ephemeral_now_or_never(void **state)
{
    struct pair *p = *state;
    struct message typing = {.to = &p->shop, .class = PARLEY__WIRE__CLASS__EPHEMERAL};

    device_come(&p->ana);
    assert_int_equal(device_publish_wait(&p->ana, &typing), OK); /* nobody there */
    device_come(&p->shop);
    typing = (struct message){.to = &p->shop, .class = PARLEY__WIRE__CLASS__EPHEMERAL};
    assert_int_equal(device_publish_wait(&p->ana, &typing), OK);
    assert_true(rig_wait(&p->rig, has_one, &p->shop));
    assert_memory_equal(p->shop.deliveries[0].id, typing.id, MESSAGE_ID_BYTES);
    assert_int_equal(p->shop.deliveries[0].seq, 0);
    typing = (struct message){.to = &p->ana, .class = PARLEY__WIRE__CLASS__EPHEMERAL};
    assert_int_equal(device_publish_wait(&p->shop, &typing), OK);
    assert_true(rig_wait(&p->rig, has_one, &p->ana));
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM envelope"), 0);
}

static void
test_ephemeral_is_limited(void **state)
{
    struct pair *p = *state;

    device_come(&p->ana);
    for (uint32_t i = 0; i <= p->rig.limits.ephemerals_per_10s; i++) {
        struct message typing = {.to = &p->shop, .class = PARLEY__WIRE__CLASS__EPHEMERAL};

        assert_int_equal(device_publish_wait(&p->ana, &typing),
                         i < p->rig.limits.ephemerals_per_10s ? OK : REASON(RATE_LIMITED));
    }
}

/* ---- full queues ---- */

static void
test_i14_full_queue_is_refused_and_nothing_trimmed(void **state)
{
    struct pair *p = *state;
    struct message first = {.to = &p->ana}, m;

    rig_stop(&p->rig);
    p->rig.limits.phone_envelopes = 5;
    rig_start(&p->rig);
    device_come(&p->shop);
    assert_int_equal(device_publish_wait(&p->shop, &first), OK);
    for (unsigned i = 1; i < 8; i++) {
        m = (struct message){.to = &p->ana, .number = i};
        assert_int_equal(device_publish_wait(&p->shop, &m), i < 5 ? OK : REASON(OVERFLOW));
    }
    assert_int_equal(device_publish_wait(&p->shop, &first), OK); /* accepted before: still is */
    p->ana.acks = true;
    device_come(&p->ana);
    device_wait_deliveries(&p->ana, 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(p->ana.deliveries[i].number, i);
    while (device_publish_wait(&p->shop, &m) == REASON(OVERFLOW)) /* until the acks are stored */
        rig_pass_ms(&p->rig, 5);
    device_wait_deliveries(&p->ana, 6);
}

static void
test_i14_by_bytes(void **state)
{
    struct pair *p = *state;

    rig_stop(&p->rig);
    p->rig.limits.lane_bytes = 1000;
    rig_start(&p->rig);
    device_come(&p->ana);
    for (unsigned i = 0; i < 4; i++) {
        struct message m = {.to = &p->shop, .len = 300};

        assert_int_equal(device_publish_wait(&p->ana, &m), i < 3 ? OK : REASON(OVERFLOW));
    }
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_there_and_back),
        TEST(test_refusals),
        TEST(test_lanes_that_are_not_ours),
        TEST(test_too_large),
        TEST(test_expiry_is_shortened),
        TEST(test_people_have_no_category),
        TEST(test_i5_duplicate_is_acknowledged_after_a_commit),
        TEST(test_i5_twice_at_once),
        TEST(test_metering_counts_messages_once),
        TEST(test_highest_counter_is_kept),
        TEST(test_ephemeral_now_or_never),
        TEST(test_ephemeral_is_limited),
        TEST(test_i14_full_queue_is_refused_and_nothing_trimmed),
        TEST(test_i14_by_bytes),
    };

    return cmocka_run_group_tests_name("relay/publish", tests, NULL, NULL);
}
