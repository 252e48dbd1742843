/* start_job.c - how soon a platform serves, and how much memory it holds at rest.
 *
 * Ready is the moment `parley up` says so: every program listens and the demo's customer is there.
 * Memory is the sum over all programs of the proportional set size, after a moment of quiet. */
#include "bench.h"

#include <poll.h>
#include <stdio.h>

#include "echo.h"
#include "measure.h"
#include "platform.h"

#define REST_MS 1000
#define RESTARTS_MAX 5u
#define FIRST_TARGET_S 3.0
#define AGAIN_TARGET_S 0.5
#define PSS_TARGET_MIB 60.0

/* What starting the same programs costs when they do nothing: load, link, print their help. */
static enum rc
start_bare(const struct bench *bench, double *took_s, struct err *err)
{
    static const char *const programs[] = {"parley-manager", "parley-relay", "parley-cloud",
                                           "parley-phone", "parley"};
    int64_t start_us = now_us();
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < ARRAY_LEN(programs); i++) {
        char path[BENCH_PATH_MAX + 32];
        char *argv[] = {path, (char[]){"--help"}, NULL};

        snprintf(path, sizeof(path), "%s/%s", bench->bin, programs[i]);
        rc = child_run(NULL, argv, "/dev/null", err);
    }
    *took_s = (double)(now_us() - start_us) / 1e6;
    return rc;
}

static void
add_start(struct bench *bench, const char *figure, double ours, double bare, double target)
{
    report_add(bench->report, &(struct row){.job = "start",
                                            .figure = figure,
                                            .unit = "s",
                                            .ours = ours,
                                            .reference = "the programs' --help, in a row",
                                            .theirs = bare,
                                            .bound = BOUND_AT_MOST,
                                            .target = target});
}

static enum rc
add_memory(struct bench *bench, double ours, struct err *err)
{
    struct echo echo;
    enum rc rc;

    if (ours == 0) {
        fprintf(stderr, "parley-bench: memory of programs is shown to root only: left out\n");
        return RC_OK;
    }
    if ((rc = echo_start(&echo, err)) != RC_OK)
        return rc;
    report_add(bench->report, &(struct row){.job = "start",
                                            .figure = "memory at rest, all programs (PSS)",
                                            .unit = "MiB",
                                            .ours = ours,
                                            .reference = "bare echo, one program",
                                            .theirs = pss_mib(echo.pid),
                                            .bound = BOUND_AT_MOST,
                                            .target = PSS_TARGET_MIB});
    echo_stop(&echo);
    return RC_OK;
}

enum rc
bench_start(struct bench *bench, struct err *err)
{
    unsigned restarts = bench->rounds < RESTARTS_MAX ? bench->rounds : RESTARTS_MAX;
    struct series again = {0}, bare = {0};
    struct platform platform = {0};
    double first_s = 0, took_s, memory = 0;
    enum rc rc = platform_init(&platform, bench, "start", err);

    if (rc == RC_OK)
        rc = platform_start(&platform, bench, &first_s, err);
    for (unsigned i = 0; rc == RC_OK && i < restarts; i++) {
        platform_stop(&platform);
        if ((rc = start_bare(bench, &took_s, err)) != RC_OK)
            break;
        series_add(&bare, took_s);
        if ((rc = platform_start(&platform, bench, &took_s, err)) == RC_OK)
            series_add(&again, took_s);
    }
    if (rc == RC_OK) {
        poll(NULL, 0, REST_MS);
        memory = platform_pss_mib(&platform);
        add_start(bench, "ready, first start", first_s, series_median(&bare), FIRST_TARGET_S);
        add_start(bench, "ready, existing directory", series_median(&again), series_median(&bare),
                  AGAIN_TARGET_S);
        rc = add_memory(bench, memory, err);
    }
    platform_wipe(&platform);
    return rc;
}
