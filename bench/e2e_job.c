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
#include "rawdb.h"
#include "sink.h"
#include "subscribe.h"
#include "wait.h"

#define FIRST_PHONE UINT64_C(15551000000)
#define WINDOW 512u /* messages under way */
#define PACE_PER_S 200.0
#define SETTLE_MS 20000u
#define COMMITS_PER_ROUND 50u
#define CPU_TARGET_MS 1.0
#define ACCEPT_P99_TARGET_MS 50.0

struct e2e {
    struct bench *bench;
    struct platform platform;
    struct echo echo;
    struct rawdb *db;
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

/* What ours stands beside: the bare server, and one bare commit on the same disk. */
struct beside {
    struct exchange_series echo;
    struct series commit_p50_ms, commit_p99_ms;
};

static enum rc
run_beside(struct e2e *e, struct beside *out, double per_s, double seconds, struct err *err)
{
    const struct exchange_opt opt = {.loop = e->loop,
                                     .port = e->echo.port,
                                     .pid = e->echo.pid,
                                     .messages = &e->messages,
                                     .per_s = per_s,
                                     .seconds = seconds};
    struct exchange_figures echo;
    struct waits commits = {0};
    enum rc rc;

    if ((rc = exchange_run(&echo, &opt, err)) == RC_OK &&
        (rc = rawdb_commit_each(e->db, &commits, COMMITS_PER_ROUND, err)) == RC_OK) {
        echo.cpu_us /= 1000; /* beside ours, which is in ms */
        exchange_add(&out->echo, &echo);
        series_add(&out->commit_p50_ms, waits_ms(&commits, 0.5));
        series_add(&out->commit_p99_ms, waits_ms(&commits, 0.99));
    }
    waits_wipe(&commits);
    return rc;
}

/* Both by turns, the reference for a quarter of the time. */
static enum rc
run_rounds(struct e2e *e, struct all_series *ours, struct beside *beside, double per_s,
           double seconds, struct err *err)
{
    double slice_s = seconds / (4.0 * e->bench->rounds);
    struct figures f;
    enum rc rc = RC_OK;

    for (unsigned round = 0; rc == RC_OK && round < e->bench->rounds; round++) {
        if ((rc = run_beside(e, beside, per_s, slice_s, err)) == RC_OK &&
            (rc = run_load(e, &f, per_s, slice_s * 3, 0, err)) == RC_OK)
            add_figures(ours, &f);
    }
    return rc;
}

static const char *const bare_request = "bare echo, one request";
static const char *const bare_commit = "raw SQLite, one row's commit";

static void
add_row(struct e2e *e, const struct row *row, const struct series *ours,
        const struct series *theirs)
{
    struct row full = *row;

    full.job = "e2e";
    full.ours = series_median(ours);
    if (theirs != NULL)
        full.theirs = series_median(theirs);
    report_add(e->bench->report, &full);
}

/* Whose CPU it is; no reference. */
static void
add_parts(struct e2e *e, const struct all_series *s)
{
    static const char *const figures[] = {"  of it parley-cloud", "  of it parley-relay",
                                          "  of it parley-phone"};

    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        add_row(e, &(struct row){.figure = figures[i], .unit = "CPU-ms"}, &s->part_ms[i], NULL);
}

static void
add_full(struct e2e *e, const struct figures *first, const struct all_series *ours,
         const struct beside *beside)
{
    const struct series one = {.value = {first->cpu_ms}, .n = 1};
    struct row row = {.figure = "messages delivered", .unit = "/s", .reference = bare_request};

    add_row(e, &row, &ours->per_s, &beside->echo.per_s);
    row = (struct row){.figure = "CPU of a message, all programs",
                       .unit = "CPU-ms",
                       .reference = bare_request,
                       .bound = BOUND_AT_MOST,
                       .target = CPU_TARGET_MS};
    add_row(e, &row, &ours->cpu_ms, &beside->echo.cpu_us);
    add_parts(e, ours);
    row.bound = BOUND_NONE;
    row.figure = "the same, first to a phone";
    add_row(e, &row, &one, &beside->echo.cpu_us);
    row =
        (struct row){.figure = "to delivered webhook, p50", .unit = "ms", .reference = bare_commit};
    add_row(e, &row, &ours->p50_ms, &beside->commit_p50_ms);
    row.figure = "to delivered webhook, p99";
    add_row(e, &row, &ours->p99_ms, &beside->commit_p99_ms);
}

static void
add_paced(struct e2e *e, const struct all_series *ours, const struct beside *beside)
{
    const struct series memory = {.value = {platform_pss_mib(&e->platform)}, .n = 1};
    struct row row = {
        .figure = "at 200/s: CPU of a message", .unit = "CPU-ms", .reference = bare_request};

    add_row(e, &row, &ours->cpu_ms, &beside->echo.cpu_us);
    add_parts(e, ours);
    row =
        (struct row){.figure = "at 200/s: to webhook, p50", .unit = "ms", .reference = bare_commit};
    add_row(e, &row, &ours->p50_ms, &beside->commit_p50_ms);
    row.figure = "at 200/s: to webhook, p99";
    add_row(e, &row, &ours->p99_ms, &beside->commit_p99_ms);
    row.figure = "at 200/s: accept, p99";
    row.bound = BOUND_AT_MOST;
    row.target = ACCEPT_P99_TARGET_MS;
    add_row(e, &row, &ours->accept_p99_ms, &beside->commit_p99_ms);
    if (series_median(&memory) > 0)
        add_row(e, &(struct row){.figure = "memory afterwards, all programs", .unit = "MiB"},
                &memory, NULL);
}

static enum rc
prepare(struct e2e *e, struct err *err)
{
    struct sink_opt sink = {.on_status = on_status, .ctx = e};
    char path[BENCH_PATH_MAX + 16];
    double took_s;
    enum rc rc;

    snprintf(path, sizeof(path), "%s/e2e.db", e->bench->folder);
    if ((rc = echo_start(&e->echo, err)) != RC_OK ||
        (rc = platform_init(&e->platform, e->bench, "e2e", err)) != RC_OK ||
        (rc = platform_start(&e->platform, e->bench, &took_s, err)) != RC_OK ||
        (rc = rawdb_open(&e->db, path, err)) != RC_OK || (rc = loop_new(&e->loop, err)) != RC_OK)
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
    struct beside beside[2] = {0};
    struct figures first = {0};
    enum rc rc;

    if (e == NULL)
        return err_set(err, RC_NOMEM, "bench.e2e", "no memory");
    e->bench = bench;
    rc = prepare(e, err);
    if (rc == RC_OK)
        rc = run_load(e, &first, 0, 0, bench->phones, err);
    if (rc == RC_OK)
        rc = run_rounds(e, &ours[0], &beside[0], 0, bench->seconds * 2 / 3, err);
    if (rc == RC_OK)
        rc = run_rounds(e, &ours[1], &beside[1], PACE_PER_S, bench->seconds / 3, err);
    if (rc == RC_OK)
        add_full(e, &first, &ours[0], &beside[0]);
    if (rc == RC_OK)
        add_paced(e, &ours[1], &beside[1]);
    platform_wipe(&e->platform);
    echo_stop(&e->echo);
    load_free(&e->load);
    sink_free(&e->sink);
    loop_free(&e->loop);
    rawdb_free(&e->db);
    journeys_wipe(&e->journeys);
    waits_wipe(&e->accepts);
    free(e);
    return rc;
}
