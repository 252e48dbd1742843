/* test_client_steps.c - where a link goes from where it is: waits, returns, offline, not
 * registered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "rig.h"

static void
test_the_relays_hint_stretches_the_wait(void **state)
{
    struct rig *f = *state;
    uint64_t start_ms;

    f->relay.refuse_login = PARLEY__WIRE__REASON__RATE_LIMITED;
    f->relay.retry_after_s = 1; /* the first wait of its own would be 200 ms */
    rig_open(f);
    rig_wait(f, rig_has_logins, 1);
    start_ms = uv_now(loop_uv(f->loop));
    rig_wait(f, rig_has_logins, 2);
    assert_in_range(uv_now(loop_uv(f->loop)) - start_ms, 990, WAIT_MS);
}

static void
test_a_relay_that_is_not_there_is_tried_until_it_is(void **state)
{
    struct rig *f = *state;
    struct fake_relay gone = f->relay;

    uv_close((uv_handle_t *)&f->relay.listener, NULL);
    loop_pass_ms(f->loop, 1);
    rig_open(f);
    rig_wait(f, rig_is_down, 2);
    assert_int_equal(link_why(f->link)->rc, RC_IO);

    struct sockaddr_in address;
    uv_ip4_addr("127.0.0.1", gone.port, &address);
    uv_tcp_init(loop_uv(f->loop), &f->relay.listener);
    f->relay.listener.data = &f->relay;
    assert_int_equal(uv_tcp_bind(&f->relay.listener, (struct sockaddr *)&address, 0), 0);
    fake_relay_listen(&f->relay);
    rig_wait(f, rig_is_up, 1);
}

static void
test_offline_stays_offline_until_told(void **state)
{
    struct rig *f = *state;

    rig_open(f);
    rig_wait(f, rig_is_up, 1);
    f->relay.answers_requests = false;
    assert_int_equal(rig_ask_ms(f, 5000), RC_OK);
    link_offline(f->link);
    assert_int_equal(f->answers[RC_CLOSED], 1);
    assert_int_equal(link_state(f->link), LINK_DOWN);
    assert_null(link_hash(f->link));
    loop_pass_ms(f->loop, 2 * LINK_BACKOFF_FIRST_MS);
    assert_int_equal(f->relay.accepted, 1);
    assert_int_equal(f->relay.last_how, CHANNEL_BYE); /* said politely */
    link_offline(f->link);
    link_retry(f->link);
    rig_wait(f, rig_is_up, 2);
    assert_int_equal(f->refused, 0);
}

/* ---- not registered yet ---- */

static void
test_without_a_registration_the_link_stays_open_and_takes_requests(void **state)
{
    struct rig *f = *state;

    f->is_registered = false;
    rig_open(f);
    rig_wait(f, rig_is_open, 1);
    assert_int_equal(f->relay.logins, 0);
    assert_memory_equal(link_hash(f->link), f->relay.last_hash, 32);
    assert_int_equal(rig_ask_ms(f, 5000), RC_OK);
    rig_wait(f, rig_is_answered, 1);
    f->is_registered = true; /* as after Registered */
    link_retry(f->link);
    rig_wait(f, rig_is_up, 1);
    assert_int_equal(f->relay.logins, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_the_relays_hint_stretches_the_wait),
        RIG_TEST(test_a_relay_that_is_not_there_is_tried_until_it_is),
        RIG_TEST(test_offline_stays_offline_until_told),
        RIG_TEST(test_without_a_registration_the_link_stays_open_and_takes_requests),
    };

    return cmocka_run_group_tests_name("link/client_steps", tests, NULL, NULL);
}
