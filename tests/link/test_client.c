/* test_client.c - requests, pushes, and a link that is freed where it is not expected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "rig.h"

static void
test_requests_are_answered_time_out_or_end_with_the_connection(void **state)
{
    struct rig *f = *state;

    rig_open(f);
    assert_int_equal(rig_ask_ms(f, 1000), RC_CLOSED); /* not up yet */
    rig_wait(f, rig_is_up, 1);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(rig_ask_ms(f, 5000), RC_OK);
    assert_int_equal(f->answers[RC_OK], 0);
    rig_wait(f, rig_is_answered, 100);
    assert_int_equal(f->answers[RC_OK], 100);

    f->relay.answers_requests = false;
    assert_int_equal(rig_ask_ms(f, 5000), RC_OK);
    assert_int_equal(rig_ask_ms(f, 20), RC_OK); /* due before the one that was asked first */
    rig_wait(f, rig_is_answered, 101);
    assert_int_equal(f->answers[RC_TIMEOUT], 1);

    fake_relay_cut(&f->relay);
    rig_wait(f, rig_is_answered, 102);
    assert_int_equal(f->answers[RC_CLOSED], 1);
}

static void
test_requests_in_flight_have_a_ceiling(void **state)
{
    struct rig *f = *state;

    f->relay.answers_requests = false;
    rig_open(f);
    rig_wait(f, rig_is_up, 1);
    for (unsigned i = 0; i < LINK_REQUESTS_MAX; i++)
        assert_int_equal(rig_ask_ms(f, 60000), RC_OK);
    assert_int_equal(rig_ask_ms(f, 60000), RC_BUSY);
    link_offline(f->link);
    assert_int_equal(f->answers[RC_CLOSED], LINK_REQUESTS_MAX);
}

static void
test_pushes_come_up_and_go_out(void **state)
{
    struct rig *f = *state;
    Parley__Wire__Ack ack = PARLEY__WIRE__ACK__INIT;
    Parley__Wire__LaneAck lane = PARLEY__WIRE__LANE_ACK__INIT, *lanes[] = {&lane};
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;

    ack.n_lanes = 1;
    ack.lanes = lanes;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_ACK;
    frame.ack = &ack;
    rig_open(f);
    assert_int_equal(link_push(f->link, &frame, NULL), RC_CLOSED);
    rig_wait(f, rig_is_up, 1);
    for (uint64_t seq = 1; seq <= 1000; seq++)
        fake_relay_push(&f->relay, seq);
    rig_wait(f, rig_is_pushed, 1000);
    assert_int_equal(f->last_seq, 1000);
    assert_int_equal(link_push(f->link, &frame, NULL), RC_OK);
    assert_int_equal(rig_ask_ms(f, 5000), RC_OK);
    rig_wait(f, rig_is_answered, 1); /* the answer comes after the ack was read */
    assert_int_equal(f->relay.frames, 3);
}

static void
test_a_link_may_be_freed_in_any_callback(void **state)
{
    for (int act = FREE_ON_UP; act <= FREE_ON_REFUSED; act++) {
        struct rig *f;

        rig_set_up(state);
        f = *state;
        f->act = act;
        rig_open(f);
        if (act != FREE_ON_UP)
            rig_wait(f, rig_is_up, 1);
        if (act == FREE_ON_ANSWER)
            for (unsigned i = 0; i < 5; i++)
                assert_int_equal(rig_ask_ms(f, 5000), RC_OK);
        if (act == FREE_ON_PUSH) {
            fake_relay_push(&f->relay, 1);
            fake_relay_push(&f->relay, 2);
        }
        if (act == FREE_ON_REFUSED)
            fake_relay_close_all(&f->relay, PARLEY__WIRE__CLOSE_REASON__UNREGISTERED);
        rig_wait(f, rig_is_gone, 1);
        loop_pass_ms(f->loop, 20);
        assert_in_range(f->pushes, 0, 1);
        if (act == FREE_ON_ANSWER) /* the rest ended with the link */
            assert_int_equal(f->answers[RC_OK] + f->answers[RC_CLOSED], 5);
        rig_tear_down(state);
    }
}

static void
test_a_failing_request_may_ask_for_a_new_connection(void **state)
{
    struct rig *f = *state;

    f->act = RETRY_ON_CLOSED;
    f->relay.answers_requests = false;
    rig_open(f);
    rig_wait(f, rig_is_up, 1);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(rig_ask_ms(f, 5000), RC_OK);
    fake_relay_cut(&f->relay);
    rig_wait(f, rig_is_up, 2);
    assert_int_equal(f->answers[RC_CLOSED], 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_requests_are_answered_time_out_or_end_with_the_connection),
        RIG_TEST(test_requests_in_flight_have_a_ceiling),
        RIG_TEST(test_pushes_come_up_and_go_out),
        cmocka_unit_test(test_a_link_may_be_freed_in_any_callback),
        RIG_TEST(test_a_failing_request_may_ask_for_a_new_connection),
    };

    return cmocka_run_group_tests_name("link/client", tests, NULL, NULL);
}
