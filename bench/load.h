/* load.h - an HTTP load generator on our loop: keep-alive connections, one request outstanding on
 * each.
 *
 * Either as fast as answers come, or at a given rate: then a request that had to wait for a free
 * connection is late from the moment it was due, so a stalled server cannot hide its stall.
 * Reads just enough HTTP for answers with a Content-Length. Thread rule: the loop's. */
#ifndef PARLEY_BENCH_LOAD_H
#define PARLEY_BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"

#define LOAD_CONNECTIONS_MAX 256u

struct load;

struct load_opt {
    struct loop *loop;
    uint16_t port; /* on 127.0.0.1 */
    unsigned connections;
    double per_s;                             /* 0: as fast as answers come */
    void (*fill)(void *ctx, struct buf *out); /* append one whole request */
    bool (*may_send)(void *ctx);              /* NULL: always */
    /* took_us: since the request was sent, or was due at a given rate. May be NULL. */
    void (*on_answer)(void *ctx, int status, struct bytes body, int64_t took_us);
    void *ctx;
};

/* Connect; nothing is sent yet. */
NODISCARD enum rc load_open(struct load **out, const struct load_opt *opt, struct err *err);
/* Begin, and send until load_pause. */
void load_go(struct load *load);
void load_pause(struct load *load); /* what is under way is still answered */
/* may_send would say something else now. */
void load_kick(struct load *load);
unsigned load_under_way(const struct load *load);
uint64_t load_answered(const struct load *load);
/* Answers other than 200, and connections that broke. */
uint64_t load_failed(const struct load *load);
/* *load may be NULL; it is NULL afterwards. The loop must turn once more before its end. */
void load_free(struct load **load);

/* A POST of a JSON body, as a client would send it. */
void load_put_post(struct buf *out, const char *path, const char *token, struct bytes body);

#endif
