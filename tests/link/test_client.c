/* test_client.c - a link against a relay of our own: first contact, return, loss, refusal,
 * requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "fake_relay.h"
#include "link/client.h"
#include "loop_wait.h"

struct fixture {
    struct loop *loop;
    struct clock *clock;
    struct channel_hub *hub;
    struct fake_relay relay;
    struct link *link;
    struct link_opt opt;
    bool is_registered; /* ops->login fills a login */
    /* what was told */
    unsigned states[LINK_UP + 1], pushes, keys, refused;
    uint64_t last_seq;
    uint8_t key[32];
    int64_t key_not_after_s;
    Parley__Wire__CloseReason close;
    Parley__Wire__Reason reason;
    unsigned answers[RC_COUNT];
    uint32_t window;
    /* what to do in a callback */
    enum { KEEP, FREE_ON_UP, FREE_ON_PUSH, FREE_ON_ANSWER, FREE_ON_REFUSED, RETRY_ON_CLOSED } act;
    uint64_t wanted;
};

static bool
on_login(void *ctx, Parley__Wire__Login *login)
{
    static Parley__Wire__Address address = {
        .base = PROTOBUF_C_MESSAGE_INIT(&parley__wire__address__descriptor),
        .account = 15557654321,
        .device = 1};
    struct fixture *f = ctx;

    login->address = &address;
    login->generation = 12;
    return f->is_registered;
}

static void
on_state(void *ctx, struct link *link, enum link_state state, const Parley__Wire__LoginOk *info)
{
    struct fixture *f = ctx;

    assert_int_equal(state, link_state(link));
    assert_int_equal(state == LINK_UP, info != NULL);
    f->states[state]++;
    if (info != NULL)
        f->window = info->window;
    if (state == LINK_UP && f->act == FREE_ON_UP)
        link_free(&f->link);
}

static void
on_push(void *ctx, struct link *link, const Parley__Wire__Frame *frame)
{
    struct fixture *f = ctx;

    assert_int_equal(frame->body_case, PARLEY__WIRE__FRAME__BODY_DELIVER);
    f->pushes++;
    f->last_seq = frame->deliver->seq;
    if (f->act == FREE_ON_PUSH)
        link_free(&f->link);
}

static void
on_refused(void *ctx, struct link *link, Parley__Wire__CloseReason close,
           Parley__Wire__Reason reason, const char *text)
{
    struct fixture *f = ctx;

    f->refused++;
    f->close = close;
    f->reason = reason;
    if (f->act == FREE_ON_REFUSED)
        link_free(&f->link);
}

static void
on_server_key(void *ctx, const uint8_t key[32], int64_t not_after_s)
{
    struct fixture *f = ctx;

    f->keys++;
    memcpy(f->key, key, 32);
    f->key_not_after_s = not_after_s;
}

static const struct link_ops ops = {.login = on_login,
                                    .on_state = on_state,
                                    .on_push = on_push,
                                    .on_refused = on_refused,
                                    .on_server_key = on_server_key};

static int
set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct channel_hub_opt hub = {.log = log_none()};

    f->is_registered = true;
    assert_int_equal(crypto_start(NULL), RC_OK);
    assert_int_equal(loop_new(&f->loop, NULL), RC_OK);
    assert_int_equal(clock_new_system(&f->clock, NULL), RC_OK);
    hub.loop = f->loop;
    assert_int_equal(channel_hub_open(&f->hub, &hub, NULL), RC_OK);
    fake_relay_start(&f->relay, &(struct fake_relay_opt){.loop = f->loop});
    f->opt = (struct link_opt){.hub = f->hub,
                               .log = log_none(),
                               .clock = f->clock,
                               .rng = rng_system(),
                               .host = "127.0.0.1",
                               .port = f->relay.port,
                               .ops = &ops,
                               .ctx = f};
    memcpy(f->opt.root_pub, f->relay.root_pub, 32);
    x25519_keypair(f->opt.noise.priv, f->opt.noise.pub, rng_system());
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;

    link_free(&f->link);
    fake_relay_stop(&f->relay);
    channel_hub_free(&f->hub);
    loop_free(&f->loop);
    clock_free(&f->clock);
    free(f);
    return 0;
}

static void
open_link(struct fixture *f)
{
    assert_int_equal(link_open(&f->link, &f->opt, NULL), RC_OK);
    assert_int_equal(f->states[LINK_CONNECTING], 0); /* nothing is told from inside */
}

/* ---- what a test waits for ---- */

static bool
is_up(void *ctx)
{
    struct fixture *f = ctx;

    return f->states[LINK_UP] >= f->wanted;
}
static bool
is_answered(void *ctx)
{
    struct fixture *f = ctx;
    uint64_t sum = 0;

    for (size_t i = 0; i < RC_COUNT; i++)
        sum += f->answers[i];
    return sum >= f->wanted;
}
static bool
is_pushed(void *ctx)
{
    return ((struct fixture *)ctx)->pushes >= ((struct fixture *)ctx)->wanted;
}
static bool
is_down(void *ctx)
{
    return ((struct fixture *)ctx)->states[LINK_DOWN] >= ((struct fixture *)ctx)->wanted;
}
static bool
is_refused(void *ctx)
{
    return ((struct fixture *)ctx)->refused > 0;
}
static bool
is_open(void *ctx)
{
    return ((struct fixture *)ctx)->states[LINK_OPEN] > 0;
}
static bool
has_logins(void *ctx)
{
    return ((struct fixture *)ctx)->relay.logins >= ((struct fixture *)ctx)->wanted;
}
static bool
is_gone(void *ctx)
{
    return ((struct fixture *)ctx)->link == NULL;
}

static void
wait_for(struct fixture *f, bool (*what)(void *ctx), uint64_t wanted)
{
    f->wanted = wanted;
    assert_true(loop_wait(f->loop, what, f));
}

/* ---- first contact and return ---- */

static void
test_first_contact_is_xx_and_the_return_is_ik(void **state)
{
    struct fixture *f = *state;

    open_link(f);
    wait_for(f, is_up, 1);
    assert_int_equal(f->keys, 1); /* learnt by XX, from the certificate */
    assert_memory_equal(f->key, f->relay.key.pub, 32);
    assert_true(f->key_not_after_s > (int64_t)time(NULL));
    assert_memory_equal(f->relay.last_static, f->opt.noise.pub, 32);
    assert_memory_equal(f->relay.last_hash, link_hash(f->link), 32);
    assert_int_equal(f->relay.last_generation, 12);
    assert_int_equal(f->window, 64);

    fake_relay_cut(&f->relay);
    wait_for(f, is_up, 2);
    assert_int_equal(f->keys, 1); /* IK: nothing new was learnt */
    assert_int_equal(f->relay.fell_back, 0);
    assert_int_equal(f->states[LINK_DOWN], 1);
}

static void
test_a_kept_server_key_is_used_at_the_first_contact(void **state)
{
    struct fixture *f = *state;

    f->opt.has_server_key = true;
    memcpy(f->opt.server_key, f->relay.key.pub, 32);
    f->opt.server_key_not_after_s = (int64_t)time(NULL) + 60;
    open_link(f);
    wait_for(f, is_up, 1);
    assert_int_equal(f->keys, 0);
}

static void
test_a_server_key_past_its_certificate_is_not_used(void **state)
{
    struct fixture *f = *state;

    f->opt.has_server_key = true;
    memcpy(f->opt.server_key, f->relay.key.pub, 32);
    f->opt.server_key_not_after_s = (int64_t)time(NULL) - 1;
    open_link(f);
    wait_for(f, is_up, 1);
    assert_int_equal(f->keys, 1); /* XX, and the certificate was looked at */
}

static void
test_a_changed_server_key_falls_back_and_replaces_the_kept_one(void **state)
{
    struct fixture *f = *state;

    open_link(f);
    wait_for(f, is_up, 1);
    fake_relay_cut(&f->relay);
    fake_relay_change_key(&f->relay, 0);
    wait_for(f, is_up, 2);
    assert_int_equal(f->relay.fell_back, 1);
    assert_int_equal(f->keys, 2);
    assert_memory_equal(f->key, f->relay.key.pub, 32);

    fake_relay_cut(&f->relay);
    wait_for(f, is_up, 3);
    assert_int_equal(f->relay.fell_back, 1); /* IK with the new key */
    assert_int_equal(f->keys, 2);
}

/* ---- a relay that is not ours ---- */

enum impostor { WRONG_ROOT, EXPIRED_CERTIFICATE, WRONG_ROOT_AFTER_FALLBACK, IMPOSTORS };

static bool
has_failed_often(void *ctx)
{
    struct fixture *f = ctx;

    return f->relay.accepted >= 2 && f->states[LINK_DOWN] >= 2;
}

static void
test_i38_no_login_to_a_relay_that_the_root_does_not_vouch_for(void **state)
{
    for (enum impostor who = WRONG_ROOT; who < IMPOSTORS; who++) {
        struct fixture *f;

        set_up(state);
        f = *state;
        if (who == EXPIRED_CERTIFICATE)
            fake_relay_change_key(&f->relay, (int64_t)time(NULL) - 1);
        else
            f->opt.root_pub[0] ^= 1;
        if (who == WRONG_ROOT_AFTER_FALLBACK) {
            f->opt.has_server_key = true;
            memcpy(f->opt.server_key, f->opt.noise.pub, 32); /* any key but the relay's */
            f->opt.server_key_not_after_s = (int64_t)time(NULL) + 60;
        }
        open_link(f);
        assert_true(loop_wait(f->loop, has_failed_often, f));
        assert_int_equal(f->relay.logins, 0);
        assert_int_equal(f->relay.up, 0); /* the device's own key was never shown */
        assert_int_equal(f->keys, 0);
        assert_int_equal(f->states[LINK_UP], 0);
        assert_int_equal(link_why(f->link)->rc, who == EXPIRED_CERTIFICATE ? RC_TIMEOUT : RC_AUTH);
        tear_down(state);
    }
}

/* ---- requests ---- */

static void
on_answer(void *ctx, enum rc rc, const Parley__Wire__Frame *reply)
{
    struct fixture *f = ctx;

    f->answers[rc]++;
    assert_int_equal(rc == RC_OK, reply != NULL);
    if (rc == RC_OK)
        assert_int_equal(reply->body_case, PARLEY__WIRE__FRAME__BODY_BUNDLES);
    if (f->act == FREE_ON_ANSWER)
        link_free(&f->link);
    if (f->act == RETRY_ON_CLOSED && rc == RC_CLOSED)
        link_retry(f->link);
}

static enum rc
ask_ms(struct fixture *f, uint32_t timeout_ms)
{
    Parley__Wire__BundleFetch fetch = PARLEY__WIRE__BUNDLE_FETCH__INIT;
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;

    fetch.account = 15550123400;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_BUNDLE_FETCH;
    frame.bundle_fetch = &fetch;
    return link_request(f->link, &frame, timeout_ms, on_answer, f, NULL);
}

static void
test_requests_are_answered_time_out_or_end_with_the_connection(void **state)
{
    struct fixture *f = *state;

    open_link(f);
    assert_int_equal(ask_ms(f, 1000), RC_CLOSED); /* not up yet */
    wait_for(f, is_up, 1);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(ask_ms(f, 5000), RC_OK);
    assert_int_equal(f->answers[RC_OK], 0);
    wait_for(f, is_answered, 100);
    assert_int_equal(f->answers[RC_OK], 100);

    f->relay.answers_requests = false;
    assert_int_equal(ask_ms(f, 5000), RC_OK);
    assert_int_equal(ask_ms(f, 20), RC_OK); /* due before the one that was asked first */
    wait_for(f, is_answered, 101);
    assert_int_equal(f->answers[RC_TIMEOUT], 1);

    fake_relay_cut(&f->relay);
    wait_for(f, is_answered, 102);
    assert_int_equal(f->answers[RC_CLOSED], 1);
}

static void
test_requests_in_flight_have_a_ceiling(void **state)
{
    struct fixture *f = *state;

    f->relay.answers_requests = false;
    open_link(f);
    wait_for(f, is_up, 1);
    for (unsigned i = 0; i < LINK_REQUESTS_MAX; i++)
        assert_int_equal(ask_ms(f, 60000), RC_OK);
    assert_int_equal(ask_ms(f, 60000), RC_BUSY);
    link_offline(f->link);
    assert_int_equal(f->answers[RC_CLOSED], LINK_REQUESTS_MAX);
}

static void
test_pushes_come_up_and_go_out(void **state)
{
    struct fixture *f = *state;
    Parley__Wire__Ack ack = PARLEY__WIRE__ACK__INIT;
    Parley__Wire__LaneAck lane = PARLEY__WIRE__LANE_ACK__INIT, *lanes[] = {&lane};
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;

    ack.n_lanes = 1;
    ack.lanes = lanes;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_ACK;
    frame.ack = &ack;
    open_link(f);
    assert_int_equal(link_push(f->link, &frame, NULL), RC_CLOSED);
    wait_for(f, is_up, 1);
    for (uint64_t seq = 1; seq <= 1000; seq++)
        fake_relay_push(&f->relay, seq);
    wait_for(f, is_pushed, 1000);
    assert_int_equal(f->last_seq, 1000);
    assert_int_equal(link_push(f->link, &frame, NULL), RC_OK);
    assert_int_equal(ask_ms(f, 5000), RC_OK);
    wait_for(f, is_answered, 1); /* the answer comes after the ack was read */
    assert_int_equal(f->relay.frames, 3);
}

/* ---- not registered yet ---- */

static void
test_without_a_registration_the_link_stays_open_and_takes_requests(void **state)
{
    struct fixture *f = *state;

    f->is_registered = false;
    open_link(f);
    wait_for(f, is_open, 1);
    assert_int_equal(f->relay.logins, 0);
    assert_memory_equal(link_hash(f->link), f->relay.last_hash, 32);
    assert_int_equal(ask_ms(f, 5000), RC_OK);
    wait_for(f, is_answered, 1);
    f->is_registered = true; /* as after Registered */
    link_retry(f->link);
    wait_for(f, is_up, 1);
    assert_int_equal(f->relay.logins, 1);
}

/* ---- ends ---- */

static void
test_closes_and_what_they_mean(void **state)
{
    static const struct {
        Parley__Wire__CloseReason reason;
        bool is_final;
    } cases[] = {
        {PARLEY__WIRE__CLOSE_REASON__BYE,                 false},
        {PARLEY__WIRE__CLOSE_REASON__CONNECTED_ELSEWHERE, true },
        {PARLEY__WIRE__CLOSE_REASON__CLOSE_FENCED,        true },
        {PARLEY__WIRE__CLOSE_REASON__DRAINING,            false},
        {PARLEY__WIRE__CLOSE_REASON__SLOW,                false},
        {PARLEY__WIRE__CLOSE_REASON__PROTOCOL_ERROR,      false},
        {PARLEY__WIRE__CLOSE_REASON__UNREGISTERED,        true },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture *f;

        set_up(state);
        f = *state;
        open_link(f);
        wait_for(f, is_up, 1);
        fake_relay_close_all(&f->relay, cases[i].reason);
        if (cases[i].is_final) {
            wait_for(f, is_refused, 1);
            assert_int_equal(f->close, cases[i].reason);
            loop_pass_ms(f->loop, 2 * LINK_BACKOFF_FIRST_MS);
            assert_int_equal(f->relay.accepted, 1); /* it stays down ... */
            assert_int_equal(link_state(f->link), LINK_DOWN);
            link_retry(f->link); /* ... until told */
        }
        wait_for(f, is_up, 2);
        assert_int_equal(f->refused, cases[i].is_final);
        tear_down(state);
    }
}

static void
test_refused_logins_and_what_they_mean(void **state)
{
    static const struct {
        Parley__Wire__Reason reason;
        bool is_final;
    } cases[] = {
        {PARLEY__WIRE__REASON__FENCED,          true },
        {PARLEY__WIRE__REASON__UNKNOWN_DEVICE,  true },
        {PARLEY__WIRE__REASON__BAD_CERTIFICATE, true },
        {PARLEY__WIRE__REASON__UNAVAILABLE,     false},
        {PARLEY__WIRE__REASON__RATE_LIMITED,    false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture *f;

        set_up(state);
        f = *state;
        f->relay.refuse_login = cases[i].reason;
        open_link(f);
        if (cases[i].is_final) {
            wait_for(f, is_refused, 1);
            assert_int_equal(f->reason, cases[i].reason);
            loop_pass_ms(f->loop, 2 * LINK_BACKOFF_FIRST_MS);
            assert_int_equal(f->relay.logins, 1);
        } else {
            wait_for(f, has_logins, 2);
            assert_int_equal(f->refused, 0);
        }
        assert_int_equal(f->states[LINK_UP], 0);
        tear_down(state);
    }
}

static void
test_the_relays_hint_stretches_the_wait(void **state)
{
    struct fixture *f = *state;
    uint64_t start_ms;

    f->relay.refuse_login = PARLEY__WIRE__REASON__RATE_LIMITED;
    f->relay.retry_after_s = 1; /* the first wait of its own would be 200 ms */
    open_link(f);
    wait_for(f, has_logins, 1);
    start_ms = uv_now(loop_uv(f->loop));
    wait_for(f, has_logins, 2);
    assert_in_range(uv_now(loop_uv(f->loop)) - start_ms, 990, WAIT_MS);
}

static void
test_a_relay_that_is_not_there_is_tried_until_it_is(void **state)
{
    struct fixture *f = *state;
    struct fake_relay gone = f->relay;

    uv_close((uv_handle_t *)&f->relay.listener, NULL);
    loop_pass_ms(f->loop, 1);
    open_link(f);
    wait_for(f, is_down, 2);
    assert_int_equal(link_why(f->link)->rc, RC_IO);

    struct sockaddr_in address;
    uv_ip4_addr("127.0.0.1", gone.port, &address);
    uv_tcp_init(loop_uv(f->loop), &f->relay.listener);
    f->relay.listener.data = &f->relay;
    assert_int_equal(uv_tcp_bind(&f->relay.listener, (struct sockaddr *)&address, 0), 0);
    fake_relay_listen(&f->relay);
    wait_for(f, is_up, 1);
}

static void
test_offline_stays_offline_until_told(void **state)
{
    struct fixture *f = *state;

    open_link(f);
    wait_for(f, is_up, 1);
    f->relay.answers_requests = false;
    assert_int_equal(ask_ms(f, 5000), RC_OK);
    link_offline(f->link);
    assert_int_equal(f->answers[RC_CLOSED], 1);
    assert_int_equal(link_state(f->link), LINK_DOWN);
    assert_null(link_hash(f->link));
    loop_pass_ms(f->loop, 2 * LINK_BACKOFF_FIRST_MS);
    assert_int_equal(f->relay.accepted, 1);
    assert_int_equal(f->relay.last_how, CHANNEL_BYE); /* said politely */
    link_offline(f->link);
    link_retry(f->link);
    wait_for(f, is_up, 2);
    assert_int_equal(f->refused, 0);
}

static void
test_a_login_without_an_answer_is_given_up(void **state)
{
    struct fixture *f = *state;

    f->relay.is_mute = true;
    open_link(f);
    wait_for(f, has_logins, 1);
    fake_relay_push(&f->relay, 1); /* nothing is for us before the LoginOk */
    loop_pass_ms(f->loop, 20);
    assert_int_equal(f->pushes, 0);
    fake_relay_cut(&f->relay);
    f->relay.is_mute = false;
    wait_for(f, is_up, 1);
    assert_int_equal(f->answers[RC_CLOSED], 0); /* the login is nobody else's request */
}

static void
test_a_link_may_be_freed_in_any_callback(void **state)
{
    for (int act = FREE_ON_UP; act <= FREE_ON_REFUSED; act++) {
        struct fixture *f;

        set_up(state);
        f = *state;
        f->act = act;
        open_link(f);
        if (act != FREE_ON_UP)
            wait_for(f, is_up, 1);
        if (act == FREE_ON_ANSWER)
            for (unsigned i = 0; i < 5; i++)
                assert_int_equal(ask_ms(f, 5000), RC_OK);
        if (act == FREE_ON_PUSH) {
            fake_relay_push(&f->relay, 1);
            fake_relay_push(&f->relay, 2);
        }
        if (act == FREE_ON_REFUSED)
            fake_relay_close_all(&f->relay, PARLEY__WIRE__CLOSE_REASON__UNREGISTERED);
        wait_for(f, is_gone, 1);
        loop_pass_ms(f->loop, 20);
        assert_in_range(f->pushes, 0, 1);
        if (act == FREE_ON_ANSWER) /* the rest ended with the link */
            assert_int_equal(f->answers[RC_OK] + f->answers[RC_CLOSED], 5);
        tear_down(state);
    }
}

static void
test_a_failing_request_may_ask_for_a_new_connection(void **state)
{
    struct fixture *f = *state;

    f->act = RETRY_ON_CLOSED;
    f->relay.answers_requests = false;
    open_link(f);
    wait_for(f, is_up, 1);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ask_ms(f, 5000), RC_OK);
    fake_relay_cut(&f->relay);
    wait_for(f, is_up, 2);
    assert_int_equal(f->answers[RC_CLOSED], 3);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_first_contact_is_xx_and_the_return_is_ik),
        CASE(test_a_kept_server_key_is_used_at_the_first_contact),
        CASE(test_a_server_key_past_its_certificate_is_not_used),
        CASE(test_a_changed_server_key_falls_back_and_replaces_the_kept_one),
        cmocka_unit_test(test_i38_no_login_to_a_relay_that_the_root_does_not_vouch_for),
        CASE(test_requests_are_answered_time_out_or_end_with_the_connection),
        CASE(test_requests_in_flight_have_a_ceiling),
        CASE(test_pushes_come_up_and_go_out),
        CASE(test_without_a_registration_the_link_stays_open_and_takes_requests),
        cmocka_unit_test(test_closes_and_what_they_mean),
        cmocka_unit_test(test_refused_logins_and_what_they_mean),
        CASE(test_the_relays_hint_stretches_the_wait),
        CASE(test_a_relay_that_is_not_there_is_tried_until_it_is),
        CASE(test_offline_stays_offline_until_told),
        CASE(test_a_login_without_an_answer_is_given_up),
        cmocka_unit_test(test_a_link_may_be_freed_in_any_callback),
        CASE(test_a_failing_request_may_ask_for_a_new_connection),
    };

    return cmocka_run_group_tests_name("link/client", tests, NULL, NULL);
}
