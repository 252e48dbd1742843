/* relay.h - the transport server: accept, authenticate, route, hold, deliver, forget.
 *
 * Owns its store, its listeners and one thread per event loop. It sees addresses, sizes and times
 * of envelopes and public keys; it links nothing that could open an envelope. A program (or a test)
 * opens one with options, runs a loop of its own for administration and sweeping, and frees it.
 * Thread rule: every call here belongs to the thread of opt.loop. Source: docs/protocol/relay.md.
 */
#ifndef PARLEY_RELAY_RELAY_H
#define PARLEY_RELAY_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/admin.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/rng.h"
#include "crypto/noise.h"

#define RELAY_LOOPS_MAX 4u

/* Ceilings and windows; relay_limits_default() gives what the documents promise, tests give less.
 */
struct relay_limits {
    uint32_t phone_envelopes; /* queued for one phone (I14) */
    uint64_t phone_bytes;
    uint32_t lane_envelopes; /* queued in one lane of a business */
    uint64_t lane_bytes;
    uint32_t window; /* deliveries sent ahead of acks, per lane */
    uint32_t window_bytes;
    uint32_t connections;        /* open at once, over all loops */
    uint32_t opening;            /* of these, not logged in yet */
    uint32_t handshakes_per_10s; /* from one address */
    uint32_t codes_per_number;   /* requests per hour */
    uint32_t codes_per_address;  /* requests per hour */
    uint32_t code_tries;         /* wrong codes before a code is burnt */
    uint32_t fetches_per_hour;   /* bundles with a one-time key, per (requester, target) */
    uint32_t fetches_per_day;
    uint32_t lookups_per_hour;   /* bundle fetches of one person, spending or not */
    uint32_t ephemerals_per_10s; /* per connection */
    uint32_t handshake_ms;       /* from the connection to the end of the handshake (I39) */
    uint32_t first_ms;           /* from the handshake to the first request */
    uint32_t opening_ms;         /* all of a registration, a person typing a code included */
    bool count_loopback;         /* apply the limits by address to 127.0.0.1 and ::1 too */
};

struct relay_opt {
    const char *data_dir;     /* relay.db and outbox live here; must exist */
    const char *host;         /* address to listen on */
    uint16_t port;            /* 0: the kernel picks */
    unsigned loops;           /* 1..RELAY_LOOPS_MAX; 0: one per core, at most RELAY_LOOPS_MAX */
    struct bytes certificate; /* the relay's certificate, sent in the handshake; copied */
    struct noise_keypair key; /* copied, wiped at the end */
    uint8_t code_key[32];     /* keys the hashes of codes and tickets; copied, wiped at the end */
    bool has_authority;
    uint8_t authority[32];    /* Ed25519 of the platform's authority: business certificates */
    const char *code_command; /* run by /bin/sh with one JSON line on its input; NULL: the outbox */
    const struct relay_limits *limits; /* copied; NULL: the defaults */
    struct clock *clock;               /* borrowed */
    struct rng rng;
    struct log *log;   /* borrowed */
    struct loop *loop; /* the caller's: administration, sweeping; borrowed */
};

struct relay;

void relay_limits_default(struct relay_limits *out);

/* Open the store, listen, start the loops. *out is owned by the caller, NULL on failure.
 * Errors: RC_INVAL, RC_BUSY (another relay has the data folder), RC_IO. */
NODISCARD enum rc relay_open(struct relay **out, const struct relay_opt *opt, struct err *err);
uint16_t relay_port(const struct relay *relay);
/* Stop accepting, tell every peer DRAINING, finish what was submitted, join, close the store. At
 * most RELAY_DRAIN_MS. *relay may be NULL; it is NULL afterwards. */
void relay_free(struct relay **relay);

/* Expire, return and forget what is due by the clock; fn is called on opt.loop when nothing due is
 * left (RC_OK) or the store failed. Also runs by itself every second. */
void relay_sweep(struct relay *relay, void (*fn)(void *ctx, enum rc rc), void *ctx);

/* ---- the administration socket ---- */

/* Context of the rows: the program's, with what it alone knows. */
struct relay_console {
    struct relay *relay;
    const struct config *config; /* NULL: "show config" has nothing to show */
    bool has_test_clock;
    void (*stop)(void *ctx);
    void *ctx;
};
extern const struct admin_row relay_admin_rows[];
extern const size_t relay_admin_rows_n;

/* ---- keys in files ---- */

/* Read 32 secret bytes, or make them (0400) when there is no such file. Blocking: at start only. */
NODISCARD enum rc relay_key_file(uint8_t out[32], const char *path, struct rng rng,
                                 struct err *err);

#endif
