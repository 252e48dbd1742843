/* e2e_job.c - a message's whole journey: accepted, sealed, relayed, opened by a phone, its receipt
 * sealed and relayed back, the webhook "delivered" at the business.
 *
 * One number, many phones in one daemon with one store, one webhook target; plain HTTP with
 * keep-alive, a text of 100 bytes, policy off. CPU is the sum over all programs of the platform;
 * generator and sink live here and are not in it. First every phone gets one message, so that
 * sessions exist; then a window of messages is kept under way, then 200 messages a second. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "echo.h"
#include "exchange.h"
#include "journeys.h"
#include "load.h"
#include "messages.h"
#include "phones.h"
#include "platform.h"
#include "sink.h"
#include "subscribe.h"
#include "wait.h"

#define FIRST_PHONE UINT64_C(15551000000)
#define WINDOW 512u /* messages under way */
#define PACE_PER_S 200.0
#define SETTLE_MS 20000u
#define CPU_TARGET_MS 1.0
#define ACCEPT_P99_TARGET_MS 50.0

struct e2e {
    struct bench *bench;
    struct platform platform;
    struct echo echo;
    struct loop *loop;
    struct sink *sink;
    struct messages messages;
    struct journeys journeys;
    struct load *load;
    struct waits accepts;
    uint64_t sent, failed, limit; /* limit: of messages sent in this run; 0: none */
    int64_t until_us;
};

/* ---- traffic ---- */

static void
fill(void *ctx, struct buf *out)
{
    struct e2e *e = ctx;

    e->sent++;
    messages_put(&e->messages, out);
}

static bool
may_send(void *ctx)
{
    struct e2e *e = ctx;

    return e->sent - e->journeys.n_delivered - e->failed < WINDOW &&
           (e->limit == 0 || e->sent < e->limit);
}

static void
on_answer(void *ctx, int status, struct bytes body, int64_t took_us)
{
    struct e2e *e = ctx;
    struct bytes id;

    waits_add(&e->accepts, took_us);
    if (status == 200 && quoted_after(&id, body, "\"messages\":[{\"id\":\""))
        journeys_sent(&e->journeys, id, now_us() - took_us);
    else
        e->failed++;
}

static void
on_status(void *ctx, struct bytes id, struct bytes status)
{
    struct e2e *e = ctx;

    if (bytes_equal(status, bytes_of_str("failed")))
        e->failed++;
    if (bytes_equal(status, bytes_of_str("delivered")) && journeys_delivered(&e->journeys, id) &&
        e->load != NULL)
        load_kick(e->load);
}

static bool
is_over(void *ctx)
{
    struct e2e *e = ctx;

    if (e->limit > 0 ? e->sent < e->limit : now_us() < e->until_us)
        return false;
    load_pause(e->load);
    return e->journeys.n_delivered + e->failed >= e->sent;
}

static const char *const programs[] = {"parley-cloud", "parley-relay", "parley-phone"};

struct figures {
    double n, per_s, cpu_ms, p50_ms, p99_ms, accept_p99_ms;
    double part_ms[ARRAY_LEN(programs)]; /* CPU of one program, first in seconds */
};

/* CPU so far, with the sign given, so that two calls leave the difference. */
static void
count_parts(const struct e2e *e, struct figures *out, double sign)
{
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        out->part_ms[i] += sign * cpu_s(platform_pid(&e->platform, programs[i])) * 1e3;
}

/* Send for so long, or so many; wait until all are delivered. */
static enum rc
run_load(struct e2e *e, struct figures *out, double per_s, double seconds, uint64_t limit,
         struct err *err)
{
    const struct load_opt opt = {.loop = e->loop,
                                 .port = platform_http_port(&e->platform),
                                 .connections =
                                     per_s > 0 ? EXCHANGE_PACED_CONNECTIONS : EXCHANGE_CONNECTIONS,
                                 .per_s = per_s,
                                 .fill = fill,
                                 .may_send = may_send,
                                 .on_answer = on_answer,
                                 .ctx = e};
    double cpu = platform_cpu_s(&e->platform);
    int64_t start_us = now_us();
    enum rc rc;

    *out = (struct figures){0};
    count_parts(e, out, -1);
    journeys_wipe(&e->journeys);
    waits_wipe(&e->accepts);
    e->sent = e->failed = 0;
    e->limit = limit;
    e->until_us = start_us + (int64_t)(seconds * 1e6);
    if ((rc = load_open(&e->load, &opt, err)) != RC_OK)
        return rc;
    load_go(e->load);
    rc = wait_until(e->loop, is_over, e, (unsigned)(seconds * 1000) + SETTLE_MS, err);
    if (rc != RC_OK || e->failed > 0 || load_failed(e->load) > 0)
        rc = err_set(err, rc == RC_OK ? RC_DENIED : rc, "bench.e2e",
                     "%llu sent, %llu delivered, %llu failed", (unsigned long long)e->sent,
                     (unsigned long long)e->journeys.n_delivered, (unsigned long long)e->failed);
    out->n = (double)e->journeys.n_delivered;
    count_parts(e, out, 1);
    out->per_s = out->n * 1e6 / (double)(now_us() - start_us);
    out->cpu_ms = (platform_cpu_s(&e->platform) - cpu) * 1e3 / out->n;
    out->p50_ms = waits_ms(&e->journeys.waits, 0.5);
    out->p99_ms = waits_ms(&e->journeys.waits, 0.99);
    out->accept_p99_ms = waits_ms(&e->accepts, 0.99);
    load_free(&e->load);
    return rc;
}

/* ---- the job ---- */

struct all_series {
    struct series per_s, cpu_ms, p50_ms, p99_ms, accept_p99_ms;
    struct series part_ms[ARRAY_LEN(programs)];
};

static void
add_figures(struct all_series *to, const struct figures *f)
{
    series_add(&to->per_s, f->per_s);
    series_add(&to->cpu_ms, f->cpu_ms);
    series_add(&to->p50_ms, f->p50_ms);
    series_add(&to->p99_ms, f->p99_ms);
    series_add(&to->accept_p99_ms, f->accept_p99_ms);
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        series_add(&to->part_ms[i], f->part_ms[i] / f->n);
}

/* Ours and the echo by turns, the echo for a quarter of the time. */
static enum rc
run_rounds(struct e2e *e, struct all_series *ours, struct exchange_series *theirs, double per_s,
           double seconds, struct err *err)
{
    unsigned rounds = e->bench->rounds;
    const struct exchange_opt echo = {.loop = e->loop,
                                      .port = e->echo.port,
                                      .pid = e->echo.pid,
                                      .messages = &e->messages,
                                      .per_s = per_s,
                                      .seconds = seconds / (4.0 * rounds)};
    struct exchange_figures bare;
    struct figures f;
    enum rc rc = RC_OK;

    for (unsigned round = 0; rc == RC_OK && round < rounds; round++) {
        if ((rc = exchange_run(&bare, &echo, err)) != RC_OK)
            break;
        bare.cpu_us /= 1000; /* beside ours, which is in ms */
        exchange_add(theirs, &bare);
        if ((rc = run_load(e, &f, per_s, seconds * 3 / (4.0 * rounds), 0, err)) == RC_OK)
            add_figures(ours, &f);
    }
    return rc;
}

static void
add_row(struct e2e *e, const char *figure, const char *unit, const struct series *ours,
        const struct series *theirs, double target)
{
    report_add(e->bench->report, &(struct row){.job = "e2e",
                                               .figure = figure,
                                               .unit = unit,
                                               .ours = series_median(ours),
                                               .reference = "bare echo, one request",
                                               .theirs = series_median(theirs),
                                               .bound = target > 0 ? BOUND_AT_MOST : BOUND_NONE,
                                               .target = target});
}

/* Whose CPU it is; no reference. */
static void
add_parts(struct e2e *e, const char *const figures[], const struct all_series *s)
{
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        report_add(e->bench->report, &(struct row){.job = "e2e",
                                                   .figure = figures[i],
                                                   .unit = "CPU-ms",
                                                   .ours = series_median(&s->part_ms[i])});
}

static void
add_rows(struct e2e *e, const struct figures *first, const struct all_series ours[2],
         const struct exchange_series echo[2])
{
    static const char *const parts[] = {"  of it parley-cloud", "  of it parley-relay",
                                        "  of it parley-phone"};
    const struct series one = {.value = {first->cpu_ms}, .n = 1};

    add_row(e, "messages delivered", "/s", &ours[0].per_s, &echo[0].per_s, 0);
    add_row(e, "CPU of a message, all programs", "CPU-ms", &ours[0].cpu_ms, &echo[0].cpu_us,
            CPU_TARGET_MS);
    add_parts(e, parts, &ours[0]);
    add_row(e, "the same, first to a phone", "CPU-ms", &one, &echo[0].cpu_us, 0);
    add_row(e, "to delivered webhook, p50", "ms", &ours[0].p50_ms, &echo[0].p50_ms, 0);
    add_row(e, "to delivered webhook, p99", "ms", &ours[0].p99_ms, &echo[0].p99_ms, 0);
    add_row(e, "at 200/s: CPU of a message", "CPU-ms", &ours[1].cpu_ms, &echo[1].cpu_us, 0);
    add_parts(e, parts, &ours[1]);
    add_row(e, "at 200/s: to webhook, p50", "ms", &ours[1].p50_ms, &echo[1].p50_ms, 0);
    add_row(e, "at 200/s: to webhook, p99", "ms", &ours[1].p99_ms, &echo[1].p99_ms, 0);
    add_row(e, "at 200/s: accept, p99", "ms", &ours[1].accept_p99_ms, &echo[1].p99_ms,
            ACCEPT_P99_TARGET_MS);
    report_add(e->bench->report, &(struct row){.job = "e2e",
                                               .figure = "memory afterwards, all programs",
                                               .unit = "MiB",
                                               .ours = platform_pss_mib(&e->platform)});
}

static enum rc
prepare(struct e2e *e, struct err *err)
{
    struct sink_opt sink = {.on_status = on_status, .ctx = e};
    double took_s;
    enum rc rc;

    if ((rc = echo_start(&e->echo, err)) != RC_OK ||
        (rc = platform_init(&e->platform, e->bench, "e2e", err)) != RC_OK ||
        (rc = platform_start(&e->platform, e->bench, &took_s, err)) != RC_OK ||
        (rc = loop_new(&e->loop, err)) != RC_OK)
        return rc;
    sink.loop = e->loop;
    if ((rc = sink_open(&e->sink, &sink, err)) != RC_OK ||
        (rc = subscribe(e->loop, &e->platform, sink_port(e->sink), err)) != RC_OK)
        return rc;
    messages_init(&e->messages, &e->platform, FIRST_PHONE, e->bench->phones);
    return phones_register(&e->platform, FIRST_PHONE, e->bench->phones, err);
}

enum rc
bench_e2e(struct bench *bench, struct err *err)
{
    struct e2e *e = calloc(1, sizeof(*e));
    struct all_series ours[2] = {0}; /* a full window; 200/s */
    struct exchange_series echo[2] = {0};
    struct figures first = {0};
    enum rc rc;

    if (e == NULL)
        return err_set(err, RC_NOMEM, "bench.e2e", "no memory");
    e->bench = bench;
    rc = prepare(e, err);
    if (rc == RC_OK)
        rc = run_load(e, &first, 0, 0, bench->phones, err);
    if (rc == RC_OK)
        rc = run_rounds(e, &ours[0], &echo[0], 0, bench->seconds * 2 / 3, err);
    if (rc == RC_OK)
        rc = run_rounds(e, &ours[1], &echo[1], PACE_PER_S, bench->seconds / 3, err);
    if (rc == RC_OK)
        add_rows(e, &first, ours, echo);
    platform_wipe(&e->platform);
    echo_stop(&e->echo);
    load_free(&e->load);
    sink_free(&e->sink);
    loop_free(&e->loop);
    journeys_wipe(&e->journeys);
    waits_wipe(&e->accepts);
    free(e);
    return rc;
}
