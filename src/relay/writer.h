/* writer.h - publishes and acks of all loops on their way into the store, and what comes of them.
 *
 * Owns the batches: work that arrives while a batch waits for the store's writer joins it, so under
 * load one store job carries hundreds of messages and each lane, account counter and meter is
 * written once per batch. After the commit, results go to the senders' loops and envelopes to the
 * loops of connected recipients, one post per loop and batch. Nothing is said before the commit
 * (I1, I3, I5). Thread rule: writer_submit from any loop. */
#ifndef PARLEY_RELAY_WRITER_H
#define PARLEY_RELAY_WRITER_H

#include <stdatomic.h>

#include "relay/inbox.h"
#include "relay/registry.h"

struct peer;
struct relay;
struct worker;
struct writer;

#define WRITER_BATCH_MAX 512u                /* pieces of work in one store job */
#define WRITER_BYTES_MAX (64u * 1024 * 1024) /* bodies waiting for a commit; above: refused */

enum work_kind { WORK_PUBLISH, WORK_ACK };

struct work {
    struct work *next;
    enum work_kind kind;
    struct worker *worker; /* whose loop hears the result */
    struct peer *peer;     /* referenced; touched on that loop only */
};

/* One device's share of a published message. */
struct parcel {
    struct parcel *next;     /* in the receiving loop's list */
    struct publish *publish; /* whose bytes it borrows; one reference while in a list */
    struct envelope envelope;
    uint32_t registration_id; /* the one it was encrypted for */
    struct route route;       /* set after the commit */
};

struct publish {
    struct work work;
    _Atomic uint32_t refs;
    uint32_t request_id;
    size_t bytes;                     /* of all bodies */
    uint64_t generation, lease_epoch; /* of the connection that sent it */
    uint64_t sender, recipient, counter;
    uint32_t sender_device, sender_lane;
    bool sender_is_business;
    uint8_t device_list_hash[DEVICE_LIST_HASH_SIZE];
    /* decided in the transaction */
    Parley__Wire__Reason reason;
    bool is_duplicate;
    uint32_t n_stored; /* parcels that are new in a queue */
    uint8_t current_hash[DEVICE_LIST_HASH_SIZE];
    uint32_t n_current;
    struct device_entry current[WIRE_DEVICES_MAX]; /* STALE_DEVICES */
    uint32_t n;
    struct parcel parcels[]; /* the bodies follow the last one */
};
void publish_unref(struct publish *publish);

struct ack_item {
    uint32_t lane;
    uint64_t seq, lease_epoch;
};
struct ack_work {
    struct work work;
    uint64_t account, generation;
    uint32_t device;
    uint32_t n;
    struct ack_item items[]; /* one per lane of the device */
};

/* A queue that grew by the relay's own doing: its connection reads on from the store. */
struct poke {
    uint64_t account;
    uint32_t device, lane;
    uint64_t seq;
};

NODISCARD enum rc writer_new(struct writer **out, struct relay *relay, struct err *err);
void writer_free(struct writer **writer);
/* False: too much waits already; nothing was taken. */
bool writer_submit(struct writer *writer, struct work *work);
/* After a commit: tell the connection of a queue that there is more. Any thread. */
void writer_poke(struct relay *relay, const struct poke *poke);

#endif
