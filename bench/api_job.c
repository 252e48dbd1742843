/* api_job.c - what accepting a message costs parley-cloud, beside a bare echo on the same HTTP
 * library under the same load generator.
 *
 * "Alone" means: the relay is halted, so nothing goes on after the durable accept; recipients are
 * many and unknown. CPU is that of parley-cloud's process only. The paced part, for the waiting
 * time, runs with everything at work. Source: docs/cloud-api.md. */
#include "bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "device.h"
#include "echo.h"
#include "load.h"
#include "measure.h"
#include "messages.h"
#include "platform.h"

#define CONNECTIONS 64u
#define RECIPIENTS 1000u
#define FIRST_RECIPIENT 15550700000u
#define SETTLE_MS 10000u
#define PACE_PER_S 200.0
#define PACED_CONNECTIONS 16u
#define PER_CORE_TARGET 8000.0
#define P99_TARGET_MS 50.0

struct api_bench {
    struct platform platform;
    struct echo echo;
    struct loop *loop;
    struct messages messages;
    struct waits waits;
    int64_t until_us;
    struct load *load;
};

static void
fill(void *ctx, struct buf *out)
{
    struct api_bench *b = ctx;

    messages_put(&b->messages, out, FIRST_RECIPIENT + b->messages.n % RECIPIENTS);
}

static void
on_answer(void *ctx, int status, struct bytes body, int64_t took_us)
{
    waits_add(&((struct api_bench *)ctx)->waits, took_us);
}

static bool
is_over(void *ctx)
{
    struct api_bench *b = ctx;

    if (now_us() < b->until_us)
        return false;
    load_pause(b->load);
    return load_under_way(b->load) == 0;
}

struct figures {
    double per_s, cpu_us, p50_ms, p99_ms;
};

/* Load one server for a while; pid is whose CPU counts. */
static enum rc
run_load(struct api_bench *b, struct figures *out, uint16_t port, pid_t pid, double per_s,
         double seconds, struct err *err)
{
    struct load_opt opt = {.loop = b->loop,
                           .port = port,
                           .connections = per_s > 0 ? PACED_CONNECTIONS : CONNECTIONS,
                           .per_s = per_s,
                           .fill = fill,
                           .on_answer = on_answer,
                           .ctx = b};
    double cpu = cpu_s(pid), n;
    int64_t start_us = now_us();
    enum rc rc;

    waits_wipe(&b->waits);
    b->until_us = start_us + (int64_t)(seconds * 1e6);
    if ((rc = load_open(&b->load, &opt, err)) != RC_OK)
        return rc;
    load_go(b->load);
    rc = net_wait(b->loop, is_over, b, (unsigned)(seconds * 1000) + SETTLE_MS, err);
    n = (double)load_answered(b->load);
    if (rc == RC_OK && (load_failed(b->load) > 0 || n == 0))
        rc = err_set(err, RC_DENIED, "bench.api", "%llu of %.0f requests were refused",
                     (unsigned long long)load_failed(b->load), n);
    *out = (struct figures){.per_s = n * 1e6 / (double)(now_us() - start_us),
                            .cpu_us = (cpu_s(pid) - cpu) * 1e6 / n,
                            .p50_ms = waits_ms(&b->waits, 0.5),
                            .p99_ms = waits_ms(&b->waits, 0.99)};
    load_free(&b->load);
    return rc;
}

struct all_series {
    struct series per_s, cpu_us, p99_ms;
};

static void
add_figures(struct all_series *to, const struct figures *f)
{
    series_add(&to->per_s, f->per_s);
    series_add(&to->cpu_us, f->cpu_us);
    series_add(&to->p99_ms, f->p99_ms);
}

/* Ours and the echo by turns. */
static enum rc
run_rounds(struct bench *bench, struct api_bench *b, struct all_series s[2], double per_s,
           double seconds, struct err *err)
{
    pid_t cloud = platform_pid(&b->platform, "parley-cloud");
    double slice_s = seconds / (2.0 * bench->rounds);
    struct figures f;
    enum rc rc = RC_OK;

    for (unsigned round = 0; rc == RC_OK && round < bench->rounds; round++) {
        rc = run_load(b, &f, b->echo.port, b->echo.pid, per_s, slice_s, err);
        if (rc != RC_OK)
            break;
        add_figures(&s[1], &f);
        rc = run_load(b, &f, platform_http_port(&b->platform), cloud, per_s, slice_s, err);
        if (rc == RC_OK)
            add_figures(&s[0], &f);
    }
    return rc;
}

static void
add_rows(struct bench *bench, const struct all_series s[2], const struct all_series paced[2])
{
    static const char echo[] = "bare echo, same HTTP library";

    report_add(bench->report, &(struct row){.job = "api",
                                            .figure = "accepts, alone",
                                            .unit = "/s, 1 core",
                                            .ours = 1e6 / series_median(&s[0].cpu_us),
                                            .reference = echo,
                                            .theirs = 1e6 / series_median(&s[1].cpu_us),
                                            .bound = BOUND_AT_LEAST,
                                            .target = PER_CORE_TARGET});
    report_add(bench->report, &(struct row){.job = "api",
                                            .figure = "accepts, alone",
                                            .unit = "/s",
                                            .ours = series_median(&s[0].per_s),
                                            .reference = echo,
                                            .theirs = series_median(&s[1].per_s)});
    report_add(bench->report, &(struct row){.job = "api",
                                            .figure = "CPU of one accept, alone",
                                            .unit = "CPU-us",
                                            .ours = series_median(&s[0].cpu_us),
                                            .reference = echo,
                                            .theirs = series_median(&s[1].cpu_us)});
    report_add(bench->report, &(struct row){.job = "api",
                                            .figure = "accept at 200/s, p99",
                                            .unit = "ms",
                                            .ours = series_median(&paced[0].p99_ms),
                                            .reference = echo,
                                            .theirs = series_median(&paced[1].p99_ms),
                                            .bound = BOUND_AT_MOST,
                                            .target = P99_TARGET_MS});
}

static enum rc
run_all(struct bench *bench, struct api_bench *b, struct err *err)
{
    struct all_series s[2] = {0}, paced[2] = {0}; /* ours, theirs */
    double took_s;
    enum rc rc;

    if ((rc = echo_start(&b->echo, err)) != RC_OK ||
        (rc = platform_init(&b->platform, bench, "api", err)) != RC_OK ||
        (rc = platform_start(&b->platform, bench, &took_s, err)) != RC_OK ||
        (rc = loop_new(&b->loop, err)) != RC_OK)
        return rc;
    messages_init(&b->messages, &b->platform);
    rc = run_rounds(bench, b, paced, PACE_PER_S, bench->seconds / 2, err);
    kill(platform_pid(&b->platform, "parley-relay"), SIGSTOP);
    if (rc == RC_OK)
        rc = run_rounds(bench, b, s, 0, bench->seconds / 2, err);
    if (rc == RC_OK)
        add_rows(bench, s, paced);
    return rc;
}

enum rc
bench_api(struct bench *bench, struct err *err)
{
    struct api_bench *b = calloc(1, sizeof(*b));
    enum rc rc;

    if (b == NULL)
        return err_set(err, RC_NOMEM, "bench.api", "no memory");
    rc = run_all(bench, b, err);
    platform_wipe(&b->platform);
    echo_stop(&b->echo);
    load_free(&b->load);
    loop_free(&b->loop);
    waits_wipe(&b->waits);
    free(b);
    return rc;
}
