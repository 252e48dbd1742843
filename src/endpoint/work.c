/* work.c - the endpoint's own jobs: what arrived on the loop is gathered and done in one
 * transaction.
 *
 * At most one runs at a time; what arrives meanwhile is gathered for the next. So everything of an
 * account happens in the order in which it came, and under load many deliveries and answers share
 * one commit. A job that fails takes down the connection and what was gathered with it: acks are
 * cumulative, so nothing later may be acknowledged before what failed has come again (I9, I19).
 * A delivery that fails by itself, again and again, is found by doing deliveries one by one, and
 * then set aside (I13). */
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
kicks_free(struct work *w)
{
    for (struct fetch_item *k = w->kicks, *next; k != NULL; k = next) {
        next = k->next;
        free(k);
    }
    w->kicks = NULL;
}

static void
work_free(struct work **work)
{
    struct work *w = *work;

    kicks_free(w);
    endpoint_outputs_free(&w->out);
    arena_free(&w->arena);
    free(w);
    *work = NULL;
}

void
work_add_kick(struct endpoint *ep, uint64_t peer)
{
    struct work *w = work_gathering(ep);
    struct fetch_item *k = w == NULL ? NULL : calloc(1, sizeof *k);

    if (k == NULL) {
        ep->must_retry = true;
        return;
    }
    *k = (struct fetch_item){.next = w->kicks, .peer = peer};
    w->kicks = k;
}

/* ---- in the transaction ---- */

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
    const struct {
        enum endpoint_stmt stmt;
        int64_t keep_ms;
    } sweeps[] = {
        {SQL_SEEN_SWEEP,    SWEEP_SEEN_MS              },
        {SQL_FAILURE_SWEEP, SWEEP_SEEN_MS              },
        {SQL_PREKEY_SWEEP,  ep->policy->keep_private_ms},
    };
    enum rc rc = expire_due(w, tx, err);
    uint64_t swept = 0;

    for (size_t i = 0; rc == RC_OK && i < ARRAY_LEN(sweeps); i++)
        rc = store_run(tx, &endpoint_part, sweeps[i].stmt, &swept, err,
                       ST_ARGS(ST_I(ep->account), ST_I(now_ms - sweeps[i].keep_ms)));
    w->has_swept_prekeys = rc == RC_OK && swept > 0; /* they come last */
    if (!w->has_swept_prekeys)
        return rc;
    /* The relay may hand them out still: remembered until it has forgotten them. */
    return store_run(tx, &endpoint_part, SQL_SIGNED_UNMARK, NULL, err, ST_ARGS(ST_I(ep->account)));
}

static enum rc
receive_all(struct work *w, struct store_tx *tx, struct err *err)
{
    struct deliver_item *d = w->delivers;
    enum rc rc = RC_OK;

    memset(w->ack, 0, sizeof w->ack);
    for (uint32_t i = 0; rc == RC_OK && i < w->n_run; i++, d = d->next) {
        const Parley__Wire__Deliver *deliver = d->deliver;

        rc = receive_one(w, tx, deliver, err);
        if (deliver->class_ != PARLEY__WIRE__CLASS__EPHEMERAL &&
            deliver->lane < WIRE_BUSINESS_LANES && w->ack[deliver->lane] < deliver->seq)
            w->ack[deliver->lane] = deliver->seq;
    }
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
    w->has_swept_prekeys = false;
    if (ep->ops->guard != NULL)
        rc = ep->ops->guard(ep->ctx, tx, err);
    for (struct result_item *r = w->results; rc == RC_OK && r != NULL; r = r->next)
        rc = result_apply(w, tx, r, err);
    for (struct bundles_item *b = w->bundles; rc == RC_OK && b != NULL; b = b->next)
        rc = apply_bundles(w, tx, b, err);
    if (rc == RC_OK)
        rc = receive_all(w, tx, err);
    if (rc == RC_OK && w->n_run > 0 && ep->ops->on_batch_end != NULL)
        rc = ep->ops->on_batch_end(ep->ctx, tx, w->out, err);
    for (struct fetch_item *k = w->kicks; rc == RC_OK && k != NULL; k = k->next)
        rc = seal_waiting(ep, tx, k->peer, w->out, err);
    if (rc == RC_OK && w->is_due_check)
        rc = sweep(w, tx, err);
    if (rc == RC_OK)
        rc = outputs_write_counters(ep, tx, w->out, err);
    return rc;
}

/* ---- after it, on the loop ---- */

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
due_tell(struct work *w)
{
    if (w->due_fn != NULL)
        w->due_fn(w->due_ctx);
    w->due_fn = NULL;
    w->is_due_check = false;
}

static void
fetches_tell(struct work *w, bool is_done)
{
    for (struct bundles_item *b = w->bundles; b != NULL; b = b->next)
        flow_fetch_applied(w->ep, b->peer, is_done);
}

/* What this transaction has done goes; what it left for the next one stays. */
static void
advance(struct work *w)
{
    for (uint32_t i = 0; i < w->n_run; i++)
        w->delivers = w->delivers->next;
    w->n_delivers -= w->n_run;
    w->results = NULL;
    w->bundles = NULL;
    kicks_free(w);
    due_tell(w);
}

static bool
is_poison_among(const struct endpoint *ep, const struct work *w)
{
    struct deliver_item *d = w->delivers;

    for (uint32_t i = 0; i < w->n_run; i++, d = d->next)
        if (bytes_equal(wire_bytes(d->deliver->message_id),
                        bytes_of(ep->poison.id, sizeof ep->poison.id)))
            return true;
    return false;
}

/* As many as were in the job that failed have passed one by one, or the one that was looked for. */
static void
poison_passed(struct endpoint *ep, const struct work *w)
{
    bool is_found = ep->poison.tries > 0 && is_poison_among(ep, w);

    ep->poison.passed += w->n_run;
    if (is_found)
        ep->poison.tries = 0;
    if (is_found || ep->poison.passed >= WORK_DELIVERS_MAX)
        ep->poison.is_on = false;
}

static void
on_committed(struct endpoint *ep, struct work *w)
{
    ep->stats.delivered_in += w->n_run;
    ep->stats.duplicates_in += w->duplicates;
    ep->stats.undecryptable_in += w->undecryptable;
    poison_passed(ep, w);
    if (w->has_swept_prekeys) {
        ep->must_replace = true;
        keys_rotate_if_old(ep);
    }
    send_acks(ep, w);
    fetches_tell(w, true);
    advance(w);
    flow_take(ep, w->out);
    if (ep->ops->after_commit != NULL)
        ep->ops->after_commit(ep->ctx);
}

/* Not the moment's fault, nor the disk's: then one of the deliveries is to blame. */
static void
suspect(struct endpoint *ep, const struct work *w, enum rc rc)
{
    struct bytes id =
        w->n_run == 0 ? bytes_of(NULL, 0) : wire_bytes(w->delivers->deliver->message_id);

    if (rc == RC_FENCED || rc == RC_FULL || rc == RC_BUSY || rc == RC_IO || rc == RC_NOMEM ||
        rc == RC_CLOSED || w->n_run == 0)
        return;
    ep->poison.is_on = true;
    ep->poison.passed = 0;
    if (w->n_run > 1 || id.len != sizeof ep->poison.id)
        return;
    if (!bytes_equal(id, bytes_of(ep->poison.id, sizeof ep->poison.id)))
        ep->poison.tries = 0;
    memcpy(ep->poison.id, id.ptr, id.len);
    ep->poison.tries++;
}

void
work_drop_gathered(struct endpoint *ep)
{
    if (ep->gathering == NULL)
        return;
    fetches_tell(ep->gathering, false);
    due_tell(ep->gathering);
    work_free(&ep->gathering);
}

static void
on_failed(struct endpoint *ep, struct work *w, enum rc rc, const struct err *err)
{
    log_event(ep->host->log, LOG_ERROR, "endpoint.job_failed", LOG_NUM("account", ep->account),
              LOG_RC(err));
    suspect(ep, w, rc);
    fetches_tell(w, false);
    due_tell(w);
    work_drop_gathered(ep);
    if (ep->is_closing || ep->link == NULL)
        return;
    link_offline(ep->link); /* nothing was acknowledged: it comes again with the next connection */
    ep->must_retry = rc != RC_FENCED;
}

static void submit(struct endpoint *ep, struct work *w);

static void
work_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct work *w = (struct work *)job;
    struct endpoint *ep = w->ep;

    if (rc == RC_OK)
        on_committed(ep, w);
    else
        on_failed(ep, w, rc, err);
    ep->running = NULL;
    if (rc == RC_OK && w->delivers != NULL && !ep->is_closing) {
        submit(ep, w);
    } else {
        work_free(&w);
        work_kick(ep);
    }
    endpoint_release(ep);
}

static void
submit(struct endpoint *ep, struct work *w)
{
    bool has_other = w->results != NULL || w->bundles != NULL || w->kicks != NULL;
    uint32_t most = !ep->poison.is_on ? WORK_DELIVERS_MAX : has_other ? 0 : 1;

    w->n_run = w->n_delivers < most ? w->n_delivers : most;
    w->job = (struct store_job){.run = work_run, .done = work_done, .loop = ep->host->loop};
    ep->running = w;
    endpoint_hold(ep);
    store_submit(ep->host->store, &w->job);
}

void
work_kick(struct endpoint *ep)
{
    struct work *w = ep->gathering;

    if (ep->running != NULL || w == NULL)
        return;
    if (ep->is_closing) { /* another instance may act for this account by now */
        work_drop_gathered(ep);
        return;
    }
    ep->gathering = NULL;
    submit(ep, w);
}
