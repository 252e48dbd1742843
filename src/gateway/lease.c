/* lease.c - at most one instance acts for a number (I29): a row with holder and epoch.
 *
 * The lease only keeps instances from competing; what makes it safe is that every transaction
 * checks holder and epoch (lease_guard), and that the relay remembers the highest epoch it has
 * seen. A node that starts again under its own name takes its lease back at once: its caller holds
 * the lock of that name. Times are of this machine's boot clock; a row of another boot has run out.
 * Source: docs/delivery.md, "Fencing". */
#include <stdlib.h>

#include "gateway/internal.h"

#define LEAP_MAX (1u << 20)

struct lease_job {
    struct store_job job;
    struct number *number;
    uint64_t leap;
    uint64_t epoch; /* taken; 0: held elsewhere */
    int64_t at_ms;  /* monotonic: when it was written */
};

/* Jobs read it on the store's thread. */
static void
epoch_set(struct number *number, uint64_t epoch)
{
    __atomic_store_n(&number->epoch, epoch, __ATOMIC_RELEASE);
}

static bool
is_free(const struct number *number, const struct store_rows *rows, int64_t now_ms)
{
    const struct gateway *gw = number->gw;

    return bytes_equal(store_col_bytes(rows, 0), bytes_of_str(gw->holder)) ||
           !bytes_equal(store_col_bytes(rows, 2), bytes_of_str(gw->boot)) ||
           store_col_int(rows, 3) < now_ms;
}

static enum rc
take_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct lease_job *l = (struct lease_job *)job;
    struct number *number = l->number;
    struct gateway *gw = number->gw;
    int64_t now_ms = clock_mono_ms(gw->host.clock);
    struct store_rows rows;
    uint64_t epoch = 0;
    bool may_take = true;

    l->epoch = 0;
    store_query(&rows, tx, &gateway_part, SQL_LEASE_GET, ST_ARGS(ST_I(number->account)));
    if (rows.has_row) {
        epoch = (uint64_t)store_col_int(&rows, 1);
        may_take = is_free(number, &rows, now_ms);
    }
    store_rows_end(&rows);
    if (rows.rc != RC_OK || !may_take)
        return rows.rc;
    l->at_ms = now_ms;
    l->epoch = epoch + 1 + l->leap;
    return store_run(tx, &gateway_part, SQL_LEASE_TAKE, NULL, err,
                     ST_ARGS(ST_I(number->account), ST_T(gw->holder), ST_I(l->epoch),
                             ST_T(gw->boot), ST_I(now_ms + gw->lease_ms)));
}

static bool
on_certificate(void *ctx, struct buf *out)
{
    struct number *number = ctx;
    struct gateway *gw = number->gw;

    return gw->ops->certificate != NULL && gw->ops->certificate(gw->ctx, number->account, out);
}

static void
number_start(struct number *number)
{
    struct gateway *gw = number->gw;
    const struct endpoint_opt opt = {.host = &gw->host,
                                     .policy = &endpoint_policy_gateway,
                                     .ops = &number_endpoint_ops,
                                     .ctx = number,
                                     .account = number->account,
                                     .lease_epoch = number->epoch,
                                     .certificate = on_certificate};
    struct err err = {0};

    if (endpoint_open(&number->endpoint, &opt, &err) != RC_OK) {
        log_event(gw->host.log, LOG_ERROR, "gateway.number_failed",
                  LOG_NUM("number", number->account), LOG_RC(&err));
        epoch_set(number, 0); /* the tick tries again */
        return;
    }
    number->tx_endpoint = number->endpoint;
}

static void
take_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct lease_job *l = (struct lease_job *)job;
    struct number *number = l->number;
    struct gateway *gw = number->gw;

    number->is_taking = false;
    if (rc != RC_OK) {
        log_event(gw->host.log, LOG_WARN, "gateway.lease_failed",
                  LOG_NUM("number", number->account), LOG_RC(err));
    } else if (l->epoch != 0 && !gw->is_closing && !number->is_leaving) {
        epoch_set(number, l->epoch);
        number->renewed_ms = l->at_ms;
        log_event(gw->host.log, LOG_INFO, "gateway.lease_taken", LOG_NUM("number", number->account),
                  LOG_UINT("epoch", l->epoch));
        number_start(number);
        if (gw->ops->on_lease != NULL)
            gw->ops->on_lease(gw->ctx, number->account);
    }
    free(l);
    gateway_release(gw);
}

void
lease_take(struct number *number)
{
    struct lease_job *l;

    if (number->is_taking || number->epoch != 0 || (l = calloc(1, sizeof *l)) == NULL)
        return;
    number->is_taking = true;
    l->number = number;
    l->leap = number->leap;
    l->job = (struct store_job){.run = take_run, .done = take_done, .loop = number->gw->host.loop};
    gateway_hold(number->gw);
    store_submit(number->gw->host.store, &l->job);
}

enum rc
lease_guard(void *ctx, struct store_tx *tx, struct err *err)
{
    struct number *number = ctx;
    uint64_t epoch = __atomic_load_n(&number->epoch, __ATOMIC_ACQUIRE);
    struct store_rows rows;
    bool is_held;

    store_query(&rows, tx, &gateway_part, SQL_LEASE_CHECK,
                ST_ARGS(ST_I(number->account), ST_T(number->gw->holder), ST_I(epoch)));
    is_held = rows.has_row;
    store_rows_end(&rows);
    if (rows.rc != RC_OK)
        return rows.rc;
    if (!is_held)
        return err_set(err, RC_FENCED, "gateway.lease", "another instance holds this number");
    return RC_OK;
}

static void
on_endpoint_closed(void *ctx)
{
    struct number *number = ctx;

    gateway_release(number->gw);
}

void
lease_lost(struct number *number)
{
    struct gateway *gw = number->gw;

    if (number->epoch == 0)
        return;
    log_event(gw->host.log, LOG_WARN, "gateway.lease_lost", LOG_NUM("number", number->account),
              LOG_UINT("epoch", number->epoch));
    epoch_set(number, 0);
    if (number->endpoint != NULL) {
        gateway_hold(gw);
        endpoint_close(&number->endpoint, on_endpoint_closed, number);
    }
    if (gw->ops->on_number_state != NULL)
        gw->ops->on_number_state(gw->ctx, number->account, false);
}

void
lease_refused(struct number *number)
{
    number->leap = number->leap == 0 ? 1 : number->leap < LEAP_MAX ? 2 * number->leap : LEAP_MAX;
    lease_lost(number);
}

bool
lease_is_old(const struct number *number)
{
    const struct gateway *gw = number->gw;

    return clock_mono_ms(gw->host.clock) - number->renewed_ms >= gw->lease_ms * 2 / 3;
}

/* ---- renewing: one job for every number held ---- */

struct renew_item {
    uint64_t account, epoch;
    bool is_lost;
};
struct renew_job {
    struct store_job job;
    struct gateway *gw;
    int64_t at_ms; /* monotonic: when it was written */
    size_t n;
    struct renew_item items[];
};

static enum rc
renew_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct renew_job *r = (struct renew_job *)job;
    enum rc rc = RC_OK;

    r->at_ms = clock_mono_ms(r->gw->host.clock);

    for (size_t i = 0; rc == RC_OK && i < r->n; i++) {
        uint64_t changed = 0;

        rc = store_run(tx, &gateway_part, SQL_LEASE_RENEW, &changed, err,
                       ST_ARGS(ST_I(r->items[i].account), ST_T(r->gw->holder),
                               ST_I(r->items[i].epoch), ST_I(r->at_ms + r->gw->lease_ms)));
        r->items[i].is_lost = changed == 0;
    }
    return rc;
}

static void
renew_done(struct store_job *job, enum rc rc, const struct err *err UNUSED)
{
    struct renew_job *r = (struct renew_job *)job;
    struct gateway *gw = r->gw;

    gw->is_renewing = false;
    for (size_t i = 0; i < r->n; i++) {
        struct number *number = number_find(gw, r->items[i].account);

        if (number == NULL || number->epoch != r->items[i].epoch)
            continue;
        if (rc == RC_OK && !r->items[i].is_lost)
            number->renewed_ms = r->at_ms;
        else if (rc == RC_OK) /* otherwise the tick sees how old it gets */
            lease_lost(number);
    }
    free(r);
    gateway_release(gw);
}

void
lease_renew_all(struct gateway *gw)
{
    struct number *number, *next;
    size_t n = HASH_COUNT(gw->numbers);
    struct renew_job *r;

    if (gw->is_renewing || n == 0 || (r = calloc(1, sizeof *r + n * sizeof r->items[0])) == NULL)
        return;
    HASH_ITER(hh, gw->numbers, number, next)
    {
        if (number->epoch == 0)
            continue;
        r->items[r->n].account = number->account;
        r->items[r->n++].epoch = number->epoch;
    }
    if (r->n == 0) {
        free(r);
        return;
    }
    r->gw = gw;
    r->job = (struct store_job){.run = renew_run, .done = renew_done, .loop = gw->host.loop};
    gw->is_renewing = true;
    gateway_hold(gw);
    store_submit(gw->host.store, &r->job);
}

/* ---- releasing, on the way out ---- */

static enum rc
release_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct lease_job *l = (struct lease_job *)job;

    return store_run(
        tx, &gateway_part, SQL_LEASE_RELEASE, NULL, err,
        ST_ARGS(ST_I(l->number->account), ST_T(l->number->gw->holder), ST_I(l->epoch)));
}

static void
release_done(struct store_job *job, enum rc rc UNUSED, const struct err *err UNUSED)
{
    struct lease_job *l = (struct lease_job *)job;

    gateway_release(l->number->gw);
    free(l);
}

void
lease_give_up(struct number *number)
{
    struct gateway *gw = number->gw;
    struct lease_job *l;
    uint64_t epoch = number->epoch;

    if (number->endpoint != NULL) {
        gateway_hold(gw);
        endpoint_close(&number->endpoint, on_endpoint_closed, number);
    }
    epoch_set(number, 0);
    if (epoch == 0 || (l = calloc(1, sizeof *l)) == NULL)
        return;
    *l = (struct lease_job){.number = number, .epoch = epoch};
    l->job = (struct store_job){.run = release_run, .done = release_done, .loop = gw->host.loop};
    gateway_hold(gw);
    store_submit(gw->host.store, &l->job);
}
