/* internal.h - the endpoint's insides, shared by the files of this folder and nobody else.
 *
 * Two halves meet in struct endpoint. The `tx` half (keys, counters) is touched only inside store
 * jobs, which run one at a time on the writer thread. The `loop` half (link, queues, fetches) is
 * touched only on the loop. Jobs carry what must cross, in struct work and struct endpoint_outputs.
 */
#ifndef PARLEY_ENDPOINT_INTERNAL_H
#define PARLEY_ENDPOINT_INTERNAL_H

#include <uthash.h>

#include "crypto/prim.h"
#include "endpoint/endpoint.h"
#include "endpoint/tables.h"
#include "wire/ident.h"
#include "wire/wire.h"

#define ARENA_JOB_MAX (64u * 1024 * 1024) /* a whole window of every lane fits */
#define FETCHES_MAX 64u                   /* bundle fetches in flight */
#define PEERS_MAX 4096u /* peers being looked up; the rest is found again in the store */
#define QUEUE_MAX 4096u /* publishes kept in memory; the rest is read again from the store */
#define PAGE_MAX 256u
#define RESENDS_MAX 5u /* retry requests honoured per message */
#define DEVICES_MAX WIRE_DEVICES_MAX
#define WORK_DELIVERS_MAX 256u /* deliveries in one transaction: nobody waits long for another */
#define POISON_TRIES 5u        /* a delivery that its owner cannot take is set aside after these */
#define DUE_EVERY_MS 60000     /* what platform time makes due is looked for this often */
/* Sessions that read and never send again, in the place of the count of unanswered messages: given
 * up for a new one, or of a restored store, whose record is not even taken over into that. */
#define UNANSWERED_STALE 1000000u
#define UNANSWERED_RESTORED 2000000u

enum self_state { SELF_NONE = -1, SELF_REGISTERING = 0, SELF_REGISTERED = 1 };

/* ---- what a transaction leaves behind ---- */

struct publish_item { /* one sealed message on its way to the relay */
    struct publish_item *next;
    uint64_t ord, counter;
    struct buf publish; /* packed wire Publish */
    uint8_t message_id[16];
};
struct fetch_item { /* a peer whose device list or bundles are needed */
    struct fetch_item *next;
    uint64_t peer;
    bool later; /* an answer came a moment ago and did not help */
};
struct ephemeral_item { /* typing that arrived, for the loop */
    struct ephemeral_item *next;
    uint64_t peer;
    bool is_typing;
};
struct endpoint_outputs {
    struct publish_item *publishes, **publishes_end;
    struct fetch_item *fetches;
    struct ephemeral_item *ephemerals;
    bool is_work;    /* the counters are written once, at the end of the work job */
    bool is_counted; /* they moved in this transaction */
};

/* ---- work for one transaction ---- */

struct deliver_item {
    struct deliver_item *next;
    Parley__Wire__Deliver *deliver; /* in the work's arena */
};
struct result_item { /* the relay's answer to a publish */
    struct result_item *next;
    uint64_t ord;
    Parley__Wire__Reason reason;
};
struct bundles_item { /* the relay's answer to a fetch */
    struct bundles_item *next;
    uint64_t peer;
    Parley__Wire__Reason reason;    /* other than UNSPECIFIED: no such account */
    Parley__Wire__Bundles *bundles; /* in the work's arena; NULL with a reason */
};
struct work {
    struct store_job job;
    struct endpoint *ep;
    struct arena *arena;
    struct deliver_item *delivers, **delivers_end; /* those of this transaction come first */
    uint32_t n_run;                                /* how many those are */
    struct result_item *results, **results_end;
    struct bundles_item *bundles, **bundles_end;
    struct fetch_item *kicks; /* peers whose waiting messages may be sealable now */
    bool is_due_check;        /* sweep and expire */
    bool has_swept_prekeys;   /* set by run: private halves that the relay may know still went */
    void (*due_fn)(void *ctx);
    void *due_ctx;
    struct endpoint_outputs *out;
    uint64_t ack[WIRE_BUSINESS_LANES]; /* highest seq safe per lane; set by run */
    uint32_t n_delivers;
    uint64_t duplicates, undecryptable; /* counted by run */
};

/* ---- the endpoint ---- */

struct fetch { /* loop half: one peer being looked up */
    uint64_t peer;
    struct endpoint *ep;
    bool is_in_flight, is_applying; /* asked; answered, and in a job that is not committed yet */
    int64_t retry_at_ms;            /* monotonic; 0: now */
    UT_hash_handle hh;
};

struct self_secret { /* sealed in end_self */
    struct noise_keypair noise;
    struct session_identity identity;
};

struct endpoint {
    const struct endpoint_host *host;
    const struct endpoint_policy *policy;
    const struct endpoint_ops *ops;
    void *ctx;
    bool (*certificate)(void *ctx, struct buf *out);
    uint64_t account;
    uint64_t lease_epoch;

    /* tx half */
    bool may_seal;              /* atomic; see endpoint_may_seal */
    struct self_secret *secret; /* sodium_malloc; NULL before registration; see registration.c */
    /* Last numbers used. They only grow: a repeated batch leaves gaps, never reuses one. */
    uint64_t tx_counter, tx_ord; /* the counter is read on the loop, too: tx_counter_next */
    uint8_t hash_key[32];
    uint32_t next_prekey, next_signed;

    /* loop half */
    enum self_state state;
    uint32_t device;
    uint64_t generation;
    struct link *link;
    bool is_up, is_closing, is_offline;
    bool must_retry; /* a job failed: come back with the next tick */
    bool is_refused; /* the relay does not know this registration (any more) */
    bool is_enrolling;
    int64_t enrol_until_ms; /* monotonic */
    uint8_t server_key[32];
    int64_t server_key_until_s; /* 0: none */
    struct buf certificate_buf;
    Parley__Wire__LaneClaim claim, *claims[1];
    Parley__Wire__Address address;
    struct work *gathering, *running;
    /* a delivery that made its job fail: see work.c */
    struct {
        bool is_on; /* deliveries go one by one until it is found */
        uint8_t id[16];
        uint32_t tries;  /* at POISON_TRIES the next job sets it aside */
        uint32_t passed; /* deliveries taken since the last failure */
    } poison;
    struct publish_item *queue, **queue_end;
    uint32_t queue_len, in_flight;
    uint64_t queued_to; /* counter of the last publish queued or sent on this connection */
    bool is_reloading;  /* publishes come from the store, page by page */
    bool is_page_pending, has_newer;
    struct fetch *fetches;
    uint32_t fetches_in_flight;
    bool has_more_peers; /* waiting ones that found no room in `fetches` */
    bool is_scanning;
    struct loop_timer tick; /* coarse: retries, rotation, sweeps */
    int64_t due_at_ms;      /* monotonic */
    bool is_refilling;
    int64_t renew_at_ms;         /* monotonic: not before, after a failure */
    bool must_replace;           /* the relay hands out one-time keys that we have no longer */
    uint64_t login_counter;      /* what the last login said of our store */
    struct enrolment *enrolment; /* waits for the channel */
    struct pending_ask *asks;    /* registration requests that wait for the channel */
    struct self_secret
        *retired; /* the identity before a re-registration, kept while jobs may read it */
    int64_t signed_created_ms;
    struct noise_keypair noise; /* transport key of this link */
    uint8_t ticket[64];
    size_t ticket_len;
    void (*on_closed)(void *ctx);
    void *closed_ctx;
    uint32_t jobs; /* jobs and requests that still point here */
    struct endpoint_stats stats;
};

static inline uint64_t
tx_counter_next(struct endpoint *ep)
{
    return __atomic_add_fetch(&ep->tx_counter, 1, __ATOMIC_RELAXED);
}

/* The identity as a job may use it: a registration on the loop puts another in its place. */
static inline const struct self_secret *
tx_secret(const struct endpoint *ep)
{
    return __atomic_load_n(&ep->secret, __ATOMIC_ACQUIRE);
}

/* rows.c - sealed columns */
struct row_key {
    uint8_t bytes[8 + 16 + 8];
    size_t len;
};
struct row_key row_key_num(uint64_t account, uint64_t id);
struct row_key row_key_peer(uint64_t account, const uint8_t peer[16], uint64_t device);
NODISCARD enum rc row_seal(struct endpoint *ep, struct buf *out, enum seal_period period,
                           const char *table, const char *column, const struct row_key *key,
                           uint64_t version, struct bytes plain, struct err *err);
NODISCARD enum rc row_open(struct endpoint *ep, struct buf *out, const char *table,
                           const char *column, const struct row_key *key, uint64_t version,
                           struct bytes record, struct err *err);

/* outputs.c */
NODISCARD enum rc outputs_write_counters(struct endpoint *ep, struct store_tx *tx,
                                         struct endpoint_outputs *out, struct err *err);
NODISCARD enum rc outputs_add_ephemeral(struct endpoint_outputs *out, uint64_t peer,
                                        bool is_typing);
NODISCARD enum rc outputs_add_fetch(struct endpoint_outputs *out, uint64_t peer, bool later);
NODISCARD enum rc outputs_add_publish(struct endpoint_outputs *out, uint64_t ord, uint64_t counter,
                                      const uint8_t message_id[16], struct buf *publish);
void publish_item_free(struct publish_item **item);

/* peers.c */
struct peer_device {
    uint32_t device, registration_id, hosting, unanswered;
    uint8_t identity[33];
    uint64_t version;
    struct buf record; /* opened; empty: no session */
};
struct peer_devices {
    struct peer_device item[DEVICES_MAX];
    size_t n;
    bool all_ready; /* there are devices, and each has a session that may send */
};
/* A sending chain is at its ceiling of unanswered messages: more must wait for an answer. */
bool peer_is_chain_full(const struct endpoint *ep, const struct peer_devices *devices);
/* One device's count of unanswered messages was what more had to wait for. */
bool peer_was_chain_full(const struct endpoint *ep, uint32_t unanswered);
/* A login has shown that our store is not behind the relay's record (I28). Any thread. */
bool endpoint_may_seal(const struct endpoint *ep);
NODISCARD enum rc peer_load(struct endpoint *ep, struct store_tx *tx, const uint8_t key[16],
                            struct peer_devices *out, struct err *err);
void peer_wipe(struct peer_devices *devices);
NODISCARD enum rc peer_apply_bundles(struct endpoint *ep, struct store_tx *tx,
                                     const struct bundles_item *item, struct err *err);
/* Who runs this device, as far as it can be believed. */
enum endpoint_hosting bundle_hosting(const struct endpoint *ep, uint64_t peer,
                                     const Parley__Wire__Bundles *bundles,
                                     const Parley__Wire__Bundle *bundle);

/* sealing.c (T2) */
NODISCARD enum rc seal_for_devices(struct endpoint *ep, struct store_tx *tx,
                                   struct peer_devices *devices, const uint8_t peer_key[16],
                                   Parley__Content__Payload *payload, struct bytes old_publish,
                                   uint64_t counter, struct buf *publish, struct err *err);
NODISCARD enum rc seal_waiting(struct endpoint *ep, struct store_tx *tx, uint64_t peer,
                               struct endpoint_outputs *out, struct err *err);

/* trace.c - what a test reads at log level "trace"; begin before, encrypted after session_encrypt
 */
struct trace_keys {
    bool is_on;
    uint8_t key_hash[32], plain_hash[32];
};
void trace_begin(struct endpoint *ep, struct trace_keys *trace);
void trace_encrypted(struct endpoint *ep, const struct trace_keys *trace, struct bytes cipher);
void trace_published(struct endpoint *ep, const Parley__Wire__Publish *publish);

/* receiving.c (U1), results.c (T3) */
NODISCARD enum rc receive_one(struct work *work, struct store_tx *tx,
                              const Parley__Wire__Deliver *deliver, struct err *err);
NODISCARD enum rc result_apply(struct work *work, struct store_tx *tx,
                               const struct result_item *item, struct err *err);
NODISCARD enum rc peer_fail_waiting(struct work *work, struct store_tx *tx, uint64_t peer,
                                    Parley__Wire__Reason reason, struct err *err);
NODISCARD enum rc notice_apply(struct work *work, struct store_tx *tx,
                               const Parley__Wire__Deliver *deliver, struct err *err);
NODISCARD enum rc retry_apply(struct work *work, struct store_tx *tx,
                              const Parley__Content__Payload *payload, uint64_t peer,
                              struct err *err);
NODISCARD enum rc expire_due(struct work *work, struct store_tx *tx, struct err *err);

/* work.c */
struct work *work_gathering(struct endpoint *ep); /* NULL: out of memory */
void work_kick(struct endpoint *ep);              /* submit what was gathered, if nothing runs */
/* Forget what was gathered: the relay hands it out again, and answers again. */
void work_drop_gathered(struct endpoint *ep);
/* The next job tries to seal what waits for this peer. */
void work_add_kick(struct endpoint *ep, uint64_t peer);

/* flow.c - publishes and fetches on the loop */
void flow_take(struct endpoint *ep, struct endpoint_outputs *out);
void flow_up(struct endpoint *ep);
void flow_down(struct endpoint *ep);
void flow_push(struct endpoint *ep);
void flow_fetch(struct endpoint *ep, uint64_t peer, bool later);
/* What became of an answer that was being applied. */
void flow_fetch_applied(struct endpoint *ep, uint64_t peer, bool is_done);
void flow_fetch_due(struct endpoint *ep);
/* On the tick: peers that found no room, if there is room now. */
void flow_look_again(struct endpoint *ep);

/* keys.c - prekeys */
NODISCARD enum rc keys_signed_by_id(void *ctx, uint32_t id, struct session_signed_prekey *out);
NODISCARD enum rc keys_one_time_by_id(void *ctx, uint32_t id, struct session_prekey *out);
struct keys_source { /* ctx of the two above */
    struct endpoint *ep;
    struct store_tx *tx;
};
/* Make, commit, upload, mark; nothing while one is under way or the link is down. On the loop. */
void keys_refill(struct endpoint *ep, uint32_t one_time_left);
void keys_rotate_if_old(struct endpoint *ep);
/* Our own signed prekey is so old that nothing is sent until it is renewed. */
bool keys_are_too_old(const struct endpoint *ep);

/* endpoint.c: (re)open the link under ep->noise */
NODISCARD enum rc link_start(struct endpoint *ep, struct err *err);

/* connection.c */
extern const struct link_ops connection_callbacks;
void connection_tick(struct loop_timer *timer);

/* enrolment.c: one that waits for the channel goes on, or has waited too long */
void enrolment_flush(struct endpoint *ep);
void enrolment_abandon(struct endpoint *ep, bool all);
/* Prekeys and peers of the account, gone. Inside a transaction. */
NODISCARD enum rc account_clear(struct endpoint *ep, struct store_tx *tx, struct err *err);
bool registration_is_channel_open(const struct endpoint *ep);

/* registration.c: the channel is open, or `now` is past their time */
void registration_flush(struct endpoint *ep);
void registration_abandon(struct endpoint *ep, bool all);
/* The enrolment took too long: the old registration again. */
void registration_lapse(struct endpoint *ep);

#endif
