/* phones.h - many registered phones in the platform's one phone daemon, through its socket.
 *
 * Source: docs/phone.md, "The daemon's socket". Blocking; before anything is measured. */
#ifndef PARLEY_BENCH_PHONES_H
#define PARLEY_BENCH_PHONES_H

#include <stdint.h>

#include "platform.h"

/* Register profiles bench0, bench1, … for the numbers first, first + 1, … */
NODISCARD enum rc phones_register(struct platform *platform, uint64_t first, unsigned n,
                                  struct err *err);

#endif
