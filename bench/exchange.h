/* exchange.h - plain request and answer under load, for a while: rate, CPU and waiting times of one
 * server.
 *
 * The same for ours and for the echo, so that they can be compared. Thread rule: the loop's. */
#ifndef PARLEY_BENCH_EXCHANGE_H
#define PARLEY_BENCH_EXCHANGE_H

#include <sys/types.h>

#include "base/loop.h"
#include "messages.h"
#include "report.h"

#define EXCHANGE_CONNECTIONS 64u       /* as fast as answers come */
#define EXCHANGE_PACED_CONNECTIONS 16u /* at a given rate */

struct exchange_opt {
    struct loop *loop;
    uint16_t port;
    pid_t pid;                 /* whose CPU counts */
    struct messages *messages; /* what is sent */
    double per_s;              /* 0: as fast as answers come */
    double seconds;
};

struct exchange_figures {
    double per_s, cpu_us, p50_ms, p99_ms;
};

/* RC_DENIED when an answer was not 200. */
NODISCARD enum rc exchange_run(struct exchange_figures *out, const struct exchange_opt *opt,
                               struct err *err);

struct exchange_series {
    struct series per_s, cpu_us, p50_ms, p99_ms;
};
void exchange_add(struct exchange_series *to, const struct exchange_figures *f);

#endif
