/* relay.c - the relay as a whole: put together, taken apart in the reverse order.
 *
 * The end has an order: no new connections, everybody told, what was submitted committed, then the
 * threads, then the store, then memory. */
#include "relay/relay.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "crypto/prim.h"
#include "link/channel.h"
#include "relay/core.h"
#include "relay/server.h"
#include "relay/sweep.h"

#define LIMITER_SLOTS 65536u
#define DRAIN_STEP_US 2000
#define KEPT_DESCRIPTORS 64u

void
relay_limits_default(struct relay_limits *out)
{
    *out = (struct relay_limits){
        .phone_envelopes = 20000,
        .phone_bytes = 64ull * 1024 * 1024,
        .lane_envelopes = 1000000,
        .lane_bytes = 2ull * 1024 * 1024 * 1024,
        .window = 256,
        .window_bytes = 1024 * 1024,
        .connections = 1000000,
        .opening = 8192,
        .handshakes_per_10s = 200,
        .codes_per_number = 5,
        .codes_per_address = 60,
        .code_tries = 5,
        .fetches_per_hour = 5,
        .fetches_per_day = 20,
        .lookups_per_hour = 600,
        .ephemerals_per_10s = 100,
        .handshake_ms = CHANNEL_HANDSHAKE_MS,
        .first_ms = 10000,
        .opening_ms = 5 * 60 * 1000,
    };
}

int64_t
relay_now_ms(const struct relay *relay)
{
    return clock_unix_ms(relay->clock);
}

uint16_t
relay_port(const struct relay *relay)
{
    return relay->port;
}

void
relay_sweep(struct relay *relay, void (*fn)(void *ctx, enum rc rc), void *ctx)
{
    sweeper_run(relay->sweeper, fn, ctx);
}

static unsigned
count_loops(unsigned asked)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = asked != 0 ? asked : (cores < 1 ? 1 : (unsigned)cores);

    return n > RELAY_LOOPS_MAX ? RELAY_LOOPS_MAX : n;
}

/* Keep descriptors for the store, for commands, and for accepting what is then turned away. */
static uint32_t
bound_connections(uint32_t asked)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return asked;
    if (limit.rlim_cur <= 2 * KEPT_DESCRIPTORS)
        return (uint32_t)limit.rlim_cur / 4;
    limit.rlim_cur -= KEPT_DESCRIPTORS;
    return limit.rlim_cur < asked ? (uint32_t)limit.rlim_cur : asked;
}

static enum rc
copy_options(struct relay *relay, const struct relay_opt *opt, struct err *err)
{
    relay_limits_default(&relay->limits);
    if (opt->limits != NULL)
        relay->limits = *opt->limits;
    relay->limits.connections = bound_connections(relay->limits.connections);
    relay->clock = opt->clock;
    relay->rng = opt->rng;
    relay->log = opt->log;
    relay->loop = opt->loop;
    relay->port = opt->port;
    relay->key = opt->key;
    memcpy(relay->code_key, opt->code_key, sizeof(relay->code_key));
    relay->has_authority = opt->has_authority;
    memcpy(relay->authority, opt->authority, sizeof(relay->authority));
    relay->data_dir = strdup(opt->data_dir);
    relay->code_command = opt->code_command == NULL ? NULL : strdup(opt->code_command);
    relay->certificate = malloc(opt->certificate.len + 1);
    if (relay->data_dir == NULL || relay->certificate == NULL ||
        (opt->code_command != NULL && relay->code_command == NULL) ||
        asprintf(&relay->db_path, "%s/relay.db", opt->data_dir) < 0)
        return err_set(err, RC_NOMEM, "relay.open", "out of memory");
    memcpy(relay->certificate, opt->certificate.ptr, opt->certificate.len);
    relay->certificate_len = opt->certificate.len;
    return RC_OK;
}

static void
on_fatal(void *ctx, const struct err *err)
{
    struct relay *relay = ctx;

    log_event(relay->log, LOG_ERROR, "store.failed", LOG_RC(err));
    _exit(1); /* nothing may be acknowledged any more: a restart recovers (I4) */
}

static enum rc
open_store(struct relay *relay, struct err *err)
{
    static const struct store_part *const parts[] = {&relay_part};
    struct store_opt opt = {.backend = STORE_SQLITE,
                            .path = relay->db_path,
                            .parts = parts,
                            .n_parts = ARRAY_LEN(parts),
                            .commit_delay_us = STORE_COMMIT_DELAY_US,
                            .log = relay->log,
                            .on_fatal = on_fatal,
                            .ctx = relay};

    return store_open(&relay->store, &opt, err);
}

/* ---- the platform's time survives a restart ---- */

struct saved_clock {
    int64_t offset_ms, seen_ms;
};

static enum rc
read_clock(void *ctx, struct store_tx *tx, struct err *err)
{
    struct saved_clock *saved = ctx;
    const int keys[] = {NOTE_CLOCK_OFFSET, NOTE_CLOCK_SEEN};
    int64_t *const values[] = {&saved->offset_ms, &saved->seen_ms};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct store_rows rows;

        store_query(&rows, tx, &relay_part, SQL_NOTE_GET, ST_ARGS(ST_I(keys[i])));
        if (rows.has_row)
            *values[i] = store_col_int(&rows, 0);
        store_rows_end(&rows);
        if (rows.rc != RC_OK)
            return err_set(err, rows.rc, "relay.clock", "cannot read the saved time");
    }
    return RC_OK;
}

/* Platform time never runs back, not even over a restart with the wall clock set back (I40). */
static enum rc
restore_clock(struct relay *relay, struct err *err)
{
    struct saved_clock saved = {0};
    int64_t offset;
    enum rc rc = store_do(relay->store, read_clock, &saved, err);

    if (rc != RC_OK)
        return rc;
    offset = clock_offset_ms(relay->clock);
    if (saved.offset_ms > offset)
        offset = saved.offset_ms;
    if (clock_wall_ms(relay->clock) + offset < saved.seen_ms)
        offset = saved.seen_ms - clock_wall_ms(relay->clock);
    if (offset == clock_offset_ms(relay->clock))
        return RC_OK;
    log_event(relay->log, LOG_WARN, "clock.shifted", LOG_INT("offset_ms", offset));
    return clock_set_offset_ms(relay->clock, offset, err);
}

static enum rc
start(struct relay *relay, const struct relay_opt *opt, struct err *err)
{
    enum rc rc;

    if ((rc = open_store(relay, err)) != RC_OK || (rc = restore_clock(relay, err)) != RC_OK ||
        (rc = registry_new(&relay->registry, err)) != RC_OK ||
        (rc = limiter_new(&relay->limiter, LIMITER_SLOTS, relay->rng, err)) != RC_OK ||
        (rc = inbox_new(&relay->inbox, &relay->limits, relay->rng, err)) != RC_OK ||
        (rc = writer_new(&relay->writer, relay, err)) != RC_OK)
        return rc;
    for (unsigned i = 0; i < relay->n_workers; i++) {
        rc = worker_prepare(&relay->workers[i], relay, i, opt->host, err);
        if (rc != RC_OK)
            return rc;
    }
    if ((rc = sweeper_new(&relay->sweeper, relay, err)) != RC_OK)
        return rc;
    for (unsigned i = 0; i < relay->n_workers; i++) {
        if ((rc = worker_run(&relay->workers[i], err)) != RC_OK)
            return rc;
    }
    return RC_OK;
}

enum rc
relay_open(struct relay **out, const struct relay_opt *opt, struct err *err)
{
    struct relay *relay = *out = calloc(1, sizeof(*relay));
    enum rc rc;

    if (relay == NULL)
        return err_set(err, RC_NOMEM, "relay.open", "out of memory");
    relay->n_workers = count_loops(opt->loops);
    if ((rc = copy_options(relay, opt, err)) != RC_OK || (rc = start(relay, opt, err)) != RC_OK)
        relay_free(out);
    return rc;
}

/* Peers say goodbye, and their requests come back from the store. */
static void
wait_for_peers(struct relay *relay)
{
    for (unsigned i = 0; i < RELAY_DRAIN_MS * 1000 / DRAIN_STEP_US; i++) {
        loop_poll(relay->loop); /* the sweeper may be in a pass */
        if (atomic_load(&relay->n_connections) == 0 && atomic_load(&relay->n_asks) == 0)
            return;
        usleep(DRAIN_STEP_US);
    }
}

/* Every loop stands still: run what the store has posted to them, here. */
static void
hear_last_answers(struct relay *relay)
{
    for (unsigned i = 0; i < relay->n_workers; i++) {
        if (relay->workers[i].loop != NULL)
            loop_poll(relay->workers[i].loop);
    }
    loop_poll(relay->loop);
}

void
relay_free(struct relay **out)
{
    struct relay *relay = *out;

    if (relay == NULL)
        return;
    if (relay->sweeper != NULL)
        sweeper_stop(relay->sweeper);
    for (unsigned i = 0; i < relay->n_workers; i++) {
        if (relay->workers[i].has_thread)
            worker_drain(&relay->workers[i]);
    }
    wait_for_peers(relay);
    for (unsigned i = 0; i < relay->n_workers; i++)
        worker_join(&relay->workers[i]);
    store_free(&relay->store); /* commits what was submitted and posts what came of it */
    hear_last_answers(relay);
    for (unsigned i = 0; i < relay->n_workers; i++)
        worker_free(&relay->workers[i]);
    sweeper_free(&relay->sweeper);
    writer_free(&relay->writer);
    inbox_free(&relay->inbox);
    limiter_free(&relay->limiter);
    registry_free(&relay->registry);
    bytes_wipe(&relay->key, sizeof(relay->key));
    bytes_wipe(relay->code_key, sizeof(relay->code_key));
    free(relay->data_dir);
    free(relay->db_path);
    free(relay->code_command);
    free(relay->certificate);
    free(relay);
    *out = NULL;
}
