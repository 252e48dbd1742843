/* registry.c - routes by (account, device, lane) in striped chained tables that grow.
 *
 * Owns the entries. One entry lives as long as its connection, so the number of connections bounds
 * them. */
#include "relay/registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define STRIPES 64u
#define BUCKETS_FIRST 64u

struct entry {
    struct entry *next;
    uint64_t account;
    uint32_t device, lane;
    struct route route;
};

struct stripe {
    pthread_mutex_t lock; /* guards the rest */
    struct entry **buckets;
    uint32_t n_buckets; /* a power of two */
    uint32_t n;
};

struct registry {
    struct stripe stripes[STRIPES];
};

static uint64_t
mix(uint64_t account, uint32_t device, uint32_t lane)
{
    uint64_t x = account * 0x9e3779b97f4a7c15ull ^ ((uint64_t)device << 32 | lane);

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

enum rc
registry_new(struct registry **out, struct err *err)
{
    struct registry *r = *out = calloc(1, sizeof(*r));
    bool is_whole = r != NULL;

    for (unsigned i = 0; r != NULL && i < STRIPES; i++) {
        struct stripe *s = &r->stripes[i];

        pthread_mutex_init(&s->lock, NULL);
        s->n_buckets = BUCKETS_FIRST;
        s->buckets = calloc(s->n_buckets, sizeof(struct entry *));
        is_whole = is_whole && s->buckets != NULL;
    }
    if (is_whole)
        return RC_OK;
    registry_free(out);
    return err_set(err, RC_NOMEM, "relay.registry", "out of memory");
}

void
registry_free(struct registry **registry)
{
    if (*registry == NULL)
        return;
    for (unsigned i = 0; i < STRIPES; i++) {
        struct stripe *s = &(*registry)->stripes[i];

        for (uint32_t b = 0; s->buckets != NULL && b < s->n_buckets; b++) {
            for (struct entry *e = s->buckets[b], *next; e != NULL; e = next) {
                next = e->next;
                free(e);
            }
        }
        free(s->buckets);
        pthread_mutex_destroy(&s->lock);
    }
    free(*registry);
    *registry = NULL;
}

/* Where the pointer to the entry is, or where it would be linked. */
static struct entry **
find(struct stripe *s, uint64_t hash, uint64_t account, uint32_t device, uint32_t lane)
{
    struct entry **at = &s->buckets[(hash >> 6) & (s->n_buckets - 1)];

    while (*at != NULL &&
           ((*at)->account != account || (*at)->device != device || (*at)->lane != lane))
        at = &(*at)->next;
    return at;
}

/* Twice as many buckets; stays as it is when there is no memory. */
static void
grow(struct stripe *s)
{
    uint32_t n = s->n_buckets * 2;
    struct entry **buckets = calloc(n, sizeof(struct entry *));

    if (buckets == NULL)
        return;
    for (uint32_t b = 0; b < s->n_buckets; b++) {
        for (struct entry *e = s->buckets[b], *next; e != NULL; e = next) {
            uint32_t to = (mix(e->account, e->device, e->lane) >> 6) & (n - 1);

            next = e->next;
            e->next = buckets[to];
            buckets[to] = e;
        }
    }
    free(s->buckets);
    s->buckets = buckets;
    s->n_buckets = n;
}

static enum rc
add(struct stripe *s, uint64_t hash, uint64_t account, uint32_t device, uint32_t lane,
    const struct route *route)
{
    struct entry *e = calloc(1, sizeof(*e));
    struct entry **head;

    if (e == NULL)
        return RC_NOMEM;
    if (s->n >= s->n_buckets)
        grow(s);
    head = &s->buckets[(hash >> 6) & (s->n_buckets - 1)];
    *e = (struct entry){
        .next = *head, .account = account, .device = device, .lane = lane, .route = *route};
    *head = e;
    s->n++;
    return RC_OK;
}

enum rc
registry_claim(struct registry *registry, struct route *old, uint64_t account, uint32_t device,
               uint32_t lane, const struct route *route)
{
    uint64_t hash = mix(account, device, lane);
    struct stripe *s = &registry->stripes[hash % STRIPES];
    struct entry *e;
    enum rc rc = RC_OK;

    memset(old, 0, sizeof(*old));
    pthread_mutex_lock(&s->lock);
    e = *find(s, hash, account, device, lane);
    if (e == NULL) {
        rc = add(s, hash, account, device, lane, route);
    } else {
        *old = e->route;
        if (e->route.login > route->login)
            rc = RC_STALE;
        else
            e->route = *route;
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void
registry_release(struct registry *registry, uint64_t account, uint32_t device, uint32_t lane,
                 uint64_t login)
{
    uint64_t hash = mix(account, device, lane);
    struct stripe *s = &registry->stripes[hash % STRIPES];
    struct entry **at, *e;

    pthread_mutex_lock(&s->lock);
    at = find(s, hash, account, device, lane);
    if ((e = *at) != NULL && e->route.login == login) {
        *at = e->next;
        s->n--;
        free(e);
    }
    pthread_mutex_unlock(&s->lock);
}

bool
registry_find(struct registry *registry, struct route *out, uint64_t account, uint32_t device,
              uint32_t lane)
{
    uint64_t hash = mix(account, device, lane);
    struct stripe *s = &registry->stripes[hash % STRIPES];
    struct entry *e;

    pthread_mutex_lock(&s->lock);
    e = *find(s, hash, account, device, lane);
    if (e != NULL)
        *out = e->route;
    pthread_mutex_unlock(&s->lock);
    return e != NULL;
}
