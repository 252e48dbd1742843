/* reader.c - the thread that only reads: one job, one snapshot, on a connection of its own.
 *
 * A snapshot is taken when the job runs, so it holds every commit whose done() was posted before
 * the job was submitted. Reading never waits for the writer, nor the writer for it. Source:
 * docs/protocol/store.md, "Reading". */
#include "store/internal.h"

static enum rc
run_in_snapshot(struct store *store, struct store_job *job, struct err *why)
{
    struct store_tx *tx = &store->reader;
    enum rc rc;

    if ((rc = store->ops->begin(tx->conn, false, why)) != RC_OK)
        return rc;
    tx_job_start(tx, true);
    job->rc = tx_job_end(tx, job->run(job, tx, &job->err), &job->err);
    if (tx->broken.rc == RC_IO) {
        *why = tx->broken;
        return RC_IO;
    }
    return store->ops->rollback(tx->conn, why); /* nothing to keep */
}

static void
read_one(struct store *store, struct store_job *job)
{
    struct err why = {.rc = RC_OK};
    enum rc rc;

    if (store_has_failed(store, &why)) {
        job_finish(job, why.rc, &why);
        return;
    }
    job->err = (struct err){.rc = RC_OK};
    rc = run_in_snapshot(store, job, &why);
    if (rc == RC_IO)
        store_fail(store, &why);
    if (rc == RC_OK)
        job_finish(job, job->rc, NULL);
    else
        job_finish(job, rc, &why);
}

void *
reader_main(void *arg)
{
    struct store *store = arg;
    struct store_job *job;

    pthread_mutex_lock(&store->lock);
    for (;;) {
        if (store->reads.queue.n == 0)
            line_wait(store, &store->reads, 1, -1);
        if ((job = queue_pop(&store->reads.queue)) == NULL)
            break;
        store->stats.jobs++;
        pthread_mutex_unlock(&store->lock);
        read_one(store, job);
        pthread_mutex_lock(&store->lock);
    }
    pthread_mutex_unlock(&store->lock);
    return NULL;
}
