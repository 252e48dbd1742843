/* The SQLite back end by itself: settings in force, the log kept short, content gone when deleted,
 * a file that is not a database, another process that does not let go. */
#include "harness.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAKE, PUT, DROP, SETTING_FIRST };
static const char *const sql[] = {
    [MAKE] = "CREATE TABLE item (shard BIGINT, id BIGINT, body BLOB, PRIMARY KEY (shard, id))",
    [PUT] = "INSERT INTO item (shard, id, body) VALUES (1, ?1, ?2)",
    [DROP] = "DELETE FROM item WHERE shard = 1",
    "PRAGMA journal_mode",
    "PRAGMA synchronous",
    "PRAGMA secure_delete",
    "PRAGMA cache_size",
};

static const struct setting {
    size_t stmt;
    const char *want;
} settings[] = {
    {SETTING_FIRST,     "wal"  },
    {SETTING_FIRST + 1, "2"    }, /* FULL */
    {SETTING_FIRST + 2, "1"    },
    {SETTING_FIRST + 3, "-2048"},
};

static void *
connect_to(const char *path, bool is_reader)
{
    struct backend_opt opt = {
        .path = path, .sql = sql, .n_sql = ARRAY_LEN(sql), .is_reader = is_reader};
    void *conn;

    assert_int_equal(backend_sqlite.open(&conn, &opt, NULL), RC_OK);
    return conn;
}

static void
run(void *conn, size_t stmt, const struct store_arg *args, size_t n_args)
{
    assert_int_equal(backend_sqlite.run(conn, stmt, args, n_args, NULL, NULL), RC_OK);
}

static void
put_many(void *conn, int64_t first, int64_t n, struct bytes body)
{
    for (int64_t id = first; id < first + n; id++) {
        assert_int_equal(backend_sqlite.begin(conn, true, NULL), RC_OK);
        run(conn, PUT, ST_ARGS(ST_I(id), ST_B(body)));
        assert_int_equal(backend_sqlite.commit(conn, NULL), RC_OK);
        assert_int_equal(backend_sqlite.tidy(conn, false, NULL), RC_OK);
    }
}

static off_t
log_bytes(const struct scratch *scratch)
{
    char path[256];
    struct stat st;

    snprintf(path, sizeof(path), "%s-wal", scratch->path);
    return stat(path, &st) == 0 ? st.st_size : 0;
}

static void
test_settings_are_in_force(void **state)
{
    struct scratch scratch;

    scratch_init(&scratch);
    for (int is_reader = 0; is_reader < 2; is_reader++) {
        void *conn = connect_to(scratch.path, is_reader);

        for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
            bool has_row;

            assert_int_equal(backend_sqlite.query(conn, settings[i].stmt, ST_NONE, &has_row, NULL),
                             RC_OK);
            assert_true(has_row);
            assert_true(bytes_equal(backend_sqlite.col_bytes(conn, settings[i].stmt, 0),
                                    bytes_of_str(settings[i].want)));
            backend_sqlite.end(conn, settings[i].stmt);
        }
        backend_sqlite.close(conn, true);
    }
    scratch_wipe(&scratch);
}

/* However much is written, the log stays within a few times its folding size; at rest it is empty.
 */
static void
test_log_stays_short(void **state)
{
    static uint8_t body[20000];
    struct scratch scratch;
    off_t largest = 0;
    void *conn;

    scratch_init(&scratch);
    conn = connect_to(scratch.path, false);
    run(conn, MAKE, ST_NONE);
    for (int64_t id = 0; id < 1200; id += 10) {
        put_many(conn, id, 10, bytes_of(body, sizeof(body)));
        if (log_bytes(&scratch) > largest)
            largest = log_bytes(&scratch);
    }
    assert_true(largest < 6 * 1024 * 1024); /* 24 MB have passed through it */
    assert_int_equal(backend_sqlite.tidy(conn, true, NULL), RC_OK);
    assert_int_equal(log_bytes(&scratch), 0);
    backend_sqlite.close(conn, true);
    scratch_wipe(&scratch);
}

static bool
file_has(const char *path, const char *text)
{
    struct stat st;
    char *all;
    bool has;
    int fd = open(path, O_RDONLY);

    if (fd < 0)
        return false;
    assert_int_equal(fstat(fd, &st), 0);
    assert_non_null(all = malloc((size_t)st.st_size + 1));
    assert_int_equal(read(fd, all, (size_t)st.st_size), st.st_size);
    has = memmem(all, (size_t)st.st_size, text, strlen(text)) != NULL;
    free(all);
    close(fd);
    return has;
}

static void
test_deleted_is_gone_from_the_file(void **state)
{
    static const char canary[] = "canary-in-a-coal-mine";
    struct scratch scratch;
    char log[256];
    void *conn;

    scratch_init(&scratch);
    snprintf(log, sizeof(log), "%s-wal", scratch.path);
    conn = connect_to(scratch.path, false);
    run(conn, MAKE, ST_NONE);
    put_many(conn, 1, 20, bytes_of_str(canary));
    assert_int_equal(backend_sqlite.tidy(conn, true, NULL), RC_OK);
    assert_true(file_has(scratch.path, canary));
    run(conn, DROP, ST_NONE);
    assert_int_equal(backend_sqlite.tidy(conn, true, NULL), RC_OK);
    assert_false(file_has(scratch.path, canary));
    assert_false(file_has(log, canary));
    backend_sqlite.close(conn, true);
    scratch_wipe(&scratch);
}

static void
test_not_a_database_is_refused(void **state)
{
    static const char text[] =
        "this has never been a database, and is long enough to be looked at."
        " this has never been a database, and is long enough to be looked at.";
    struct store_opt opt = {.parts = item_parts, .n_parts = 1};
    struct scratch scratch;
    struct store *store;
    int fd;

    scratch_init(&scratch);
    fd = open(scratch.path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
    close(fd);
    opt.path = scratch.path;
    assert_int_equal(store_open(&store, &opt, NULL), RC_IO);
    assert_null(store);
    assert_true(file_has(scratch.path, text));
    scratch_wipe(&scratch);
}

/* Another program keeps its transaction open: a bounded wait, RC_BUSY, and life goes on. */
static void
test_another_holder_is_waited_for_and_given_up(void **state)
{
    struct scratch scratch;
    struct store *store;
    sqlite3 *other;

    scratch_init(&scratch);
    store = item_store(scratch.path);
    assert_int_equal(sqlite3_open(scratch.path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(put_now(store, 1, 1), RC_BUSY);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(put_now(store, 1, 2), RC_OK);
    assert_int_equal(count_now(store, 1), 1);
    sqlite3_close(other);
    store_free(&store);
    scratch_wipe(&scratch);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings_are_in_force),
        cmocka_unit_test(test_log_stays_short),
        cmocka_unit_test(test_deleted_is_gone_from_the_file),
        cmocka_unit_test(test_not_a_database_is_refused),
        cmocka_unit_test(test_another_holder_is_waited_for_and_given_up),
    };

    return cmocka_run_group_tests_name("store/sqlite", tests, NULL, NULL);
}
