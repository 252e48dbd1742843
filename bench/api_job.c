/* api_job.c - what accepting a message costs parley-cloud, beside a bare echo on the same HTTP
 * library under the same load generator.
 *
 * "Alone" means: the relay is halted, so nothing goes on after the durable accept; recipients are
 * many and unknown. CPU is that of parley-cloud's process only. How long an accept takes with
 * everything at work is a figure of e2e_job.c. Source: docs/cloud-api.md. */
#include "bench.h"

#include <signal.h>
#include <stdlib.h>

#include "echo.h"
#include "exchange.h"
#include "messages.h"
#include "platform.h"

#define RECIPIENTS 1000u
#define FIRST_RECIPIENT 15550700000u
#define PER_CORE_TARGET 8000.0

struct api_bench {
    struct platform platform;
    struct echo echo;
    struct loop *loop;
    struct messages messages;
};

/* Ours and the echo by turns; s: ours, theirs. */
static enum rc
run_rounds(struct bench *bench, struct api_bench *b, struct exchange_series s[2], struct err *err)
{
    const uint16_t ports[2] = {platform_http_port(&b->platform), b->echo.port};
    const pid_t pids[2] = {platform_pid(&b->platform, "parley-cloud"), b->echo.pid};
    struct exchange_figures f;
    enum rc rc = RC_OK;

    for (unsigned slice = 0; rc == RC_OK && slice < 2 * bench->rounds; slice++) {
        const struct exchange_opt opt = {.loop = b->loop,
                                         .port = ports[slice % 2],
                                         .pid = pids[slice % 2],
                                         .messages = &b->messages,
                                         .seconds = bench->seconds / (2.0 * bench->rounds)};

        if ((rc = exchange_run(&f, &opt, err)) == RC_OK)
            exchange_add(&s[slice % 2], &f);
    }
    return rc;
}

static void
add_rows(struct bench *bench, const struct exchange_series s[2])
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
}

static enum rc
run_all(struct bench *bench, struct api_bench *b, struct err *err)
{
    struct exchange_series s[2] = {0}; /* ours, theirs */
    double took_s;
    enum rc rc;

    if ((rc = echo_start(&b->echo, err)) != RC_OK ||
        (rc = platform_init(&b->platform, bench, "api", err)) != RC_OK ||
        (rc = platform_start(&b->platform, bench, &took_s, err)) != RC_OK ||
        (rc = loop_new(&b->loop, err)) != RC_OK)
        return rc;
    messages_init(&b->messages, &b->platform, FIRST_RECIPIENT, RECIPIENTS);
    kill(platform_pid(&b->platform, "parley-relay"), SIGSTOP);
    if ((rc = run_rounds(bench, b, s, err)) == RC_OK)
        add_rows(bench, s);
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
    loop_free(&b->loop);
    free(b);
    return rc;
}
