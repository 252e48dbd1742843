/* rng.c - where randomness comes from.
 *
 * The system source is getrandom(2) with no flags: it blocks until the kernel's pool is seeded and
 * never returns weak bytes; if it fails we abort, since nothing safe can follow. Small requests are
 * cut from a buffer of the calling thread; bytes are cleared as they are handed out, and a forked
 * child starts with an empty buffer, so no two requests ever see the same bytes.
 *
 * The buffer is thread-local state and the fork handler is registered once per process: the two
 * exceptions that the rule against file-scope variables has here. */
#include "base/rng.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/bytes.h"

#define POOL_BYTES 512u
#define SMALL_BYTES 64u /* larger requests go to the kernel straight */

struct pool {
    size_t left; /* fresh bytes, at the end */
    uint8_t bytes[POOL_BYTES];
};

static _Thread_local struct pool pool;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* In the child only the forking thread lives, and this runs on it. */
static void
forget_in_child(void)
{
    bytes_wipe(&pool, sizeof(pool));
}

static void
watch_forks(void)
{
    if (pthread_atfork(NULL, NULL, forget_in_child) != 0)
        abort();
}

static void
fill_from_kernel(void *out, size_t len)
{
    uint8_t *at = out;

    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            perror("getrandom");
            abort();
        }
        at += n;
        len -= (size_t)n;
    }
}

static void
fill_system(void *self, void *out, size_t len)
{
    uint8_t *from;

    if (len > SMALL_BYTES) {
        fill_from_kernel(out, len);
        return;
    }
    if (pool.left < len) {
        pthread_once(&fork_once, watch_forks);
        fill_from_kernel(pool.bytes, sizeof(pool.bytes));
        pool.left = sizeof(pool.bytes);
    }
    from = pool.bytes + sizeof(pool.bytes) - pool.left;
    memcpy(out, from, len);
    bytes_wipe(from, len);
    pool.left -= len;
}

struct rng
rng_system(void)
{
    return (struct rng){.fill = fill_system};
}

/* SplitMix64 (Steele, Lea, Flood 2014): one word of state, passes the usual batteries. */
static uint64_t
next_seeded(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void
fill_seeded(void *self, void *out, size_t len)
{
    uint8_t *at = out;

    while (len > 0) {
        uint64_t word = next_seeded(self);
        size_t n = len < sizeof(word) ? len : sizeof(word);

        for (size_t i = 0; i < n; i++) /* the same bytes on every machine */
            at[i] = (uint8_t)(word >> (8 * i));
        at += n;
        len -= n;
    }
}

struct rng
rng_seeded(uint64_t *state)
{
    return (struct rng){.fill = fill_seeded, .self = state};
}

void
rng_fill(struct rng rng, void *out, size_t len)
{
    if (len > 0)
        rng.fill(rng.self, out, len);
}

uint32_t
rng_u32(struct rng rng)
{
    uint8_t b[4];

    rng_fill(rng, b, sizeof(b));
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

uint64_t
rng_u64(struct rng rng)
{
    uint64_t low = rng_u32(rng);

    return low | (uint64_t)rng_u32(rng) << 32;
}

uint32_t
rng_below(struct rng rng, uint32_t bound)
{
    assert(bound > 0);
    /* values below 2^32 mod bound would make some results likelier: draw again */
    uint32_t reject_below = (0u - bound) % bound;
    uint32_t v;

    do
        v = rng_u32(rng);
    while (v < reject_below);
    return v % bound;
}
