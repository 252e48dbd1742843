/* hooks.h - webhooks: a durable queue per account, and the pump that calls businesses.
 *
 * Owns the rows of events not yet taken by their receivers, the retry schedule, the signature, and
 * the address filter. A row is written inside the transaction that makes its event (I19, I20) with
 * the exact body bytes, sealed; every attempt sends those bytes and the same event id (I21). Each
 * target URL has its own small share of sockets, so a dead or slow one delays nobody else (I22).
 * Redirects are failures, TLS errors are failures, plain HTTP only where the platform allows it
 * (I23).
 *
 * The pump finds out by itself what was committed: hooks_enqueue leaves a note of the account and
 * submits a job behind the one it runs in, and when that job is done the rows are read. Nothing is
 * sent of a transaction that was undone.
 * Source: docs/protocol/webhook.md. Thread rule: hooks_enqueue runs inside a store transaction; all
 * else belongs to the loop. Open the pump before and free it after whatever enqueues; free it
 * before the store. */
#ifndef PARLEY_HOOKS_HOOKS_H
#define PARLEY_HOOKS_HOOKS_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/rng.h"
#include "crypto/seal.h"
#include "http/client.h"
#include "http/url.h"
#include "store/store.h"

#define HOOKS_URL_MAX URL_MAX
#define HOOKS_BODY_MAX (3u * 1024 * 1024)    /* more is RC_LIMIT */
#define HOOKS_MEMORY_MAX (64u * 1024 * 1024) /* events held in memory; more stay in the store */
#define HOOKS_TARGET_ITEMS_MAX 512u          /* of one target in memory */
#define HOOKS_FAILING_ITEMS_MAX 16u          /* of a target that fails */
#define HOOKS_RETENTION_MS (30ll * 24 * 3600 * 1000) /* then a row goes, delivered or not */

extern const struct store_part hooks_part;

/* How a dialect's receivers are treated: one row of one table. */
enum hooks_profile { HOOKS_CLOUD, HOOKS_ONPREM, HOOKS_D360, HOOKS_PROFILES };

/* One event for one receiver. */
struct hooks_event {
    uint64_t account; /* number the event belongs to: shard column and key scope */
    uint64_t app;     /* whose secret signs; 0: none */
    enum hooks_profile profile;
    const char *url;   /* as configured, path kept as given */
    struct bytes body; /* exact bytes */
    int64_t now_ms;    /* platform time */
};

struct hooks_pump;
struct hooks_pump_opt {
    struct loop *loop;
    struct store *store;
    struct keyring *ring;
    struct clock *clock;
    struct rng rng;
    struct log *log;
    const char *ca_file;      /* extra trust (the platform's own CA); NULL: the system's */
    bool allow_private_hosts; /* lifts the address filter, allows http:// */
    /* Leave an account's earlier rows alone until hooks_pump_look: several programs share the
     * store, and only one at a time speaks for an account. */
    bool waits_for_accounts;
    uint32_t per_target;                           /* concurrent calls per URL; 0: 8 */
    uint32_t in_flight_max;                        /* over all; 0: 128 */
    uint32_t connect_timeout_ms, total_timeout_ms; /* of one attempt; 0: 5000 and 10000 */
    /* The secret that signs for an app; false: unknown (the row is parked). secret is copied into
     * out (at most 128 bytes). Called on the loop. */
    bool (*secret_of)(void *ctx, uint64_t app, char out[129]);
    void *ctx;
};

/* Open and start: rows left from before are due according to their schedule. */
NODISCARD enum rc hooks_pump_open(struct hooks_pump **out, const struct hooks_pump_opt *opt,
                                  struct err *err);
/* Calls in flight are dropped (their events go out again after the next start); outcomes that are
 * known are handed to the store. */
void hooks_pump_free(struct hooks_pump **pump);

/* Insert within the caller's transaction; event_id (16 random bytes) is given back. On the store's
 * writer thread. Errors: RC_LIMIT (body or URL too long), the store's and the ring's. */
NODISCARD enum rc hooks_enqueue(struct hooks_pump *pump, struct store_tx *tx,
                                const struct hooks_event *event, uint8_t event_id[16],
                                struct err *err);

/* This program speaks for the account (from now on, or again): read what waits for it. */
void hooks_pump_look(struct hooks_pump *pump, uint64_t account);
/* Call fn once everything that is due now has been tried and the outcomes are stored (test clock:
 * drain what is due). Several may wait. */
void hooks_pump_drain(struct hooks_pump *pump, void (*fn)(void *ctx), void *ctx);
/* Make parked rows of an account (0: all) due again; *count through fn. */
void hooks_pump_replay(struct hooks_pump *pump, uint64_t account,
                       void (*fn)(void *ctx, uint64_t count), void *ctx);

/* The subscription handshake: GET url?hub.mode=subscribe&hub.challenge=DIGITS&hub.verify_token=T
 * through the same filter; RC_OK when answered 200 with exactly the challenge. Once, later, on the
 * loop; never after hooks_pump_free. text says for people what went wrong. */
void hooks_handshake(struct hooks_pump *pump, const char *url, const char *verify_token,
                     void (*fn)(void *ctx, enum rc rc, const char *text), void *ctx);

struct hooks_stats {
    uint64_t delivered, failed_attempts, parked; /* since the pump was opened */
    uint64_t waiting;                            /* events held in memory now */
    uint32_t in_flight;
    uint32_t targets, targets_failing;
};
void hooks_pump_stats(const struct hooks_pump *pump, struct hooks_stats *out);

#endif
