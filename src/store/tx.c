/* tx.c - what a job may do inside its transaction: statements by name, rows by column.
 *
 * Owns the bookkeeping of one job: which queries it has open, whether it tried to write, and the
 * first statement that failed - because a job one of whose statements failed must not be kept,
 * whatever it says itself. Never decides what happens to the batch (writer.c). Source:
 * docs/protocol/store.md, "Jobs". */
#include "store/internal.h"

#include <assert.h>

void
tx_job_start(struct store_tx *tx, bool is_read)
{
    assert(tx->n_open == 0);
    tx->is_read = is_read;
    tx->has_written = false;
    tx->broken = (struct err){.rc = RC_OK};
}

enum rc
tx_job_end(struct store_tx *tx, enum rc rc, struct err *err)
{
    for (size_t i = 0; tx->n_open > 0 && i < tx->store->n_sql; i++) {
        if (!tx->cursors[i].is_open)
            continue;
        tx->store->ops->end(tx->conn, i);
        tx->cursors[i].is_open = false;
        tx->n_open--;
    }
    if (rc == RC_OK && tx->broken.rc != RC_OK) {
        *err = tx->broken;
        return tx->broken.rc;
    }
    if (rc != RC_OK && err->rc == RC_OK)
        (void)err_set(err, rc, "store.job", "%s", rc_name(rc));
    return rc;
}

/* The statement's place in the flat list. An unknown part or number is a bug of the caller. */
static size_t
place_of(const struct store *store, const struct store_part *part, unsigned stmt)
{
    size_t i = 0;

    while (i < store->opt.n_parts && store->opt.parts[i] != part)
        i++;
    assert(i < store->opt.n_parts && "part not given to store_open");
    assert(stmt < part->n_statements);
    return store->first_stmt[i] + stmt;
}

/* Note a statement's failure in the transaction, and hand it to the caller. */
static enum rc
note_failure(struct store_tx *tx, const struct err *why, struct err *err)
{
    if (tx->broken.rc == RC_OK)
        tx->broken = *why;
    if (err != NULL)
        *err = *why;
    return why->rc;
}

static enum rc
check_allowed(struct store_tx *tx, size_t at, struct err *err)
{
    if (tx->store->is_select[at])
        return RC_OK;
    if (tx->is_read)
        return err_set(err, RC_INVAL, "store.read", "a reading job may not write: %.80s",
                       tx->store->sql[at]);
    tx->has_written = true;
    return RC_OK;
}

enum rc
store_run(struct store_tx *tx, const struct store_part *part, unsigned stmt, uint64_t *changed,
          struct err *err, const struct store_arg *args, size_t n_args)
{
    size_t at = place_of(tx->store, part, stmt);
    struct err why = {.rc = RC_OK};
    uint64_t touched = 0;
    enum rc rc;

    if (changed != NULL)
        *changed = 0;
    if ((rc = check_allowed(tx, at, &why)) != RC_OK)
        return note_failure(tx, &why, err);
    assert(!tx->cursors[at].is_open && "statement is still being read");
    rc = tx->store->ops->run(tx->conn, at, args, n_args, &touched, &why);
    if (rc != RC_OK)
        return note_failure(tx, &why, err);
    if (changed != NULL)
        *changed = touched;
    return RC_OK;
}

/* Take in what query or next answered. */
static void
rows_settle(struct store_rows *rows, enum rc rc, bool has_row, const struct err *why)
{
    struct store_cursor *cursor = rows->cursor;
    struct store_tx *tx = cursor->tx;

    rows->rc = rc;
    rows->has_row = rc == RC_OK && has_row;
    if (rc != RC_OK)
        (void)note_failure(tx, why, NULL);
    if (rows->has_row != cursor->is_open) {
        cursor->is_open = rows->has_row;
        tx->n_open = rows->has_row ? tx->n_open + 1 : tx->n_open - 1;
    }
}

void
store_query(struct store_rows *rows, struct store_tx *tx, const struct store_part *part,
            unsigned stmt, const struct store_arg *args, size_t n_args)
{
    size_t at = place_of(tx->store, part, stmt);
    struct err why = {.rc = RC_OK};
    bool has_row = false;
    enum rc rc;

    *rows = (struct store_rows){.cursor = &tx->cursors[at]};
    assert(!rows->cursor->is_open && "one query per statement at a time");
    if ((rc = check_allowed(tx, at, &why)) == RC_OK)
        rc = tx->store->ops->query(tx->conn, at, args, n_args, &has_row, &why);
    rows_settle(rows, rc, has_row, &why);
}

void
store_next(struct store_rows *rows)
{
    struct store_cursor *cursor = rows->cursor;
    struct err why = {.rc = RC_OK};
    bool has_row = false;
    enum rc rc;

    assert(rows->has_row && cursor->is_open);
    rc = cursor->tx->store->ops->next(cursor->tx->conn, cursor->stmt, &has_row, &why);
    rows_settle(rows, rc, has_row, &why);
}

void
store_rows_end(struct store_rows *rows)
{
    struct store_cursor *cursor = rows->cursor;

    if (!rows->has_row)
        return;
    cursor->tx->store->ops->end(cursor->tx->conn, cursor->stmt);
    rows_settle(rows, RC_OK, false, NULL);
}

int64_t
store_col_int(const struct store_rows *rows, int col)
{
    const struct store_cursor *cursor = rows->cursor;

    return cursor->tx->store->ops->col_int(cursor->tx->conn, cursor->stmt, col);
}

bool
store_col_is_null(const struct store_rows *rows, int col)
{
    const struct store_cursor *cursor = rows->cursor;

    return cursor->tx->store->ops->col_is_null(cursor->tx->conn, cursor->stmt, col);
}

struct bytes
store_col_bytes(const struct store_rows *rows, int col)
{
    const struct store_cursor *cursor = rows->cursor;

    return cursor->tx->store->ops->col_bytes(cursor->tx->conn, cursor->stmt, col);
}

struct store *
store_of(const struct store_tx *tx)
{
    return tx->store;
}
