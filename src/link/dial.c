/* dial.c - the way to a TCP connection: a name looked up off the loop, its addresses tried in turn.
 *
 * Owns the list of addresses and the two requests, which exist only while dialing: an established
 * connection does not pay for them. Never touches the handshake. Source: docs/protocol/wire.md. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "link/inner.h"

#define HOST_MAX 255u /* a name in DNS */

struct dial {
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    struct addrinfo *list;     /* owned by libuv's uv_freeaddrinfo */
    const struct addrinfo *at; /* the next to try */
    bool is_resolving;
    struct err last; /* why the last address failed */
};

static void
on_connected(uv_connect_t *request, int status)
{
    struct channel *channel = request->data;

    if (status == UV_ECANCELED || channel->state != CH_DIALING)
        return; /* the socket is closing, its callback does the rest */
    if (status != 0) {
        err_set(&channel->dial->last, RC_IO, "dial.connect", "%s", uv_strerror(status));
        channel_reopen(channel);
        return;
    }
    channel_on_connected(channel);
}

void
dial_next(struct channel *channel)
{
    struct dial *dial = channel->dial;
    const struct addrinfo *at = dial->at;
    int status;

    if (at == NULL) {
        channel_on_unreachable(channel, &dial->last);
        return;
    }
    dial->at = at->ai_next;
    dial->connect.data = channel;
    status = uv_tcp_connect(&dial->connect, &channel->tcp, at->ai_addr, on_connected);
    if (status != 0) {
        err_set(&dial->last, RC_IO, "dial.connect", "%s", uv_strerror(status));
        channel_reopen(channel); /* the socket may be of this address's family already */
    }
}

static void
on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct channel *channel = request->data;
    struct dial *dial = channel->dial;

    dial->is_resolving = false;
    dial->list = list;
    dial->at = list;
    if (channel->state != CH_DIALING) {
        channel_on_dial_gone(channel);
        return;
    }
    err_set(&dial->last, RC_IO, "dial.resolve", "%s",
            status == 0 ? "no address" : uv_strerror(status));
    dial_next(channel);
}

enum rc
dial_start(struct channel *channel, const char *host, uint16_t port, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    char service[6];
    int status;

    if (strlen(host) > HOST_MAX)
        return err_set(err, RC_INVAL, "dial.start", "the host name is too long");
    channel->dial = calloc(1, sizeof(*channel->dial));
    if (channel->dial == NULL)
        return err_set(err, RC_NOMEM, "dial.start", "out of memory");
    snprintf(service, sizeof(service), "%u", (unsigned)port);
    channel->dial->resolve.data = channel;
    status = uv_getaddrinfo(channel->tcp.loop, &channel->dial->resolve, on_resolved, host, service,
                            &hints);
    if (status != 0)
        return err_set(err, RC_IO, "dial.start", "%s", uv_strerror(status));
    channel->dial->is_resolving = true;
    return RC_OK;
}

void
dial_cancel(struct channel *channel)
{
    if (dial_is_pending(channel))
        (void)uv_cancel(
            (uv_req_t *)&channel->dial->resolve); /* too late is no harm: it ends soon */
}

bool
dial_is_pending(const struct channel *channel)
{
    return channel->dial != NULL && channel->dial->is_resolving;
}

void
dial_free(struct dial **dial)
{
    if (*dial == NULL)
        return;
    assert(!(*dial)->is_resolving);
    uv_freeaddrinfo((*dial)->list);
    free(*dial);
    *dial = NULL;
}
