/* Tests of base/file. The system calls of file_replace are watched: their order is the durability,
 * and each of them is made to fail in turn. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* The wrapped calls write one letter each here while watching: O open, M chmod, W write, F fsync of
 * a file, D fsync of a folder, C close, R rename. fail_at counts down to the one that fails. */
static char trace[64];
static bool is_watching;
static int fail_at;

int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
ssize_t __real_write(int fd, const void *data, size_t len);
int __real_open(const char *path, int flags, ...);
int __real_close(int fd);
int __real_fchmod(int fd, mode_t mode);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_close(int fd);
int __wrap_fchmod(int fd, mode_t mode);

/* Note the step; true if it is this one's turn to fail. */
static bool
watch(char letter)
{
    size_t n = strlen(trace);

    if (!is_watching)
        return false;
    if (n < sizeof(trace) - 1)
        trace[n] = letter;
    if (--fail_at != 0)
        return false;
    errno = ENOSPC;
    return true;
}

int
__wrap_fsync(int fd)
{
    struct stat st;

    fstat(fd, &st);
    return watch(S_ISDIR(st.st_mode) ? 'D' : 'F') ? -1 : __real_fsync(fd);
}

int
__wrap_rename(const char *from, const char *to)
{
    return watch('R') ? -1 : __real_rename(from, to);
}

ssize_t
__wrap_write(int fd, const void *data, size_t len)
{
    if (watch('W'))
        return -1;
    /* short writes: the whole must arrive all the same */
    return __real_write(fd, data, is_watching && len > 3 ? 3 : len);
}

int
__wrap_open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list args;

    va_start(args, flags);
    if (flags & O_CREAT)
        mode = va_arg(args, mode_t);
    va_end(args);
    return watch('O') ? -1 : __real_open(path, flags, mode);
}

int
__wrap_open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list args;

    va_start(args, flags);
    if (flags & O_CREAT)
        mode = va_arg(args, mode_t);
    va_end(args);
    return watch('O') ? -1 : __real_open(path, flags | O_LARGEFILE, mode);
}

int
__wrap_close(int fd)
{
    bool fails = watch('C');
    int status = __real_close(fd);

    return fails ? -1 : status;
}

int
__wrap_fchmod(int fd, mode_t mode)
{
    return watch('M') ? -1 : __real_fchmod(fd, mode);
}

struct fixture {
    char dir[64], path[80], fresh[90];
};

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->dir, "/tmp/parley-file-XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    snprintf(f->path, sizeof(f->path), "%s/f", f->dir);
    snprintf(f->fresh, sizeof(f->fresh), "%s/f.tmp", f->dir);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;

    unlink(f->path);
    unlink(f->fresh);
    rmdir(f->dir);
    free(f);
    return 0;
}

static enum rc
replace_watched(const struct fixture *f, const char *text, int failing_step)
{
    enum rc rc;

    memset(trace, 0, sizeof(trace));
    fail_at = failing_step;
    is_watching = true;
    rc = file_replace(f->path, bytes_of_str(text), 0640, NULL);
    is_watching = false;
    return rc;
}

static void
assert_holds(const struct fixture *f, const char *text)
{
    struct buf buf;

    buf_init(&buf, 1000);
    assert_int_equal(file_read(&buf, f->path, 1000, NULL), RC_OK);
    assert_string_equal(buf_cstr(&buf), text);
    buf_free(&buf);
}

static void
test_replace_is_durable_before_it_returns(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    assert_int_equal(replace_watched(f, "12345678", 0), RC_OK);
    /* the bytes are flushed before the name moves, the folder after it */
    assert_string_equal(trace, "OMWWWFCRODC");
    assert_holds(f, "12345678");
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_not_equal(access(f->fresh, F_OK), 0);
}

static void
test_replace_survives_every_failure(void **state)
{
    static const char steps[] = "OMWWWFCRODC";
    struct fixture *f = *state;

    assert_int_equal(file_replace(f->path, bytes_of_str("old"), 0600, NULL), RC_OK);
    for (int n = 1; n <= 10; n++) { /* the last close is after the fact */
        bool has_moved = n > 8;
        enum rc rc = replace_watched(f, "new text", n);

        if (rc != (steps[n - 1] == 'W' ? RC_FULL : RC_IO))
            fail_msg("step %d (%c): %s", n, steps[n - 1], rc_name(rc));
        assert_holds(f, has_moved ? "new text" : "old");
        assert_int_not_equal(access(f->fresh, F_OK), 0);
    }
}

static void
test_replace_follows_no_link(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(symlink("/tmp/parley-must-not-appear", f->fresh), 0);
    assert_int_equal(file_replace(f->path, bytes_of_str("x"), 0600, NULL), RC_IO);
    assert_int_not_equal(access("/tmp/parley-must-not-appear", F_OK), 0);
}

static void
test_read_limits(void **state)
{
    struct fixture *f = *state;
    char *big = calloc(1, 50001);
    struct buf buf;

    memset(big, 'x', 50000);
    buf_init(&buf, 100000);
    assert_int_equal(file_read(&buf, f->path, 10, NULL), RC_NOTFOUND);
    assert_int_equal(file_read(&buf, f->dir, 10, NULL), RC_IO);
    assert_int_equal(file_replace(f->path, bytes_of_str(big), 0600, NULL), RC_OK);
    buf_put_str(&buf, "kept");
    assert_int_equal(file_read(&buf, f->path, 49999, NULL), RC_LIMIT);
    assert_string_equal(buf_cstr(&buf), "kept");
    assert_int_equal(file_read(&buf, f->path, 50000, NULL), RC_OK);
    assert_int_equal(buf.len, 50004);
    buf_free(&buf);
    buf_init(&buf, 100);
    assert_int_equal(file_read(&buf, f->path, 50000, NULL), RC_NOMEM);
    assert_int_equal(buf.len, 0);
    buf_free(&buf);
    free(big);
}

static void
test_empty_file(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(file_replace(f->path, bytes_of(NULL, 0), 0600, NULL), RC_OK);
    assert_holds(f, "");
}

static void
test_dir_make(void **state)
{
    struct fixture *f = *state;
    char deep[100], parent[100], through_file[100];
    struct stat st;

    umask(022);
    snprintf(parent, sizeof(parent), "%s/a", f->dir);
    snprintf(deep, sizeof(deep), "%s/a/b//", f->dir);
    snprintf(through_file, sizeof(through_file), "%s/f/x", f->dir);
    assert_int_equal(dir_make(deep, 0700, NULL), RC_OK);
    assert_int_equal(dir_make(deep, 0700, NULL), RC_OK);
    assert_int_equal(stat(deep, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(parent, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(file_replace(f->path, bytes_of_str("x"), 0600, NULL), RC_OK);
    assert_int_equal(dir_make(f->path, 0700, NULL), RC_IO);
    assert_int_equal(dir_make(through_file, 0700, NULL), RC_IO);
    assert_int_equal(dir_make("", 0700, NULL), RC_INVAL);
    assert_int_equal(dir_make("/", 0700, NULL), RC_OK);
    rmdir(deep);
    rmdir(parent);
}

static void
test_lock_is_exclusive_between_processes(void **state)
{
    struct fixture *f = *state;
    int fd, status;
    pid_t pid;

    assert_int_equal(file_lock(&fd, f->path, NULL), RC_OK);
    if ((pid = fork()) == 0) {
        int again;

        _exit(file_lock(&again, f->path, NULL) == RC_BUSY && again == -1 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(fd);
    assert_int_equal(file_lock(&fd, f->path, NULL), RC_OK);
    close(fd);
}

static void
test_disk_free(void **state)
{
    struct fixture *f = *state;
    uint64_t bytes;

    assert_int_equal(disk_free(&bytes, f->dir, NULL), RC_OK);
    assert_int_equal(disk_free(&bytes, "/nowhere/at/all", NULL), RC_IO);
    assert_int_equal(bytes, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replace_is_durable_before_it_returns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replace_survives_every_failure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replace_follows_no_link, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dir_make, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lock_is_exclusive_between_processes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk_free, setup, teardown),
    };

    return cmocka_run_group_tests_name("base/file", tests, NULL, NULL);
}
