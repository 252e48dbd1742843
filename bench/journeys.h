/* journeys.h - messages under way: from the request that sent them to the webhook "delivered".
 *
 * The accept's answer and the webhook come over different sockets, so either may be seen first.
 * Thread rule: one thread. */
#ifndef PARLEY_BENCH_JOURNEYS_H
#define PARLEY_BENCH_JOURNEYS_H

#include <stdint.h>

#include "base/bytes.h"
#include "measure.h"

#define JOURNEY_ID_MAX 128u

struct journey;

struct journeys {
    struct journey *open; /* by wamid; owned */
    uint64_t n_delivered;
    struct waits waits; /* of delivered ones, from the request on */
};

/* Accepted: sent at this time. */
void journeys_sent(struct journeys *journeys, struct bytes id, int64_t sent_us);
/* Its webhook is here now. True the first time. */
bool journeys_delivered(struct journeys *journeys, struct bytes id);
void journeys_wipe(struct journeys *journeys);

#endif
