/* core.h - what the files of the relay share: the relay, its loops, and how work for the store is
 * asked for. Internal to src/relay; programs and tests include relay.h.
 *
 * A worker is one event loop with its thread, its listener and its connections. What crosses from
 * one thread to another does so by loop_post or through the store. */
#ifndef PARLEY_RELAY_CORE_H
#define PARLEY_RELAY_CORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "relay/limiter.h"
#include "relay/peer.h"
#include "relay/registry.h"
#include "relay/relay.h"
#include "relay/inbox.h"
#include "relay/sql.h"
#include "relay/writer.h"

#define RELAY_DRAIN_MS 1000 /* peers have this long to end when the relay stops */
#define CODE_LIFE_MS (10 * 60 * 1000)
#define TICKET_LIFE_MS (10 * 60 * 1000)
#define DEDUPE_LIFE_MS (31ll * 24 * 3600 * 1000) /* how long a message id is remembered */
#define HOUR_MS (3600 * 1000ll)
#define DAY_MS (24 * HOUR_MS)

/* Kinds of counted windows in the relay's limiter. */
enum limit_kind {
    LIMIT_HANDSHAKE = 1,
    LIMIT_CODE_ADDRESS,
    LIMIT_FETCH_HOUR,
    LIMIT_FETCH_DAY,
    LIMIT_LOOKUP,
    LIMIT_EPHEMERAL,
    LIMIT_BLOCK
};

struct worker {
    struct relay *relay;
    unsigned index;
    struct loop *loop;
    struct channel_hub *hub;
    pthread_t thread;
    bool has_thread, is_listening;
    uv_tcp_t listener;
    int spare_fd; /* given up to turn a connection away when there is no other */
    struct loop_timer tick;
    struct peer **slots; /* by route.slot; owned */
    uint32_t *turns;     /* tenant count of each slot */
    uint32_t n_slots, first_free;
    struct peer *opening; /* connections that are not logged in: they have deadlines */
    struct peer *settled; /* the others */
    struct loop_post drain, stop;
};

/* Relaxed counters for `show`. */
struct relay_counters {
    _Atomic uint64_t accepted, refused_throttle, refused_full, logins, published, duplicates,
        refused_publish, delivered, ephemerals, ack_refused, codes_sent;
};

struct relay {
    struct relay_limits limits;
    struct clock *clock;
    struct rng rng;
    struct log *log;
    struct loop *loop; /* the caller's */
    struct store *store;
    struct registry *registry;
    struct limiter *limiter;
    struct writer *writer;
    struct inbox *inbox; /* the store's writer thread only */
    struct sweeper *sweeper;
    char *data_dir, *db_path, *code_command;
    uint8_t *certificate;
    size_t certificate_len;
    struct noise_keypair key;
    uint8_t code_key[32];
    bool has_authority;
    uint8_t authority[32];
    uint16_t port;
    unsigned n_workers;
    struct worker workers[RELAY_LOOPS_MAX];
    _Atomic uint32_t n_connections, n_opening, n_asks;
    _Atomic uint64_t last_login; /* order of login decisions; raised on the store's thread only */
    struct relay_counters counters;
};

int64_t relay_now_ms(const struct relay *relay);

#endif
