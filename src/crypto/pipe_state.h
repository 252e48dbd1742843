/* pipe_state.h - what pipe.c and pipe_handshake.c share. Private to src/crypto. */
#ifndef PARLEY_CRYPTO_PIPE_STATE_H
#define PARLEY_CRYPTO_PIPE_STATE_H

#include "crypto/pipe.h"

#define PIPE_MAGIC "PLY1"
#define PIPE_MAGIC_SIZE 4u
#define PIPE_HELLO_SIZE 5u /* magic and pattern: the prologue */
#define PIPE_LENGTH_SIZE 3u

struct pipe {
    enum pipe_state state;
    enum noise_role role;
    struct rng rng;
    const struct noise_keypair *local_static; /* borrowed */
    enum rc (*check_server)(void *ctx, const uint8_t server_static[32], struct bytes certificate,
                            struct err *err);
    void *ctx;
    size_t message_max;
    bool has_known_server, has_fallen_back;
    uint8_t known_server[NOISE_KEY_SIZE];
    uint8_t hello[PIPE_HELLO_SIZE]; /* as sent */
    struct noise_handshake *hs;
    struct noise_cipher send, recv;
    uint8_t remote_static[NOISE_KEY_SIZE], hash[32];
    struct buf payload; /* ours, until the handshake is done */
    struct buf hint;    /* the client's */
    struct buf torn;    /* the unit that has not arrived whole */
    struct buf message; /* one byte of room, then the pieces so far */
};

/* What a step may touch besides the pipe. */
struct feed {
    struct buf *out;
    enum rc (*on_message)(void *ctx, struct bytes message, struct err *err);
    void *ctx;
};

/* Clear every secret that the pipe holds. */
void pipe_forget_secrets(struct pipe *p);

/* What arrives in one state: the body of a frame. Each ends in the next state or fails. */
NODISCARD enum rc pipe_step_client_xx(struct pipe *p, struct bytes body, struct feed *feed,
                                      struct err *err);
NODISCARD enum rc pipe_step_client_ik(struct pipe *p, struct bytes body, struct feed *feed,
                                      struct err *err);
NODISCARD enum rc pipe_step_server_hello(struct pipe *p, struct bytes body, struct feed *feed,
                                         struct err *err);
NODISCARD enum rc pipe_step_server_last(struct pipe *p, struct bytes body, struct feed *feed,
                                        struct err *err);

#endif
