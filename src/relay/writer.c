/* writer.c - batches: gather, run in one transaction, hand out what came of it.
 *
 * Owns the open batches (one for publishes, which a full disk refuses, one for acks, which it must
 * not: I6). A batch may be run more than once; every outcome is set anew.
 * Must never answer before the commit that covers the answer. */
#include "relay/writer.h"

#include <stdlib.h>

#include "relay/core.h"
#include "relay/deliver.h"
#include "relay/enqueue.h"
#include "relay/server.h"

struct batch;

/* What a batch has for one loop. */
struct handover {
    struct loop_post post;
    struct batch *batch;
    struct worker *worker;
    struct work *results, **results_end;
    struct parcel *parcels, **parcels_end;
};

struct batch {
    struct store_job job;
    struct relay *relay;
    _Atomic uint32_t refs; /* handovers under way */
    enum work_kind kind;
    uint32_t n;
    struct work *first, **last;
    enum rc rc;
    struct handover out[RELAY_LOOPS_MAX];
};

struct writer {
    struct relay *relay;
    pthread_mutex_t lock;  /* guards open */
    struct batch *open[2]; /* by work_kind: handed to the store, not begun yet */
    _Atomic size_t bytes;  /* of publishes under way */
};

enum rc
writer_new(struct writer **out, struct relay *relay, struct err *err)
{
    struct writer *w = *out = calloc(1, sizeof(*w));

    if (w == NULL)
        return err_set(err, RC_NOMEM, "relay.writer", "out of memory");
    w->relay = relay;
    pthread_mutex_init(&w->lock, NULL);
    return RC_OK;
}

void
writer_free(struct writer **writer)
{
    if (*writer == NULL)
        return;
    pthread_mutex_destroy(&(*writer)->lock);
    free(*writer);
    *writer = NULL;
}

void
publish_unref(struct publish *publish)
{
    if (atomic_fetch_sub(&publish->refs, 1) == 1)
        free(publish);
}

/* ---- on the store's thread ---- */

/* From here on new work starts a new batch. */
static void
close_batch(struct writer *w, struct batch *batch)
{
    pthread_mutex_lock(&w->lock);
    if (w->open[batch->kind] == batch)
        w->open[batch->kind] = NULL;
    pthread_mutex_unlock(&w->lock);
}

static enum rc
run_batch(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct batch *batch = (struct batch *)job;
    struct inbox *inbox = batch->relay->inbox;
    struct enqueue_totals totals;
    enum rc rc = RC_OK;

    close_batch(batch->relay->writer, batch);
    inbox_begin(inbox, tx, relay_now_ms(batch->relay));
    enqueue_totals_begin(&totals);
    for (struct work *work = batch->first; work != NULL && rc == RC_OK; work = work->next) {
        if (work->kind == WORK_PUBLISH)
            rc = enqueue_publish(inbox, &totals, (struct publish *)work, err);
        else
            rc = enqueue_ack(inbox, (struct ack_work *)work, err);
        if (rc == RC_OK)
            rc = inbox_make_room(inbox, err);
    }
    if (rc == RC_OK)
        rc = enqueue_totals_write(&totals, inbox, err);
    return rc == RC_OK ? inbox_finish(inbox, err) : rc;
}

static void
route_parcels(struct batch *batch, struct publish *publish)
{
    for (uint32_t i = 0; i < publish->n; i++) {
        struct parcel *p = &publish->parcels[i];
        struct handover *to;

        if (p->envelope.seq == 0 ||
            !registry_find(batch->relay->registry, &p->route, p->envelope.account,
                           p->envelope.device, p->envelope.lane))
            continue;
        to = &batch->out[p->route.worker->index];
        atomic_fetch_add(&publish->refs, 1);
        p->next = NULL;
        *to->parcels_end = p;
        to->parcels_end = &p->next;
    }
}

static void
sort_out(struct batch *batch)
{
    for (struct work *work = batch->first, *next; work != NULL; work = next) {
        struct handover *to = &batch->out[work->worker->index];

        next = work->next;
        if (work->kind == WORK_PUBLISH && batch->rc == RC_OK)
            route_parcels(batch, (struct publish *)work);
        work->next = NULL;
        *to->results_end = work;
        to->results_end = &work->next;
    }
}

static void hand_over(struct loop_post *post);

static void
batch_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct batch *batch = (struct batch *)job;
    unsigned n = batch->relay->n_workers, n_posts = 0;

    close_batch(batch->relay->writer, batch); /* a full disk refuses a batch without running it */
    batch->rc = rc;
    if (rc != RC_OK)
        log_event(batch->relay->log, LOG_WARN, "batch.refused", LOG_UINT("works", batch->n),
                  LOG_RC(err));
    for (unsigned i = 0; i < n; i++) {
        batch->out[i] = (struct handover){.batch = batch, .worker = &batch->relay->workers[i]};
        batch->out[i].post.fn = hand_over;
        batch->out[i].results_end = &batch->out[i].results;
        batch->out[i].parcels_end = &batch->out[i].parcels;
    }
    sort_out(batch);
    for (unsigned i = 0; i < n; i++)
        n_posts += batch->out[i].results != NULL || batch->out[i].parcels != NULL;
    atomic_store(&batch->refs, n_posts);
    for (unsigned i = 0, left = n_posts; left > 0; i++) { /* the last post may free the batch */
        if (batch->out[i].results == NULL && batch->out[i].parcels == NULL)
            continue;
        left--;
        loop_post(batch->out[i].worker->loop, &batch->out[i].post);
    }
}

/* ---- on the loops ---- */

static void
hand_results(struct handover *h)
{
    struct relay *relay = h->batch->relay;

    for (struct work *work = h->results, *next; work != NULL; work = next) {
        next = work->next;
        if (work->kind == WORK_PUBLISH) {
            atomic_fetch_sub(&relay->writer->bytes, ((struct publish *)work)->bytes);
            enqueue_publish_answer((struct publish *)work, h->batch->rc);
        } else {
            enqueue_ack_answer((struct ack_work *)work, h->batch->rc);
        }
    }
}

static void
hand_over(struct loop_post *post)
{
    struct handover *h = (struct handover *)post;
    struct batch *batch = h->batch;

    for (struct parcel *p = h->parcels, *next; p != NULL; p = next) {
        struct peer *peer = worker_peer(h->worker, p->route.slot, p->route.turn);

        next = p->next;
        if (peer != NULL)
            deliver_parcel(peer, p);
        publish_unref(p->publish);
    }
    hand_results(h);
    if (atomic_fetch_sub(&batch->refs, 1) == 1)
        free(batch);
}

static struct batch *
open_batch(struct writer *w, enum work_kind kind)
{
    struct batch *batch = calloc(1, sizeof(*batch));

    if (batch == NULL)
        return NULL;
    batch->relay = w->relay;
    batch->kind = kind;
    batch->last = &batch->first;
    batch->job.run = run_batch;
    batch->job.done = batch_done;
    batch->job.grows = kind == WORK_PUBLISH;
    return batch;
}

bool
writer_submit(struct writer *writer, struct work *work)
{
    size_t bytes = work->kind == WORK_PUBLISH ? ((struct publish *)work)->bytes : 0;
    struct batch *batch, *fresh = NULL;

    if (writer->relay->store == NULL)
        return false; /* the relay is ending */
    if (atomic_fetch_add(&writer->bytes, bytes) + bytes > WRITER_BYTES_MAX) {
        atomic_fetch_sub(&writer->bytes, bytes);
        return false;
    }
    pthread_mutex_lock(&writer->lock);
    batch = writer->open[work->kind];
    if (batch == NULL || batch->n >= WRITER_BATCH_MAX)
        batch = fresh = writer->open[work->kind] = open_batch(writer, work->kind);
    if (batch != NULL) {
        work->next = NULL;
        *batch->last = work;
        batch->last = &work->next;
        batch->n++;
        if (fresh != NULL) /* under the lock: batches reach the store in the order they opened */
            store_submit(writer->relay->store, &fresh->job);
    } else {
        atomic_fetch_sub(&writer->bytes, bytes);
    }
    pthread_mutex_unlock(&writer->lock);
    return batch != NULL;
}

/* ---- pokes: a queue grew without a parcel at hand ---- */

struct poke_post {
    struct loop_post post;
    struct route route;
    struct poke poke;
};

static void
poke_peer(struct loop_post *post)
{
    struct poke_post *p = (struct poke_post *)post;
    struct peer *peer = worker_peer(p->route.worker, p->route.slot, p->route.turn);

    if (peer != NULL)
        deliver_poke(peer, p->poke.lane, p->poke.seq);
    free(p);
}

void
writer_poke(struct relay *relay, const struct poke *poke)
{
    struct route route;
    struct poke_post *p;

    if (!registry_find(relay->registry, &route, poke->account, poke->device, poke->lane))
        return;
    p = calloc(1, sizeof(*p));
    if (p == NULL)
        return; /* the next envelope, or the next login, brings it up */
    *p = (struct poke_post){.post.fn = poke_peer, .route = route, .poke = *poke};
    loop_post(route.worker->loop, &p->post);
}
