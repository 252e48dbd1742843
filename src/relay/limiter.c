/* limiter.c - the table of counted windows: open addressing over a short run of places.
 *
 * Owns its slots and a random key. Never allocates after limiter_new(). */
#include "relay/limiter.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/bytes.h"

#define PLACES 8u /* looked at for one key */

struct slot {
    uint64_t key; /* 0: free */
    int64_t start_ms;
    uint32_t count;
};

struct limiter {
    pthread_mutex_t lock; /* guards slots */
    uint8_t key[crypto_shorthash_KEYBYTES];
    uint32_t mask;
    struct slot slots[];
};

enum rc
limiter_new(struct limiter **out, uint32_t slots, struct rng rng, struct err *err)
{
    struct limiter *l;
    uint32_t n = PLACES;

    while (n < slots)
        n *= 2;
    l = *out = calloc(1, sizeof(*l) + n * sizeof(l->slots[0]));
    if (l == NULL)
        return err_set(err, RC_NOMEM, "relay.limiter", "out of memory");
    pthread_mutex_init(&l->lock, NULL);
    rng_fill(rng, l->key, sizeof(l->key));
    l->mask = n - 1;
    return RC_OK;
}

void
limiter_free(struct limiter **limiter)
{
    if (*limiter == NULL)
        return;
    pthread_mutex_destroy(&(*limiter)->lock);
    free(*limiter);
    *limiter = NULL;
}

static uint64_t
keyed(const struct limiter *l, const void *data, size_t len)
{
    uint8_t hash[crypto_shorthash_BYTES];
    uint64_t key;

    crypto_shorthash(hash, data, len, l->key);
    memcpy(&key, hash, sizeof(key));
    return key == 0 ? 1 : key;
}

uint64_t
limiter_key(const struct limiter *limiter, const char *text)
{
    return keyed(limiter, text, strlen(text));
}

/* The key's own slot, or the one among its places that has been idle longest. */
static struct slot *
find(struct limiter *l, uint64_t key)
{
    struct slot *oldest = NULL;

    for (uint32_t i = 0; i < PLACES; i++) {
        struct slot *slot = &l->slots[(key + i) & l->mask];

        if (slot->key == key)
            return slot;
        if (oldest == NULL || slot->key == 0 ||
            (oldest->key != 0 && slot->start_ms < oldest->start_ms))
            oldest = slot;
    }
    *oldest = (struct slot){.key = key, .start_ms = INT64_MIN / 2};
    return oldest;
}

bool
limiter_take(struct limiter *limiter, uint32_t kind, uint64_t a, uint64_t b, uint32_t most,
             int64_t window_ms, int64_t now_ms, uint32_t *retry_after_s)
{
    const uint64_t words[3] = {kind, a, b};
    uint64_t key = keyed(limiter, words, sizeof(words));
    struct slot *slot;
    bool is_allowed;

    pthread_mutex_lock(&limiter->lock);
    slot = find(limiter, key);
    if (now_ms - slot->start_ms >= window_ms) {
        slot->start_ms = now_ms;
        slot->count = 0;
    }
    is_allowed = slot->count < most;
    if (is_allowed)
        slot->count++;
    if (retry_after_s != NULL)
        *retry_after_s =
            is_allowed ? 0 : (uint32_t)((slot->start_ms + window_ms - now_ms) / 1000 + 1);
    pthread_mutex_unlock(&limiter->lock);
    return is_allowed;
}
