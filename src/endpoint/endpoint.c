/* endpoint.c - one account's endpoint: opening, the connection's states, the coarse timer, the end.
 *
 * Everything that still points here (jobs, requests) holds a count; a closed endpoint is freed when
 * the last is gone. */
#include "endpoint/endpoint.h"

#include <sodium.h>
#include <stdlib.h>

#include "endpoint/keys.h"

#define TICK_MS 1000
#define DAY_MS (24ll * 3600 * 1000)

const struct endpoint_policy endpoint_policy_gateway = {.prekeys_first = 1000,
                                                        .prekeys_low = 400,
                                                        .prekeys_batch = 600,
                                                        .signed_rotate_ms = 2 * DAY_MS,
                                                        .signed_refuse_ms = 14 * DAY_MS,
                                                        .keep_private_ms = 32 * DAY_MS,
                                                        .hosting = 1};
const struct endpoint_policy endpoint_policy_person = {.prekeys_first = 100,
                                                       .prekeys_low = 20,
                                                       .prekeys_batch = 80,
                                                       .signed_rotate_ms = 7 * DAY_MS,
                                                       .signed_refuse_ms = 14 * DAY_MS,
                                                       .keep_private_ms = 32 * DAY_MS,
                                                       .hosting = 0};

void
endpoint_hold(struct endpoint *ep)
{
    ep->jobs++;
}

static void
endpoint_destroy(struct endpoint *ep)
{
    struct fetch *f, *next;
    void (*fn)(void *ctx) = ep->on_closed;
    void *ctx = ep->closed_ctx;

    HASH_ITER(hh, ep->fetches, f, next)
    {
        HASH_DEL(ep->fetches, f);
        free(f);
    }
    if (ep->secret != NULL)
        sodium_free(ep->secret);
    if (ep->retired != NULL)
        sodium_free(ep->retired);
    buf_free(&ep->certificate_buf);
    bytes_wipe(&ep->noise, sizeof ep->noise);
    bytes_wipe(ep->hash_key, sizeof ep->hash_key);
    free(ep);
    if (fn != NULL)
        fn(ctx);
}

static void
on_tick_closed(struct loop_timer *timer)
{
    struct endpoint *ep = (struct endpoint *)((char *)timer - offsetof(struct endpoint, tick));

    endpoint_release(ep);
}

void
endpoint_release(struct endpoint *ep)
{
    if (--ep->jobs == 0 && ep->is_closing)
        endpoint_destroy(ep);
}

void
endpoint_peer_key(const struct endpoint *ep, uint64_t peer, uint8_t out[ENDPOINT_PEER_KEY_SIZE])
{
    uint8_t in[8], full[SHA256_SIZE];

    for (int i = 0; i < 8; i++)
        in[i] = (uint8_t)(peer >> (56 - 8 * i));
    hmac_sha256(full, bytes_of(ep->hash_key, sizeof ep->hash_key), bytes_of(in, sizeof in));
    memcpy(out, full, ENDPOINT_PEER_KEY_SIZE);
}

/* ---- the connection ---- */

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

static const struct link_ops link_callbacks = {.login = on_login,
                                               .on_state = on_link_state,
                                               .on_push = on_link_push,
                                               .on_refused = on_link_refused,
                                               .on_server_key = on_server_key};

static void
on_tick(struct loop_timer *timer)
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

/* ---- opening ---- */

static enum rc
self_load(void *ctx, struct store_tx *tx, struct err *err)
{
    struct endpoint *ep = ctx;
    struct row_key key = row_key_num(ep->account, 0);
    struct store_rows rows;
    struct buf secret;
    enum rc rc = RC_OK;

    buf_init(&secret, 1024);
    store_query(&rows, tx, &endpoint_part, SQL_SELF_GET, ST_ARGS(ST_I(ep->account)));
    if (rows.has_row) {
        ep->state = (enum self_state)store_col_int(&rows, 0);
        ep->device = (uint32_t)store_col_int(&rows, 1);
        ep->generation = (uint64_t)store_col_int(&rows, 2);
        ep->tx_counter = (uint64_t)store_col_int(&rows, 4);
        ep->tx_ord = (uint64_t)store_col_int(&rows, 5);
        ep->next_prekey = (uint32_t)store_col_int(&rows, 6);
        ep->next_signed = (uint32_t)store_col_int(&rows, 7);
        if (store_col_bytes(&rows, 9).len == sizeof ep->server_key) {
            memcpy(ep->server_key, store_col_bytes(&rows, 9).ptr, sizeof ep->server_key);
            ep->server_key_until_s = store_col_int(&rows, 10);
        }
        if (ep->state == SELF_NONE) /* unregistered: the keys are gone */
            goto end;
        rc = row_open(ep, &secret, "end_self", "secret", &key, 0, store_col_bytes(&rows, 8), err);
        if (rc == RC_OK && secret.len != sizeof *ep->secret)
            rc = err_set(err, RC_IO, "endpoint.open", "identity of %zu bytes", secret.len);
        if (rc == RC_OK && (ep->secret = sodium_malloc(sizeof *ep->secret)) == NULL)
            rc = err_set(err, RC_NOMEM, "endpoint.open", "identity");
        if (rc == RC_OK)
            memcpy(ep->secret, secret.ptr, sizeof *ep->secret);
    }
end:
    store_rows_end(&rows);
    buf_wipe(&secret);
    if (rc != RC_OK || rows.rc != RC_OK)
        return rc != RC_OK ? rc : rows.rc;
    store_query(&rows, tx, &endpoint_part, SQL_SIGNED_NEWEST, ST_ARGS(ST_I(ep->account)));
    if (rows.has_row)
        ep->signed_created_ms = store_col_int(&rows, 1);
    else
        ep->must_replace = true; /* a recovery, or a registration, was cut short */
    store_rows_end(&rows);
    return rows.rc;
}

enum rc
link_start(struct endpoint *ep, struct err *err)
{
    const struct endpoint_host *host = ep->host;
    struct link_opt opt = {.hub = host->hub,
                           .log = host->log,
                           .clock = host->clock,
                           .rng = host->rng,
                           .host = host->relay_host,
                           .port = host->relay_port,
                           .noise = ep->noise,
                           .has_server_key = ep->server_key_until_s > 0,
                           .server_key_not_after_s = ep->server_key_until_s,
                           .ops = &link_callbacks,
                           .ctx = ep};
    enum rc rc;

    memcpy(opt.root_pub, host->relay_root, sizeof opt.root_pub);
    memcpy(opt.server_key, ep->server_key, sizeof opt.server_key);
    rc = link_open(&ep->link, &opt, err);
    bytes_wipe(&opt.noise, sizeof opt.noise);
    return rc;
}

enum rc
endpoint_open(struct endpoint **out, const struct endpoint_opt *opt, struct err *err)
{
    struct endpoint *ep = calloc(1, sizeof *ep);
    enum rc rc;

    *out = NULL;
    if (ep == NULL)
        return err_set(err, RC_NOMEM, "endpoint.open", "endpoint");
    ep->host = opt->host;
    ep->policy = opt->policy;
    ep->ops = opt->ops;
    ep->ctx = opt->ctx;
    ep->certificate = opt->certificate;
    ep->account = opt->account;
    ep->lease_epoch = opt->lease_epoch;
    ep->state = SELF_NONE;
    ep->device = 1;
    ep->queue_end = &ep->queue;
    buf_init(&ep->certificate_buf, 4096);
    rc = keyring_hash_key(opt->host->ring, ep->hash_key, opt->account, "peers", err);
    if (rc == RC_OK)
        rc = store_do(opt->host->store, self_load, ep, err);
    if (rc == RC_OK && ep->secret != NULL)
        ep->noise = ep->secret->noise;
    else
        x25519_keypair(ep->noise.priv, ep->noise.pub, opt->host->rng);
    if (rc == RC_OK)
        rc = link_start(ep, err);
    if (rc != RC_OK) {
        endpoint_destroy(ep);
        return rc;
    }
    endpoint_hold(ep); /* the timer's */
    loop_timer_init(opt->host->loop, &ep->tick, on_tick);
    loop_timer_start(&ep->tick, TICK_MS, TICK_MS);
    *out = ep;
    return RC_OK;
}

void
endpoint_close(struct endpoint **out, void (*on_closed)(void *ctx), void *ctx)
{
    struct endpoint *ep = *out;

    *out = NULL;
    if (ep == NULL) {
        if (on_closed != NULL)
            on_closed(ctx);
        return;
    }
    ep->is_closing = true;
    ep->is_up = false;
    work_drop_gathered(ep);
    ep->on_closed = on_closed;
    ep->closed_ctx = ctx;
    endpoint_hold(ep);
    registration_abandon(ep, true);
    link_free(&ep->link);
    flow_down(ep);
    loop_timer_stop(&ep->tick);
    loop_timer_close(&ep->tick, on_tick_closed);
    endpoint_release(ep);
}

struct each {
    void (*fn)(void *ctx, uint64_t account);
    void *ctx;
};

static enum rc
each_run(void *ctx, struct store_tx *tx, struct err *err UNUSED)
{
    struct each *each = ctx;
    struct store_rows rows;

    for (store_query(&rows, tx, &endpoint_part, SQL_SELF_ALL, ST_NONE); rows.has_row;
         store_next(&rows))
        each->fn(each->ctx, (uint64_t)store_col_int(&rows, 0));
    store_rows_end(&rows);
    return rows.rc;
}

enum rc
endpoint_each_account(const struct endpoint_host *host, void (*fn)(void *ctx, uint64_t account),
                      void *ctx, struct err *err)
{
    struct each each = {.fn = fn, .ctx = ctx};

    return store_do(host->store, each_run, &each, err);
}

/* ---- small readings ---- */

void
endpoint_set_lease(struct endpoint *ep, uint64_t lease_epoch)
{
    ep->lease_epoch = lease_epoch;
}

bool
endpoint_is_registered(const struct endpoint *ep)
{
    return ep->state == SELF_REGISTERED;
}

bool
endpoint_is_refused(const struct endpoint *ep)
{
    return ep->is_refused;
}

bool
endpoint_is_up(const struct endpoint *ep)
{
    return ep->is_up;
}

uint64_t
endpoint_account(const struct endpoint *ep)
{
    return ep->account;
}

struct link *
endpoint_link(struct endpoint *ep)
{
    return ep->link;
}

const uint8_t *
endpoint_identity(const struct endpoint *ep)
{
    return ep->secret == NULL ? NULL : ep->secret->identity.pub;
}

void
endpoint_offline(struct endpoint *ep)
{
    ep->is_offline = true;
    link_offline(ep->link);
}

void
endpoint_online(struct endpoint *ep)
{
    ep->is_offline = false;
    link_retry(ep->link);
}

void
endpoint_stats(const struct endpoint *ep, struct endpoint_stats *out)
{
    *out = ep->stats;
    out->in_flight = ep->in_flight;
    out->waiting = HASH_COUNT(ep->fetches);
}

void
endpoint_run_due(struct endpoint *ep, void (*fn)(void *ctx), void *ctx)
{
    struct work *w =
        ep->gathering != NULL && ep->gathering->due_fn != NULL ? NULL : work_gathering(ep);

    if (ep->is_up)
        keys_rotate_if_old(ep);
    if (w == NULL) {
        if (fn != NULL)
            fn(ctx);
        return;
    }
    w->is_due_check = true;
    w->due_fn = fn;
    w->due_ctx = ctx;
    work_kick(ep);
}
