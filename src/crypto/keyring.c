/* keyring.c - the ring of keys in memory, and the promise that a key handed out is on disk.
 *
 * Two locks. `change` is held by whoever looks at or changes the file, flushes included; `reading`
 * guards the vault and is never held across I/O except while a replaced ring is read again, so that
 * sealing does not wait for another scope's first record of the day. */
#include "crypto/keyring.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <sodium.h>

#include "base/file.h"
#include "crypto/prim.h"
#include "crypto/ring_file.h"
#include "crypto/vault.h"

#define DAY_MS INT64_C(86400000)
#define UNIX_MS_MAX INT64_C(253402300799999) /* the end of the year 9999 */

struct keyring {
    struct rng rng;
    uint8_t *master; /* 32 bytes in locked memory */
    pthread_mutex_t change;
    pthread_rwlock_t reading;
    struct ring_file file; /* under change */
    struct vault vault;    /* written under change and reading, read under either */
};

/* Read or, at a first start, make the master key. */
static enum rc
read_master(struct keyring *ring, const char *path, struct err *err)
{
    struct buf in;
    struct stat st;
    enum rc rc;

    buf_init(&in, 64);
    if (stat(path, &st) == 0 && (st.st_mode & 077) != 0) {
        rc = err_set(err, RC_DENIED, "keyring.open",
                     "the master key %s is open to others: chmod 0400", path);
        goto out;
    }
    if ((rc = file_read(&in, path, 64, err)) != RC_OK)
        goto out;
    if (in.len != 32) {
        rc = err_set(err, RC_MALFORMED, "keyring.open", "the master key %s has %zu bytes, not 32",
                     path, in.len);
        goto out;
    }
    memcpy(ring->master, in.ptr, 32);
out:
    buf_wipe(&in);
    return rc;
}

static enum rc
make_master(struct keyring *ring, const char *path, struct err *err)
{
    uint8_t key[32];
    enum rc rc;

    rng_fill(ring->rng, key, sizeof(key));
    rc = file_replace(path, bytes_of(key, sizeof(key)), 0400, err);
    bytes_wipe(key, sizeof(key));
    return rc;
}

/* The first start makes the master key, then the ring; only a ring proves that there was one. */
static enum rc
open_files(struct keyring *ring, const struct keyring_opt *opt, struct err *err)
{
    struct stat st;
    bool has_ring = stat(opt->ring_path, &st) == 0;
    bool has_master = stat(opt->master_path, &st) == 0;
    enum rc rc;

    if (has_ring && !has_master)
        return err_set(err, RC_NOTFOUND, "keyring.open",
                       "the master key %s is missing and the key ring %s needs it: put it back",
                       opt->master_path, opt->ring_path);
    if (!has_master && (rc = make_master(ring, opt->master_path, err)) != RC_OK)
        return rc;
    if ((rc = read_master(ring, opt->master_path, err)) != RC_OK)
        return rc;
    if (!has_ring && (rc = ring_file_create(&ring->file, ring->master, ring->rng, err)) != RC_OK)
        return rc;
    return ring_file_load(&ring->file, &ring->vault, ring->master, err);
}

static enum rc
init_locks(struct keyring *ring, struct err *err)
{
    pthread_rwlockattr_t attr;

    pthread_rwlockattr_init(&attr);
    /* without this a stream of seals would keep a new key waiting for ever */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    int failed = pthread_rwlock_init(&ring->reading, &attr);
    pthread_rwlockattr_destroy(&attr);
    if (failed != 0 || pthread_mutex_init(&ring->change, NULL) != 0)
        return err_set(err, RC_NOMEM, "keyring.open", "no locks");
    return RC_OK;
}

enum rc
keyring_open(struct keyring **out, const struct keyring_opt *opt, struct err *err)
{
    struct keyring *ring = calloc(1, sizeof(*ring));
    enum rc rc;

    *out = NULL;
    if (ring == NULL)
        return err_set(err, RC_NOMEM, "keyring.open", "no memory");
    ring->rng = opt->rng;
    ring->file.fd = ring->file.lock_fd = -1;
    vault_init(&ring->vault);
    if ((rc = init_locks(ring, err)) != RC_OK)
        goto out;
    if ((ring->master = sodium_malloc(32)) == NULL) {
        rc = err_set(err, RC_NOMEM, "keyring.open", "no locked memory");
        goto out;
    }
    if ((rc = ring_file_init(&ring->file, opt->ring_path, err)) == RC_OK)
        rc = open_files(ring, opt, err);
    ring_file_unlock(&ring->file);
out:
    if (rc != RC_OK)
        keyring_free(&ring);
    *out = ring;
    return rc;
}

void
keyring_free(struct keyring **ring)
{
    struct keyring *r = *ring;

    if (r == NULL)
        return;
    vault_wipe(&r->vault);
    ring_file_wipe(&r->file);
    sodium_free(r->master);
    pthread_rwlock_destroy(&r->reading);
    pthread_mutex_destroy(&r->change);
    free(r);
    *ring = NULL;
}

struct rng
keyring_rng(const struct keyring *ring)
{
    return ring->rng;
}

size_t
keyring_torn_bytes(struct keyring *ring)
{
    pthread_mutex_lock(&ring->change);
    size_t torn = (size_t)ring->file.torn_bytes;
    pthread_mutex_unlock(&ring->change);
    return torn;
}

/* Both locks of a change: threads of this process, then other processes; then take in what those
 * did. Call end_change whatever this returns. */
static enum rc
begin_change(struct keyring *ring, struct err *err)
{
    struct vault fresh;
    enum rc rc;

    pthread_mutex_lock(&ring->change);
    if (ring->file.is_broken)
        return err_set(err, RC_IO, "keyring", "an earlier flush of the ring failed: restart");
    if ((rc = ring_file_lock(&ring->file, err)) != RC_OK || !ring_file_is_stale(&ring->file))
        return rc;
    if (!ring_file_is_replaced(&ring->file)) {
        pthread_rwlock_wrlock(&ring->reading);
        rc = ring_file_load_rest(&ring->file, &ring->vault, ring->master, err);
        pthread_rwlock_unlock(&ring->reading);
        return rc;
    }
    vault_init(&fresh);
    if ((rc = ring_file_load(&ring->file, &fresh, ring->master, err)) == RC_OK) {
        struct vault old = ring->vault;

        pthread_rwlock_wrlock(&ring->reading);
        ring->vault = fresh;
        pthread_rwlock_unlock(&ring->reading);
        fresh = old;
    }
    vault_wipe(&fresh);
    return rc;
}

static void
end_change(struct keyring *ring)
{
    ring_file_unlock(&ring->file);
    pthread_mutex_unlock(&ring->change);
}

/* A new random key, on disk first and then in the vault. In a change. */
static enum rc
add_key(struct keyring *ring, const struct key_use *use, const uint8_t wrap_key[32],
        struct err *err)
{
    uint8_t key[32];
    enum rc rc;

    pthread_rwlock_wrlock(&ring->reading);
    rc = vault_reserve(&ring->vault, err);
    pthread_rwlock_unlock(&ring->reading);
    if (rc != RC_OK)
        return rc;
    uint32_t id = ring->file.next_id;
    rng_fill(ring->rng, key, sizeof(key));
    rc = ring_file_append(&ring->file, use, key, wrap_key, ring->rng, err);
    if (rc == RC_OK) {
        pthread_rwlock_wrlock(&ring->reading);
        vault_add(&ring->vault, id, use, key);
        pthread_rwlock_unlock(&ring->reading);
    }
    bytes_wipe(key, sizeof(key));
    return rc;
}

/* The scope's own key, made when it does not exist. In a change; borrowed until the next one. */
static enum rc
need_scope(struct keyring *ring, const struct vault_entry **out, uint64_t scope, struct err *err)
{
    const struct key_use use = {.kind = KEY_SCOPE, .scope = scope};
    uint8_t wrap_key[32];
    enum rc rc = RC_OK;

    if (vault_find_use(&ring->vault, &use) == NULL) {
        ring_master_wrap_key(wrap_key, ring->master, ring->file.header.ring_id);
        rc = add_key(ring, &use, wrap_key, err);
        bytes_wipe(wrap_key, sizeof(wrap_key));
    }
    *out = vault_find_use(&ring->vault, &use);
    return rc;
}

static enum rc
make_period_key(struct keyring *ring, uint32_t *key_id, const struct key_use *use, struct err *err)
{
    const struct vault_entry *entry, *parent;
    uint8_t wrap_key[32];
    enum rc rc;

    if ((rc = begin_change(ring, err)) != RC_OK)
        goto out;
    if ((entry = vault_find_use(&ring->vault, use)) == NULL) { /* else another made it just now */
        if ((rc = need_scope(ring, &parent, use->scope, err)) != RC_OK)
            goto out;
        ring_scope_wrap_key(wrap_key, vault_key(&ring->vault, parent));
        rc = add_key(ring, use, wrap_key, err);
        bytes_wipe(wrap_key, sizeof(wrap_key));
        entry = vault_find_use(&ring->vault, use);
    }
    if (rc == RC_OK)
        *key_id = entry->id;
out:
    end_change(ring);
    return rc;
}

static int64_t
year_of(int64_t unix_ms)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm parts;

    gmtime_r(&seconds, &parts);
    return parts.tm_year + INT64_C(1900);
}

enum rc
keyring_current(struct keyring *ring, uint32_t *key_id, uint64_t scope, enum seal_period period,
                int64_t unix_ms, struct err *err)
{
    *key_id = 0;
    if (unix_ms < 0 || unix_ms > UNIX_MS_MAX)
        return err_set(err, RC_INVAL, "keyring.current", "a time before 1970 or after 9999");
    const struct key_use use = {
        .kind = period == SEAL_DAY ? KEY_DAY : KEY_YEAR,
        .scope = scope,
        .index = period == SEAL_DAY ? unix_ms / DAY_MS : year_of(unix_ms),
    };
    pthread_rwlock_rdlock(&ring->reading);
    const struct vault_entry *entry = vault_find_use(&ring->vault, &use);
    if (entry != NULL)
        *key_id = entry->id;
    pthread_rwlock_unlock(&ring->reading);
    return *key_id != 0 ? RC_OK : make_period_key(ring, key_id, &use, err);
}

/* Copy a key out of the vault; false if there is none for that use. */
static bool
copy_use(struct keyring *ring, uint8_t key[32], const struct key_use *use)
{
    pthread_rwlock_rdlock(&ring->reading);
    const struct vault_entry *entry = vault_find_use(&ring->vault, use);
    if (entry != NULL)
        memcpy(key, vault_key(&ring->vault, entry), 32);
    pthread_rwlock_unlock(&ring->reading);
    return entry != NULL;
}

static enum rc
make_scope_key(struct keyring *ring, uint8_t key[32], uint64_t scope, struct err *err)
{
    const struct vault_entry *entry;
    enum rc rc;

    if ((rc = begin_change(ring, err)) == RC_OK &&
        (rc = need_scope(ring, &entry, scope, err)) == RC_OK)
        memcpy(key, vault_key(&ring->vault, entry), 32);
    end_change(ring);
    return rc;
}

enum rc
keyring_hash_key(struct keyring *ring, uint8_t out[32], uint64_t scope, const char *label,
                 struct err *err)
{
    static const char domain[] = "PLY-ring-hash"; /* taken with its NUL: no label runs into it */
    const struct key_use use = {.kind = KEY_SCOPE, .scope = scope};
    uint8_t info[sizeof(domain) + KEYRING_LABEL_MAX], key[32];
    size_t label_len = strlen(label);
    enum rc rc = RC_OK;

    memset(out, 0, 32);
    if (label_len == 0 || label_len > KEYRING_LABEL_MAX)
        return err_set(err, RC_INVAL, "keyring.hash", "label of %zu bytes", label_len);
    if (!copy_use(ring, key, &use) && (rc = make_scope_key(ring, key, scope, err)) != RC_OK)
        return rc;
    memcpy(info, domain, sizeof(domain));
    memcpy(info + sizeof(domain), label, label_len);
    hkdf_sha256(out, 32, bytes_of(key, 32), bytes_of(NULL, 0),
                bytes_of(info, sizeof(domain) + label_len));
    bytes_wipe(key, sizeof(key));
    return RC_OK;
}

/* Copy a period key out of the vault; false if it is not there. */
static bool
copy_id(struct keyring *ring, uint8_t key[32], uint32_t key_id)
{
    pthread_rwlock_rdlock(&ring->reading);
    const struct vault_entry *entry = vault_find_id(&ring->vault, key_id);
    bool is_found = entry != NULL && entry->use.kind != KEY_SCOPE;
    if (is_found)
        memcpy(key, vault_key(&ring->vault, entry), 32);
    pthread_rwlock_unlock(&ring->reading);
    return is_found;
}

enum rc
keyring_key_copy(struct keyring *ring, uint8_t key[32], uint32_t key_id, struct err *err)
{
    enum rc rc;

    if (copy_id(ring, key, key_id))
        return RC_OK;
    rc = begin_change(ring, err); /* another process may have made it */
    end_change(ring);
    if (rc != RC_OK || copy_id(ring, key, key_id))
        return rc;
    return err_set(err, RC_NOTFOUND, "seal", "key %u was destroyed or never made", key_id);
}

/* Drop keys from the file, then from memory by reading the file again. */
static enum rc
destroy(struct keyring *ring, uint32_t *destroyed,
        bool (*must_go)(const struct key_use *use, const void *ctx), const void *ctx,
        struct err *err)
{
    enum rc rc;

    *destroyed = 0;
    if ((rc = begin_change(ring, err)) == RC_OK)
        rc = ring_file_drop(&ring->file, destroyed, ring->master, must_go, ctx, err);
    end_change(ring);
    if (rc != RC_OK || *destroyed == 0)
        return rc;
    rc = begin_change(ring, err);
    end_change(ring);
    return rc;
}

static bool
is_day_over(const struct key_use *use, const void *ctx)
{
    int64_t unix_ms = *(const int64_t *)ctx;

    return use->kind == KEY_DAY && use->index < unix_ms / DAY_MS;
}

enum rc
keyring_destroy_before(struct keyring *ring, uint32_t *destroyed, int64_t unix_ms, struct err *err)
{
    *destroyed = 0;
    if (unix_ms < 0 || unix_ms > UNIX_MS_MAX)
        return err_set(err, RC_INVAL, "keyring.destroy", "a time before 1970 or after 9999");
    return destroy(ring, destroyed, is_day_over, &unix_ms, err);
}

static bool
is_of_scope(const struct key_use *use, const void *ctx)
{
    return use->scope == *(const uint64_t *)ctx;
}

enum rc
keyring_destroy_scope(struct keyring *ring, uint64_t scope, struct err *err)
{
    uint32_t destroyed;

    return destroy(ring, &destroyed, is_of_scope, &scope, err);
}
