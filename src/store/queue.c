/* queue.c - jobs in line for a store thread, and the thread's way of waiting for them.
 *
 * Owns nothing: jobs belong to their callers, who also bound how many there can be (the line is
 * linked through the jobs themselves, so queueing never allocates and never fails). A waiting
 * thread is woken only when the line has grown to the length it asked for: a thread that gathers a
 * batch sleeps through the arrivals in between. Everything but line_start and line_stop needs the
 * store's lock. */
#include "store/internal.h"

#include <signal.h>
#include <time.h>

/* A platform at rest runs many of these; what jobs need is far less. Sanitizers widen every frame.
 */
#ifdef __SANITIZE_ADDRESS__
#define STACK_BYTES (4u * 1024 * 1024)
#else
#define STACK_BYTES (512u * 1024)
#endif

int64_t
store_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void
queue_push(struct job_queue *queue, struct store_job *job)
{
    job->next = NULL;
    if (queue->last == NULL)
        queue->first = job;
    else
        queue->last->next = job;
    queue->last = job;
    queue->n++;
}

struct store_job *
queue_pop(struct job_queue *queue)
{
    struct store_job *job = queue->first;

    if (job == NULL)
        return NULL;
    queue->first = job->next;
    if (queue->first == NULL)
        queue->last = NULL;
    queue->n--;
    job->next = NULL;
    return job;
}

void
line_push(struct job_line *line, struct store_job *job)
{
    job->submitted_us = store_now_us();
    queue_push(&line->queue, job);
    if (line->wake_at != 0 && line->queue.n >= line->wake_at) {
        line->wake_at = 0;
        pthread_cond_signal(&line->cond);
    }
}

void
line_wait(struct store *store, struct job_line *line, size_t wake_at, int64_t at_most_us)
{
    struct timespec until;
    int64_t until_us = store_now_us() + at_most_us;
    int failed = 0;

    until.tv_sec = until_us / 1000000;
    until.tv_nsec = (until_us % 1000000) * 1000;
    line->wake_at = wake_at;
    while (line->queue.n < wake_at && !store->is_closing && failed == 0) {
        if (at_most_us < 0)
            failed = pthread_cond_wait(&line->cond, &store->lock);
        else
            failed = pthread_cond_timedwait(&line->cond, &store->lock, &until);
    }
    line->wake_at = 0;
}

enum rc
line_start(struct job_line *line, void *(*body)(void *), void *arg, const char *name,
           struct err *err)
{
    pthread_condattr_t cond_attr;
    pthread_attr_t attr;
    sigset_t all, before;
    int failed;

    pthread_condattr_init(&cond_attr);
    pthread_condattr_setclock(&cond_attr, CLOCK_MONOTONIC);
    pthread_cond_init(&line->cond, &cond_attr);
    pthread_condattr_destroy(&cond_attr);

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigfillset(&all); /* signals are the loop's business */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&line->thread, &attr, body, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (failed != 0) {
        pthread_cond_destroy(&line->cond);
        return err_errno(err, RC_NOMEM, "store.open", failed, "no thread");
    }
    pthread_setname_np(line->thread, name);
    line->is_started = true;
    return RC_OK;
}

void
line_stop(struct job_line *line)
{
    if (!line->is_started)
        return;
    pthread_cond_signal(&line->cond); /* is_closing is already set */
    pthread_join(line->thread, NULL);
    pthread_cond_destroy(&line->cond);
    line->is_started = false;
}
