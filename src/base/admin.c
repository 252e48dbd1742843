/* admin.c - the server's side of the local administration socket.
 *
 * Owns the listening socket, its clients (at most CLIENTS_MAX) and one request of each. A request
 * that is still being worked on outlives its client: the answer is then thrown away.
 * Must never be reachable for another user: mode 0600 and SO_PEERCRED (unix(7)).
 *
 * On the wire a line of the answer that begins with a dot gets one more in front, as in mail, so
 * that "." alone always means the end. */
#include "base/admin.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/admin_path.h"

#define CLIENTS_MAX 16u
#define LINE_MAX_BYTES 4096u
#define ANSWER_MAX_BYTES (4u * 1024 * 1024)
#define BACKLOG 16

struct admin {
    uv_pipe_t listener;
    const struct admin_row *rows;
    size_t n_rows;
    void *ctx;
    char *path;
    struct client *clients; /* open ones */
    unsigned n_clients;
    unsigned n_handles; /* not closed yet: the memory stays until 0 */
};

struct client {
    uv_pipe_t pipe;
    uv_write_t write;
    struct admin *admin;
    struct client *prev, *next;
    struct admin_call *call; /* in work or being written, NULL while reading */
    size_t n_in;
    char in[LINE_MAX_BYTES];
};

struct admin_call {
    struct client *client; /* NULL: went away */
    struct buf out;
    char *words[ADMIN_WORDS_MAX + 1];
    unsigned n_words, n_matched;
    char line[LINE_MAX_BYTES];
};

static void read_on(struct client *client);

static void
call_free(struct admin_call *call)
{
    buf_wipe(&call->out);
    bytes_wipe(call->line, sizeof(call->line));
    free(call);
}

static void
handle_gone(struct admin *admin)
{
    if (--admin->n_handles == 0) {
        free(admin->path);
        free(admin);
    }
}

static void
on_client_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;
    struct admin *admin = client->admin;

    bytes_wipe(client->in, sizeof(client->in));
    free(client);
    handle_gone(admin);
}

static void
client_close(struct client *client)
{
    struct admin *admin = client->admin;

    if (uv_is_closing((uv_handle_t *)&client->pipe))
        return;
    if (client->call != NULL)
        client->call->client = NULL;
    client->call = NULL;
    if (client->prev != NULL)
        client->prev->next = client->next;
    else
        admin->clients = client->next;
    if (client->next != NULL)
        client->next->prev = client->prev;
    admin->n_clients--;
    uv_close((uv_handle_t *)&client->pipe, on_client_closed);
}

static void
on_written(uv_write_t *write, int status)
{
    struct admin_call *call = write->data;
    struct client *client = call->client;

    call_free(call);
    if (client == NULL)
        return; /* closed while the answer was on its way */
    client->call = NULL;
    if (status != 0)
        client_close(client);
    else
        read_on(client);
}

void
admin_putf(struct admin_call *call, const char *fmt, ...)
{
    char *text = NULL, *line, *next;
    va_list args;
    int n;

    va_start(args, fmt);
    n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n < 0) {
        call->out.failed = true;
        return;
    }
    for (line = text; line != NULL; line = next) {
        if ((next = strchr(line, '\n')) != NULL)
            *next++ = '\0';
        if (line[0] == '.')
            buf_put_char(&call->out, '.');
        buf_put_str(&call->out, line);
        buf_put_char(&call->out, '\n');
    }
    bytes_wipe(text, (size_t)n);
    free(text);
}

void
admin_done(struct admin_call *call, enum rc rc, const char *text)
{
    struct client *client = call->client;
    uv_buf_t out;

    if (client == NULL) {
        call_free(call);
        return;
    }
    if (rc == RC_OK && buf_failed(&call->out)) {
        rc = RC_LIMIT;
        text = "the answer is too long";
    }
    if (rc != RC_OK) {
        buf_reset(&call->out);
        admin_putf(call, "error %s", text == NULL ? rc_name(rc) : text);
    }
    buf_put_str(&call->out, ".\n");
    out = uv_buf_init((char *)call->out.ptr, (unsigned)call->out.len);
    client->write.data = call;
    if (uv_write(&client->write, (uv_stream_t *)&client->pipe, &out, 1, on_written) != 0) {
        client_close(client);
        call_free(call);
    }
}

const char *
admin_arg(const struct admin_call *call, unsigned i)
{
    return i < call->n_words - call->n_matched ? call->words[call->n_matched + i] : NULL;
}

/* How many words of the row open the request; 0 if it does not match. */
static unsigned
words_matched(const struct admin_row *row, const struct admin_call *call)
{
    const char *at = row->words;
    unsigned n = 0;

    while (*at != '\0') {
        size_t len = strcspn(at, " ");

        if (n >= call->n_words || strlen(call->words[n]) != len ||
            memcmp(call->words[n], at, len) != 0)
            return 0;
        n++;
        at += len;
        at += strspn(at, " ");
    }
    return n;
}

static void
answer_help(const struct admin *admin, struct admin_call *call)
{
    for (size_t i = 0; i < admin->n_rows; i++)
        admin_putf(call, "%-28s %s", admin->rows[i].words, admin->rows[i].help);
    admin_done(call, RC_OK, NULL);
}

static void
dispatch(const struct admin *admin, struct admin_call *call)
{
    const struct admin_row *best = NULL;

    for (size_t i = 0; i < admin->n_rows; i++) { /* the longest match wins */
        unsigned n = words_matched(&admin->rows[i], call);

        if (n > call->n_matched) {
            call->n_matched = n;
            best = &admin->rows[i];
        }
    }
    if (best != NULL)
        best->fn(call, admin->ctx);
    else if (call->n_words == 1 && strcmp(call->words[0], "help") == 0)
        answer_help(admin, call);
    else
        admin_done(call, RC_NOTFOUND, "no such command; try help");
}

/* Cut call->line into words. False: too many, or a character that no command has. */
static bool
split_words(struct admin_call *call)
{
    char *state = NULL;

    for (const char *c = call->line; *c != '\0'; c++) {
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
            return false;
    }
    for (char *word = strtok_r(call->line, " \t", &state); word != NULL;
         word = strtok_r(NULL, " \t", &state)) {
        if (call->n_words == ADMIN_WORDS_MAX)
            return false;
        call->words[call->n_words++] = word;
    }
    return true;
}

/* Begin the request of len characters at the front of client->in. */
static void
start_call(struct client *client, size_t len)
{
    struct admin_call *call = calloc(1, sizeof(*call));
    bool has_nul = memchr(client->in, '\0', len) != NULL;

    if (call == NULL) {
        client_close(client);
        return;
    }
    buf_init(&call->out, ANSWER_MAX_BYTES);
    call->client = client;
    client->call = call;
    uv_read_stop((uv_stream_t *)&client->pipe); /* one request at a time */
    if (len > 0 && client->in[len - 1] == '\r')
        memcpy(call->line, client->in, len - 1);
    else
        memcpy(call->line, client->in, len);
    client->n_in -= len + 1;
    memmove(client->in, client->in + len + 1, client->n_in);
    if (has_nul || !split_words(call))
        admin_done(call, RC_MALFORMED, "not a line of at most 8 words");
    else
        dispatch(client->admin, call);
}

static void
on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
    struct client *client = handle->data;

    *room = uv_buf_init(client->in + client->n_in, (unsigned)(LINE_MAX_BYTES - client->n_in));
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *room)
{
    struct client *client = stream->data;

    if (n < 0) { /* also UV_ENOBUFS: a line without an end */
        client_close(client);
        return;
    }
    client->n_in += (size_t)n;
    read_on(client);
}

/* Take the next line if it is there, wait for it otherwise. */
static void
read_on(struct client *client)
{
    char *end = memchr(client->in, '\n', client->n_in);

    if (end != NULL)
        start_call(client, (size_t)(end - client->in));
    else if (client->n_in == LINE_MAX_BYTES)
        client_close(client);
    else if (!uv_is_active((uv_handle_t *)&client->pipe) &&
             uv_read_start((uv_stream_t *)&client->pipe, on_room, on_read) != 0)
        client_close(client);
}

static bool
is_peer_allowed(uv_pipe_t *pipe)
{
    uv_os_fd_t fd;

    return uv_fileno((uv_handle_t *)pipe, &fd) == 0 && admin_path_peer_is_allowed(fd);
}

static void
on_connection(uv_stream_t *listener, int status)
{
    struct admin *admin = listener->data;
    struct client *client = status == 0 ? calloc(1, sizeof(*client)) : NULL;

    if (client == NULL)
        return;
    uv_pipe_init(listener->loop, &client->pipe, 0);
    client->pipe.data = client;
    client->admin = admin;
    admin->n_handles++;
    admin->n_clients++;
    client->next = admin->clients;
    if (client->next != NULL)
        client->next->prev = client;
    admin->clients = client;
    if (uv_accept(listener, (uv_stream_t *)&client->pipe) != 0 || admin->n_clients > CLIENTS_MAX ||
        !is_peer_allowed(&client->pipe))
        client_close(client);
    else
        read_on(client);
}

static void
on_listener_closed(uv_handle_t *handle)
{
    handle_gone(handle->data);
}

enum rc
admin_open(struct admin **out, struct loop *loop, const char *path, const struct admin_row *rows,
           size_t n_rows, void *ctx, struct err *err)
{
    struct admin *admin = calloc(1, sizeof(*admin));
    enum rc rc;
    int fd;

    *out = NULL;
    if (admin == NULL || (admin->path = strdup(path)) == NULL) {
        free(admin);
        return err_set(err, RC_NOMEM, "admin.open", "out of memory");
    }
    if ((rc = admin_path_listen(&fd, path, err)) != RC_OK) {
        free(admin->path);
        free(admin);
        return rc;
    }
    admin->rows = rows;
    admin->n_rows = n_rows;
    admin->ctx = ctx;
    admin->n_handles = 1;
    uv_pipe_init(loop_uv(loop), &admin->listener, 0);
    admin->listener.data = admin;
    if (uv_pipe_open(&admin->listener, fd) != 0) {
        close(fd);
        rc = err_set(err, RC_IO, "admin.open", "the loop does not take the socket");
    } else if (uv_listen((uv_stream_t *)&admin->listener, BACKLOG, on_connection) != 0) {
        rc = err_set(err, RC_IO, "admin.open", "cannot listen");
    }
    if (rc != RC_OK)
        admin_free(&admin);
    *out = admin;
    return rc;
}

void
admin_free(struct admin **admin)
{
    if (*admin == NULL)
        return;
    unlink((*admin)->path);
    while ((*admin)->clients != NULL)
        client_close((*admin)->clients);
    uv_close((uv_handle_t *)&(*admin)->listener, on_listener_closed);
    *admin = NULL;
}
