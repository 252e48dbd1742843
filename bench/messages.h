/* messages.h - the request that all jobs send: POST /{phone-number-id}/messages, a text of 100
 * bytes.
 *
 * Thread rule: one thread. */
#ifndef PARLEY_BENCH_MESSAGES_H
#define PARLEY_BENCH_MESSAGES_H

#include <stdint.h>

#include "base/buf.h"
#include "platform.h"

#define MESSAGE_TEXT_BYTES 100u

struct messages {
    char path[128], token[512];
    uint64_t first;      /* recipients are first, first + 1, … */
    uint64_t recipients; /* so many, by turns */
    uint64_t n;          /* made so far */
};

/* Token and number of the demo. */
void messages_init(struct messages *messages, struct platform *platform, uint64_t first,
                   uint64_t recipients);
/* Append one whole HTTP request. */
void messages_put(struct messages *messages, struct buf *out);

#endif
