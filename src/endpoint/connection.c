/* connection.c - an endpoint's standing connection: login, coming up, a restored store, deliveries
 * taken in, refusals, and the coarse tick.
 *
 * What the relay remembers of us may show that our store is a restored copy (I28): then sessions
 * may read and never send, and every prekey is made anew, before the connection counts as up. */
#include <stdlib.h>

#include "endpoint/keys.h"

static bool
on_login(void *ctx, Parley__Wire__Login *login)
{
    struct endpoint *ep = ctx;

    if (ep->state == SELF_NONE || ep->is_enrolling || ep->enrolment != NULL)
        return false; /* the channel stays open for registering */
    ep->login_counter = __atomic_load_n(&ep->tx_counter, __ATOMIC_RELAXED);
    ep->address = (Parley__Wire__Address)PARLEY__WIRE__ADDRESS__INIT;
    ep->address.account = ep->account;
    ep->address.device = ep->device;
    ep->claim = (Parley__Wire__LaneClaim)PARLEY__WIRE__LANE_CLAIM__INIT;
    ep->claim.mask = UINT32_MAX;
    ep->claim.lease_epoch = ep->lease_epoch;
    ep->claims[0] = &ep->claim;
    login->address = &ep->address;
    login->generation = ep->generation;
    login->last_counter = ep->login_counter;
    login->client = (char *)(uintptr_t)ep->host->client_name;
    if (ep->certificate != NULL) {
        buf_reset(&ep->certificate_buf);
        if (ep->certificate(ep->ctx, &ep->certificate_buf))
            login->number_certificate = wire_field(buf_bytes(&ep->certificate_buf));
        login->n_lanes = 1;
        login->lanes = ep->claims;
    }
    return true;
}

static void
tell_state(struct endpoint *ep, Parley__Wire__CloseReason refused)
{
    if (ep->ops->on_state != NULL)
        ep->ops->on_state(ep->ctx, ep->is_up, refused);
}

bool
endpoint_may_seal(const struct endpoint *ep)
{
    return __atomic_load_n(&ep->may_seal, __ATOMIC_ACQUIRE);
}

static void
go_up(struct endpoint *ep, uint32_t one_time_left)
{
    ep->is_up = true;
    ep->is_refused = false;
    __atomic_store_n(&ep->may_seal, true, __ATOMIC_RELEASE);
    flow_up(ep);
    keys_rotate_if_old(ep);
    keys_refill(ep, one_time_left);
    tell_state(ep, PARLEY__WIRE__CLOSE_REASON__CLOSE_UNSPECIFIED);
}

/* The relay remembers more of us than our store: a backup was restored (I28). Sessions may read,
 * never send; every prekey is made anew; then the connection counts as up. Until a login has shown
 * how it is, nothing is sealed: what is accepted before that waits (endpoint_may_seal). */
struct recovery {
    struct store_job job;
    struct endpoint *ep;
    uint64_t highest, generation;
    bool is_restored;
};

static enum rc
recovery_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct recovery *r = (struct recovery *)job;
    struct endpoint *ep = r->ep;
    enum rc rc = RC_OK;

    if (ep->ops->guard != NULL)
        rc = ep->ops->guard(ep->ctx, tx, err);
    if (rc == RC_OK)
        rc = store_run(tx, &endpoint_part, SQL_SELF_REGISTERED, NULL, err,
                       ST_ARGS(ST_I(ep->account), ST_I(ep->device), ST_I(r->generation)));
    if (rc != RC_OK || !r->is_restored)
        return rc;
    if (ep->tx_counter < r->highest)
        __atomic_store_n(&ep->tx_counter, r->highest, __ATOMIC_RELAXED);
    rc = store_run(tx, &endpoint_part, SQL_SELF_COUNTERS, NULL, err,
                   ST_ARGS(ST_I(ep->account), ST_I(ep->tx_counter), ST_I(ep->tx_ord)));
    if (rc == RC_OK)
        rc = store_run(tx, &endpoint_part, SQL_DEVICE_ALL_STALE, NULL, err,
                       ST_ARGS(ST_I(ep->account), ST_I(UNANSWERED_RESTORED)));
    if (rc == RC_OK)
        rc = store_run(tx, &endpoint_part, SQL_PREKEY_CLEAR, NULL, err, ST_ARGS(ST_I(ep->account)));
    if (rc == RC_OK) /* remembered until new ones are with the relay */
        rc =
            store_run(tx, &endpoint_part, SQL_SIGNED_UNMARK, NULL, err, ST_ARGS(ST_I(ep->account)));
    return rc;
}

static void
recovery_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct recovery *r = (struct recovery *)job;
    struct endpoint *ep = r->ep;

    if (rc != RC_OK) {
        log_event(ep->host->log, LOG_ERROR, "endpoint.recovery_failed",
                  LOG_NUM("account", ep->account), LOG_RC(err));
    } else if (!ep->is_closing && link_state(ep->link) == LINK_UP) {
        ep->state = SELF_REGISTERED;
        ep->generation = r->generation;
        if (r->is_restored) { /* the ids after ours have been used by then */
            ep->next_prekey = 1 + rng_below(ep->host->rng, SESSION_PREKEY_ID_MAX);
            ep->next_signed = 1 + rng_below(ep->host->rng, SESSION_PREKEY_ID_MAX);
            ep->must_replace = true;
        }
        go_up(ep, UINT32_MAX);
    }
    free(r);
    endpoint_release(ep);
}

static void
recover(struct endpoint *ep, const Parley__Wire__LoginOk *info)
{
    struct recovery *r = calloc(1, sizeof *r);

    if (r == NULL) {
        ep->must_retry = true;
        return;
    }
    r->ep = ep;
    r->highest = info->highest_counter;
    r->generation = info->generation;
    r->is_restored = info->highest_counter > ep->login_counter;
    if (r->is_restored)
        log_event(ep->host->log, LOG_WARN, "endpoint.store_restored",
                  LOG_NUM("account", ep->account));
    r->job = (struct store_job){.run = recovery_run, .done = recovery_done, .loop = ep->host->loop};
    endpoint_hold(ep);
    store_submit(ep->host->store, &r->job);
}

static void
on_link_state(void *ctx, struct link *link UNUSED, enum link_state state,
              const Parley__Wire__LoginOk *info)
{
    struct endpoint *ep = ctx;
    bool was_up = ep->is_up;

    if (state == LINK_UP) {
        registration_flush(ep);
        if (ep->state == SELF_REGISTERING || info->highest_counter > ep->login_counter)
            recover(ep, info);
        else
            go_up(ep, info->one_time_left);
        return;
    }
    ep->is_up = false;
    if (state == LINK_OPEN)
        registration_flush(ep);
    if (was_up) {
        flow_down(ep);
        tell_state(ep, PARLEY__WIRE__CLOSE_REASON__CLOSE_UNSPECIFIED);
    }
}

static void
deliver_take(struct endpoint *ep, const Parley__Wire__Frame *frame)
{
    struct work *w = work_gathering(ep);
    struct deliver_item *item = w == NULL ? NULL : arena_alloc(w->arena, sizeof *item);
    Parley__Wire__Frame *copy;
    struct buf buf;

    buf_init(&buf, WIRE_FRAME_MAX);
    if (item == NULL || wire_pack(&buf, frame, NULL) != RC_OK ||
        wire_unpack(&copy, w->arena, buf_bytes(&buf), NULL) != RC_OK) {
        buf_free(&buf);
        link_retry(ep->link); /* not acknowledged: it comes again */
        return;
    }
    buf_free(&buf);
    *item = (struct deliver_item){.deliver = copy->deliver};
    *w->delivers_end = item;
    w->delivers_end = &item->next;
    w->n_delivers++;
    work_kick(ep);
}

static void
on_link_push(void *ctx, struct link *link UNUSED, const Parley__Wire__Frame *frame)
{
    struct endpoint *ep = ctx;

    if (frame->body_case == PARLEY__WIRE__FRAME__BODY_DELIVER && ep->secret != NULL)
        deliver_take(ep, frame);
    else if (frame->body_case == PARLEY__WIRE__FRAME__BODY_PREKEY_STATUS)
        keys_refill(ep, frame->prekey_status->one_time_left);
}

static void
on_link_refused(void *ctx, struct link *link UNUSED, Parley__Wire__CloseReason close,
                Parley__Wire__Reason reason, const char *text)
{
    struct endpoint *ep = ctx;

    log_event(ep->host->log, LOG_WARN, "endpoint.refused", LOG_NUM("account", ep->account),
              LOG_INT("close", close), LOG_STR("reason", wire_reason_name(reason)),
              LOG_STR("text", text));
    if (close == PARLEY__WIRE__CLOSE_REASON__CLOSE_UNSPECIFIED)
        close = reason == PARLEY__WIRE__REASON__UNKNOWN_DEVICE
                    ? PARLEY__WIRE__CLOSE_REASON__UNREGISTERED
                    : PARLEY__WIRE__CLOSE_REASON__CLOSE_FENCED;
    ep->is_up = false;
    ep->is_refused = close == PARLEY__WIRE__CLOSE_REASON__UNREGISTERED;
    flow_down(ep);
    tell_state(ep, close);
}

struct server_key_job {
    struct store_job job;
    struct endpoint *ep;
    uint8_t key[32];
    int64_t until_s;
};

static enum rc
server_key_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct server_key_job *k = (struct server_key_job *)job;

    return store_run(tx, &endpoint_part, SQL_SELF_SERVER_KEY, NULL, err,
                     ST_ARGS(ST_I(k->ep->account), ST_B(bytes_of(k->key, 32)), ST_I(k->until_s)));
}

static void
server_key_done(struct store_job *job, enum rc rc UNUSED, const struct err *err UNUSED)
{
    struct server_key_job *k = (struct server_key_job *)job;

    endpoint_release(k->ep);
    free(k);
}

static void
on_server_key(void *ctx, const uint8_t key[32], int64_t not_after_s)
{
    struct endpoint *ep = ctx;
    struct server_key_job *k = calloc(1, sizeof *k);

    if (k == NULL)
        return;
    k->ep = ep;
    memcpy(k->key, key, 32);
    k->until_s = not_after_s;
    k->job =
        (struct store_job){.run = server_key_run, .done = server_key_done, .loop = ep->host->loop};
    endpoint_hold(ep);
    store_submit(ep->host->store, &k->job);
}

const struct link_ops connection_callbacks = {.login = on_login,
                                              .on_state = on_link_state,
                                              .on_push = on_link_push,
                                              .on_refused = on_link_refused,
                                              .on_server_key = on_server_key};

void
connection_tick(struct loop_timer *timer)
{
    struct endpoint *ep = (struct endpoint *)((char *)timer - offsetof(struct endpoint, tick));

    registration_abandon(ep, false);
    if (ep->is_closing)
        return;
    registration_lapse(ep);
    if (ep->state != SELF_NONE && clock_mono_ms(ep->host->clock) >= ep->due_at_ms) {
        ep->due_at_ms = clock_mono_ms(ep->host->clock) + DUE_EVERY_MS;
        endpoint_run_due(ep, NULL, NULL);
    }
    if (ep->is_offline)
        return;
    if (ep->must_retry && ep->is_up) {
        flow_up(ep);
    } else if (ep->must_retry) {
        ep->must_retry = false;
        link_retry(ep->link);
    }
    if (ep->is_up) {
        flow_fetch_due(ep);
        flow_look_again(ep);
        keys_rotate_if_old(ep);
    }
}
