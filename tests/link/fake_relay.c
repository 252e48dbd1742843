/* fake_relay.c - the relay's side of a link, for tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_relay.h"

#include <time.h>

#include "loop_wait.h"

#define YEAR_S (365ll * 24 * 3600)

static void
answer(struct channel *channel, const Parley__Wire__Frame *to, Parley__Wire__Frame *reply)
{
    reply->request_id = to->request_id;
    assert_int_equal(channel_send(channel, reply, NULL), RC_OK);
}

static void
on_login(struct fake_relay *r, struct channel *channel, const Parley__Wire__Frame *frame)
{
    Parley__Wire__LoginOk ok = PARLEY__WIRE__LOGIN_OK__INIT;
    Parley__Wire__Refusal refusal = PARLEY__WIRE__REFUSAL__INIT;
    Parley__Wire__Frame reply = PARLEY__WIRE__FRAME__INIT;

    r->logins++;
    r->last_generation = frame->login->generation;
    if (r->is_mute)
        return;
    if (r->refuse_login != PARLEY__WIRE__REASON__REASON_UNSPECIFIED) {
        refusal.reason = r->refuse_login;
        refusal.retry_after_s = r->retry_after_s;
        reply.body_case = PARLEY__WIRE__FRAME__BODY_REFUSAL;
        reply.refusal = &refusal;
    } else {
        ok.generation = frame->login->generation;
        ok.window = 64;
        reply.body_case = PARLEY__WIRE__FRAME__BODY_LOGIN_OK;
        reply.login_ok = &ok;
    }
    answer(channel, frame, &reply);
}

static void
on_bundle_fetch(struct fake_relay *r, struct channel *channel, const Parley__Wire__Frame *frame)
{
    Parley__Wire__Bundles bundles = PARLEY__WIRE__BUNDLES__INIT;
    Parley__Wire__Frame reply = PARLEY__WIRE__FRAME__INIT;
    uint8_t hash[8] = {0};

    bundles.account = frame->bundle_fetch->account;
    bundles.device_list_hash = (ProtobufCBinaryData){.len = sizeof(hash), .data = hash};
    reply.body_case = PARLEY__WIRE__FRAME__BODY_BUNDLES;
    reply.bundles = &bundles;
    if (r->answers_requests)
        answer(channel, frame, &reply);
}

static void
on_up(void *ctx, struct channel *channel)
{
    struct fake_relay *r = ctx;

    r->up++;
    r->fell_back += channel_fell_back(channel);
    memcpy(r->last_static, channel_remote_static(channel), 32);
    memcpy(r->last_hash, channel_hash(channel), 32);
}

static void
on_frame(void *ctx, struct channel *channel, const Parley__Wire__Frame *frame)
{
    struct fake_relay *r = ctx;

    r->frames++;
    switch ((int)frame->body_case) {
    case PARLEY__WIRE__FRAME__BODY_LOGIN:
        on_login(r, channel, frame);
        break;
    case PARLEY__WIRE__FRAME__BODY_BUNDLE_FETCH:
        on_bundle_fetch(r, channel, frame);
        break;
    case PARLEY__WIRE__FRAME__BODY_PUBLISH:
        r->bytes_in_publish = 0;
        for (size_t i = 0; i < frame->publish->n_ciphertexts; i++)
            r->bytes_in_publish += frame->publish->ciphertexts[i]->body.len;
        break;
    default:
        break;
    }
}

static void
on_drained(void *ctx, struct channel *channel)
{
    struct fake_relay *r = ctx;

    r->drained++;
}

static void
on_end(void *ctx, struct channel *channel, enum channel_end how, Parley__Wire__CloseReason reason,
       const struct err *err)
{
    struct fake_relay *r = ctx;

    r->ended++;
    r->last_how = how;
    r->last_reason = reason;
    r->last_rc = err->rc;
    for (size_t i = 0; i < FAKE_CHANNELS_MAX; i++)
        if (r->channels[i] == channel)
            r->channels[i] = NULL;
}

static const struct channel_ops ops = {
    .on_up = on_up, .on_frame = on_frame, .on_drained = on_drained, .on_end = on_end};

static void
on_connection(uv_stream_t *listener, int status)
{
    struct fake_relay *r = listener->data;
    struct channel_opt opt = {
        .hub = r->hub,
        .pipe = {.local_static = &r->key,
                 .payload = buf_bytes(&r->certificate),
                 .rng = rng_system()},
        .ops = &ops,
        .ctx = r
    };
    size_t i = 0;

    assert_int_equal(status, 0);
    while (i < FAKE_CHANNELS_MAX && r->channels[i] != NULL)
        i++;
    assert_in_range(i, 0, FAKE_CHANNELS_MAX - 1);
    assert_int_equal(channel_accept(&r->channels[i], listener, &opt, NULL), RC_OK);
    r->accepted++;
}

void
fake_relay_change_key(struct fake_relay *r, int64_t not_after_s)
{
    int64_t now_s = (int64_t)time(NULL);
    struct relay_cert cert = {.host = "localhost", .not_before_s = now_s - YEAR_S};

    x25519_keypair(r->key.priv, r->key.pub, rng_system());
    memcpy(cert.static_key, r->key.pub, sizeof(cert.static_key));
    cert.not_after_s = not_after_s != 0 ? not_after_s : now_s + YEAR_S;
    buf_free(&r->certificate);
    buf_init(&r->certificate, CERT_SIZE_MAX);
    assert_int_equal(relay_cert_issue(&cert, r->root_seed, &r->certificate, NULL), RC_OK);
}

void
fake_relay_listen(struct fake_relay *r)
{
    assert_int_equal(uv_listen((uv_stream_t *)&r->listener, 64, on_connection), 0);
}

void
fake_relay_start(struct fake_relay *r, const struct fake_relay_opt *opt)
{
    struct channel_hub_opt hub = {.loop = opt->loop,
                                  .log = log_none(),
                                  .handshake_ms = opt->handshake_ms,
                                  .ping_ms = opt->ping_ms,
                                  .dead_ms = opt->dead_ms};
    struct sockaddr_in address;
    int size = sizeof(address);

    *r = (struct fake_relay){.loop = opt->loop, .answers_requests = true};
    ed25519_keypair(r->root_seed, r->root_pub, rng_system());
    fake_relay_change_key(r, opt->not_after_s);
    assert_int_equal(channel_hub_open(&r->hub, &hub, NULL), RC_OK);
    uv_tcp_init(loop_uv(r->loop), &r->listener);
    r->listener.data = r;
    uv_ip4_addr("127.0.0.1", 0, &address);
    assert_int_equal(uv_tcp_bind(&r->listener, (struct sockaddr *)&address, 0), 0);
    fake_relay_listen(r);
    uv_tcp_getsockname(&r->listener, (struct sockaddr *)&address, &size);
    r->port = ntohs(address.sin_port);
}

/* A hub that goes drops its channels: the TCP connections end without a word. */
void
fake_relay_cut(struct fake_relay *r)
{
    struct channel_hub_opt hub = {.loop = r->loop, .log = log_none()};

    memset(r->channels, 0, sizeof(r->channels));
    channel_hub_free(&r->hub);
    assert_int_equal(channel_hub_open(&r->hub, &hub, NULL), RC_OK);
}

void
fake_relay_close_all(struct fake_relay *r, Parley__Wire__CloseReason reason)
{
    for (size_t i = 0; i < FAKE_CHANNELS_MAX; i++)
        if (r->channels[i] != NULL)
            channel_close(r->channels[i], reason, "said the test");
}

struct channel *
fake_relay_any(struct fake_relay *r)
{
    for (size_t i = 0; i < FAKE_CHANNELS_MAX; i++)
        if (r->channels[i] != NULL && channel_is_up(r->channels[i]))
            return r->channels[i];
    return NULL;
}

void
fake_relay_push(struct fake_relay *r, uint64_t seq)
{
    Parley__Wire__Deliver deliver = PARLEY__WIRE__DELIVER__INIT;
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    uint8_t body[] = {1};

    deliver.seq = seq;
    deliver.class_ = PARLEY__WIRE__CLASS__NOTICE;
    deliver.body = (ProtobufCBinaryData){.len = sizeof(body), .data = body};
    frame.body_case = PARLEY__WIRE__FRAME__BODY_DELIVER;
    frame.deliver = &deliver;
    for (size_t i = 0; i < FAKE_CHANNELS_MAX; i++)
        if (r->channels[i] != NULL && channel_is_up(r->channels[i]))
            assert_int_equal(channel_send(r->channels[i], &frame, NULL), RC_OK);
}

void
fake_relay_stop(struct fake_relay *r)
{
    uv_close((uv_handle_t *)&r->listener, NULL);
    channel_hub_free(&r->hub);
    loop_pass_ms(r->loop, 1);
    buf_free(&r->certificate);
}
