/* rng.h - randomness that is handed in. The real one is getrandom(2) and aborts if the kernel has
 * none; a test passes a seeded one. Thread rule: the system source may be used from any thread. */
#ifndef PARLEY_BASE_RNG_H
#define PARLEY_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    void (*fill)(void *self, void *out, size_t len);
    void *self;
};

/* getrandom(2), buffered per thread for small requests; wiped on fork. */
struct rng rng_system(void);
/* Deterministic, for tests only: xoshiro-style generator over *state (borrowed). */
struct rng rng_seeded(uint64_t *state);

void rng_fill(struct rng rng, void *out, size_t len);
uint32_t rng_u32(struct rng rng);
uint64_t rng_u64(struct rng rng);
/* Uniform in [0, bound); bound > 0. */
uint32_t rng_below(struct rng rng, uint32_t bound);

#endif
