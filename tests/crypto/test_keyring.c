/* Tests of crypto/keyring (and vault behind it): what survives restarts, what does not survive
 * destruction, other threads and processes. The file itself: test_ring_file.c. */
#include "folder.h"

#include <pthread.h>
#include <sys/stat.h>

#include "crypto/ring.h"

/* ---- opening ---- */

static void
test_keyring_first_start_and_restart(void **state)
{
    struct keyring *ring;
    struct folder f;
    struct buf record;
    struct stat st;

    folder_make(&f);
    ring = folder_open(&f);
    assert_int_equal(stat(f.master, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0400);
    assert_int_equal(st.st_size, 32);
    assert_int_equal(stat(f.ring, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    uint32_t id = folder_key(ring, 7, SEAL_DAY, NOON);
    seal_one(ring, id, &record);
    keyring_free(&ring);
    assert_null(ring);
    keyring_free(&ring); /* NULL inside is fine */
    ring = folder_open(&f);
    assert_int_equal(keyring_torn_bytes(ring), 0);
    assert_int_equal(open_one(ring, &record), RC_OK);
    assert_int_equal(folder_key(ring, 7, SEAL_DAY, NOON), id);
    keyring_free(&ring);
    buf_free(&record);
    folder_remove(&f);
}

static void
test_keyring_master_key_missing_or_wrong(void **state)
{
    static const uint8_t wrong[33] = {1};
    const struct {
        size_t len;
        mode_t mode;
        enum rc want;
    } cases[] = {
        {32, 0400, RC_AUTH     }, /* not the ring's */
        {31, 0400, RC_MALFORMED},
        {33, 0400, RC_MALFORMED},
        {0,  0400, RC_MALFORMED},
        {32, 0440, RC_DENIED   }, /* readable to others */
    };
    struct keyring *ring;
    struct folder f;
    struct stat st;

    folder_make(&f);
    ring = folder_open(&f);
    keyring_free(&ring);
    assert_int_equal(unlink(f.master), 0);
    assert_int_equal(folder_try_open(&ring, &f), RC_NOTFOUND);
    assert_null(ring);
    assert_int_not_equal(stat(f.master, &st), 0); /* and none was made */
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        folder_write(f.master, bytes_of(wrong, cases[i].len), cases[i].mode);
        assert_int_equal(folder_try_open(&ring, &f), cases[i].want);
        assert_null(ring);
    }
    folder_remove(&f);
}

/* A crash between making the master key and the ring leaves a master key alone: it is used. */
static void
test_keyring_master_key_alone(void **state)
{
    static const uint8_t master[32] = {5};
    struct keyring *ring;
    struct folder f;
    struct buf after;

    folder_make(&f);
    folder_write(f.master, bytes_of(master, 32), 0400);
    ring = folder_open(&f);
    keyring_free(&ring);
    folder_read(&after, f.master);
    assert_true(bytes_equal(buf_bytes(&after), bytes_of(master, 32)));
    buf_free(&after);
    folder_remove(&f);
}

/* ---- which key ---- */

static const struct {
    uint64_t scope;
    enum seal_period period;
    int64_t unix_ms;
    unsigned group; /* equal groups share a key */
} uses[] = {
    {7, SEAL_DAY,  20000 * DAY,            1 },
    {7, SEAL_DAY,  20000 * DAY + DAY - 1,  1 },
    {7, SEAL_DAY,  20001 * DAY,            2 },
    {7, SEAL_DAY,  19999 * DAY + DAY - 1,  3 },
    {8, SEAL_DAY,  20000 * DAY,            4 },
    {7, SEAL_YEAR, INT64_C(1704067199999), 5 }, /* the last millisecond of 2023 */
    {7, SEAL_YEAR, INT64_C(1704067200000), 6 },
    {7, SEAL_YEAR, INT64_C(1735689599999), 6 }, /* the last of 2024 */
    {7, SEAL_YEAR, INT64_C(1735689600000), 7 },
    {8, SEAL_YEAR, INT64_C(1704067200000), 8 },
    {7, SEAL_DAY,  0,                      9 },
    {0, SEAL_DAY,  0,                      10},
};

static void
test_keyring_key_for_scope_and_period(void **state)
{
    uint32_t ids[ARRAY_LEN(uses)], id;
    struct keyring *ring;
    struct folder f;

    folder_make(&f);
    for (int round = 0; round < 2; round++) { /* the second one after a restart */
        ring = folder_open(&f);
        for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
            id = folder_key(ring, uses[i].scope, uses[i].period, uses[i].unix_ms);
            assert_true(round == 0 || ids[i] == id);
            ids[i] = id;
            for (size_t k = 0; k < i; k++)
                assert_int_equal(ids[k] == ids[i], uses[k].group == uses[i].group);
        }
        keyring_free(&ring);
    }
    ring = folder_open(&f);
    assert_int_equal(keyring_current(ring, &id, 7, SEAL_DAY, -1, NULL), RC_INVAL);
    assert_int_equal(keyring_current(ring, &id, 7, SEAL_YEAR, INT64_MAX, NULL), RC_INVAL);
    assert_int_equal(id, 0);
    keyring_free(&ring);
    folder_remove(&f);
}

static void
test_keyring_many_keys(void **state)
{
    struct keyring *ring;
    struct folder f;
    uint32_t first;

    folder_make(&f);
    ring = folder_open(&f);
    first = folder_key(ring, 0, SEAL_DAY, NOON);
    for (uint64_t scope = 1; scope < 300; scope++) /* some slabs, some growths of the table */
        (void)folder_key(ring, scope, SEAL_DAY, NOON);
    for (uint64_t scope = 0; scope < 300; scope++)
        assert_int_equal(folder_key(ring, scope, SEAL_DAY, NOON), first + 2 * scope);
    keyring_free(&ring);
    ring = folder_open(&f);
    for (uint64_t scope = 0; scope < 300; scope++)
        assert_int_equal(folder_key(ring, scope, SEAL_DAY, NOON), first + 2 * scope);
    keyring_free(&ring);
    folder_remove(&f);
}

static void
test_keyring_hash_keys(void **state)
{
    uint8_t a[32], b[32];
    struct keyring *ring;
    struct folder f;
    char label[KEYRING_LABEL_MAX + 2];

    folder_make(&f);
    ring = folder_open(&f);
    assert_int_equal(keyring_hash_key(ring, a, 7, "peer", NULL), RC_OK);
    assert_int_equal(keyring_hash_key(ring, b, 7, "peers", NULL), RC_OK);
    assert_memory_not_equal(a, b, 32);
    assert_int_equal(keyring_hash_key(ring, b, 8, "peer", NULL), RC_OK);
    assert_memory_not_equal(a, b, 32);
    keyring_free(&ring);
    ring = folder_open(&f);
    assert_int_equal(keyring_hash_key(ring, b, 7, "peer", NULL), RC_OK);
    assert_memory_equal(a, b, 32);
    memset(label, 'x', sizeof(label) - 1);
    label[sizeof(label) - 1] = 0;
    assert_int_equal(keyring_hash_key(ring, b, 7, label, NULL), RC_INVAL);
    assert_int_equal(keyring_hash_key(ring, b, 7, "", NULL), RC_INVAL);
    keyring_free(&ring);
    folder_remove(&f);
}

/* ---- destroying ---- */

static void
test_keyring_destroys_past_days(void **state)
{
    struct buf records[4], before, after;
    struct keyring *ring;
    struct folder f;
    uint32_t ids[4], destroyed;

    folder_make(&f);
    ring = folder_open(&f);
    for (uint32_t i = 0; i < 3; i++)
        ids[i] = folder_key(ring, 7, SEAL_DAY, NOON + (int64_t)i * DAY);
    ids[3] = folder_key(ring, 7, SEAL_YEAR, NOON);
    for (uint32_t i = 0; i < 4; i++)
        seal_one(ring, ids[i], &records[i]);
    folder_read(&before, f.ring);
    /* up to the last millisecond of the second day only the first is over */
    assert_int_equal(keyring_destroy_before(ring, &destroyed, 20001 * DAY - 1, NULL), RC_OK);
    assert_int_equal(destroyed, 0);
    assert_int_equal(keyring_destroy_before(ring, &destroyed, 20002 * DAY - 1, NULL), RC_OK);
    assert_int_equal(destroyed, 1);
    assert_int_equal(keyring_destroy_before(ring, &destroyed, 20002 * DAY, NULL), RC_OK);
    assert_int_equal(destroyed, 1);
    for (int round = 0; round < 2; round++) { /* the second one after a restart */
        for (uint32_t i = 0; i < 4; i++)
            assert_int_equal(open_one(ring, &records[i]), i < 2 ? RC_NOTFOUND : RC_OK);
        keyring_free(&ring);
        ring = folder_open(&f);
    }
    folder_read(&after, f.ring);
    assert_int_equal(before.len - after.len, 2 * RING_RECORD_SIZE);
    /* an id is never given again, not even that of the newest key */
    assert_int_equal(keyring_destroy_before(ring, &destroyed, 30000 * DAY, NULL), RC_OK);
    keyring_free(&ring);
    ring = folder_open(&f);
    assert_true(folder_key(ring, 7, SEAL_DAY, NOON) > ids[3]);
    assert_int_equal(open_one(ring, &records[0]), RC_NOTFOUND);
    assert_int_equal(keyring_destroy_before(ring, &destroyed, -1, NULL), RC_INVAL);
    keyring_free(&ring);
    for (uint32_t i = 0; i < 4; i++)
        buf_free(&records[i]);
    buf_free(&after);
    buf_free(&before);
    folder_remove(&f);
}

static void
test_keyring_destroys_a_scope(void **state)
{
    struct buf gone, stays;
    uint8_t hash_before[32], hash_after[32];
    struct keyring *ring;
    struct folder f;

    folder_make(&f);
    ring = folder_open(&f);
    seal_one(ring, folder_key(ring, 7, SEAL_YEAR, NOON), &gone);
    seal_one(ring, folder_key(ring, 8, SEAL_YEAR, NOON), &stays);
    assert_int_equal(keyring_hash_key(ring, hash_before, 7, "peer", NULL), RC_OK);
    assert_int_equal(keyring_destroy_scope(ring, 7, NULL), RC_OK);
    assert_int_equal(keyring_destroy_scope(ring, 7, NULL), RC_OK); /* once more does no harm */
    assert_int_equal(open_one(ring, &gone), RC_NOTFOUND);
    assert_int_equal(open_one(ring, &stays), RC_OK);
    assert_int_equal(keyring_hash_key(ring, hash_after, 7, "peer", NULL), RC_OK);
    assert_memory_not_equal(hash_before, hash_after, 32);
    keyring_free(&ring);
    buf_free(&gone);
    buf_free(&stays);
    folder_remove(&f);
}

/* ---- others at the same ring ---- */

/* Two rings on one file stand for two processes: nothing is shared but the file. */
static void
test_keyring_shared_file(void **state)
{
    struct buf by_a, by_b;
    struct keyring *a, *b;
    struct folder f;
    uint32_t destroyed;

    folder_make(&f);
    a = folder_open(&f);
    b = folder_open(&f);
    uint32_t id = folder_key(a, 7, SEAL_DAY, NOON);
    seal_one(a, id, &by_a);
    assert_int_equal(open_one(b, &by_a), RC_OK); /* made after b opened */
    assert_int_equal(folder_key(b, 7, SEAL_DAY, NOON), id);
    for (int64_t day = 1; day < 6; day++) /* in turn: every id once */
        assert_int_equal(folder_key(day % 2 ? a : b, 7, SEAL_DAY, NOON + day * DAY), id + day);
    seal_one(b, id + 5, &by_b);
    assert_int_equal(keyring_destroy_before(b, &destroyed, 20003 * DAY, NULL), RC_OK);
    assert_int_equal(destroyed, 3);
    assert_int_equal(open_one(b, &by_a), RC_NOTFOUND);
    assert_int_equal(open_one(a, &by_b), RC_OK);
    assert_int_equal(folder_key(a, 7, SEAL_DAY, NOON + 6 * DAY), id + 6);
    assert_int_equal(open_one(a, &by_a), RC_NOTFOUND); /* a looked at the file: it is gone here */
    keyring_free(&a);
    keyring_free(&b);
    buf_free(&by_a);
    buf_free(&by_b);
    folder_remove(&f);
}

struct crew {
    struct keyring *ring;
    uint64_t scope;
    bool has_failed;
};

/* Makes keys, seals and opens; every record must open while its day lasts. */
static void *
work(void *arg)
{
    struct crew *crew = arg;

    for (int64_t i = 0; i < 150 && !crew->has_failed; i++) {
        uint8_t room[256];
        struct buf record = {.max = sizeof(room)}, plain = {.max = sizeof(room)};
        uint32_t id;

        crew->has_failed =
            keyring_current(crew->ring, &id, crew->scope, SEAL_DAY, NOON + i / 30 * DAY, NULL) !=
                RC_OK ||
            seal_record(crew->ring, id, &folder_place, bytes_of_str("text"), &record, NULL) !=
                RC_OK ||
            seal_open(crew->ring, &folder_place, buf_bytes(&record), &plain, NULL) != RC_OK;
        buf_free(&record);
        buf_free(&plain);
    }
    return NULL;
}

static void
test_keyring_threads(void **state)
{
    pthread_t threads[4];
    struct crew crews[4];
    struct keyring *ring, *beside;
    struct folder f;
    uint32_t destroyed;

    folder_make(&f);
    ring = folder_open(&f);
    beside = folder_open(&f);
    for (uint64_t i = 0; i < ARRAY_LEN(crews); i++) {
        crews[i] = (struct crew){.ring = ring, .scope = i / 2}; /* two a scope */
        assert_int_equal(pthread_create(&threads[i], NULL, work, &crews[i]), 0);
    }
    for (uint32_t i = 0; i < 20; i++) { /* another process: rewrites what they use */
        (void)folder_key(beside, 99, SEAL_DAY, (int64_t)i * DAY);
        assert_int_equal(keyring_destroy_before(beside, &destroyed, NOON - DAY, NULL), RC_OK);
        assert_int_equal(destroyed, 1);
    }
    for (size_t i = 0; i < ARRAY_LEN(crews); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_false(crews[i].has_failed);
    }
    keyring_free(&ring);
    keyring_free(&beside);
    folder_remove(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keyring_first_start_and_restart),
        cmocka_unit_test(test_keyring_master_key_missing_or_wrong),
        cmocka_unit_test(test_keyring_master_key_alone),
        cmocka_unit_test(test_keyring_key_for_scope_and_period),
        cmocka_unit_test(test_keyring_many_keys),
        cmocka_unit_test(test_keyring_hash_keys),
        cmocka_unit_test(test_keyring_destroys_past_days),
        cmocka_unit_test(test_keyring_destroys_a_scope),
        cmocka_unit_test(test_keyring_shared_file),
        cmocka_unit_test(test_keyring_threads),
    };

    return cmocka_run_group_tests_name("crypto/keyring", tests, start_crypto, NULL);
}
