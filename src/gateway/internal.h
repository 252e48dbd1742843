/* internal.h - the gateway's insides, shared by the files of this folder and nobody else. */
#ifndef PARLEY_GATEWAY_INTERNAL_H
#define PARLEY_GATEWAY_INTERNAL_H

#include <uthash.h>

#include "crypto/prim.h"
#include "endpoint/endpoint.h"
#include "gateway/gateway.h"
#include "gateway/states.h"
#include "gateway/tables.h"
#include "wire/ident.h"

#define HOLDER_MAX 96u

extern const struct store_part gateway_part;

struct gateway {
    struct endpoint_host host; /* what the numbers' endpoints share */
    const struct gateway_ops *ops;
    void *ctx;
    char holder[HOLDER_MAX]; /* node name: unique by the caller's lock */
    char boot[40]; /* this boot of the machine: lease times of another boot mean nothing */
    int64_t lease_ms;
    int64_t due_at_ms; /* monotonic: the next look for what platform time has made due */
    struct number *numbers;
    struct loop_timer tick;
    unsigned ticks;
    bool is_closing, is_renewing;
    uint32_t jobs; /* what still points here */
    void (*on_closed)(void *ctx);
    void *closed_ctx;
};

struct number {
    struct gateway *gw;
    uint64_t account;
    uint64_t epoch; /* of the lease we hold; 0: none; atomic, written on the loop */
    uint64_t leap;  /* epochs to skip: the relay has seen higher ones than the store */
    bool is_taking; /* a take job runs */
    bool is_leaving;
    int64_t renewed_ms;           /* monotonic: when the last renewal was written */
    uint8_t idem_key[32];         /* for keyed hashes of idempotency keys */
    struct endpoint *endpoint;    /* open while the lease is held; loop */
    struct endpoint *tx_endpoint; /* the same, for jobs: each holds it (endpoint_hold) */
    UT_hash_handle hh;
};

struct number *number_find(struct gateway *gw, uint64_t account);
void gateway_hold(struct gateway *gw);
void gateway_release(struct gateway *gw);

/* lease.c */
void lease_take(struct number *number);
void lease_renew_all(struct gateway *gw);
void lease_give_up(struct number *number);
NODISCARD enum rc lease_guard(void *ctx, struct store_tx *tx, struct err *err);
/* A job came back fenced: stop serving the number, try again later. */
void lease_lost(struct number *number);
/* The relay prefers another connection: the same, with a higher epoch next time. */
void lease_refused(struct number *number);
/* Not renewed for two thirds of its life: it may be another's soon. */
bool lease_is_old(const struct number *number);

/* messages.c: rows of outgoing messages */
struct message_row {
    bool exists;
    enum message_state state;
    uint8_t peer_key[ENDPOINT_PEER_KEY_SIZE];
    int64_t accepted_ms, sent_ms, delivered_ms, read_ms, failed_ms;
    uint64_t peer;
    struct buf opaque;
};
NODISCARD enum rc message_insert(struct number *number, struct store_tx *tx,
                                 const struct gateway_send *send, const uint8_t message_id[16],
                                 int64_t now_ms, struct err *err);
NODISCARD enum rc message_load(struct number *number, struct store_tx *tx,
                               const uint8_t message_id[16], struct message_row *row,
                               struct err *err);
/* Apply one event: move the row, tell the front door, let the endpoint forget what is over. */
NODISCARD enum rc message_apply(struct number *number, struct store_tx *tx,
                                const uint8_t message_id[16], const uint8_t *peer_key,
                                enum message_event event, enum gateway_reason reason, int64_t at_ms,
                                struct err *err);
/* The peer's number alone, sealed: column info of both tables. */
NODISCARD enum rc info_seal(struct number *number, struct buf *out, const char *table,
                            const uint8_t message_id[16], uint64_t peer, struct bytes opaque,
                            struct err *err);
NODISCARD enum rc info_open(struct number *number, const char *table, const uint8_t message_id[16],
                            struct bytes sealed, uint64_t *peer, struct buf *opaque,
                            struct err *err);

/* inbound.c: the endpoint's in-transaction calls */
extern const struct endpoint_ops number_endpoint_ops;

#endif
