/* manager_link.h - the Cloud's one connection of trust: token checks, forwarded Graph calls,
 * reports, and the event stream that fills the directory.
 *
 * The stream is kept up with back-off; a heartbeat that stays away for 45 s ends it. Every call is
 * mutual TLS. Source: docs/protocol/internal.md. Thread rule: one loop. */
#ifndef PARLEY_CLOUD_MANAGER_LINK_H
#define PARLEY_CLOUD_MANAGER_LINK_H

#include <jansson.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "http/client.h"

struct manager_link;

struct manager_link_opt {
    struct loop *loop;
    struct log *log;
    struct clock *clock;
    const char *address; /* HOST:PORT */
    const char *ca_file, *cert_file, *key_file;
    /* One parsed line of the stream; borrowed for the call. */
    void (*on_event)(void *ctx, const json_t *line);
    /* The stream came up or went down. */
    void (*on_stream)(void *ctx, bool is_up);
    void *ctx;
};

NODISCARD enum rc manager_link_open(struct manager_link **out, const struct manager_link_opt *opt,
                                    struct err *err);
/* Calls in flight end with RC_CLOSED. */
void manager_link_free(struct manager_link **link);
bool manager_link_is_up(const struct manager_link *link);
/* Monotonic milliseconds since the stream was last alive; 0 while it is up. */
int64_t manager_link_silent_ms(const struct manager_link *link);

/* POST body to path; fn once, later, with the HTTP status and the parsed answer (NULL if none);
 * borrowed for the call. rc other than RC_OK: no answer. */
typedef void manager_reply_fn(void *ctx, enum rc rc, int status, const json_t *body);
void manager_link_post(struct manager_link *link, const char *path, struct bytes body,
                       manager_reply_fn *fn, void *ctx);

#endif
