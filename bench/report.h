/* report.h - the table at the end: one row a figure, with its reference, their ratio and its
 * target.
 *
 * Figures are medians over rounds (struct series). Thread rule: one thread. */
#ifndef PARLEY_BENCH_REPORT_H
#define PARLEY_BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/attr.h"

#define SERIES_MAX 64u

/* The same figure from several rounds. Zeroed before its first use. */
struct series {
    double value[SERIES_MAX];
    size_t n;
};
void series_add(struct series *series, double value); /* past SERIES_MAX: dropped */
double series_median(const struct series *series);    /* 0 when there is none */

enum bound { BOUND_NONE, BOUND_AT_LEAST, BOUND_AT_MOST };

struct row {
    const char *job;    /* all texts are static */
    const char *figure; /* what was measured */
    const char *unit;
    double ours;
    const char *reference; /* NULL: none */
    double theirs;         /* in the same unit */
    enum bound bound;
    double target;
};

struct report;

struct report *report_new(void); /* NULL: out of memory */
void report_add(struct report *report, const struct row *row);
void report_text(const struct report *report, FILE *out);
void report_json(const struct report *report, FILE *out);
void report_free(struct report **report);

#endif
