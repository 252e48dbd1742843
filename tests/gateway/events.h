/* events.h - what an owner was told, kept in its own store by the telling transaction itself.
 *
 * A job may run more than once and a batch may be undone: only what was committed counts, so the
 * tests' owners write what they are told into a table, and the tests read that table. */
#ifndef PARLEY_TESTS_GATEWAY_EVENTS_H
#define PARLEY_TESTS_GATEWAY_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

extern const struct store_part events_part;

enum event_kind {
    EVENT_MESSAGE,  /* a message came in: text */
    EVENT_RECEIPT,  /* value: receipt kind, one event per message id */
    EVENT_SENT,     /* endpoint: the relay has it */
    EVENT_FAILED,   /* endpoint: value is the wire reason */
    EVENT_STATUS,   /* gateway: value is the status kind, extra the reason */
    EVENT_IDENTITY, /* a peer's identity key changed */
    EVENT_ANY
};

struct event {
    enum event_kind kind;
    uint64_t account, peer;
    uint8_t message_id[16];
    int64_t value, extra, at_ms;
    char text[64]; /* the beginning of a text */
};

/* In a transaction. */
NODISCARD enum rc events_add(struct store_tx *tx, const struct event *event, struct err *err);

/* All of an account so far, in order; the caller frees *out. Waits for the store. */
size_t events_load(struct store *store, uint64_t account, struct event **out);
/* How many there are of a kind (EVENT_ANY: all), for a message id or any (NULL). */
size_t events_count(struct store *store, uint64_t account, enum event_kind kind,
                    const uint8_t *message_id);

#endif
