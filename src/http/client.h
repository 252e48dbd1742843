/* client.h - HTTP calls out, many at once, on our loop (libcurl multi).
 *
 * Owns connections and their reuse. Redirects are never followed, responses are bounded in size and
 * time, certificates are checked unless the caller's table says otherwise. When `connect_to` is set
 * the connection goes to that address and to no other, whatever the name resolves to: that is how
 * the address filter above keeps its word. Thread rule: everything on the loop's thread. */
#ifndef PARLEY_HTTP_CLIENT_H
#define PARLEY_HTTP_CLIENT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "http/http.h"

#define HTTP_CLIENT_CALLS_MAX 8192u            /* in flight; more is RC_BUSY */
#define HTTP_RESPONSE_HEADERS_MAX (64u * 1024) /* longer response heads fail with RC_LIMIT */

struct http_client;
struct http_call; /* in flight */

struct http_client_opt {
    struct loop *loop;
    struct log *log;
    const char *ca_file;   /* PEM bundle to trust, and nothing else; NULL: the system's */
    bool with_system_ca;   /* trust the system's beside ca_file */
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
    struct bytes body;           /* copied unless body_is_kept */
    bool body_is_kept;           /* the caller keeps it unchanged until on_done */
    const char *connect_to;      /* "203.0.113.7" or "[2001:db8::1]": connect here; NULL: resolve */
    uint32_t connect_timeout_ms; /* 0: 5000 */
    uint32_t total_timeout_ms;   /* 0: 10000; UINT32_MAX: none (streams) */
    size_t response_max;         /* bytes kept; a longer response fails with RC_LIMIT */
    bool allow_any_cert;         /* test platforms only: private hosts */
    /* Streams: called with each run of body bytes as it comes; then nothing is kept. NULL: collect.
     */
    void (*on_data)(void *ctx, struct bytes data);
    /* Once, always: rc RC_OK with a status, or RC_IO / RC_TIMEOUT / RC_LIMIT / RC_AUTH (TLS) with
     * the status if the response got as far as that, else 0. body and error_text are borrowed for
     * the call. It may start and cancel calls, but must not free the client. */
    void (*on_done)(void *ctx, enum rc rc, int status, struct bytes body, const char *error_text);
    void *ctx;
};

NODISCARD enum rc http_client_open(struct http_client **out, const struct http_client_opt *opt,
                                   struct err *err);
/* Calls in flight end with RC_CLOSED through on_done. */
void http_client_free(struct http_client **client);
/* Start a call. *out (NULL allowed) is borrowed until on_done. on_done is never called from inside.
 * Errors: RC_INVAL (a line break in a header, a URL that is no http or https URL), RC_BUSY,
 * RC_NOMEM. */
NODISCARD enum rc http_client_call(struct http_call **out, struct http_client *client,
                                   const struct http_call_opt *opt, struct err *err);
/* Give up: on_done(RC_CLOSED) is called soon. */
void http_call_cancel(struct http_call *call);
uint32_t http_client_active(const struct http_client *client);

#endif
