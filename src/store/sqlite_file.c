/* sqlite_file.c - the SQLite back end's file: made, opened with the settings that the promises
 * need, its log kept short, closed.
 *
 * Owns the log (-wal). It is folded into the main file between transactions and never behind our
 * back: SQLite's own automatic checkpoints hide their errors. A failed flush is never tried again:
 * the kernel may have dropped the pages and would report success (I4). For the same reason opening
 * folds the log at once: what the last process could not flush may still sit in the cache, and must
 * not become the floor that later commits stand on. Source: docs/protocol/store.md, "SQLite";
 * sqlite.org/wal.html. */
#include "store/sqlite_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHECKPOINT_PAGES 1000 /* fold the log when it has grown by so many pages (4 KiB each) */
#define BUSY_STEP_US 300      /* pause before looking again whether another process is done */
#define MALLOC_ARENAS 2       /* store threads share them: a program at rest stays small */

static const char *const pragmas[] = {
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA secure_delete=ON",
    "PRAGMA cache_size=-2048",
    "PRAGMA journal_size_limit=16777216",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cell_size_check=ON",
    "PRAGMA trusted_schema=OFF",
};

static int64_t
now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* SQLite asks: somebody else holds the file, try again? */
static int
wait_for_others(void *arg, int tries)
{
    struct sqlite_conn *conn = arg;

    if (!conn->is_patient)
        return 0;
    if (tries == 0)
        conn->busy_since_us = now_us();
    else if (now_us() - conn->busy_since_us > (int64_t)STORE_BUSY_MS * 1000)
        return 0;
    usleep((useconds_t)(BUSY_STEP_US *
                        (1 + tries % 4))); /* uneven, so that two do not march in step */
    return 1;
}

static int
note_log(void *arg, sqlite3 *db, const char *name, int pages)
{
    ((struct sqlite_conn *)arg)->log_pages = pages;
    return SQLITE_OK;
}

static void
set_up_process(void)
{
    mallopt(M_ARENA_MAX, MALLOC_ARENAS);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* one lock fewer on every allocation */
}

/* A new file is for its owner only. An existing one is not touched: closing any descriptor of it
 * would drop the locks that this process may hold on it. */
static void
create_private(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
}

/* The first switch to WAL needs the file alone and does not ask wait_for_others. */
static int
run_pragma(struct sqlite_conn *conn, const char *sql)
{
    int64_t since_us = now_us();
    int code;

    while ((code = sqlite3_exec(conn->db, sql, NULL, NULL, NULL)) == SQLITE_BUSY &&
           now_us() - since_us < (int64_t)STORE_BUSY_MS * 1000)
        usleep(BUSY_STEP_US);
    return code;
}

/* A file system that cannot share memory with the log leaves the old mode in force without a word.
 */
static enum rc
check_mode(struct sqlite_conn *conn, struct err *err)
{
    const char *mode = NULL;
    sqlite3_stmt *stmt;
    enum rc rc = RC_OK;
    int code = sqlite3_prepare_v2(conn->db, "PRAGMA journal_mode", -1, &stmt, NULL);

    if (code == SQLITE_OK && (code = sqlite3_step(stmt)) == SQLITE_ROW)
        mode = (const char *)sqlite3_column_text(stmt, 0);
    if (mode == NULL)
        rc = sqlite_fail(conn, code, "journal_mode", err);
    else if (strcmp(mode, "wal") != 0)
        rc = err_set(err, RC_IO, "store.sqlite", "no write-ahead log on this file system (%s)",
                     mode);
    sqlite3_finalize(stmt);
    return rc;
}

/* The file's own name is durable, too: SQLite flushes the folder, but keeps a failure to itself. */
static enum rc
flush_folder(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX];
    enum rc rc = RC_OK;
    int fd;

    snprintf(folder, sizeof(folder), "%.*s", slash == NULL ? 1 : (int)(slash - path + 1),
             slash == NULL ? "." : path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        rc = err_errno(err, RC_IO, "store.sqlite", errno, folder);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* Fold the log into the main file, as far as readers and other processes let us. */
static enum rc
fold_log(struct sqlite_conn *conn, int mode, struct err *err)
{
    bool was_patient = conn->is_patient;
    int code;

    conn->is_patient = false;
    conn->folded_at = conn->log_pages;
    code = sqlite3_wal_checkpoint_v2(conn->db, NULL, mode, NULL, NULL);
    conn->is_patient = was_patient;
    if (code == SQLITE_OK && mode == SQLITE_CHECKPOINT_TRUNCATE)
        conn->log_pages = conn->folded_at = 0;
    return code == SQLITE_OK ? RC_OK : sqlite_fail(conn, code, "checkpoint", err);
}

static enum rc
set_up(struct sqlite_conn *conn, const char *path, struct err *err)
{
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    enum rc rc;
    int code;

    if (!conn->is_private)
        create_private(path);
    if ((code = sqlite3_open_v2(path, &conn->db, flags, NULL)) != SQLITE_OK)
        return sqlite_fail(conn, code, path, err);
    sqlite3_busy_handler(conn->db, wait_for_others, conn);
    for (size_t i = 0; i < ARRAY_LEN(pragmas); i++) {
        if ((code = run_pragma(conn, pragmas[i])) != SQLITE_OK)
            return sqlite_fail(conn, code, pragmas[i], err);
    }
    sqlite3_wal_hook(conn->db, note_log, conn); /* in place of automatic checkpoints */
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (conn->is_private)
        return RC_OK;
    if ((rc = check_mode(conn, err)) != RC_OK || conn->is_reader)
        return rc;
    if ((rc = flush_folder(path, err)) != RC_OK)
        return rc;
    rc = fold_log(conn, SQLITE_CHECKPOINT_TRUNCATE, err);
    return rc == RC_BUSY || rc == RC_FULL ? RC_OK : rc;
}

void
sqlite_close(void *arg, bool is_clean)
{
    struct sqlite_conn *conn = arg;

    if (is_clean && !conn->is_reader && !conn->is_private)
        (void)fold_log(conn, SQLITE_CHECKPOINT_TRUNCATE,
                       NULL); /* the log is as good if this fails */
    for (size_t i = 0; i < TX_COUNT; i++)
        sqlite3_finalize(conn->tx_stmts[i]);
    for (size_t i = 0; conn->stmts != NULL && i < conn->n_sql; i++)
        sqlite3_finalize(conn->stmts[i]);
    sqlite3_close(conn->db);
    free(conn->stmts);
    free(conn);
}

enum rc
sqlite_open(void **out, const struct backend_opt *opt, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct sqlite_conn *conn;
    enum rc rc;

    *out = NULL;
    pthread_once(&once, set_up_process);
    if ((conn = calloc(1, sizeof(*conn))) == NULL)
        return err_set(err, RC_NOMEM, "store.sqlite", "no memory");
    conn->sql = opt->sql;
    conn->n_sql = opt->n_sql;
    conn->is_reader = opt->is_reader;
    conn->is_private = strcmp(opt->path, ":memory:") == 0;
    conn->is_patient = true;
    conn->stmts = calloc(opt->n_sql + 1, sizeof(sqlite3_stmt *));
    if (conn->stmts == NULL)
        rc = err_set(err, RC_NOMEM, "store.sqlite", "no memory");
    else
        rc = set_up(conn, opt->path, err);
    if (rc != RC_OK)
        sqlite_close(conn, false);
    else
        *out = conn;
    return rc;
}

enum rc
sqlite_tidy(void *arg, bool is_idle, struct err *err)
{
    struct sqlite_conn *conn = arg;

    if (conn->is_private)
        return RC_OK;
    if (conn->log_pages < conn->folded_at) /* SQLite began the log again from its start */
        conn->folded_at = 0;
    if (is_idle) {
        (void)sqlite3_db_release_memory(conn->db);
        return conn->log_pages == 0 ? RC_OK : fold_log(conn, SQLITE_CHECKPOINT_TRUNCATE, err);
    }
    if (conn->log_pages - conn->folded_at < CHECKPOINT_PAGES)
        return RC_OK;
    return fold_log(conn, SQLITE_CHECKPOINT_PASSIVE, err);
}
