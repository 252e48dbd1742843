/* channel.c - one Noise channel over one TCP connection.
 *
 * Owns the life of a channel: birth by accept or connect, handshake, frames, our Close or theirs,
 * and the end, which is always told from the socket's close callback. Never decides anything about
 * the content of frames beyond Ping, Pong and Close. The first cause of an end wins. Source:
 * docs/protocol/wire.md. */
#include "link/channel.h"

#include <stdlib.h>

#include "link/inner.h"

static void
on_up_nothing(void *ctx, struct channel *channel)
{
}
static void
on_frame_nothing(void *ctx, struct channel *channel, const Parley__Wire__Frame *frame)
{
}
static void
on_end_nothing(void *ctx, struct channel *channel, enum channel_end how,
               Parley__Wire__CloseReason reason, const struct err *err)
{
}
/* For a channel whose owner went away. */
static const struct channel_ops nobody = {
    .on_up = on_up_nothing, .on_frame = on_frame_nothing, .on_end = on_end_nothing};

uint64_t
channel_now_ms(const struct channel *channel)
{
    return uv_now(channel->tcp.loop);
}

/* The first cause of the end is kept. */
void
channel_decide(struct channel *channel, enum channel_end how, Parley__Wire__CloseReason reason,
               const struct err *err)
{
    if (channel->has_how)
        return;
    channel->has_how = true;
    channel->how = how;
    channel->reason = reason;
    if (err != NULL && (channel->why = malloc(sizeof(*channel->why))) != NULL)
        *channel->why = *err;
}

/* Everything is closed and no look-up runs: tell the owner, release. */
static void
finish(struct channel *channel)
{
    static const struct err nothing = {.site = "channel", .text = "closed"};
    const struct err *why = channel->why != NULL ? channel->why : &nothing;

    log_event(channel->hub->log, LOG_DEBUG, "channel.end",
              LOG_STR("how", channel_end_name(channel->how)), LOG_STR("why", why->text));
    channel->ops->on_end(channel->ctx, channel, channel->how, channel->reason, why);
    hub_remove(channel->hub, channel);
    pipe_free(&channel->pipe);
    dial_free(&channel->dial);
    buf_free(&channel->out);
    free(channel->why);
    free(channel);
}

static void
finish_if_quiet(struct channel *channel)
{
    if (channel->state == CH_ENDED && !channel->is_open && !dial_is_pending(channel))
        finish(channel);
}

static void
on_closed(uv_handle_t *handle)
{
    struct channel *channel = handle->data;

    channel->is_open = false;
    if (channel->state == CH_DIALING) { /* only the socket went: channel_reopen() */
        uv_tcp_init(loop_uv(channel->hub->loop), &channel->tcp); /* opens nothing, cannot fail */
        channel->is_open = true;
        dial_next(channel);
        return;
    }
    finish_if_quiet(channel);
}

/* End without another word. */
void
channel_end_now(struct channel *channel, enum channel_end how, Parley__Wire__CloseReason reason,
                const struct err *err)
{
    if (channel->state == CH_ENDED)
        return;
    channel_decide(channel, how, reason, err);
    channel->state = CH_ENDED;
    dial_cancel(channel);
    if (!uv_is_closing((uv_handle_t *)&channel->tcp))
        uv_close((uv_handle_t *)&channel->tcp, on_closed);
}

static void
on_tcp(struct channel *channel)
{
    struct sockaddr_storage address = {0};
    int size = sizeof(address);

    uv_tcp_nodelay(&channel->tcp, 1);
    if (uv_tcp_getpeername(&channel->tcp, (struct sockaddr *)&address, &size) == 0)
        (void)uv_ip_name((struct sockaddr *)&address, channel->peer, sizeof(channel->peer));
    channel->state = CH_HANDSHAKE;
    channel->heard_ms = channel->pinged_ms = channel_now_ms(channel);
    if (channel_read_start(channel) != 0)
        channel_fail_write(channel, UV_ENOTCONN);
}

void
channel_on_connected(struct channel *channel)
{
    struct err err;

    dial_free(&channel->dial);
    on_tcp(channel);
    if (channel->state != CH_HANDSHAKE)
        return;
    if (pipe_start(channel->pipe, &channel->out, &err) != RC_OK) {
        channel_end_now(channel, CHANNEL_FAILED, PARLEY__WIRE__CLOSE_REASON__CLOSE_UNSPECIFIED,
                        &err);
        return;
    }
    hub_mark_dirty(channel->hub, channel);
}

void
channel_reopen(struct channel *channel)
{
    uv_close((uv_handle_t *)&channel->tcp, on_closed);
}

void
channel_on_unreachable(struct channel *channel, const struct err *err)
{
    channel_end_now(channel, CHANNEL_UNREACHABLE, PARLEY__WIRE__CLOSE_REASON__CLOSE_UNSPECIFIED,
                    err);
}

void
channel_on_dial_gone(struct channel *channel)
{
    finish_if_quiet(channel);
}

static enum rc
channel_new(struct channel **out, const struct channel_opt *opt, enum noise_role role,
            struct err *err)
{
    struct pipe_opt pipe = opt->pipe;
    struct channel *channel = calloc(1, sizeof(*channel));
    enum rc rc;

    *out = NULL;
    if (channel == NULL)
        return err_set(err, RC_NOMEM, "channel.new", "out of memory");
    pipe.role = role;
    if (pipe.message_max == 0)
        pipe.message_max = WIRE_FRAME_MAX;
    if ((rc = pipe_new(&channel->pipe, &pipe, err)) != RC_OK) {
        free(channel);
        return rc;
    }
    channel->hub = opt->hub;
    channel->ops = opt->ops;
    channel->ctx = opt->ctx;
    buf_init(&channel->out, OUT_MAX);
    uv_tcp_init(loop_uv(opt->hub->loop), &channel->tcp); /* opens nothing, cannot fail */
    channel->tcp.data = channel;
    channel->is_open = true;
    channel->since_ms = channel->heard_ms = channel->pinged_ms = channel_now_ms(channel);
    hub_add(opt->hub, channel);
    *out = channel;
    return RC_OK;
}

enum rc
channel_accept(struct channel **out, uv_stream_t *listener, const struct channel_opt *opt,
               struct err *err)
{
    enum rc rc;
    int status;

    if ((rc = channel_new(out, opt, NOISE_SERVER, err)) != RC_OK)
        return rc;
    status = uv_accept(listener, (uv_stream_t *)&(*out)->tcp);
    if (status != 0) {
        channel_drop(*out);
        *out = NULL;
        return err_set(err, RC_IO, "channel.accept", "%s", uv_strerror(status));
    }
    on_tcp(*out);
    return RC_OK;
}

enum rc
channel_connect(struct channel **out, const char *host, uint16_t port,
                const struct channel_opt *opt, struct err *err)
{
    enum rc rc;

    if ((rc = channel_new(out, opt, NOISE_CLIENT, err)) != RC_OK)
        return rc;
    if ((rc = dial_start(*out, host, port, err)) != RC_OK) {
        channel_drop(*out);
        *out = NULL;
    }
    return rc;
}

void
channel_abandon(struct channel **channel, Parley__Wire__CloseReason reason)
{
    if (*channel == NULL)
        return;
    (*channel)->ops = &nobody;
    channel_close(*channel, reason, NULL);
    *channel = NULL;
}

void
channel_drop(struct channel *channel)
{
    channel->ops = &nobody;
    channel_end_now(channel, CHANNEL_LOCAL, PARLEY__WIRE__CLOSE_REASON__CLOSE_UNSPECIFIED, NULL);
}

static void
time_out(struct channel *channel, const char *what)
{
    struct err err;

    err_set(&err, RC_TIMEOUT, "channel.tick", "%s", what);
    channel_end_now(channel, CHANNEL_TIMED_OUT, PARLEY__WIRE__CLOSE_REASON__CLOSE_UNSPECIFIED,
                    &err);
}

void
channel_tick(struct channel *channel, uint64_t now)
{
    const struct channel_hub *hub = channel->hub;

    switch (channel->state) {
    case CH_DIALING:
    case CH_HANDSHAKE:
        if (now - channel->since_ms >= hub->handshake_ms)
            time_out(channel, "the handshake took too long");
        break;
    case CH_UP:
        if (channel->is_held)
            break;
        if (now - channel->heard_ms >= hub->dead_ms)
            time_out(channel, "nothing heard");
        else if (now - channel->pinged_ms >= hub->ping_ms)
            channel_ping(channel);
        break;
    case CH_CLOSING:
        if (now - channel->since_ms >= hub->linger_ms)
            channel_end_now(channel, CHANNEL_LOCAL, channel->reason, NULL);
        break;
    case CH_ENDED:
        break;
    }
}

bool
channel_is_up(const struct channel *channel)
{
    return channel->state == CH_UP;
}

const uint8_t *
channel_remote_static(const struct channel *channel)
{
    return channel->was_up ? pipe_remote_static(channel->pipe) : NULL;
}

const uint8_t *
channel_hash(const struct channel *channel)
{
    return channel->was_up ? pipe_hash(channel->pipe) : NULL;
}

bool
channel_fell_back(const struct channel *channel)
{
    return pipe_fell_back(channel->pipe);
}

void *
channel_ctx(const struct channel *channel)
{
    return channel->ctx;
}

void
channel_set_ctx(struct channel *channel, void *ctx)
{
    channel->ctx = ctx;
}

const char *
channel_peer_address(const struct channel *channel)
{
    return channel->peer;
}

const char *
channel_end_name(enum channel_end how)
{
    static const char *const names[] = {
        [CHANNEL_BYE] = "bye",       [CHANNEL_TRUNCATED] = "truncated",
        [CHANNEL_FAILED] = "failed", [CHANNEL_TIMED_OUT] = "timed_out",
        [CHANNEL_SLOW] = "slow",     [CHANNEL_UNREACHABLE] = "unreachable",
        [CHANNEL_LOCAL] = "local",
    };

    return names[how];
}
