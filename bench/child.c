/* child.c - see child.h. */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

#define END_MS 10000
#define FOLDERS_OPEN_MAX 16

static void
become(char *const argv[], int out, const char *log_path)
{
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    prctl(PR_SET_PDEATHSIG, SIGTERM); /* a supervisor takes its children along */
    if (log >= 0)
        dup2(log, STDERR_FILENO);
    dup2(out, STDOUT_FILENO);
    execv(argv[0], argv);
    _exit(127);
}

enum rc
child_start(struct child *child, char *const argv[], const char *log_path, struct err *err)
{
    int ends[2];

    *child = (struct child){.out = -1};
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(err, RC_IO, "child", errno, "pipe");
    if ((child->pid = fork()) == 0)
        become(argv, ends[1], log_path);
    close(ends[1]);
    child->out = ends[0];
    if (child->pid < 0) {
        child->pid = 0;
        close(child->out);
        return err_errno(err, RC_IO, "child", errno, "fork");
    }
    return RC_OK;
}

/* One line of the child's output, without its end. RC_LIMIT lines are cut. */
static enum rc
read_line(struct child *child, int64_t until_us, struct err *err)
{
    struct pollfd out = {.fd = child->out, .events = POLLIN};
    size_t n = 0;
    ssize_t got;
    char c;

    for (;;) {
        int64_t left_ms = (until_us - now_us()) / 1000;

        if (left_ms <= 0 || poll(&out, 1, (int)left_ms) == 0)
            return err_set(err, RC_TIMEOUT, "child", "not ready in time");
        got = read(child->out, &c, 1);
        if (got == 0)
            return err_set(err, RC_CLOSED, "child", "ended before it was ready");
        if (got < 0 || c == '\n')
            break;
        if (n + 1 < sizeof(child->ready))
            child->ready[n++] = c;
    }
    child->ready[n] = '\0';
    return RC_OK;
}

enum rc
child_wait_ready(struct child *child, struct err *err)
{
    int64_t until_us = now_us() + CHILD_READY_MS * INT64_C(1000);
    enum rc rc;

    do {
        if ((rc = read_line(child, until_us, err)) != RC_OK)
            return rc;
    } while (strstr(child->ready, "\"ready\":true") == NULL);
    return RC_OK;
}

uint16_t
child_port(const struct child *child)
{
    const char *listen = strstr(child->ready, "\"listen\":\"");
    const char *colon = listen == NULL ? NULL : strchr(listen + strlen("\"listen\":\""), ':');

    return colon == NULL ? 0 : (uint16_t)atoi(colon + 1);
}

static bool
has_ended(struct child *child)
{
    int status;

    return waitpid(child->pid, &status, WNOHANG) == child->pid;
}

void
child_stop(struct child *child)
{
    int64_t until_us = now_us() + END_MS * INT64_C(1000);

    if (child->pid == 0)
        return;
    kill(child->pid, SIGTERM);
    while (!has_ended(child)) {
        if (now_us() > until_us)
            kill(child->pid, SIGKILL);
        poll(NULL, 0, 2);
    }
    close(child->out);
    *child = (struct child){.out = -1};
}

enum rc
child_run(struct buf *out, char *const argv[], const char *log_path, struct err *err)
{
    struct child child;
    char chunk[4096];
    int status = 0;
    ssize_t got;
    enum rc rc = child_start(&child, argv, log_path, err);

    if (rc != RC_OK)
        return rc;
    while ((got = read(child.out, chunk, sizeof(chunk))) > 0)
        if (out != NULL)
            buf_put(out, bytes_of(chunk, (size_t)got));
    close(child.out);
    if (waitpid(child.pid, &status, 0) != child.pid || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0)
        return err_set(err, RC_IO, "child", "%s ended with status %d; see %s", argv[0],
                       WIFEXITED(status) ? WEXITSTATUS(status) : -1, log_path);
    return RC_OK;
}

static int
remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

void
folder_remove(const char *path)
{
    (void)nftw(path, remove_one, FOLDERS_OPEN_MAX, FTW_DEPTH | FTW_PHYS);
}
