/* sink.h - the business's end: takes webhooks on our loop, answers 200, and tells of statuses.
 *
 * Looks for a status's id and name in the bytes as they are; signatures are other tests' business.
 * Answers the subscription's challenge. Thread rule: the loop's. */
#ifndef PARLEY_BENCH_SINK_H
#define PARLEY_BENCH_SINK_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/loop.h"

struct sink;

struct sink_opt {
    struct loop *loop;
    /* A status came: id is the wamid; both are borrowed for the call. */
    void (*on_status)(void *ctx, struct bytes id, struct bytes status);
    void *ctx;
};

NODISCARD enum rc sink_open(struct sink **out, const struct sink_opt *opt, struct err *err);
void sink_free(struct sink **sink);
uint16_t sink_port(const struct sink *sink);

/* The quoted text behind this run of characters, such as "\"status\":\"". False: not there. */
bool quoted_after(struct bytes *out, struct bytes in, const char *mark);

#endif
