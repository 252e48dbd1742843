/* test_unhappy.c - messages that cannot be delivered, and how they end. */
#include "pair.h"

#define NOBODY UINT64_C(4915999999)

static void
assert_failed_for(struct biz *biz, const uint8_t id[16], enum gateway_reason reason)
{
    struct event *events;
    size_t n = events_load(biz->place->store, biz->number, &events), found = 0;

    for (size_t i = 0; i < n; i++)
        if (memcmp(events[i].message_id, id, 16) == 0 && events[i].value == GATEWAY_FAILED) {
            assert_int_equal(events[i].extra, reason);
            assert_int_equal(events[i].peer != 0, 1);
            found++;
        }
    free(events);
    assert_int_equal(found, 1);
}

static void
test_a_number_without_account_fails(void **state)
{
    struct pair *p = *state;
    uint8_t id[16];
    char told[16];

    assert_int_equal(biz_say(&p->biz, NOBODY, "anybody?", id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_FAILED);
    assert_string_equal(biz_told(&p->biz, id, told), "f");
    assert_failed_for(&p->biz, id, GATEWAY_NO_ACCOUNT);
    /* nothing is left to be tried again */
    biz_stop(&p->biz);
    assert_int_equal(sql_int(p->biz.place->db, "SELECT COUNT(*) FROM end_out"), 0);
}

static void
test_i15_what_waits_expires_once(void **state)
{
    struct pair *p = *state;
    uint8_t id[16];
    char told[16];

    proxy_cut(&p->biz_wire);
    p->biz_wire.is_shut = true;
    assert_int_equal(
        biz_send(&p->biz, &(struct biz_send){.to = ANNA, .text = "soon", .ttl_ms = 60000}, id),
        RC_OK);
    biz_run_due(&p->biz);
    assert_string_equal(biz_told(&p->biz, id, told), "");
    net_shift(&p->net, 61000);
    biz_run_due(&p->biz);
    biz_run_due(&p->biz);
    assert_string_equal(biz_told(&p->biz, id, told), "f");
    assert_failed_for(&p->biz, id, GATEWAY_EXPIRED);
    p->biz_wire.is_shut = false;
    biz_wait_up(&p->biz);
    net_pass_ms(&p->net, 200);
    assert_shown(&p->anna, "");
}

struct sweep {
    bool is_done;
};

static void
on_swept(void *ctx, enum rc rc)
{
    ((struct sweep *)ctx)->is_done = true;
}

static bool
is_swept(void *ctx)
{
    return ((struct sweep *)ctx)->is_done;
}

static void
run_relay_sweep(struct net *net)
{
    struct sweep sweep = {.is_done = false};

    relay_sweep(net->relay, on_swept, &sweep);
    assert_true(net_wait(net, is_swept, &sweep));
}

static void
test_i15_what_the_relay_holds_expires_once(void **state)
{
    struct pair *p = *state;
    uint8_t id[16];
    char told[16];

    pair_acquaint(p);
    endpoint_offline(p->anna.endpoint);
    assert_int_equal(
        biz_send(&p->biz, &(struct biz_send){.to = ANNA, .text = "late", .ttl_ms = 60000}, id),
        RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_SENT);
    net_shift(&p->net, 61000);
    run_relay_sweep(&p->net);
    biz_wait_status(&p->biz, id, GATEWAY_FAILED);
    assert_failed_for(&p->biz, id, GATEWAY_EXPIRED);
    biz_run_due(&p->biz);
    endpoint_online(p->anna.endpoint);
    person_wait_up(&p->anna);
    net_pass_ms(&p->net, 200);
    assert_string_equal(biz_told(&p->biz, id, told), "sf");
    assert_shown(&p->anna, "hello\n");
}

/* The phone has it, the receipt was late: the one correction. */
static void
test_i15_a_late_receipt_corrects_an_expiry(void **state)
{
    struct pair *p = *state;
    uint8_t id[16];
    char told[16];

    pair_acquaint(p);
    p->anna.sends_receipts = false;
    assert_int_equal(
        biz_send(&p->biz, &(struct biz_send){.to = ANNA, .text = "late", .ttl_ms = 60000}, id),
        RC_OK);
    person_wait_events(&p->anna, EVENT_MESSAGE, 2);
    biz_wait_status(&p->biz, id, GATEWAY_SENT);
    sql_exec(p->biz.place->db, "UPDATE gw_msg SET state = 5 WHERE state = 1"); /* expired */
    assert_int_equal(person_read(&p->anna, BAKERY, id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_READ);
    assert_string_equal(biz_told(&p->biz, id, told), "sdr");
}

/* Another number knows the id and claims to have it. */
static void
test_i16_only_the_recipient_can_say_delivered(void **state)
{
    struct pair *p = *state;
    struct person eve;
    uint8_t id[16];
    char told[16];

    person_init(&eve, &p->net, ANNA + 1);
    person_start(&eve);
    person_register(&eve);
    p->anna.sends_receipts = false;
    assert_int_equal(biz_say(&p->biz, ANNA, "secret", id), RC_OK);
    person_wait_events(&p->anna, EVENT_MESSAGE, 1);
    assert_int_equal(person_read(&eve, BAKERY, id), RC_OK);
    assert_int_equal(person_say(&eve, BAKERY, "after it", NULL), RC_OK);
    biz_wait_events(&p->biz, EVENT_MESSAGE, 1);
    assert_string_equal(biz_told(&p->biz, id, told), "s");
    person_wipe(&eve);
}

/* A message that the owner cannot take, for a reason of the message's own. */
static void
test_i13_a_delivery_that_cannot_be_stored_is_set_aside(void **state)
{
    struct pair *p = *state;

    p->biz.answer_inbound = RC_LIMIT;
    p->biz.poison = 1000;
    assert_int_equal(person_say(&p->anna, BAKERY, "before", NULL), RC_OK);
    assert_int_equal(person_say(&p->anna, BAKERY, "poison", NULL), RC_OK);
    assert_int_equal(person_say(&p->anna, BAKERY, "after", NULL), RC_OK);
    biz_wait_events(&p->biz, EVENT_MESSAGE, 2);
    person_wait_events(&p->anna, EVENT_RECEIPT, 2);
    assert_in_range(1000 - p->biz.poison, 6, 12); /* a batch with others runs twice */
    assert_int_equal(person_say(&p->anna, BAKERY, "more", NULL), RC_OK);
    biz_wait_events(&p->biz, EVENT_MESSAGE, 3);
    assert_int_equal(events_count(p->biz.place->store, BAKERY, EVENT_MESSAGE, NULL), 3);
}

/* It passes by itself: nothing is lost, nothing is shown twice. */
static void
test_i19_a_failing_moment_loses_nothing(void **state)
{
    struct pair *p = *state;

    p->biz.answer_inbound = RC_LIMIT;
    p->biz.poison = 3;
    assert_int_equal(person_say(&p->anna, BAKERY, "before", NULL), RC_OK);
    assert_int_equal(person_say(&p->anna, BAKERY, "poison", NULL), RC_OK);
    assert_int_equal(person_say(&p->anna, BAKERY, "after", NULL), RC_OK);
    biz_wait_events(&p->biz, EVENT_MESSAGE, 3);
    person_wait_events(&p->anna, EVENT_RECEIPT, 3);
    net_pass_ms(&p->net, 100);
    assert_int_equal(events_count(p->biz.place->store, BAKERY, EVENT_MESSAGE, NULL), 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_a_number_without_account_fails),
        PAIR_TEST(test_i15_what_waits_expires_once),
        PAIR_TEST(test_i15_what_the_relay_holds_expires_once),
        PAIR_TEST(test_i15_a_late_receipt_corrects_an_expiry),
        PAIR_TEST(test_i16_only_the_recipient_can_say_delivered),
        PAIR_TEST(test_i13_a_delivery_that_cannot_be_stored_is_set_aside),
        PAIR_TEST(test_i19_a_failing_moment_loses_nothing),
    };

    return cmocka_run_group_tests_name("gateway/unhappy", tests, NULL, NULL);
}
