/* client_parts.h - what client.c (calls) and client_socket.c (sockets and timer) share. */
#ifndef PARLEY_HTTP_CLIENT_PARTS_H
#define PARLEY_HTTP_CLIENT_PARTS_H

#include <curl/curl.h>

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
