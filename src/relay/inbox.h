/* inbox.h - queues in the store, seen from inside one transaction.
 *
 * Owns the rules of a lane: sequence numbers in commit order (I9), ceilings (I14), conservation of
 * counts (I7), one row per envelope that stays as the dedupe row. Lanes and accounts that a
 * transaction touches are read once and lanes written back once, at inbox_finish(). Knows no
 * connection. Thread rule: the store's writer thread, inside run(). */
#ifndef PARLEY_RELAY_INBOX_H
#define PARLEY_RELAY_INBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/rng.h"
#include "relay/relay.h"
#include "relay/sql.h"
#include "wire/ident.h"
#include "wire/wire.h"

#define INBOX_LANES_MAX 1024u   /* lanes in one transaction; a power of two */
#define INBOX_ACCOUNTS_MAX 512u /* accounts likewise */
#define INBOX_WORK_LANES 16u    /* lanes and accounts that one piece of work touches at most */
#define INBOX_PART 0            /* the sweepers' shard: this machine */

struct lane_row {
    uint64_t account; /* 0: free place */
    uint32_t device, lane;
    bool exists, is_dirty;
    uint64_t generation, lease_epoch;
    uint64_t last_seq, acked_seq;
    uint64_t pending, pending_bytes;
    int64_t due_ms;
    uint64_t enqueued, acked, expired, purged, duplicates;
};

/* An account as senders need it: its active devices and what kind it is. */
struct account_row {
    uint64_t account; /* 0: free place */
    bool exists, is_business;
    size_t n;
    struct device_entry devices[WIRE_DEVICES_MAX];
    uint64_t generations[WIRE_DEVICES_MAX];
    uint8_t hash[DEVICE_LIST_HASH_SIZE];
};

/* One envelope on its way into, or out of, a queue. Bytes are borrowed. */
struct envelope {
    uint64_t account; /* recipient */
    uint32_t device, lane;
    uint64_t generation; /* of the recipient's registration */
    uint64_t seq;        /* set by inbox_put */
    uint64_t sender;     /* 0: the relay itself */
    uint32_t sender_device;
    uint8_t message_id[MESSAGE_ID_BYTES];
    uint32_t class, category, type;
    bool is_template;
    int64_t accepted_ms, expires_ms;
    struct bytes body;
    bool came_back; /* set by inbox_put: had been purged, is queued for the new registration */
};

struct inbox {
    struct store_tx *tx;
    const struct relay_limits *limits;
    struct rng rng;
    int64_t now_ms;
    size_t n_lanes, n_accounts;
    struct lane_row lanes[INBOX_LANES_MAX];
    struct account_row accounts[INBOX_ACCOUNTS_MAX];
    uint16_t lane_places[INBOX_LANES_MAX]; /* in use, for a quick reset */
    uint16_t account_places[INBOX_ACCOUNTS_MAX];
};

/* An inbox is some 200 KiB; its owner keeps it between transactions. */
NODISCARD enum rc inbox_new(struct inbox **out, const struct relay_limits *limits, struct rng rng,
                            struct err *err);
void inbox_free(struct inbox **inbox);
/* Start on a transaction: everything known from an earlier one is forgotten. */
void inbox_begin(struct inbox *inbox, struct store_tx *tx, int64_t now_ms);
/* Between two pieces of work: write back and forget when the next might not find room. */
NODISCARD enum rc inbox_make_room(struct inbox *inbox, struct err *err);
/* Write back every lane that changed. */
NODISCARD enum rc inbox_finish(struct inbox *inbox, struct err *err);

/* Borrowed until inbox_make_room or inbox_finish. Absent rows have exists == false. */
NODISCARD enum rc inbox_lane(struct inbox *inbox, struct lane_row **out, uint64_t account,
                             uint32_t device, uint32_t lane, struct err *err);
NODISCARD enum rc inbox_account(struct inbox *inbox, const struct account_row **out,
                                uint64_t account, struct err *err);
/* The lane in which an account receives from a peer. */
uint32_t inbox_lane_for(const struct account_row *row, uint64_t peer);

/* Whether the message is in the queue or has been: any state but purged. */
NODISCARD enum rc inbox_seen(struct inbox *inbox, bool *seen, const struct envelope *env,
                             struct err *err);
/* Room for one more of this size? */
bool inbox_has_room(const struct inbox *inbox, const struct account_row *owner,
                    const struct lane_row *lane, size_t size_bytes);
/* Append; env->seq is set. RC_DUPLICATE: it is there already (counted on the lane, which is the
 * barrier write of I5). */
NODISCARD enum rc inbox_put(struct inbox *inbox, struct envelope *env, struct err *err);
/* Acknowledge up to seq for this registration. What has expired by now stays for the sweeper: it
 * may never have been handed out, and its sender is owed a notice (I9, I15). */
NODISCARD enum rc inbox_ack(struct inbox *inbox, struct lane_row *lane, uint64_t generation,
                            uint64_t seq, struct err *err);

/* `class`, `category`, `type` and the template flag in one column. */
int64_t envelope_meta(const struct envelope *env);
void envelope_set_meta(struct envelope *env, int64_t meta);

#endif
