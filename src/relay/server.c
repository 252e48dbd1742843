/* server.c - the listener, the door and the thread of one worker.
 *
 * Owns the door: a connection over a ceiling, or from an address that knocks too often, is accepted
 * and closed before it costs a handshake (I39). The ceiling leaves descriptors free for that
 * (relay.c); should the system run out of them all the same, a spare one is given up for a moment.
 * Behind a connection's channel sits a peer, which knows no socket. */
#include "relay/server.h"

#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "link/channel.h"
#include "relay/core.h"
#include "relay/deliver.h"

#define BACKLOG 1024
#define TICK_MS 250
/* Before the login; a registration with all its keys fits. */
#define OPENING_FRAME_MAX (64u * 1024)

/* ---- between channel and peer ---- */

static enum rc
io_send(void *ctx, const Parley__Wire__Frame *frame)
{
    return channel_send(ctx, frame, NULL);
}

static void
io_close(void *ctx, Parley__Wire__CloseReason reason, const char *text)
{
    channel_close(ctx, reason, text);
}

static size_t
io_unsent(void *ctx)
{
    return channel_unsent(ctx);
}

static void
io_hold(void *ctx, bool is_on)
{
    if (is_on)
        channel_hold(ctx);
    else
        channel_resume(ctx);
}

static void
io_trust(void *ctx)
{
    channel_raise_message_max(ctx, WIRE_FRAME_MAX);
}

static const struct peer_io channel_io = {io_send, io_close, io_unsent, io_hold, io_trust};

static void
on_up(void *ctx, struct channel *channel)
{
    peer_up(ctx, channel_remote_static(channel), channel_hash(channel));
}

static void
on_frame(void *ctx, struct channel *channel, const Parley__Wire__Frame *frame)
{
    peer_frame(ctx, frame);
}

static void
on_drained(void *ctx, struct channel *channel)
{
    deliver_drained(ctx);
}

static void
on_end(void *ctx, struct channel *channel, enum channel_end how, Parley__Wire__CloseReason reason,
       const struct err *err)
{
    struct peer *peer = ctx;
    struct relay *relay = peer->worker->relay;

    log_event(relay->log, LOG_DEBUG, "peer.end", LOG_STR("how", channel_end_name(how)),
              LOG_NUM("account", peer->account), LOG_STR("error", err->text));
    atomic_fetch_sub(&relay->n_connections, 1);
    peer_gone(peer);
}

static const struct channel_ops channel_ops = {on_up, on_frame, on_drained, on_end};

/* ---- the door ---- */

static bool
is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

static void
close_handle(uv_handle_t *handle)
{
    free(handle);
}

/* Take the connection off the backlog and end it, unread. */
static void
turn_away(struct worker *worker)
{
    uv_tcp_t *tcp = calloc(1, sizeof(*tcp));

    if (tcp == NULL)
        return;
    uv_tcp_init(loop_uv(worker->loop), tcp);
    (void)!uv_accept((uv_stream_t *)&worker->listener, (uv_stream_t *)tcp);
    uv_close((uv_handle_t *)tcp, close_handle);
}

/* No descriptor left to accept with: use the spare one, or the connection would wait for ever. */
static void
turn_away_with_spare(struct worker *worker)
{
    uv_os_fd_t listener;
    int fd;

    if (worker->spare_fd >= 0)
        close(worker->spare_fd);
    if (uv_fileno((uv_handle_t *)&worker->listener, &listener) == 0 &&
        (fd = accept(listener, NULL, NULL)) >= 0)
        close(fd);
    worker->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static bool
is_full(struct relay *relay)
{
    return atomic_load(&relay->n_connections) >= relay->limits.connections ||
           atomic_load(&relay->n_opening) >= relay->limits.opening;
}

/* Put a peer behind the channel, or end it: its address has knocked too often, or memory is short.
 */
static void
seat(struct worker *worker, struct channel *channel)
{
    struct relay *relay = worker->relay;
    const char *address = channel_peer_address(channel);
    uint64_t key = 0;
    struct peer *peer;

    if (relay->limits.count_loopback || !is_loopback(address))
        key = limiter_key(relay->limiter, address);
    if (key != 0 &&
        !limiter_take(relay->limiter, LIMIT_HANDSHAKE, key, 0, relay->limits.handshakes_per_10s,
                      10000, clock_mono_ms(relay->clock), NULL)) {
        atomic_fetch_add(&relay->counters.refused_throttle, 1);
        channel_abandon(&channel, PARLEY__WIRE__CLOSE_REASON__SLOW);
        return;
    }
    if ((peer = peer_new(worker, &channel_io, channel)) == NULL) {
        channel_abandon(&channel, PARLEY__WIRE__CLOSE_REASON__DRAINING);
        return;
    }
    peer->address_key = key;
    channel_set_ctx(channel, peer);
    atomic_fetch_add(&relay->n_connections, 1);
    atomic_fetch_add(&relay->n_opening, 1);
    atomic_fetch_add(&relay->counters.accepted, 1);
}

static void
on_connection(uv_stream_t *listener, int status)
{
    struct worker *worker = listener->data;
    struct relay *relay = worker->relay;
    struct channel *channel;
    struct channel_opt opt = {
        .hub = worker->hub,
        .ops = &channel_ops,
        .pipe = {.local_static = &relay->key,
                 .payload = bytes_of(relay->certificate, relay->certificate_len),
                 .message_max = OPENING_FRAME_MAX,
                 .rng = relay->rng}
    };

    if (status == UV_EMFILE || status == UV_ENFILE)
        turn_away_with_spare(worker);
    if (status != 0)
        return;
    if (is_full(relay)) {
        atomic_fetch_add(&relay->counters.refused_full, 1);
        turn_away(worker);
        return;
    }
    if (channel_accept(&channel, listener, &opt, NULL) == RC_OK)
        seat(worker, channel);
}

/* ---- one worker ---- */

static void
on_tick(struct loop_timer *timer)
{
    struct worker *worker = (struct worker *)((char *)timer - offsetof(struct worker, tick));
    int64_t now = clock_mono_ms(worker->relay->clock);

    for (struct peer *peer = worker->opening, *next; peer != NULL; peer = next) {
        next = peer->older;
        peer_tick(peer, now);
    }
}

/* A socket of its own per loop on one shared port: the kernel spreads connections. */
static enum rc
open_socket(int *out, struct relay *relay, const char *host, struct err *err)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char port[8];
    int fd, on = 1;
    enum rc rc = RC_OK;

    *out = -1;
    snprintf(port, sizeof(port), "%u", relay->port);
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return err_set(err, RC_INVAL, "relay.listen", "'%s' is not an address", host);
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (relay->n_workers > 1 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
        bind(fd, found->ai_addr, found->ai_addrlen) != 0)
        rc = err_errno(err, RC_IO, "relay.listen", errno, "cannot listen");
    freeaddrinfo(found);
    if (rc != RC_OK && fd >= 0)
        close(fd);
    else
        *out = fd;
    return rc;
}

static enum rc
note_port(struct relay *relay, int fd, struct err *err)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof(at);

    if (getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        return err_errno(err, RC_IO, "relay.listen", errno, "cannot read the port");
    relay->port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                                 : ((struct sockaddr_in *)&at)->sin_port);
    return RC_OK;
}

static enum rc
listen_on(struct worker *worker, const char *host, struct err *err)
{
    int fd;
    enum rc rc = open_socket(&fd, worker->relay, host, err);

    if (rc != RC_OK || (rc = note_port(worker->relay, fd, err)) != RC_OK)
        return rc;
    uv_tcp_init(loop_uv(worker->loop), &worker->listener);
    worker->listener.data = worker;
    if (uv_tcp_open(&worker->listener, fd) != 0 ||
        uv_listen((uv_stream_t *)&worker->listener, BACKLOG, on_connection) != 0) {
        uv_close((uv_handle_t *)&worker->listener, NULL);
        return err_set(err, RC_IO, "relay.listen", "cannot listen on %s:%u", host,
                       worker->relay->port);
    }
    worker->is_listening = true;
    return RC_OK;
}

static void *
worker_main(void *arg)
{
    struct worker *worker = arg;

    loop_run(worker->loop);
    return NULL;
}

enum rc
worker_prepare(struct worker *worker, struct relay *relay, unsigned index, const char *host,
               struct err *err)
{
    struct channel_hub_opt hub = {.log = relay->log, .handshake_ms = relay->limits.handshake_ms};
    enum rc rc;

    worker->relay = relay;
    worker->index = index;
    worker->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if ((rc = loop_new(&worker->loop, err)) != RC_OK)
        return rc;
    hub.loop = worker->loop;
    if ((rc = channel_hub_open(&worker->hub, &hub, err)) != RC_OK)
        return rc;
    loop_timer_init(worker->loop, &worker->tick, on_tick);
    loop_timer_start(&worker->tick, TICK_MS, TICK_MS);
    return listen_on(worker, host, err);
}

enum rc
worker_run(struct worker *worker, struct err *err)
{
    int status = pthread_create(&worker->thread, NULL, worker_main, worker);

    if (status != 0)
        return err_errno(err, RC_IO, "relay.worker", status, "cannot start a thread");
    worker->has_thread = true;
    return RC_OK;
}

static void
drain(struct loop_post *post)
{
    struct worker *worker = (struct worker *)((char *)post - offsetof(struct worker, drain));

    if (worker->is_listening)
        uv_close((uv_handle_t *)&worker->listener, NULL);
    worker->is_listening = false;
    for (uint32_t i = 0; i < worker->n_slots; i++) {
        if (worker->slots[i] != NULL)
            peer_close(worker->slots[i], PARLEY__WIRE__CLOSE_REASON__DRAINING,
                       "the relay restarts");
    }
}

void
worker_drain(struct worker *worker)
{
    worker->drain.fn = drain;
    loop_post(worker->loop, &worker->drain);
}

static void
stop(struct loop_post *post)
{
    struct worker *worker = (struct worker *)((char *)post - offsetof(struct worker, stop));

    loop_stop(worker->loop);
}

void
worker_join(struct worker *worker)
{
    if (!worker->has_thread)
        return;
    worker->stop.fn = stop;
    loop_post(worker->loop, &worker->stop);
    pthread_join(worker->thread, NULL);
    worker->has_thread = false;
}

void
worker_free(struct worker *worker)
{
    /* peers first: their channels report no end any more */
    channel_hub_free(&worker->hub);
    for (uint32_t i = 0; i < worker->n_slots; i++) {
        if (worker->slots[i] != NULL)
            peer_gone(worker->slots[i]);
    }
    if (worker->loop != NULL && worker->spare_fd >= 0)
        close(worker->spare_fd);
    loop_free(&worker->loop);
    free(worker->slots);
    free(worker->turns);
}
