/* echo.h - the reference for the API: a bare server on the same HTTP library, in a process of its
 * own.
 *
 * Takes any request, looks at nothing, stores nothing, answers at once with a body as long as the
 * real one. Thread rule: start it before this process has threads of its own. */
#ifndef PARLEY_BENCH_ECHO_H
#define PARLEY_BENCH_ECHO_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct echo {
    pid_t pid; /* 0: not running */
    uint16_t port;
};

NODISCARD enum rc echo_start(struct echo *echo, struct err *err);
void echo_stop(struct echo *echo);

#endif
