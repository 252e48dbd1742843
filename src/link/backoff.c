/* backoff.c - how long to wait before the next attempt. */
#include "link/backoff.h"

uint32_t
backoff_ms(uint32_t first_ms, uint32_t max_ms, unsigned failures, struct rng rng)
{
    uint64_t whole = first_ms;

    while (failures-- > 0 && whole < max_ms)
        whole *= 2;
    if (whole > max_ms)
        whole = max_ms;
    return (uint32_t)(whole - rng_below(rng, (uint32_t)(whole / 2) + 1));
}
