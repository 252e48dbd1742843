/* peer.h - one connection's state: which frames are welcome now, and what it owes and is owed.
 *
 * Sans-I/O: frames come in by peer_frame(), leave by the io table; time and the store are handed in
 * through the relay. The channel (server.c) or a test stands behind the io table.
 * A peer belongs to its worker's thread. It lives until it has ended and every request that holds a
 * reference has come back. Source: docs/protocol/relay.md, "Parts". */
#ifndef PARLEY_RELAY_PEER_H
#define PARLEY_RELAY_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"
#include "relay/registry.h"
#include "relay/writer.h"
#include "store/store.h"
#include "wire/wire.h"

#define PEER_FIRST_MS 10000u     /* from the handshake to the first request (I39) */
#define PEER_OPENING_MS 300000u  /* all of a registration, code typed by a person included */
#define PEER_PUBLISHES_MAX 4096u /* in flight on one connection; more are not read */
#define PEER_REQUESTS_MAX 64u    /* other requests in flight on one connection */

struct relay;
struct worker;
struct peer;

struct peer_io {
    enum rc (*send)(void *ctx, const Parley__Wire__Frame *frame);
    void (*close)(void *ctx, Parley__Wire__CloseReason reason, const char *text);
    size_t (*unsent)(void *ctx);         /* bytes not yet taken by the peer */
    void (*hold)(void *ctx, bool is_on); /* stop, or go on, reading from the peer */
    void (*trust)(void *ctx);            /* logged in: frames may be large from now on */
};

enum peer_state {
    PEER_HANDSHAKE, /* no channel yet */
    PEER_OPEN,      /* channel up: may register or log in */
    PEER_ASKING,    /* a registration or login is being decided */
    PEER_UP,        /* logged in */
    PEER_ENDED,     /* closed or closing: nothing goes out any more */
    PEER_STATES
};

/* One claimed lane, from the sending side's view: sent <= head, sent == head when caught up. */
struct peer_lane {
    bool is_claimed, is_reading;
    uint64_t lease_epoch;
    uint64_t acked;     /* by the peer, as far as it told us */
    uint64_t ack_asked; /* as far as the store has been asked to note it */
    uint64_t sent;      /* handed to the connection */
    uint64_t head;      /* known to exist */
    uint32_t unacked, unacked_bytes;
};

struct peer {
    struct worker *worker;
    const struct peer_io *io;
    void *io_ctx;
    struct peer *newer, *older; /* in one of the worker's lists */
    uint32_t refs;              /* the connection's own, and one per request under way */
    uint32_t slot, turn;
    enum peer_state state;
    int64_t since_ms, deadline_ms; /* monotonic; deadline 0: the channel's own, or none */
    uint8_t noise_key[32], hash[32];
    uint64_t address_key; /* the peer's address for limits by address; 0: not limited */
    uint32_t in_flight, publishes;
    /* once logged in */
    uint64_t account;
    uint32_t device;
    uint64_t generation, login;
    uint8_t identity_key[33];
    bool is_business, is_acking, is_held, is_settled;
    uint32_t n_lanes;
    struct peer_lane *lanes;
    struct ack_work *ack;
};

/* A new connection on this worker; NULL when out of memory. */
struct peer *peer_new(struct worker *worker, const struct peer_io *io, void *io_ctx);
/* The channel is up. */
void peer_up(struct peer *peer, const uint8_t noise_key[32], const uint8_t hash[32]);
/* A frame arrived; borrowed for the call. */
void peer_frame(struct peer *peer, const Parley__Wire__Frame *frame);
/* The connection is gone; the io table is not used any more. Drops the connection's reference. */
void peer_gone(struct peer *peer);
/* Say why and end. */
void peer_close(struct peer *peer, Parley__Wire__CloseReason reason, const char *text);
/* Once a second: deadlines. */
void peer_tick(struct peer *peer, int64_t mono_ms);

struct peer *peer_ref(struct peer *peer);
void peer_unref(struct peer *peer);

/* Send if the connection still stands. */
void peer_send(struct peer *peer, Parley__Wire__Frame *frame);
void peer_refuse(struct peer *peer, uint32_t request_id, Parley__Wire__Reason reason,
                 uint32_t retry_after_s, const char *text);
void peer_done(struct peer *peer, uint32_t request_id);
/* A publish of this peer's was taken up, or answered: reading is held while too many are in flight.
 */
void peer_publishes(struct peer *peer, int change);
/* Hand acknowledgements that are not yet noted to the store, if none are on their way. */
void peer_flush_acks(struct peer *peer);
/* Back to PEER_OPEN after a decision that was no. */
void peer_reopen(struct peer *peer);

/* ---- a request that needs the store ---- */

/* Head of every verb's own request struct, which comes from one calloc and ends in ask_end(). */
struct ask {
    struct store_job job;
    struct peer *peer; /* referenced */
    uint32_t request_id;
    Parley__Wire__Reason reason; /* the verb's decision; REASON_UNSPECIFIED is yes */
    const char *text;            /* for people: static */
    uint32_t retry_after_s;
};
/* Begin: counts and references. NULL (answered already) when too many are in flight or no memory.
 */
void *ask_new(struct peer *peer, const Parley__Wire__Frame *frame, size_t size);
/* Hand it to the store's writer or reader; done runs on the peer's loop. */
void ask_write(struct ask *ask, enum rc (*run)(struct store_job *, struct store_tx *, struct err *),
               void (*done)(struct store_job *, enum rc, const struct err *), bool grows);
void ask_read(struct ask *ask, enum rc (*run)(struct store_job *, struct store_tx *, struct err *),
              void (*done)(struct store_job *, enum rc, const struct err *));
/* In done(): true when the store and the verb said yes. Otherwise the refusal has been sent. */
bool ask_allowed(struct ask *ask, enum rc rc, const struct err *err);
/* Uncount, unreference, free. */
void ask_end(struct ask *ask);
/* Decide no inside run(): keeps what the job wrote. */
static inline enum rc
ask_no(struct ask *ask, Parley__Wire__Reason reason, const char *text)
{
    ask->reason = reason;
    ask->text = text;
    return RC_OK;
}

/* ---- the verbs: one file each ---- */
void verb_login(struct peer *peer, const Parley__Wire__Frame *frame);
void verb_code_request(struct peer *peer, const Parley__Wire__Frame *frame);
void verb_code_verify(struct peer *peer, const Parley__Wire__Frame *frame);
void verb_register(struct peer *peer, const Parley__Wire__Frame *frame);
void verb_unregister(struct peer *peer, const Parley__Wire__Frame *frame);
void verb_prekey_upload(struct peer *peer, const Parley__Wire__Frame *frame);
void verb_bundle_fetch(struct peer *peer, const Parley__Wire__Frame *frame);
void verb_publish(struct peer *peer, const Parley__Wire__Frame *frame);
void verb_ack(struct peer *peer, const Parley__Wire__Frame *frame);
void verb_block_signal(struct peer *peer, const Parley__Wire__Frame *frame);

#endif
