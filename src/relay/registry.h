/* registry.h - who is connected where: the route to the connection that holds a lane.
 *
 * Owns routes, not connections: a route names a loop and a place in its table, checked again there.
 * The login that was decided later in the store wins (I31), whichever order the loops get to know.
 * Thread rule: any thread (locks inside, striped by key). */
#ifndef PARLEY_RELAY_REGISTRY_H
#define PARLEY_RELAY_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct worker;

struct route {
    struct worker *worker;
    uint32_t slot, turn; /* place in the worker's table, and which tenant of it */
    uint64_t login;      /* order of the login's decision, unique within the process */
    uint64_t generation, lease_epoch;
    bool is_business; /* the device's queue has lanes */
};

struct registry;

NODISCARD enum rc registry_new(struct registry **out, struct err *err);
void registry_free(struct registry **registry);

/* Take the lane. RC_OK: ours now; *old is the route that lost it, old->worker NULL if it was free.
 * RC_STALE: a later login holds it already (*old is that one). RC_NOMEM. */
NODISCARD enum rc registry_claim(struct registry *registry, struct route *old, uint64_t account,
                                 uint32_t device, uint32_t lane, const struct route *route);
/* Give it back, unless somebody else holds it by now. */
void registry_release(struct registry *registry, uint64_t account, uint32_t device, uint32_t lane,
                      uint64_t login);
/* False: nobody is connected. */
bool registry_find(struct registry *registry, struct route *out, uint64_t account, uint32_t device,
                   uint32_t lane);

#endif
