/* Tests of base/process: each in a child of its own, since there is no way back. */
#include "base/process.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define FALLBACK_UID 64321u

/* Run fn in a child; what it returns is 0 for good, or the line that failed. */
static void
in_child(int (*fn)(void *arg), void *arg)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fn(arg) == 0 ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

#define WANT(x)                                                                                    \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "line %d: %s\n", __LINE__, #x);                                        \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static int
harden_and_look(void *arg)
{
    struct sigaction pipe_action;
    struct rlimit limit;

    WANT(process_harden(false, NULL) == RC_OK);
    WANT(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 0);
    WANT(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == limit.rlim_max);
    WANT(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
    WANT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    WANT(sigaction(SIGPIPE, NULL, &pipe_action) == 0 && pipe_action.sa_handler == SIG_IGN);
    WANT(umask(0) == 077);
    return 0;
}

static int
harden_but_stay_dumpable(void *arg)
{
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    WANT(process_harden(true, NULL) == RC_OK);
    WANT(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1);
    return 0;
}

static void
test_harden(void **state)
{
    in_child(harden_and_look, NULL);
    in_child(harden_but_stay_dumpable, NULL);
}

static const struct process_user nobody_known = {.name = "parley-no-such-user",
                                                 .fallback = FALLBACK_UID};

struct ground {
    char dir[32], inside[64], link[64], outside[32];
};

static int
drop_and_look(void *arg)
{
    struct ground *g = arg;
    gid_t groups[8];
    struct stat st;
    bool dropped;
    int fd;

    WANT(process_drop(&dropped, &nobody_known, g->dir, NULL) == RC_OK && dropped);
    WANT(getuid() == FALLBACK_UID && geteuid() == FALLBACK_UID && getegid() == FALLBACK_UID);
    WANT(getgroups(8, groups) == 0);
    WANT(setuid(0) != 0);
    WANT(prctl(PR_CAPBSET_READ, 0, 0, 0, 0) == 0);
    WANT((fd = open(g->inside, O_RDWR)) >= 0); /* ours now */
    close(fd);
    WANT(stat(g->outside, &st) == 0 && st.st_uid == 0); /* a link led there: not given away */
    WANT(lstat(g->link, &st) == 0 && st.st_uid == FALLBACK_UID);
    return 0;
}

static int
drop_must_fail(void *arg)
{
    const struct process_user root = {.name = "root", .fallback = FALLBACK_UID};
    bool dropped = true;

    WANT(process_drop(&dropped, &root, "/tmp", NULL) == RC_INVAL && !dropped);
    WANT(process_drop(&dropped, &nobody_known, "/nowhere/at/all", NULL) == RC_IO && !dropped);
    WANT(geteuid() == 0);
    return 0;
}

static void
test_drop_as_root(void **state)
{
    struct ground g = {.dir = "/tmp/parley-own-XXXXXX", .outside = "/tmp/parley-out-XXXXXX"};
    char sub[64];
    int fd;

    if (geteuid() != 0) {
        print_message("not root\n");
        skip();
    }
    assert_non_null(mkdtemp(g.dir));
    fd = mkstemp(g.outside);
    close(fd);
    snprintf(sub, sizeof(sub), "%s/sub", g.dir);
    snprintf(g.inside, sizeof(g.inside), "%s/sub/f", g.dir);
    snprintf(g.link, sizeof(g.link), "%s/sub/l", g.dir);
    assert_int_equal(mkdir(sub, 0700), 0);
    fd = open(g.inside, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(symlink(g.outside, g.link), 0);
    in_child(drop_and_look, &g);
    in_child(drop_must_fail, NULL);
    unlink(g.link);
    unlink(g.inside);
    unlink(g.outside);
    rmdir(sub);
    rmdir(g.dir);
}

static int
drop_as_nobody(void *arg)
{
    bool dropped = true;

    if (geteuid() == 0)
        WANT(setresuid(FALLBACK_UID, FALLBACK_UID, FALLBACK_UID) == 0);
    WANT(process_drop(&dropped, &nobody_known, "/nowhere/at/all", NULL) == RC_OK && !dropped);
    return 0;
}

static void
test_drop_as_somebody_else_does_nothing(void **state)
{
    in_child(drop_as_nobody, NULL);
}

/* A child whose own child follows it, then dies: the grandchild must end, and its pipe with it. */
static void
test_follow_parent(void **state)
{
    int ends[2], up[2];
    char c;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(up), 0);
    if ((pid = fork()) == 0) {
        close(ends[0]);
        if (fork() == 0) {
            process_follow_parent();
            if (write(up[1], "x", 1) != 1)
                _exit(1);
            for (;;)
                pause();
        }
        close(ends[1]);
        if (read(up[0], &c, 1) != 1)
            _exit(1);
        _exit(0); /* the grandchild is following by now */
    }
    close(ends[1]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    alarm(20); /* a hang would be the failure */
    assert_int_equal(read(ends[0], &c, 1), 0);
    alarm(0);
    close(ends[0]);
    close(up[0]);
    close(up[1]);
}

static int
follow_a_dead_parent(void *arg)
{
    setenv("PARLEY_SUPERVISOR_PID", "1999999999", 1); /* no pid is that large */
    signal(SIGTERM, SIG_DFL);
    process_follow_parent();
    return 1;
}

static void
test_follow_a_parent_that_is_gone(void **state)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(follow_a_dead_parent(NULL));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void
test_say_ready(void **state)
{
    char line[200];
    int ends[2], saved = dup(1);
    ssize_t n;

    assert_int_equal(pipe(ends), 0);
    fflush(stdout);
    dup2(ends[1], 1);
    process_say_ready("relay", "127.0.0.1:9405");
    dup2(saved, 1);
    n = read(ends[0], line, sizeof(line) - 1);
    line[n < 0 ? 0 : n] = '\0';
    assert_string_equal(line,
                        "{\"program\":\"relay\",\"ready\":true,\"listen\":\"127.0.0.1:9405\"}\n");
    close(ends[0]);
    close(ends[1]);
    close(saved);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_harden),
        cmocka_unit_test(test_drop_as_root),
        cmocka_unit_test(test_drop_as_somebody_else_does_nothing),
        cmocka_unit_test(test_follow_parent),
        cmocka_unit_test(test_follow_a_parent_that_is_gone),
        cmocka_unit_test(test_say_ready),
    };

    return cmocka_run_group_tests_name("base/process", tests, NULL, NULL);
}
