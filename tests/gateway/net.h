/* net.h - the whole network in one process: a real relay, businesses on gateways, people on bare
 * endpoints, each party with a store, a key ring and a folder of its own, for tests.
 *
 * The relay and the stores run threads of their own; everything else is on the test's loop, which
 * turns while a call here waits. Calls that wait give up after NET_WAIT_MS and fail the test. */
#ifndef PARLEY_TESTS_GATEWAY_NET_H
#define PARLEY_TESTS_GATEWAY_NET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after those */
#include <cmocka.h>

#include "crypto/cert.h"
#include "crypto/prim.h"
#include "endpoint/endpoint.h"
#include "events.h"
#include "gateway/gateway.h"
#include "relay/relay.h"
#include "store/backend.h"

#define NET_WAIT_MS 20000u /* far above what any step takes, also sanitized on a busy machine */

struct net {
    char dir[64];
    struct loop *loop;
    struct clock *clock; /* of everybody; tests shift it */
    struct log *log;
    uint8_t root_seed[32], root_pub[32];
    uint8_t authority_seed[32], authority_pub[32];
    struct relay_limits limits; /* change before net_start */
    struct relay_opt relay_opt;
    struct buf certificate;
    struct relay *relay;
    uint16_t port;
};

void net_init(struct net *net);
void net_start(struct net *net);
/* The relay goes and comes back on the same port. */
void net_stop_relay(struct net *net);
void net_start_relay(struct net *net);
void net_wipe(struct net *net);
/* Turn the loop until is_done. False: NET_WAIT_MS passed. */
bool net_wait(struct net *net, bool (*is_done)(void *ctx), void *ctx);
/* Turn it for so long: only to show that something does not happen. */
void net_pass_ms(struct net *net, unsigned ms);
/* Move platform time; nothing is run by it. */
void net_shift(struct net *net, int64_t ms);
/* The last code in the relay's outbox for this number. */
void net_code(struct net *net, uint64_t number, char out[8]);
/* The first column of the first row of a query on a database, from outside. */
int64_t sql_int(const char *path, const char *sql);
void sql_exec(const char *path, const char *sql);

/* What businesses and people have in common: a folder with a store and keys. */
struct place {
    struct net *net;
    char dir[96], db[128], ring_path[128], master_path[128];
    struct store *store;
    struct keyring *ring;
    const struct store_part *parts[4]; /* borrowed by the store */
    const struct backend_ops *backend; /* NULL: SQLite */
    void *backend_ctx;
    bool has_failed; /* the store said so; then it acknowledges nothing */
};
void place_init(struct place *place, struct net *net, const char *name);
void place_open(struct place *place);
void place_close(struct place *place);
/* Copy the store as it is on disk now (closed), and bring such a copy back. */
void place_save(struct place *place);
void place_restore(struct place *place);

/* ---- a business: one number on one gateway ---- */

struct biz {
    struct net *net;
    uint64_t number;
    struct place *place; /* two instances may share one */
    struct place own;
    char node[32];
    int64_t lease_ms; /* 0: the default */
    uint16_t port;    /* 0: the relay's */
    struct gateway *gateway;
    bool is_up, is_closed;
    unsigned ups;
    /* of the last call that was waited for */
    bool has_answer;
    enum rc rc;
    enum gateway_refusal refusal;
    struct gateway_accepted accepted;
    /* in transactions: written before and read by the writer */
    void (*in_message)(void *ctx); /* a message is being stored */
    void *in_message_ctx;
    enum rc answer_inbound; /* instead of RC_OK, while poison is above zero */
    unsigned poison;
};
void biz_init(struct biz *biz, struct net *net, uint64_t number);
/* The same with a folder of that name: for a number at two places. */
void biz_init_at(struct biz *biz, struct net *net, uint64_t number, const char *name);
/* A second instance on the same store. */
void biz_init_beside(struct biz *biz, struct biz *other, const char *node);
void biz_start(struct biz *biz); /* open the store and the gateway, add the number */
void biz_register(struct biz *biz);
/* The steps of it. */
void biz_verify(struct biz *biz);
enum gateway_refusal biz_try_register(struct biz *biz, const char *pin);
enum gateway_refusal biz_deregister(struct biz *biz);
bool biz_is_ours(struct biz *biz);
void biz_stop(struct biz *biz);       /* the gateway goes, the store is closed */
void biz_stop_gateway(struct biz *b); /* the store stays */
void biz_wipe(struct biz *biz);
void biz_wait_up(struct biz *biz);

struct biz_send {
    uint64_t to;
    const char *text;
    const char *key; /* Idempotency-Key */
    int64_t ttl_ms;
};
/* Accept one text and wait for the answer; id is filled on RC_OK. */
enum rc biz_send(struct biz *biz, const struct biz_send *send, uint8_t id[16]);
enum rc biz_say(struct biz *biz, uint64_t to, const char *text, uint8_t id[16]);
/* Many at once, numbered "PREFIX 0" …; waits for all answers. All must be accepted. */
void biz_say_many(struct biz *biz, uint64_t to, const char *prefix, size_t n);
enum rc biz_mark_read(struct biz *biz, const uint8_t id[16]);
/* The same, and typing. */
void biz_type(struct biz *biz, const uint8_t id[16]);
void biz_run_due(struct biz *biz);
/* State of an outgoing message (enum message_state), -1 if there is none. */
int biz_state(struct biz *biz, const uint8_t id[16]);
/* Wait until so many events are there. */
void biz_wait_events(struct biz *biz, enum event_kind kind, size_t n);
/* Wait for this status of a message. */
void biz_wait_status(struct biz *biz, const uint8_t id[16], enum gateway_status_kind kind);
/* The kinds told of a message, one letter each, in order: "sdr", "f". */
const char *biz_told(struct biz *biz, const uint8_t id[16], char out[16]);

/* ---- a person: a bare endpoint ---- */

struct person {
    struct net *net;
    uint64_t number;
    struct place place;
    struct endpoint_host host;
    struct endpoint_policy policy;
    struct endpoint *endpoint;
    struct endpoint *tx_endpoint; /* the same, for jobs: they outlive its closing */
    uint16_t port;                /* 0: the relay's */
    bool sends_receipts;
    bool is_up, is_closed, has_answer;
    unsigned ups, typings;
    bool is_typing;
    enum rc rc;
    Parley__Wire__Reason reason;
    void (*in_message)(void *ctx);
    void *in_message_ctx;
    enum rc answer_message; /* instead of RC_OK, while poison is above zero */
    unsigned poison;
};
void person_init(struct person *person, struct net *net, uint64_t number);
void person_start(struct person *person);
void person_register(struct person *person);
void person_stop(struct person *person);
void person_wipe(struct person *person);
void person_wait_up(struct person *person);
/* Everything of it is gone: as on a new telephone. */
void person_forget(struct person *person);
enum rc person_say(struct person *person, uint64_t to, const char *text, uint8_t id[16]);
enum rc person_read(struct person *person, uint64_t to, const uint8_t id[16]);
void person_run_due(struct person *person);
void person_wait_events(struct person *person, enum event_kind kind, size_t n);
/* The texts shown, in order, each followed by a line feed. Freed by the caller. */
char *person_shown(struct person *person);

#endif
