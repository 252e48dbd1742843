/* folder.h - a temporary folder with a ring in it, for tests of keyring and seal. */
#ifndef PARLEY_TESTS_CRYPTO_FOLDER_H
#define PARLEY_TESTS_CRYPTO_FOLDER_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "crypto/prim.h"
#include "crypto/seal.h"

#define DAY INT64_C(86400000)
#define NOON (INT64_C(20000) * DAY + DAY / 2) /* a day in 2024 */

struct folder {
    char path[64], ring[96], master[96];
};

static inline void
folder_make(struct folder *f)
{
    snprintf(f->path, sizeof(f->path), "/tmp/parley-test-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    snprintf(f->ring, sizeof(f->ring), "%s/ring", f->path);
    snprintf(f->master, sizeof(f->master), "%s/master", f->path);
}

static inline void
folder_remove(struct folder *f)
{
    DIR *dir = opendir(f->path);
    char path[512];

    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        snprintf(path, sizeof(path), "%s/%s", f->path, entry->d_name);
        (void)unlink(path);
    }
    closedir(dir);
    assert_int_equal(rmdir(f->path), 0);
}

static inline enum rc
folder_try_open(struct keyring **ring, const struct folder *f)
{
    const struct keyring_opt opt = {
        .ring_path = f->ring, .master_path = f->master, .rng = rng_system()};

    return keyring_open(ring, &opt, NULL);
}

static inline struct keyring *
folder_open(const struct folder *f)
{
    struct keyring *ring;

    assert_int_equal(folder_try_open(&ring, f), RC_OK);
    return ring;
}

static inline uint32_t
folder_key(struct keyring *ring, uint64_t scope, enum seal_period period, int64_t unix_ms)
{
    uint32_t id;

    assert_int_equal(keyring_current(ring, &id, scope, period, unix_ms, NULL), RC_OK);
    return id;
}

static inline void
folder_read(struct buf *out, const char *path)
{
    buf_init(out, 1u << 20);
    assert_int_equal(file_read(out, path, 1u << 20, NULL), RC_OK);
}

static inline void
folder_write(const char *path, struct bytes in, mode_t mode)
{
    assert_int_equal(file_replace(path, in, mode, NULL), RC_OK);
}

static const struct seal_place folder_place = {
    .table = "message", .column = "body", .key = {(const uint8_t *)"k", 1},
            .version = 1
};

static inline void
seal_one(struct keyring *ring, uint32_t key_id, struct buf *out)
{
    buf_init(out, 4096);
    assert_int_equal(seal_record(ring, key_id, &folder_place, bytes_of_str("text"), out, NULL),
                     RC_OK);
}

static inline enum rc
open_one(struct keyring *ring, const struct buf *record)
{
    struct buf out;
    enum rc rc;

    buf_init(&out, 4096);
    rc = seal_open(ring, &folder_place, buf_bytes(record), &out, NULL);
    if (rc == RC_OK)
        assert_true(bytes_equal(buf_bytes(&out), bytes_of_str("text")));
    else
        assert_int_equal(out.len, 0);
    buf_free(&out);
    return rc;
}

static inline int
start_crypto(void **state)
{
    return crypto_start(NULL) == RC_OK ? 0 : -1;
}

#endif
