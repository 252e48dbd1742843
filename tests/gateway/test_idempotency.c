/* test_idempotency.c - the same key and body give the same message, once (I2). */
#include "pair.h"

#define THREADS 32u

static void
test_i2_same_key_same_body_same_id(void **state)
{
    struct pair *p = *state;
    const struct biz_send send = {.to = ANNA, .text = "order 17", .key = "key-1"};
    uint8_t first[16], again[16];

    assert_int_equal(biz_send(&p->biz, &send, first), RC_OK);
    assert_false(p->biz.accepted.is_repeat);
    assert_int_equal(biz_send(&p->biz, &send, again), RC_OK);
    assert_true(p->biz.accepted.is_repeat);
    assert_memory_equal(first, again, 16);
    biz_wait_status(&p->biz, first, GATEWAY_DELIVERED);
    assert_int_equal(biz_send(&p->biz, &send, again), RC_OK);
    assert_memory_equal(first, again, 16);
    assert_shown(&p->anna, "order 17\n");
}

static void
test_i2_same_key_other_body_is_refused(void **state)
{
    struct pair *p = *state;
    uint8_t id[16];

    assert_int_equal(biz_send(&p->biz, &(struct biz_send){ANNA, "one", "key-1", 0}, id), RC_OK);
    assert_int_equal(biz_send(&p->biz, &(struct biz_send){ANNA, "two", "key-1", 0}, NULL),
                     RC_EXISTS);
    assert_int_equal(biz_send(&p->biz, &(struct biz_send){ANNA, "two", "key-2", 0}, id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
    assert_shown(&p->anna, "one\ntwo\n");
}

struct racer {
    struct gateway_accepted accepted;
    enum rc rc;
    size_t *left;
};

static void
on_answer(void *ctx, enum rc rc, const struct gateway_accepted *accepted)
{
    struct racer *racer = ctx;

    racer->rc = rc;
    if (accepted != NULL)
        racer->accepted = *accepted;
    --*racer->left;
}

static bool
is_zero(void *ctx)
{
    return *(size_t *)ctx == 0;
}

/* All at the same time: they share a batch, and the first of it decides. */
static void
test_i2_concurrent_duplicates_are_one_message(void **state)
{
    struct pair *p = *state;
    struct racer racers[THREADS];
    Parley__Content__Payload payloads[THREADS];
    Parley__Content__Text text = PARLEY__CONTENT__TEXT__INIT;
    size_t left = THREADS, firsts = 0;

    text.body = (char *)(uintptr_t) "once";
    for (size_t i = 0; i < THREADS; i++) {
        struct gateway_send send = {.account = BAKERY,
                                    .to = ANNA,
                                    .category = 4,
                                    .payload = &payloads[i],
                                    .idempotency_key = bytes_of_str("race"),
                                    .request_body = bytes_of_str("once")};

        payloads[i] = (Parley__Content__Payload)PARLEY__CONTENT__PAYLOAD__INIT;
        payloads[i].body_case = PARLEY__CONTENT__PAYLOAD__BODY_TEXT;
        payloads[i].text = &text;
        racers[i] = (struct racer){.left = &left};
        gateway_message_id(p->biz.gateway, send.message_id);
        gateway_send(p->biz.gateway, &send, on_answer, &racers[i]);
    }
    assert_true(net_wait(&p->net, is_zero, &left));
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(racers[i].rc, RC_OK);
        assert_memory_equal(racers[i].accepted.message_id, racers[0].accepted.message_id, 16);
        firsts += !racers[i].accepted.is_repeat;
    }
    assert_int_equal(firsts, 1);
    biz_wait_status(&p->biz, racers[0].accepted.message_id, GATEWAY_DELIVERED);
    assert_shown(&p->anna, "once\n");
}

static void
test_i2_holds_over_a_restart_and_ends_after_its_life(void **state)
{
    struct pair *p = *state;
    const struct biz_send send = {.to = ANNA, .text = "order 17", .key = "key-1"};
    uint8_t first[16], again[16];

    assert_int_equal(biz_send(&p->biz, &send, first), RC_OK);
    biz_wait_status(&p->biz, first, GATEWAY_DELIVERED);
    biz_stop(&p->biz);
    biz_start(&p->biz);
    biz_wait_up(&p->biz);
    assert_int_equal(biz_send(&p->biz, &send, again), RC_OK);
    assert_true(p->biz.accepted.is_repeat);
    assert_memory_equal(first, again, 16);
    net_shift(&p->net, 30 * DAY_MS);
    biz_run_due(&p->biz);
    assert_int_equal(biz_send(&p->biz, &send, again), RC_OK);
    assert_true(p->biz.accepted.is_repeat);
    net_shift(&p->net, 2 * DAY_MS);
    biz_run_due(&p->biz);
    assert_int_equal(biz_send(&p->biz, &send, again), RC_OK);
    assert_false(p->biz.accepted.is_repeat);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_i2_same_key_same_body_same_id),
        PAIR_TEST(test_i2_same_key_other_body_is_refused),
        PAIR_TEST(test_i2_concurrent_duplicates_are_one_message),
        PAIR_TEST(test_i2_holds_over_a_restart_and_ends_after_its_life),
    };

    return cmocka_run_group_tests_name("gateway/idempotency", tests, NULL, NULL);
}
