/* rig.c - a link, what it told its owner, and a relay of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "rig.h"

#include <stdlib.h>

static bool
on_login(void *ctx, Parley__Wire__Login *login)
{
    static Parley__Wire__Address address = {
        .base = PROTOBUF_C_MESSAGE_INIT(&parley__wire__address__descriptor),
        .account = 15557654321,
        .device = 1};
    struct rig *f = ctx;

    login->address = &address;
    login->generation = 12;
    return f->is_registered;
}

static void
on_state(void *ctx, struct link *link, enum link_state state, const Parley__Wire__LoginOk *info)
{
    struct rig *f = ctx;

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
    struct rig *f = ctx;

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
    struct rig *f = ctx;

    f->refused++;
    f->close = close;
    f->reason = reason;
    if (f->act == FREE_ON_REFUSED)
        link_free(&f->link);
}

static void
on_server_key(void *ctx, const uint8_t key[32], int64_t not_after_s)
{
    struct rig *f = ctx;

    f->keys++;
    memcpy(f->key, key, 32);
    f->key_not_after_s = not_after_s;
}

static const struct link_ops ops = {.login = on_login,
                                    .on_state = on_state,
                                    .on_push = on_push,
                                    .on_refused = on_refused,
                                    .on_server_key = on_server_key};

int
rig_set_up(void **state)
{
    struct rig *f = calloc(1, sizeof(*f));
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

int
rig_tear_down(void **state)
{
    struct rig *f = *state;

    link_free(&f->link);
    fake_relay_stop(&f->relay);
    channel_hub_free(&f->hub);
    loop_free(&f->loop);
    clock_free(&f->clock);
    free(f);
    return 0;
}

void
rig_open(struct rig *f)
{
    assert_int_equal(link_open(&f->link, &f->opt, NULL), RC_OK);
    assert_int_equal(f->states[LINK_CONNECTING], 0); /* nothing is told from inside */
}

static void
on_answer(void *ctx, enum rc rc, const Parley__Wire__Frame *reply)
{
    struct rig *f = ctx;

    f->answers[rc]++;
    assert_int_equal(rc == RC_OK, reply != NULL);
    if (rc == RC_OK)
        assert_int_equal(reply->body_case, PARLEY__WIRE__FRAME__BODY_BUNDLES);
    if (f->act == FREE_ON_ANSWER)
        link_free(&f->link);
    if (f->act == RETRY_ON_CLOSED && rc == RC_CLOSED)
        link_retry(f->link);
}

enum rc
rig_ask_ms(struct rig *f, uint32_t timeout_ms)
{
    Parley__Wire__BundleFetch fetch = PARLEY__WIRE__BUNDLE_FETCH__INIT;
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;

    fetch.account = 15550123400;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_BUNDLE_FETCH;
    frame.bundle_fetch = &fetch;
    return link_request(f->link, &frame, timeout_ms, on_answer, f, NULL);
}

bool
rig_is_up(void *ctx)
{
    struct rig *f = ctx;

    return f->states[LINK_UP] >= f->wanted;
}
bool
rig_is_answered(void *ctx)
{
    struct rig *f = ctx;
    uint64_t sum = 0;

    for (size_t i = 0; i < RC_COUNT; i++)
        sum += f->answers[i];
    return sum >= f->wanted;
}
bool
rig_is_pushed(void *ctx)
{
    return ((struct rig *)ctx)->pushes >= ((struct rig *)ctx)->wanted;
}
bool
rig_is_down(void *ctx)
{
    return ((struct rig *)ctx)->states[LINK_DOWN] >= ((struct rig *)ctx)->wanted;
}
bool
rig_is_refused(void *ctx)
{
    return ((struct rig *)ctx)->refused > 0;
}
bool
rig_is_open(void *ctx)
{
    return ((struct rig *)ctx)->states[LINK_OPEN] > 0;
}
bool
rig_has_logins(void *ctx)
{
    return ((struct rig *)ctx)->relay.logins >= ((struct rig *)ctx)->wanted;
}
bool
rig_is_gone(void *ctx)
{
    return ((struct rig *)ctx)->link == NULL;
}

void
rig_wait(struct rig *f, bool (*what)(void *ctx), uint64_t wanted)
{
    f->wanted = wanted;
    assert_true(loop_wait(f->loop, what, f));
}
