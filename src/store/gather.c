/* gather.c - how long the writer waits, and for whom: jobs become batches.
 *
 * Owns the promise that a job waits at most commit_delay_us for company and a batch has at most
 * batch_max jobs. Everything in between is a guess that costs only time: from how jobs have been
 * coming it decides whether a flush now, or a fuller one a little later, serves them better.
 * Source: docs/protocol/store.md, "Batches". */
#include "store/internal.h"

/* How long the writer looks out for one more job, by how fast they have been coming. */
#define LOOKOUT_LEAST_US 100
#define LOOKOUT_MOST_US 500
#define VAIN_SHIFT_MAX 6 /* after waits in vain, up to 2^6 batches go without one */
/* How long nothing must have come before the log is folded away and memory given back. */
#define IDLE_US 1000000

/* A new batch starts: how far apart do jobs come? */
static void
feel(struct rhythm *rhythm, const struct store *store, size_t last_n)
{
    int64_t first_us = store->writes.queue.first->submitted_us;
    int64_t most_us = 2 * (int64_t)store->opt.commit_delay_us;
    int64_t gap_us = last_n == 0 ? most_us : (first_us - rhythm->last_us) / (int64_t)last_n;

    if (gap_us > most_us)
        gap_us = most_us; /* a night's rest must not be remembered for long */
    rhythm->gap_us += (gap_us - rhythm->gap_us) / 4;
    rhythm->last_us = first_us;
}

static int64_t
lookout_us(const struct rhythm *rhythm)
{
    int64_t us = 2 * rhythm->gap_us;

    if (us < LOOKOUT_LEAST_US)
        return LOOKOUT_LEAST_US;
    return us > LOOKOUT_MOST_US ? LOOKOUT_MOST_US : us;
}

/* Wait for company as long as it keeps coming. Waiting pays where jobs come by themselves: fewer
 * flushes, less work for each. It does not where everybody who could come is waiting for us, nor
 * when little comes at all; so a wait in vain makes the writer skip the next ones, ever more of
 * them. */
static void
wait_for_company(struct store *store, struct rhythm *rhythm)
{
    struct job_line *line = &store->writes;
    size_t deep = (store->opt.batch_max + 1) / 2, alone = line->queue.n;
    int64_t until_us = line->queue.first->submitted_us + store->opt.commit_delay_us;

    if (alone >= deep || store_now_us() >= until_us ||
        rhythm->gap_us > (int64_t)store->opt.commit_delay_us)
        return;
    if (rhythm->skip > 0) {
        rhythm->skip--;
        return;
    }
    while (line->queue.n < deep && !store->is_closing) {
        size_t seen = line->queue.n;
        int64_t left_us = until_us - store_now_us(), slice_us = lookout_us(rhythm);

        if (left_us <= 0)
            break;
        line_wait(store, line, deep, left_us < slice_us ? left_us : slice_us);
        if (line->queue.n == seen)
            break;
    }
    rhythm->vain = line->queue.n > alone ? 0 : rhythm->vain + (rhythm->vain < VAIN_SHIFT_MAX);
    rhythm->skip = rhythm->vain == 0 ? 0 : 1u << rhythm->vain;
}

/* Fill the batch. Needs the lock. False: the store closes and nothing is left. */
bool
batch_gather(struct store *store, struct batch *batch, struct rhythm *rhythm)
{
    struct job_line *line = &store->writes;

    if (line->queue.n == 0)
        line_wait(store, line, 1, IDLE_US);
    if (line->queue.n == 0 && !store->is_closing) {
        pthread_mutex_unlock(&store->lock);
        writer_tidy(store, true);
        pthread_mutex_lock(&store->lock);
        line_wait(store, line, 1, -1);
    }
    if (line->queue.n == 0)
        return false;
    feel(rhythm, store, batch->n);
    wait_for_company(store, rhythm);
    for (batch->n = 0; batch->n < store->opt.batch_max && line->queue.n > 0; batch->n++)
        batch->jobs[batch->n] = queue_pop(&line->queue);
    return true;
}
