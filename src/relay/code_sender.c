/* code_sender.c - one code on its way out: a child process with a line on its input, or a line in a
 * file, written off the loop.
 *
 * Owns the child and its pipe until it has ended; a child that lingers is killed. The line is
 * wiped. */
#include "relay/code_sender.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/e164.h"
#include "base/json.h"

#define LINE_MAX_BYTES 512u

struct sending {
    struct code_message message;
    void (*fn)(void *ctx, enum rc rc);
    void *ctx;
    enum rc rc;
    struct buf line;
    char path[4096];
    uv_work_t work;
    uv_process_t child;
    uv_pipe_t input;
    uv_write_t write;
    uv_timer_t timer;
    unsigned n_open; /* handles not closed yet */
};

static void
finish(struct sending *s)
{
    void (*fn)(void *, enum rc) = s->fn;
    void *ctx = s->ctx;
    enum rc rc = s->rc;

    buf_wipe(&s->line);
    bytes_wipe(s, sizeof(*s));
    free(s);
    fn(ctx, rc);
}

static void
write_line(struct sending *s)
{
    const struct code_message *m = &s->message;
    char number[E164_TEXT_SIZE];
    struct json_writer w;

    jw_init(&w, &s->line);
    jw_object(&w);
    jw_kv_str(&w, "number", e164_write(number, m->number));
    jw_kv_str(&w, "code", m->code);
    jw_kv_str(&w, "method", m->method);
    jw_kv_str(&w, "language", m->language);
    jw_kv_int(&w, "at", m->at_ms);
    jw_object_end(&w);
    buf_put_char(&s->line, '\n');
}

/* ---- the outbox ---- */

static void
append(uv_work_t *work)
{
    struct sending *s = work->data;
    int fd = open(s->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

    s->rc = RC_IO;
    if (fd < 0)
        return;
    if (write(fd, s->line.ptr, s->line.len) == (ssize_t)s->line.len)
        s->rc = RC_OK;
    close(fd);
}

static void
appended(uv_work_t *work, int status)
{
    finish(work->data);
}

static enum rc
start_append(struct loop *loop, struct sending *s, struct err *err)
{
    size_t dir = strlen(s->message.data_dir);

    if (dir + sizeof("/outbox") > sizeof(s->path))
        return err_set(err, RC_INVAL, "relay.outbox", "the data folder's path is too long");
    memcpy(s->path, s->message.data_dir, dir);
    memcpy(s->path + dir, "/outbox", sizeof("/outbox"));
    s->work.data = s;
    if (uv_queue_work(loop_uv(loop), &s->work, append, appended) != 0)
        return err_set(err, RC_IO, "relay.outbox", "cannot queue the write");
    return RC_OK;
}

/* ---- the command ---- */

static void
closed(uv_handle_t *handle)
{
    struct sending *s = handle->data;

    if (--s->n_open == 0)
        finish(s);
}

static void
close_all(struct sending *s)
{
    uv_handle_t *handles[] = {(uv_handle_t *)&s->child, (uv_handle_t *)&s->input,
                              (uv_handle_t *)&s->timer};

    for (size_t i = 0; i < ARRAY_LEN(handles); i++) {
        if (!uv_is_closing(handles[i]))
            uv_close(handles[i], closed);
    }
}

static void
exited(uv_process_t *child, int64_t status, int signal_number)
{
    struct sending *s = child->data;

    s->rc = status == 0 && signal_number == 0 ? RC_OK : RC_IO;
    close_all(s);
}

static void
timed_out(uv_timer_t *timer)
{
    struct sending *s = timer->data;

    uv_process_kill(&s->child, SIGKILL); /* exited() follows */
}

static void
written(uv_write_t *write, int status)
{
    struct sending *s = write->data;

    if (!uv_is_closing((uv_handle_t *)&s->input))
        uv_close((uv_handle_t *)&s->input, closed); /* the end of its input */
}

static enum rc
start_command(struct loop *loop, struct sending *s, struct err *err)
{
    uv_loop_t *uv = loop_uv(loop);
    char *args[] = {(char[]){"sh"}, (char[]){"-c"}, (char *)(uintptr_t)s->message.command, NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&s->input},
        {.flags = UV_IGNORE                        },
        {.flags = UV_INHERIT_FD,                  .data.fd = STDERR_FILENO                                       }
    };
    uv_process_options_t options = {
        .file = "/bin/sh", .args = args, .stdio = stdio, .stdio_count = 3, .exit_cb = exited};
    uv_buf_t line = uv_buf_init((char *)s->line.ptr, (unsigned)s->line.len);
    int status;

    s->child.data = s->input.data = s->timer.data = s->write.data = s;
    uv_pipe_init(uv, &s->input, 0);
    uv_timer_init(uv, &s->timer);
    s->n_open = 3;
    s->rc = RC_IO;
    status = uv_spawn(uv, &s->child, &options);
    if (status != 0) { /* reported like a command that failed */
        close_all(s);
        return RC_OK;
    }
    uv_timer_start(&s->timer, timed_out, CODE_COMMAND_MS, 0);
    if (uv_write(&s->write, (uv_stream_t *)&s->input, &line, 1, written) != 0)
        uv_process_kill(&s->child, SIGKILL);
    return RC_OK;
}

enum rc
code_send(struct loop *loop, const struct code_message *message, void (*fn)(void *, enum rc),
          void *ctx, struct err *err)
{
    struct sending *s = calloc(1, sizeof(*s));
    enum rc rc;

    if (s == NULL)
        return err_set(err, RC_NOMEM, "relay.code", "out of memory");
    s->message = *message;
    s->fn = fn;
    s->ctx = ctx;
    buf_init(&s->line, LINE_MAX_BYTES);
    write_line(s);
    if (buf_failed(&s->line))
        rc = err_set(err, RC_NOMEM, "relay.code", "no room for the line");
    else if (message->command != NULL)
        rc = start_command(loop, s, err);
    else
        rc = start_append(loop, s, err);
    if (rc != RC_OK) {
        buf_wipe(&s->line);
        bytes_wipe(s, sizeof(*s));
        free(s);
    }
    return rc;
}
