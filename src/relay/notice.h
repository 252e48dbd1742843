/* notice.h - the relay's own word to a sender: this did not arrive, and why.
 *
 * A notice is an envelope in the sender's queue like any other, from nobody, in clear; it is
 * written in the transaction that gives the message up. Thread rule: the store's writer thread,
 * inside run(). */
#ifndef PARLEY_RELAY_NOTICE_H
#define PARLEY_RELAY_NOTICE_H

#include "relay/inbox.h"
#include "relay/writer.h"

/* What is told about: envelopes of one sender to one recipient device. */
struct notice {
    uint64_t sender; /* who is told */
    uint32_t sender_device;
    uint64_t recipient;
    uint32_t device;
    Parley__Wire__Reason reason;
    size_t n;
    const uint8_t (*ids)[MESSAGE_ID_BYTES]; /* borrowed */
};

/* Put it in the sender's queue. *poke is set for whoever is connected there; poke->account is 0
 * when the sender is not registered any more and nobody is told. */
NODISCARD enum rc notice_put(struct inbox *inbox, const struct notice *notice, struct poke *poke,
                             struct err *err);

#endif
