/* server_parts.h - what the files of the server share with each other, and with nobody else.
 *
 * server.c owns the daemon, its place in the loop and the deadlines of connections;
 * server_request.c owns requests from their first line to their reply; server_stream.c owns replies
 * that stay open; server_tls.c owns certificates and who the peer is. */
#ifndef PARLEY_HTTP_SERVER_PARTS_H
#define PARLEY_HTTP_SERVER_PARTS_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>

#include "http/server.h"

struct http_identity; /* a certificate with its key */

/* Where a connection is; each stage but CONN_WAITS and CONN_STREAMS has a deadline. */
enum conn_stage {
    CONN_HEAD,    /* a head is due (TLS handshake included) */
    CONN_BODY,    /* head read, body coming */
    CONN_WAITS,   /* suspended: the reply is our business */
    CONN_REPLIES, /* reply going out */
    CONN_STREAMS  /* a reply that stays open */
};

struct http_conn {
    struct http_server *server;
    struct http_conn *prev, *next;
    struct MHD_Connection *mhd;
    struct http_request *req; /* the one being read or answered; NULL between two */
    int fd;                   /* borrowed from the daemon */
    enum conn_stage stage;
    uint64_t deadline_ms; /* loop time */
    char *peer_name;      /* common name of the verified client certificate */
};

struct http_server {
    struct loop *loop;
    struct log *log;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;          /* the daemon's epoll descriptor */
    struct loop_timer again; /* the daemon wants another turn */
    struct loop_timer sweep; /* cuts off connections past their deadline */
    unsigned open_handles;   /* the server's memory goes with the last */
    struct http_conn *conns;
    uint32_t n_conns;
    uint16_t port;
    size_t max_body;
    uint64_t head_timeout_ms;
    bool is_tls;
    bool needs_client_cert;
    bool is_closing;
    bool is_running;                /* inside a turn of the daemon */
    bool has_progress;              /* this turn of the daemon called us */
    uint64_t idle_pause_ms;         /* before its next, when it did not */
    bool has_resumed;               /* connections were resumed: it must have another */
    struct http_identity *identity; /* newest first; older ones finish their handshakes */
    gnutls_datum_t ticket_key;      /* TLS resumption; servers without client certificates */
    void (*on_request)(void *ctx, struct http_request *req);
    const char *(*on_refuse)(void *ctx, int status, struct buf *body);
    void *ctx;
};

struct http_request {
    struct http_conn *conn;
    enum http_method method;
    const char *path;
    struct buf body;
    uint64_t body_seen; /* bytes that came, kept or dropped */
    struct arena *arena;
    void *state;
    struct http_stream *stream;
    int refusal;   /* answer this status once the body has passed; 0: ask the handler */
    bool is_begun; /* the head has been looked at */
    bool is_in_handler;
    bool is_suspended;
    bool is_answered;
};

/* server.c */
void http_conn_stage(struct http_conn *conn, enum conn_stage stage, uint64_t timeout_ms);
/* End a suspension, at the daemon's next turn, and see that it has one. */
void http_conn_resume(struct http_conn *conn);

/* server_request.c: the daemon's callbacks */
enum MHD_Result http_on_access(void *cls, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *size, void **con_cls);
void http_on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
                       enum MHD_RequestTerminationCode why);
size_t http_on_unescape(void *cls, struct MHD_Connection *mhd, char *text);
/* Queue a finished response: at once inside the handler, else by waking the connection. Takes the
 * caller's reference. */
void http_request_send(struct http_request *req, int status, struct MHD_Response *response);

/* server_stream.c */
void http_stream_free(struct http_stream **stream);

/* server_tls.c */
NODISCARD enum rc http_identity_set(struct http_server *server, const char *cert_pem,
                                    const char *key_pem, struct err *err);
void http_identities_free(struct http_server *server);
/* Arm a new connection's session: which certificate, who must prove what. conn may be NULL: the
 * handshake fails then. */
void http_tls_arm(struct http_server *server, struct MHD_Connection *mhd, struct http_conn *conn);
/* Common name of the verified peer, allocated; NULL if none. */
char *http_tls_peer_name(struct MHD_Connection *mhd);
int http_on_certificate(gnutls_session_t session, const gnutls_datum_t *names, int n_names,
                        const gnutls_pk_algorithm_t *algos, int n_algos, gnutls_pcert_st **certs,
                        unsigned *n_certs, gnutls_privkey_t *key);

#endif
