/* test_identity.c - devices that are installed anew, numbers that move, retry requests, and the
 * limit of unanswered messages. */
#include "pair.h"

static void
reinstall(struct person *person)
{
    person_stop(person);
    person_forget(person);
    person_start(person);
    person_register(person);
}

/* What the relay held for the old installation comes back, and goes out again for the new one. */
static void
test_what_was_queued_for_an_old_phone_reaches_the_new_one(void **state)
{
    struct pair *p = *state;
    uint8_t id[16], next[16];
    char told[16];

    pair_acquaint(p);
    endpoint_offline(p->anna.endpoint);
    assert_int_equal(biz_say(&p->biz, ANNA, "queued", id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_SENT);
    reinstall(&p->anna);
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
    assert_string_equal(biz_told(&p->biz, id, told), "sd");
    assert_int_equal(biz_say(&p->biz, ANNA, "next", next), RC_OK);
    biz_wait_status(&p->biz, next, GATEWAY_DELIVERED);
    assert_shown(&p->anna, "queued\nnext\n");
}

static void
test_a_stale_device_list_is_renewed(void **state)
{
    struct pair *p = *state;
    uint8_t id[16];
    char told[16];

    pair_acquaint(p);
    reinstall(&p->anna);
    biz_say_many(&p->biz, ANNA, "roll", 5); /* all of them under the old list */
    person_wait_events(&p->anna, EVENT_MESSAGE, 5);
    assert_shown(&p->anna, "roll 0\nroll 1\nroll 2\nroll 3\nroll 4\n");
    assert_int_equal(biz_say(&p->biz, ANNA, "more", id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
    assert_string_equal(biz_told(&p->biz, id, told), "sd");
}

static void
test_i37_a_changed_identity_is_told_once(void **state)
{
    struct pair *p = *state;
    struct person eve;
    uint8_t id[16];

    person_init(&eve, &p->net, ANNA + 1);
    person_start(&eve);
    person_register(&eve);
    assert_int_equal(person_say(&eve, ANNA, "hello", NULL), RC_OK);
    person_wait_events(&eve, EVENT_RECEIPT, 1);
    reinstall(&p->anna);
    /* learnt from a bundle */
    assert_int_equal(person_say(&eve, ANNA, "again", id), RC_OK);
    person_wait_events(&eve, EVENT_RECEIPT, 2);
    assert_int_equal(events_count(eve.place.store, eve.number, EVENT_IDENTITY, NULL), 1);
    reinstall(&p->anna);
    /* learnt from a first message */
    assert_int_equal(person_say(&p->anna, eve.number, "it is me", NULL), RC_OK);
    person_wait_events(&eve, EVENT_MESSAGE, 1);
    assert_int_equal(events_count(eve.place.store, eve.number, EVENT_IDENTITY, NULL), 2);
    assert_int_equal(person_say(&eve, ANNA, "fine", NULL), RC_OK);
    person_wait_events(&p->anna, EVENT_MESSAGE, 1);
    assert_int_equal(events_count(eve.place.store, eve.number, EVENT_IDENTITY, NULL), 2);
    person_wipe(&eve);
}

static void
test_a_business_leaves_and_comes_back(void **state)
{
    struct pair *p = *state;
    uint8_t id[16];

    pair_acquaint(p);
    assert_int_equal(biz_deregister(&p->biz), GATEWAY_REFUSED_NOT);
    assert_int_equal(biz_say(&p->biz, ANNA, "no", NULL), RC_PROTO);
    biz_register(&p->biz);
    assert_int_equal(biz_say(&p->biz, ANNA, "back", id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
    assert_int_equal(events_count(p->anna.place.store, ANNA, EVENT_IDENTITY, NULL), 1);
    assert_int_equal(person_say(&p->anna, BAKERY, "welcome", NULL), RC_OK);
    biz_wait_events(&p->biz, EVENT_MESSAGE, 2);
}

static bool
is_down(void *ctx)
{
    return !((struct biz *)ctx)->is_up;
}

/* A number registers elsewhere, and then here again. */
static void
test_a_number_moves_and_comes_back(void **state)
{
    struct pair *p = *state;
    struct biz other;
    uint8_t id[16];

    pair_acquaint(p);
    biz_init_at(&other, &p->net, BAKERY, "other");
    biz_start(&other);
    biz_register(&other);
    assert_true(net_wait(&p->net, is_down, &p->biz));
    assert_int_equal(biz_say(&other, ANNA, "moved", id), RC_OK);
    biz_wait_status(&other, id, GATEWAY_DELIVERED);
    assert_int_equal(person_say(&p->anna, BAKERY, "to the new place", NULL), RC_OK);
    biz_wait_events(&other, EVENT_MESSAGE, 1);
    biz_verify(&p->biz);
    assert_int_equal(biz_try_register(&p->biz, "654321"), GATEWAY_REFUSED_PIN);
    biz_verify(&p->biz);
    assert_int_equal(biz_try_register(&p->biz, "123456"), GATEWAY_REFUSED_NOT);
    biz_wait_up(&p->biz);
    assert_true(net_wait(&p->net, is_down, &other));
    assert_int_equal(biz_say(&p->biz, ANNA, "back", id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
    assert_shown(&p->anna, "hello\nmoved\nback\n");
    biz_wipe(&other);
}

/* Nobody answers: so many go out, the others wait, and follow in order once there is an answer. */
static void
test_unanswered_messages_wait_at_the_limit(void **state)
{
    struct pair *p = *state;
    struct event *events;
    size_t n, k = 0;

    p->anna.policy.unanswered_max = 5;
    pair_start(p);
    pair_acquaint(p);
    p->biz_wire.is_shut = true;
    proxy_cut(&p->biz_wire);
    for (unsigned i = 0; i < 8; i++) {
        char text[2] = {(char)('a' + i), '\0'};

        assert_int_equal(person_say(&p->anna, BAKERY, text, NULL), RC_OK);
    }
    person_wait_events(&p->anna, EVENT_SENT, 5);
    net_pass_ms(&p->net, 1200); /* the tick does not push them, either */
    n = events_count(p->anna.place.store, ANNA, EVENT_SENT, NULL);
    assert_in_range(n, 5, 6); /* "hello" was the first */
    p->biz_wire.is_shut = false;
    biz_wait_events(&p->biz, EVENT_MESSAGE, 9);
    n = events_load(p->biz.place->store, BAKERY, &events);
    for (size_t i = 0; i < n; i++)
        if (events[i].kind == EVENT_MESSAGE && strcmp(events[i].text, "hello") != 0)
            assert_int_equal(events[i].text[0], 'a' + k++);
    free(events);
    assert_int_equal(k, 8);
}

/* Typing is seen and leaves nothing behind. */
static bool
has_typed(void *ctx)
{
    return ((struct person *)ctx)->typings > 0;
}

static void
test_typing_is_shown_and_stored_nowhere(void **state)
{
    struct pair *p = *state;
    uint8_t id[16];

    assert_int_equal(person_say(&p->anna, BAKERY, "hello?", id), RC_OK);
    biz_wait_events(&p->biz, EVENT_MESSAGE, 1);
    person_wait_events(&p->anna, EVENT_RECEIPT, 1);
    assert_int_equal(biz_mark_read(&p->biz, id), RC_OK);
    assert_int_equal(p->anna.typings, 0);
    biz_type(&p->biz, id);
    assert_true(net_wait(&p->net, has_typed, &p->anna));
    assert_true(p->anna.is_typing);
    assert_int_equal(sql_int(p->anna.place.db, "SELECT COUNT(*) FROM end_seen"), 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_what_was_queued_for_an_old_phone_reaches_the_new_one),
        PAIR_TEST(test_a_stale_device_list_is_renewed),
        PAIR_TEST(test_i37_a_changed_identity_is_told_once),
        PAIR_TEST(test_a_business_leaves_and_comes_back),
        PAIR_TEST(test_a_number_moves_and_comes_back),
        PREPARED_TEST(test_unanswered_messages_wait_at_the_limit),
        PAIR_TEST(test_typing_is_shown_and_stored_nowhere),
    };

    return cmocka_run_group_tests_name("gateway/identity", tests, NULL, NULL);
}
