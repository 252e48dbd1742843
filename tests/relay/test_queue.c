/* test_queue.c - a queue's promises: conservation, only its owner takes away, order, resuming. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "rig.h"

#define ANA 15557654321u
#define SHOP 15550123400u

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
publish_many(struct device *from, const struct device *to, uint32_t first, uint32_t n, size_t len)
{
    for (uint32_t i = 0; i < n; i++) {
        struct message m = {.to = to, .number = first + i, .len = len};

        device_publish(from, &m);
    }
}

/* Every lane of every device, by its counters and by counting its rows. */
static void
assert_conserved(struct rig *rig)
{
    assert_int_equal(
        rig_sql(rig,
                "SELECT COUNT(*) FROM lane WHERE enqueued <> acked + expired + purged + pending"),
        0);
    assert_int_equal(
        rig_sql(rig, "SELECT COUNT(*) FROM lane l WHERE pending <> (SELECT COUNT(*) FROM envelope e"
                     " WHERE e.account = l.account AND e.device = l.device AND e.lane = l.lane"
                     " AND e.state = 0)"),
        0);
    assert_int_equal(
        rig_sql(rig, "SELECT COUNT(*) FROM lane l WHERE pending_bytes <> (SELECT"
                     " COALESCE(SUM(length(body)), 0) FROM envelope e WHERE e.account = l.account"
                     " AND e.device = l.device AND e.lane = l.lane AND e.state = 0)"),
        0);
}

static bool
is_empty(void *ctx)
{
    return rig_sql(ctx, "SELECT COUNT(*) FROM envelope WHERE state = 0") == 0;
}

static void
test_i7_conservation(void **state)
{
    struct pair *p = *state;
    struct device again;

    device_come(&p->shop);
    publish_many(&p->shop, &p->ana, 0, 50, 200);
    device_wait_results(&p->shop, 50);
    assert_conserved(&p->rig);
    device_come(&p->ana);
    device_wait_deliveries(&p->ana, 50);
    device_ack(&p->ana, 0, 20);
    device_ack(&p->ana, 0, 20);
    device_ack(&p->ana, 0, 7); /* cumulative acks never go back */
    rig_pass_ms(&p->rig, 100);
    assert_conserved(&p->rig);
    assert_int_equal(rig_sql(&p->rig, "SELECT acked FROM lane WHERE account = 15557654321"), 20);
    rig_advance(&p->rig, 31ll * 24 * 3600 * 1000); /* the other 30 expire */
    assert_conserved(&p->rig);
    assert_int_equal(rig_sql(&p->rig, "SELECT expired FROM lane WHERE account = 15557654321"), 30);
    publish_many(&p->shop, &p->ana, 100, 10, 200);
    device_wait_results(&p->shop, 60);
    device_init(&again, &p->rig, ANA);
    device_register(&again, 0); /* purges what is left */
    rig_advance(&p->rig, 1);
    assert_conserved(&p->rig);
    assert_int_equal(rig_sql(&p->rig, "SELECT purged FROM lane WHERE account = 15557654321"), 10);
    device_wipe(&again);
}

static void
test_i8_ack_of_what_was_not_sent(void **state)
{
    struct pair *p = *state;

    device_come(&p->shop);
    publish_many(&p->shop, &p->ana, 0, 3, 0);
    device_wait_results(&p->shop, 3);
    device_come(&p->ana);
    device_wait_deliveries(&p->ana, 3);
    device_ack(&p->ana, 0, 4);
    device_wait_end(&p->ana);
    assert_int_equal(p->ana.reason, CLOSED(PROTOCOL_ERROR));
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM envelope WHERE state = 0"), 3);
    device_come(&p->ana);
    device_ack(&p->ana, 5, 1); /* a lane it has not */
    device_wait_end(&p->ana);
    assert_int_equal(p->ana.reason, CLOSED(PROTOCOL_ERROR));
    /* somebody else's login takes nothing of hers */
    struct device bob;
    device_init(&bob, &p->rig, 15550000007);
    device_register(&bob, 0);
    device_come(&bob);
    device_ack(&bob, 0, 3);
    device_wait_end(&bob);
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM envelope WHERE state = 0"), 3);
    device_wipe(&bob);
}

/* An ack of the registration before, arriving after the new one. */
static void
test_i8_ack_of_an_old_registration(void **state)
{
    struct pair *p = *state;

    device_come(&p->shop);
    publish_many(&p->shop, &p->ana, 0, 1, 0);
    device_wait_results(&p->shop, 1);
    device_come(&p->ana);
    device_wait_deliveries(&p->ana, 1);
    rig_exec(&p->rig, "UPDATE lane SET generation = 2 WHERE account = 15557654321");
    device_ack(&p->ana, 0, 1);
    rig_pass_ms(&p->rig, 100);
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM envelope WHERE state = 0"), 1);
}

/* Many connections write to one phone at once; it acknowledges each delivery on sight. */
static void
test_i9_order_and_greedy_acks(void **state)
{
    enum { WRITERS = 16, EACH = 100 };
    struct pair *p = *state;
    struct device *writers = calloc(WRITERS, sizeof(*writers));
    uint8_t seen[WRITERS * EACH] = {0};

    p->ana.acks = true;
    device_come(&p->ana);
    for (uint32_t i = 0; i < WRITERS; i++) {
        device_init(&writers[i], &p->rig, 15550001000 + i);
        device_register(&writers[i], 0);
        device_come(&writers[i]);
    }
    for (uint32_t k = 0; k < EACH; k++) {
        for (uint32_t i = 0; i < WRITERS; i++)
            publish_many(&writers[i], &p->ana, i * EACH + k, 1, 64 + 40 * (i % 7));
        if (k == EACH / 2) { /* in the middle of it she leaves and comes back */
            device_cut(&p->ana);
            device_come(&p->ana);
        }
    }
    for (uint32_t i = 0; i < WRITERS; i++)
        device_wait_results(&writers[i], EACH);
    assert_true(rig_wait(&p->rig, is_empty, &p->rig));
    for (size_t i = 0, last = 0; i < p->ana.n_deliveries; i++) {
        const struct delivery *d = &p->ana.deliveries[i];

        assert_true(d->seq == last + 1 ||
                    d->seq <= last); /* no gap; again only after coming back */
        last = d->seq > last ? d->seq : last;
        seen[d->number] = 1;
    }
    for (size_t i = 0; i < sizeof(seen); i++)
        assert_int_equal(seen[i], 1);
    assert_conserved(&p->rig);
    for (uint32_t i = 0; i < WRITERS; i++)
        device_wipe(&writers[i]);
    free(writers);
}

/* Cut at random points: each coming resumes at the first unacknowledged one. */
static void
test_i10_resumes_at_the_first_unacked(void **state)
{
    enum { N = 600 };
    struct pair *p = *state;
    uint64_t acked = 0, seed = 42;
    struct rng rng = rng_seeded(&seed);

    device_come(&p->shop);
    publish_many(&p->shop, &p->ana, 0, N, 500);
    device_wait_results(&p->shop, N);
    for (unsigned round = 0; acked < N; round++) {
        size_t before = p->ana.n_deliveries;

        assert_true(round < 200);
        device_come(&p->ana);
        device_wait_deliveries(&p->ana, before + 1);
        rig_pass_ms(&p->rig, rng_below(rng, 10));
        assert_int_equal(p->ana.deliveries[before].seq, acked + 1);
        for (size_t i = before + 1; i < p->ana.n_deliveries; i++)
            assert_int_equal(p->ana.deliveries[i].seq, p->ana.deliveries[i - 1].seq + 1);
        acked += rng_below(rng, (uint32_t)(p->ana.n_deliveries - before + 1));
        if (acked > 0) {
            device_ack(&p->ana, 0, acked);
            while (rig_sql(&p->rig, "SELECT acked FROM lane WHERE account = 15557654321") !=
                   (int64_t)acked)
                rig_pass_ms(&p->rig, 2);
        }
        device_cut(&p->ana);
    }
    assert_conserved(&p->rig);
}

/* Without acks no more than the window is sent, and each ack lets more through. */
static void
test_window(void **state)
{
    struct pair *p = *state;

    rig_stop(&p->rig);
    p->rig.limits.window = 10;
    rig_start(&p->rig);
    device_come(&p->shop);
    device_come(&p->ana);
    assert_int_equal(p->ana.reply->login_ok->window, 10);
    publish_many(&p->shop, &p->ana, 0, 50, 0);
    device_wait_results(&p->shop, 50);
    rig_pass_ms(&p->rig, 100);
    assert_int_equal(p->ana.n_deliveries, 10);
    device_ack(&p->ana, 0, 10);
    device_wait_deliveries(&p->ana, 20);
    rig_pass_ms(&p->rig, 50);
    assert_int_equal(p->ana.n_deliveries, 20);
    p->ana.acks = true;
    device_ack(&p->ana, 0, 20);
    device_wait_deliveries(&p->ana, 50);
    for (uint32_t i = 0; i < 50; i++)
        assert_int_equal(p->ana.deliveries[i].number, i);
}

/* A queue of large envelopes to a phone that reads slowly is handed over by and by. */
static void
test_large_backlog(void **state)
{
    enum { N = 300 };
    struct pair *p = *state;

    device_come(&p->shop);
    for (uint32_t i = 0; i < N; i += 50) { /* our own channel holds 4 MiB at most */
        publish_many(&p->shop, &p->ana, i, 50, 40000);
        device_wait_results(&p->shop, i + 50);
    }
    p->ana.acks = true;
    device_come(&p->ana);
    device_wait_deliveries(&p->ana, N);
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(p->ana.deliveries[i].number, i);
        assert_int_equal(p->ana.deliveries[i].len, 40000);
    }
    assert_true(rig_wait(&p->rig, is_empty, &p->rig));
}

/* A business's lanes are queues of their own. */
static void
test_lanes_are_separate(void **state)
{
    enum { PEOPLE = 20 };
    struct pair *p = *state;
    struct device *people = calloc(PEOPLE, sizeof(*people));

    for (uint32_t i = 0; i < PEOPLE; i++) {
        device_init(&people[i], &p->rig, 15550002000 + i);
        device_register(&people[i], 0);
        device_come(&people[i]);
        publish_many(&people[i], &p->shop, i, 1, 0);
        device_wait_results(&people[i], 1);
    }
    device_come(&p->shop);
    device_wait_deliveries(&p->shop, PEOPLE);
    for (size_t i = 0; i < PEOPLE; i++) {
        const struct delivery *d = &p->shop.deliveries[i];

        assert_int_equal(d->lane, lane_of_peer(d->sender));
        assert_int_equal(d->sender, 15550002000 + d->number);
    }
    /* an ack in one lane leaves the others alone */
    device_ack(&p->shop, p->shop.deliveries[0].lane, p->shop.deliveries[0].seq);
    rig_pass_ms(&p->rig, 100);
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM envelope WHERE state = 0"), PEOPLE - 1);
    for (uint32_t i = 0; i < PEOPLE; i++)
        device_wipe(&people[i]);
    free(people);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_i7_conservation),
        TEST(test_i8_ack_of_what_was_not_sent),
        TEST(test_i8_ack_of_an_old_registration),
        TEST(test_i9_order_and_greedy_acks),
        TEST(test_i10_resumes_at_the_first_unacked),
        TEST(test_window),
        TEST(test_large_backlog),
        TEST(test_lanes_are_separate),
    };

    return cmocka_run_group_tests_name("relay/queue", tests, NULL, NULL);
}
