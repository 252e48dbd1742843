/* flaky.c - see flaky.h. */
#include "flaky.h"

#include <stdlib.h>

struct flaky_conn {
    struct flaky *flaky;
    void *real;
    bool is_reader;
};

void
flaky_arm(struct flaky *flaky, unsigned ops, unsigned fail_at, enum rc with)
{
    flaky->ops = ops;
    flaky->fail_at = fail_at;
    flaky->times = 1;
    flaky->with = with;
    flaky->does_it_first = false;
    flaky->seen = flaky->failed = 0;
}

static bool
must_fail(struct flaky_conn *conn, enum flaky_op op)
{
    struct flaky *flaky = conn->flaky;

    if (conn->is_reader || flaky->fail_at == 0 || (flaky->ops & op) == 0)
        return false;
    flaky->seen++;
    if (flaky->seen < flaky->fail_at || flaky->seen >= flaky->fail_at + flaky->times)
        return false;
    flaky->failed++;
    return true;
}

static enum rc
say_failed(struct flaky_conn *conn, struct err *err)
{
    return err_set(err, conn->flaky->with, "test.flaky", "made to fail");
}

static enum rc
flaky_open(void **out, const struct backend_opt *opt, struct err *err)
{
    struct flaky_conn *conn = calloc(1, sizeof(*conn));
    enum rc rc;

    *out = NULL;
    if (conn == NULL)
        return err_set(err, RC_NOMEM, "test.flaky", "no memory");
    conn->flaky = opt->ctx;
    conn->is_reader = opt->is_reader;
    rc = conn->flaky->real->open(&conn->real, opt, err);
    if (rc != RC_OK)
        free(conn);
    else
        *out = conn;
    return rc;
}

static void
flaky_close(void *arg, bool is_clean)
{
    struct flaky_conn *conn = arg;

    conn->flaky->real->close(conn->real, is_clean);
    free(conn);
}

static bool
flaky_is_private(const void *arg)
{
    const struct flaky_conn *conn = arg;

    return conn->flaky->real->is_private(conn->real);
}

/* One wrapper an operation: count it, fail it before or after, or pass it on. */
#define THROUGH(op, call)                                                                          \
    struct flaky_conn *conn = arg;                                                                 \
    bool fails = must_fail(conn, (op));                                                            \
    enum rc rc = RC_OK;                                                                            \
                                                                                                   \
    if (!fails || conn->flaky->does_it_first)                                                      \
        rc = conn->flaky->real->call;                                                              \
    return fails ? say_failed(conn, err) : rc

static enum rc
flaky_begin(void *arg, bool writes, struct err *err)
{
    THROUGH(FLAKY_BEGIN, begin(conn->real, writes, err));
}

static enum rc
flaky_commit(void *arg, struct err *err)
{
    THROUGH(FLAKY_COMMIT, commit(conn->real, err));
}

static enum rc
flaky_rollback(void *arg, struct err *err)
{
    THROUGH(FLAKY_ROLLBACK, rollback(conn->real, err));
}

static enum rc
flaky_mark(void *arg, struct err *err)
{
    THROUGH(FLAKY_MARK, mark(conn->real, err));
}

static enum rc
flaky_undo(void *arg, struct err *err)
{
    THROUGH(FLAKY_MARK, undo(conn->real, err));
}

static enum rc
flaky_script(void *arg, const char *sql, struct err *err)
{
    THROUGH(FLAKY_STATEMENT, script(conn->real, sql, err));
}

static enum rc
flaky_run(void *arg, size_t stmt, const struct store_arg *args, size_t n_args, uint64_t *changed,
          struct err *err)
{
    THROUGH(FLAKY_STATEMENT, run(conn->real, stmt, args, n_args, changed, err));
}

static enum rc
flaky_query(void *arg, size_t stmt, const struct store_arg *args, size_t n_args, bool *has_row,
            struct err *err)
{
    struct flaky_conn *conn = arg;

    *has_row = false;
    if (must_fail(conn, FLAKY_STATEMENT))
        return say_failed(conn, err);
    return conn->flaky->real->query(conn->real, stmt, args, n_args, has_row, err);
}

static enum rc
flaky_next(void *arg, size_t stmt, bool *has_row, struct err *err)
{
    struct flaky_conn *conn = arg;

    if (!must_fail(conn, FLAKY_STATEMENT))
        return conn->flaky->real->next(conn->real, stmt, has_row, err);
    conn->flaky->real->end(conn->real, stmt);
    *has_row = false;
    return say_failed(conn, err);
}

static void
flaky_end(void *arg, size_t stmt)
{
    struct flaky_conn *conn = arg;

    conn->flaky->real->end(conn->real, stmt);
}

static int64_t
flaky_col_int(const void *arg, size_t stmt, int col)
{
    const struct flaky_conn *conn = arg;

    return conn->flaky->real->col_int(conn->real, stmt, col);
}

static bool
flaky_col_is_null(const void *arg, size_t stmt, int col)
{
    const struct flaky_conn *conn = arg;

    return conn->flaky->real->col_is_null(conn->real, stmt, col);
}

static struct bytes
flaky_col_bytes(const void *arg, size_t stmt, int col)
{
    const struct flaky_conn *conn = arg;

    return conn->flaky->real->col_bytes(conn->real, stmt, col);
}

static enum rc
flaky_tidy(void *arg, bool is_idle, struct err *err)
{
    THROUGH(FLAKY_TIDY, tidy(conn->real, is_idle, err));
}

const struct backend_ops backend_flaky = {
    .name = "flaky",
    .open = flaky_open,
    .close = flaky_close,
    .is_private = flaky_is_private,
    .begin = flaky_begin,
    .commit = flaky_commit,
    .rollback = flaky_rollback,
    .mark = flaky_mark,
    .undo = flaky_undo,
    .script = flaky_script,
    .run = flaky_run,
    .query = flaky_query,
    .next = flaky_next,
    .end = flaky_end,
    .col_int = flaky_col_int,
    .col_is_null = flaky_col_is_null,
    .col_bytes = flaky_col_bytes,
    .tidy = flaky_tidy,
};
