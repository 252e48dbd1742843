/* outcome.c - what became of attempts, into the store; parked rows back out of it; old rows away.
 *
 * Outcomes are gathered while a batch is with the store, so that at any rate there is one job for
 * many of them. An event whose outcome is not stored yet stays in the index, so it is not sent
 * twice; after a crash it is (I20 allows that, I21 makes it recognisable). */
#include "hooks/parts.h"

#include <stdlib.h>
#include <string.h>

#include "hooks/schedule.h"

#define SWEEP_EVERY_MS (3600 * 1000)
#define SWEEP_ACCOUNTS_MAX 256u
#define GRACE_TRIED_MS (3ll * 3600 * 1000) /* longer than any pause between two attempts */
#define GRACE_UNTRIED_MS (24ll * 3600 * 1000)

struct batch {
    struct store_job job;
    struct hooks_pump *pump;
    struct hook_outcome *outcomes;
};

/* ---- outcomes ---- */

void
outcome_add(struct hooks_pump *pump, enum outcome_kind kind, struct hook_item *item)
{
    struct hook_outcome *o = calloc(1, sizeof(*o));

    pump_wake(pump);
    if (o == NULL)
        return; /* not recorded: it goes out again after the next start */
    *o = (struct hook_outcome){.kind = kind,
                               .account = item->account,
                               .seq = item->seq,
                               .tries = item->tries,
                               .next_ms = item->next_ms,
                               .item = kind == OUTCOME_RETRY ? NULL : item};
    if (pump->last_outcome == NULL)
        pump->outcomes = o;
    else
        pump->last_outcome->next = o;
    pump->last_outcome = o;
}

static enum rc
store_one(struct store_tx *tx, const struct hook_outcome *o, struct err *err)
{
    switch (o->kind) {
    case OUTCOME_RETRY:
        return store_run(tx, &hooks_part, SQL_RETRY, NULL, err,
                         ST_ARGS(ST_I(o->account), ST_I(o->seq), ST_I(o->tries), ST_I(o->next_ms)));
    case OUTCOME_PARK:
        return store_run(tx, &hooks_part, SQL_PARK, NULL, err,
                         ST_ARGS(ST_I(o->account), ST_I(o->seq), ST_I(o->tries)));
    case OUTCOME_TAKEN:
    case OUTCOME_DROP:
        break;
    }
    return store_run(tx, &hooks_part, SQL_TAKEN, NULL, err,
                     ST_ARGS(ST_I(o->account), ST_I(o->seq)));
}

static enum rc
batch_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct batch *batch = OWNER_OF(job, struct batch, job);
    enum rc rc = RC_OK;

    for (struct hook_outcome *o = batch->outcomes; rc == RC_OK && o != NULL; o = o->next)
        rc = store_one(tx, o, err);
    return rc;
}

static void
release_outcomes(struct hooks_pump *pump, struct hook_outcome *list)
{
    for (struct hook_outcome *o = list, *next; o != NULL; o = next) {
        next = o->next;
        if (o->item != NULL && !pump->is_closing)
            item_forget(pump, o->item);
        free(o);
    }
}

/* The store would not: they go in front of what came since, for the next batch. */
static void
put_back(struct hooks_pump *pump, struct hook_outcome *list)
{
    struct hook_outcome *last = list;

    while (last->next != NULL)
        last = last->next;
    last->next = pump->outcomes;
    if (pump->outcomes == NULL)
        pump->last_outcome = last;
    pump->outcomes = list;
    pump->is_paused = true;
}

static void
batch_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct batch *batch = OWNER_OF(job, struct batch, job);
    struct hooks_pump *pump = batch->pump;

    pump->n_batches--;
    if (rc == RC_OK || pump->is_closing) {
        release_outcomes(pump, batch->outcomes);
    } else {
        log_event(pump->opt.log, LOG_WARN, "hooks.store_failed", LOG_RC(err));
        put_back(pump, batch->outcomes);
    }
    free(batch);
    pump_wake(pump);
    pump_unref(pump);
}

void
outcomes_store(struct hooks_pump *pump, bool even_if_busy)
{
    struct batch *batch;

    if (pump->outcomes == NULL || (!even_if_busy && (pump->n_batches > 0 || pump->is_paused)) ||
        (batch = calloc(1, sizeof(*batch))) == NULL)
        return;
    batch->pump = pump;
    batch->outcomes = pump->outcomes;
    batch->job = (struct store_job){.run = batch_run, .done = batch_done, .loop = pump->opt.loop};
    pump->outcomes = pump->last_outcome = NULL;
    pump->n_batches++;
    pump->refs++;
    store_submit(pump->opt.store, &batch->job);
}

bool
outcomes_are_idle(const struct hooks_pump *pump)
{
    return pump->outcomes == NULL && pump->n_batches == 0 && pump->n_replays == 0 &&
           !pump->is_sweeping;
}

void
outcomes_free(struct hooks_pump *pump)
{
    release_outcomes(pump, pump->outcomes);
}

/* ---- pages of accounts, for replay and sweep ---- */

struct page {
    uint64_t accounts[SWEEP_ACCOUNTS_MAX];
    uint32_t n;
};

static enum rc
read_page(struct page *page, struct store_tx *tx, uint64_t after)
{
    struct store_rows rows;

    page->n = 0;
    store_query(&rows, tx, &hooks_part, SQL_ACCOUNT_PAGE,
                ST_ARGS(ST_I(after), ST_I(SWEEP_ACCOUNTS_MAX)));
    for (; rows.has_row && page->n < SWEEP_ACCOUNTS_MAX; store_next(&rows))
        page->accounts[page->n++] = (uint64_t)store_col_int(&rows, 0);
    store_rows_end(&rows);
    return rows.rc;
}

/* ---- replay ---- */

struct replay {
    struct store_job job;
    struct hooks_pump *pump;
    uint64_t account; /* 0: all */
    int64_t now_ms;
    uint64_t count;
    void (*fn)(void *ctx, uint64_t count);
    void *ctx;
};

static enum rc
replay_account(struct replay *replay, struct store_tx *tx, uint64_t account, struct err *err)
{
    uint64_t changed = 0;
    enum rc rc = store_run(tx, &hooks_part, SQL_REPLAY, &changed, err,
                           ST_ARGS(ST_I(account), ST_I(replay->now_ms)));

    replay->count += changed;
    return rc;
}

static enum rc
replay_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct replay *replay = OWNER_OF(job, struct replay, job);
    struct page page = {.n = SWEEP_ACCOUNTS_MAX};
    uint64_t after = 0;
    enum rc rc = RC_OK;

    replay->count = 0;
    if (replay->account != 0)
        return replay_account(replay, tx, replay->account, err);
    while (rc == RC_OK && page.n == SWEEP_ACCOUNTS_MAX) {
        rc = read_page(&page, tx, after);
        for (uint32_t i = 0; rc == RC_OK && i < page.n; i++) {
            after = page.accounts[i];
            rc = replay_account(replay, tx, after, err);
        }
    }
    return rc;
}

static void
replay_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct replay *replay = OWNER_OF(job, struct replay, job);
    struct hooks_pump *pump = replay->pump;

    pump->n_replays--;
    if (rc != RC_OK)
        log_event(pump->opt.log, LOG_WARN, "hooks.replay_failed", LOG_RC(err));
    if (!pump->is_closing) {
        if (replay->account != 0)
            discover_again(pump, replay->account);
        else
            discover_all_again(pump);
        targets_try_now(pump);
        replay->fn(replay->ctx, rc == RC_OK ? replay->count : 0);
    }
    free(replay);
    pump_unref(pump);
}

void
hooks_pump_replay(struct hooks_pump *pump, uint64_t account, void (*fn)(void *ctx, uint64_t count),
                  void *ctx)
{
    struct replay *replay = calloc(1, sizeof(*replay));

    if (replay == NULL)
        abort(); /* the caller would wait for ever */
    *replay = (struct replay){
        .job = {.run = replay_run, .done = replay_done, .loop = pump->opt.loop},
        .pump = pump,
        .account = account,
        .now_ms = pump_now(pump),
        .fn = fn,
        .ctx = ctx
    };
    pump->n_replays++;
    pump->refs++;
    store_submit(pump->opt.store, &replay->job);
}

/* ---- the sweep ---- */

struct sweep {
    struct store_job job;
    struct hooks_pump *pump;
    int64_t now_ms;
    uint64_t after;
    struct page page;
    uint64_t n_parked, n_forgotten;
};

static enum rc
sweep_account(struct sweep *sweep, struct store_tx *tx, uint64_t account, struct err *err)
{
    uint64_t changed = 0;
    enum rc rc = store_run(tx, &hooks_part, SQL_FORGET, &changed, err,
                           ST_ARGS(ST_I(account), ST_I(sweep->now_ms - HOOKS_RETENTION_MS)));

    sweep->n_forgotten += changed;
    for (int p = 0; rc == RC_OK && p < HOOKS_PROFILES; p++) {
        int64_t since_ms = sweep->now_ms - schedule_window_ms((enum hooks_profile)p);

        changed = 0;
        rc = store_run(tx, &hooks_part, SQL_PARK_OLD, &changed, err,
                       ST_ARGS(ST_I(account), ST_I(p), ST_I(since_ms - GRACE_TRIED_MS),
                               ST_I(since_ms - GRACE_UNTRIED_MS)));
        sweep->n_parked += changed;
    }
    return rc;
}

static enum rc
sweep_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct sweep *sweep = OWNER_OF(job, struct sweep, job);
    enum rc rc = read_page(&sweep->page, tx, sweep->after);

    sweep->n_parked = sweep->n_forgotten = 0;
    for (uint32_t i = 0; rc == RC_OK && i < sweep->page.n; i++)
        rc = sweep_account(sweep, tx, sweep->page.accounts[i], err);
    return rc;
}

static void
sweep_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct sweep *sweep = OWNER_OF(job, struct sweep, job);
    struct hooks_pump *pump = sweep->pump;
    bool has_more = rc == RC_OK && sweep->page.n == SWEEP_ACCOUNTS_MAX;

    if (rc == RC_OK && sweep->n_parked + sweep->n_forgotten > 0)
        log_event(pump->opt.log, LOG_INFO, "hooks.swept", LOG_UINT("parked", sweep->n_parked),
                  LOG_UINT("forgotten", sweep->n_forgotten));
    if (rc == RC_OK)
        pump->stats.parked += sweep->n_parked;
    if (has_more && !pump->is_closing) {
        sweep->after = sweep->page.accounts[sweep->page.n - 1];
        store_submit(pump->opt.store, &sweep->job);
        return;
    }
    pump->is_sweeping = false;
    free(sweep);
    pump_wake(pump);
    pump_unref(pump);
}

void
sweep_if_due(struct hooks_pump *pump, int64_t now_ms)
{
    struct sweep *sweep;

    if (now_ms < pump->next_sweep_ms || pump->is_sweeping ||
        (sweep = calloc(1, sizeof(*sweep))) == NULL)
        return;
    *sweep = (struct sweep){
        .job = {.run = sweep_run, .done = sweep_done, .loop = pump->opt.loop},
        .pump = pump,
        .now_ms = now_ms
    };
    pump->next_sweep_ms = now_ms + SWEEP_EVERY_MS;
    pump->is_sweeping = true;
    pump->refs++;
    store_submit(pump->opt.store, &sweep->job);
}
