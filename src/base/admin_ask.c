/* admin_ask.c - the client's side of the administration socket: one question, blocking.
 *
 * For command lines; a program with a loop never calls it. */
#include "base/admin.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/admin_path.h"

#define ANSWER_MAX_BYTES (8u * 1024 * 1024) /* the server's ceiling and its doubled dots */

static int64_t
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static enum rc
wait_for(int fd, short events, int64_t deadline_ms, struct err *err)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        int64_t left_ms = deadline_ms - now_ms();
        int n = left_ms <= 0 ? 0 : poll(&p, 1, (int)left_ms);

        if (n > 0)
            return RC_OK;
        if (n == 0)
            return err_set(err, RC_TIMEOUT, "admin.ask", "no answer in time");
        if (errno != EINTR)
            return err_errno(err, RC_IO, "admin.ask", errno, "poll");
    }
}

static enum rc
connect_to(int *out, const char *path, struct err *err)
{
    struct admin_path at;
    enum rc rc;
    int fd;

    *out = -1;
    if ((rc = admin_path_open(&at, path, err)) != RC_OK)
        return rc;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        rc = err_errno(err, RC_IO, "admin.ask", errno, "socket");
    else if (connect(fd, (struct sockaddr *)&at.address, sizeof(at.address)) == 0)
        *out = fd;
    else if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
        rc = err_set(err, RC_NOTFOUND, "admin.ask", "no program listens there");
    else if (errno == EAGAIN)
        rc = err_set(err, RC_BUSY, "admin.ask", "too many callers wait already");
    else
        rc = err_errno(err, errno == EACCES ? RC_DENIED : RC_IO, "admin.ask", errno, "connect");
    if (rc != RC_OK && fd >= 0)
        close(fd);
    admin_path_close(&at);
    return rc;
}

static enum rc
send_all(int fd, struct bytes in, int64_t deadline_ms, struct err *err)
{
    while (in.len > 0) {
        ssize_t n = send(fd, in.ptr, in.len, MSG_NOSIGNAL);
        enum rc rc;

        if (n >= 0) {
            in = bytes_of(in.ptr + n, in.len - (size_t)n);
            continue;
        }
        if (errno != EAGAIN && errno != EINTR)
            return err_errno(err, RC_IO, "admin.ask", errno, "send");
        if ((rc = wait_for(fd, POLLOUT, deadline_ms, err)) != RC_OK)
            return rc;
    }
    return RC_OK;
}

static bool
has_ended(struct bytes raw)
{
    return raw.len >= 2 && memcmp(raw.ptr + raw.len - 2, ".\n", 2) == 0 &&
           (raw.len == 2 || raw.ptr[raw.len - 3] == '\n');
}

static enum rc
receive(struct buf *raw, int fd, int64_t deadline_ms, struct err *err)
{
    while (!has_ended(buf_bytes(raw))) {
        char piece[4096];
        enum rc rc = wait_for(fd, POLLIN, deadline_ms, err);
        ssize_t n;

        if (rc != RC_OK)
            return rc;
        n = recv(fd, piece, sizeof(piece), 0);
        if (n == 0)
            return err_set(err, RC_CLOSED, "admin.ask", "the program hung up");
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return err_errno(err, RC_IO, "admin.ask", errno, "recv");
        if (n > 0)
            buf_put(raw, bytes_of(piece, (size_t)n));
        if (buf_failed(raw))
            return err_set(err, RC_LIMIT, "admin.ask", "the answer is too long");
    }
    return RC_OK;
}

/* Lines without the final "." and without the doubled dots; a lone "error …" line is a failure. */
static enum rc
unpack(struct buf *out, struct bytes raw, struct err *err)
{
    static const char error_word[] = "error ";
    size_t skip = sizeof(error_word) - 1;

    raw.len -= 2;
    if (raw.len > skip && memcmp(raw.ptr, error_word, skip) == 0 &&
        memchr(raw.ptr, '\n', raw.len) == raw.ptr + raw.len - 1)
        return err_set(err, RC_DENIED, "admin.ask", "%.*s", (int)(raw.len - skip - 1),
                       (const char *)raw.ptr + skip);
    for (size_t at = 0; at < raw.len;) {
        const uint8_t *line = raw.ptr + at;
        const uint8_t *end = memchr(line, '\n', raw.len - at);
        size_t len = (size_t)(end - line) + 1; /* has_ended() saw the last one */

        if (line[0] == '.')
            buf_put(out, bytes_of(line + 1, len - 1));
        else
            buf_put(out, bytes_of(line, len));
        at += len;
    }
    if (buf_failed(out))
        return err_set(err, RC_NOMEM, "admin.ask", "no room for the answer");
    return RC_OK;
}

enum rc
admin_ask(struct buf *out, const char *path, const char *line, int timeout_ms, struct err *err)
{
    int64_t deadline_ms = now_ms() + timeout_ms;
    struct buf raw;
    enum rc rc;
    int fd;

    buf_init(&raw, ANSWER_MAX_BYTES);
    if (strchr(line, '\n') != NULL)
        return err_set(err, RC_INVAL, "admin.ask", "a question is one line");
    if ((rc = connect_to(&fd, path, err)) != RC_OK)
        return rc;
    if ((rc = send_all(fd, bytes_of_str(line), deadline_ms, err)) != RC_OK)
        goto out;
    if ((rc = send_all(fd, bytes_of_str("\n"), deadline_ms, err)) != RC_OK)
        goto out;
    if ((rc = receive(&raw, fd, deadline_ms, err)) == RC_OK)
        rc = unpack(out, buf_bytes(&raw), err);
out:
    buf_wipe(&raw);
    close(fd);
    return rc;
}
