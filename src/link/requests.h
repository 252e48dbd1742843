/* requests.h - the requests of one link that wait for their answer, by id, each with a deadline.
 *
 * Owns the table and nothing else: no socket, no timer, no clock. A slot is found by the id modulo
 * the table's size, and an id whose slot is taken is skipped. Private to src/link and its tests.
 * Thread rule: one owner. */
#ifndef PARLEY_LINK_REQUESTS_H
#define PARLEY_LINK_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/wire.h"

typedef void request_fn(void *ctx, enum rc rc, const Parley__Wire__Frame *reply);

struct request {
    uint32_t id; /* 0: free */
    request_fn *fn;
    void *ctx;
    int64_t deadline_ms;
};
struct requests {
    struct request *slots; /* owned; size is 0 or a power of two */
    size_t size, count, max;
    uint32_t last_id;
    int64_t next_deadline_ms; /* not later than the earliest; INT64_MAX when empty */
};

/* max: at most so many in flight, a power of two. Allocates nothing yet. */
void requests_init(struct requests *r, size_t max);
/* Release; nothing may be in flight. */
void requests_wipe(struct requests *r);

/* Enter one; *id_out is never 0. RC_BUSY at max, RC_NOMEM. */
NODISCARD enum rc requests_add(struct requests *r, uint32_t *id_out, request_fn *fn, void *ctx,
                               int64_t deadline_ms, struct err *err);
/* Take one out; false if there is none of this id (late or never asked). */
bool requests_take(struct requests *r, uint32_t id, struct request *out);
/* Take out one whose deadline is at or before now; false and a fresh next_deadline_ms if none is.
 */
bool requests_take_due(struct requests *r, int64_t now_ms, struct request *out);
/* Take out any; false when empty. */
bool requests_take_any(struct requests *r, struct request *out);

#endif
