/* client.h - a device's standing connection to the relay: kept up, logged in, requests matched.
 *
 * Owns reconnecting (jittered exponential back-off, at most 30 s), the choice of IK with a cached
 * server key or XX, the check of the relay's certificate against the pinned root, the login frame,
 * and the table of requests in flight. Knows nothing of sessions or content. Thread rule: one loop.
 */
#ifndef PARLEY_LINK_CLIENT_H
#define PARLEY_LINK_CLIENT_H

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/rng.h"
#include "crypto/noise.h"
#include "link/hub.h"
#include "wire/wire.h"

#define LINK_REQUESTS_MAX 4096u /* in flight on one link; more is RC_BUSY */
#define LINK_BACKOFF_FIRST_MS 200u
#define LINK_BACKOFF_MAX_MS 30000u
#define LINK_STABLE_MS 3000u /* up for this long: the back-off starts anew */

struct link;

enum link_state {
    LINK_DOWN,       /* waiting before the next attempt, or stopped */
    LINK_CONNECTING, /* TCP and handshake */
    LINK_OPEN,       /* channel up, no login asked (registration) */
    LINK_LOGIN,      /* login sent */
    LINK_UP          /* logged in: deliveries flow */
};

struct link_ops {
    /* Fill the login frame (borrowed strings and arrays must stay until the call returns to the
     * loop); false: this link is not registered yet, stop at LINK_OPEN. */
    bool (*login)(void *ctx, Parley__Wire__Login *login);
    /* State changed; may come from inside link_retry and link_offline, never from link_open. info
     * is the LoginOk when state is LINK_UP, else NULL. */
    void (*on_state)(void *ctx, struct link *link, enum link_state state,
                     const Parley__Wire__LoginOk *info);
    /* A push: deliver, prekey_status, … Borrowed for the call. */
    void (*on_push)(void *ctx, struct link *link, const Parley__Wire__Frame *frame);
    /* The relay ended it for good: fenced, connected elsewhere, unregistered, login refused. The
     * link stays down until link_retry(). */
    void (*on_refused)(void *ctx, struct link *link, Parley__Wire__CloseReason close,
                       Parley__Wire__Reason reason, const char *text);
    /* Remember this server key (32 bytes) for IK, and when its certificate ends: past that the key
     * is not used. May be NULL. */
    void (*on_server_key)(void *ctx, const uint8_t key[32], int64_t not_after_s);
};

struct link_opt {
    struct channel_hub *hub; /* borrowed; the loop's, see link/hub.h */
    struct log *log;
    struct clock *clock; /* certificate validity follows its wall time */
    struct rng rng;
    const char *host; /* copied */
    uint16_t port;
    uint8_t root_pub[32];       /* the relay's pinned root (Ed25519) */
    struct noise_keypair noise; /* this device's transport key; copied, wiped at the end */
    bool has_server_key;
    uint8_t server_key[32];
    int64_t server_key_not_after_s; /* as on_server_key gave it */
    const struct link_ops *ops;
    void *ctx;
};

NODISCARD enum rc link_open(struct link **out, const struct link_opt *opt, struct err *err);
/* Closes politely; every request in flight ends with RC_CLOSED first. Safe in any callback. The
 * memory goes once the loop has run again (or in loop_free). */
void link_free(struct link **link);
enum link_state link_state(const struct link *link);
const char *link_state_name(enum link_state state);
/* Why the last connection ended, for people; rc is RC_OK while there is nothing to say. Borrowed.
 */
const struct err *link_why(const struct link *link);
/* Handshake hash of the channel that is open now (32 bytes), for channel signatures; NULL if none.
 */
const uint8_t *link_hash(const struct link *link);
/* After on_refused, registration, or for tests: drop what is there and connect (again) now. */
void link_retry(struct link *link);
/* Stay away until link_retry (phone offline). */
void link_offline(struct link *link);

/* Ask; the reply (kind, or a Refusal) or a failure comes once through fn: RC_OK with the frame,
 * RC_TIMEOUT, RC_CLOSED. Never from inside. frame->request_id is set here. The frame is packed at
 * once. RC_CLOSED unless LINK_OPEN or LINK_UP, RC_BUSY when too many are in flight. fn may be NULL
 * for an answer that nobody waits for. */
NODISCARD enum rc link_request(struct link *link, Parley__Wire__Frame *frame, uint32_t timeout_ms,
                               void (*fn)(void *ctx, enum rc rc, const Parley__Wire__Frame *reply),
                               void *ctx, struct err *err);
/* Tell, without a reply (acks, ephemeral). */
enum rc link_push(struct link *link, Parley__Wire__Frame *frame, struct err *err);

#endif
