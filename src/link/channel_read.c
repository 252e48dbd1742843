/* channel_read.c - the reading half of a channel: bytes to messages to frames.
 *
 * Owns nothing between two calls: bytes are in the hub's buffer, a frame lives in an arena for its
 * callback. Whoever is called may close the channel, so the state is looked at again after every
 * call out. Source: docs/protocol/wire.md. */
#include "link/inner.h"

/* What the handshake answers goes out before anything that on_up queues. */
static void
queue_answers(struct channel *channel)
{
    struct buf *answers = &channel->hub->answers;

    if (answers->len == 0)
        return;
    buf_put(&channel->out, buf_bytes(answers));
    buf_reset(answers);
    hub_mark_dirty(channel->hub, channel);
}

static void
go_up(struct channel *channel)
{
    queue_answers(channel);
    channel->state = CH_UP;
    channel->was_up = true;
    pipe_forget_hint(channel->pipe);
    channel->ops->on_up(channel->ctx, channel);
}

static void
answer_ping(struct channel *channel, uint32_t request_id)
{
    Parley__Wire__Pong body = PARLEY__WIRE__PONG__INIT;
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;

    frame.request_id = request_id;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_PONG;
    frame.pong = &body;
    if (channel_send(channel, &frame, NULL) != RC_OK)
        return; /* it has ended; its end tells why */
}

static void
take_frame(struct channel *channel, const Parley__Wire__Frame *frame)
{
    switch ((int)frame->body_case) {
    case PARLEY__WIRE__FRAME__BODY_PING:
        answer_ping(channel, frame->request_id);
        break;
    case PARLEY__WIRE__FRAME__BODY_PONG:
        break; /* it was heard: that is all a pong is for */
    case PARLEY__WIRE__FRAME__BODY_CLOSE:
        channel_end_now(channel, CHANNEL_BYE, frame->close->reason, NULL);
        break;
    default:
        channel->ops->on_frame(channel->ctx, channel, frame);
    }
}

static enum rc
on_message(void *ctx, struct bytes message, struct err *err)
{
    struct channel *channel = ctx;
    struct arena *arena = NULL;
    Parley__Wire__Frame *frame;
    enum rc rc;

    if (channel->state == CH_HANDSHAKE)
        go_up(channel);
    if (channel->state != CH_UP)
        return RC_CLOSED;
    if ((rc = arena_new(&arena, WIRE_ARENA_MAX, err)) != RC_OK)
        return rc;
    if ((rc = wire_unpack(&frame, arena, message, err)) == RC_OK) {
        take_frame(channel, frame);
        if (channel_frame_is_secret(frame))
            arena_wipe(&arena);
    } else
        channel_begin_close(channel, CHANNEL_FAILED, PARLEY__WIRE__CLOSE_REASON__PROTOCOL_ERROR,
                            NULL, err);
    arena_free(&arena);
    return channel->state == CH_UP ? RC_OK : RC_CLOSED;
}

static void
feed(struct channel *channel, struct bytes in)
{
    struct err err = {.rc = RC_OK};
    enum rc rc;

    channel->heard_ms = channel->pinged_ms = channel_now_ms(channel);
    buf_reset(&channel->hub->answers); /* what a failed handshake left there is not said */
    rc = pipe_feed(channel->pipe, in, &channel->hub->answers, on_message, channel, &err);
    if (channel->state >= CH_CLOSING)
        return;
    if (rc != RC_OK) /* a wrong tag gets no reply */
        channel_end_now(channel, CHANNEL_FAILED, PARLEY__WIRE__CLOSE_REASON__CLOSE_UNSPECIFIED,
                        &err);
    else if (channel->state == CH_HANDSHAKE && pipe_state(channel->pipe) == PIPE_UP)
        go_up(channel);
    else
        queue_answers(channel);
}

static void
on_tcp_end(struct channel *channel, int status)
{
    struct err err;

    if (channel->state == CH_CLOSING) { /* as agreed: how was decided by our Close */
        channel_end_now(channel, CHANNEL_LOCAL, channel->reason, NULL);
        return;
    }
    err_set(&err, RC_IO, "channel.read", "%s",
            status == UV_EOF ? "the connection ended without a Close" : uv_strerror(status));
    channel_end_now(channel, CHANNEL_TRUNCATED, PARLEY__WIRE__CLOSE_REASON__CLOSE_UNSPECIFIED,
                    &err);
}

/* The hub's buffer serves every channel: libuv fills it and calls on_read before anyone else. */
static void
on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
    struct channel *channel = handle->data;

    *out = uv_buf_init((char *)channel->hub->room, READ_BYTES);
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *room)
{
    struct channel *channel = stream->data;

    if (n < 0)
        on_tcp_end(channel, (int)n);
    else if (n > 0 && channel->state < CH_CLOSING)
        feed(channel, bytes_of(room->base, (size_t)n));
}

int
channel_read_start(struct channel *channel)
{
    return uv_read_start((uv_stream_t *)&channel->tcp, on_room, on_read);
}

void
channel_raise_message_max(struct channel *channel, size_t message_max)
{
    if (channel->state == CH_UP)
        pipe_raise_message_max(channel->pipe, message_max);
}

void
channel_hold(struct channel *channel)
{
    if (channel->state >= CH_CLOSING || channel->is_held)
        return;
    channel->is_held = true;
    uv_read_stop((uv_stream_t *)&channel->tcp);
}

void
channel_resume(struct channel *channel)
{
    if (channel->state == CH_ENDED || !channel->is_held)
        return;
    channel->is_held = false;
    channel->heard_ms = channel->pinged_ms = channel_now_ms(channel);
    if (channel_read_start(channel) != 0)
        channel_fail_write(channel, UV_ENOTCONN);
}
