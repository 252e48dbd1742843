/* channel_write.c - the writing half of a channel: queue, flush, Close.
 *
 * Owns the bytes between "queued" and "taken by the kernel": `out` gathers one loop pass, a flight
 * holds what a full socket did not take. At most one flight at a time, so order is the order of
 * channel_send. Source: docs/protocol/wire.md. */
#include <stdlib.h>
#include <sys/socket.h>

#include "link/inner.h"

/* Bytes in flight to the kernel: lives while a write is waiting. */
struct flight {
    uv_write_t request;
    struct buf data;
    size_t taken; /* by the first attempt */
};

size_t
channel_unsent(const struct channel *channel)
{
    size_t waiting =
        channel->flight == NULL ? 0 : channel->flight->data.len - channel->flight->taken;

    return channel->out.len + waiting;
}

size_t
channel_memory(const struct channel *channel)
{
    size_t in_flight =
        channel->flight == NULL ? 0 : sizeof(*channel->flight) + channel->flight->data.cap;

    return sizeof(*channel) + pipe_memory(channel->pipe) + channel->out.cap + in_flight;
}

static void
after_write(struct channel *channel)
{
    uv_os_fd_t fd;

    if (channel->state == CH_ENDED || channel_unsent(channel) > 0)
        return;
    if (channel->state == CH_CLOSING && uv_fileno((uv_handle_t *)&channel->tcp, &fd) == 0)
        (void)shutdown(fd, SHUT_WR); /* the peer answers by ending its side: see on_read */
    if (channel->state == CH_UP && channel->is_over_half) {
        channel->is_over_half = false;
        if (channel->ops->on_drained != NULL)
            channel->ops->on_drained(channel->ctx, channel);
    }
}

void
channel_fail_write(struct channel *channel, int status)
{
    struct err err;

    err_set(&err, RC_IO, "channel.write", "%s", uv_strerror(status));
    channel_end_now(channel, CHANNEL_TRUNCATED, PARLEY__WIRE__CLOSE_REASON__CLOSE_UNSPECIFIED,
                    &err);
}

static void
on_written(uv_write_t *request, int status)
{
    struct flight *flight = request->data;
    struct channel *channel = request->handle->data;

    channel->flight = NULL;
    buf_free(&flight->data);
    free(flight);
    if (channel->state == CH_ENDED)
        return;
    if (status != 0) {
        channel_fail_write(channel, status);
        return;
    }
    channel_flush(channel);
    after_write(channel);
}

/* What the kernel did not take at once is handed to libuv, out starts anew. */
static int
launch(struct channel *channel, size_t taken)
{
    struct flight *flight = calloc(1, sizeof(*flight));
    uv_buf_t rest;
    int status;

    if (flight == NULL)
        return UV_ENOMEM;
    flight->data = channel->out;
    flight->taken = taken;
    flight->request.data = flight;
    rest = uv_buf_init((char *)flight->data.ptr + taken, (unsigned)(flight->data.len - taken));
    buf_init(&channel->out, flight->data.max);
    status = uv_write(&flight->request, (uv_stream_t *)&channel->tcp, &rest, 1, on_written);
    if (status != 0) {
        buf_free(&flight->data);
        free(flight);
        return status;
    }
    channel->flight = flight;
    return 0;
}

void
channel_flush(struct channel *channel)
{
    uv_buf_t all = uv_buf_init((char *)channel->out.ptr, (unsigned)channel->out.len);
    int taken, status;

    if (channel->state < CH_HANDSHAKE || channel->state == CH_ENDED || channel->flight != NULL ||
        all.len == 0)
        return;
    taken = uv_try_write((uv_stream_t *)&channel->tcp, &all, 1);
    if (taken < 0 && taken != UV_EAGAIN) {
        channel_fail_write(channel, taken);
        return;
    }
    if (taken == (int)all.len) {
        buf_free(&channel->out);
        after_write(channel);
        return;
    }
    if ((status = launch(channel, taken < 0 ? 0 : (size_t)taken)) != 0)
        channel_fail_write(channel, status);
}

/* These carry codes, PINs and tickets: no copy of ours outlives its use. */
bool
channel_frame_is_secret(const Parley__Wire__Frame *frame)
{
    return frame->body_case == PARLEY__WIRE__FRAME__BODY_CODE_VERIFY ||
           frame->body_case == PARLEY__WIRE__FRAME__BODY_TICKET ||
           frame->body_case == PARLEY__WIRE__FRAME__BODY_REGISTER;
}

static void
empty_scratch(struct buf *scratch, bool was_secret)
{
    if (was_secret)
        buf_wipe(scratch);
    else if (scratch->cap > SCRATCH_KEEP)
        buf_free(scratch);
}

/* Pack, seal, queue. A full queue and a broken seal end the channel, a frame that is too large does
 * not. */
static enum rc
queue_frame(struct channel *channel, const Parley__Wire__Frame *frame, size_t unsent_max,
            struct err *err)
{
    struct buf *scratch = &channel->hub->scratch;
    enum rc rc;

    buf_reset(scratch);
    if ((rc = wire_pack(scratch, frame, err)) != RC_OK)
        goto out;
    if (channel_unsent(channel) + scratch->len > unsent_max) {
        rc = err_set(err, RC_LIMIT, "channel.send", "the peer does not read");
        channel_end_now(channel, CHANNEL_SLOW, PARLEY__WIRE__CLOSE_REASON__SLOW, err);
        goto out;
    }
    rc = pipe_send(channel->pipe, buf_bytes(scratch), &channel->out, err);
    if (rc != RC_OK)
        channel_end_now(channel, CHANNEL_FAILED, PARLEY__WIRE__CLOSE_REASON__CLOSE_UNSPECIFIED,
                        err);
out:
    empty_scratch(scratch, channel_frame_is_secret(frame));
    return rc;
}

enum rc
channel_send(struct channel *channel, const Parley__Wire__Frame *frame, struct err *err)
{
    struct err why;
    enum rc rc;

    if (channel->state >= CH_CLOSING)
        return err_set(err, RC_CLOSED, "channel.send", "the channel has ended");
    if (channel->state != CH_UP)
        return err_set(err, RC_PROTO, "channel.send", "the handshake is not done");
    if ((rc = queue_frame(channel, frame, CHANNEL_UNSENT_MAX, &why)) != RC_OK)
        return err_set(err, rc, why.site, "%s", why.text);
    if (channel_unsent(channel) > CHANNEL_UNSENT_MAX / 2)
        channel->is_over_half = true;
    hub_mark_dirty(channel->hub, channel);
    return RC_OK;
}

/* Say Close and stop listening; the end follows when the peer has ended TCP, or after linger_ms. */
void
channel_begin_close(struct channel *channel, enum channel_end how, Parley__Wire__CloseReason reason,
                    const char *text, const struct err *err)
{
    Parley__Wire__Close body = PARLEY__WIRE__CLOSE__INIT;
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;

    if (channel->state >= CH_CLOSING)
        return;
    if (channel->state != CH_UP) { /* no keys, no Close */
        channel_end_now(channel, how, reason, err);
        return;
    }
    channel_decide(channel, how, reason, err);
    body.reason = reason;
    if (text != NULL)
        body.text = (char *)(uintptr_t)text;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_CLOSE;
    frame.close = &body;
    if (queue_frame(channel, &frame, OUT_MAX, NULL) != RC_OK) {
        channel_end_now(channel, how, reason, err);
        return;
    }
    channel->state = CH_CLOSING;
    channel->since_ms = channel_now_ms(channel);
    channel_resume(channel); /* to see the end of TCP */
    channel_flush(channel);
}

void
channel_close(struct channel *channel, Parley__Wire__CloseReason reason, const char *text)
{
    channel_begin_close(channel, CHANNEL_LOCAL, reason, text, NULL);
}

void
channel_ping(struct channel *channel)
{
    Parley__Wire__Ping body = PARLEY__WIRE__PING__INIT;
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;

    channel->pinged_ms = channel_now_ms(channel);
    frame.body_case = PARLEY__WIRE__FRAME__BODY_PING;
    frame.ping = &body;
    if (channel_send(channel, &frame, NULL) != RC_OK)
        return; /* it has ended; its end tells why */
}
