/* sqlite.c - the back end for one machine: transactions and statements on SQLite.
 *
 * Owns the decision whose fault a failure is; every other file sees only enum rc. Never retries:
 * not a statement, not a commit. The file itself is sqlite_file.c's. Source:
 * docs/protocol/store.md, "SQLite"; sqlite.org/rescode.html. */
#include "store/sqlite_conn.h"

#include <errno.h>

static const char *const tx_sql[TX_COUNT] = {
    "BEGIN",         "BEGIN IMMEDIATE", "COMMIT",      "ROLLBACK",
    "SAVEPOINT job", "ROLLBACK TO job", "RELEASE job",
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

enum rc
sqlite_fail(struct sqlite_conn *conn, int code, const char *doing, struct err *err)
{
    return err_set(err, fault_of(conn->db, code), "store.sqlite", "%.60s: %s (%d)", doing,
                   sqlite3_errmsg(conn->db), code);
}

static bool
sqlite_is_private(const void *conn)
{
    return ((const struct sqlite_conn *)conn)->is_private;
}

/* ---- transactions ---- */

static enum rc
prepare(struct sqlite_conn *conn, sqlite3_stmt **stmt, const char *sql, struct err *err)
{
    int code;

    if (*stmt != NULL)
        return RC_OK;
    code = sqlite3_prepare_v3(conn->db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL);
    return code == SQLITE_OK ? RC_OK : sqlite_fail(conn, code, sql, err);
}

static enum rc
tx_step(struct sqlite_conn *conn, unsigned which, struct err *err)
{
    sqlite3_stmt *stmt;
    enum rc rc;
    int code;

    if ((rc = prepare(conn, &conn->tx_stmts[which], tx_sql[which], err)) != RC_OK)
        return rc;
    stmt = conn->tx_stmts[which];
    code = sqlite3_step(stmt);
    if (code != SQLITE_DONE)
        rc = sqlite_fail(conn, code, tx_sql[which], err);
    sqlite3_reset(stmt);
    return rc;
}

static enum rc
sqlite_begin(void *arg, bool writes, struct err *err)
{
    struct sqlite_conn *conn = arg;

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
    struct sqlite_conn *conn = arg;

    if (sqlite3_get_autocommit(conn->db))
        return RC_OK; /* some failures have rolled back already */
    return tx_step(conn, TX_ROLLBACK, err);
}

static enum rc
sqlite_mark(void *arg, struct err *err)
{
    struct sqlite_conn *conn = arg;
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
    struct sqlite_conn *conn = arg;
    int code = sqlite3_exec(conn->db, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? RC_OK : sqlite_fail(conn, code, sql, err);
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
ready(struct sqlite_conn *conn, size_t at, const struct store_arg *args, size_t n_args,
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
            return sqlite_fail(conn, code, conn->sql[at], err);
    }
    return RC_OK;
}

static void
sqlite_end(void *arg, size_t at)
{
    struct sqlite_conn *conn = arg;

    sqlite3_reset(conn->stmts[at]);
    sqlite3_clear_bindings(conn->stmts[at]);
}

static enum rc
sqlite_next(void *arg, size_t at, bool *has_row, struct err *err)
{
    struct sqlite_conn *conn = arg;
    int code = sqlite3_step(conn->stmts[at]);
    enum rc rc = RC_OK;

    *has_row = code == SQLITE_ROW;
    if (code == SQLITE_ROW)
        return RC_OK;
    if (code != SQLITE_DONE)
        rc = sqlite_fail(conn, code, conn->sql[at], err);
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
    struct sqlite_conn *conn = arg;
    uint64_t touched = 0;
    enum rc rc;
    int code;

    if ((rc = ready(conn, at, args, n_args, SQLITE_STATIC, err)) != RC_OK)
        return rc;
    while ((code = sqlite3_step(conn->stmts[at])) == SQLITE_ROW)
        continue;
    if (code != SQLITE_DONE)
        rc = sqlite_fail(conn, code, conn->sql[at], err);
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
    return sqlite3_column_int64(((const struct sqlite_conn *)conn)->stmts[at], col);
}

static bool
sqlite_col_is_null(const void *conn, size_t at, int col)
{
    return sqlite3_column_type(((const struct sqlite_conn *)conn)->stmts[at], col) == SQLITE_NULL;
}

static struct bytes
sqlite_col_bytes(const void *conn, size_t at, int col)
{
    sqlite3_stmt *stmt = ((const struct sqlite_conn *)conn)->stmts[at];
    const void *bytes = sqlite3_column_blob(stmt, col);

    return bytes_of(bytes, (size_t)sqlite3_column_bytes(stmt, col));
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
