/* manager.h - the manager as one object: store, keys, listener, push stream.
 *
 * Owns DIR/manager: the store (manager.db), its key ring and master key, and the platform's
 * authority key, which signs number certificates. Never holds message content nor anything about
 * single messages. main() builds it and runs the loop; tests build it in their own process. Thread
 * rule: everything on the loop's thread. Source: docs/protocol/internal.md. */
#ifndef PARLEY_MANAGER_MANAGER_H
#define PARLEY_MANAGER_MANAGER_H

#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/rng.h"

struct manager;

struct manager_opt {
    struct loop *loop;
    struct log *log;
    struct clock *clock;
    struct rng rng;
    const char *dir;                         /* the manager's own folder; must exist */
    const char *host;                        /* address of the internal listener */
    uint16_t port;                           /* 0: the kernel picks */
    const char *ca_pem, *cert_pem, *key_pem; /* contents; borrowed for the call */
    const char *seed;                        /* NULL: none; copied */
    const char *operator_name;               /* in certificates; NULL: "Parley"; copied */
};

struct manager_counts {
    uint64_t businesses, wabas, numbers, apps, tokens;
    unsigned streams;
};

/* Open store and keys, listen. Blocking: at start only. */
NODISCARD enum rc manager_open(struct manager **out, const struct manager_opt *opt,
                               struct err *err);
/* Stop listening, finish what was submitted, close; waits for the disk, not for peers, whose open
 * calls are dropped. *manager is NULL afterwards; fn (NULL allowed) is called once all is released,
 * from inside or soon on the loop. */
void manager_close(struct manager **manager, void (*fn)(void *ctx), void *ctx);
/* The same, running the loop until all is released: outside of loop_run only. */
void manager_free(struct manager **manager);
uint16_t manager_port(const struct manager *manager);
/* Do what became due by the clock (certificates); fn is called after its commit. fn may be NULL. */
void manager_renew(struct manager *manager, void (*fn)(void *ctx), void *ctx);
/* Read the counts; fn is called on the loop. NULL counts: the store failed. */
void manager_count(struct manager *manager,
                   void (*fn)(void *ctx, const struct manager_counts *counts), void *ctx);

/* The authority's public key, made with its seed when absent: `dir`/authority.key, 32 raw bytes. */
NODISCARD enum rc manager_authority(uint8_t seed[32], uint8_t pub[32], const char *dir,
                                    struct rng rng, struct err *err);

#endif
