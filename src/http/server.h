/* server.h - an HTTP/1.1 server on our loop: requests in, exactly one reply each, any time later.
 *
 * libmicrohttpd in epoll mode; its epoll descriptor is watched by the loop, and a connection is
 * suspended from the moment its request is whole until http_reply. Bodies are collected up to
 * max_body; a larger one is answered 413 through on_refuse: at once when its length is announced,
 * else after at most HTTP_DRAIN_MAX bytes more; a peer that sends on after that is cut off.
 * Requests whose length is ambiguous (two lengths, or a length beside chunks) are 400 and end the
 * connection. What does not even parse as HTTP is answered by the library, without a dialect's
 * body. Knows no business word. Thread rule: everything on the loop's thread. */
#ifndef PARLEY_HTTP_SERVER_H
#define PARLEY_HTTP_SERVER_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "http/http.h"

#define HTTP_CONNECTION_MEMORY (16u * 1024) /* per connection, TLS and bodies apart */
#define HTTP_HEADERS_MAX (12u * 1024)       /* request line and headers; more is 431 */
#define HTTP_QUERY_ARGS_MAX 64u             /* more is 400 */
#define HTTP_HEAD_TIMEOUT_S 10u             /* from accept to the end of the first head */
#define HTTP_IDLE_TIMEOUT_S 75u             /* from a reply to the end of the next head */
#define HTTP_BODY_GRACE_S 20u               /* bodies and replies: this long ... */
#define HTTP_BYTES_PER_MS_MIN 8u            /* ... and longer only at this rate */
#define HTTP_DRAIN_MAX (1024u * 1024)       /* read and dropped of a body that is too long */
#define HTTP_STREAM_BACKLOG_MAX (1024u * 1024)
#define HTTP_CONNECTIONS_MAX 4096u
#define HTTP_CONNECTIONS_PER_IP_MAX 2048u

struct http_server;
struct http_request;

struct http_server_opt {
    struct loop *loop;
    struct log *log;
    const char *host;     /* address to listen on */
    uint16_t port;        /* 0: the kernel picks */
    const char *cert_pem; /* contents; NULL: plain HTTP */
    const char *key_pem;
    const char
        *client_ca_pem; /* non-NULL: a client certificate of this CA is required (TLS 1.3 only) */
    size_t max_body;    /* bytes */
    uint32_t connections_max; /* 0: HTTP_CONNECTIONS_MAX */
    uint32_t head_timeout_ms; /* from accept to the end of the first head; 0: HTTP_HEAD_TIMEOUT_S */
    /* A whole request. Reply now or keep it and reply later; never drop it. Must not free the
     * server. */
    void (*on_request)(void *ctx, struct http_request *req);
    /* A request refused by the server itself (400, 413, 431): fill a body in the dialect's own
     * shape. NULL: an empty body. Append to *body and return its content type (static string). */
    const char *(*on_refuse)(void *ctx, int status, struct buf *body);
    void *ctx;
};

NODISCARD enum rc http_server_open(struct http_server **out, const struct http_server_opt *opt,
                                   struct err *err);
/* Open requests are dropped: their http_request must not be used any more. */
void http_server_free(struct http_server **server);
uint16_t http_server_port(const struct http_server *server);
/* Swap certificate and key for new connections (contents, copied). TLS servers only. */
NODISCARD enum rc http_server_set_cert(struct http_server *server, const char *cert_pem,
                                       const char *key_pem, struct err *err);
uint32_t http_server_connections(const struct http_server *server);

/* All borrowed until http_reply. The path is percent-decoded, without the query, its trailing slash
 * kept; a path or query with %00 in it never gets here (400). */
enum http_method http_request_method(const struct http_request *req);
const char *http_request_path(const struct http_request *req);
const char *http_request_header(const struct http_request *req, const char *name);
/* Decoded query argument: the i-th, or by name (first match). NULL when there is none. */
const char *http_request_query(const struct http_request *req, const char *name);
bool http_request_query_at(const struct http_request *req, unsigned i, const char **name,
                           const char **value);
struct bytes http_request_body(const struct http_request *req);
/* Common name of the verified client certificate, or NULL. */
const char *http_request_peer_name(const struct http_request *req);
/* Memory that lives as long as the request; ceiling 1 MiB beside the body. */
struct arena *http_request_arena(struct http_request *req);
/* "http" or "https" and the Host header, for absolute links. */
bool http_request_is_tls(const struct http_request *req);
/* A place for the handler's own pointer while the request waits. */
void http_request_set_state(struct http_request *req, void *state);
void *http_request_state(const struct http_request *req);

/* Answer; the request is gone afterwards. body is copied. headers may be NULL with n 0; one that
 * holds a line break is left out. */
void http_reply(struct http_request *req, int status, const struct http_header *headers, size_t n,
                struct bytes body);

/* Answer with a stream that stays open: bytes are pushed as they come (internal event channel).
 * on_gone is called once, after the peer left, after http_stream_end, or when the server goes; the
 * stream may be used until then. NULL: out of memory; the request has been answered 500. */
struct http_stream;
struct http_stream *http_reply_stream(struct http_request *req, int status,
                                      const struct http_header *headers, size_t n,
                                      void (*on_gone)(void *ctx), void *ctx);
/* False: more than HTTP_STREAM_BACKLOG_MAX waits unread, or it has ended: the stream is ended. */
bool http_stream_push(struct http_stream *stream, struct bytes data);
void http_stream_end(struct http_stream *stream);
/* Let more than the usual 1 MiB wait unread: for a stream that begins with something large. */
void http_stream_set_max(struct http_stream *stream, size_t max_bytes);

#endif
