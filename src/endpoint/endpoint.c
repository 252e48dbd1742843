/* endpoint.c - one account's endpoint: opening, small readings, the end.
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
                           .ops = &connection_callbacks,
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
    loop_timer_init(opt->host->loop, &ep->tick, connection_tick);
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
