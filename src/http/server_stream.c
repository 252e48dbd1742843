/* server_stream.c - a reply that stays open: bytes go out as they are pushed.
 *
 * Owns what waits to be sent, with a ceiling. The connection is suspended while there is nothing to
 * send, and then the daemon does not see the peer leave: a descriptor of our own watches for that.
 */
#include "http/server_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK_BYTES 32768u

struct http_stream {
    struct http_request *req;
    struct buf backlog;
    void (*on_gone)(void *ctx);
    void *ctx;
    uv_poll_t hangup; /* on a duplicate of the connection's descriptor */
    int fd;
    bool is_suspended;
    bool is_ending;    /* send what waits, then end */
    bool is_abandoned; /* end now */
};

static void
wake(struct http_stream *stream)
{
    if (!stream->is_suspended)
        return;
    stream->is_suspended = stream->req->is_suspended = false;
    http_conn_resume(stream->req->conn);
}

/* The daemon wants bytes. */
static ssize_t
read_backlog(void *cls, uint64_t pos, char *room, size_t max)
{
    struct http_stream *stream = cls;
    size_t n = stream->backlog.len < max ? stream->backlog.len : max;

    if (stream->is_abandoned || stream->req->conn->server->is_closing)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (n > 0) {
        memcpy(room, stream->backlog.ptr, n);
        buf_consume(&stream->backlog, n);
        return (ssize_t)n;
    }
    if (stream->is_ending)
        return MHD_CONTENT_READER_END_OF_STREAM;
    stream->is_suspended = stream->req->is_suspended = true;
    MHD_suspend_connection(stream->req->conn->mhd);
    return 0;
}

static void
on_hangup(uv_poll_t *poll, int status, int events)
{
    struct http_stream *stream = poll->data;

    uv_poll_stop(poll);
    stream->is_abandoned = true;
    wake(stream);
}

static void
on_closed(uv_handle_t *handle)
{
    struct http_stream *stream = handle->data;

    close(stream->fd);
    free(stream);
}

static bool
watch(struct http_stream *stream, struct http_conn *conn)
{
    stream->fd = dup(conn->fd);
    if (stream->fd < 0)
        return false;
    if (uv_poll_init(loop_uv(conn->server->loop), &stream->hangup, stream->fd) != 0) {
        close(stream->fd);
        return false;
    }
    stream->hangup.data = stream;
    uv_poll_start(&stream->hangup, UV_DISCONNECT, on_hangup);
    return true;
}

struct http_stream *
http_reply_stream(struct http_request *req, int status, const struct http_header *headers, size_t n,
                  void (*on_gone)(void *ctx), void *ctx)
{
    struct http_stream *stream = calloc(1, sizeof(*stream));
    struct MHD_Response *response = NULL;

    if (stream == NULL || !watch(stream, req->conn)) {
        free(stream);
        http_reply(req, 500, NULL, 0, bytes_of(NULL, 0));
        return NULL;
    }
    response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_backlog,
                                                 stream, NULL);
    if (response == NULL)
        abort(); /* as for any reply */
    for (size_t i = 0; i < n; i++)
        (void)MHD_add_response_header(response, headers[i].name, headers[i].value);
    stream->req = req;
    stream->on_gone = on_gone;
    stream->ctx = ctx;
    buf_init(&stream->backlog, HTTP_STREAM_BACKLOG_MAX);
    req->stream = stream;
    http_conn_stage(req->conn, CONN_STREAMS, 0);
    http_request_send(req, status, response);
    return stream;
}

bool
http_stream_push(struct http_stream *stream, struct bytes data)
{
    if (stream->is_ending || stream->is_abandoned)
        return false;
    buf_put(&stream->backlog, data);
    if (buf_failed(&stream->backlog)) {
        stream->is_abandoned = true;
        shutdown(stream->fd, SHUT_RDWR); /* wakes the daemon if it waits to write */
        wake(stream);
        return false;
    }
    wake(stream);
    return true;
}

void
http_stream_set_max(struct http_stream *stream, size_t max_bytes)
{
    stream->backlog.max = max_bytes;
}

void
http_stream_end(struct http_stream *stream)
{
    stream->is_ending = true;
    /* a peer that does not read must not keep it for ever */
    http_conn_stage(stream->req->conn, CONN_REPLIES, HTTP_BODY_GRACE_S * 1000u);
    wake(stream);
}

void
http_stream_free(struct http_stream **stream)
{
    struct http_stream *s = *stream;

    if (s == NULL)
        return;
    *stream = NULL;
    buf_wipe(&s->backlog);
    if (s->on_gone != NULL)
        s->on_gone(s->ctx);
    uv_close((uv_handle_t *)&s->hangup, on_closed);
}
