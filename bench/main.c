/* main.c - parley-bench: every job in one run, each figure beside a reference measured in the same
 * run, one table at the end. Source: docs/benchmarks.md. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/config.h"
#include "bench.h"
#include "child.h"
#include "crypto/prim.h"

#define QUICK_SECONDS 1.0
#define QUICK_ROUNDS 3u
#define QUICK_PHONES 100u

static const struct job {
    const char *name, *about;
    enum rc (*run)(struct bench *bench, struct err *err);
} jobs[] = {
    {"session", "session set-ups and messages beside the bare primitives", bench_session},
    {"relay",   "messages through the relay beside bare SQLite",           bench_relay  },
    {"api",     "accepting a message beside a bare echo",                  bench_api    },
    {"e2e",     "messages from the API call to the delivered webhook",     bench_e2e    },
    {"start",   "time to ready and memory at rest",                        bench_start  },
};

static const struct config_row settings[] = {
    {"only",    CONFIG_STR,  NULL,       0, 0,     NULL, "run this job alone"                    },
    {"seconds", CONFIG_INT,  "5",        1, 3600,  NULL, "measuring time of one job, seconds"    },
    {"rounds",  CONFIG_INT,  "5",        1, 64,    NULL, "of ours and of the reference, by turns"},
    {"phones",  CONFIG_INT,  "1000",     1, 10000, NULL, "phones of the end-to-end job"          },
    {"quick",   CONFIG_BOOL, "off",      0, 0,     NULL, "1 second, 3 rounds, 100 phones"        },
    {"json",    CONFIG_BOOL, "off",      0, 0,     NULL, "one JSON object a row"                 },
    {"dir",     CONFIG_PATH, "/var/tmp", 0, 0,     NULL, "folder on the disk to measure"         },
};

static void
usage(FILE *out)
{
    fprintf(out, "Usage: parley-bench [--only JOB] [--quick] [--json] [flags]\n\nJobs:\n");
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        fprintf(out, "  %-10s %s\n", jobs[i].name, jobs[i].about);
    fprintf(out, "\nFlags:\n");
    config_help(settings, ARRAY_LEN(settings), out);
}

static enum rc
find_programs(struct bench *bench, struct err *err)
{
    ssize_t n = readlink("/proc/self/exe", bench->bin, sizeof(bench->bin) - 1);

    if (n <= 0)
        return err_set(err, RC_IO, "bench", "cannot tell where this program is");
    bench->bin[n] = '\0';
    *strrchr(bench->bin, '/') = '\0';
    return RC_OK;
}

/* Programs that give up root must be able to pass through. */
static enum rc
make_folder(struct bench *bench, const char *under, struct err *err)
{
    snprintf(bench->folder, sizeof(bench->folder), "%s/parley-bench-XXXXXX", under);
    if (mkdtemp(bench->folder) == NULL || chmod(bench->folder, 0711) != 0) {
        bench->folder[0] = '\0';
        return err_set(err, RC_IO, "bench", "no folder can be made in %s", under);
    }
    return RC_OK;
}

/* A job that fails does not keep the others from running. */
static enum rc
run_jobs(struct bench *bench, const char *only, struct err *err)
{
    enum rc rc = err_set(err, RC_NOTFOUND, "bench", "no such job; --help lists them");

    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        struct err why = {0};
        enum rc one;

        if (only != NULL && strcmp(only, jobs[i].name) != 0)
            continue;
        fprintf(stderr, "parley-bench: %s\n", jobs[i].name);
        one = jobs[i].run(bench, &why);
        if (rc == RC_NOTFOUND)
            rc = RC_OK;
        if (one == RC_OK)
            continue;
        fprintf(stderr, "parley-bench: %s: %s\n", jobs[i].name, why.text);
        rc = err_set(err, RC_IO, "bench", "not every job ran to its end; logs are in %s",
                     bench->folder);
    }
    return rc;
}

static enum rc
run(struct bench *bench, const struct config *config, struct err *err)
{
    enum rc rc;

    bench->seconds = (double)config_int(config, "seconds");
    bench->rounds = (unsigned)config_int(config, "rounds");
    bench->phones = (unsigned)config_int(config, "phones");
    if (config_bool(config, "quick")) {
        bench->seconds = QUICK_SECONDS;
        bench->rounds = QUICK_ROUNDS;
        bench->phones = QUICK_PHONES;
    }
    if ((bench->report = report_new()) == NULL)
        return err_set(err, RC_NOMEM, "bench", "no memory");
    if ((rc = crypto_start(err)) == RC_OK && (rc = find_programs(bench, err)) == RC_OK &&
        (rc = make_folder(bench, config_str(config, "dir"), err)) == RC_OK) {
        rc = run_jobs(bench, config_str(config, "only"), err);
        if (config_bool(config, "json"))
            report_json(bench->report, stdout);
        else
            report_text(bench->report, stdout);
    }
    if (bench->folder[0] != '\0' && rc != RC_IO) /* after a failure the logs stay */
        folder_remove(bench->folder);
    report_free(&bench->report);
    return rc;
}

int
main(int argc, char **argv)
{
    const struct config_source source = {.argc = argc - 1, .argv = argv + 1};
    static struct bench bench;
    struct config *config = NULL;
    struct err err = {0};
    char **rest;
    enum rc rc;

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        usage(stdout);
        return 0;
    }
    rc = config_load(&config, settings, ARRAY_LEN(settings), &source, &err);
    if (rc != RC_OK || config_rest(config, &rest) > 0) {
        fprintf(stderr, "parley-bench: %s\n", rc == RC_OK ? "unexpected argument" : err.text);
        usage(stderr);
        config_free(&config);
        return 2;
    }
#ifndef __OPTIMIZE__
    fprintf(stderr, "parley-bench: not a release build: the figures mean little\n");
#endif
    signal(SIGPIPE, SIG_IGN);
    rc = run(&bench, config, &err);
    if (rc != RC_OK)
        fprintf(stderr, "parley-bench: %s\n", err.text);
    config_free(&config);
    return rc == RC_OK ? 0 : rc == RC_NOTFOUND ? 2 : 1;
}
