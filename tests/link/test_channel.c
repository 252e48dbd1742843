/* test_channel.c - channels over the loopback: finding the relay, ends, silence, cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pair.h"

#define IDLE_BYTES_MAX 1536u /* what an idle connection may cost */

static void
test_an_idle_channel_costs_little(void **state)
{
    struct pair f;
    struct sized_frame s;
    struct channel *theirs;

    pair_start_up(&f, (struct pair_limits){0});
    sized_frame(&s, 300000);
    f.wanted = 1;
    assert_int_equal(channel_send(f.channel, &s.frame, NULL), RC_OK);
    pair_wait(&f, pair_relay_has_frames);
    fake_relay_push(&f.relay, 1);
    pair_wait(&f, pair_has_frames);
    theirs = fake_relay_any(&f.relay);
    assert_in_range(channel_memory(f.channel), 1, IDLE_BYTES_MAX);
    assert_in_range(channel_memory(theirs), 1, IDLE_BYTES_MAX);
    print_message("# an idle channel: %zu bytes\n", channel_memory(theirs));
    free(s.bytes);
    pair_stop(&f);
}

/* ---- ends ---- */

static void
test_every_close_reason_arrives(void **state)
{
    for (int reason = PARLEY__WIRE__CLOSE_REASON__BYE;
         reason <= (int)PARLEY__WIRE__CLOSE_REASON__UNREGISTERED; reason++) {
        struct pair f;

        pair_start_up(&f, (struct pair_limits){0});
        fake_relay_push(&f.relay, 1); /* what was queued before the Close arrives before it */
        fake_relay_close_all(&f.relay, (Parley__Wire__CloseReason)reason);
        fake_relay_close_all(&f.relay, PARLEY__WIRE__CLOSE_REASON__SLOW); /* the first one counts */
        pair_wait(&f, pair_has_ended);
        assert_int_equal(f.frames, 1);
        assert_int_equal(f.how, CHANNEL_BYE);
        assert_int_equal(f.reason, reason);
        pair_wait(&f, pair_relay_has_ended);
        assert_int_equal(f.relay.last_how, CHANNEL_LOCAL);
        assert_int_equal(f.relay.last_reason, reason);
        assert_int_equal(f.ended, 1);
        pair_stop(&f);
    }
}

static bool
have_both_ended(void *ctx)
{
    return pair_has_ended(ctx) && pair_relay_has_ended(ctx);
}

/* Neither reads the other's Close any more: the end of TCP is what they see. */
static void
test_both_may_close_at_once_without_lingering(void **state)
{
    struct pair f;
    uint64_t start_ms;

    pair_start_up(&f, (struct pair_limits){0});
    start_ms = uv_now(loop_uv(f.loop));
    channel_close(f.channel, PARLEY__WIRE__CLOSE_REASON__BYE, NULL);
    fake_relay_close_all(&f.relay, PARLEY__WIRE__CLOSE_REASON__DRAINING);
    pair_wait(&f, have_both_ended);
    assert_in_range(uv_now(loop_uv(f.loop)) - start_ms, 0, CHANNEL_LINGER_MS / 2);
    assert_int_equal(f.how, CHANNEL_LOCAL);
    pair_stop(&f);
}

static void
test_tcp_that_just_ends_is_a_truncation(void **state)
{
    struct pair f;

    pair_start_up(&f, (struct pair_limits){0});
    fake_relay_cut(&f.relay);
    pair_wait(&f, pair_has_ended);
    assert_int_equal(f.how, CHANNEL_TRUNCATED);
    assert_int_equal(f.rc, RC_IO);
    pair_stop(&f);
}

static void
test_after_the_end_nothing_can_be_sent(void **state)
{
    struct pair f;
    struct sized_frame s;

    sized_frame(&s, 10);
    pair_start(&f, (struct pair_limits){0});
    pair_connect(&f, "127.0.0.1", f.relay.port);
    assert_int_equal(channel_send(f.channel, &s.frame, NULL), RC_PROTO); /* nor before the start */
    assert_null(channel_hash(f.channel));
    pair_wait(&f, pair_is_up);
    channel_close(f.channel, PARLEY__WIRE__CLOSE_REASON__BYE, NULL);
    assert_int_equal(f.ended, 0); /* never from inside */
    assert_int_equal(channel_send(f.channel, &s.frame, NULL), RC_CLOSED);
    pair_wait(&f, pair_has_ended);
    assert_int_equal(f.how, CHANNEL_LOCAL);
    free(s.bytes);
    pair_stop(&f);
}

static void
test_an_abandoned_channel_says_bye_and_calls_nobody(void **state)
{
    struct pair f;

    pair_start_up(&f, (struct pair_limits){0});
    channel_abandon(&f.channel, PARLEY__WIRE__CLOSE_REASON__BYE);
    assert_null(f.channel);
    pair_wait(&f, pair_relay_has_ended);
    assert_int_equal(f.relay.last_how, CHANNEL_BYE);
    assert_int_equal(f.ended, 0);
    pair_stop(&f);
}

static void
test_a_relay_that_never_answers_is_given_up(void **state)
{
    struct pair f;
    struct sockaddr_in address;
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    pair_start(&f, (struct pair_limits){.our_handshake_ms = 100});
    uv_ip4_addr("127.0.0.1", 0, &address);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0); /* the kernel accepts, nobody reads */
    getsockname(fd, (struct sockaddr *)&address, &size);
    pair_connect(&f, "127.0.0.1", ntohs(address.sin_port));
    pair_wait(&f, pair_has_ended);
    assert_int_equal(f.how, CHANNEL_TIMED_OUT);
    close(fd);
    pair_stop(&f);
}

static void
test_nobody_listens(void **state)
{
    struct pair f;
    uint16_t port;

    pair_start(&f, (struct pair_limits){0});
    port = f.relay.port;
    fake_relay_stop(&f.relay);
    pair_connect(&f, "localhost", port); /* both of its addresses, where it has two */
    pair_wait(&f, pair_has_ended);
    assert_int_equal(f.how, CHANNEL_UNREACHABLE);
    assert_int_equal(f.rc, RC_IO);
    channel_hub_free(&f.hub);
    loop_free(&f.loop);
}

static void
test_a_name_is_resolved_and_its_second_address_tried(void **state)
{
    struct pair f;

    pair_start(&f, (struct pair_limits){0});
    pair_connect(&f, "localhost", f.relay.port); /* where ::1 comes first, it is refused */
    pair_wait(&f, pair_is_up);
    assert_string_equal(channel_peer_address(f.channel), "127.0.0.1");
    pair_stop(&f);
}

static void
test_a_channel_may_be_closed_while_its_name_is_looked_up(void **state)
{
    struct pair f;

    pair_start(&f, (struct pair_limits){0});
    pair_connect(&f, "localhost", f.relay.port);
    channel_close(f.channel, PARLEY__WIRE__CLOSE_REASON__BYE, NULL);
    pair_wait(&f, pair_has_ended);
    assert_int_equal(f.how, CHANNEL_LOCAL);
    pair_connect(&f, "localhost", f.relay.port);
    channel_hub_free(&f.hub); /* the hub goes meanwhile: no leak, no call */
    pair_stop(&f);
    assert_int_equal(f.ended, 1);
}

/* ---- silence ---- */

static void
test_pings_keep_an_idle_channel_alive(void **state)
{
    struct pair f;

    pair_start_up(&f, (struct pair_limits){.our_ping_ms = 40, .our_dead_ms = 300});
    loop_pass_ms(f.loop, 900);
    assert_int_equal(f.ended, 0);
    assert_int_equal(f.relay.ended, 0);
    assert_int_equal(f.frames + f.relay.frames, 0); /* pings and pongs stay below */
    pair_stop(&f);
}

static void
test_a_peer_that_is_silent_is_given_up(void **state)
{
    struct pair f;

    pair_start_up(&f, (struct pair_limits){.our_ping_ms = 40, .our_dead_ms = 200});
    channel_hold(fake_relay_any(&f.relay)); /* it hears no ping, it answers none */
    pair_wait(&f, pair_has_ended);
    assert_int_equal(f.how, CHANNEL_TIMED_OUT);
    pair_stop(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_idle_channel_costs_little),
        cmocka_unit_test(test_every_close_reason_arrives),
        cmocka_unit_test(test_both_may_close_at_once_without_lingering),
        cmocka_unit_test(test_tcp_that_just_ends_is_a_truncation),
        cmocka_unit_test(test_after_the_end_nothing_can_be_sent),
        cmocka_unit_test(test_an_abandoned_channel_says_bye_and_calls_nobody),
        cmocka_unit_test(test_a_relay_that_never_answers_is_given_up),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_a_name_is_resolved_and_its_second_address_tried),
        cmocka_unit_test(test_a_channel_may_be_closed_while_its_name_is_looked_up),
        cmocka_unit_test(test_pings_keep_an_idle_channel_alive),
        cmocka_unit_test(test_a_peer_that_is_silent_is_given_up),
    };

    return cmocka_run_group_tests_name("link/channel", tests, NULL, NULL);
}
