/* net.c - see net.h. */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct guard {
    uv_timer_t timer;
    uv_prepare_t prepare; /* after timers and before the loop blocks */
    bool (*fn)(void *ctx);
    void *ctx;
    bool is_over;
    unsigned n_closed;
};

static void
on_prepare(uv_prepare_t *prepare)
{
    struct guard *guard = prepare->data;

    if (guard->fn(guard->ctx))
        uv_stop(prepare->loop);
}

static void
on_guard(uv_timer_t *timer)
{
    ((struct guard *)timer->data)->is_over = true;
}

static void
on_guard_closed(uv_handle_t *handle)
{
    ((struct guard *)handle->data)->n_closed++;
}

/* False: the limit passed. */
static bool
run_until(struct loop *loop, bool (*fn)(void *ctx), void *ctx)
{
    struct guard guard = {.fn = fn, .ctx = ctx};

    uv_timer_init(loop_uv(loop), &guard.timer);
    uv_prepare_init(loop_uv(loop), &guard.prepare);
    guard.timer.data = guard.prepare.data = &guard;
    uv_prepare_start(&guard.prepare, on_prepare);
    uv_update_time(loop_uv(loop));
    uv_timer_start(&guard.timer, on_guard, NET_LIMIT_MS, 0);
    while (!fn(ctx) && !guard.is_over)
        uv_run(loop_uv(loop), UV_RUN_ONCE);
    uv_close((uv_handle_t *)&guard.timer, on_guard_closed);
    uv_close((uv_handle_t *)&guard.prepare, on_guard_closed);
    while (guard.n_closed < 2)
        uv_run(loop_uv(loop), UV_RUN_NOWAIT);
    return fn(ctx);
}

void
net_wait_for(struct loop *loop, bool (*fn)(void *ctx), void *ctx)
{
    if (!run_until(loop, fn, ctx))
        fail_msg("nothing came within %d ms", NET_LIMIT_MS);
}

static bool
flag_is_up(void *ctx)
{
    return *(const bool *)ctx;
}

void
net_wait(struct loop *loop, const bool *flag)
{
    net_wait_for(loop, flag_is_up, (void *)(uintptr_t)flag);
}

void
net_open(struct net_peer *peer, struct loop *loop, uint16_t port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    *peer = (struct net_peer){.loop = loop, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    buf_init(&peer->in, 16u * 1024 * 1024);
    assert_int_equal(connect(peer->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
}

void
net_send_bytes(struct net_peer *peer, struct bytes data)
{
    while (data.len > 0) {
        ssize_t n = send(peer->fd, data.ptr, data.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0) {
            data = bytes_of(data.ptr + n, data.len - (size_t)n);
        } else if (errno == EAGAIN) {
            loop_poll(peer->loop);
        } else {
            return; /* closed by the other side: the reading tells */
        }
    }
}

void
net_send(struct net_peer *peer, const char *text)
{
    net_send_bytes(peer, bytes_of_str(text));
}

static void
take_what_came(struct net_peer *peer)
{
    uint8_t room[65536];
    ssize_t n;

    while ((n = recv(peer->fd, room, sizeof(room), MSG_DONTWAIT)) > 0)
        buf_put(&peer->in, bytes_of(room, (size_t)n));
    if (n == 0 || (n < 0 && errno != EAGAIN))
        peer->is_closed = true;
}

unsigned
net_count(struct net_peer *peer, const char *text)
{
    unsigned n = 0;

    for (const char *at = buf_cstr(&peer->in); (at = strstr(at, text)) != NULL; at++)
        n++;
    return n;
}

struct expectation {
    struct net_peer *peer;
    const char *text;
    unsigned n;
};

static void
on_readable(uv_poll_t *poll, int status, int events)
{
    take_what_came(poll->data);
    if (((struct net_peer *)poll->data)->is_closed)
        uv_poll_stop(poll);
}

static bool
is_met(void *ctx)
{
    struct expectation *e = ctx;

    if (e->text == NULL)
        return e->peer->is_closed;
    return net_count(e->peer, e->text) >= e->n || e->peer->is_closed;
}

static void
on_poll_closed(uv_handle_t *handle)
{
    handle->data = NULL;
}

static void
wait_for_peer(struct expectation *e)
{
    uv_poll_t poll;
    bool met;

    assert_int_equal(uv_poll_init(loop_uv(e->peer->loop), &poll, e->peer->fd), 0);
    poll.data = e->peer;
    if (!e->peer->is_closed)
        uv_poll_start(&poll, UV_READABLE, on_readable);
    met = run_until(e->peer->loop, is_met, e);
    uv_poll_stop(&poll);
    uv_close((uv_handle_t *)&poll, on_poll_closed);
    while (poll.data != NULL)
        uv_run(loop_uv(e->peer->loop), UV_RUN_NOWAIT);
    if (!met)
        fail_msg("\"%s\" did not come within %d ms; so far: %s", e->text == NULL ? "end" : e->text,
                 NET_LIMIT_MS, buf_cstr(&e->peer->in));
}

void
net_expect(struct net_peer *peer, const char *text, unsigned n)
{
    wait_for_peer(&(struct expectation){peer, text, n});
    if (net_count(peer, text) < n)
        fail_msg("\"%s\" came %u times of %u in: %s", text, net_count(peer, text), n,
                 buf_cstr(&peer->in));
}

void
net_expect_close(struct net_peer *peer)
{
    wait_for_peer(&(struct expectation){peer, NULL, 0});
}

void
net_close(struct net_peer *peer)
{
    close(peer->fd);
    buf_free(&peer->in);
}
