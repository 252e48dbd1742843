/* gateway.h - a business's end: the core that every front door (Cloud, On-Premises) shares.
 *
 * Owns the state of messages (accepted, sent, delivered, read, failed), what is known of incoming
 * ones, idempotency and the lease of each number; sending, sessions and the outgoing queue are
 * endpoint/'s. Knows no HTTP and no dialect: the front door renders webhooks inside the transaction
 * through gateway_ops, so an event and the row that will tell it are one commit. Source:
 * docs/delivery.md. Thread rule: calls belong to the loop; the in-transaction ops run on the
 * store's writer thread and may run again. */
#ifndef PARLEY_GATEWAY_GATEWAY_H
#define PARLEY_GATEWAY_GATEWAY_H

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/rng.h"
#include "content/content.h"
#include "crypto/seal.h"
#include "store/store.h"

/* The parts a store needs for a gateway, to be opened with the front door's own. */
extern const struct store_part *const gateway_parts[];
extern const size_t gateway_parts_n;

#define GATEWAY_OPAQUE_MAX 2048u /* bytes of biz_opaque_callback_data kept (512 characters) */
#define GATEWAY_IDEMPOTENCY_KEY_MAX 256u
#define GATEWAY_IDEMPOTENCY_MS (31ll * 24 * 3600 * 1000)
#define GATEWAY_LEASE_MS 15000

/* Why a message ended without delivery. */
enum gateway_reason {
    GATEWAY_NO_REASON,
    GATEWAY_NO_ACCOUNT, /* the recipient is not on the network */
    GATEWAY_OVERFLOW,   /* the recipient's queue is full */
    GATEWAY_EXPIRED,    /* its time was over */
    GATEWAY_REJECTED,   /* the relay refused it for good */
};

enum gateway_status_kind { GATEWAY_SENT, GATEWAY_DELIVERED, GATEWAY_READ, GATEWAY_FAILED };
const char *gateway_status_name(enum gateway_status_kind kind); /* "sent" … */

/* An incoming message, once. Borrowed for the call. */
struct gateway_inbound {
    uint64_t account, peer;
    uint8_t message_id[16];
    const Parley__Content__Payload *payload;
    int64_t accepted_at_ms; /* by the relay */
    int64_t now_ms;
};
/* A change of an outgoing message's state, each kind at most once per message, never backwards. */
struct gateway_status {
    uint64_t account, peer;
    uint8_t message_id[16];
    enum gateway_status_kind kind;
    enum gateway_reason reason; /* of a failure */
    struct bytes opaque;        /* biz_opaque_callback_data; empty if none */
    int64_t at_ms;
};

struct gateway_ops {
    /* In the transaction: render and enqueue webhooks. */
    enum rc (*on_inbound)(void *ctx, struct store_tx *tx, const struct gateway_inbound *in,
                          struct err *err);
    enum rc (*on_status)(void *ctx, struct store_tx *tx, const struct gateway_status *status,
                         struct err *err);
    /* On the loop. */
    void (*after_commit)(void *ctx);
    void (*on_number_state)(void *ctx, uint64_t account, bool is_up);
    /* The lease of a number is ours from now on: what an earlier holder left is too. May be NULL.
     */
    void (*on_lease)(void *ctx, uint64_t account);
    /* A number's certificate for the relay; appends, false: none. */
    bool (*certificate)(void *ctx, uint64_t account, struct buf *out);
};

struct gateway;
struct gateway_opt {
    /* all borrowed for the gateway's life */
    struct loop *loop;
    struct store *store;
    struct keyring *ring;
    struct clock *clock;
    struct rng rng;
    struct log *log;
    const char *relay_host;
    uint16_t relay_port;
    uint8_t relay_root[32];  /* Ed25519: the relay's pinned root */
    const char *client_name; /* "parley-cloud/0.1", told to the relay */
    const struct gateway_ops *ops;
    void *ctx;
    const char *node; /* this instance's name; the caller holds a lock that makes it the only one */
    int64_t lease_ms; /* 0: GATEWAY_LEASE_MS */
};

NODISCARD enum rc gateway_open(struct gateway **out, const struct gateway_opt *opt,
                               struct err *err);
/* Lets jobs in flight finish; on_closed once everything is gone. */
void gateway_close(struct gateway **gw, void (*on_closed)(void *ctx), void *ctx);

/* Start serving a number: take its lease, load it, connect. Idempotent. A lease held elsewhere is
 * retried in the background. */
NODISCARD enum rc gateway_number_add(struct gateway *gw, uint64_t account, struct err *err);
/* Stop serving it and release the lease. */
void gateway_number_remove(struct gateway *gw, uint64_t account);

struct gateway_number_info {
    bool is_ours; /* we hold the lease */
    bool is_registered;
    bool is_up; /* logged in to the relay */
};
bool gateway_number_info(struct gateway *gw, uint64_t account, struct gateway_number_info *out);
void gateway_each_number(struct gateway *gw, void (*fn)(void *ctx, uint64_t account), void *ctx);

/* ---- registration: fn once, later; text is for people ---- */
enum gateway_refusal {
    GATEWAY_REFUSED_NOT,
    GATEWAY_REFUSED_UNREACHABLE, /* relay, store, or not our number */
    GATEWAY_REFUSED_RATE,
    GATEWAY_REFUSED_CODE,   /* wrong or expired */
    GATEWAY_REFUSED_TICKET, /* verify first */
    GATEWAY_REFUSED_PIN,
    GATEWAY_REFUSED_CERTIFICATE,
    GATEWAY_REFUSED_OTHER,
};
typedef void gateway_register_fn(void *ctx, enum gateway_refusal refusal, const char *text);
void gateway_request_code(struct gateway *gw, uint64_t account, const char *method,
                          const char *language, gateway_register_fn *fn, void *ctx);
void gateway_verify_code(struct gateway *gw, uint64_t account, const char *code,
                         gateway_register_fn *fn, void *ctx);
/* A number that is registered and connected succeeds without change. pin may be NULL. */
void gateway_register(struct gateway *gw, uint64_t account, const char *pin,
                      gateway_register_fn *fn, void *ctx);
void gateway_deregister(struct gateway *gw, uint64_t account, gateway_register_fn *fn, void *ctx);

/* ---- sending ---- */

struct gateway_send {
    uint64_t account, to;
    uint8_t message_id[16]; /* gateway_message_id() */
    uint32_t category;      /* wire Category */
    bool is_template;
    int64_t ttl_ms;                    /* 0: 30 days */
    Parley__Content__Payload *payload; /* borrowed until fn; its repeated facts are written */
    struct bytes opaque;               /* borrowed until fn */
    struct bytes idempotency_key;      /* empty: none */
    struct bytes request_body;         /* exact bytes, hashed when there is a key */
};
/* What was accepted. With a known idempotency key message_id is the first call's. */
struct gateway_accepted {
    uint8_t message_id[16];
    bool is_repeat;
};
/* T1. fn once, later, after the covering commit: RC_OK; RC_EXISTS (the key was used with another
 * body); RC_PROTO (number not registered); RC_BUSY (not served here, or not yet); RC_FULL,
 * RC_FENCED, RC_LIMIT. */
typedef void gateway_send_fn(void *ctx, enum rc rc, const struct gateway_accepted *accepted);
void gateway_send(struct gateway *gw, const struct gateway_send *send, gateway_send_fn *fn,
                  void *ctx);
void gateway_message_id(struct gateway *gw, uint8_t out[16]);

/* Mark an incoming message and the earlier ones of its conversation read: a read receipt goes out.
 * with_typing: also "typing". fn once: RC_OK, RC_NOTFOUND (not an incoming message of this number).
 */
void gateway_mark_read(struct gateway *gw, uint64_t account, const uint8_t message_id[16],
                       bool with_typing, void (*fn)(void *ctx, enum rc rc), void *ctx);

/* State of an outgoing message, for the front door's history. RC_NOTFOUND. */
struct gateway_message_state {
    int state; /* enum message_state of states.h */
    int64_t accepted_ms, sent_ms, delivered_ms, read_ms, failed_ms;
};
void gateway_message_look(struct gateway *gw, uint64_t account, const uint8_t message_id[16],
                          void (*fn)(void *ctx, enum rc rc,
                                     const struct gateway_message_state *state),
                          void *ctx);

/* Run what is due by platform time on every number; fn once all is done (test clock). */
void gateway_run_due(struct gateway *gw, void (*fn)(void *ctx), void *ctx);

#endif
