/* lines.c - see lines.h.
 *
 * Owns the listening socket and its clients. A client is read only while a line is wanted, so one
 * that asks faster than it is answered waits in its own socket. */
#include "phone/lines.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/admin_path.h"
#include "base/buf.h"

#define BACKLOG 64
#define READ_ROOM 4096u

struct lines {
    uv_pipe_t listener;
    const struct lines_ops *ops;
    void *ctx;
    char *path;
    struct lines_client *clients;
    unsigned n_clients, n_handles;
};

struct lines_client {
    uv_pipe_t pipe;
    struct lines *lines;
    struct lines_client *prev, *next;
    struct buf in;
    size_t unsent;
    bool is_wanted; /* the owner wants a line */
    bool is_busy;   /* inside on_line: no recursion */
    bool is_closing, has_ended;
    bool is_doomed; /* something could not be given to it */
    void *data;
};

struct outgoing {
    uv_write_t write;
    struct lines_client *client;
    size_t len;
    uint8_t bytes[];
};

static void look(struct lines_client *client);

static void
handle_gone(struct lines *lines)
{
    if (--lines->n_handles > 0)
        return;
    free(lines->path);
    free(lines);
}

static void
on_client_closed(uv_handle_t *handle)
{
    struct lines_client *client = handle->data;
    struct lines *lines = client->lines;

    buf_wipe(&client->in);
    free(client);
    handle_gone(lines);
}

static void
client_close(struct lines_client *client)
{
    struct lines *lines = client->lines;

    if (client->is_closing)
        return;
    client->is_closing = true;
    if (client->prev != NULL)
        client->prev->next = client->next;
    else
        lines->clients = client->next;
    if (client->next != NULL)
        client->next->prev = client->prev;
    lines->n_clients--;
    lines->ops->on_gone(lines->ctx, client);
    uv_close((uv_handle_t *)&client->pipe, on_client_closed);
}

/* ---- in ---- */

static void
on_room(uv_handle_t *handle, size_t suggested UNUSED, uv_buf_t *room)
{
    struct lines_client *client = handle->data;
    uint8_t *at = buf_reserve(&client->in, READ_ROOM) ? client->in.ptr + client->in.len : NULL;

    *room = uv_buf_init((char *)at, at == NULL ? 0 : READ_ROOM);
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *room UNUSED)
{
    struct lines_client *client = stream->data;

    if (n < 0) {
        /* it may have closed one half only: what it asked is still answered */
        client->has_ended = n == UV_EOF;
        uv_read_stop(stream);
        if (!client->has_ended || client->is_wanted)
            client_close(client);
        return;
    }
    client->in.len += (size_t)n;
    look(client);
}

static void
look(struct lines_client *client)
{
    while (client->is_wanted && !client->is_busy && !client->is_closing) {
        uint8_t *end = client->in.len == 0 ? NULL : memchr(client->in.ptr, '\n', client->in.len);
        size_t len = end == NULL ? 0 : (size_t)(end - client->in.ptr);

        if (end == NULL && (client->has_ended || client->in.len >= LINES_IN_MAX)) {
            client_close(client);
            return;
        }
        if (end == NULL) {
            if (!uv_is_active((uv_handle_t *)&client->pipe) &&
                uv_read_start((uv_stream_t *)&client->pipe, on_room, on_read) != 0)
                client_close(client);
            return;
        }
        client->is_wanted = false;
        client->is_busy = true;
        client->lines->ops->on_line(client->lines->ctx, client, bytes_of(client->in.ptr, len));
        client->is_busy = false;
        if (client->is_closing)
            return;
        buf_consume(&client->in, len + 1);
    }
    /* Nobody wants a line now: reading goes on only far enough to notice the end. */
    if (!client->is_closing && !client->is_busy && client->in.len > READ_ROOM)
        uv_read_stop((uv_stream_t *)&client->pipe);
}

void
lines_next(struct lines_client *client)
{
    client->is_wanted = true;
    look(client);
}

/* ---- out ---- */

static void
on_written(uv_write_t *write, int status)
{
    struct outgoing *o = (struct outgoing *)write;
    struct lines_client *client = o->client;

    client->unsent -= o->len;
    bytes_wipe(o->bytes, o->len);
    free(o);
    if (client->is_closing)
        return;
    if (status != 0 || client->is_doomed)
        client_close(client);
    else if (client->unsent == 0 && client->lines->ops->on_drained != NULL)
        client->lines->ops->on_drained(client->lines->ctx, client);
}

void
lines_send(struct lines_client *client, struct bytes in)
{
    struct outgoing *o;
    uv_buf_t buf;

    if (client->is_closing || client->is_doomed || in.len == 0)
        return;
    if (client->unsent + in.len > LINES_UNSENT_MAX || (o = malloc(sizeof *o + in.len)) == NULL) {
        client->is_doomed = true; /* closed by what it reads next, or by its own end */
        return;
    }
    o->client = client;
    o->len = in.len;
    memcpy(o->bytes, in.ptr, in.len);
    buf = uv_buf_init((char *)o->bytes, (unsigned)in.len);
    client->unsent += in.len;
    if (uv_write(&o->write, (uv_stream_t *)&client->pipe, &buf, 1, on_written) != 0) {
        client->unsent -= in.len;
        free(o);
    }
}

size_t
lines_unsent(const struct lines_client *client)
{
    return client->unsent;
}

void *
lines_data(const struct lines_client *client)
{
    return client->data;
}

void
lines_set_data(struct lines_client *client, void *data)
{
    client->data = data;
}

/* ---- the listener ---- */

static void
on_connection(uv_stream_t *listener, int status)
{
    struct lines *lines = listener->data;
    struct lines_client *client = status == 0 ? calloc(1, sizeof *client) : NULL;
    uv_os_fd_t fd;

    if (client == NULL)
        return;
    uv_pipe_init(listener->loop, &client->pipe, 0);
    client->pipe.data = client;
    client->lines = lines;
    buf_init(&client->in, LINES_IN_MAX + READ_ROOM);
    lines->n_handles++;
    lines->n_clients++;
    client->next = lines->clients;
    if (client->next != NULL)
        client->next->prev = client;
    lines->clients = client;
    if (uv_accept(listener, (uv_stream_t *)&client->pipe) != 0 ||
        lines->n_clients > LINES_CLIENTS_MAX || uv_fileno((uv_handle_t *)&client->pipe, &fd) != 0 ||
        !admin_path_peer_is_allowed(fd))
        client_close(client);
    else
        lines_next(client);
}

static void
on_listener_closed(uv_handle_t *handle)
{
    handle_gone(handle->data);
}

enum rc
lines_open(struct lines **out, struct loop *loop, const char *path, const struct lines_ops *ops,
           void *ctx, struct err *err)
{
    struct lines *lines = calloc(1, sizeof *lines);
    enum rc rc;
    int fd;

    *out = NULL;
    if (lines == NULL || (lines->path = strdup(path)) == NULL) {
        free(lines);
        return err_set(err, RC_NOMEM, "lines.open", "out of memory");
    }
    if ((rc = admin_path_listen(&fd, path, err)) != RC_OK) {
        free(lines->path);
        free(lines);
        return rc;
    }
    lines->ops = ops;
    lines->ctx = ctx;
    lines->n_handles = 1;
    uv_pipe_init(loop_uv(loop), &lines->listener, 0);
    lines->listener.data = lines;
    if (uv_pipe_open(&lines->listener, fd) != 0) {
        close(fd);
        rc = err_set(err, RC_IO, "lines.open", "the loop does not take the socket");
    } else if (uv_listen((uv_stream_t *)&lines->listener, BACKLOG, on_connection) != 0) {
        rc = err_set(err, RC_IO, "lines.open", "cannot listen");
    }
    if (rc != RC_OK)
        lines_free(&lines);
    *out = lines;
    return rc;
}

void
lines_free(struct lines **lines)
{
    if (*lines == NULL)
        return;
    unlink((*lines)->path);
    while ((*lines)->clients != NULL)
        client_close((*lines)->clients);
    uv_close((uv_handle_t *)&(*lines)->listener, on_listener_closed);
    *lines = NULL;
}
