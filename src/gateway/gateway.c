/* gateway.c - the numbers of one program: adding, removing, the tick that renews leases, the end.
 */
#include "gateway/gateway.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "gateway/internal.h"

#define RETENTION_MS (30ll * 24 * 3600 * 1000)
#define DUE_EVERY_MS (3600ll * 1000)
#define TICKS_IN_LEASE 6 /* a lease is renewed on every second */
#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"

static const char *const status_names[] = {
    [GATEWAY_SENT] = "sent",
    [GATEWAY_DELIVERED] = "delivered",
    [GATEWAY_READ] = "read",
    [GATEWAY_FAILED] = "failed",
};

const char *
gateway_status_name(enum gateway_status_kind kind)
{
    return status_names[kind];
}

struct number *
number_find(struct gateway *gw, uint64_t account)
{
    struct number *number;

    HASH_FIND(hh, gw->numbers, &account, sizeof account, number);
    return number == NULL || number->is_leaving ? NULL : number;
}

void
gateway_hold(struct gateway *gw)
{
    gw->jobs++;
}

static void
gateway_destroy(struct gateway *gw)
{
    struct number *number, *next;
    void (*fn)(void *ctx) = gw->on_closed;
    void *ctx = gw->closed_ctx;

    HASH_ITER(hh, gw->numbers, number, next)
    {
        HASH_DEL(gw->numbers, number);
        bytes_wipe(number->idem_key, sizeof number->idem_key);
        free(number);
    }
    channel_hub_free(&gw->host.hub);
    session_engine_free(&gw->host.engine);
    free(gw);
    if (fn != NULL)
        fn(ctx);
}

void
gateway_release(struct gateway *gw)
{
    if (--gw->jobs == 0 && gw->is_closing)
        gateway_destroy(gw);
}

static void
on_tick(struct loop_timer *timer)
{
    struct gateway *gw = (struct gateway *)((char *)timer - offsetof(struct gateway, tick));
    int64_t now_ms = clock_mono_ms(gw->host.clock);
    struct number *number, *next;

    gw->ticks++;
    HASH_ITER(hh, gw->numbers, number, next)
    if (number->epoch != 0 && lease_is_old(number))
        lease_lost(number);
    if (gw->ticks % 2 == 0)
        lease_renew_all(gw);
    HASH_ITER(hh, gw->numbers, number, next)
    if (number->epoch == 0 && !number->is_leaving)
        lease_take(number);
    if (now_ms >= gw->due_at_ms) {
        gw->due_at_ms = now_ms + DUE_EVERY_MS;
        gateway_run_due(gw, NULL, NULL);
    }
}

static void
on_tick_closed(struct loop_timer *timer)
{
    gateway_release((struct gateway *)((char *)timer - offsetof(struct gateway, tick)));
}

const struct store_part *const gateway_parts[] = {&endpoint_part, &gateway_part};
const size_t gateway_parts_n = ARRAY_LEN(gateway_parts);

static enum rc
boot_read(struct gateway *gw, struct err *err)
{
    struct buf text;
    enum rc rc;

    buf_init(&text, 64);
    rc = file_read(&text, BOOT_ID_FILE, 64, err);
    if (rc == RC_OK)
        snprintf(gw->boot, sizeof gw->boot, "%.36s", buf_cstr(&text));
    buf_free(&text);
    return rc;
}

enum rc
gateway_open(struct gateway **out, const struct gateway_opt *opt, struct err *err)
{
    struct gateway *gw = calloc(1, sizeof *gw);
    enum rc rc;

    *out = NULL;
    if (gw == NULL)
        return err_set(err, RC_NOMEM, "gateway.open", "gateway");
    gw->host = (struct endpoint_host){.loop = opt->loop,
                                      .store = opt->store,
                                      .ring = opt->ring,
                                      .clock = opt->clock,
                                      .rng = opt->rng,
                                      .log = opt->log,
                                      .relay_host = opt->relay_host,
                                      .relay_port = opt->relay_port,
                                      .client_name = opt->client_name};
    memcpy(gw->host.relay_root, opt->relay_root, sizeof gw->host.relay_root);
    gw->ops = opt->ops;
    gw->ctx = opt->ctx;
    gw->lease_ms = opt->lease_ms > 0 ? opt->lease_ms : GATEWAY_LEASE_MS;
    if (strlen(opt->node) >= sizeof gw->holder) {
        free(gw);
        return err_set(err, RC_INVAL, "gateway.open", "node name longer than %u", HOLDER_MAX - 1);
    }
    memcpy(gw->holder, opt->node, strlen(opt->node));
    rc = boot_read(gw, err);
    if (rc == RC_OK)
        rc = session_engine_new(&gw->host.engine, opt->rng, err);
    if (rc == RC_OK)
        rc = channel_hub_open(&gw->host.hub,
                              &(struct channel_hub_opt){.loop = opt->loop, .log = opt->log}, err);
    if (rc != RC_OK) {
        session_engine_free(&gw->host.engine);
        free(gw);
        return rc;
    }
    gateway_hold(gw); /* the timer's */
    loop_timer_init(gw->host.loop, &gw->tick, on_tick);
    loop_timer_start(&gw->tick, (uint64_t)gw->lease_ms / TICKS_IN_LEASE,
                     (uint64_t)gw->lease_ms / TICKS_IN_LEASE);
    *out = gw;
    return RC_OK;
}

void
gateway_close(struct gateway **out, void (*on_closed)(void *ctx), void *ctx)
{
    struct gateway *gw = *out;
    struct number *number, *next;

    *out = NULL;
    if (gw == NULL) {
        if (on_closed != NULL)
            on_closed(ctx);
        return;
    }
    gw->is_closing = true;
    gw->on_closed = on_closed;
    gw->closed_ctx = ctx;
    gateway_hold(gw);
    HASH_ITER(hh, gw->numbers, number, next)
    lease_give_up(number);
    loop_timer_stop(&gw->tick);
    loop_timer_close(&gw->tick, on_tick_closed);
    gateway_release(gw);
}

enum rc
gateway_number_add(struct gateway *gw, uint64_t account, struct err *err)
{
    struct number *number;
    enum rc rc;

    HASH_FIND(hh, gw->numbers, &account, sizeof account, number);
    if (number == NULL) {
        if ((number = calloc(1, sizeof *number)) == NULL)
            return err_set(err, RC_NOMEM, "gateway.number", "number");
        number->gw = gw;
        number->account = account;
        rc = keyring_hash_key(gw->host.ring, number->idem_key, account, "idempotency", err);
        if (rc != RC_OK) {
            free(number);
            return rc;
        }
        HASH_ADD(hh, gw->numbers, account, sizeof number->account, number);
    }
    number->is_leaving = false;
    lease_take(number);
    return RC_OK;
}

void
gateway_number_remove(struct gateway *gw, uint64_t account)
{
    struct number *number = number_find(gw, account);

    if (number == NULL)
        return;
    number->is_leaving = true;
    lease_give_up(number);
}

bool
gateway_number_info(struct gateway *gw, uint64_t account, struct gateway_number_info *out)
{
    struct number *number = number_find(gw, account);

    *out = (struct gateway_number_info){.is_ours = false};
    if (number == NULL)
        return false;
    out->is_ours = number->epoch != 0 && number->endpoint != NULL;
    out->is_registered = out->is_ours && endpoint_is_registered(number->endpoint);
    out->is_up = out->is_ours && endpoint_is_up(number->endpoint);
    return true;
}

void
gateway_each_number(struct gateway *gw, void (*fn)(void *ctx, uint64_t account), void *ctx)
{
    struct number *number, *next;

    HASH_ITER(hh, gw->numbers, number, next)
    if (!number->is_leaving)
        fn(ctx, number->account);
}

void
gateway_message_id(struct gateway *gw, uint8_t out[16])
{
    message_id_make(out, clock_unix_ms(gw->host.clock), gw->host.rng);
}

/* ---- what is due by platform time ---- */

struct due {
    struct gateway *gw;
    uint32_t waiting;
    void (*fn)(void *ctx);
    void *ctx;
};

struct sweep_job {
    struct store_job job;
    struct due *due;
    struct number *number;
};

static void
due_release(struct due *due)
{
    struct gateway *gw = due->gw;

    if (--due->waiting > 0)
        return;
    if (due->fn != NULL)
        due->fn(due->ctx);
    free(due);
    gateway_release(gw);
}

static void
on_endpoint_due(void *ctx)
{
    due_release(ctx);
}

static enum rc
sweep_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct sweep_job *s = (struct sweep_job *)job;
    int64_t now_ms = clock_unix_ms(s->due->gw->host.clock);
    const struct {
        enum gateway_stmt stmt;
        int64_t keep_ms;
    } sweeps[] = {
        {SQL_MSG_SWEEP,  RETENTION_MS          },
        {SQL_IN_SWEEP,   RETENTION_MS          },
        {SQL_IDEM_SWEEP, GATEWAY_IDEMPOTENCY_MS}
    };
    enum rc rc = lease_guard(s->number, tx, err);

    for (size_t i = 0; rc == RC_OK && i < ARRAY_LEN(sweeps); i++)
        rc = store_run(tx, &gateway_part, sweeps[i].stmt, NULL, err,
                       ST_ARGS(ST_I(s->number->account), ST_I(now_ms - sweeps[i].keep_ms)));
    return rc;
}

static void
sweep_done(struct store_job *job, enum rc rc UNUSED, const struct err *err UNUSED)
{
    struct sweep_job *s = (struct sweep_job *)job;

    due_release(s->due);
    free(s);
}

/* I35: the day keys of what is older than the retention are destroyed, and with them every copy of
 * what they sealed. A file is rewritten, so it runs on the store's thread, after the sweeps before
 * it. */
static enum rc
destroy_run(struct store_job *job, struct store_tx *tx UNUSED, struct err *err)
{
    struct gateway *gw = ((struct sweep_job *)job)->due->gw;
    uint32_t destroyed = 0;
    enum rc rc = keyring_destroy_before(gw->host.ring, &destroyed,
                                        clock_unix_ms(gw->host.clock) - RETENTION_MS, err);

    if (destroyed > 0)
        log_event(gw->host.log, LOG_INFO, "gateway.day_keys_destroyed", LOG_UINT("n", destroyed));
    return rc;
}

static void
sweep_add(struct due *due, struct number *number,
          enum rc (*run)(struct store_job *job, struct store_tx *tx, struct err *err))
{
    struct sweep_job *s = calloc(1, sizeof *s);

    if (s == NULL)
        return; /* the next round does it */
    due->waiting++;
    *s = (struct sweep_job){.due = due, .number = number};
    s->job = (struct store_job){.run = run, .done = sweep_done, .loop = due->gw->host.loop};
    store_submit(due->gw->host.store, &s->job);
}

void
gateway_run_due(struct gateway *gw, void (*fn)(void *ctx), void *ctx)
{
    struct due *due = calloc(1, sizeof *due);
    struct number *number, *next;

    if (due == NULL) {
        if (fn != NULL)
            fn(ctx);
        return;
    }
    *due = (struct due){.gw = gw, .waiting = 1, .fn = fn, .ctx = ctx};
    gateway_hold(gw);
    HASH_ITER(hh, gw->numbers, number, next)
    {
        if (number->endpoint == NULL)
            continue;
        due->waiting++;
        endpoint_run_due(number->endpoint, on_endpoint_due, due);
        sweep_add(due, number, sweep_run);
    }
    sweep_add(due, NULL, destroy_run);
    due_release(due);
}
