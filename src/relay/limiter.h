/* limiter.h - how often something may happen: counted windows in a table of fixed size.
 *
 * A key is a number of the caller's (an address's hash, a pair of accounts). When its place is
 * taken by others, the one whose window is oldest makes room, so memory is bounded and a flood of
 * keys can only forget, never grow. Thread rule: any thread (it locks inside). */
#ifndef PARLEY_RELAY_LIMITER_H
#define PARLEY_RELAY_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rng.h"

struct limiter;

/* slots is rounded up to a power of two. The hash is keyed, so that places cannot be aimed at. */
NODISCARD enum rc limiter_new(struct limiter **out, uint32_t slots, struct rng rng,
                              struct err *err);
void limiter_free(struct limiter **limiter);

/* Count one event of (kind, a, b) at now_ms if fewer than `most` happened in its window of
 * window_ms. False: refused, nothing counted; *retry_after_s (NULL allowed) says when the window
 * ends. */
bool limiter_take(struct limiter *limiter, uint32_t kind, uint64_t a, uint64_t b, uint32_t most,
                  int64_t window_ms, int64_t now_ms, uint32_t *retry_after_s);

/* A number for a textual key such as an address. */
uint64_t limiter_key(const struct limiter *limiter, const char *text);

#endif
