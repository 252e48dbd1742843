/* channel.h - one Noise channel over one TCP connection, either role: sockets around crypto/pipe.
 *
 * Owns the socket and the write queue; buffers exist only while bytes are in them. Frames are
 * parsed once, into an arena that lives for the callback. Pings and Close are answered here. Used
 * by the relay for its connections and by link/client.h for ours. TCP_NODELAY always. Source:
 * docs/protocol/wire.md. Thread rule: one loop, the hub's. */
#ifndef PARLEY_LINK_CHANNEL_H
#define PARLEY_LINK_CHANNEL_H

#include <stdbool.h>

#include "base/err.h"
#include "crypto/pipe.h"
#include "link/hub.h"
#include "wire/wire.h"

#define CHANNEL_UNSENT_MAX                                                                         \
    (4u * 1024 * 1024) /* bytes waiting to be written: a slow reader is ended */

struct channel;

enum channel_end {
    CHANNEL_BYE,         /* authenticated close by the peer: see the reason */
    CHANNEL_TRUNCATED,   /* the TCP connection ended without one */
    CHANNEL_FAILED,      /* handshake, tag, framing or schema error */
    CHANNEL_TIMED_OUT,   /* handshake too long, or nothing heard */
    CHANNEL_SLOW,        /* CHANNEL_UNSENT_MAX */
    CHANNEL_UNREACHABLE, /* no name, no route, refused: TCP was never up */
    CHANNEL_LOCAL        /* we closed */
};

struct channel_ops {
    /* The handshake is done: channel_remote_static and channel_hash are known. */
    void (*on_up)(void *ctx, struct channel *channel);
    /* A frame; borrowed for the call. It may call channel_close: then no further frame comes. */
    void (*on_frame)(void *ctx, struct channel *channel, const Parley__Wire__Frame *frame);
    /* The write queue, once above half of its ceiling, is empty again. May be NULL. */
    void (*on_drained)(void *ctx, struct channel *channel);
    /* The end, exactly once, never from inside a channel_… call; the channel is freed afterwards.
     * reason is the peer's with CHANNEL_BYE, ours with CHANNEL_LOCAL. err is never NULL. */
    void (*on_end)(void *ctx, struct channel *channel, enum channel_end how,
                   Parley__Wire__CloseReason reason, const struct err *err);
};

struct channel_opt {
    struct channel_hub *hub;       /* borrowed; outlives the channel */
    struct pipe_opt pipe;          /* role is set here; message_max 0 means WIRE_FRAME_MAX */
    const struct channel_ops *ops; /* borrowed */
    void *ctx;
};

/* Server side: adopt the connection that waits on the listener (uv_accept is called inside).
 * Errors: RC_IO (nothing waits, no descriptors left), RC_NOMEM. */
NODISCARD enum rc channel_accept(struct channel **out, uv_stream_t *listener,
                                 const struct channel_opt *opt, struct err *err);
/* Client side: connect to an address or a name, resolved off the loop; every address is tried. */
NODISCARD enum rc channel_connect(struct channel **out, const char *host, uint16_t port,
                                  const struct channel_opt *opt, struct err *err);

/* Queue a frame; packed and encrypted at once, written together with others of the same loop pass.
 * RC_PROTO before on_up, RC_CLOSED after the end, RC_LIMIT when the peer is too slow (the channel
 * then ends) or the frame too large (it does not). */
NODISCARD enum rc channel_send(struct channel *channel, const Parley__Wire__Frame *frame,
                               struct err *err);
/* Send a Close frame, flush, end. Safe at any time, also twice. on_end follows. */
void channel_close(struct channel *channel, Parley__Wire__CloseReason reason, const char *text);
/* The same for an owner that goes away: no callback comes any more. *channel may be NULL; it is
 * NULL afterwards. */
void channel_abandon(struct channel **channel, Parley__Wire__CloseReason reason);

/* Stop reading from the peer, and go on: for an owner whose own queue is full. Frames that are
 * already read still come, at most one read buffer's worth. Silence is not counted meanwhile. */
void channel_hold(struct channel *channel);
void channel_resume(struct channel *channel);

/* Raise the ceiling of one message from the peer (pipe.message_max), once it is known who it is. */
void channel_raise_message_max(struct channel *channel, size_t message_max);

bool channel_is_up(const struct channel *channel);
/* 32 bytes each, NULL before on_up; borrowed until on_end returns. */
const uint8_t *channel_remote_static(const struct channel *channel);
const uint8_t *channel_hash(const struct channel *channel);
/* The cached server key was wrong and the handshake fell back: replace it. */
bool channel_fell_back(const struct channel *channel);
/* Bytes queued and not yet taken by the kernel. */
size_t channel_unsent(const struct channel *channel);
void *channel_ctx(const struct channel *channel);
void channel_set_ctx(struct channel *channel, void *ctx);
/* Bytes of memory held now: struct, pipe, buffers. */
size_t channel_memory(const struct channel *channel);
/* "127.0.0.1" of the peer, for limits by address; never logged whole. "" before it is known. */
const char *channel_peer_address(const struct channel *channel);
/* Lower-case name ("truncated"), for logs. Static string. */
const char *channel_end_name(enum channel_end how);

#endif
