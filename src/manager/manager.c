/* manager.c - putting the manager together and taking it apart; see manager.h. */
#include "manager/manager.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "crypto/prim.h"
#include "manager/call.h"
#include "manager/sql.h"
#include "manager/state.h"

#define RENEW_EVERY_MS (3600u * 1000)

static bool
path_in(char out[4096], const char *dir, const char *name)
{
    int n = snprintf(out, 4096, "%s/%s", dir, name);

    return n > 0 && n < 4096;
}

enum rc
manager_authority(uint8_t seed[32], uint8_t pub[32], const char *dir, struct rng rng,
                  struct err *err)
{
    char path[4096];
    struct buf raw;
    enum rc rc;

    memset(seed, 0, 32);
    memset(pub, 0, 32);
    if (!path_in(path, dir, "authority.key"))
        return err_set(err, RC_INVAL, "manager.authority", "the folder's name is too long");
    buf_init(&raw, 64);
    rc = file_read(&raw, path, 64, err);
    if (rc == RC_NOTFOUND) {
        ed25519_keypair(seed, pub, rng);
        rc = file_replace(path, bytes_of(seed, 32), 0600, err);
    } else if (rc == RC_OK && raw.len != 32) {
        rc = err_set(err, RC_MALFORMED, "manager.authority", "authority.key is not 32 bytes");
    } else if (rc == RC_OK) {
        memcpy(seed, raw.ptr, 32);
        ed25519_public(pub, seed);
    }
    buf_wipe(&raw);
    return rc;
}

static void
store_lost(void *ctx, const struct err *err)
{
    struct manager *m = ctx;

    log_event(m->log, LOG_ERROR, "store.lost", LOG_RC(err));
    _Exit(1); /* nothing may be acknowledged any more; the supervisor starts us anew */
}

static enum rc
open_store(struct manager *m, const char *dir, struct err *err)
{
    static const struct store_part *const parts[] = {&manager_part};
    char path[4096];

    if (!path_in(path, dir, "manager.db"))
        return err_set(err, RC_INVAL, "manager.open", "the folder's name is too long");
    return store_open(&m->store,
                      &(struct store_opt){.backend = STORE_SQLITE,
                                          .path = path,
                                          .parts = parts,
                                          .n_parts = ARRAY_LEN(parts),
                                          .commit_delay_us = STORE_COMMIT_DELAY_US,
                                          .log = m->log,
                                          .on_fatal = store_lost,
                                          .ctx = m},
                      err);
}

static enum rc
open_ring(struct manager *m, const char *dir, struct err *err)
{
    char ring_path[4096], master_path[4096];

    if (!path_in(ring_path, dir, "keys.ring") || !path_in(master_path, dir, "master.key"))
        return err_set(err, RC_INVAL, "manager.open", "the folder's name is too long");
    return keyring_open(&m->ring,
                        &(struct keyring_opt){.ring_path = ring_path,
                                              .master_path = master_path,
                                              .rng = rng_system()}, /* never the seeded one */
                        err);
}

static void
on_request(void *ctx, struct http_request *req)
{
    call_accept(ctx, req);
}

static enum rc
open_server(struct manager *m, const struct manager_opt *opt, struct err *err)
{
    return http_server_open(&m->server,
                            &(struct http_server_opt){.loop = opt->loop,
                                                      .log = opt->log,
                                                      .host = opt->host,
                                                      .port = opt->port,
                                                      .cert_pem = opt->cert_pem,
                                                      .key_pem = opt->key_pem,
                                                      .client_ca_pem = opt->ca_pem,
                                                      .max_body = CALL_BODY_MAX,
                                                      .on_request = on_request,
                                                      .ctx = m},
                            err);
}

static void
renew_tick(struct loop_timer *timer)
{
    manager_renew((struct manager *)((char *)timer - offsetof(struct manager, renew_timer)), NULL,
                  NULL);
}

static enum rc
fill(struct manager *m, const struct manager_opt *opt, struct err *err)
{
    m->loop = opt->loop;
    m->log = opt->log;
    m->seed = opt->seed == NULL ? NULL : strdup(opt->seed);
    m->operator_name = strdup(opt->operator_name == NULL ? "Parley" : opt->operator_name);
    if (m->operator_name == NULL || (opt->seed != NULL && m->seed == NULL))
        return err_set(err, RC_NOMEM, "manager.open", "no memory");
    m->dir.clock = opt->clock;
    m->dir.rng = opt->rng;
    m->dir.seed = m->seed;
    m->dir.operator_name = m->operator_name;
    loop_timer_init(opt->loop, &m->renew_timer, renew_tick);
    return manager_authority(m->dir.authority_seed, m->dir.authority_pub, opt->dir, rng_system(),
                             err);
}

enum rc
manager_open(struct manager **out, const struct manager_opt *opt, struct err *err)
{
    struct manager *m = calloc(1, sizeof(*m));
    enum rc rc;

    *out = NULL;
    if (m == NULL)
        return err_set(err, RC_NOMEM, "manager.open", "no memory");
    if ((rc = fill(m, opt, err)) != RC_OK || (rc = open_ring(m, opt->dir, err)) != RC_OK)
        goto fail;
    m->dir.ring = m->ring;
    if ((rc = open_store(m, opt->dir, err)) != RC_OK ||
        (rc = hub_open(&m->hub, opt->loop, opt->clock, opt->log, err)) != RC_OK ||
        (rc = open_server(m, opt, err)) != RC_OK)
        goto fail;
    loop_timer_start(&m->renew_timer, 1000, RENEW_EVERY_MS);
    *out = m;
    return RC_OK;
fail:
    manager_free(&m);
    return rc;
}

static void
timer_closed(struct loop_timer *timer)
{
    struct manager *m = (struct manager *)((char *)timer - offsetof(struct manager, renew_timer));
    void (*fn)(void *ctx) = m->on_closed;
    void *ctx = m->on_closed_ctx;

    keyring_free(&m->ring);
    free(m->seed);
    free(m->operator_name);
    bytes_wipe(m->dir.authority_seed, sizeof(m->dir.authority_seed));
    free(m);
    if (fn != NULL)
        fn(ctx);
}

static void
release(struct manager *m)
{
    if (m->renew_timer.is_open)
        loop_timer_close(&m->renew_timer, timer_closed);
    else
        timer_closed(&m->renew_timer);
}

void
manager_job_over(struct manager *m)
{
    assert(m->in_flight > 0);
    if (--m->in_flight == 0 && m->is_closing)
        release(m);
}

void
manager_close(struct manager **manager, void (*fn)(void *ctx), void *ctx)
{
    struct manager *m = *manager;

    *manager = NULL;
    if (m == NULL) {
        if (fn != NULL)
            fn(ctx);
        return;
    }
    m->is_closing = true;
    m->on_closed = fn;
    m->on_closed_ctx = ctx;
    hub_free(&m->hub);
    http_server_free(&m->server);
    store_free(&m->store); /* finishes what was submitted; its done() are posted */
    if (m->in_flight == 0)
        release(m);
}

static void
set_flag(void *ctx)
{
    *(bool *)ctx = true;
}

void
manager_free(struct manager **manager)
{
    struct loop *loop = *manager == NULL ? NULL : (*manager)->loop;
    bool is_closed = false;

    manager_close(manager, set_flag, &is_closed);
    while (!is_closed)
        loop_poll(loop);
}

uint16_t
manager_port(const struct manager *manager)
{
    return http_server_port(manager->server);
}

/* ---- renewing certificates ---- */

struct renewal {
    struct store_job job;
    struct manager *m;
    struct buf events;
    unsigned count;
    void (*fn)(void *ctx);
    void *ctx;
};

static enum rc
renew_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct renewal *r = (struct renewal *)job;
    struct work w = {.dir = &r->m->dir,
                     .tx = tx,
                     .events = &r->events,
                     .now_s = clock_unix_ms(r->m->dir.clock) / 1000};

    buf_reset(&r->events);
    return number_renew_due(&w, &r->count, err);
}

static void
renew_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct renewal *r = (struct renewal *)job;
    struct manager *m = r->m;
    bool is_more = rc == RC_OK && r->count == LIST_MAX && !m->is_closing;

    if (rc != RC_OK)
        log_event(m->log, LOG_ERROR, "certificates.failed", LOG_RC(err));
    else if (r->count > 0)
        log_event(m->log, LOG_INFO, "certificates.renewed", LOG_UINT("count", r->count));
    if (rc == RC_OK && !m->is_closing)
        hub_send(m->hub, buf_bytes(&r->events));
    if (is_more)
        manager_renew(m, r->fn, r->ctx);
    else if (r->fn != NULL)
        r->fn(r->ctx);
    buf_free(&r->events);
    free(r);
    manager_job_over(m);
}

void
manager_renew(struct manager *m, void (*fn)(void *ctx), void *ctx)
{
    struct renewal *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        if (fn != NULL)
            fn(ctx);
        return; /* the next tick tries again */
    }
    r->m = m;
    r->fn = fn;
    r->ctx = ctx;
    buf_init(&r->events, EVENTS_MAX);
    r->job = (struct store_job){.run = renew_run, .done = renew_done, .loop = m->loop};
    m->in_flight++;
    store_submit(m->store, &r->job);
}

/* ---- counting ---- */

struct counting {
    struct store_job job;
    struct manager *m;
    struct manager_counts counts;
    void (*fn)(void *ctx, const struct manager_counts *counts);
    void *ctx;
};

static enum rc
count_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct counting *c = (struct counting *)job;
    uint64_t *const into[] = {&c->counts.businesses, &c->counts.wabas, &c->counts.numbers,
                              &c->counts.apps, &c->counts.tokens};
    struct store_rows rows;
    enum rc rc;

    store_query(&rows, tx, &manager_part, SQL_COUNTS_ALL, ST_NONE);
    for (size_t i = 0; rows.has_row && i < ARRAY_LEN(into); i++)
        *into[i] = (uint64_t)store_col_int(&rows, (int)i);
    rc = rows.rc;
    store_rows_end(&rows);
    return rc;
}

static void
count_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct counting *c = (struct counting *)job;
    struct manager *m = c->m;

    c->counts.streams = m->hub == NULL ? 0 : hub_streams(m->hub);
    c->fn(c->ctx, rc == RC_OK ? &c->counts : NULL);
    free(c);
    manager_job_over(m);
}

void
manager_count(struct manager *m, void (*fn)(void *ctx, const struct manager_counts *counts),
              void *ctx)
{
    struct counting *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        fn(ctx, NULL);
        return;
    }
    c->m = m;
    c->fn = fn;
    c->ctx = ctx;
    c->job = (struct store_job){.run = count_run, .done = count_done, .loop = m->loop};
    m->in_flight++;
    store_read(m->store, &c->job);
}
