/* inner.h - what hub.c, dial.c and channel.c know of each other. Private to src/link.
 *
 * A channel is made by channel.c, given its socket by dial.c or by the listener, driven by its
 * socket's events, and asked by the hub to flush and to look at the time. Only channel.c changes
 * its state. Memory goes in finish(), once the socket is closed and no look-up is running. */
#ifndef PARLEY_LINK_INNER_H
#define PARLEY_LINK_INNER_H

#include "link/channel.h"

#define READ_BYTES 65536u                                  /* the read buffer */
#define OUT_MAX (CHANNEL_UNSENT_MAX + 2u * WIRE_FRAME_MAX) /* what is queued, sealed and framed */
#define SCRATCH_KEEP 65536u /* the hub keeps a packing buffer of at most this size */
#define ADDRESS_BYTES 46u   /* an IPv6 address as text, with its NUL */

enum channel_state {
    CH_DIALING,   /* client: name or TCP under way */
    CH_HANDSHAKE, /* TCP is there */
    CH_UP,        /* frames flow */
    CH_CLOSING,   /* our Close is on its way; what still arrives is dropped */
    CH_ENDED      /* the socket is closing; on_end comes with its callback */
};

struct channel {
    uv_tcp_t tcp; /* open from birth until on_closed */
    struct channel_hub *hub;
    struct channel *prev, *next; /* the hub's list */
    struct channel *next_dirty;  /* the hub's list of those with bytes to write */
    struct pipe *pipe;
    struct dial *dial;     /* client, until TCP is up */
    struct flight *flight; /* bytes that the kernel has not taken yet */
    struct buf out;        /* encrypted, waiting for the end of the pass */
    const struct channel_ops *ops;
    void *ctx;
    struct err *why;                        /* owned; NULL: nothing to say */
    uint64_t since_ms, heard_ms, pinged_ms; /* of the loop's clock; since: birth, or our Close */
    enum channel_state state;
    enum channel_end how;
    Parley__Wire__CloseReason reason;
    bool is_open;      /* tcp is initialised and not closed */
    bool is_dirty;     /* on the hub's list */
    bool is_over_half; /* the owner waits for on_drained */
    bool is_held;
    bool was_up;
    bool has_how; /* how is decided: the first cause wins */
    char peer[ADDRESS_BYTES];
};

struct channel_hub {
    struct loop *loop;
    struct log *log;
    uint32_t handshake_ms, ping_ms, dead_ms, linger_ms;
    uv_idle_t flusher; /* active while a channel is dirty: the pass does not block */
    uv_timer_t ticker; /* active while there are channels */
    uint32_t tick_ms;
    struct channel *all, *dirty;
    size_t count;
    unsigned open_handles;
    bool is_closing;
    struct buf scratch; /* one packed frame */
    struct buf answers; /* the handshake's, for the length of one read */
    uint8_t room[READ_BYTES];
};

/* hub.c */
void hub_add(struct channel_hub *hub, struct channel *channel);
void hub_remove(struct channel_hub *hub, struct channel *channel);
void hub_mark_dirty(struct channel_hub *hub, struct channel *channel);

/* dial.c: resolve and connect, address after address. */
NODISCARD enum rc dial_start(struct channel *channel, const char *host, uint16_t port,
                             struct err *err);
/* Try the next address on the channel's fresh socket. */
void dial_next(struct channel *channel);
/* The channel ended: stop what can be stopped. */
void dial_cancel(struct channel *channel);
/* A look-up is still running: the channel must not go yet. */
bool dial_is_pending(const struct channel *channel);
void dial_free(struct dial **dial);

/* channel_write.c */
bool channel_frame_is_secret(const Parley__Wire__Frame *frame);
/* Write what is queued. */
void channel_flush(struct channel *channel);
void channel_fail_write(struct channel *channel, int status);
/* Say Close and stop listening; the end follows when the peer has ended TCP, or after linger_ms. */
void channel_begin_close(struct channel *channel, enum channel_end how,
                         Parley__Wire__CloseReason reason, const char *text, const struct err *err);
void channel_ping(struct channel *channel);

/* channel_read.c */
NODISCARD int channel_read_start(struct channel *channel);

/* channel.c */
uint64_t channel_now_ms(const struct channel *channel);
/* Keep the first cause of the end. err may be NULL. */
void channel_decide(struct channel *channel, enum channel_end how, Parley__Wire__CloseReason reason,
                    const struct err *err);
/* End without another word. */
void channel_end_now(struct channel *channel, enum channel_end how,
                     Parley__Wire__CloseReason reason, const struct err *err);
void channel_on_connected(struct channel *channel);
/* This address is no good: close the socket, make a new one, call dial_next(). */
void channel_reopen(struct channel *channel);
void channel_on_unreachable(struct channel *channel, const struct err *err);
/* The look-up ended after the channel had. */
void channel_on_dial_gone(struct channel *channel);
void channel_tick(struct channel *channel, uint64_t now_ms);
/* End at once without calling the owner (the hub goes). */
void channel_drop(struct channel *channel);

#endif
