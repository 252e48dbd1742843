/* platform.h - a whole platform of ours for a job: `parley up --demo` in a folder, and its
 * programs.
 *
 * Its programs are told apart by name among the descendants of the supervisor. What the demo
 * provisioned is read from demo.env, as a user would. Thread rule: one thread. */
#ifndef PARLEY_BENCH_PLATFORM_H
#define PARLEY_BENCH_PLATFORM_H

#include <stdbool.h>

#include "bench.h"
#include "child.h"

#define PLATFORM_PROGRAMS_MAX 16u

struct platform {
    struct child up;
    char dir[BENCH_PATH_MAX + 32], log[BENCH_PATH_MAX + 64];
    uint16_t base_port;
    struct buf env;                   /* demo.env */
    pid_t pid[PLATFORM_PROGRAMS_MAX]; /* the supervisor first */
    size_t n_pids;
};

/* Names a folder of this name in the bench's; does not start anything. */
NODISCARD enum rc platform_init(struct platform *p, const struct bench *bench, const char *name,
                                struct err *err);
/* Start, wait until everything serves; *took_s is from the call to ready. May be called again after
 * platform_stop: then on the same data. */
NODISCARD enum rc platform_start(struct platform *p, const struct bench *bench, double *took_s,
                                 struct err *err);
void platform_stop(struct platform *p);
/* Stops it if need be. */
void platform_wipe(struct platform *p);

/* A value of demo.env, copied to out; "" when there is none. Returns out. */
char *platform_env(struct platform *p, const char *key, char *out, size_t size);
/* The process whose program has this name; 0: none. */
pid_t platform_pid(const struct platform *p, const char *program);
/* CPU of all programs so far. */
double platform_cpu_s(const struct platform *p);
/* Proportional memory of all programs now; 0 where it cannot be read. */
double platform_pss_mib(const struct platform *p);
uint16_t platform_http_port(const struct platform *p);

#endif
