/* clock.h - time that is handed in: what the wall says, what has passed, what a test decides.
 *
 * Three readings, never mixed: platform time (Unix milliseconds; windows, expiry, retries and
 * retention follow it, and a test clock may shift it), monotonic time (CLOCK_BOOTTIME milliseconds;
 * leases, socket timeouts and commit timers follow it), and nothing else.
 * Thread rule: reading is allowed from any thread; shifting is atomic. */
#ifndef PARLEY_BASE_CLOCK_H
#define PARLEY_BASE_CLOCK_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct clock;

/* The system's clocks; *out is owned by the caller. */
NODISCARD enum rc clock_new_system(struct clock **out, struct err *err);
/* A clock that stands still until told: platform and monotonic time start as given. */
NODISCARD enum rc clock_new_fake(struct clock **out, int64_t unix_ms, int64_t mono_ms,
                                 struct err *err);
void clock_free(struct clock **clock);

/* How far the wall clock is believed when it leaves what the boot clock says has passed. */
#define CLOCK_WALL_DRIFT_MAX_MS (3600 * 1000)

/* Platform time in Unix milliseconds. Never runs backwards within a process. The wall clock is
 * followed up to CLOCK_WALL_DRIFT_MAX_MS away from its first reading plus the boot time passed
 * since: somebody who sets the clock to next year expires nothing, and back to 1970 stops nothing
 * (I40). */
int64_t clock_unix_ms(const struct clock *clock);
/* The wall clock itself, past any shift or freeze: only for the validity of certificates. */
int64_t clock_wall_ms(const struct clock *clock);
/* Milliseconds since an arbitrary start; counts while the machine sleeps. */
int64_t clock_mono_ms(const struct clock *clock);

/* Shift platform time (test clock). Offsets only grow: a smaller one is RC_INVAL. */
NODISCARD enum rc clock_set_offset_ms(struct clock *clock, int64_t offset_ms, struct err *err);
int64_t clock_offset_ms(const struct clock *clock);
/* Hold platform time at `unix_ms` (>= now) until resumed. */
NODISCARD enum rc clock_freeze_at(struct clock *clock, int64_t unix_ms, struct err *err);
void clock_resume(struct clock *clock);
/* Fake clocks only: let both times pass. */
void clock_fake_advance(struct clock *clock, int64_t ms);
/* Fake clocks only: set the wall clock alone, as somebody with date(1) would. */
void clock_fake_set_wall(struct clock *clock, int64_t unix_ms);

#endif
