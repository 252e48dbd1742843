/* client_parts.h - what client.c (life, ends of calls), client_call.c (setting them up) and
 * client_socket.c (sockets and timer) share. */
#ifndef PARLEY_HTTP_CLIENT_PARTS_H
#define PARLEY_HTTP_CLIENT_PARTS_H

#include <curl/curl.h>

#include "base/buf.h"
#include "http/client.h"

struct http_watch; /* one descriptor in the loop */

struct http_client {
    struct loop *loop;
    struct log *log;
    CURLM *multi;
    struct loop_timer timer;     /* curl's own clock */
    struct loop_timer reaper;    /* ends cancelled calls outside of curl's callbacks */
    struct http_watch **watches; /* by descriptor */
    size_t n_watches;
    struct http_call *active; /* in flight */
    struct http_call *spare;  /* finished, with their curl handles, to be used again */
    uint32_t n_active, n_spare, n_spare_max;
    unsigned open_handles;
    bool is_closing;
    struct http_client_opt opt; /* strings copied */
};

struct http_call {
    struct http_call *prev, *next;
    struct http_client *client;
    CURL *easy;
    struct curl_slist *lines;   /* request headers: one allocation */
    struct curl_slist *connect; /* CURLOPT_CONNECT_TO: one allocation */
    uint8_t *body_copy;
    size_t body_len;
    struct buf response;
    size_t head_bytes;
    void (*on_data)(void *ctx, struct bytes data);
    void (*on_done)(void *ctx, enum rc rc, int status, struct bytes body, const char *error_text);
    void *ctx;
    bool is_too_long;
    bool is_cancelled;
    char error_text[CURL_ERROR_SIZE];
};

/* client_call.c: back to the pool, without the request; or for good */
void http_call_give_back(struct http_call *call);
void http_call_free(struct http_call *call);

/* client_socket.c */
int http_on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *unused);
int http_on_curl_timer(CURLM *multi, long timeout_ms, void *ctx);
curl_socket_t http_on_curl_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *addr);
int http_on_curl_close(void *ctx, curl_socket_t fd);
void http_on_timer(struct loop_timer *timer);
void http_client_unwatch(struct http_client *client); /* whatever curl left */
void http_client_release(struct http_client *client); /* one handle closed: the last frees */

/* client.c: look for calls that have ended */
void http_client_reap(struct http_client *client);

#endif
