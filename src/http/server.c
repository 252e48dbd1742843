/* server.c - the server's place in the loop: its socket, its turns, its deadlines.
 *
 * Owns the daemon and the list of connections. Must never block: the daemon runs only when its
 * epoll descriptor is readable, and again at once while it says that data wait. Connections carry
 * one deadline each instead of the daemon's idle timer, so that a peer that drips bytes is cut off
 * too. */
#include "http/server_parts.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SWEEP_MS 1000u
#define BACKLOG 1024
#define OWNER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define TURNS_MAX 4u          /* of the daemon before other handles of the loop get theirs */
#define IDLE_PAUSE_MAX_MS 32u /* between turns that the daemon asks for and does nothing with */

/* ---- connections ---- */

void
http_conn_stage(struct http_conn *conn, enum conn_stage stage, uint64_t timeout_ms)
{
    conn->stage = stage;
    conn->deadline_ms = uv_now(loop_uv(conn->server->loop)) + timeout_ms;
}

static void
conn_open(struct http_server *server, struct MHD_Connection *mhd, void **socket_context)
{
    struct http_conn *conn = calloc(1, sizeof(*conn));

    *socket_context = conn;
    if (server->is_tls)
        http_tls_arm(server, mhd, conn);
    if (conn == NULL)
        return; /* its handshake fails, its requests are refused */
    conn->server = server;
    conn->mhd = mhd;
    conn->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    conn->next = server->conns;
    if (conn->next != NULL)
        conn->next->prev = conn;
    server->conns = conn;
    if (server->n_conns++ == 0 && !server->is_closing)
        loop_timer_start(&server->sweep, SWEEP_MS, SWEEP_MS);
    http_conn_stage(conn, CONN_HEAD, server->head_timeout_ms);
}

static void
conn_close(struct http_server *server, struct http_conn *conn)
{
    if (conn == NULL)
        return;
    if (conn->prev != NULL)
        conn->prev->next = conn->next;
    else
        server->conns = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
    if (--server->n_conns == 0)
        loop_timer_stop(&server->sweep);
    free(conn->peer_name);
    free(conn);
}

static void
on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
              enum MHD_ConnectionNotificationCode code)
{
    ((struct http_server *)cls)->has_progress = true;
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        conn_open(cls, mhd, socket_context);
    else
        conn_close(cls, *socket_context);
}

static void
on_sweep(struct loop_timer *timer)
{
    struct http_server *server = OWNER_OF(timer, struct http_server, sweep);
    uint64_t now = uv_now(loop_uv(server->loop));

    for (struct http_conn *c = server->conns; c != NULL; c = c->next) {
        if (c->stage == CONN_WAITS || c->stage == CONN_STREAMS || now < c->deadline_ms)
            continue;
        log_event(server->log, LOG_DEBUG, "http.deadline", LOG_INT("stage", c->stage));
        shutdown(c->fd, SHUT_RDWR); /* the daemon sees the end and closes */
    }
}

/* ---- turns ---- */

static bool
wants_turn(const struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;

    return server->has_resumed ||
           (MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES && wait_ms == 0);
}

/* The daemon goes on asking for turns while a peer is silent in the middle of its TLS handshake. So
 * turns in which nothing happened are followed by growing pauses; what the peer sends ends them. A
 * timer must not start itself with no delay: the loop would never get past it. */
static void
run_daemon(struct http_server *server, uint64_t pause_ms)
{
    unsigned turn = 0;

    server->is_running = true;
    do {
        server->has_resumed = false;
        server->has_progress = false;
        MHD_run(server->daemon);
    } while (wants_turn(server) && server->has_progress && ++turn < TURNS_MAX);
    server->is_running = false;
    if (server->has_progress)
        server->idle_pause_ms = 0;
    if (!wants_turn(server))
        return;
    if (!server->has_progress) {
        server->idle_pause_ms = server->idle_pause_ms == 0 ? 1 : 2 * server->idle_pause_ms;
        if (server->idle_pause_ms > IDLE_PAUSE_MAX_MS)
            server->idle_pause_ms = IDLE_PAUSE_MAX_MS;
        pause_ms = server->idle_pause_ms;
    }
    loop_timer_start(&server->again, pause_ms, 0);
}

void
http_conn_resume(struct http_conn *conn)
{
    struct http_server *server = conn->server;

    MHD_resume_connection(conn->mhd);
    if (!server->has_resumed && !server->is_running)
        loop_timer_start(&server->again, 0, 0); /* once for all replies of a batch */
    server->has_resumed = server->has_progress = true;
}

static void
on_readable(uv_poll_t *poll, int status, int events)
{
    run_daemon(poll->data, 0);
}

static void
on_again(struct loop_timer *timer)
{
    run_daemon(OWNER_OF(timer, struct http_server, again), 1);
}

/* ---- opening and closing ---- */

static enum rc
bind_socket(int *out, const struct addrinfo *ai, struct err *err)
{
    int one = 1;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    *out = -1;
    if (fd < 0)
        return err_errno(err, RC_IO, "http.listen", errno, "socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        enum rc rc = errno == EADDRINUSE ? RC_BUSY : RC_IO;

        err_errno(err, rc, "http.listen", errno, "cannot listen on the address");
        close(fd);
        return rc;
    }
    *out = fd;
    return RC_OK;
}

static enum rc
listen_on(int *out, const char *host, uint16_t port, struct err *err)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char service[8];
    int status;
    enum rc rc;

    *out = -1;
    snprintf(service, sizeof(service), "%u", (unsigned)port);
    if ((status = getaddrinfo(host, service, &hints, &list)) != 0)
        return err_set(err, RC_INVAL, "http.listen", "%s: %s", host, gai_strerror(status));
    rc = bind_socket(out, list, err);
    freeaddrinfo(list);
    return rc;
}

static enum rc
start_daemon(struct http_server *server, int fd, const struct http_server_opt *opt, struct err *err)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO;
    unsigned limit = opt->connections_max == 0 ? HTTP_CONNECTIONS_MAX : opt->connections_max;
    const char *versions = server->needs_client_cert ? "NORMAL:-VERS-ALL:+VERS-TLS1.3"
                                                     : "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
    struct MHD_OptionItem options[4] = {{.option = MHD_OPTION_END}};

    if (server->is_tls) {
        options[0] = (struct MHD_OptionItem){.option = MHD_OPTION_HTTPS_CERT_CALLBACK,
                                             .ptr_value = (void *)(uintptr_t)http_on_certificate};
        options[1] = (struct MHD_OptionItem){.option = MHD_OPTION_HTTPS_PRIORITIES,
                                             .ptr_value = (void *)(uintptr_t)versions};
        options[2].option = MHD_OPTION_END;
    }
    if (server->needs_client_cert) {
        options[2] = (struct MHD_OptionItem){.option = MHD_OPTION_HTTPS_MEM_TRUST,
                                             .ptr_value = (void *)(uintptr_t)opt->client_ca_pem};
        options[3].option = MHD_OPTION_END;
    }
    if (server->is_tls)
        flags |= MHD_USE_TLS;
    server->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, http_on_access, server, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_CONNECTION_MEMORY,
        MHD_OPTION_CONNECTION_LIMIT, limit, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        HTTP_CONNECTIONS_PER_IP_MAX, MHD_OPTION_CONNECTION_TIMEOUT, 0u,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK, http_on_unescape, server,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_NOTIFY_COMPLETED,
        http_on_completed, server, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (server->daemon == NULL)
        return err_set(err, RC_IO, "http.open", "the HTTP library refused to start");
    return RC_OK;
}

static uint16_t
port_of(int fd)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);

    if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        return 0;
    return ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                            : ((struct sockaddr_in *)&addr)->sin_port);
}

static void
release(struct http_server *server)
{
    if (--server->open_handles == 0)
        free(server);
}

static void
on_poll_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void
on_again_closed(struct loop_timer *timer)
{
    release(OWNER_OF(timer, struct http_server, again));
}

static void
on_sweep_closed(struct loop_timer *timer)
{
    release(OWNER_OF(timer, struct http_server, sweep));
}

static enum rc
join_loop(struct http_server *server, struct err *err)
{
    int fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    int status = uv_poll_init(loop_uv(server->loop), &server->poll, fd);

    if (status != 0)
        return err_set(err, RC_IO, "http.open", "%s", uv_strerror(status));
    server->poll.data = server;
    loop_timer_init(server->loop, &server->again, on_again);
    loop_timer_init(server->loop, &server->sweep, on_sweep);
    server->open_handles = 3;
    uv_poll_start(&server->poll, UV_READABLE, on_readable);
    run_daemon(server, 0); /* puts the listening socket into the epoll set */
    return RC_OK;
}

enum rc
http_server_open(struct http_server **out, const struct http_server_opt *opt, struct err *err)
{
    struct http_server *server = calloc(1, sizeof(*server));
    int fd = -1;
    enum rc rc;

    *out = NULL;
    if (server == NULL)
        return err_set(err, RC_NOMEM, "http.open", "out of memory");
    server->loop = opt->loop;
    server->log = opt->log;
    server->max_body = opt->max_body;
    server->head_timeout_ms =
        opt->head_timeout_ms == 0 ? HTTP_HEAD_TIMEOUT_S * 1000u : opt->head_timeout_ms;
    server->is_tls = opt->cert_pem != NULL;
    server->needs_client_cert = opt->client_ca_pem != NULL;
    server->on_request = opt->on_request;
    server->on_refuse = opt->on_refuse;
    server->ctx = opt->ctx;
    if (server->is_tls &&
        (rc = http_identity_set(server, opt->cert_pem, opt->key_pem, err)) != RC_OK)
        goto fail;
    if ((rc = listen_on(&fd, opt->host, opt->port, err)) != RC_OK)
        goto fail;
    server->port = port_of(fd);
    if ((rc = start_daemon(server, fd, opt, err)) != RC_OK) {
        close(fd);
        goto fail;
    }
    if ((rc = join_loop(server, err)) != RC_OK)
        goto fail;
    *out = server;
    return RC_OK;
fail:
    if (server->daemon != NULL)
        MHD_stop_daemon(server->daemon);
    http_identities_free(server);
    free(server);
    return rc;
}

void
http_server_free(struct http_server **server)
{
    struct http_server *s = *server;

    if (s == NULL)
        return;
    *server = NULL;
    s->is_closing = true;
    for (struct http_conn *c = s->conns; c != NULL; c = c->next)
        if (c->req != NULL && c->req->is_suspended)
            http_conn_resume(c); /* the daemon stops only with nobody suspended */
    uv_poll_stop(&s->poll);
    MHD_stop_daemon(s->daemon);
    assert(s->n_conns == 0);
    http_identities_free(s);
    uv_close((uv_handle_t *)&s->poll, on_poll_closed);
    loop_timer_close(&s->again, on_again_closed);
    loop_timer_close(&s->sweep, on_sweep_closed);
}

uint16_t
http_server_port(const struct http_server *server)
{
    return server->port;
}

uint32_t
http_server_connections(const struct http_server *server)
{
    return server->n_conns;
}

enum rc
http_server_set_cert(struct http_server *server, const char *cert_pem, const char *key_pem,
                     struct err *err)
{
    if (!server->is_tls)
        return err_set(err, RC_PROTO, "http.set_cert", "this server speaks plain HTTP");
    return http_identity_set(server, cert_pem, key_pem, err);
}
