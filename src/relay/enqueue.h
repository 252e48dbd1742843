/* enqueue.h - one publish and one ack inside the transaction, and the answers after it.
 *
 * Owns the checks of a publish: they are all here, in the order in which they are made.
 * Thread rule: enqueue_publish, _ack and totals on the store's thread; answers on the sender's
 * loop. */
#ifndef PARLEY_RELAY_ENQUEUE_H
#define PARLEY_RELAY_ENQUEUE_H

#include "relay/inbox.h"
#include "relay/meter.h"
#include "relay/writer.h"

#define ENQUEUE_SENDERS_MAX                                                                        \
    64u /* sending devices whose counters one batch holds before writing                           \
         */

/* What a batch writes once per account or device instead of once per message. */
struct enqueue_totals {
    struct meter_batch meter;
    uint32_t n;
    struct sender_total {
        uint64_t account, counter;
        uint32_t device;
    } senders[ENQUEUE_SENDERS_MAX];
};
void enqueue_totals_begin(struct enqueue_totals *totals);
NODISCARD enum rc enqueue_totals_write(struct enqueue_totals *totals, struct inbox *inbox,
                                       struct err *err);

/* Whole or nothing. A refusal is an outcome (publish->reason), not an error. */
NODISCARD enum rc enqueue_publish(struct inbox *inbox, struct enqueue_totals *totals,
                                  struct publish *publish, struct err *err);
NODISCARD enum rc enqueue_ack(struct inbox *inbox, struct ack_work *ack, struct err *err);

/* After the commit, or instead of it (rc). They give up the work's reference to its peer. */
void enqueue_publish_answer(struct publish *publish, enum rc rc);
void enqueue_ack_answer(struct ack_work *ack, enum rc rc);

#endif
