/* client.h - HTTP calls out, many at once, on our loop (libcurl multi).
 *
 * Owns connections and their reuse. Redirects are never followed, responses are bounded in size and
 * time, certificates are checked unless the caller's table says otherwise. When `connect_to` is set the
 * connection goes to that address and to no other, whatever the name resolves to: that is how the
 * address filter above keeps its word. Thread rule: everything on the loop's thread. */
#ifndef PARLEY_HTTP_CLIENT_H
#define PARLEY_HTTP_CLIENT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "http/http.h"

struct http_client;
struct http_call; /* in flight */

struct http_client_opt {
    struct loop *loop;
    struct log *log;
    const char *ca_file;   /* PEM bundle to trust; NULL: the system's */
    const char *cert_file; /* client certificate and key (mutual TLS); NULL: none */
    const char *key_file;
    uint32_t connections_max;      /* over all hosts; 0: 256 */
    uint32_t connections_per_host; /* 0: 16 */
};

struct http_call_opt {
    enum http_method method;
    const char *url;
    const struct http_header *headers; /* copied */
    size_t n_headers;
    struct bytes body;          /* copied unless body_is_kept */
    bool body_is_kept;          /* the caller keeps it unchanged until on_done */
    const char *connect_to;     /* "203.0.113.7" or "[2001:db8::1]": connect here; NULL: resolve */
    uint32_t connect_timeout_ms;/* 0: 5000 */
    uint32_t total_timeout_ms;  /* 0: 10000; UINT32_MAX: none (streams) */
    size_t response_max;        /* bytes kept; a longer response fails with RC_LIMIT */
    bool allow_any_cert;        /* test platforms only: private hosts */
    /* Streams: called with each run of body bytes as it comes; then nothing is kept. NULL: collect. */
    void (*on_data)(void *ctx, struct bytes data);
    /* Once, always: rc RC_OK with a status, or RC_IO / RC_TIMEOUT / RC_LIMIT / RC_AUTH (TLS).
     * body is borrowed for the call. */
    void (*on_done)(void *ctx, enum rc rc, int status, struct bytes body, const char *error_text);
    void *ctx;
};

NODISCARD enum rc http_client_open(struct http_client **out, const struct http_client_opt *opt,
                                   struct err *err);
/* Calls in flight end with RC_CLOSED through on_done. */
void http_client_free(struct http_client **client);
/* Start a call. *out (NULL allowed) is borrowed until on_done. on_done is never called from inside. */
NODISCARD enum rc http_client_call(struct http_call **out, struct http_client *client,
                                   const struct http_call_opt *opt, struct err *err);
/* Give up: on_done(RC_CLOSED) is called soon. */
void http_call_cancel(struct http_call *call);
uint32_t http_client_active(const struct http_client *client);

#endif
