/* sqlite.c - the back end for one machine: SQLite in WAL mode, every commit flushed.
 *
 * Owns two kinds of file state that the rest must not think about: the log (-wal), which it folds
 * into the main file between transactions and never behind our back - SQLite's own automatic
 * checkpoints hide their errors -, and the error codes, of which it decides whose fault each is. A
 * failed flush is never tried again: the kernel may have dropped the pages and would report success
 * (I4). For the same reason opening folds the log at once: what the last process could not flush
 * may still sit in the cache, and must not become the floor that later commits stand on. Source:
 * docs/protocol/store.md, "SQLite"; sqlite.org/wal.html, sqlite.org/rescode.html. */
#include "store/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHECKPOINT_PAGES 1000 /* fold the log when it has grown by so many pages (4 KiB each) */
#define BUSY_STEP_US 300      /* pause before looking again whether another process is done */
#define MALLOC_ARENAS 2       /* store threads share them: a program at rest stays small */

static const char *const pragmas[] = {
    "PRAGMA journal_mode=WAL",   "PRAGMA synchronous=FULL",           "PRAGMA secure_delete=ON",
    "PRAGMA cache_size=-2048",   "PRAGMA journal_size_limit=4194304", "PRAGMA temp_store=MEMORY",
    "PRAGMA cell_size_check=ON", "PRAGMA trusted_schema=OFF",
};

/* The statements of transactions, prepared like all others. */
enum {
    TX_BEGIN_READ,
    TX_BEGIN_WRITE,
    TX_COMMIT,
    TX_ROLLBACK,
    TX_MARK,
    TX_UNDO,
    TX_RELEASE,
    TX_COUNT
};
static const char *const tx_sql[TX_COUNT] = {
    "BEGIN",         "BEGIN IMMEDIATE", "COMMIT",      "ROLLBACK",
    "SAVEPOINT job", "ROLLBACK TO job", "RELEASE job",
};

struct conn {
    sqlite3 *db;
    sqlite3_stmt *tx_stmts[TX_COUNT];
    sqlite3_stmt **stmts; /* prepared when first used */
    const char *const *sql;
    size_t n_sql;
    bool is_reader;
    bool is_private;
    bool is_patient; /* wait for other processes */
    bool has_mark;
    int64_t busy_since_us;
    int log_pages; /* in the log after the last commit */
    int folded_at; /* log_pages when folding was last tried */
};

/* ---- whose fault is it? ---- */

static const struct {
    int code;
    enum rc rc;
} faults[] = {
    {SQLITE_CONSTRAINT_UNIQUE,     RC_EXISTS},
    {SQLITE_CONSTRAINT_PRIMARYKEY, RC_EXISTS},
    {SQLITE_CONSTRAINT_ROWID,      RC_EXISTS},
    {SQLITE_IOERR_NOMEM,           RC_NOMEM },
    {SQLITE_CONSTRAINT,            RC_INVAL },
    {SQLITE_MISMATCH,              RC_INVAL },
    {SQLITE_ERROR,                 RC_INVAL },
    {SQLITE_RANGE,                 RC_INVAL },
    {SQLITE_TOOBIG,                RC_LIMIT },
    {SQLITE_FULL,                  RC_FULL  },
    {SQLITE_NOMEM,                 RC_NOMEM },
    {SQLITE_BUSY,                  RC_BUSY  },
    {SQLITE_LOCKED,                RC_BUSY  },
    {SQLITE_PROTOCOL,              RC_BUSY  },
};

/* Two writes that SQLite does not report as "full" when the disk is: both happen before anything is
 * promised, and a flush is not among them. */
static bool
is_disk_full(sqlite3 *db, int code)
{
    int why = sqlite3_system_errno(db);

    return (why == ENOSPC || why == EDQUOT) &&
           (code == SQLITE_IOERR_SHMSIZE || code == SQLITE_IOERR_WRITE);
}

static enum rc
fault_of(sqlite3 *db, int code)
{
    if (is_disk_full(db, code))
        return RC_FULL;
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        if (faults[i].code == code || faults[i].code == (code & 0xff))
            return faults[i].rc;
    }
    return RC_IO;
}

static enum rc
fail(struct conn *conn, int code, const char *doing, struct err *err)
{
    return err_set(err, fault_of(conn->db, code), "store.sqlite", "%.60s: %s (%d)", doing,
                   sqlite3_errmsg(conn->db), code);
}

/* ---- opening and closing ---- */

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
    struct conn *conn = arg;

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
    ((struct conn *)arg)->log_pages = pages;
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
run_pragma(struct conn *conn, const char *sql)
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
check_mode(struct conn *conn, struct err *err)
{
    const char *mode = NULL;
    sqlite3_stmt *stmt;
    enum rc rc = RC_OK;
    int code = sqlite3_prepare_v2(conn->db, "PRAGMA journal_mode", -1, &stmt, NULL);

    if (code == SQLITE_OK && (code = sqlite3_step(stmt)) == SQLITE_ROW)
        mode = (const char *)sqlite3_column_text(stmt, 0);
    if (mode == NULL)
        rc = fail(conn, code, "journal_mode", err);
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
fold_log(struct conn *conn, int mode, struct err *err)
{
    bool was_patient = conn->is_patient;
    int code;

    conn->is_patient = false;
    conn->folded_at = conn->log_pages;
    code = sqlite3_wal_checkpoint_v2(conn->db, NULL, mode, NULL, NULL);
    conn->is_patient = was_patient;
    if (code == SQLITE_OK && mode == SQLITE_CHECKPOINT_TRUNCATE)
        conn->log_pages = conn->folded_at = 0;
    return code == SQLITE_OK ? RC_OK : fail(conn, code, "checkpoint", err);
}

static enum rc
set_up(struct conn *conn, const char *path, struct err *err)
{
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    enum rc rc;
    int code;

    if (!conn->is_private)
        create_private(path);
    if ((code = sqlite3_open_v2(path, &conn->db, flags, NULL)) != SQLITE_OK)
        return fail(conn, code, path, err);
    sqlite3_busy_handler(conn->db, wait_for_others, conn);
    for (size_t i = 0; i < ARRAY_LEN(pragmas); i++) {
        if ((code = run_pragma(conn, pragmas[i])) != SQLITE_OK)
            return fail(conn, code, pragmas[i], err);
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

static void
sqlite_close(void *arg, bool is_clean)
{
    struct conn *conn = arg;

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

static enum rc
sqlite_open(void **out, const struct backend_opt *opt, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct conn *conn;
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

static bool
sqlite_is_private(const void *conn)
{
    return ((const struct conn *)conn)->is_private;
}

/* ---- transactions ---- */

static enum rc
prepare(struct conn *conn, sqlite3_stmt **stmt, const char *sql, struct err *err)
{
    int code;

    if (*stmt != NULL)
        return RC_OK;
    code = sqlite3_prepare_v3(conn->db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL);
    return code == SQLITE_OK ? RC_OK : fail(conn, code, sql, err);
}

static enum rc
tx_step(struct conn *conn, unsigned which, struct err *err)
{
    sqlite3_stmt *stmt;
    enum rc rc;
    int code;

    if ((rc = prepare(conn, &conn->tx_stmts[which], tx_sql[which], err)) != RC_OK)
        return rc;
    stmt = conn->tx_stmts[which];
    code = sqlite3_step(stmt);
    if (code != SQLITE_DONE)
        rc = fail(conn, code, tx_sql[which], err);
    sqlite3_reset(stmt);
    return rc;
}

static enum rc
sqlite_begin(void *arg, bool writes, struct err *err)
{
    struct conn *conn = arg;

    conn->has_mark = false;
    return tx_step(conn, writes ? TX_BEGIN_WRITE : TX_BEGIN_READ, err);
}

static enum rc
sqlite_commit(void *conn, struct err *err)
{
    return tx_step(conn, TX_COMMIT, err);
}

static enum rc
sqlite_rollback(void *arg, struct err *err)
{
    struct conn *conn = arg;

    if (sqlite3_get_autocommit(conn->db))
        return RC_OK; /* some failures have rolled back already */
    return tx_step(conn, TX_ROLLBACK, err);
}

static enum rc
sqlite_mark(void *arg, struct err *err)
{
    struct conn *conn = arg;
    enum rc rc;

    if (conn->has_mark && (rc = tx_step(conn, TX_RELEASE, err)) != RC_OK)
        return rc;
    conn->has_mark = true;
    return tx_step(conn, TX_MARK, err);
}

static enum rc
sqlite_undo(void *conn, struct err *err)
{
    return tx_step(conn, TX_UNDO, err);
}

static enum rc
sqlite_script(void *arg, const char *sql, struct err *err)
{
    struct conn *conn = arg;
    int code = sqlite3_exec(conn->db, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? RC_OK : fail(conn, code, sql, err);
}

/* ---- statements ---- */

static int
bind_one(sqlite3_stmt *stmt, int at, const struct store_arg *arg, sqlite3_destructor_type life)
{
    /* an empty run may have no address, which SQLite would take for NULL */
    const char *bytes = arg->b.ptr == NULL ? "" : (const char *)arg->b.ptr;

    switch (arg->kind) {
    case STORE_INT:
        return sqlite3_bind_int64(stmt, at, arg->i);
    case STORE_BLOB:
        return sqlite3_bind_blob64(stmt, at, bytes, arg->b.len, life);
    case STORE_TEXT:
        return sqlite3_bind_text64(stmt, at, bytes, arg->b.len, life, SQLITE_UTF8);
    case STORE_NULL:
        break;
    }
    return sqlite3_bind_null(stmt, at);
}

static enum rc
ready(struct conn *conn, size_t at, const struct store_arg *args, size_t n_args,
      sqlite3_destructor_type life, struct err *err)
{
    enum rc rc;
    int code;

    if ((rc = prepare(conn, &conn->stmts[at], conn->sql[at], err)) != RC_OK)
        return rc;
    if ((size_t)sqlite3_bind_parameter_count(conn->stmts[at]) != n_args)
        return err_set(err, RC_INVAL, "store.sqlite", "%zu values for: %.80s", n_args,
                       conn->sql[at]);
    for (size_t i = 0; i < n_args; i++) {
        code = bind_one(conn->stmts[at], (int)i + 1, &args[i], life);
        if (code != SQLITE_OK)
            return fail(conn, code, conn->sql[at], err);
    }
    return RC_OK;
}

static void
sqlite_end(void *arg, size_t at)
{
    struct conn *conn = arg;

    sqlite3_reset(conn->stmts[at]);
    sqlite3_clear_bindings(conn->stmts[at]);
}

static enum rc
sqlite_next(void *arg, size_t at, bool *has_row, struct err *err)
{
    struct conn *conn = arg;
    int code = sqlite3_step(conn->stmts[at]);
    enum rc rc = RC_OK;

    *has_row = code == SQLITE_ROW;
    if (code == SQLITE_ROW)
        return RC_OK;
    if (code != SQLITE_DONE)
        rc = fail(conn, code, conn->sql[at], err);
    sqlite_end(conn, at);
    return rc;
}

static enum rc
sqlite_query(void *conn, size_t at, const struct store_arg *args, size_t n_args, bool *has_row,
             struct err *err)
{
    enum rc rc;

    *has_row = false;
    /* the values are looked at again in later steps, when the caller's are gone */
    if ((rc = ready(conn, at, args, n_args, SQLITE_TRANSIENT, err)) != RC_OK)
        return rc;
    return sqlite_next(conn, at, has_row, err);
}

static enum rc
sqlite_run(void *arg, size_t at, const struct store_arg *args, size_t n_args, uint64_t *changed,
           struct err *err)
{
    struct conn *conn = arg;
    uint64_t touched = 0;
    enum rc rc;
    int code;

    if ((rc = ready(conn, at, args, n_args, SQLITE_STATIC, err)) != RC_OK)
        return rc;
    while ((code = sqlite3_step(conn->stmts[at])) == SQLITE_ROW)
        continue;
    if (code != SQLITE_DONE)
        rc = fail(conn, code, conn->sql[at], err);
    else if (!sqlite3_stmt_readonly(conn->stmts[at]))
        touched = (uint64_t)sqlite3_changes64(conn->db);
    sqlite_end(conn, at);
    if (changed != NULL)
        *changed = touched;
    return rc;
}

static int64_t
sqlite_col_int(const void *conn, size_t at, int col)
{
    return sqlite3_column_int64(((const struct conn *)conn)->stmts[at], col);
}

static bool
sqlite_col_is_null(const void *conn, size_t at, int col)
{
    return sqlite3_column_type(((const struct conn *)conn)->stmts[at], col) == SQLITE_NULL;
}

static struct bytes
sqlite_col_bytes(const void *conn, size_t at, int col)
{
    sqlite3_stmt *stmt = ((const struct conn *)conn)->stmts[at];
    const void *bytes = sqlite3_column_blob(stmt, col);

    return bytes_of(bytes, (size_t)sqlite3_column_bytes(stmt, col));
}

/* ---- housekeeping ---- */

static enum rc
sqlite_tidy(void *arg, bool is_idle, struct err *err)
{
    struct conn *conn = arg;

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

const struct backend_ops backend_sqlite = {
    .name = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .is_private = sqlite_is_private,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .mark = sqlite_mark,
    .undo = sqlite_undo,
    .script = sqlite_script,
    .run = sqlite_run,
    .query = sqlite_query,
    .next = sqlite_next,
    .end = sqlite_end,
    .col_int = sqlite_col_int,
    .col_is_null = sqlite_col_is_null,
    .col_bytes = sqlite_col_bytes,
    .tidy = sqlite_tidy,
};
