/* pair.c - a channel of ours and a relay of our own at its other end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pair.h"

#include <stdlib.h>

static void
on_up(void *ctx, struct channel *channel)
{
    ((struct pair *)ctx)->is_up = true;
}

static void
on_frame(void *ctx, struct channel *channel, const Parley__Wire__Frame *frame)
{
    ((struct pair *)ctx)->frames++;
}

static void
on_drained(void *ctx, struct channel *channel)
{
    ((struct pair *)ctx)->is_drained = true;
}

static void
on_end(void *ctx, struct channel *channel, enum channel_end how, Parley__Wire__CloseReason reason,
       const struct err *err)
{
    struct pair *f = ctx;

    f->channel = NULL;
    f->ended++;
    f->how = how;
    f->reason = reason;
    f->rc = err->rc;
}

static const struct channel_ops ops = {
    .on_up = on_up, .on_frame = on_frame, .on_drained = on_drained, .on_end = on_end};

static enum rc
trust(void *ctx, const uint8_t server_static[32], struct bytes certificate, struct err *err)
{
    return RC_OK; /* test_client.c looks at certificates */
}

void
pair_start(struct pair *f, struct pair_limits limits)
{
    struct channel_hub_opt hub = {.log = log_none(),
                                  .handshake_ms = limits.our_handshake_ms,
                                  .ping_ms = limits.our_ping_ms,
                                  .dead_ms = limits.our_dead_ms};

    *f = (struct pair){0};
    assert_int_equal(crypto_start(NULL), RC_OK);
    assert_int_equal(loop_new(&f->loop, NULL), RC_OK);
    hub.loop = f->loop;
    assert_int_equal(channel_hub_open(&f->hub, &hub, NULL), RC_OK);
    fake_relay_start(&f->relay, &(struct fake_relay_opt){.loop = f->loop,
                                                         .handshake_ms = limits.handshake_ms,
                                                         .ping_ms = limits.ping_ms,
                                                         .dead_ms = limits.dead_ms});
    x25519_keypair(f->key.priv, f->key.pub, rng_system());
}

void
pair_stop(struct pair *f)
{
    fake_relay_stop(&f->relay);
    channel_hub_free(&f->hub);
    loop_free(&f->loop);
}

void
pair_connect(struct pair *f, const char *host, uint16_t port)
{
    struct channel_opt opt = {
        .hub = f->hub,
        .pipe = {.local_static = &f->key, .rng = rng_system(), .check_server = trust},
        .ops = &ops,
        .ctx = f
    };

    assert_int_equal(channel_connect(&f->channel, host, port, &opt, NULL), RC_OK);
}

bool
pair_is_up(void *ctx)
{
    struct pair *f = ctx;

    return f->is_up && f->relay.up > 0;
}
bool
pair_has_ended(void *ctx)
{
    return ((struct pair *)ctx)->ended > 0;
}
bool
pair_relay_has_ended(void *ctx)
{
    return ((struct pair *)ctx)->relay.ended > 0;
}
bool
pair_has_frames(void *ctx)
{
    return ((struct pair *)ctx)->frames >= ((struct pair *)ctx)->wanted;
}
bool
pair_relay_has_frames(void *ctx)
{
    return ((struct pair *)ctx)->relay.frames >= ((struct pair *)ctx)->wanted;
}
void
pair_wait(struct pair *f, bool (*what)(void *ctx))
{
    assert_true(loop_wait(f->loop, what, f));
}

void
pair_start_up(struct pair *f, struct pair_limits limits)
{
    pair_start(f, limits);
    pair_connect(f, "127.0.0.1", f->relay.port);
    pair_wait(f, pair_is_up);
}

void
sized_frame(struct sized_frame *s, size_t size)
{
    uint8_t *length;

    s->done = (Parley__Wire__Done)PARLEY__WIRE__DONE__INIT;
    s->frame = (Parley__Wire__Frame)PARLEY__WIRE__FRAME__INIT;
    s->frame.body_case = PARLEY__WIRE__FRAME__BODY_DONE;
    s->frame.done = &s->done;
    /* 2 bytes of Done; tag of the unknown field 2, its length 4, the rest its content */
    s->bytes = calloc(1, size);
    length = s->bytes;
    for (unsigned i = 0; i < 4; i++) {
        length[i] = (uint8_t)((size - 8) >> (7 * i) & 0x7f);
        if (i < 3)
            length[i] |= 0x80;
    }
    s->unknown = (ProtobufCMessageUnknownField){.tag = 1000,
                                                .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
                                                .len = size - 4,
                                                .data = s->bytes};
    s->frame.base.n_unknown_fields = 1;
    s->frame.base.unknown_fields = &s->unknown;
    assert_int_equal(protobuf_c_message_get_packed_size(&s->frame.base), size);
}
