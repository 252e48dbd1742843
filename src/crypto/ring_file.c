/* ring_file.c - the key ring on disk.
 *
 * An append is one write of one record followed by a flush, and nobody appends before that flush
 * has returned; so a crash can leave at most the last record torn, and whoever made it never handed
 * its key out. Damage anywhere else is not ours to repair: it is refused. */
#include "crypto/ring_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "crypto/prim.h"

#define RING_FILE_MAX (RING_HEADER_SIZE + (size_t)VAULT_KEYS_MAX * RING_RECORD_SIZE)

enum rc
ring_file_lock(struct ring_file *file, struct err *err)
{
    while (flock(file->lock_fd, LOCK_EX) != 0)
        if (errno != EINTR)
            return err_errno(err, RC_IO, "keyring.lock", errno, file->path);
    return RC_OK;
}

void
ring_file_unlock(struct ring_file *file)
{
    if (file->lock_fd >= 0)
        (void)flock(file->lock_fd, LOCK_UN);
}

enum rc
ring_file_init(struct ring_file *file, const char *path, struct err *err)
{
    char lock_path[PATH_MAX];

    *file = (struct ring_file){.lock_fd = -1, .fd = -1, .path = strdup(path)};
    if (file->path == NULL)
        return err_set(err, RC_NOMEM, "keyring.open", "no memory");
    if ((size_t)snprintf(lock_path, sizeof(lock_path), "%s.lock", path) >= sizeof(lock_path))
        return err_set(err, RC_INVAL, "keyring.open", "path too long");
    file->lock_fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file->lock_fd < 0)
        return err_errno(err, RC_IO, "keyring.open", errno, lock_path);
    return ring_file_lock(file, err);
}

void
ring_file_wipe(struct ring_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    if (file->lock_fd >= 0)
        close(file->lock_fd);
    free(file->path);
    *file = (struct ring_file){.lock_fd = -1, .fd = -1};
}

bool
ring_file_is_replaced(const struct ring_file *file)
{
    struct stat st;

    return stat(file->path, &st) != 0 || st.st_dev != file->dev || st.st_ino != file->ino;
}

bool
ring_file_is_stale(const struct ring_file *file)
{
    struct stat st;

    return stat(file->path, &st) != 0 || st.st_dev != file->dev || st.st_ino != file->ino ||
           (uint64_t)st.st_size != file->size;
}

enum rc
ring_file_create(struct ring_file *file, const uint8_t master[32], struct rng rng, struct err *err)
{
    struct ring_header header = {.next_id = 1};
    struct buf out;

    buf_init(&out, RING_HEADER_SIZE);
    rng_fill(rng, header.ring_id, sizeof(header.ring_id));
    ring_header_put(&out, &header, master);
    enum rc rc = buf_failed(&out) ? err_set(err, RC_NOMEM, "keyring.create", "no memory")
                                  : file_replace(file->path, buf_bytes(&out), 0600, err);
    buf_free(&out);
    return rc;
}

static enum rc
flush(struct ring_file *file, struct err *err)
{
    if (fdatasync(file->fd) == 0)
        return RC_OK;
    file->is_broken = true; /* the kernel may have dropped the page: a second try proves nothing */
    return err_errno(err, RC_IO, "keyring.flush", errno, file->path);
}

/* Take back what was written from `at` on. */
static void
cut(struct ring_file *file, uint64_t at)
{
    if (ftruncate(file->fd, (off_t)at) != 0)
        file->is_broken = true;
}

/* One record into the vault. RC_AUTH and RC_MALFORMED: damaged. */
static enum rc
load_record(struct ring_file *file, struct vault *vault, struct bytes record,
            const uint8_t master[32], struct err *err)
{
    uint8_t wrap_key[32], key[32];
    const struct vault_entry *parent = NULL;
    struct key_use use;
    uint32_t id;
    enum rc rc;

    if (ring_record_peek(&id, &use, record) != RC_OK || id == UINT32_MAX ||
        (vault->count != 0 && id <= vault->entries[vault->count - 1].id) ||
        vault_find_use(vault, &use) != NULL)
        return RC_MALFORMED;
    if (use.kind != KEY_SCOPE) {
        parent = vault_find_use(vault, &(struct key_use){.kind = KEY_SCOPE, .scope = use.scope});
        if (parent == NULL)
            return RC_MALFORMED;
        ring_scope_wrap_key(wrap_key, vault_key(vault, parent));
    } else {
        ring_master_wrap_key(wrap_key, master, file->header.ring_id);
    }
    if ((rc = ring_record_open(key, record, file->header.ring_id, wrap_key)) != RC_OK)
        goto out;
    if ((rc = vault_reserve(vault, err)) != RC_OK)
        goto out;
    vault_add(vault, id, &use, key);
    if (id >= file->next_id)
        file->next_id = id + 1;
out:
    bytes_wipe(wrap_key, sizeof(wrap_key));
    bytes_wipe(key, sizeof(key));
    return rc;
}

/* Records from file->size on. Moves file->size past those that are good; cuts a torn one off. */
static enum rc
load_records(struct ring_file *file, struct vault *vault, struct bytes in, const uint8_t master[32],
             struct err *err)
{
    while (in.len >= RING_RECORD_SIZE) {
        enum rc rc = load_record(file, vault, bytes_of(in.ptr, RING_RECORD_SIZE), master, err);

        if ((rc == RC_AUTH || rc == RC_MALFORMED) && in.len == RING_RECORD_SIZE)
            break; /* torn: its place is on disk, its bytes are not */
        if (rc == RC_AUTH || rc == RC_MALFORMED)
            return err_set(err, RC_MALFORMED, "keyring.load",
                           "the key ring is damaged at byte %llu: restore it from a backup",
                           (unsigned long long)file->size);
        if (rc != RC_OK)
            return rc;
        file->size += RING_RECORD_SIZE;
        in = bytes_of(in.ptr + RING_RECORD_SIZE, in.len - RING_RECORD_SIZE);
    }
    if (in.len != 0 && ftruncate(file->fd, (off_t)file->size) != 0)
        return err_errno(err, RC_IO, "keyring.load", errno, "cannot cut the torn end");
    file->torn_bytes += in.len;
    /* Whoever appended may have been killed before its flush: the keys are used from now on. */
    return flush(file, err);
}

/* Everything in the open file from `from` to its end. */
static enum rc
read_from(struct ring_file *file, struct buf *out, uint64_t from, struct err *err)
{
    struct stat st;
    size_t done = 0;

    if (fstat(file->fd, &st) != 0)
        return err_errno(err, RC_IO, "keyring.load", errno, file->path);
    if ((uint64_t)st.st_size < from || (uint64_t)st.st_size > RING_FILE_MAX)
        return err_set(err, RC_MALFORMED, "keyring.load", "the key ring has %lld bytes",
                       (long long)st.st_size);
    size_t size = (size_t)((uint64_t)st.st_size - from);
    uint8_t *room = buf_extend(out, size);
    if (room == NULL)
        return err_set(err, RC_NOMEM, "keyring.load", "no room for the key ring");
    while (done < size) {
        ssize_t n = pread(file->fd, room + done, size - done, (off_t)(from + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_errno(err, RC_IO, "keyring.load", n < 0 ? errno : EIO, file->path);
        done += (size_t)n;
    }
    return RC_OK;
}

static enum rc
open_again(struct ring_file *file, struct err *err)
{
    int fd = open(file->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;

    if (fd < 0)
        return err_errno(err, errno == ENOENT ? RC_NOTFOUND : RC_IO, "keyring.load", errno,
                         file->path);
    if (fstat(fd, &st) != 0) {
        close(fd);
        return err_errno(err, RC_IO, "keyring.load", errno, file->path);
    }
    if (file->fd >= 0)
        close(file->fd);
    file->fd = fd;
    file->dev = st.st_dev;
    file->ino = st.st_ino;
    return RC_OK;
}

enum rc
ring_file_load(struct ring_file *file, struct vault *vault, const uint8_t master[32],
               struct err *err)
{
    struct buf in;
    enum rc rc;

    buf_init(&in, RING_FILE_MAX);
    if ((rc = open_again(file, err)) != RC_OK || (rc = read_from(file, &in, 0, err)) != RC_OK)
        goto out;
    size_t head = in.len < RING_HEADER_SIZE ? in.len : RING_HEADER_SIZE;
    if ((rc = ring_header_read(&file->header, bytes_of(in.ptr, head), master, err)) != RC_OK)
        goto out;
    file->size = RING_HEADER_SIZE;
    file->next_id = file->header.next_id;
    rc = load_records(file, vault, bytes_of(in.ptr + head, in.len - head), master, err);
out:
    if (rc != RC_OK)
        file->ino = 0; /* what we hold is not what is there: stale until a load succeeds */
    buf_free(&in);
    return rc;
}

enum rc
ring_file_load_rest(struct ring_file *file, struct vault *vault, const uint8_t master[32],
                    struct err *err)
{
    struct buf in;
    enum rc rc;

    buf_init(&in, RING_FILE_MAX);
    if ((rc = read_from(file, &in, file->size, err)) == RC_OK)
        rc = load_records(file, vault, buf_bytes(&in), master, err);
    buf_free(&in);
    return rc;
}

/* All of `in` at `at`; a partial write is taken back. */
static enum rc
write_at(struct ring_file *file, struct bytes in, uint64_t at, struct err *err)
{
    size_t done = 0;

    while (done < in.len) {
        ssize_t n = pwrite(file->fd, in.ptr + done, in.len - done, (off_t)(at + done));
        int why = errno;

        if (n < 0 && why == EINTR)
            continue;
        if (n <= 0) {
            cut(file, at);
            return err_errno(err, why == ENOSPC || why == EDQUOT ? RC_FULL : RC_IO,
                             "keyring.append", why, file->path);
        }
        done += (size_t)n;
    }
    return RC_OK;
}

enum rc
ring_file_append(struct ring_file *file, const struct key_use *use, const uint8_t key[32],
                 const uint8_t wrap_key[32], struct rng rng, struct err *err)
{
    struct buf record;
    enum rc rc;

    if (file->next_id == UINT32_MAX)
        return err_set(err, RC_LIMIT, "keyring.append", "no key ids left");
    buf_init(&record, RING_RECORD_SIZE);
    ring_record_put(&record, file->header.ring_id, file->next_id, use, key, wrap_key, rng);
    if (buf_failed(&record))
        rc = err_set(err, RC_NOMEM, "keyring.append", "no memory");
    else
        rc = write_at(file, buf_bytes(&record), file->size, err);
    if (rc == RC_OK && (rc = flush(file, err)) != RC_OK)
        cut(file, file->size);
    if (rc == RC_OK) {
        file->size += RING_RECORD_SIZE;
        file->next_id++;
    }
    buf_free(&record);
    return rc;
}

/* The file's next content: header and the records that stay. */
static enum rc
keep_rest(struct ring_file *file, struct buf *out, uint32_t *dropped, const uint8_t master[32],
          bool (*must_go)(const struct key_use *use, const void *ctx), const void *ctx,
          struct err *err)
{
    struct ring_header fresh = file->header;
    struct buf in;
    enum rc rc;

    fresh.next_id = file->next_id; /* ids are never given twice, whatever is dropped */
    ring_header_put(out, &fresh, master);
    buf_init(&in, RING_FILE_MAX);
    rc = read_from(file, &in, RING_HEADER_SIZE, err);
    for (size_t at = 0; rc == RC_OK && at + RING_RECORD_SIZE <= in.len; at += RING_RECORD_SIZE) {
        struct bytes record = bytes_of(in.ptr + at, RING_RECORD_SIZE);
        struct key_use use;
        uint32_t id;

        if (ring_record_peek(&id, &use, record) != RC_OK)
            rc = err_set(err, RC_MALFORMED, "keyring.drop", "the key ring is damaged");
        else if (must_go(&use, ctx))
            ++*dropped;
        else
            buf_put(out, record);
    }
    if (rc == RC_OK && buf_failed(out))
        rc = err_set(err, RC_NOMEM, "keyring.drop", "no room for the key ring");
    buf_free(&in);
    return rc;
}

/* Clear the bytes of the file that is open. Best effort: the wrapped keys in them are only as good
 * as the master key, and some disks keep old blocks anyway. */
static void
overwrite_old(struct ring_file *file)
{
    static const uint8_t zeros[4096];
    uint64_t at = 0;

    while (at < file->size) {
        size_t n = file->size - at < sizeof(zeros) ? (size_t)(file->size - at) : sizeof(zeros);
        ssize_t got = pwrite(file->fd, zeros, n, (off_t)at);

        if (got <= 0)
            return;
        at += (uint64_t)got;
    }
    (void)fdatasync(file->fd);
}

enum rc
ring_file_drop(struct ring_file *file, uint32_t *dropped, const uint8_t master[32],
               bool (*must_go)(const struct key_use *use, const void *ctx), const void *ctx,
               struct err *err)
{
    struct buf out;
    enum rc rc;

    *dropped = 0;
    buf_init(&out, RING_FILE_MAX);
    rc = keep_rest(file, &out, dropped, master, must_go, ctx, err);
    if (rc == RC_OK && *dropped != 0)
        rc = file_replace(file->path, buf_bytes(&out), 0600, err);
    if (rc == RC_OK && *dropped != 0)
        overwrite_old(file);
    if (rc != RC_OK)
        *dropped = 0;
    buf_free(&out);
    return rc;
}
