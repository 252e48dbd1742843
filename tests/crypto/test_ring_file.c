/* Tests of crypto/ring_file (and ring): torn ends, damage, failing disks. */
#include "folder.h"

#include <errno.h>
#include <sys/stat.h>

#include "crypto/ring.h"

/* ---- a disk that fails when told; armed by one test at a time ---- */

static int flushes_to_fail;
static int writes_to_fail; /* each writes half and then reports a full disk */

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
ssize_t __real_pwrite(int fd, const void *ptr, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *ptr, size_t len, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *ptr, size_t len, off_t at);

int
__wrap_fdatasync(int fd)
{
    if (flushes_to_fail == 0)
        return __real_fdatasync(fd);
    flushes_to_fail--;
    errno = EIO;
    return -1;
}

ssize_t
__wrap_pwrite(int fd, const void *ptr, size_t len, off_t at)
{
    if (writes_to_fail == 0)
        return __real_pwrite(fd, ptr, len, at);
    if (writes_to_fail-- == 2)
        return __real_pwrite(fd, ptr, len / 2, at);
    errno = ENOSPC;
    return -1;
}

ssize_t
__wrap_pwrite64(int fd, const void *ptr, size_t len, off_t at)
{
    return __wrap_pwrite(fd, ptr, len, at);
}

/* ---- torn ends and damage ---- */

/* A ring of three records: scope, day, next day. */
static void
make_three(struct folder *f, struct buf *bytes, struct buf *record, uint32_t *last_id)
{
    struct keyring *ring;

    folder_make(f);
    ring = folder_open(f);
    seal_one(ring, folder_key(ring, 7, SEAL_DAY, NOON), record);
    *last_id = folder_key(ring, 7, SEAL_DAY, NOON + DAY);
    keyring_free(&ring);
    folder_read(bytes, f->ring);
    assert_int_equal(bytes->len, RING_HEADER_SIZE + 3 * RING_RECORD_SIZE);
}

/* The last record written in part, or its place on disk but not its bytes. */
static void
test_keyring_torn_end_is_cut_off(void **state)
{
    struct buf bytes, record;
    struct folder f;
    uint32_t last_id;

    make_three(&f, &bytes, &record, &last_id);
    size_t whole = bytes.len - RING_RECORD_SIZE;
    for (size_t kept = 1; kept < 2 * RING_RECORD_SIZE; kept += 5) {
        bool is_short = kept < RING_RECORD_SIZE;
        size_t real = is_short ? kept : kept - RING_RECORD_SIZE;
        size_t torn = is_short ? kept : RING_RECORD_SIZE;
        struct keyring *ring;
        struct buf file;

        buf_init(&file, 4096);
        buf_put(&file, bytes_of(bytes.ptr, whole + real));
        memset(buf_extend(&file, torn - real), 0, torn - real);
        folder_write(f.ring, buf_bytes(&file), 0600);
        for (int round = 0; round < 2; round++) {
            ring = folder_open(&f);
            assert_int_equal(keyring_torn_bytes(ring), round == 0 ? torn : 0);
            assert_int_equal(open_one(ring, &record), RC_OK);
            /* a key that was never handed out: its id may be given now */
            assert_int_equal(folder_key(ring, 7, SEAL_DAY, NOON + DAY), last_id);
            keyring_free(&ring);
        }
        buf_free(&file);
    }
    buf_free(&bytes);
    buf_free(&record);
    folder_remove(&f);
}

static void
test_keyring_damage_elsewhere_is_refused(void **state)
{
    struct buf bytes, record;
    struct keyring *ring;
    struct folder f;
    uint32_t last_id;

    make_three(&f, &bytes, &record, &last_id);
    for (size_t at = 0; at < bytes.len - RING_RECORD_SIZE; at++) {
        bytes.ptr[at] ^= 0x40;
        folder_write(f.ring, buf_bytes(&bytes), 0600);
        enum rc rc = folder_try_open(&ring, &f);
        if (rc != RC_MALFORMED && rc != RC_AUTH)
            fail_msg("byte %zu: %s", at, rc_name(rc));
        bytes.ptr[at] ^= 0x40;
    }
    for (size_t len = 0; len < RING_HEADER_SIZE; len += 7) { /* no part of a header is a ring */
        folder_write(f.ring, bytes_of(bytes.ptr, len), 0600);
        assert_int_equal(folder_try_open(&ring, &f), RC_MALFORMED);
    }
    buf_free(&bytes);
    buf_free(&record);
    folder_remove(&f);
}

static void
test_keyring_records_out_of_order_or_repeated(void **state)
{
    static const uint8_t orders[][4] = {
        {1, 0, 2, 2}, /* a period before its scope */
        {0, 2, 1, 1}, /* ids fall */
        {0, 1, 1, 2}, /* twice */
        {1, 2, 1, 2}, /* no scope at all */
    };
    struct buf bytes, record;
    struct keyring *ring;
    struct folder f;
    uint32_t last_id;

    make_three(&f, &bytes, &record, &last_id);
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        struct buf file;

        buf_init(&file, 4096);
        buf_put(&file, bytes_of(bytes.ptr, RING_HEADER_SIZE));
        for (size_t k = 0; k < 4; k++)
            buf_put(&file, bytes_of(bytes.ptr + RING_HEADER_SIZE + orders[i][k] * RING_RECORD_SIZE,
                                    RING_RECORD_SIZE));
        folder_write(f.ring, buf_bytes(&file), 0600);
        assert_int_equal(folder_try_open(&ring, &f), RC_MALFORMED);
        buf_free(&file);
    }
    buf_free(&bytes);
    buf_free(&record);
    folder_remove(&f);
}

/* The same master key, another ring: its records do not fit. */
static void
test_keyring_records_of_another_ring(void **state)
{
    struct buf bytes, other, record, file;
    struct keyring *ring;
    struct folder f;
    uint32_t last_id;

    make_three(&f, &bytes, &record, &last_id);
    assert_int_equal(unlink(f.ring), 0);
    ring = folder_open(&f);
    (void)folder_key(ring, 7, SEAL_DAY, NOON);
    keyring_free(&ring);
    folder_read(&other, f.ring);
    buf_init(&file, 4096);
    buf_put(&file, bytes_of(other.ptr, RING_HEADER_SIZE));
    buf_put(&file, bytes_of(bytes.ptr + RING_HEADER_SIZE, bytes.len - RING_HEADER_SIZE));
    folder_write(f.ring, buf_bytes(&file), 0600);
    assert_int_equal(folder_try_open(&ring, &f), RC_MALFORMED);
    buf_free(&file);
    buf_free(&other);
    buf_free(&bytes);
    buf_free(&record);
    folder_remove(&f);
}

/* ---- failing disks ---- */

static void
test_keyring_full_disk_then_room_again(void **state)
{
    struct keyring *ring;
    struct folder f;
    struct stat before, after;
    uint32_t id;

    folder_make(&f);
    ring = folder_open(&f);
    uint32_t first = folder_key(ring, 7, SEAL_DAY, NOON);
    assert_int_equal(stat(f.ring, &before), 0);
    for (int kind = 1; kind <= 2; kind++) { /* at once, or after half a record */
        writes_to_fail = kind;
        assert_int_equal(keyring_current(ring, &id, 7, SEAL_DAY, NOON + DAY, NULL), RC_FULL);
        assert_int_equal(id, 0);
        assert_int_equal(writes_to_fail, 0);
        assert_int_equal(stat(f.ring, &after), 0);
        assert_int_equal(after.st_size, before.st_size);
    }
    assert_int_equal(folder_key(ring, 7, SEAL_DAY, NOON + DAY), first + 1);
    assert_int_equal(folder_key(ring, 7, SEAL_DAY, NOON), first);
    keyring_free(&ring);
    folder_remove(&f);
}

static void
test_keyring_failed_flush_hands_nothing_out(void **state)
{
    struct keyring *ring;
    struct folder f;
    struct buf record;
    uint32_t id;

    folder_make(&f);
    ring = folder_open(&f);
    seal_one(ring, folder_key(ring, 7, SEAL_DAY, NOON), &record);
    flushes_to_fail = 1;
    assert_int_equal(keyring_current(ring, &id, 7, SEAL_DAY, NOON + DAY, NULL), RC_IO);
    assert_int_equal(id, 0);
    /* the disk says yes again, but what it holds is unknown: nothing new until a restart */
    assert_int_equal(keyring_current(ring, &id, 7, SEAL_DAY, NOON + DAY, NULL), RC_IO);
    assert_int_equal(open_one(ring, &record), RC_OK); /* reading goes on */
    keyring_free(&ring);
    ring = folder_open(&f);
    assert_int_equal(open_one(ring, &record), RC_OK);
    (void)folder_key(ring, 7, SEAL_DAY, NOON + DAY);
    keyring_free(&ring);
    buf_free(&record);
    folder_remove(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keyring_torn_end_is_cut_off),
        cmocka_unit_test(test_keyring_damage_elsewhere_is_refused),
        cmocka_unit_test(test_keyring_records_out_of_order_or_repeated),
        cmocka_unit_test(test_keyring_records_of_another_ring),
        cmocka_unit_test(test_keyring_full_disk_then_room_again),
        cmocka_unit_test(test_keyring_failed_flush_hands_nothing_out),
    };

    return cmocka_run_group_tests_name("crypto/ring_file", tests, start_crypto, NULL);
}
