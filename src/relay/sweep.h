/* sweep.h - what falls due: expiry, returning what an old registration left, forgetting.
 *
 * Owns the order in `due`. Each pass takes a bounded bite in one transaction, tells those
 * connected, and goes on until nothing is due by the platform's clock. Thread rule: the loop of
 * relay_opt. */
#ifndef PARLEY_RELAY_SWEEP_H
#define PARLEY_RELAY_SWEEP_H

#include "base/err.h"

struct relay;
struct sweeper;

#define SWEEP_ENVELOPES 500u /* given up in one transaction, at most */
#define SWEEP_ROWS 16u       /* rows of `due` in one transaction */
#define SWEEP_EVERY_MS 1000u
#define SWEEP_NOTE_CLOCK_MS (60 * 1000) /* how often the platform's time is written down */

NODISCARD enum rc sweeper_new(struct sweeper **out, struct relay *relay, struct err *err);
/* Stop the timer; what is under way ends by itself. */
void sweeper_stop(struct sweeper *sweeper);
void sweeper_free(struct sweeper **sweeper);
/* See relay_sweep(). */
void sweeper_run(struct sweeper *sweeper, void (*fn)(void *ctx, enum rc rc), void *ctx);

#endif
