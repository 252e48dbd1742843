/* sweep.c - the passes: look whether something is due, take a bite, again.
 *
 * Owns the timer, the job and those who wait for the end. An idle pass only reads. */
#include "relay/sweep.h"

#include <stdlib.h>

#include "relay/core.h"
#include "relay/due.h"

struct waiter {
    struct waiter *next;
    void (*fn)(void *ctx, enum rc rc);
    void *ctx;
};

struct sweeper {
    struct relay *relay;
    struct loop_timer timer;
    struct store_job job;
    bool is_running, must_go_on, is_stopped;
    bool has_due;
    int64_t noted_ms; /* monotonic: when the clock was last written down */
    struct due_bite bite;
    struct waiter *waiting, *next_waiting; /* for this run, for the one after */
};

static void start(struct sweeper *s);

static enum rc
look(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct sweeper *s = (struct sweeper *)((char *)job - offsetof(struct sweeper, job));
    struct store_rows rows;

    store_query(&rows, tx, &relay_part, SQL_DUE_NOW,
                ST_ARGS(ST_I(relay_now_ms(s->relay)), ST_I(1)));
    s->has_due = rows.has_row;
    store_rows_end(&rows);
    return rows.rc == RC_OK ? RC_OK : err_set(err, rows.rc, "relay.sweep", "cannot look");
}

static enum rc
bite(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct sweeper *s = (struct sweeper *)((char *)job - offsetof(struct sweeper, job));
    int64_t now_ms = relay_now_ms(s->relay);
    enum rc rc;

    inbox_begin(s->relay->inbox, tx, now_ms);
    if ((rc = due_take_bite(s->relay->inbox, &s->bite, err)) != RC_OK ||
        (rc = inbox_finish(s->relay->inbox, err)) != RC_OK)
        return rc;
    return store_run(tx, &relay_part, SQL_NOTE_PUT, NULL, err,
                     ST_ARGS(ST_I(NOTE_CLOCK_SEEN), ST_I(now_ms)));
}

static void
end(struct sweeper *s, enum rc rc)
{
    struct waiter *w = s->waiting, *next;

    s->is_running = false;
    s->waiting = s->next_waiting;
    s->next_waiting = NULL;
    for (; w != NULL; w = next) {
        next = w->next;
        w->fn(w->ctx, rc);
        free(w);
    }
    if ((s->must_go_on || s->waiting != NULL) && !s->is_stopped)
        start(s);
}

static void
bitten(struct store_job *job, enum rc rc, const struct err *err)
{
    struct sweeper *s = (struct sweeper *)((char *)job - offsetof(struct sweeper, job));

    if (rc != RC_OK) {
        log_event(s->relay->log, LOG_WARN, "sweep.failed", LOG_RC(err));
        end(s, rc);
        return;
    }
    s->noted_ms = clock_mono_ms(s->relay->clock);
    if (s->bite.expired + s->bite.returned + s->bite.forgotten > 0)
        log_event(s->relay->log, LOG_INFO, "sweep", LOG_UINT("expired", s->bite.expired),
                  LOG_UINT("returned", s->bite.returned), LOG_UINT("forgotten", s->bite.forgotten));
    for (size_t i = 0; i < s->bite.n_pokes; i++)
        writer_poke(s->relay, &s->bite.pokes[i]);
    if (s->is_stopped)
        end(s, RC_CLOSED);
    else
        start(s); /* until a look finds nothing */
}

static void
looked(struct store_job *job, enum rc rc, const struct err *err)
{
    struct sweeper *s = (struct sweeper *)((char *)job - offsetof(struct sweeper, job));
    bool is_old = clock_mono_ms(s->relay->clock) - s->noted_ms >= SWEEP_NOTE_CLOCK_MS;

    if (rc != RC_OK || s->is_stopped || (!s->has_due && !is_old)) {
        end(s, rc);
        return;
    }
    s->job = (struct store_job){.run = bite, .done = bitten, .loop = s->relay->loop};
    store_submit(s->relay->store, &s->job);
}

static void
start(struct sweeper *s)
{
    s->is_running = true;
    s->must_go_on = false;
    s->job = (struct store_job){.run = look, .done = looked, .loop = s->relay->loop};
    store_read(s->relay->store, &s->job);
}

void
sweeper_run(struct sweeper *s, void (*fn)(void *ctx, enum rc rc), void *ctx)
{
    struct waiter *w = fn == NULL ? NULL : calloc(1, sizeof(*w));
    struct waiter **list = s->is_running ? &s->next_waiting : &s->waiting;

    if (fn != NULL && (w == NULL || s->is_stopped)) {
        free(w);
        fn(ctx, w == NULL ? RC_NOMEM : RC_CLOSED);
        return;
    }
    if (w != NULL) {
        *w = (struct waiter){.next = *list, .fn = fn, .ctx = ctx};
        *list = w;
    }
    if (s->is_running)
        s->must_go_on = true;
    else if (!s->is_stopped)
        start(s);
}

static void
on_timer(struct loop_timer *timer)
{
    struct sweeper *s = (struct sweeper *)((char *)timer - offsetof(struct sweeper, timer));

    if (!s->is_running)
        start(s);
}

enum rc
sweeper_new(struct sweeper **out, struct relay *relay, struct err *err)
{
    struct sweeper *s = *out = calloc(1, sizeof(*s));

    if (s == NULL)
        return err_set(err, RC_NOMEM, "relay.sweep", "out of memory");
    s->relay = relay;
    s->noted_ms = clock_mono_ms(relay->clock);
    loop_timer_init(relay->loop, &s->timer, on_timer);
    loop_timer_start(&s->timer, SWEEP_EVERY_MS, SWEEP_EVERY_MS);
    return RC_OK;
}

static void
timer_closed(struct loop_timer *timer)
{
    free((char *)timer - offsetof(struct sweeper, timer));
}

void
sweeper_stop(struct sweeper *sweeper)
{
    sweeper->is_stopped = true;
    loop_timer_stop(&sweeper->timer);
}

void
sweeper_free(struct sweeper **sweeper)
{
    struct sweeper *s = *sweeper;

    *sweeper = NULL;
    if (s == NULL)
        return;
    for (struct waiter *w = s->next_waiting, *next; w != NULL; w = next) {
        next = w->next;
        w->fn(w->ctx, RC_CLOSED);
        free(w);
    }
    loop_timer_close(&s->timer, timer_closed); /* freed by the loop's next pass, or its end */
}
