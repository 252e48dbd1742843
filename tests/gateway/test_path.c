/* test_path.c - one message's whole journey, both ways, over a real relay. */
#include "pair.h"

static void
test_text_out_with_statuses_in_order_and_once(void **state)
{
    struct pair *p = *state;
    uint8_t id[16];
    char told[16];

    assert_int_equal(biz_say(&p->biz, ANNA, "fresh bread", id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
    assert_int_equal(person_read(&p->anna, BAKERY, id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_READ);
    assert_string_equal(biz_told(&p->biz, id, told), "sdr");
    assert_int_equal(biz_state(&p->biz, id), MESSAGE_READ);
    assert_shown(&p->anna, "fresh bread\n");
}

static void
test_text_in_with_receipts_back(void **state)
{
    struct pair *p = *state;
    struct event *events;
    uint8_t id[16];
    size_t n;

    assert_int_equal(person_say(&p->anna, BAKERY, "two rolls please", id), RC_OK);
    biz_wait_events(&p->biz, EVENT_MESSAGE, 1);
    n = events_load(p->biz.place->store, BAKERY, &events);
    assert_int_equal(n, 1);
    assert_int_equal(events[0].peer, ANNA);
    assert_string_equal(events[0].text, "two rolls please");
    assert_memory_equal(events[0].message_id, id, 16);
    free(events);
    person_wait_events(&p->anna, EVENT_RECEIPT, 1);
    assert_int_equal(biz_mark_read(&p->biz, id), RC_OK);
    person_wait_events(&p->anna, EVENT_RECEIPT, 2);
    n = events_load(p->anna.place.store, ANNA, &events);
    assert_int_equal(n, 3); /* sent, delivered, read */
    assert_int_equal(events[0].kind, EVENT_SENT);
    assert_int_equal(events[1].value, PARLEY__CONTENT__RECEIPT_KIND__DELIVERED);
    assert_int_equal(events[2].value, PARLEY__CONTENT__RECEIPT_KIND__READ);
    for (size_t i = 0; i < n; i++)
        assert_memory_equal(events[i].message_id, id, 16);
    free(events);
}

static void
test_conversation_goes_on_after_a_restart_of_all(void **state)
{
    struct pair *p = *state;
    uint8_t id[16];
    char told[16];

    assert_int_equal(biz_say(&p->biz, ANNA, "one", id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
    biz_stop(&p->biz);
    person_stop(&p->anna);
    net_stop_relay(&p->net);
    net_start_relay(&p->net);
    biz_start(&p->biz);
    person_start(&p->anna);
    biz_wait_up(&p->biz);
    assert_int_equal(biz_say(&p->biz, ANNA, "two", id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
    assert_string_equal(biz_told(&p->biz, id, told), "sd");
    assert_int_equal(person_say(&p->anna, BAKERY, "three", NULL), RC_OK);
    biz_wait_events(&p->biz, EVENT_MESSAGE, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_text_out_with_statuses_in_order_and_once),
        PAIR_TEST(test_text_in_with_receipts_back),
        PAIR_TEST(test_conversation_goes_on_after_a_restart_of_all),
    };

    return cmocka_run_group_tests_name("gateway/path", tests, NULL, NULL);
}
