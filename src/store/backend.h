/* backend.h - what a database engine must be able to do to carry a store: one table of functions.
 *
 * The store (store.c, writer.c, reader.c, tx.c) knows parts, jobs, batches and promises; a back end
 * knows one engine and nothing of those. A connection is used by one thread at a time. Statements
 * are a flat list of texts fixed at open, in the plain SQL of docs/protocol/store.md with ?1, ?2,
 * …; a statement is named by its place in the list and is prepared when it is first used.
 *
 * What a back end answers decides what the store does next:
 *   RC_OK       done
 *   RC_EXISTS, RC_INVAL, RC_LIMIT   the statement is at fault: its job is undone
 *   RC_FULL, RC_NOMEM, RC_BUSY      the moment is at fault: nothing was kept, the job may come
 * again RC_IO       the disk or the engine is at fault: fatal, whatever was not yet acknowledged is
 * unknown and is never acknowledged (I4). A back end never retries such a failure itself. */
#ifndef PARLEY_STORE_BACKEND_H
#define PARLEY_STORE_BACKEND_H

#include "store/store.h"

struct backend_opt {
    const char *path;
    const char *const *sql; /* borrowed for the life of the connection */
    size_t n_sql;
    bool is_reader; /* writes will be refused before they reach the back end */
    void *ctx;      /* as given to store_open_with: for back ends made for tests */
};

struct backend_ops {
    const char *name;
    /* *conn is owned by the caller. Opening also makes durable whatever an earlier process may have
     * left in the operating system's cache only. */
    enum rc (*open)(void **conn, const struct backend_opt *opt, struct err *err);
    /* is_clean: fold the log into the main file first. Otherwise nothing more is written. */
    void (*close)(void *conn, bool is_clean);
    /* The data is seen by this connection only (":memory:"): reads must come the same way, and
     * there is no disk to watch. */
    bool (*is_private)(const void *conn);

    /* A transaction. For a writing one, wait at most STORE_BUSY_MS for other processes. */
    enum rc (*begin)(void *conn, bool writes, struct err *err);
    enum rc (*commit)(void *conn, struct err *err); /* returns after the covering flush */
    enum rc (*rollback)(void *conn, struct err *err);
    /* Set the mark; undo everything since the mark (which stays). One mark at a time. */
    enum rc (*mark)(void *conn, struct err *err);
    enum rc (*undo)(void *conn, struct err *err);

    /* A script of several statements without parameters (migrations). */
    enum rc (*script)(void *conn, const char *sql, struct err *err);
    enum rc (*run)(void *conn, size_t stmt, const struct store_arg *args, size_t n_args,
                   uint64_t *changed, struct err *err);
    /* Start, or step: *has_row says whether a row is there to be looked at. After the last row, or
     * a failure, the query is closed. `end` closes it early. */
    enum rc (*query)(void *conn, size_t stmt, const struct store_arg *args, size_t n_args,
                     bool *has_row, struct err *err);
    enum rc (*next)(void *conn, size_t stmt, bool *has_row, struct err *err);
    void (*end)(void *conn, size_t stmt);
    int64_t (*col_int)(const void *conn, size_t stmt, int col);
    bool (*col_is_null)(const void *conn, size_t stmt, int col);
    struct bytes (*col_bytes)(const void *conn, size_t stmt, int col);

    /* Housekeeping between transactions, on the writer: called after every commit, and with is_idle
     * once nothing has come for a while. RC_FULL and RC_BUSY are put up with. */
    enum rc (*tidy)(void *conn, bool is_idle, struct err *err);
};

extern const struct backend_ops backend_sqlite;

/* store_open on a given back end: for tests that put one in front of another. */
NODISCARD enum rc store_open_with(struct store **out, const struct store_opt *opt,
                                  const struct backend_ops *ops, void *ctx, struct err *err);

#endif
