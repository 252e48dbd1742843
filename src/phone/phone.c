/* phone.c - all profiles of one data folder: opening, the hourly tick, the end. */
#include "phone/phone.h"

#include <stdlib.h>

#include "phone/internal.h"
#include "phone/profile.h"

#define TICK_MS (3600 * 1000)
#define DAY_KEYS_MS (32ll * 24 * 3600 * 1000) /* outgoing payloads are gone by then */

const struct store_part *const phone_parts[] = {&endpoint_part, &phone_part};
const size_t phone_parts_n = ARRAY_LEN(phone_parts);

void
phone_hold(struct phone *phone)
{
    phone->jobs++;
}

static void
phone_destroy(struct phone *phone)
{
    struct profile *p, *next;
    void (*fn)(void *ctx) = phone->on_closed;
    void *ctx = phone->closed_ctx;

    HASH_ITER(hh, phone->profiles, p, next)
    {
        HASH_DEL(phone->profiles, p);
        receipts_drop(p);
        free(p);
    }
    channel_hub_free(&phone->host.hub);
    session_engine_free(&phone->host.engine);
    free(phone);
    if (fn != NULL)
        fn(ctx);
}

void
phone_release(struct phone *phone)
{
    if (--phone->jobs == 0 && phone->is_closing)
        phone_destroy(phone);
}

/* ---- jobs of a profile ---- */

bool
profile_job_init(struct profile_job *job, struct profile *p, bool sends)
{
    if (p->phone->is_closing || p->endpoint == NULL)
        return false;
    if (sends && (job->out = endpoint_outputs_new(p->endpoint)) == NULL)
        return false;
    job->p = p;
    job->endpoint = p->endpoint;
    endpoint_hold(p->endpoint);
    phone_hold(p->phone);
    return true;
}

void
profile_job_end(struct profile_job *job, enum rc rc)
{
    struct phone *phone = job->p->phone;

    if (rc == RC_OK && job->out != NULL)
        endpoint_committed(job->endpoint, job->out);
    endpoint_outputs_free(&job->out);
    endpoint_release(job->endpoint);
    phone_release(phone);
}

/* ---- what is due ---- */

struct due {
    struct phone *phone;
    uint32_t waiting;
    void (*fn)(void *ctx);
    void *ctx;
};

static void
due_release(void *ctx)
{
    struct due *due = ctx;
    struct phone *phone = due->phone;

    if (--due->waiting > 0)
        return;
    if (due->fn != NULL)
        due->fn(due->ctx);
    free(due);
    phone_release(phone);
}

/* ---- the test clock's offset, remembered ---- */

struct offset_job {
    struct store_job job;
    struct due *due;
    int64_t offset_ms;
};

static enum rc
offset_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    return store_run(tx, &phone_part, SQL_NOTE_PUT, NULL, err,
                     ST_ARGS(ST_I(NOTE_CLOCK_OFFSET), ST_I(((struct offset_job *)job)->offset_ms)));
}

static void
offset_done(struct store_job *job, enum rc rc UNUSED, const struct err *err UNUSED)
{
    due_release(((struct offset_job *)job)->due);
    free(job);
}

static void
offset_save(struct due *due)
{
    struct phone *phone = due->phone;
    struct offset_job *o = calloc(1, sizeof *o);

    if (o == NULL)
        return;
    due->waiting++;
    o->due = due;
    o->offset_ms = clock_offset_ms(phone->host.clock);
    o->job = (struct store_job){.run = offset_run, .done = offset_done, .loop = phone->host.loop};
    store_submit(phone->host.store, &o->job);
}

static enum rc
offset_load(void *ctx, struct store_tx *tx, struct err *err)
{
    struct phone *phone = ctx;
    struct store_rows rows;
    int64_t offset_ms = 0;

    store_query(&rows, tx, &phone_part, SQL_NOTE_GET, ST_ARGS(ST_I(NOTE_CLOCK_OFFSET)));
    if (rows.has_row)
        offset_ms = store_col_int(&rows, 0);
    store_rows_end(&rows);
    if (rows.rc != RC_OK || offset_ms <= clock_offset_ms(phone->host.clock))
        return rows.rc;
    return clock_set_offset_ms(phone->host.clock, offset_ms, err);
}

void
phone_run_due(struct phone *phone, void (*fn)(void *ctx), void *ctx)
{
    struct due *due = calloc(1, sizeof *due);
    struct profile *p, *next;

    if (due == NULL) {
        if (fn != NULL)
            fn(ctx);
        return;
    }
    *due = (struct due){.phone = phone, .waiting = 1, .fn = fn, .ctx = ctx};
    phone_hold(phone);
    if (phone->may_shift_clock)
        offset_save(due);
    HASH_ITER(hh, phone->profiles, p, next)
    {
        if (p->endpoint == NULL)
            continue;
        due->waiting++;
        endpoint_run_due(p->endpoint, due_release, due);
    }
    due_release(due);
}

static void
on_tick(struct loop_timer *timer)
{
    struct phone *phone = (struct phone *)((char *)timer - offsetof(struct phone, tick));
    struct err err = {0};
    uint32_t destroyed;

    profiles_drop_unfinished(phone);
    phone_run_due(phone, NULL, NULL);
    if (keyring_destroy_before(phone->host.ring, &destroyed,
                               clock_unix_ms(phone->host.clock) - DAY_KEYS_MS, &err) != RC_OK)
        log_event(phone->host.log, LOG_WARN, "phone.keys", LOG_RC(&err));
}

static void
on_tick_closed(struct loop_timer *timer)
{
    phone_release((struct phone *)((char *)timer - offsetof(struct phone, tick)));
}

/* ---- opening and closing ---- */

static void
host_fill(struct phone *phone, const struct phone_opt *opt)
{
    phone->host = (struct endpoint_host){.loop = opt->loop,
                                         .store = opt->store,
                                         .ring = opt->ring,
                                         .clock = opt->clock,
                                         .rng = opt->rng,
                                         .log = opt->log,
                                         .relay_host = opt->relay_host,
                                         .relay_port = opt->relay_port,
                                         .has_authority = opt->has_authority,
                                         .client_name = "parley-phone/0.1"};
    memcpy(phone->host.relay_root, opt->relay_root, sizeof phone->host.relay_root);
    memcpy(phone->host.authority, opt->authority, sizeof phone->host.authority);
}

enum rc
phone_open(struct phone **out, const struct phone_opt *opt, struct err *err)
{
    struct phone *phone = calloc(1, sizeof *phone);
    enum rc rc;

    *out = NULL;
    if (phone == NULL)
        return err_set(err, RC_NOMEM, "phone.open", "phone");
    host_fill(phone, opt);
    rc = session_engine_new(&phone->host.engine, opt->rng, err);
    if (rc == RC_OK)
        rc = channel_hub_open(&phone->host.hub,
                              &(struct channel_hub_opt){.loop = opt->loop, .log = opt->log}, err);
    if (rc != RC_OK) {
        session_engine_free(&phone->host.engine);
        free(phone);
        return rc;
    }
    phone_hold(phone); /* the timer's */
    loop_timer_init(phone->host.loop, &phone->tick, on_tick);
    loop_timer_start(&phone->tick, TICK_MS, TICK_MS);
    phone->may_shift_clock = opt->may_shift_clock;
    if (phone->may_shift_clock)
        rc = store_do(opt->store, offset_load, phone, err);
    if (rc == RC_OK)
        rc = profiles_load(phone, err);
    if (rc != RC_OK)
        phone_close(&phone, NULL, NULL);
    *out = phone;
    return rc;
}

static void
on_endpoint_closed(void *ctx)
{
    phone_release(ctx);
}

void
phone_close(struct phone **out, void (*on_closed)(void *ctx), void *ctx)
{
    struct phone *phone = *out;
    struct profile *p, *next;

    *out = NULL;
    if (phone == NULL) {
        if (on_closed != NULL)
            on_closed(ctx);
        return;
    }
    phone->is_closing = true;
    phone->on_closed = on_closed;
    phone->closed_ctx = ctx;
    phone_hold(phone);
    HASH_ITER(hh, phone->profiles, p, next)
    {
        while (p->watches != NULL)
            phone_watch_end(p->watches);
        phone_hold(phone);
        endpoint_close(&p->endpoint, on_endpoint_closed, phone);
    }
    loop_timer_stop(&phone->tick);
    loop_timer_close(&phone->tick, on_tick_closed);
    phone_release(phone);
}
