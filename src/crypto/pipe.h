/* pipe.h - Noise Pipes as a sans-I/O state machine: TCP bytes in, whole messages out, and back.
 *
 * Owns the hello, the framing (u24 length, pieces with a "more follows" flag), the handshake with
 * its fallback, and the ciphers. Knows no socket, no clock and no message schema. Before the
 * handshake is done a peer can make it hold at most PIPE_HANDSHAKE_MAX bytes.
 * Source: docs/protocol/transport.md. Thread rule: one owner. */
#ifndef PARLEY_CRYPTO_PIPE_H
#define PARLEY_CRYPTO_PIPE_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/rng.h"
#include "crypto/noise.h"

#define PIPE_HANDSHAKE_MAX 4096u                     /* one handshake frame */
#define PIPE_PAYLOAD_MAX (PIPE_HANDSHAKE_MAX - 128u) /* a certificate or a hint in it */
#define PIPE_MESSAGE_MAX (16u * 1024 * 1024)         /* one reassembled message; owners set less */

enum pipe_state {
    PIPE_CLIENT_START,      /* nothing sent yet */
    PIPE_CLIENT_XX_SENT,    /* XX 1 sent, waiting for XX 2 */
    PIPE_CLIENT_IK_SENT,    /* IK 1 sent, waiting for IK 2 or a fallback */
    PIPE_SERVER_WAIT_HELLO, /* nothing but raw bytes so far */
    PIPE_SERVER_WAIT_LAST,  /* XX 2 or fallback sent, waiting for the client's static key */
    PIPE_UP,                /* both ciphers ready */
    PIPE_DEAD               /* failed: close the socket, say nothing */
};

struct pipe;

struct pipe_opt {
    enum noise_role role;
    const struct noise_keypair
        *local_static;    /* borrowed until up: not touched after that, nor by pipe_free */
    struct bytes payload; /* server: its certificate, sent in XX 2 / fallback; client: its login
                             hint, sent in XX 3 / IK 1; copied */
    const uint8_t *known_server; /* client: 32-byte cached server key → IK; NULL → XX */
    size_t message_max;          /* ceiling of one reassembled message, <= PIPE_MESSAGE_MAX */
    struct rng rng;
    /* Client, and there it is a must: decide whether this server key with this certificate payload
     * is the right server. Called for XX 2 and the fallback before the client's own key is sent;
     * not called for IK 2. */
    enum rc (*check_server)(void *ctx, const uint8_t server_static[32], struct bytes certificate,
                            struct err *err);
    void *ctx;
};

NODISCARD enum rc pipe_new(struct pipe **out, const struct pipe_opt *opt, struct err *err);
/* Clears every key. */
void pipe_free(struct pipe **pipe);

/* Client: append the hello and first handshake message to *out. */
NODISCARD enum rc pipe_start(struct pipe *pipe, struct buf *out, struct err *err);

/* Feed bytes that arrived. Handshake answers are appended to *out. Each whole message is given to
 * on_message (borrowed for the call; it may pipe_send, but neither feed nor free the pipe;
 * returning other than RC_OK stops and is returned). Consumes everything. Any error leaves
 * PIPE_DEAD and *out as it was: RC_MALFORMED (framing), RC_AUTH (tag, handshake, certificate),
 * RC_LIMIT (too long), RC_NOMEM, or what on_message or check_server said. */
NODISCARD enum rc pipe_feed(struct pipe *pipe, struct bytes in, struct buf *out,
                            enum rc (*on_message)(void *ctx, struct bytes message, struct err *err),
                            void *ctx, struct err *err);

/* Append one message to *out, cut into pieces and encrypted. RC_PROTO before PIPE_UP; RC_LIMIT
 * above PIPE_MESSAGE_MAX and RC_NOMEM when *out cannot take all of it: nothing is sent, the pipe
 * lives. */
NODISCARD enum rc pipe_send(struct pipe *pipe, struct bytes message, struct buf *out,
                            struct err *err);

enum pipe_state pipe_state(const struct pipe *pipe);
/* Once up: the peer's static key (32), the handshake hash (32), the client's hint payload.
 * Borrowed for the pipe's life; the hint until pipe_forget_hint(). */
const uint8_t *pipe_remote_static(const struct pipe *pipe);
const uint8_t *pipe_hash(const struct pipe *pipe);
struct bytes pipe_hint(const struct pipe *pipe);
void pipe_forget_hint(struct pipe *pipe);
/* True when up by way of the fallback: a client then replaces its cached server key. */
bool pipe_fell_back(const struct pipe *pipe);
/* Raise the ceiling of one message: for an owner that allows more to a peer it has come to know.
 * At most PIPE_MESSAGE_MAX, never below what it was. */
void pipe_raise_message_max(struct pipe *pipe, size_t message_max);
/* Bytes of memory held now, for accounting. */
size_t pipe_memory(const struct pipe *pipe);

#endif
