/* bench.h - what every job of parley-bench is given, and the table that jobs are listed in.
 *
 * A job measures something of ours and its reference by turns, in several short rounds, and adds
 * rows to the report. Nothing is ever asserted about time: a machine may be slow. What the jobs are
 * and how to read their rows: docs/benchmarks.md. Thread rule: one thread. */
#ifndef PARLEY_BENCH_BENCH_H
#define PARLEY_BENCH_BENCH_H

#include "base/err.h"
#include "report.h"

#define BENCH_PATH_MAX 512u

struct bench {
    double seconds;              /* measuring time of one job */
    unsigned rounds;             /* of ours and of the reference, by turns */
    unsigned phones;             /* registered for the end-to-end job */
    char bin[BENCH_PATH_MAX];    /* folder of our own program: the others are beside it */
    char folder[BENCH_PATH_MAX]; /* scratch, on the disk that is measured; removed at the end */
    struct report *report;
};

NODISCARD enum rc bench_session(struct bench *bench, struct err *err);
NODISCARD enum rc bench_relay(struct bench *bench, struct err *err);
NODISCARD enum rc bench_api(struct bench *bench, struct err *err);
NODISCARD enum rc bench_e2e(struct bench *bench, struct err *err);
NODISCARD enum rc bench_start(struct bench *bench, struct err *err);

#endif
