/* internal.h - the parts of a store that its own files share. Nobody else includes this. */
#ifndef PARLEY_STORE_INTERNAL_H
#define PARLEY_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/backend.h"

/* A statement's place while rows of it are being read. */
struct store_cursor {
    struct store_tx *tx;
    size_t stmt;
    bool is_open;
};

/* One connection and the transaction on it. Belongs to one store thread. */
struct store_tx {
    struct store *store;
    void *conn;
    struct store_cursor *cursors; /* one a statement */
    size_t n_open;                /* cursors open now */
    bool is_read;                 /* the job at work may not write */
    bool has_written;             /* the job at work has tried to */
    struct err broken;            /* first failure of a statement in this job; rc RC_OK: none */
};

/* First in, first out, guarded by the store's lock. */
struct job_queue {
    struct store_job *first, *last;
    size_t n;
};

/* A thread that waits for jobs. `wake_at`: the queue length that is worth waking it for; 0 while it
 * works and looks by itself. */
struct job_line {
    pthread_t thread;
    pthread_cond_t cond;
    struct job_queue queue;
    size_t wake_at;
    bool is_started;
};

struct store {
    const struct backend_ops *ops;
    struct store_opt opt; /* path and parts are borrowed for the life of the store */
    char *path;
    const char **sql;   /* flat list of statements: the store's own, then each part's in turn */
    bool *is_select;    /* by statement: it cannot write */
    size_t *first_stmt; /* by part: where its statements start in `sql` */
    size_t n_sql;
    struct store_tx writer, reader; /* reader.conn is NULL where reads go through the writer */

    pthread_mutex_t lock; /* guards what follows */
    struct job_line writes, reads;
    bool is_closing;
    struct store_stats stats;
    struct err fatal; /* rc RC_OK: alive */

    /* the writer thread's own: is there room on the disk? */
    int64_t room_seen_us; /* when it was last looked at */
    uint64_t room_left;   /* bytes free then; 0: never looked */
    bool has_room;
};

/* Jobs that are run and committed together. */
struct batch {
    struct store_job *jobs[STORE_BATCH_MAX];
    size_t n;
};

/* What the writer knows of how jobs arrive. */
struct rhythm {
    int64_t gap_us;  /* between two jobs, a moving mean */
    int64_t last_us; /* when the first job of the last batch was submitted */
    unsigned vain;   /* waits in a row that brought nobody */
    unsigned skip;   /* batches that go without waiting */
};

/* Statements of the store itself come first in the flat list. */
enum { SQL_MIGRATION_LAST, SQL_MIGRATION_ADD, SQL_OWN_COUNT };
extern const char *const store_own_sql[SQL_OWN_COUNT];

/* Microseconds of CLOCK_MONOTONIC. */
int64_t store_now_us(void);

/* queue.c */
void queue_push(struct job_queue *queue, struct store_job *job);
struct store_job *queue_pop(struct job_queue *queue);
NODISCARD enum rc line_start(struct job_line *line, void *(*body)(void *), void *arg,
                             const char *name, struct err *err);
void line_stop(struct job_line *line);
void line_push(struct job_line *line, struct store_job *job);
/* Until the line is wake_at long, the store closes, or at_most_us (negative: no limit) has passed.
 */
void line_wait(struct store *store, struct job_line *line, size_t wake_at, int64_t at_most_us);

/* tx.c */
void tx_job_start(struct store_tx *tx, bool is_read);
/* What became of the job: its own answer, or that of a statement that failed. Closes its cursors.
 */
enum rc tx_job_end(struct store_tx *tx, enum rc rc, struct err *err);

/* store.c */
/* Post (or, without a loop, call) the job's done(). The job is the caller's again: touch it no
 * more. */
void job_finish(struct store_job *job, enum rc rc, const struct err *err);
/* The disk failed: remember, tell the program once. The rest of the store's life answers RC_IO. */
void store_fail(struct store *store, const struct err *err);
bool store_has_failed(struct store *store, struct err *why);

/* migrate.c */
NODISCARD enum rc store_migrate(struct store *store, struct err *err);

/* gather.c */
/* Fill the batch, which still holds the last one's n. Needs the lock. False: the store closes and
 * nothing is left. */
bool batch_gather(struct store *store, struct batch *batch, struct rhythm *rhythm);

/* writer.c */
/* Housekeeping between batches. Without the lock. */
void writer_tidy(struct store *store, bool is_idle);

/* writer.c, reader.c: thread bodies */
void *writer_main(void *store);
void *reader_main(void *store);

#endif
