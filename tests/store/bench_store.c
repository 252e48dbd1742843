/* bench_store.c - durable jobs per second through the store, as a ratio to a bare SQLite loop with
 * 100 rows a commit on the same disk, measured in the same run. Each submitter keeps one job under
 * way and submits the next from done(), as a request in a server would.
 *
 * bench_store [SECONDS] [DIR] */
#include "harness.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define BODY_BYTES 400

struct bench {
    struct store *store;
    struct loop *loop;
    int64_t next_id, until_us, started_us;
    unsigned under_way;
    uint64_t n;
    int64_t worst_us, sum_us;
};

struct submitter {
    struct store_job job; /* first */
    struct bench *bench;
    int64_t id, submitted_us;
};

static const uint8_t body[BODY_BYTES];

static int64_t
now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static double
cpu_s(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static enum rc
put_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct submitter *self = (struct submitter *)job;

    return store_run(tx, &item_part, ITEM_PUT, NULL, err,
                     ST_ARGS(ST_I(1), ST_I(self->id), ST_B(bytes_of(body, sizeof(body)))));
}

static void
submit(struct submitter *self)
{
    self->id = self->bench->next_id++;
    self->submitted_us = now_us();
    store_submit(self->bench->store, &self->job);
}

static void
put_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct submitter *self = (struct submitter *)job;
    struct bench *bench = self->bench;
    int64_t took_us = now_us() - self->submitted_us;

    if (rc != RC_OK)
        abort();
    bench->n++;
    bench->sum_us += took_us;
    if (took_us > bench->worst_us)
        bench->worst_us = took_us;
    if (now_us() < bench->until_us)
        submit(self);
    else if (--bench->under_way == 0)
        loop_stop(bench->loop);
}

static void
bench_store(const char *path, unsigned submitters, double seconds, double raw)
{
    struct bench bench = {.store = item_store(path)};
    struct submitter *all = calloc(submitters, sizeof(*all));
    struct store_stats stats;
    double cpu, took;

    if (all == NULL || loop_new(&bench.loop, NULL) != RC_OK)
        abort();
    cpu = cpu_s();
    bench.started_us = now_us();
    bench.until_us = bench.started_us + (int64_t)(seconds * 1e6);
    for (unsigned i = 0; i < submitters; i++) {
        all[i] = (struct submitter){
            .job = {.run = put_run, .done = put_done, .loop = bench.loop},
              .bench = &bench
        };
        bench.under_way++;
        submit(&all[i]);
    }
    loop_run(bench.loop);
    took = (double)(now_us() - bench.started_us) / 1e6;
    cpu = cpu_s() - cpu;
    store_stats(bench.store, &stats);
    printf("store, %4u submitters  %8.0f jobs/s  %6.1f jobs/commit  %6.0f us mean  %6.0f us worst"
           "  %5.1f cpu-us/job  ratio %.2f\n",
           submitters, (double)bench.n / took, (double)bench.n / (double)stats.commits,
           (double)bench.sum_us / (double)bench.n, (double)bench.worst_us,
           cpu * 1e6 / (double)bench.n, (double)bench.n / took / raw);
    store_free(&bench.store);
    loop_free(&bench.loop);
    free(all);
}

/* ---- arrivals that do not wait for answers ---- */

struct arrival {
    struct store_job job; /* first */
    struct bench *bench;
    int64_t id, submitted_us;
};

static void
arrival_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct arrival *self = (struct arrival *)job;
    int64_t took_us = now_us() - self->submitted_us;

    self->bench->n++;
    self->bench->sum_us += took_us;
    if (took_us > self->bench->worst_us)
        self->bench->worst_us = took_us;
    free(self);
}

static enum rc
arrival_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct arrival *self = (struct arrival *)job;

    return store_run(tx, &item_part, ITEM_PUT, NULL, err,
                     ST_ARGS(ST_I(1), ST_I(self->id), ST_B(bytes_of(body, sizeof(body)))));
}

/* Evenly random gaps of the given mean; the sleeper's own cost is measured first and taken off. */
static double
arrive(struct bench *bench, unsigned per_s, double seconds)
{
    int64_t next_us = now_us(), until_us = next_us + (int64_t)(seconds * 1e6);
    double cpu = cpu_s();

    while (next_us < until_us) {
        struct timespec next = {.tv_sec = next_us / 1000000, .tv_nsec = next_us % 1000000 * 1000};

        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
        if (bench->store != NULL) {
            struct arrival *arrival = calloc(1, sizeof(*arrival));

            if (arrival == NULL)
                abort();
            arrival->job = (struct store_job){.run = arrival_run, .done = arrival_done};
            arrival->bench = bench;
            arrival->id = bench->next_id++;
            arrival->submitted_us = now_us();
            store_submit(bench->store, &arrival->job);
        }
        next_us += random() % (2000000 / per_s);
    }
    return cpu_s() - cpu;
}

static void
bench_arrivals(const char *path, unsigned per_s, double seconds)
{
    struct bench bench = {.store = NULL};
    double idle = arrive(&bench, per_s, seconds), cpu;
    struct store_stats stats;

    bench.store = item_store(path);
    cpu = arrive(&bench, per_s, seconds) - idle;
    store_stats(bench.store, &stats);
    store_free(&bench.store);
    printf("store, %5u arrivals/s  %6.1f jobs/commit  %6.0f us mean  %6.0f us worst"
           "  %5.1f cpu-us/job\n",
           per_s, (double)bench.n / (double)stats.commits, (double)bench.sum_us / (double)bench.n,
           (double)bench.worst_us, cpu * 1e6 / (double)bench.n);
}

static void
must(int code, int want, sqlite3 *db)
{
    if (code != want) {
        fprintf(stderr, "sqlite: %s\n", sqlite3_errmsg(db));
        exit(1);
    }
}

/* The reference: nothing but SQLite with the same settings. */
static double
bench_raw(const char *path, unsigned per_commit, double seconds)
{
    static const char sql[] = "INSERT INTO item (shard, id, body) VALUES (1, ?1, ?2)";
    sqlite3_stmt *stmt;
    sqlite3 *db;
    int64_t id = 0, start_us, until_us;
    double cpu, rate;

    must(sqlite3_open(path, &db), SQLITE_OK, db);
    must(sqlite3_exec(db,
                      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;"
                      "CREATE TABLE item (shard BIGINT NOT NULL, id BIGINT NOT NULL, body BLOB,"
                      " PRIMARY KEY (shard, id))",
                      NULL, NULL, NULL),
         SQLITE_OK, db);
    must(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK, db);
    cpu = cpu_s();
    start_us = now_us();
    until_us = start_us + (int64_t)(seconds * 1e6);
    while (now_us() < until_us) {
        must(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK, db);
        for (unsigned i = 0; i < per_commit; i++) {
            sqlite3_bind_int64(stmt, 1, id++);
            sqlite3_bind_blob(stmt, 2, body, sizeof(body), SQLITE_STATIC);
            must(sqlite3_step(stmt), SQLITE_DONE, db);
            sqlite3_reset(stmt);
        }
        must(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK, db);
    }
    rate = (double)id / ((double)(now_us() - start_us) / 1e6);
    printf("raw SQLite, %3u rows/commit  %8.0f rows/s  %5.1f cpu-us/row\n", per_commit, rate,
           (cpu_s() - cpu) * 1e6 / (double)id);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return rate;
}

int
main(int argc, char **argv)
{
    static const unsigned submitters[] = {1, 8, 64, 256};
    static const unsigned arrivals[] = {200, 1000, 2000, 5000, 20000};
    double seconds = argc > 1 ? atof(argv[1]) : 1.5;
    double raw;

    if (argc > 2)
        setenv("TMPDIR", argv[2], 1);
    for (unsigned per_commit = 1; per_commit <= 100; per_commit += 99) {
        struct scratch scratch;

        scratch_init(&scratch);
        raw = bench_raw(scratch.path, per_commit, seconds);
        scratch_wipe(&scratch);
    }
    for (size_t i = 0; i < ARRAY_LEN(submitters); i++) {
        struct scratch scratch;

        scratch_init(&scratch);
        bench_store(scratch.path, submitters[i], seconds, raw);
        scratch_wipe(&scratch);
    }
    for (size_t i = 0; i < ARRAY_LEN(arrivals); i++) {
        struct scratch scratch;

        scratch_init(&scratch);
        bench_arrivals(scratch.path, arrivals[i], seconds);
        scratch_wipe(&scratch);
    }
    return 0;
}
