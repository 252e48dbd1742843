/* file.c - whole files, folders, locks.
 *
 * Replacing is durable: the new bytes are on disk before the name points to them, and the name is
 * on disk before we return. A reader sees the old file or the new one, never a mixture. Source:
 * fsync(2), rename(2): the folder needs an fsync of its own. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define READ_STEP_BYTES 16384u

/* Append what fd still has to give, at most max_bytes. */
static enum rc
read_all(struct buf *out, int fd, size_t max_bytes, struct err *err)
{
    size_t start = out->len;

    for (;;) {
        uint8_t piece[READ_STEP_BYTES];
        ssize_t n = read(fd, piece, sizeof(piece));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, RC_IO, "file.read", errno, "cannot read");
        if (n == 0)
            return RC_OK;
        if ((size_t)n > max_bytes - (out->len - start))
            return err_set(err, RC_LIMIT, "file.read", "larger than %zu bytes", max_bytes);
        buf_put(out, bytes_of(piece, (size_t)n));
        bytes_wipe(piece, (size_t)n); /* key files pass through here */
        if (buf_failed(out))
            return err_set(err, RC_NOMEM, "file.read", "no room for the file");
    }
}

enum rc
file_read(struct buf *out, const char *path, size_t max_bytes, struct err *err)
{
    size_t start = out->len;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum rc rc;

    if (fd < 0)
        return err_errno(err, errno == ENOENT ? RC_NOTFOUND : RC_IO, "file.read", errno, path);
    rc = read_all(out, fd, max_bytes, err);
    if (rc != RC_OK)
        out->len = start;
    close(fd);
    return rc;
}

static enum rc
write_all(int fd, struct bytes in, struct err *err)
{
    while (in.len > 0) {
        ssize_t n = write(fd, in.ptr, in.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno == ENOSPC || errno == EDQUOT ? RC_FULL : RC_IO,
                             "file.replace", errno, "cannot write");
        in = bytes_of(in.ptr + n, in.len - (size_t)n);
    }
    return RC_OK;
}

/* Write, set the mode and flush; the file is complete on disk when this returns RC_OK. */
static enum rc
write_new(const char *path, struct bytes in, mode_t mode, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    enum rc rc;

    if (fd < 0)
        return err_errno(err, RC_IO, "file.replace", errno, path);
    if (fchmod(fd, mode) != 0)
        rc = err_errno(err, RC_IO, "file.replace", errno, "cannot set the mode");
    else if ((rc = write_all(fd, in, err)) == RC_OK && fsync(fd) != 0)
        rc = err_errno(err, RC_IO, "file.replace", errno, "cannot flush");
    if (close(fd) != 0 && rc == RC_OK)
        rc = err_errno(err, RC_IO, "file.replace", errno, "cannot close");
    return rc;
}

/* The folder that holds path: "a/b" gives "a", "b" gives ".", "/b" gives "/". */
static void
folder_of(char *out, size_t size, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);

    if (slash == NULL)
        snprintf(out, size, ".");
    else
        snprintf(out, size, "%.*s", (int)n, path);
}

static enum rc
flush_folder(const char *path, struct err *err)
{
    char folder[PATH_MAX];
    enum rc rc = RC_OK;
    int fd;

    folder_of(folder, sizeof(folder), path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, RC_IO, "file.replace", errno, folder);
    if (fsync(fd) != 0)
        rc = err_errno(err, RC_IO, "file.replace", errno, "cannot flush the folder");
    close(fd);
    return rc;
}

enum rc
file_replace(const char *path, struct bytes in, mode_t mode, struct err *err)
{
    char fresh[PATH_MAX];
    enum rc rc;

    if ((size_t)snprintf(fresh, sizeof(fresh), "%s.tmp", path) >= sizeof(fresh))
        return err_set(err, RC_INVAL, "file.replace", "path too long");
    rc = write_new(fresh, in, mode, err);
    if (rc == RC_OK && rename(fresh, path) != 0)
        rc = err_errno(err, RC_IO, "file.replace", errno, "cannot rename");
    if (rc != RC_OK) {
        unlink(fresh);
        return rc;
    }
    return flush_folder(path, err);
}

static enum rc
make_one(const char *path, mode_t mode, struct err *err)
{
    struct stat st;

    if (mkdir(path, mode) == 0)
        return RC_OK;
    if (errno != EEXIST)
        return err_errno(err, RC_IO, "dir.make", errno, path);
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return err_set(err, RC_IO, "dir.make", "%.150s is there and is not a folder", path);
    return RC_OK;
}

enum rc
dir_make(const char *path, mode_t mode, struct err *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    enum rc rc = RC_OK;

    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len == 0 || len >= sizeof(part))
        return err_set(err, RC_INVAL, "dir.make", "path empty or too long");
    for (size_t i = 1; rc == RC_OK && i <= len; i++) {
        if (i < len && path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        rc = make_one(part, i < len ? 0755 : mode, err);
    }
    return rc;
}

enum rc
file_lock(int *fd, const char *path, struct err *err)
{
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int failure;

    *fd = -1;
    if (lock < 0)
        return err_errno(err, RC_IO, "file.lock", errno, path);
    if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
        *fd = lock;
        return RC_OK;
    }
    failure = errno;
    close(lock);
    if (failure == EWOULDBLOCK)
        return err_set(err, RC_BUSY, "file.lock", "%.150s is held by another process", path);
    return err_errno(err, RC_IO, "file.lock", failure, path);
}

enum rc
disk_free(uint64_t *bytes, const char *path, struct err *err)
{
    struct statvfs fs;

    *bytes = 0;
    if (statvfs(path, &fs) != 0)
        return err_errno(err, RC_IO, "disk.free", errno, path);
    *bytes = (uint64_t)fs.f_bavail * fs.f_frsize; /* what is left for users other than root */
    return RC_OK;
}
