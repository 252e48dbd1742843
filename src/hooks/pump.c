/* pump.c - the pump's life and its turns on the loop.
 *
 * A turn sends what may be sent, stores the outcomes that came in, asks for the rows that are
 * wanted, and sets an alarm for what becomes due. Turns are asked for by pump_wake and never nest.
 * Times of events follow the platform clock, which a test may move: whoever moves it calls
 * hooks_pump_drain. Source: docs/protocol/webhook.md. */
#include "hooks/parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PER_TARGET 8u
#define IN_FLIGHT_MAX 128u
#define ALARM_MIN_MS 10    /* a frozen clock must not make the loop spin */
#define ALARM_MAX_MS 60000 /* the platform clock is looked at this often */
#define FIRST_SWEEP_MS 60000
#define PAUSE_MS 500 /* after the store refused something */

int64_t
pump_now(const struct hooks_pump *pump)
{
    return clock_unix_ms(pump->opt.clock);
}

void
pump_wake(struct hooks_pump *pump)
{
    if (!pump->is_closing && !pump->is_in_turn && !pump->is_awake) {
        pump->is_awake = true;
        loop_timer_start(&pump->turn, 0, 0);
    }
}

void
pump_due_at(struct hooks_pump *pump, int64_t at_ms)
{
    if (at_ms < pump->next_due_ms)
        pump->next_due_ms = at_ms;
}

/* ---- turns ---- */

static bool
is_quiet(struct hooks_pump *pump)
{
    int64_t now_ms = pump_now(pump);

    return pump->runnable == NULL && pump->n_in_flight == 0 && pump->n_resolving == 0 &&
           discover_is_idle(pump) && outcomes_are_idle(pump) && pump->next_due_ms > now_ms &&
           pump->next_sweep_ms > now_ms;
}

static void
tell_drained(struct hooks_pump *pump)
{
    while (pump->drains != NULL && is_quiet(pump)) {
        struct drain_wait *wait = pump->drains;

        pump->drains = wait->next;
        wait->fn(wait->ctx);
        free(wait);
    }
}

static void
set_alarm(struct hooks_pump *pump, int64_t now_ms)
{
    int64_t due_ms =
        pump->next_due_ms < pump->next_sweep_ms ? pump->next_due_ms : pump->next_sweep_ms;
    int64_t wait_ms = due_ms - now_ms;

    if (wait_ms < ALARM_MIN_MS)
        wait_ms = ALARM_MIN_MS;
    if (wait_ms > ALARM_MAX_MS)
        wait_ms = ALARM_MAX_MS;
    if (pump->is_paused)
        wait_ms = PAUSE_MS;
    loop_timer_start(&pump->alarm, (uint64_t)wait_ms, 0);
}

static void
have_turn(struct hooks_pump *pump)
{
    int64_t now_ms = pump_now(pump);
    struct hook_target *target;

    pump->is_in_turn = true;
    if (now_ms >= pump->next_due_ms)
        targets_look(pump, now_ms);
    while (pump->n_in_flight + pump->n_resolving < pump->opt.in_flight_max &&
           (target = targets_take_runnable(pump)) != NULL) {
        target_look(target, now_ms);
        if (target_can_send(target, now_ms))
            attempt_send(target, now_ms);
    }
    sweep_if_due(pump, now_ms);
    outcomes_store(pump, false);
    discover_next(pump);
    pump->is_in_turn = false;
    set_alarm(pump, now_ms);
    tell_drained(pump);
}

static void
on_turn(struct loop_timer *timer)
{
    struct hooks_pump *pump = OWNER_OF(timer, struct hooks_pump, turn);

    pump->is_awake = false;
    have_turn(pump);
}

static void
on_alarm(struct loop_timer *timer)
{
    struct hooks_pump *pump = OWNER_OF(timer, struct hooks_pump, alarm);

    pump->is_paused = false;
    have_turn(pump);
}

/* ---- from outside ---- */

void
hooks_pump_look(struct hooks_pump *pump, uint64_t account)
{
    discover_again(pump, account);
}

void
hooks_pump_drain(struct hooks_pump *pump, void (*fn)(void *ctx), void *ctx)
{
    struct drain_wait *wait = calloc(1, sizeof(*wait)), **link = &pump->drains;

    if (wait == NULL)
        abort(); /* the caller would wait for ever */
    wait->fn = fn;
    wait->ctx = ctx;
    while (*link != NULL)
        link = &(*link)->next;
    *link = wait;
    pump->next_due_ms = 0; /* the clock may have been moved: look at everything */
    pump_wake(pump);
}

void
hooks_pump_stats(const struct hooks_pump *pump, struct hooks_stats *out)
{
    *out = pump->stats;
    out->waiting = pump->n_items;
    out->in_flight = pump->n_in_flight;
    out->targets = pump->n_targets;
    out->targets_failing = pump->n_failing;
}

/* ---- opening and closing ---- */

static void
settle_options(struct hooks_pump_opt *opt)
{
    if (opt->per_target == 0)
        opt->per_target = PER_TARGET;
    if (opt->in_flight_max == 0)
        opt->in_flight_max = IN_FLIGHT_MAX;
}

static void
pump_release(struct hooks_pump *pump)
{
    outcomes_free(pump);
    targets_free(pump);
    items_free(pump);
    discover_free(pump);
    pthread_mutex_destroy(&pump->lock);
    free(pump);
}

void
pump_unref(struct hooks_pump *pump)
{
    if (--pump->refs == 0)
        pump_release(pump);
}

enum rc
hooks_pump_open(struct hooks_pump **out, const struct hooks_pump_opt *opt, struct err *err)
{
    struct hooks_pump *pump = calloc(1, sizeof(*pump));
    enum rc rc;

    *out = NULL;
    if (pump == NULL)
        return err_set(err, RC_NOMEM, "hooks.open", "out of memory");
    pump->opt = *opt;
    settle_options(&pump->opt);
    pthread_mutex_init(&pump->lock, NULL);
    pump->next_due_ms = NEVER;
    pump->next_sweep_ms = pump_now(pump) + FIRST_SWEEP_MS;
    beacon_init(pump);
    pump->index = calloc(INDEX_BUCKETS, sizeof(struct hook_item *));
    rc = pump->index == NULL ? err_set(err, RC_NOMEM, "hooks.open", "out of memory")
                             : discover_init(pump, err);
    if (rc == RC_OK)
        rc = http_client_open(
            &pump->client,
            &(struct http_client_opt){.loop = opt->loop,
                                      .log = opt->log,
                                      .ca_file = opt->ca_file,
                                      .with_system_ca = true,
                                      .connections_max = 2 * pump->opt.in_flight_max,
                                      .connections_per_host = UINT16_MAX},
            err);
    if (rc != RC_OK) {
        pump_release(pump);
        return rc;
    }
    loop_timer_init(opt->loop, &pump->turn, on_turn);
    loop_timer_init(opt->loop, &pump->alarm, on_alarm);
    pump->refs = 2;
    discover_all_again(pump);
    *out = pump;
    return RC_OK;
}

static void
on_turn_closed(struct loop_timer *timer)
{
    pump_unref(OWNER_OF(timer, struct hooks_pump, turn));
}

static void
on_alarm_closed(struct loop_timer *timer)
{
    pump_unref(OWNER_OF(timer, struct hooks_pump, alarm));
}

void
hooks_pump_free(struct hooks_pump **pump)
{
    struct hooks_pump *p = *pump;

    if (p == NULL)
        return;
    *pump = NULL;
    assert(!p->is_in_turn);
    outcomes_store(p, true);
    p->is_closing = true;
    beacon_close(p);
    http_client_free(&p->client); /* ends the calls in flight */
    while (p->drains != NULL) {
        struct drain_wait *next = p->drains->next;

        free(p->drains);
        p->drains = next;
    }
    loop_timer_close(&p->turn, on_turn_closed);
    loop_timer_close(&p->alarm, on_alarm_closed);
}
