/* couple.h - a client's and a server's pipe and the wire between them, for tests of pipe and
 * pipe_handshake. */
#ifndef PARLEY_TESTS_CRYPTO_COUPLE_H
#define PARLEY_TESTS_CRYPTO_COUPLE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "crypto/pipe.h"
#include "crypto/prim.h"

#define BIG (1024u * 1024)

static const char certificate[] = "the server's certificate";
static const char hint[] = "the client's hint";

struct end {
    struct noise_keypair key;
    struct pipe *pipe;
    struct buf out; /* to the peer */
    struct buf got; /* messages, each with a 4-byte length before it */
    size_t messages;
    enum rc verdict; /* of on_message or check_server */
    unsigned checks;
};

struct couple {
    struct end client, server;
    uint64_t seed;
    struct rng rng;
    uint8_t expect[32]; /* the server key that the client is to see */
};

static inline enum rc
on_message(void *ctx, struct bytes message, struct err *err)
{
    struct end *end = ctx;

    buf_put_u32be(&end->got, (uint32_t)message.len);
    buf_put(&end->got, message);
    end->messages++;
    return end->verdict;
}

static inline enum rc
check_server(void *ctx, const uint8_t server_static[32], struct bytes got, struct err *err)
{
    struct couple *c = ctx;

    c->client.checks++;
    assert_memory_equal(server_static, c->expect, 32);
    assert_true(bytes_equal(got, bytes_of_str(certificate)));
    return c->client.verdict;
}

static inline void
open_end(struct couple *c, struct end *end, enum noise_role role, const uint8_t *known,
         size_t message_max)
{
    bool is_client = role == NOISE_CLIENT;
    const struct pipe_opt opt = {
        .role = role,
        .local_static = &end->key,
        .payload = bytes_of_str(is_client ? hint : certificate),
        .known_server = known,
        .message_max = message_max,
        .rng = c->rng,
        .check_server = is_client ? check_server : NULL,
        .ctx = c,
    };

    x25519_keypair(end->key.priv, end->key.pub, c->rng);
    assert_int_equal(pipe_new(&end->pipe, &opt, NULL), RC_OK);
    buf_init(&end->out, 32u << 20);
    buf_init(&end->got, 32u << 20);
}

enum cache { NO_KEY, RIGHT_KEY, WRONG_KEY };

static inline void
open_couple(struct couple *c, enum cache cache, size_t message_max)
{
    uint8_t known[32];

    *c = (struct couple){.seed = 42};
    c->rng = rng_seeded(&c->seed);
    open_end(c, &c->server, NOISE_SERVER, NULL, message_max);
    memcpy(c->expect, c->server.key.pub, 32);
    memcpy(known, c->server.key.pub, 32);
    if (cache == WRONG_KEY) {
        uint8_t priv[32];

        x25519_keypair(priv, known, c->rng);
    }
    open_end(c, &c->client, NOISE_CLIENT, cache == NO_KEY ? NULL : known, message_max);
}

static inline void
close_couple(struct couple *c)
{
    struct end *ends[] = {&c->client, &c->server};

    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        pipe_free(&ends[i]->pipe);
        buf_free(&ends[i]->out);
        buf_free(&ends[i]->got);
    }
}

/* How many bytes the wire gives at once: 0 means all. */
static inline size_t
next_cut(struct couple *c, size_t cut)
{
    return cut == SIZE_MAX ? 1 + rng_below(c->rng, 900) : cut;
}

/* All that `from` has said, in cuts. */
static inline enum rc
carry(struct couple *c, struct end *from, struct end *to, size_t cut)
{
    enum rc rc = RC_OK;

    while (rc == RC_OK && from->out.len > 0) {
        size_t n = next_cut(c, cut);

        if (n == 0 || n > from->out.len)
            n = from->out.len;
        /* an exact copy, so that reading past the end is caught */
        uint8_t *piece = malloc(n);
        assert_non_null(piece);
        memcpy(piece, from->out.ptr, n);
        buf_consume(&from->out, n);
        rc = pipe_feed(to->pipe, bytes_of(piece, n), &to->out, on_message, to, NULL);
        free(piece);
    }
    return rc;
}

static inline enum rc
shake_hands(struct couple *c, size_t cut)
{
    enum rc rc = pipe_start(c->client.pipe, &c->client.out, NULL);

    while (rc == RC_OK && (c->client.out.len > 0 || c->server.out.len > 0)) {
        rc = carry(c, &c->client, &c->server, cut);
        if (rc == RC_OK)
            rc = carry(c, &c->server, &c->client, cut);
    }
    return rc;
}

static inline bool
are_both_up(const struct couple *c)
{
    return pipe_state(c->client.pipe) == PIPE_UP && pipe_state(c->server.pipe) == PIPE_UP;
}

static inline void
assert_agreed(const struct couple *c, enum cache cache)
{
    assert_true(are_both_up(c));
    assert_memory_equal(pipe_hash(c->client.pipe), pipe_hash(c->server.pipe), 32);
    assert_memory_equal(pipe_remote_static(c->client.pipe), c->server.key.pub, 32);
    assert_memory_equal(pipe_remote_static(c->server.pipe), c->client.key.pub, 32);
    assert_true(bytes_equal(pipe_hint(c->server.pipe), bytes_of_str(hint)));
    assert_int_equal(pipe_fell_back(c->client.pipe), cache == WRONG_KEY);
    assert_int_equal(pipe_fell_back(c->server.pipe), cache == WRONG_KEY);
    assert_int_equal(c->client.checks, cache == RIGHT_KEY ? 0 : 1);
}

/* One message each way, both arrive as they were sent. */
static inline void
exchange(struct couple *c, size_t size, size_t cut)
{
    struct end *ends[] = {&c->client, &c->server};
    uint8_t *message = malloc(size + 1);

    assert_non_null(message);
    rng_fill(c->rng, message, size);
    for (size_t i = 0; i < 2; i++) {
        struct end *from = ends[i], *to = ends[1 - i];

        buf_reset(&to->got);
        assert_int_equal(pipe_send(from->pipe, bytes_of(message, size), &from->out, NULL), RC_OK);
        assert_int_equal(carry(c, from, to, cut), RC_OK);
        assert_int_equal(to->got.len, 4 + size);
        assert_memory_equal(to->got.ptr + 4, message, size);
    }
    free(message);
}

static inline int
start_crypto(void **state)
{
    return crypto_start(NULL) == RC_OK ? 0 : -1;
}

#endif
