/* cloud.h - the Cloud API: the Graph dialect over the gateway core, for many businesses.
 *
 * Owns its store, its listeners (Graph over HTTPS and over HTTP on loopback, the internal channel),
 * the webhook pump and the link to the manager. Data of one business is never visible to another:
 * every route checks the principal against the object before anything else is said about it (I32).
 * Source: docs/protocol/internal.md, docs/cloud-api.md. Thread rule: everything on opt.loop. */
#ifndef PARLEY_CLOUD_CLOUD_H
#define PARLEY_CLOUD_CLOUD_H

#include "base/admin.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/rng.h"

struct cloud;

struct cloud_listen {
    const char *host; /* NULL: do not listen */
    uint16_t port;    /* 0: the kernel picks */
};

struct cloud_opt {
    struct loop *loop;
    struct log *log;
    struct clock *clock;
    struct rng rng;
    const char *data_dir; /* cloud.db, keyring, master.key live here */
    const char *node;     /* this instance's name: one lock and one lease holder */
    struct cloud_listen https, http, internal;
    const char *ca_file, *cert_file, *key_file; /* the platform's CA and our leaf, PEM files */
    const char *manager;                        /* "HOST:PORT" of the manager's internal listener */
    const char *relay_host;
    uint16_t relay_port;
    uint8_t relay_root[32];
    const char *policy; /* "strict", "observe", "off": for the rules of later floors */
    bool allow_private_hosts;
    int64_t lease_ms; /* 0: the default */
    /* The disk failed for good: say so and exit non-zero (I4). Store thread. */
    void (*on_fatal)(void *ctx, const struct err *err);
    /* Every listener is open and the manager's first snapshot has arrived. Once. */
    void (*on_ready)(void *ctx);
    void *ctx;
};

NODISCARD enum rc cloud_open(struct cloud **out, const struct cloud_opt *opt, struct err *err);
/* Stop listening, let what was submitted be committed, release the leases; then on_closed. */
void cloud_close(struct cloud **cloud, void (*on_closed)(void *ctx), void *ctx);

uint16_t cloud_https_port(const struct cloud *cloud);
uint16_t cloud_http_port(const struct cloud *cloud);
uint16_t cloud_internal_port(const struct cloud *cloud);
/* Run what is due by platform time; fn once it is done (test clock). */
void cloud_run_due(struct cloud *cloud, void (*fn)(void *ctx), void *ctx);

/* "show numbers", "show hooks", "show store"; ctx of each is the cloud. */
extern const struct admin_row cloud_admin_rows[];
extern const size_t cloud_admin_rows_n;

#endif
