/* test_prekeys.c - one-time keys are refilled, signed ones renewed, and a key that is too old stops
 * sending. */
#include <stdio.h>

#include "pair.h"
#include "stub.h"

static int64_t
relay_int(struct pair *p, const char *sql)
{
    char path[128];

    snprintf(path, sizeof path, "%s/relay.db", p->net.dir);
    return sql_int(path, sql);
}

#define LEFT_AT_RELAY "SELECT COUNT(*) FROM prekey WHERE account = 4915222222 AND key IS NOT NULL"

struct look {
    struct pair *p;
    const char *sql;
    bool is_at_relay;
    int64_t want;
};

static bool
is_so(void *ctx)
{
    struct look *look = ctx;

    return (look->is_at_relay ? relay_int(look->p, look->sql)
                              : sql_int(look->p->anna.place.db, look->sql)) == look->want;
}

static void
wait_relay(struct pair *p, const char *sql, int64_t want)
{
    struct look look = {p, sql, true, want};

    if (!net_wait(&p->net, is_so, &look))
        fail_msg("%lld instead of %lld", (long long)relay_int(p, sql), (long long)want);
}

static void
wait_anna(struct pair *p, const char *sql, int64_t want)
{
    struct look look = {p, sql, false, want};

    if (!net_wait(&p->net, is_so, &look))
        fail_msg("%lld instead of %lld", (long long)sql_int(p->anna.place.db, sql),
                 (long long)want);
}

static void
strangers_write(struct pair *p, struct person *strangers, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        person_init(&strangers[i], &p->net, ANNA + 100 + i);
        strangers[i].policy.prekeys_first = 1;
        strangers[i].policy.prekeys_low = 0;
        person_start(&strangers[i]);
        person_register(&strangers[i]);
        assert_int_equal(person_say(&strangers[i], ANNA, "hi", NULL), RC_OK);
    }
}

static void
test_one_time_keys_are_refilled(void **state)
{
    struct pair *p = *state;
    struct person strangers[3];

    p->anna.policy.prekeys_first = 22;
    pair_start(p);
    assert_int_equal(relay_int(p, LEFT_AT_RELAY), 22);
    strangers_write(p, strangers, 3);
    person_wait_events(&p->anna, EVENT_MESSAGE, 3);
    wait_relay(p, LEFT_AT_RELAY, 19 + 80);
    wait_anna(p, "SELECT COUNT(*) FROM end_prekey", 22 - 3 + 80);
    for (unsigned i = 0; i < 3; i++)
        person_wipe(&strangers[i]);
}

/* They were taken while she was away. */
static void
test_one_time_keys_are_refilled_at_the_next_login(void **state)
{
    struct pair *p = *state;
    struct person strangers[3];

    p->anna.policy.prekeys_first = 22;
    pair_start(p);
    endpoint_offline(p->anna.endpoint);
    strangers_write(p, strangers, 3);
    wait_relay(p, LEFT_AT_RELAY, 19);
    endpoint_online(p->anna.endpoint);
    person_wait_events(&p->anna, EVENT_MESSAGE, 3);
    wait_relay(p, LEFT_AT_RELAY, 19 + 80);
    for (unsigned i = 0; i < 3; i++)
        person_wipe(&strangers[i]);
}

/* None left: the first message comes without one, and opens. */
static void
test_without_one_time_keys_first_messages_still_open(void **state)
{
    struct pair *p = *state;
    struct person strangers[3];

    p->anna.policy.prekeys_first = 1;
    p->anna.policy.prekeys_low = 0;
    pair_start(p);
    endpoint_offline(p->anna.endpoint);
    strangers_write(p, strangers, 3);
    for (unsigned i = 0; i < 3; i++)
        person_wait_events(&strangers[i], EVENT_SENT, 1);
    endpoint_online(p->anna.endpoint);
    person_wait_events(&p->anna, EVENT_MESSAGE, 3);
    for (unsigned i = 0; i < 3; i++)
        person_wait_events(&strangers[i], EVENT_RECEIPT, 1);
    for (unsigned i = 0; i < 3; i++)
        person_wipe(&strangers[i]);
}

/* A month passes without a stranger: the private halves go, and the relay hands out none of them.
 */
static void
test_one_time_keys_that_are_too_old_are_replaced(void **state)
{
    struct pair *p = *state;
    struct person strangers[1];

    p->anna.policy.prekeys_first = 22;
    pair_start(p);
    net_shift(&p->net, 33 * DAY_MS);
    person_run_due(&p->anna);
    wait_anna(p, "SELECT COUNT(*) FROM end_signed WHERE is_uploaded = 1", 1);
    wait_relay(p, LEFT_AT_RELAY, 22);
    wait_anna(p, "SELECT COUNT(*) FROM end_prekey", 22);
    strangers_write(p, strangers, 1);
    person_wait_events(&p->anna, EVENT_MESSAGE, 1);
    assert_int_equal(sql_int(p->anna.place.db, "SELECT COUNT(*) FROM end_failure"), 0);
    wait_anna(p, "SELECT COUNT(*) FROM end_prekey", 21);
    person_wipe(&strangers[0]);
}

#define SIGNED_AT_RELAY "SELECT signed_id FROM device WHERE account = 4915222222"

static void
test_signed_keys_are_renewed_and_old_ones_still_open(void **state)
{
    struct pair *p = *state;
    struct person strangers[1];
    int64_t first;
    uint8_t id[16];

    pair_start(p);
    first = relay_int(p, SIGNED_AT_RELAY);
    endpoint_offline(p->anna.endpoint);
    strangers_write(p, strangers, 1); /* under the old key */
    person_wait_events(&strangers[0], EVENT_SENT, 1);
    net_shift(&p->net, 8 * DAY_MS);
    endpoint_online(p->anna.endpoint);
    wait_anna(p, "SELECT COUNT(*) FROM end_signed WHERE is_uploaded = 1", 2);
    assert_int_not_equal(relay_int(p, SIGNED_AT_RELAY), first);
    assert_int_equal(sql_int(p->anna.place.db, "SELECT COUNT(*) FROM end_failure"), 0);
    person_wait_events(&p->anna, EVENT_MESSAGE, 1);
    /* and new sessions start under the new one */
    assert_int_equal(biz_say(&p->biz, ANNA, "new key", id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
    /* the private half of the first goes when nothing can come under it any more */
    net_shift(&p->net, 23 * DAY_MS);
    wait_anna(p, "SELECT COUNT(*) FROM end_signed", 3);
    net_shift(&p->net, 8 * DAY_MS);
    wait_anna(p, "SELECT COUNT(*) FROM end_signed WHERE is_uploaded = 1", 3);
    assert_int_equal(sql_int(p->anna.place.db, "SELECT COUNT(*) FROM end_signed"), 3);
    person_wipe(&strangers[0]);
}

/* A relay that does not take the new key: after two weeks nothing is sent. */
static void
test_a_key_that_is_too_old_stops_sending(void **state)
{
    struct pair *p = *state;
    struct stub stub;
    uint8_t id[16];
    char told[16];

    pair_start(p);
    pair_acquaint(p);
    stub_start(&stub, &p->net);
    biz_stop(&p->biz);
    p->biz.port = stub.port;
    biz_start(&p->biz);
    biz_wait_up(&p->biz);
    assert_int_equal(biz_say(&p->biz, ANNA, "in time", id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_SENT);
    net_shift(&p->net, 15 * DAY_MS);
    assert_int_equal(biz_say(&p->biz, ANNA, "too late", id), RC_OK);
    net_pass_ms(&p->net, 1500);
    assert_string_equal(biz_told(&p->biz, id, told), "");
    biz_stop(&p->biz);
    stub_stop(&stub);
    p->biz.port = p->biz_wire.port;
    biz_start(&p->biz); /* the real one takes it */
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        PREPARED_TEST(test_one_time_keys_are_refilled),
        PREPARED_TEST(test_one_time_keys_are_refilled_at_the_next_login),
        PREPARED_TEST(test_one_time_keys_that_are_too_old_are_replaced),
        PREPARED_TEST(test_without_one_time_keys_first_messages_still_open),
        PREPARED_TEST(test_signed_keys_are_renewed_and_old_ones_still_open),
        PREPARED_TEST(test_a_key_that_is_too_old_stops_sending),
    };

    return cmocka_run_group_tests_name("gateway/prekeys", tests, NULL, NULL);
}
