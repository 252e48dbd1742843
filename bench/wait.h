/* wait.h - turn a loop until something is so. Thread rule: the loop's. */
#ifndef PARLEY_BENCH_WAIT_H
#define PARLEY_BENCH_WAIT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/loop.h"

/* For at most limit_ms: then RC_TIMEOUT. */
NODISCARD enum rc wait_until(struct loop *loop, bool (*is_so)(void *ctx), void *ctx,
                             unsigned limit_ms, struct err *err);

#endif
