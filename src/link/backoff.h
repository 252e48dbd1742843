/* backoff.h - how long to wait before the next attempt: doubling, capped, jittered.
 *
 * Half of the wait is fixed and half is random, so that devices cut at the same moment do not come
 * back at the same moment. Thread rule: pure. */
#ifndef PARLEY_LINK_BACKOFF_H
#define PARLEY_LINK_BACKOFF_H

#include <stdint.h>

#include "base/rng.h"

/* first_ms << failures, at most max_ms; of that between a half and the whole. */
uint32_t backoff_ms(uint32_t first_ms, uint32_t max_ms, unsigned failures, struct rng rng);

#endif
