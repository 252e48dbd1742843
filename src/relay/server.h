/* server.h - the workers' seats: which connection sits where. Internal to src/relay. */
#ifndef PARLEY_RELAY_SERVER_H
#define PARLEY_RELAY_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct peer;
struct relay;
struct route;
struct worker;

/* Give the peer a slot and a turn, and link it in the worker's list. False: no memory. */
bool worker_seat(struct worker *worker, struct peer *peer);
/* It has logged in: no deadline is looked at any more. */
void worker_settle(struct worker *worker, struct peer *peer);
void worker_unseat(struct worker *worker, struct peer *peer);
/* The connection a route means, or NULL when it is gone. Worker's thread only. */
struct peer *worker_peer(struct worker *worker, uint32_t slot, uint32_t turn);
/* Ask the connection behind a route, on whatever loop it lives, to close. */
void relay_close_route(struct relay *relay, const struct route *route, int close_reason,
                       const char *text);

/* Loop, listener and tick of one worker; the first one picks the port if none is set. */
NODISCARD enum rc worker_prepare(struct worker *worker, struct relay *relay, unsigned index,
                                 const char *host, struct err *err);
/* Start its thread. */
NODISCARD enum rc worker_run(struct worker *worker, struct err *err);
/* Stop accepting and tell every peer DRAINING, on its own thread. */
void worker_drain(struct worker *worker);
/* Stop the loop and wait for the thread. */
void worker_join(struct worker *worker);
/* After the join: end what is left, release. */
void worker_free(struct worker *worker);

#endif
