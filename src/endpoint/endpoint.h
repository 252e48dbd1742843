/* endpoint.h - one end of the encrypted conversations: what a gateway's number and a person's phone
 * have in common. Identity and prekeys, peers and sessions, the outgoing queue, what has been seen.
 *
 * The transactions of the delivery contract (docs/delivery.md) live here:
 *   T1  endpoint_enqueue, inside the owner's transaction: the message is durable
 *   T2  encryption: session state, ciphertext and counter in one commit, before anything leaves
 *   T3  the relay's answer: the owner's status change and the end of the ciphertext in one commit
 *   U1  a delivery: seen row, session, used prekey and whatever the owner stores, in one commit;
 *       acknowledged after it
 * T1 and T2 are one commit when a session is at hand. A retry sends the stored bytes (I25). Nothing
 * is encrypted outside a transaction, and what a rolled-back transaction encrypted is thrown away
 * (I24).
 *
 * The owner (gateway/, phone/) adds its own rows through endpoint_ops, whose in-transaction calls
 * run on the store's writer thread and may run again if the batch is repeated: they write only
 * through tx and set every output anew. Thread rule: functions that take a store_tx run inside a
 * job; all else belongs to the loop. */
#ifndef PARLEY_ENDPOINT_ENDPOINT_H
#define PARLEY_ENDPOINT_ENDPOINT_H

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/rng.h"
#include "content/content.h"
#include "crypto/seal.h"
#include "link/client.h"
#include "link/hub.h"
#include "session/session.h"
#include "store/store.h"

extern const struct store_part endpoint_part;

#define ENDPOINT_IN_FLIGHT_MAX 512u   /* publishes sent and not answered */
#define ENDPOINT_UNANSWERED_MAX 1000u /* on one sending chain; more wait */
#define ENDPOINT_RECEIPT_IDS 500u     /* messages that one receipt of ours speaks of */
#define ENDPOINT_PEER_KEY_SIZE 16u    /* HMAC of a peer's number under the account's key */

/* Who runs a device: the weaker of its own statement and of its number's certificate. */
enum endpoint_hosting {
    ENDPOINT_PERSON = 0,
    ENDPOINT_HOSTED = 1,      /* by a provider */
    ENDPOINT_SELF_HOSTED = 2, /* by the business itself */
    ENDPOINT_HOSTING_UNKNOWN = 255
};

/* What the endpoints of one program share. All borrowed for the endpoints' life. */
struct endpoint_host {
    struct loop *loop;
    struct channel_hub *hub; /* the loop's, link/hub.h */
    struct store *store;
    struct keyring *ring;
    struct clock *clock;
    struct rng rng;
    struct log *log;
    struct session_engine *engine; /* used on the store's writer thread only */
    const char *relay_host;
    uint16_t relay_port;
    uint8_t relay_root[32];
    bool has_authority;      /* people: number certificates are looked at */
    uint8_t authority[32];   /* Ed25519 of the platform's authority */
    const char *client_name; /* "parley-cloud/0.1" */
};

/* How an owner treats prekeys and identity: a business gateway or a person. */
struct endpoint_policy {
    uint32_t prekeys_first;   /* one-time keys in the first upload */
    uint32_t prekeys_low;     /* refill when the relay has fewer */
    uint32_t prekeys_batch;   /* refill by */
    int64_t signed_rotate_ms; /* new signed prekey when older */
    int64_t signed_refuse_ms; /* own key older than this stops sending until renewed */
    int64_t keep_private_ms;  /* retired private keys are kept for this long */
    uint32_t hosting;         /* wire DeviceDetails.hosting */
    uint32_t unanswered_max;  /* messages on one sending chain; 0: ENDPOINT_UNANSWERED_MAX */
};
extern const struct endpoint_policy endpoint_policy_gateway;
extern const struct endpoint_policy endpoint_policy_person;

struct endpoint;
struct endpoint_outputs; /* what a transaction leaves to be done on the loop after its commit */

/* A decrypted delivery. Everything is borrowed for the call. */
struct endpoint_incoming {
    const Parley__Content__Payload *payload;
    uint8_t
        message_id[16]; /* the id by which it is shown once (first_message_id if it is a resend) */
    uint64_t peer;      /* sender's number */
    uint32_t peer_device;
    uint8_t peer_key[ENDPOINT_PEER_KEY_SIZE];
    int64_t accepted_at_ms; /* the relay's clock */
    int64_t now_ms;         /* platform time of this transaction */
    bool is_new_session;
};

/* The fate of an outgoing message. */
struct endpoint_outcome {
    uint8_t message_id[16];
    uint64_t peer; /* 0 when only the key is known */
    uint8_t peer_key[ENDPOINT_PEER_KEY_SIZE];
    uint32_t class; /* wire Class */
    int64_t now_ms;
    Parley__Wire__Reason reason; /* REASON_UNSPECIFIED for sent */
};

struct endpoint_ops {
    /* In the transaction, first: RC_FENCED stops the job (I29). May be NULL. */
    enum rc (*guard)(void *ctx, struct store_tx *tx, struct err *err);
    /* U1: a decrypted message (class MESSAGE or RECEIPT). Store it, enqueue receipts. */
    enum rc (*on_message)(void *ctx, struct store_tx *tx, const struct endpoint_incoming *in,
                          struct endpoint_outputs *out, struct err *err);
    /* In the same transaction, behind its last delivery: what on_message has put off, such as one
     * receipt for many messages. May be NULL. */
    enum rc (*on_batch_end)(void *ctx, struct store_tx *tx, struct endpoint_outputs *out,
                            struct err *err);
    /* T3: the relay has every device's envelope durably (class MESSAGE only). */
    enum rc (*on_sent)(void *ctx, struct store_tx *tx, const struct endpoint_outcome *outcome,
                       struct err *err);
    /* The message ended without delivery: no account, overflow, refused, expired. */
    enum rc (*on_failed)(void *ctx, struct store_tx *tx, const struct endpoint_outcome *outcome,
                         struct err *err);
    /* A known device came back with another identity key (I37). old_key and new_key: 33 bytes. */
    enum rc (*on_identity_changed)(void *ctx, struct store_tx *tx, uint64_t peer,
                                   const uint8_t *old_key, const uint8_t *new_key, int64_t now_ms,
                                   struct err *err);
    /* On the loop, after commits that changed something of the owner's (webhooks to pump). */
    void (*after_commit)(void *ctx);
    /* On the loop: the peer types, or stopped. Nothing of it was stored. May be NULL. */
    void (*on_typing)(void *ctx, uint64_t peer, bool is_typing);
    /* On the loop: connection up, down, or ended for good (close reason set). */
    void (*on_state)(void *ctx, bool is_up, Parley__Wire__CloseReason refused);
};

struct endpoint_opt {
    const struct endpoint_host *host;
    const struct endpoint_policy *policy;
    const struct endpoint_ops *ops;
    void *ctx;
    uint64_t account;
    uint64_t lease_epoch; /* of the owner's lease; 0 without one */
    /* Businesses: the number certificate for login. Appends to *out; false: none yet. May be NULL.
     */
    bool (*certificate)(void *ctx, struct buf *out);
};

/* Load (or begin) an account. Blocking reads: at start, or for a new account. Connects at once when
 * the account is registered. */
NODISCARD enum rc endpoint_open(struct endpoint **out, const struct endpoint_opt *opt,
                                struct err *err);
/* Close the link, wait for nothing: jobs in flight finish first (the caller runs the loop until
 * on_closed). */
void endpoint_close(struct endpoint **ep, void (*on_closed)(void *ctx), void *ctx);
/* Keep it alive, closed or not, while a job of the owner's may touch it. On the loop. */
void endpoint_hold(struct endpoint *ep);
void endpoint_release(struct endpoint *ep);
void endpoint_set_lease(struct endpoint *ep, uint64_t lease_epoch);
bool endpoint_is_registered(const struct endpoint *ep);
bool endpoint_is_up(const struct endpoint *ep);
/* The relay does not know this registration (any more): the number has to be registered anew. */
bool endpoint_is_refused(const struct endpoint *ep);
uint64_t endpoint_account(const struct endpoint *ep);
struct link *endpoint_link(struct endpoint *ep);
/* Our public identity (33 bytes), borrowed; NULL before registration. */
const uint8_t *endpoint_identity(const struct endpoint *ep);
/* Accounts that this store knows: fn per account, at start. Blocking. */
NODISCARD enum rc endpoint_each_account(const struct endpoint_host *host,
                                        void (*fn)(void *ctx, uint64_t account), void *ctx,
                                        struct err *err);
/* Stay away / come back (phone offline|online). */
void endpoint_offline(struct endpoint *ep);
void endpoint_online(struct endpoint *ep);

/* ---- registration: each calls fn once, later; text is for people ---- */

/* Speak to the relay as a newcomer, under a fresh transport key, so that an account that is
 * registered (here, or no longer) can register anew. What is not finished within ENDPOINT_ENROL_MS
 * is given up and the old registration is used again. */
#define ENDPOINT_ENROL_MS 600000
NODISCARD enum rc endpoint_enrol(struct endpoint *ep, struct err *err);
typedef void endpoint_reply_fn(void *ctx, enum rc rc, Parley__Wire__Reason reason,
                               const char *text);
void endpoint_request_code(struct endpoint *ep, const char *method, const char *language,
                           endpoint_reply_fn *fn, void *ctx);
void endpoint_verify_code(struct endpoint *ep, const char *code, endpoint_reply_fn *fn, void *ctx);
/* A fresh identity and prekeys are made, committed, then sent (settling every open session). */
void endpoint_register(struct endpoint *ep, const char *pin, endpoint_reply_fn *fn, void *ctx);
/* The relay forgets the device; then its keys and sessions are deleted here. */
void endpoint_unregister(struct endpoint *ep, endpoint_reply_fn *fn, void *ctx);

/* ---- sending ---- */

/* A message to one peer account. payload: body, public_id, context and so on filled by the caller;
 * the repeated facts (fields 1-11) are filled here. */
struct endpoint_message {
    uint64_t to;
    uint8_t message_id[16];
    uint32_t class;    /* wire Class */
    uint32_t category; /* wire Category */
    bool is_template;
    int64_t expires_at_ms;
    Parley__Content__Payload *payload; /* borrowed; repeated facts are written into it */
};

/* Collects what must happen after the commit. Init once, reset at the top of every run(). */
struct endpoint_outputs *endpoint_outputs_new(struct endpoint *ep); /* NULL: out of memory */
void endpoint_outputs_reset(struct endpoint_outputs *out);
void endpoint_outputs_free(struct endpoint_outputs **out);

/* T1 (and T2 where a session is at hand). Inside the owner's transaction.
 * Errors: RC_LIMIT (payload), RC_FULL, RC_IO, RC_PROTO (not registered). */
NODISCARD enum rc endpoint_enqueue(struct endpoint *ep, struct store_tx *tx,
                                   const struct endpoint_message *message,
                                   struct endpoint_outputs *out, struct err *err);
/* A receipt of one kind for at most ENDPOINT_RECEIPT_IDS messages of one peer, like
 * endpoint_enqueue. Only for messages that were decrypted and can be shown (I18). */
NODISCARD enum rc endpoint_enqueue_receipt(struct endpoint *ep, struct store_tx *tx, uint64_t to,
                                           Parley__Content__ReceiptKind kind,
                                           const uint8_t (*ids)[16], size_t n,
                                           struct endpoint_outputs *out, struct err *err);
/* On the loop, after the owner's job was committed: takes what was collected and sends it. */
void endpoint_committed(struct endpoint *ep, struct endpoint_outputs *out);

/* Delivered or failed: the stored payload is not needed for a resend any more. Inside a
 * transaction. */
NODISCARD enum rc endpoint_forget(struct endpoint *ep, struct store_tx *tx,
                                  const uint8_t message_id[16], struct err *err);

/* Key of a peer within this account: HMAC under the account's hash key. Any thread. */
void endpoint_peer_key(const struct endpoint *ep, uint64_t peer,
                       uint8_t out[ENDPOINT_PEER_KEY_SIZE]);

/* Typing: sealed, published as EPHEMERAL, kept nowhere; silently dropped when not connected or when
 * no session exists. On the loop. */
void endpoint_send_typing(struct endpoint *ep, uint64_t to, bool is_typing);

/* The peer's identity key (33 bytes) as known here, or else as the relay tells it, for `verify`. fn
 * once, later; key NULL if unknown. */
void endpoint_peer_identity(struct endpoint *ep, uint64_t peer,
                            void (*fn)(void *ctx, const uint8_t *key,
                                       enum endpoint_hosting hosting),
                            void *ctx);
/* Tell the relay of a block (quality signal only). */
void endpoint_block_signal(struct endpoint *ep, uint64_t peer, bool is_blocked);

/* Run what is due by platform time (prekey rotation, old rows); fn once it is done. Called by a
 * coarse timer inside and by the test clock. */
void endpoint_run_due(struct endpoint *ep, void (*fn)(void *ctx), void *ctx);

struct endpoint_stats {
    uint64_t published, delivered_in, duplicates_in, undecryptable_in, waiting, in_flight;
};
void endpoint_stats(const struct endpoint *ep, struct endpoint_stats *out);

#endif
