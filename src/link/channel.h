/* channel.h - one Noise channel over one TCP connection, either role: sockets around crypto/pipe.
 *
 * Owns the socket, the write queue and the handshake timer; buffers exist only while bytes are in
 * them. Frames are parsed once, into an arena that lives for the callback. Used by the relay for its
 * connections and by link/client.h for ours. TCP_NODELAY always. Thread rule: one loop. */
#ifndef PARLEY_LINK_CHANNEL_H
#define PARLEY_LINK_CHANNEL_H

#include <stdbool.h>

#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "crypto/pipe.h"
#include "wire/wire.h"

#define CHANNEL_HANDSHAKE_MS 10000u /* before authentication a peer has this long (I39) */
#define CHANNEL_PING_MS 30000u      /* idle: a ping inside the channel */
#define CHANNEL_DEAD_MS 75000u      /* nothing heard: closed */
#define CHANNEL_UNSENT_MAX (4u * 1024 * 1024) /* bytes waiting to be written: a slow reader is closed */

struct channel;

enum channel_end {
    CHANNEL_BYE,        /* authenticated close by the peer: see close_reason */
    CHANNEL_TRUNCATED,  /* the TCP connection ended without one */
    CHANNEL_FAILED,     /* handshake, tag, framing or schema error */
    CHANNEL_TIMED_OUT,
    CHANNEL_SLOW,
    CHANNEL_LOCAL,      /* we closed */
};

struct channel_ops {
    /* The handshake is done: channel_remote_static and channel_hash are known. */
    void (*on_up)(void *ctx, struct channel *channel);
    /* A frame; borrowed for the call. Pings are answered below. It may call channel_close. */
    void (*on_frame)(void *ctx, struct channel *channel, const Parley__Wire__Frame *frame);
    /* The write queue, once above half of its ceiling, is empty again. May be NULL. */
    void (*on_drained)(void *ctx, struct channel *channel);
    /* The end, exactly once, never from inside a channel_… call; the channel is freed afterwards. */
    void (*on_end)(void *ctx, struct channel *channel, enum channel_end how,
                   Parley__Wire__CloseReason reason, const struct err *err);
};

struct channel_opt {
    struct loop *loop;
    struct log *log;
    struct pipe_opt pipe;
    const struct channel_ops *ops;
    void *ctx;
};

/* Server side: adopt an accepted connection. takes *tcp's stream by uv_accept inside. */
NODISCARD enum rc channel_accept(struct channel **out, uv_stream_t *listener,
                                 const struct channel_opt *opt, struct err *err);
/* Client side: connect to an address "127.0.0.1" / "::1" or a name (resolved off the loop). */
NODISCARD enum rc channel_connect(struct channel **out, const char *host, uint16_t port,
                                  const struct channel_opt *opt, struct err *err);

/* Queue a frame; packed and encrypted at once, written together with others of the same loop pass.
 * RC_CLOSED after the end, RC_LIMIT when the peer is too slow (the channel then ends). */
NODISCARD enum rc channel_send(struct channel *channel, const Parley__Wire__Frame *frame,
                               struct err *err);
/* Send a Close frame, flush, end. Safe at any time, also twice. */
void channel_close(struct channel *channel, Parley__Wire__CloseReason reason, const char *text);

const uint8_t *channel_remote_static(const struct channel *channel); /* 32 bytes, once up */
const uint8_t *channel_hash(const struct channel *channel);          /* 32 bytes, once up */
bool channel_fell_back(const struct channel *channel);
/* Server key the client talked to, to be cached for IK; 32 bytes, once up. */
size_t channel_unsent(const struct channel *channel);
void *channel_ctx(const struct channel *channel);
void channel_set_ctx(struct channel *channel, void *ctx);
size_t channel_memory(const struct channel *channel);
/* "127.0.0.1" of the peer, for limits by address; never logged whole. */
const char *channel_peer_address(const struct channel *channel);

#endif
