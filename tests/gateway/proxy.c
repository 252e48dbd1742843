/* proxy.c - see proxy.h. */
#include "proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

struct proxy_pair {
    struct proxy *proxy;
    size_t slot;
    uv_tcp_t party, relay;
    uv_connect_t connect;
    unsigned open; /* handles not closed yet */
    bool is_ending;
};

static void
on_closed(uv_handle_t *handle)
{
    struct proxy_pair *pair = handle->data;

    if (--pair->open == 0)
        free(pair);
}

static void
pair_end(struct proxy_pair *pair)
{
    if (pair->is_ending)
        return;
    pair->is_ending = true;
    pair->proxy->pairs[pair->slot] = NULL;
    uv_close((uv_handle_t *)&pair->party, on_closed);
    uv_close((uv_handle_t *)&pair->relay, on_closed);
}

static void
on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    *buf = uv_buf_init(malloc(65536), 65536);
}

struct piece {
    uv_write_t req;
    char *base;
};

static void
on_written(uv_write_t *req, int status)
{
    struct piece *piece = (struct piece *)req;

    free(piece->base);
    free(piece);
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct proxy_pair *pair = stream->data;
    bool is_up = stream == (uv_stream_t *)&pair->party;
    struct piece *piece;
    uv_buf_t out;

    if (n > 0 && is_up && __atomic_load_n(&pair->proxy->is_swallowing, __ATOMIC_SEQ_CST))
        n = 0;
    if (n <= 0 || pair->is_ending) {
        free(buf->base);
        if (n < 0)
            pair_end(pair);
        return;
    }
    piece = malloc(sizeof *piece);
    piece->base = buf->base;
    out = uv_buf_init(buf->base, (unsigned)n);
    if (uv_write(&piece->req, (uv_stream_t *)(is_up ? &pair->relay : &pair->party), &out, 1,
                 on_written) != 0)
        on_written(&piece->req, -1);
}

static void
on_connect(uv_connect_t *req, int status)
{
    struct proxy_pair *pair = req->data;

    if (status != 0 || pair->is_ending) {
        pair_end(pair);
        return;
    }
    uv_read_start((uv_stream_t *)&pair->party, on_alloc, on_read);
    uv_read_start((uv_stream_t *)&pair->relay, on_alloc, on_read);
}

static void
on_connection(uv_stream_t *listener, int status)
{
    struct proxy *proxy = listener->data;
    struct proxy_pair *pair = calloc(1, sizeof *pair);
    struct sockaddr_in address;

    while (pair->slot < PROXY_PAIRS_MAX && proxy->pairs[pair->slot] != NULL)
        pair->slot++;
    assert_in_range(pair->slot, 0, PROXY_PAIRS_MAX - 1);
    proxy->pairs[pair->slot] = pair;
    pair->proxy = proxy;
    pair->open = 2;
    uv_tcp_init(loop_uv(proxy->loop), &pair->party);
    uv_tcp_init(loop_uv(proxy->loop), &pair->relay);
    pair->party.data = pair->relay.data = pair->connect.data = pair;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&pair->party), 0);
    proxy->accepted++;
    uv_ip4_addr("127.0.0.1", proxy->to_port, &address);
    if (proxy->is_shut ||
        uv_tcp_connect(&pair->connect, &pair->relay, (struct sockaddr *)&address, on_connect) != 0)
        pair_end(pair);
}

void
proxy_start(struct proxy *proxy, struct loop *loop, uint16_t to_port)
{
    struct sockaddr_in address;
    int size = sizeof address;

    *proxy = (struct proxy){.loop = loop, .to_port = to_port};
    uv_tcp_init(loop_uv(loop), &proxy->listener);
    proxy->listener.data = proxy;
    uv_ip4_addr("127.0.0.1", 0, &address);
    assert_int_equal(uv_tcp_bind(&proxy->listener, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&proxy->listener, 64, on_connection), 0);
    uv_tcp_getsockname(&proxy->listener, (struct sockaddr *)&address, &size);
    proxy->port = ntohs(address.sin_port);
}

void
proxy_cut(struct proxy *proxy)
{
    for (size_t i = 0; i < PROXY_PAIRS_MAX; i++)
        if (proxy->pairs[i] != NULL)
            pair_end(proxy->pairs[i]);
}

void
proxy_swallow(struct proxy *proxy, bool on)
{
    __atomic_store_n(&proxy->is_swallowing, on, __ATOMIC_SEQ_CST);
}

void
proxy_stop(struct proxy *proxy)
{
    proxy_cut(proxy);
    uv_close((uv_handle_t *)&proxy->listener, NULL);
    for (int i = 0; i < 4; i++)
        loop_poll(proxy->loop);
}
