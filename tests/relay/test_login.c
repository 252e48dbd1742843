/* test_login.c - who holds a lane: epochs that fence, the newest connection, storms of both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "rig.h"

#define ANA 15557654321u
#define SHOP 15550123400u
#define ALL 0xffffffffu

struct pair {
    struct rig rig;
    struct device ana, shop, twin; /* twin: another instance of the shop, same keys */
};

static void
copy_keys(struct device *to, const struct device *from)
{
    to->noise = from->noise;
    memcpy(to->identity_priv, from->identity_priv, sizeof(to->identity_priv));
    memcpy(to->identity, from->identity, sizeof(to->identity));
    to->registration_id = from->registration_id;
    to->generation = from->generation;
    to->is_business = from->is_business;
}

static int
set_up(void **state)
{
    struct pair *p = calloc(1, sizeof(*p));

    rig_init(&p->rig);
    rig_start(&p->rig);
    device_init(&p->ana, &p->rig, ANA);
    device_init(&p->shop, &p->rig, SHOP);
    device_init(&p->twin, &p->rig, SHOP);
    p->shop.is_business = true;
    device_register(&p->ana, 10);
    device_register(&p->shop, 10);
    copy_keys(&p->twin, &p->shop);
    *state = p;
    return 0;
}

static int
tear_down(void **state)
{
    struct pair *p = *state;

    device_wipe(&p->ana);
    device_wipe(&p->shop);
    device_wipe(&p->twin);
    rig_wipe(&p->rig);
    free(p);
    return 0;
}

static Parley__Wire__Reason
come_with(struct device *d, uint32_t mask, uint64_t epoch)
{
    struct claim claim = {mask, epoch};

    device_connect(d);
    return device_login(d, &claim, 1);
}

static void
test_strangers(void **state)
{
    struct pair *p = *state;
    struct device other;

    device_init(&other, &p->rig, 15550000001);
    device_connect(&other);
    assert_int_equal(device_login(&other, NULL, 0), REASON(UNKNOWN_DEVICE));
    other.number = ANA; /* the right number, not its key */
    other.generation = 1;
    assert_int_equal(device_login(&other, NULL, 0), REASON(UNKNOWN_DEVICE));
    device_wipe(&other);
    p->ana.generation = 2; /* the relay was restored, or the device is */
    device_connect(&p->ana);
    assert_int_equal(device_login(&p->ana, NULL, 0), REASON(FENCED));
}

static void
test_i29_lower_epoch_is_refused(void **state)
{
    struct pair *p = *state;
    struct message m = {.to = &p->ana}, late;

    assert_int_equal(come_with(&p->shop, ALL, 5), OK);
    assert_int_equal(device_publish_wait(&p->shop, &m), OK);
    assert_int_equal(come_with(&p->twin, ALL, 4), REASON(FENCED));
    m = (struct message){.to = &p->ana};
    assert_int_equal(device_publish_wait(&p->shop, &m), OK); /* undisturbed */
    assert_int_equal(come_with(&p->twin, ALL, 6), OK);
    device_wait_end(&p->shop);
    assert_int_equal(p->shop.reason, CLOSED(CLOSE_FENCED));
    assert_int_equal(come_with(&p->shop, ALL, 5), REASON(FENCED));
    device_cut(&p->twin);
    rig_restart(&p->rig); /* remembered on disk */
    assert_int_equal(come_with(&p->shop, ALL, 5), REASON(FENCED));
    assert_int_equal(come_with(&p->shop, ALL, 6), OK);
    late = (struct message){.to = &p->ana};
    assert_int_equal(device_publish_wait(&p->shop, &late), OK);
}

/* The connection still stands, but its lanes are another's by now: refused inside the transaction.
 */
static void
test_i29_publish_of_a_lower_epoch_is_fenced(void **state)
{
    struct pair *p = *state;
    struct message m = {.to = &p->ana};

    assert_int_equal(come_with(&p->shop, ALL, 1), OK);
    rig_exec(&p->rig, "UPDATE lane SET lease_epoch = 2 WHERE account = 15550123400");
    assert_int_equal(device_publish_wait(&p->shop, &m), REASON(FENCED));
    rig_exec(&p->rig,
             "UPDATE lane SET lease_epoch = 1, generation = 2 WHERE account = 15550123400");
    assert_int_equal(device_publish_wait(&p->shop, &m), REASON(FENCED));
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM envelope"), 0);
}

/* The old instance's frames are on the way while another takes over: none of them has an effect. */
static void
test_i29_publishes_under_way_are_fenced(void **state)
{
    struct pair *p = *state;
    size_t n_ok = 0, n_fenced = 0;
    int64_t stored;

    assert_int_equal(come_with(&p->shop, ALL, 1), OK);
    device_connect(&p->twin);
    struct claim claim = {ALL, 2};
    for (unsigned i = 0; i < 300; i++) {
        struct message m = {.to = &p->ana, .number = i};

        device_publish(&p->shop, &m);
    }
    assert_int_equal(device_login(&p->twin, &claim, 1), OK);
    for (unsigned i = 0; i < 300; i++) {
        struct message m = {.to = &p->ana, .number = i};

        device_publish(&p->shop, &m);
    }
    stored = rig_sql(&p->rig, "SELECT COUNT(*) FROM envelope"); /* not more than at the takeover… */
    device_wait_end(&p->shop);
    rig_pass_ms(&p->rig, 50);
    for (size_t i = 0; i < p->shop.n_results; i++) {
        n_ok += p->shop.results[i].reason == OK;
        n_fenced += p->shop.results[i].reason == REASON(FENCED);
    }
    assert_int_equal(n_ok + n_fenced, p->shop.n_results);
    /* …and later ones none, whatever arrived after the new epoch was granted */
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM envelope"), stored);
}

static void
test_i29_lanes_are_fenced_one_by_one(void **state)
{
    struct pair *p = *state;
    uint32_t lane = lane_of_peer(ANA), half = 1u << lane;
    struct message m = {.to = &p->ana};

    assert_int_equal(come_with(&p->shop, ~half, 9), OK);
    assert_int_equal(come_with(&p->twin, half, 3), OK); /* another lane, another epoch */
    assert_int_equal(device_publish_wait(&p->twin, &m), OK);
    m = (struct message){.to = &p->ana};
    assert_int_equal(device_publish_wait(&p->shop, &m), REASON(NOT_ALLOWED));
    /* one lane of many with a lower epoch spoils the claim, and touches nothing */
    assert_int_equal(come_with(&p->twin, ALL, 8), REASON(FENCED));
    m = (struct message){.to = &p->ana};
    assert_int_equal(rig_sql(&p->rig, "SELECT MAX(lease_epoch) FROM lane"), 9);
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM lane WHERE lease_epoch = 8"), 0);
}

static void
test_i29_acks_of_a_lower_epoch_change_nothing(void **state)
{
    struct pair *p = *state;
    struct message m = {.to = &p->shop};
    uint32_t lane = lane_of_peer(ANA);

    device_come(&p->ana);
    assert_int_equal(come_with(&p->shop, ALL, 1), OK);
    assert_int_equal(device_publish_wait(&p->ana, &m), OK);
    device_wait_deliveries(&p->shop, 1);
    /* somebody else has the lane by the time the ack is written */
    rig_exec(&p->rig, "UPDATE lane SET lease_epoch = 2 WHERE account = 15550123400");
    device_ack(&p->shop, lane, 1);
    rig_pass_ms(&p->rig, 100);
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM envelope WHERE state = 0"), 1);
    assert_int_equal(come_with(&p->twin, ALL, 2), OK);
    device_wait_deliveries(&p->twin, 1);
    device_ack(&p->twin, lane, 1);
    rig_pass_ms(&p->rig, 100);
    assert_int_equal(rig_sql(&p->rig, "SELECT COUNT(*) FROM envelope WHERE state = 0"), 0);
}

static void
test_i31_newest_wins(void **state)
{
    struct pair *p = *state;
    struct message m;

    assert_int_equal(come_with(&p->shop, ALL, 7), OK);
    device_come(&p->ana);
    for (uint32_t i = 0; i < 10; i++) {
        m = (struct message){.to = &p->shop, .number = i};
        assert_int_equal(device_publish_wait(&p->ana, &m), OK);
    }
    device_wait_deliveries(&p->shop, 10);
    device_ack(&p->shop, lane_of_peer(ANA), 4);
    assert_int_equal(come_with(&p->twin, ALL, 7), OK);
    device_wait_end(&p->shop);
    assert_int_equal(p->shop.reason, CLOSED(CONNECTED_ELSEWHERE));
    device_wait_deliveries(&p->twin, 6);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(p->twin.deliveries[i].number, 4 + i);
}

/* Many connections with one identity while messages come in: the last one has them all. */
static void
test_i31_storm_loses_nothing(void **state)
{
    enum { ROUNDS = 30, EACH = 10 };
    struct pair *p = *state;
    struct device *ds[2] = {&p->shop, &p->twin};
    uint8_t seen[ROUNDS * EACH] = {0};

    device_come(&p->ana);
    p->shop.acks = p->twin.acks = true;
    for (uint32_t r = 0; r < ROUNDS; r++) {
        for (uint32_t i = 0; i < EACH; i++) {
            struct message m = {.to = &p->shop, .number = r * EACH + i};

            device_publish(&p->ana, &m);
        }
        assert_int_equal(come_with(ds[r % 2], ALL, 7), OK);
    }
    device_wait_results(&p->ana, ROUNDS * EACH);
    for (unsigned tries = 0; tries < 200; tries++) {
        size_t n = 0;

        memset(seen, 0, sizeof(seen));
        for (unsigned k = 0; k < 2; k++) {
            for (size_t i = 0; i < ds[k]->n_deliveries; i++)
                seen[ds[k]->deliveries[i].number] = 1;
        }
        for (size_t i = 0; i < sizeof(seen); i++)
            n += seen[i];
        if (n == sizeof(seen))
            return;
        rig_pass_ms(&p->rig, 20);
    }
    fail_msg("a message was lost");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_strangers),
        TEST(test_i29_lower_epoch_is_refused),
        TEST(test_i29_publish_of_a_lower_epoch_is_fenced),
        TEST(test_i29_publishes_under_way_are_fenced),
        TEST(test_i29_lanes_are_fenced_one_by_one),
        TEST(test_i29_acks_of_a_lower_epoch_change_nothing),
        TEST(test_i31_newest_wins),
        TEST(test_i31_storm_loses_nothing),
    };

    return cmocka_run_group_tests_name("relay/login", tests, NULL, NULL);
}
