/* sqlite_conn.h - what the two files of the SQLite back end share: sqlite_file.c opens, folds and
 * closes the file, sqlite.c runs transactions and statements on it. Nobody else includes this. */
#ifndef PARLEY_STORE_SQLITE_CONN_H
#define PARLEY_STORE_SQLITE_CONN_H

#include <sqlite3.h>

#include "store/backend.h"

/* The statements of transactions, prepared like all others. */
enum sqlite_tx {
    TX_BEGIN_READ,
    TX_BEGIN_WRITE,
    TX_COMMIT,
    TX_ROLLBACK,
    TX_MARK,
    TX_UNDO,
    TX_RELEASE,
    TX_COUNT
};
struct sqlite_conn {
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

/* Fill err from the connection's last failure; the code says whose fault it was (backend.h). */
enum rc sqlite_fail(struct sqlite_conn *conn, int code, const char *doing, struct err *err);

/* Operations of the back end's table. */
enum rc sqlite_open(void **out, const struct backend_opt *opt, struct err *err);
void sqlite_close(void *conn, bool is_clean);
enum rc sqlite_tidy(void *conn, bool is_idle, struct err *err);

#endif
