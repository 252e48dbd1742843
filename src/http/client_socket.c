/* client_socket.c - curl's sockets and its timer on our loop.
 *
 * Owns one watch a descriptor. A connection that is kept alive stays armed for reading between two
 * calls, because taking it out of the kernel's set and putting it back would cost two system calls
 * a call; so a descriptor that curl opened through us leaves through http_on_curl_close. Curl
 * closes some of those without that call (connections given up before they were made), so when it
 * drops its interest we look whether the descriptor is still the socket that we opened. Descriptors
 * that curl made by itself (its resolver's) leave as soon as it drops its interest. */
#include "http/client_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct http_watch {
    uv_poll_t poll;
    struct http_client *client;
    int fd;
    int armed;    /* uv events the loop watches for */
    int wanted;   /* uv events curl wants */
    ino_t socket; /* the socket opened through http_on_curl_open; 0: not by us */
};

void
http_client_release(struct http_client *client)
{
    if (--client->open_handles > 0)
        return;
    free(client->watches);
    free((void *)(uintptr_t)client->opt.ca_file);
    free((void *)(uintptr_t)client->opt.cert_file);
    free((void *)(uintptr_t)client->opt.key_file);
    free(client);
}

static void
on_watch_closed(uv_handle_t *handle)
{
    struct http_watch *watch = handle->data;
    struct http_client *client = watch->client;

    free(watch);
    http_client_release(client);
}

static void
watch_close(struct http_watch *watch)
{
    watch->client->watches[watch->fd] = NULL;
    uv_poll_stop(&watch->poll);
    uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

static struct http_watch *
watch_of(struct http_client *client, int fd)
{
    return fd >= 0 && (size_t)fd < client->n_watches ? client->watches[fd] : NULL;
}

/* Which socket a descriptor is; 0 if none. */
static ino_t
socket_at(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
}

static bool
make_room(struct http_client *client, int fd)
{
    size_t n = client->n_watches == 0 ? 64 : client->n_watches;
    struct http_watch **more;

    while (n <= (size_t)fd)
        n *= 2;
    if (n == client->n_watches)
        return true;
    if ((more = realloc(client->watches, n * sizeof(struct http_watch *))) == NULL)
        return false;
    for (size_t i = client->n_watches; i < n; i++)
        more[i] = NULL;
    client->watches = more;
    client->n_watches = n;
    return true;
}

static struct http_watch *
watch_open(struct http_client *client, int fd, ino_t socket)
{
    struct http_watch *watch = watch_of(client, fd);

    if (watch != NULL) /* of a socket that was closed behind our back */
        watch_close(watch);
    if (!make_room(client, fd) || (watch = calloc(1, sizeof(*watch))) == NULL)
        return NULL;
    if (uv_poll_init(loop_uv(client->loop), &watch->poll, fd) != 0) {
        free(watch);
        return NULL;
    }
    watch->poll.data = watch;
    watch->client = client;
    watch->fd = fd;
    watch->socket = socket;
    client->watches[fd] = watch;
    client->open_handles++;
    return watch;
}

static void on_event(uv_poll_t *poll, int status, int events);

static void
watch_arm(struct http_watch *watch)
{
    uv_poll_start(&watch->poll, watch->wanted, on_event);
    watch->armed = watch->wanted;
}

static int
curl_flags(int events)
{
    return (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
           (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
}

/* A reset comes with what had arrived before it: curl reads that first and meets the error itself,
 * so an error is told as readiness. The loop has disarmed the watch by then. */
static void
on_event(uv_poll_t *poll, int status, int events)
{
    struct http_watch *watch = poll->data;
    struct http_client *client = watch->client;
    int fd = watch->fd, running;

    if (status < 0) {
        watch->armed = 0;
        events = watch->wanted;
    }
    if (watch->wanted == 0) { /* idle: the peer closed, or sent what nobody asked for */
        uv_poll_stop(poll);
        watch->armed = 0;
        return;
    }
    curl_multi_socket_action(client->multi, fd, curl_flags(events), &running);
    if (watch_of(client, fd) == watch && watch->armed == 0 && watch->wanted != 0)
        watch_arm(watch);
    http_client_reap(client);
}

static int
uv_events(int what)
{
    switch (what) {
    case CURL_POLL_IN:
        return UV_READABLE;
    case CURL_POLL_OUT:
        return UV_WRITABLE;
    case CURL_POLL_INOUT:
        return UV_READABLE | UV_WRITABLE;
    default:
        return 0;
    }
}

int
http_on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *unused)
{
    struct http_client *client = ctx;
    struct http_watch *watch = watch_of(client, fd);

    if (watch == NULL) {
        if (what == CURL_POLL_REMOVE)
            return 0;
        if ((watch = watch_open(client, fd, 0)) == NULL)
            return -1;
    }
    watch->wanted = uv_events(what);
    if (watch->wanted == 0) {
        if (watch->socket == 0 || socket_at(fd) != watch->socket)
            watch_close(watch);
        else if (watch->armed & UV_WRITABLE) /* would fire for ever */
            watch->armed = uv_poll_stop(&watch->poll);
    } else if (watch->armed != watch->wanted) {
        watch_arm(watch);
    }
    return 0;
}

curl_socket_t
http_on_curl_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *addr)
{
    int fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, addr->protocol);

    if (fd >= 0 && watch_open(ctx, fd, socket_at(fd)) == NULL) {
        close(fd);
        fd = -1;
    }
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

int
http_on_curl_close(void *ctx, curl_socket_t fd)
{
    struct http_watch *watch = watch_of(ctx, fd);

    if (watch != NULL)
        watch_close(watch);
    return close(fd);
}

void
http_client_unwatch(struct http_client *client)
{
    for (size_t i = 0; i < client->n_watches; i++)
        if (client->watches[i] != NULL)
            watch_close(client->watches[i]);
}

int
http_on_curl_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    struct http_client *client = ctx;

    if (client->is_closing)
        return 0;
    if (timeout_ms < 0)
        loop_timer_stop(&client->timer);
    else
        loop_timer_start(&client->timer, (uint64_t)timeout_ms, 0);
    return 0;
}

void
http_on_timer(struct loop_timer *timer)
{
    struct http_client *client = (void *)((char *)timer - offsetof(struct http_client, timer));
    int running;

    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    http_client_reap(client);
}
