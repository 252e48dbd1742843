/* parley_phone_client.c - see parley_phone_client.h. */
#include "cmd/parley_phone_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/admin_path.h"
#include "base/file.h"

#define LINE_MAX_BYTES (4u * 1024 * 1024)
#define START_MS 10000 /* a daemon's first start makes keys and tables */
#define POLL_MS 10
#define SEND_MS 10000
#define ARGS_MAX 16

int64_t
phone_client_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
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
        rc = err_errno(err, RC_IO, "phone", errno, "socket");
    else if (connect(fd, (struct sockaddr *)&at.address, sizeof at.address) == 0)
        *out = fd;
    else if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
        rc = err_set(err, RC_NOTFOUND, "phone", "no phone daemon runs there");
    else if (errno == EAGAIN)
        rc = err_set(err, RC_BUSY, "phone", "too many commands wait already");
    else if (errno == EACCES)
        rc = err_set(err, RC_DENIED, "phone", "the phone belongs to another user");
    else
        rc = err_errno(err, RC_IO, "phone", errno, "connect");
    if (rc != RC_OK && fd >= 0)
        close(fd);
    admin_path_close(&at);
    return rc;
}

/* ---- starting a daemon ---- */

/* Where `parley up` runs, its supervisor brings the daemon (back): it is only waited for. */
static bool
has_supervisor(const struct phone_home *home)
{
    char path[PHONE_PATH_SIZE];
    int fd;

    snprintf(path, sizeof path, "%s/parley.sock", home->dir);
    if (connect_to(&fd, path, NULL) != RC_OK)
        return false;
    close(fd);
    return true;
}

static enum rc
beside_us(char *out, size_t size, const char *name, struct err *err)
{
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    char *slash;

    if (n < 0)
        return err_errno(err, RC_IO, "phone.start", errno, "/proc/self/exe");
    out[n] = '\0';
    slash = strrchr(out, '/');
    if (slash == NULL || (size_t)(slash - out) + strlen(name) + 2 > size)
        return err_set(err, RC_IO, "phone.start", "the program's path is too long");
    strcpy(slash + 1, name);
    return RC_OK;
}

/* The grandchild: in a session of its own, without our descriptors; it begins once its parent is
 * gone, so that "ends with its parent" does not end it with us. */
static void
become_daemon(char **args, const char *log_path, int parent_fd)
{
    int null_fd = open("/dev/null", O_RDWR);
    int log_fd = open(log_path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    char c;

    while (read(parent_fd, &c, 1) < 0 && errno == EINTR)
        ;
    dup2(null_fd, STDIN_FILENO);
    dup2(null_fd, STDOUT_FILENO);
    dup2(log_fd >= 0 ? log_fd : null_fd, STDERR_FILENO);
    for (int fd = 3; fd < 256; fd++)
        close(fd);
    execv(args[0], args);
    _exit(127);
}

static enum rc
launch(char **args, const char *log_path, struct err *err)
{
    int fds[2], status;
    pid_t pid;

    if (pipe(fds) != 0)
        return err_errno(err, RC_IO, "phone.start", errno, "pipe");
    if ((pid = fork()) == 0) {
        setsid();
        if (fork() == 0) {
            close(fds[1]);
            become_daemon(args, log_path, fds[0]);
        }
        _exit(0);
    }
    close(fds[0]);
    close(fds[1]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return err_errno(err, RC_IO, "phone.start", errno, "fork");
    return RC_OK;
}

/* Folders that the daemon's own user can pass through when we are root. */
static enum rc
make_folders(const struct phone_home *home, struct err *err)
{
    char path[PHONE_PATH_SIZE];
    struct stat st;
    enum rc rc;

    snprintf(path, sizeof path, "%s/phone", home->dir);
    if ((rc = dir_make(path, 0700, err)) != RC_OK)
        return rc;
    snprintf(path, sizeof path, "%s/log", home->dir);
    if ((rc = dir_make(path, 0700, err)) != RC_OK)
        return rc;
    if (geteuid() == 0 && stat(home->dir, &st) == 0 && (st.st_mode & 0111) != 0111)
        (void)!chmod(home->dir, (st.st_mode & 07777) | 0111);
    return RC_OK;
}

static enum rc
start_daemon(const struct phone_home *home, struct err *err)
{
    char binary[PHONE_PATH_SIZE], dir[PHONE_PATH_SIZE], log_path[PHONE_PATH_SIZE],
        dir_flag[] = "--data-dir", relay_flag[] = "--relay", key_flag[] = "--relay-key",
        authority_flag[] = "--authority-key";
    char *args[ARGS_MAX] = {binary, dir_flag, dir};
    const struct {
        char *flag;
        const char *value;
    } more[] = {
        {relay_flag,     home->relay        },
        {key_flag,       home->relay_key    },
        {authority_flag, home->authority_key},
    };
    size_t n = 3;
    enum rc rc;

    if (home->relay == NULL || home->relay_key == NULL)
        return err_set(err, RC_NOTFOUND, "phone.start",
                       "no phone daemon runs for this folder, and no relay is known: give --relay "
                       "and --relay-key, or start `parley up`");
    for (size_t i = 0; i < ARRAY_LEN(more); i++)
        if (more[i].value != NULL) {
            args[n++] = more[i].flag;
            args[n++] = (char *)(uintptr_t)more[i].value;
        }
    snprintf(dir, sizeof dir, "%s/phone", home->dir);
    snprintf(log_path, sizeof log_path, "%s/log/phone.log", home->dir);
    if ((rc = beside_us(binary, sizeof binary, "parley-phone", err)) == RC_OK)
        rc = make_folders(home, err);
    return rc == RC_OK ? launch(args, log_path, err) : rc;
}

enum rc
phone_client_open(struct phone_client *client, const struct phone_home *home, struct err *err)
{
    int64_t until_ms = phone_client_now_ms() + START_MS;
    char path[PHONE_PATH_SIZE];
    bool has_started = false;
    enum rc rc;

    snprintf(path, sizeof path, "%s/phone/daemon.sock", home->dir);
    buf_init(&client->in, LINE_MAX_BYTES);
    while ((rc = connect_to(&client->fd, path, err)) == RC_NOTFOUND || rc == RC_BUSY) {
        if (client->stop != NULL && *client->stop != 0)
            return err_set(err, RC_CLOSED, "phone", "interrupted");
        if (phone_client_now_ms() > until_ms)
            return err_set(err, RC_TIMEOUT, "phone",
                           "the phone daemon does not answer; see log/phone.log");
        if (rc == RC_NOTFOUND && !has_started && !has_supervisor(home)) {
            if ((rc = start_daemon(home, err)) != RC_OK)
                return rc;
            has_started = true;
        }
        (void)!poll(NULL, 0, POLL_MS);
    }
    return rc;
}

void
phone_client_close(struct phone_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    buf_wipe(&client->in);
}

/* ---- lines ---- */

static enum rc
wait_for(const struct phone_client *client, short events, int64_t until_ms, struct err *err)
{
    for (;;) {
        struct pollfd p = {.fd = client->fd, .events = events};
        int64_t left_ms = until_ms - phone_client_now_ms();
        int n;

        if (client->stop != NULL && *client->stop != 0)
            return err_set(err, RC_CLOSED, "phone", "interrupted");
        n = left_ms <= 0 ? 0 : poll(&p, 1, left_ms > 1000 ? 1000 : (int)left_ms);
        if (n > 0)
            return RC_OK;
        if (n == 0 && left_ms <= 1000)
            return err_set(err, RC_TIMEOUT, "phone", "the phone daemon did not answer in time");
        if (n < 0 && errno != EINTR)
            return err_errno(err, RC_IO, "phone", errno, "poll");
    }
}

enum rc
phone_client_send(struct phone_client *client, struct bytes json, struct err *err)
{
    int64_t until_ms = phone_client_now_ms() + SEND_MS;
    const struct bytes parts[] = {json, bytes_of("\n", 1)};

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        struct bytes in = parts[i];

        while (in.len > 0) {
            ssize_t n = send(client->fd, in.ptr, in.len, MSG_NOSIGNAL);
            enum rc rc;

            if (n >= 0) {
                in = bytes_of(in.ptr + n, in.len - (size_t)n);
                continue;
            }
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN)
                return err_errno(err, RC_CLOSED, "phone", errno, "the daemon hung up");
            if ((rc = wait_for(client, POLLOUT, until_ms, err)) != RC_OK)
                return rc;
        }
    }
    return RC_OK;
}

bool
phone_client_has_line(const struct phone_client *client)
{
    return client->in.len > 0 && memchr(client->in.ptr, '\n', client->in.len) != NULL;
}

enum rc
phone_client_recv(json_t **out, struct phone_client *client, int64_t until_ms, struct err *err)
{
    size_t len;
    enum rc rc;

    *out = NULL;
    while (!phone_client_has_line(client)) {
        char piece[16384];
        ssize_t n;

        if ((rc = wait_for(client, POLLIN, until_ms, err)) != RC_OK)
            return rc;
        n = recv(client->fd, piece, sizeof piece, 0);
        if (n == 0)
            return err_set(err, RC_CLOSED, "phone", "the phone daemon ended");
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return err_errno(err, RC_CLOSED, "phone", errno, "recv");
        if (n > 0)
            buf_put(&client->in, bytes_of(piece, (size_t)n));
        if (buf_failed(&client->in))
            return err_set(err, RC_LIMIT, "phone", "the daemon's answer is too long");
    }
    len = (size_t)((uint8_t *)memchr(client->in.ptr, '\n', client->in.len) - client->in.ptr);
    rc = json_read(out, bytes_of(client->in.ptr, len), LINE_MAX_BYTES, err);
    buf_consume(&client->in, len + 1);
    return rc;
}

void
phone_client_shut_down(const char *socket_path)
{
    static const char line[] = "{\"verb\":\"shutdown\"}";
    struct phone_client client = {.fd = -1};
    json_t *answer = NULL;

    buf_init(&client.in, LINE_MAX_BYTES);
    if (connect_to(&client.fd, socket_path, NULL) == RC_OK &&
        phone_client_send(&client, bytes_of(line, sizeof line - 1), NULL) == RC_OK &&
        phone_client_recv(&answer, &client, phone_client_now_ms() + 1000, NULL) == RC_OK)
        json_decref(answer);
    phone_client_close(&client);
}
