/* report.c - see report.h. */
#include "report.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define ROWS_MAX 64u
#define JSON_MAX (64u * 1024)

struct report {
    struct row row[ROWS_MAX];
    size_t n;
};

void
series_add(struct series *series, double value)
{
    if (series->n < SERIES_MAX)
        series->value[series->n++] = value;
}

static int
by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double
series_median(const struct series *series)
{
    struct series sorted = *series;

    if (sorted.n == 0)
        return 0;
    qsort(sorted.value, sorted.n, sizeof(sorted.value[0]), by_size);
    return (sorted.value[(sorted.n - 1) / 2] + sorted.value[sorted.n / 2]) / 2;
}

struct report *
report_new(void)
{
    return calloc(1, sizeof(struct report));
}

void
report_free(struct report **report)
{
    free(*report);
    *report = NULL;
}

void
report_add(struct report *report, const struct row *row)
{
    if (report->n < ROWS_MAX)
        report->row[report->n++] = *row;
}

static double
ratio(const struct row *row)
{
    return row->theirs == 0 ? 0 : row->ours / row->theirs;
}

static bool
is_met(const struct row *row)
{
    return row->bound == BOUND_AT_LEAST ? row->ours >= row->target : row->ours <= row->target;
}

/* A figure with three or four digits that count, whatever its size. */
static const char *
number(char out[24], double value)
{
    snprintf(out, 24, value >= 1000 || value == 0 ? "%.0f" : value >= 10 ? "%.1f" : "%.3f", value);
    return out;
}

static void
print_row(const struct row *row, FILE *out)
{
    char ours[24], theirs[24], target[24], bound[48] = "";

    if (row->bound != BOUND_NONE)
        snprintf(bound, sizeof(bound), "%s %s %s",
                 row->bound == BOUND_AT_LEAST ? ">=" : "<=", number(target, row->target),
                 is_met(row) ? "met" : "missed");
    fprintf(out, "%-8s %-34s %10s %-10s", row->job, row->figure, number(ours, row->ours),
            row->unit);
    if (row->reference != NULL)
        fprintf(out, " %-34s %10s %8.2f", row->reference, number(theirs, row->theirs), ratio(row));
    else
        fprintf(out, " %-34s %10s %8s", "-", "", "");
    fprintf(out, "  %s\n", bound);
}

void
report_text(const struct report *report, FILE *out)
{
    const char *job = NULL;

    if (report->n == 0)
        return;
    fprintf(out, "%-8s %-34s %10s %-10s %-34s %10s %8s  %s\n", "job", "figure", "ours", "unit",
            "reference", "its figure", "ratio", "target");
    for (size_t i = 0; i < report->n; i++) {
        const struct row *row = &report->row[i];

        if (job == NULL || strcmp(job, row->job) != 0)
            fputc('\n', out);
        job = row->job;
        print_row(row, out);
    }
}

static void
write_row(struct json_writer *w, const struct row *row)
{
    jw_object(w);
    jw_kv_str(w, "job", row->job);
    jw_kv_str(w, "figure", row->figure);
    jw_kv_str(w, "unit", row->unit);
    jw_key(w, "ours");
    jw_real(w, row->ours);
    if (row->reference != NULL) {
        jw_kv_str(w, "reference", row->reference);
        jw_key(w, "theirs");
        jw_real(w, row->theirs);
        jw_key(w, "ratio");
        jw_real(w, ratio(row));
    }
    if (row->bound != BOUND_NONE) {
        jw_kv_str(w, "bound", row->bound == BOUND_AT_LEAST ? "at_least" : "at_most");
        jw_key(w, "target");
        jw_real(w, row->target);
        jw_kv_bool(w, "met", is_met(row));
    }
    jw_object_end(w);
}

/* One object a line. */
void
report_json(const struct report *report, FILE *out)
{
    struct json_writer w;
    struct buf text;

    buf_init(&text, JSON_MAX);
    for (size_t i = 0; i < report->n; i++) {
        buf_reset(&text);
        jw_init(&w, &text);
        write_row(&w, &report->row[i]);
        fprintf(out, "%s\n", buf_cstr(&text));
    }
    buf_free(&text);
}
