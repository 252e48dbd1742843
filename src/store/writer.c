/* writer.c - the one thread that writes: take a batch, run it, commit it, say so.
 *
 * Owns the order of these steps, which is the promise of the store: a job's done() with RC_OK is
 * posted after the commit that covers it has returned, never before (I1, I3); after a failure that
 * is not the job's own and not lack of room, nothing is acknowledged any more (I4). A refusal, too,
 * is said only after the commit: it may rest on what an earlier job of the same batch has written
 * (I5). Source: docs/protocol/store.md, "Batches". */
#include "store/internal.h"

#include "base/file.h"

/* Free space is looked at once in this time, and before every batch once it is scarce. */
#define ROOM_LOOK_US 1000000
#define ROOM_SCARCE (8ull * STORE_ROOM_RESERVE)

/* The negative control of the fault tests: break the promise and see them fail. */
#ifdef PARLEY_MUTANT_ACK_BEFORE_COMMIT
static const bool acks_before_commit = true;
#else
static const bool acks_before_commit = false;
#endif

/* What became of an attempt to run and commit some jobs. */
enum outcome {
    OUT_DECIDED, /* committed: each job's rc holds its answer */
    OUT_UNDO,    /* rolled back: a job failed after writing, the others need another run */
    OUT_MOMENT,  /* rolled back: no room, no memory, or another process would not let go */
    OUT_FATAL,   /* the disk failed: nobody knows what was kept */
    OUT_SAID,    /* the mutant has acknowledged already */
};

/* Give every job its own answer or, with `why`, that one. The batch is empty of jobs afterwards. */
static void
finish_all(struct store *store, struct batch *batch, const struct err *why)
{
    uint64_t n_full = 0;

    for (size_t i = 0; i < batch->n; i++) {
        enum rc rc = why == NULL ? batch->jobs[i]->rc : why->rc;

        n_full += rc == RC_FULL;
        job_finish(batch->jobs[i], rc, why);
    }
    pthread_mutex_lock(&store->lock);
    store->stats.refused_full += n_full;
    pthread_mutex_unlock(&store->lock);
}

/* Is there room for data that an outsider asks to add? (I6) If the question itself fails, the disk
 * will answer soon enough. */
static bool
look_for_room(struct store *store)
{
    int64_t now_us = store_now_us();
    bool had_room = store->has_room;

    if (store->ops->is_private(store->writer.conn))
        return true;
    if (store->room_left >= ROOM_SCARCE && now_us - store->room_seen_us < ROOM_LOOK_US)
        return true;
    if (disk_free(&store->room_left, store->path, NULL) != RC_OK)
        store->room_left = ROOM_SCARCE;
    store->room_seen_us = now_us;
    store->has_room = store->room_left >= STORE_ROOM_RESERVE;
    if (had_room != store->has_room)
        log_event(store->opt.log, store->has_room ? LOG_INFO : LOG_WARN,
                  store->has_room ? "store.room_again" : "store.room_low",
                  LOG_UINT("free_bytes", store->room_left));
    return store->has_room;
}

static enum rc
run_job(struct store *store, struct store_job *job)
{
    struct store_tx *tx = &store->writer;

    job->err = (struct err){.rc = RC_OK};
    tx_job_start(tx, job->is_read);
    if (job->grows && !look_for_room(store))
        job->rc = err_set(&job->err, RC_FULL, "store.room", "the disk is nearly full");
    else
        job->rc = tx_job_end(tx, job->run(job, tx, &job->err), &job->err);
    return job->rc;
}

static enum outcome
outcome_of(enum rc rc)
{
    return rc == RC_FULL || rc == RC_NOMEM || rc == RC_BUSY ? OUT_MOMENT : OUT_FATAL;
}

/* Undo the whole transaction, to the outcome given unless even that fails. */
static enum outcome
roll_back(struct store *store, enum outcome outcome, struct err *why)
{
    struct err err = {.rc = RC_OK};

    if (store->ops->rollback(store->writer.conn, &err) == RC_OK)
        return outcome;
    *why = err;
    return OUT_FATAL;
}

/* Run the jobs in order. With marks, a failing job is undone alone. */
static enum outcome
run_all(struct store *store, struct batch *batch, bool with_marks, struct err *why)
{
    struct store_tx *tx = &store->writer;
    enum rc rc;

    for (size_t i = 0; i < batch->n; i++) {
        if (with_marks && (rc = store->ops->mark(tx->conn, why)) != RC_OK)
            return roll_back(store, outcome_of(rc), why);
        rc = run_job(store, batch->jobs[i]);
        enum rc broken = tx->broken.rc;
        if (broken == RC_FULL || broken == RC_NOMEM || broken == RC_BUSY || broken == RC_IO) {
            *why = tx->broken;
            return broken == RC_IO ? OUT_FATAL : roll_back(store, OUT_MOMENT, why);
        }
        if (rc == RC_OK || !tx->has_written)
            continue;
        if (!with_marks)
            return roll_back(store, OUT_UNDO, why);
        if ((rc = store->ops->undo(tx->conn, why)) != RC_OK)
            return roll_back(store, outcome_of(rc), why);
    }
    return OUT_DECIDED;
}

static void
count_one(struct store *store, uint64_t *counter)
{
    pthread_mutex_lock(&store->lock);
    (*counter)++;
    pthread_mutex_unlock(&store->lock);
}

static enum outcome
attempt(struct store *store, struct batch *batch, bool with_marks, struct err *why)
{
    struct store_tx *tx = &store->writer;
    enum outcome outcome;
    enum rc rc;

    if ((rc = store->ops->begin(tx->conn, true, why)) != RC_OK)
        return outcome_of(rc);
    outcome = run_all(store, batch, with_marks, why);
    if (outcome == OUT_UNDO && batch->n == 1)
        return OUT_DECIDED; /* nobody else to run again */
    if (outcome != OUT_DECIDED)
        return outcome;
    if (acks_before_commit)
        finish_all(store, batch, NULL);
    if ((rc = store->ops->commit(tx->conn, why)) == RC_OK)
        count_one(store, &store->stats.commits);
    else if (outcome_of(rc) == OUT_FATAL)
        outcome = OUT_FATAL; /* no rollback: it would say more than we know */
    else
        outcome = roll_back(store, OUT_MOMENT, why);
    if (acks_before_commit && outcome == OUT_FATAL)
        store_fail(store, why);
    return acks_before_commit ? OUT_SAID : outcome;
}

static void
settle(struct store *store, struct batch *batch, enum outcome outcome, const struct err *why)
{
    switch (outcome) {
    case OUT_DECIDED:
        finish_all(store, batch, NULL);
        break;
    case OUT_FATAL:
        store_fail(store, why);
        /* fall through */
    case OUT_MOMENT:
    case OUT_UNDO:
        finish_all(store, batch, why);
        break;
    case OUT_SAID:
        break;
    }
}

/* The batch as a whole does not fit: perhaps some of its jobs do. */
static void
run_one_by_one(struct store *store, const struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        struct batch one = {.jobs = {batch->jobs[i]}, .n = 1};
        struct err why = {.rc = RC_OK};
        enum outcome outcome = OUT_FATAL;

        if (!store_has_failed(store, &why))
            outcome = attempt(store, &one, false, &why);
        settle(store, &one, outcome, &why);
    }
}

static void
run_batch(struct store *store, struct batch *batch)
{
    struct err why = {.rc = RC_OK};
    enum outcome outcome;

    if (store_has_failed(store, &why)) {
        finish_all(store, batch, &why);
        return;
    }
    outcome = attempt(store, batch, false, &why);
    if (outcome == OUT_UNDO) {
        count_one(store, &store->stats.reruns);
        outcome = attempt(store, batch, true, &why);
    }
    if (outcome == OUT_MOMENT && why.rc != RC_BUSY && batch->n > 1) {
        count_one(store, &store->stats.reruns);
        run_one_by_one(store, batch);
        return;
    }
    settle(store, batch, outcome, &why);
}

void
writer_tidy(struct store *store, bool is_idle)
{
    struct err why = {.rc = RC_OK};

    if (store_has_failed(store, &why))
        return;
    if (store->ops->tidy(store->writer.conn, is_idle, &why) == RC_IO)
        store_fail(store, &why);
}

void *
writer_main(void *arg)
{
    struct store *store = arg;
    struct batch batch = {.n = 0};
    struct rhythm rhythm = {.gap_us = 2 * (int64_t)store->opt.commit_delay_us};

    pthread_mutex_lock(&store->lock);
    while (batch_gather(store, &batch, &rhythm)) {
        store->stats.jobs += batch.n;
        pthread_mutex_unlock(&store->lock);
        run_batch(store, &batch);
        writer_tidy(store, false);
        pthread_mutex_lock(&store->lock);
    }
    pthread_mutex_unlock(&store->lock);
    return NULL;
}
