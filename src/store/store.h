/* store.h - durable tables behind one narrow interface: jobs in, one group commit, results out.
 *
 * A program's tables belong to modules ("parts"): each part is a static table of migrations and of
 * statements, in plain SQL that SQLite and PostgreSQL both take. Every table's key leads with its
 * shard column (an account or a number) and every statement has an equality on it, so a second back
 * end, or a distributed one, can take the schema as it is.
 *
 * A job is a function that runs inside a transaction on the store's writer thread. The writer takes
 * what has been submitted - at most STORE_BATCH_MAX jobs, waiting at most commit_delay_us after the
 * first - runs all in one transaction, commits with the covering fsync, and only then posts each
 * job's done() to its loop (I1, I3). What must not be said before it is durable is said in done().
 *
 * Failure (I4, I6): a job that returns an error undoes the batch, which is run again without it; so
 * run() may be called more than once and sets every output anew. A full disk answers RC_FULL to the
 * jobs concerned, and jobs marked `grows` are refused early when little room is left. Any other
 * failure of the disk is fatal: on_fatal is called and nothing is acknowledged any more.
 *
 * Thread rule: store_submit and store_read may be called from any thread; run() is on a store
 * thread; done() is on the job's loop. Source: docs/protocol/store.md. */
#ifndef PARLEY_STORE_STORE_H
#define PARLEY_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"

#define STORE_BATCH_MAX 100u
#define STORE_COMMIT_DELAY_US 2000u
#define STORE_BUSY_MS 5000u /* longest wait for another process on the same file; then RC_BUSY */
#define STORE_ROOM_RESERVE                                                                         \
    (32u * 1024 * 1024) /* free bytes under which `grows` jobs are refused                         \
                         */

struct store;
struct store_tx; /* valid inside run() only */
struct store_cursor;

/* A module's share of the schema. Statements use ?1, ?2, … */
struct store_part {
    const char *name;              /* "relay.inbox": unique in the program */
    const char *const *migrations; /* each one script of statements; applied once, in order */
    size_t n_migrations;
    const char *const *statements; /* indexed by the part's own enum */
    size_t n_statements;
};

enum store_backend { STORE_SQLITE };

struct store_opt {
    enum store_backend backend;
    const char *path;                      /* SQLite file; ":memory:" for tests */
    const struct store_part *const *parts; /* borrowed for the store's life */
    size_t n_parts;
    uint32_t commit_delay_us; /* longest wait for company; 0: STORE_COMMIT_DELAY_US */
    uint32_t batch_max;       /* 0: STORE_BATCH_MAX */
    struct log *log;
    /* The disk failed in a way that must not be retried (I4). Called once, on a store thread. The
     * program says why and exits non-zero. NULL: abort(). */
    void (*on_fatal)(void *ctx, const struct err *err);
    void *ctx;
};

/* Open, migrate, start the threads. Blocking: at start only. RC_BUSY: another program has it. */
NODISCARD enum rc store_open(struct store **out, const struct store_opt *opt, struct err *err);
/* Finish what was submitted, stop the threads, checkpoint, close. Pending done() are posted first;
 * the caller drains its loop before freeing what they touch. */
void store_free(struct store **store);

/* One unit of work, zeroed before its first use. Embedded in the caller's object; untouched by the
 * caller from submit until done(). */
struct store_job {
    /* Inside the transaction. RC_OK keeps the writes; anything else undoes this job alone. A
     * statement that failed undoes the job too, even when run() goes on and returns RC_OK (the
     * engines differ in what survives it): where a duplicate is expected, write ON CONFLICT DO
     * NOTHING and read `changed`. */
    enum rc (*run)(struct store_job *job, struct store_tx *tx, struct err *err);
    /* On `loop`, after the commit that covers the job (rc RC_OK) or instead of it. */
    void (*done)(struct store_job *job, enum rc rc, const struct err *err);
    struct loop *loop; /* where done runs; NULL: on the store's thread */
    bool grows; /* adds data that an outsider asked to add: refused when the disk is nearly full */
    /* the store's own */
    struct store_job *next;
    struct loop_post post;
    int64_t submitted_us;
    bool is_read;
    enum rc rc;
    struct err err;
};

/* Queue a writing job. Order of submission is order of execution. */
void store_submit(struct store *store, struct store_job *job);
/* Queue a reading job on the reader thread: sees every commit whose done() was posted before this
 * call. A statement that writes is RC_INVAL there. */
void store_read(struct store *store, struct store_job *job);
/* Run a writing job now and wait for its commit. For start-up, tools and tests: never on a loop
 * that serves. */
NODISCARD enum rc store_do(struct store *store,
                           enum rc (*run)(void *ctx, struct store_tx *tx, struct err *err),
                           void *ctx, struct err *err);

/* ---- inside run() ---- */

enum store_kind { STORE_NULL, STORE_INT, STORE_BLOB, STORE_TEXT };
struct store_arg {
    enum store_kind kind;
    int64_t i;
    struct bytes b; /* borrowed for the call */
};
#define ST_I(x) ((struct store_arg){.kind = STORE_INT, .i = (int64_t)(x)})
#define ST_B(x) ((struct store_arg){.kind = STORE_BLOB, .b = (x)})
#define ST_T(x) ((struct store_arg){.kind = STORE_TEXT, .b = bytes_of_str(x)})
#define ST_TB(x) ((struct store_arg){.kind = STORE_TEXT, .b = (x)})
#define ST_NULL ((struct store_arg){.kind = STORE_NULL})
#define ST_ARGS(...)                                                                               \
    (const struct store_arg[]){__VA_ARGS__},                                                       \
        sizeof((const struct store_arg[]){__VA_ARGS__}) / sizeof(struct store_arg)
#define ST_NONE NULL, 0

/* Run a statement, leaving any rows unread. *changed (NULL allowed) counts rows touched.
 *     store_run(tx, &relay_part, SQL_LANE_BUMP, NULL, err, ST_ARGS(ST_I(account), ST_I(lane)))
 * Errors: RC_EXISTS (unique key), RC_INVAL (another constraint, or SQL that does not parse),
 * RC_LIMIT (a value too large), RC_FULL, RC_NOMEM, RC_IO. */
NODISCARD enum rc store_run(struct store_tx *tx, const struct store_part *part, unsigned stmt,
                            uint64_t *changed, struct err *err, const struct store_arg *args,
                            size_t n_args);

/* Rows of a query. One query per statement may be open at a time within a transaction. */
struct store_rows {
    struct store_cursor *cursor; /* the store's */
    bool has_row;
    enum rc rc; /* sticky: read it after the loop */
};
/* Start and step to the first row:
 *     for (store_query(&rows, tx, part, stmt, ST_ARGS(…)); rows.has_row; store_next(&rows)) …
 *     if (rows.rc != RC_OK) …
 * A loop left early calls store_rows_end. */
void store_query(struct store_rows *rows, struct store_tx *tx, const struct store_part *part,
                 unsigned stmt, const struct store_arg *args, size_t n_args);
void store_next(struct store_rows *rows);
void store_rows_end(struct store_rows *rows);
int64_t store_col_int(const struct store_rows *rows, int col); /* NULL reads as 0 */
bool store_col_is_null(const struct store_rows *rows, int col);
/* Borrowed until store_next or store_rows_end. */
struct bytes store_col_bytes(const struct store_rows *rows, int col);

/* The store a transaction belongs to. */
struct store *store_of(const struct store_tx *tx);

/* ---- looking at it ---- */

struct store_stats {
    uint64_t jobs, commits, reruns, refused_full;
    uint64_t waiting;       /* jobs queued now */
    int64_t oldest_wait_us; /* how long the first of them has waited */
};
void store_stats(const struct store *store, struct store_stats *out);

#endif
