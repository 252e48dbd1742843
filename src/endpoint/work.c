/* work.c - the endpoint's own jobs: what arrived on the loop is gathered and done in one
 * transaction.
 *
 * At most one runs at a time; what arrives meanwhile is gathered for the next. So everything of an
 * account happens in the order in which it came, and under load many deliveries and answers share
 * one commit. */
#include <stdlib.h>

#include "endpoint/internal.h"

#define SWEEP_SEEN_MS (31ll * 24 * 3600 * 1000)

struct work *
work_gathering(struct endpoint *ep)
{
    struct work *w = ep->gathering;

    if (w != NULL)
        return w;
    if ((w = calloc(1, sizeof *w)) == NULL)
        return NULL;
    w->out = endpoint_outputs_new(ep);
    if (w->out == NULL || arena_new(&w->arena, ARENA_JOB_MAX, NULL) != RC_OK) {
        endpoint_outputs_free(&w->out);
        free(w);
        return NULL;
    }
    w->out->is_work = true;
    w->ep = ep;
    w->delivers_end = &w->delivers;
    w->results_end = &w->results;
    w->bundles_end = &w->bundles;
    ep->gathering = w;
    return w;
}

static void
work_free(struct work **work)
{
    struct work *w = *work;

    for (struct fetch_item *k = w->kicks, *next; k != NULL; k = next) {
        next = k->next;
        free(k);
    }
    endpoint_outputs_free(&w->out);
    arena_free(&w->arena);
    free(w);
    *work = NULL;
}

static enum rc
apply_bundles(struct work *w, struct store_tx *tx, const struct bundles_item *b, struct err *err)
{
    enum rc rc;

    if (b->bundles == NULL)
        return peer_fail_waiting(w, tx, b->peer, b->reason, err);
    if ((rc = peer_apply_bundles(w->ep, tx, b, err)) != RC_OK)
        return rc;
    return seal_waiting(w->ep, tx, b->peer, w->out, err);
}

static enum rc
sweep(struct work *w, struct store_tx *tx, struct err *err)
{
    struct endpoint *ep = w->ep;
    int64_t now_ms = clock_unix_ms(ep->host->clock);
    enum rc rc = expire_due(w, tx, err);

    if (rc == RC_OK)
        rc = store_run(tx, &endpoint_part, SQL_SEEN_SWEEP, NULL, err,
                       ST_ARGS(ST_I(ep->account), ST_I(now_ms - SWEEP_SEEN_MS)));
    if (rc == RC_OK)
        rc = store_run(tx, &endpoint_part, SQL_FAILURE_SWEEP, NULL, err,
                       ST_ARGS(ST_I(ep->account), ST_I(now_ms - SWEEP_SEEN_MS)));
    if (rc == RC_OK)
        rc = store_run(tx, &endpoint_part, SQL_PREKEY_SWEEP, NULL, err,
                       ST_ARGS(ST_I(ep->account), ST_I(now_ms - ep->policy->keep_private_ms)));
    return rc;
}

static enum rc
work_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct work *w = (struct work *)job;
    struct endpoint *ep = w->ep;
    enum rc rc = RC_OK;

    endpoint_outputs_reset(w->out);
    w->duplicates = w->undecryptable = 0;
    memset(w->ack, 0, sizeof w->ack);
    if (ep->ops->guard != NULL)
        rc = ep->ops->guard(ep->ctx, tx, err);
    for (struct result_item *r = w->results; rc == RC_OK && r != NULL; r = r->next)
        rc = result_apply(w, tx, r, err);
    for (struct bundles_item *b = w->bundles; rc == RC_OK && b != NULL; b = b->next)
        rc = apply_bundles(w, tx, b, err);
    for (struct deliver_item *d = w->delivers; rc == RC_OK && d != NULL; d = d->next) {
        const Parley__Wire__Deliver *deliver = d->deliver;

        rc = receive_one(w, tx, deliver, err);
        if (deliver->class_ != PARLEY__WIRE__CLASS__EPHEMERAL &&
            deliver->lane < WIRE_BUSINESS_LANES && w->ack[deliver->lane] < deliver->seq)
            w->ack[deliver->lane] = deliver->seq;
    }
    for (struct fetch_item *k = w->kicks; rc == RC_OK && k != NULL; k = k->next)
        rc = seal_waiting(ep, tx, k->peer, w->out, err);
    if (rc == RC_OK && w->is_due_check)
        rc = sweep(w, tx, err);
    if (rc == RC_OK)
        rc = outputs_write_counters(ep, tx, w->out, err);
    return rc;
}

static void
send_acks(struct endpoint *ep, const struct work *w)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Ack ack = PARLEY__WIRE__ACK__INIT;
    Parley__Wire__LaneAck items[WIRE_BUSINESS_LANES], *refs[WIRE_BUSINESS_LANES];

    for (uint32_t lane = 0; lane < WIRE_BUSINESS_LANES; lane++) {
        if (w->ack[lane] == 0)
            continue;
        items[ack.n_lanes] = (Parley__Wire__LaneAck)PARLEY__WIRE__LANE_ACK__INIT;
        items[ack.n_lanes].lane = lane;
        items[ack.n_lanes].seq = w->ack[lane];
        refs[ack.n_lanes] = &items[ack.n_lanes];
        ack.n_lanes++;
    }
    if (ack.n_lanes == 0 || !ep->is_up)
        return;
    ack.lanes = refs;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_ACK;
    frame.ack = &ack;
    link_push(ep->link, &frame, NULL); /* lost with the connection: they come again */
}

static void
work_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct work *w = (struct work *)job;
    struct endpoint *ep = w->ep;

    ep->running = NULL;
    if (rc == RC_OK) {
        ep->stats.delivered_in += w->n_delivers;
        ep->stats.duplicates_in += w->duplicates;
        ep->stats.undecryptable_in += w->undecryptable;
        send_acks(ep, w);
        flow_take(ep, w->out);
        if (ep->ops->after_commit != NULL)
            ep->ops->after_commit(ep->ctx);
    } else {
        /* Nothing was acknowledged: the relay hands it out again on the next connection. */
        log_event(ep->host->log, LOG_ERROR, "endpoint.job_failed", LOG_NUM("account", ep->account),
                  LOG_RC(err));
        if (rc != RC_FENCED && ep->link != NULL && !ep->is_closing) {
            link_offline(ep->link);
            ep->must_retry = true;
        }
    }
    if (w->due_fn != NULL)
        w->due_fn(w->due_ctx);
    work_free(&w);
    work_kick(ep);
    endpoint_release(ep);
}

void
work_kick(struct endpoint *ep)
{
    struct work *w = ep->gathering;

    if (ep->running != NULL || w == NULL)
        return;
    ep->gathering = NULL;
    ep->running = w;
    endpoint_hold(ep);
    w->job = (struct store_job){.run = work_run, .done = work_done, .loop = ep->host->loop};
    store_submit(ep->host->store, &w->job);
}
