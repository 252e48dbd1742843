/* journeys.c - see journeys.h. */
#include "journeys.h"

#include <stdbool.h>
#include <stdlib.h>
#include <uthash.h>

struct journey {
    char id[JOURNEY_ID_MAX];
    int64_t sent_us, delivered_us; /* 0: not seen yet */
    UT_hash_handle hh;
};

static struct journey *
find_or_add(struct journeys *journeys, struct bytes id)
{
    struct journey *journey = NULL;

    if (id.len == 0 || id.len >= JOURNEY_ID_MAX)
        return NULL;
    HASH_FIND(hh, journeys->open, id.ptr, id.len, journey);
    if (journey == NULL && (journey = calloc(1, sizeof(*journey))) != NULL) {
        memcpy(journey->id, id.ptr, id.len);
        HASH_ADD_KEYPTR(hh, journeys->open, journey->id, id.len, journey);
    }
    return journey;
}

static void
close_if_both(struct journeys *journeys, struct journey *journey)
{
    if (journey->sent_us == 0 || journey->delivered_us == 0)
        return;
    waits_add(&journeys->waits, journey->delivered_us - journey->sent_us);
    HASH_DEL(journeys->open, journey);
    free(journey);
}

void
journeys_sent(struct journeys *journeys, struct bytes id, int64_t sent_us)
{
    struct journey *journey = find_or_add(journeys, id);

    if (journey == NULL)
        return;
    journey->sent_us = sent_us;
    close_if_both(journeys, journey);
}

bool
journeys_delivered(struct journeys *journeys, struct bytes id)
{
    struct journey *journey = find_or_add(journeys, id);

    if (journey == NULL || journey->delivered_us != 0)
        return false;
    journey->delivered_us = now_us();
    journeys->n_delivered++;
    close_if_both(journeys, journey);
    return true;
}

void
journeys_wipe(struct journeys *journeys)
{
    struct journey *journey, *next;

    HASH_ITER(hh, journeys->open, journey, next)
    {
        HASH_DEL(journeys->open, journey);
        free(journey);
    }
    waits_wipe(&journeys->waits);
    *journeys = (struct journeys){0};
}
