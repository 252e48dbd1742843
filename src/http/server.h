/* server.h - an HTTP/1.1 server on our loop: requests in, exactly one reply each, any time later.
 *
 * libmicrohttpd in epoll mode; its epoll descriptor is watched by the loop, and a connection is
 * suspended from the moment its request is whole until http_reply. Bodies are collected up to
 * max_body; larger ones are answered 413 through on_refuse without being read to the end. Knows no
 * business word. Thread rule: everything on the loop's thread. */
#ifndef PARLEY_HTTP_SERVER_H
#define PARLEY_HTTP_SERVER_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "http/http.h"

#define HTTP_HEADERS_MAX (32u * 1024)   /* bytes of request line and headers per connection */
#define HTTP_QUERY_ARGS_MAX 64u
#define HTTP_IDLE_TIMEOUT_S 75u         /* keep-alive without a request */
#define HTTP_CONNECTIONS_MAX 4096u
#define HTTP_CONNECTIONS_PER_IP_MAX 2048u

struct http_server;
struct http_request;

struct http_server_opt {
    struct loop *loop;
    struct log *log;
    const char *host;      /* address to listen on */
    uint16_t port;         /* 0: the kernel picks */
    const char *cert_pem;  /* contents; NULL: plain HTTP */
    const char *key_pem;
    const char *client_ca_pem; /* non-NULL: a client certificate of this CA is required (TLS 1.3 only) */
    size_t max_body;       /* bytes */
    uint32_t connections_max; /* 0: HTTP_CONNECTIONS_MAX */
    /* A whole request. Reply now or keep it and reply later; never drop it. */
    void (*on_request)(void *ctx, struct http_request *req);
    /* A request refused by the server itself (400, 413, 431): fill a body in the dialect's own shape.
     * NULL: an empty body. Append to *body and return its content type (static string). */
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

/* All borrowed until http_reply. */
enum http_method http_request_method(const struct http_request *req);
const char *http_request_path(const struct http_request *req); /* percent-decoded, no query */
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

/* Answer; the request is gone afterwards. body is copied. headers may be NULL with n 0. */
void http_reply(struct http_request *req, int status, const struct http_header *headers, size_t n,
                struct bytes body);

/* Answer with a stream that stays open: bytes are pushed as they come (internal event channel).
 * on_gone is called once when the peer leaves or http_stream_end is called; then the stream is gone. */
struct http_stream;
struct http_stream *http_reply_stream(struct http_request *req, int status,
                                      const struct http_header *headers, size_t n,
                                      void (*on_gone)(void *ctx), void *ctx);
/* False: more than 1 MiB waits unread; the stream is ended. */
bool http_stream_push(struct http_stream *stream, struct bytes data);
void http_stream_end(struct http_stream *stream);

#endif
