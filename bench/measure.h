/* measure.h - clocks, CPU time and memory, of this process and of others.
 *
 * CPU of another process is read from its own clock (clock_getcpuclockid), which counts all its
 * threads, ended ones too, in nanoseconds: what the generator and the sinks of the bench use is
 * never in it. Thread rule: any thread. */
#ifndef PARLEY_BENCH_MEASURE_H
#define PARLEY_BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

int64_t now_us(void);      /* monotonic */
double own_cpu_s(void);    /* this process */
double cpu_s(pid_t pid);   /* 0 when there is no such process */
double pss_mib(pid_t pid); /* proportional set size; 0 where it cannot be read */
/* Every descendant of a process, itself first. Returns how many, at most max. */
size_t process_family(pid_t *out, size_t max, pid_t root);

/* Waiting times of one run, to be asked for percentiles. Zeroed before its first use. */
struct waits {
    uint32_t *us; /* owned */
    size_t n, cap;
};
void waits_add(struct waits *waits, int64_t us);    /* out of memory: dropped */
double waits_ms(struct waits *waits, double share); /* share 0.99: the 99th percentile */
void waits_wipe(struct waits *waits);

#endif
