/* schedule.h - when an event is tried again, and what counts as taken: one row a dialect.
 *
 * Source: docs/protocol/webhook.md, "Attempts". Thread rule: pure. */
#ifndef PARLEY_HOOKS_SCHEDULE_H
#define PARLEY_HOOKS_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "hooks/hooks.h"

/* Failed calls in a row after which a target as a whole is put on back-off. */
#define TARGET_FAILS_MAX 4u

bool schedule_is_taken(enum hooks_profile profile, int status);
/* How long an event is tried, counted from its first attempt being due. */
int64_t schedule_window_ms(enum hooks_profile profile);
/* The wait after the tries-th failed attempt (1, 2, ...). Up to a tenth is taken off at random,
 * never added, so that "due after" can be relied on. */
int64_t schedule_delay_ms(enum hooks_profile profile, uint32_t tries, struct rng rng);
/* The wait of a target after so many failed calls in a row; 0 below TARGET_FAILS_MAX. */
int64_t schedule_backoff_ms(uint32_t fails);

#endif
