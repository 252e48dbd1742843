/* subscribe.h - make the demo's app send its webhooks here, the way a business does it.
 *
 * Source: docs/cloud-api.md, docs/protocol/webhook.md. Thread rule: the loop's. */
#ifndef PARLEY_BENCH_SUBSCRIBE_H
#define PARLEY_BENCH_SUBSCRIBE_H

#include "base/loop.h"
#include "platform.h"

/* Turns the loop until both calls are answered; the challenge comes to the port meanwhile. */
NODISCARD enum rc subscribe(struct loop *loop, struct platform *platform, uint16_t sink_port,
                            struct err *err);

#endif
