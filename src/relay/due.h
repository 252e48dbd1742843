/* due.h - one bite of what is due, inside one transaction.
 *
 * Owns what each kind of row in `due` means. Every envelope given up is told to its sender in the
 * same transaction: exactly one EXPIRED notice a message (I15), STALE_DEVICES for what is returned.
 * Thread rule: the store's writer thread, inside run(). */
#ifndef PARLEY_RELAY_DUE_H
#define PARLEY_RELAY_DUE_H

#include "relay/inbox.h"
#include "relay/sweep.h"
#include "relay/writer.h"

struct due_bite {
    uint32_t expired, returned, forgotten;
    size_t n_pokes;
    struct poke pokes[SWEEP_ENVELOPES]; /* queues that grew */
};

NODISCARD enum rc due_take_bite(struct inbox *inbox, struct due_bite *bite, struct err *err);

#endif
