/* fuzz_noise_pipe - hostile bytes to both ends of a pipe, before and after the handshake.
 *
 * Byte 0 chooses: 0 raw bytes to a server; 1 and 2 a real handshake (XX, IK) with edits to what the
 * client says; 3 the same to what the server says; 4 a peer with the right keys who sends any
 * pieces. Byte 1 is the size of the cuts. Checked besides memory safety: little is held before the
 * handshake is done, messages stay below their ceiling, a failed pipe stays failed. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/reader.h"
#include "crypto/pipe.h"
#include "crypto/prim.h"

#define MESSAGE_MAX 100000u
#define BEFORE_MAX (16u * 1024)

struct world {
    uint64_t seed;
    struct rng rng;
    struct noise_keypair client_key, server_key;
    struct pipe *client, *server;
    struct buf to_server, to_client;
    size_t cut;
};

static void
must(bool is_true)
{
    if (!is_true)
        abort();
}

static enum rc
on_message(void *ctx, struct bytes message, struct err *err)
{
    must(message.len <= MESSAGE_MAX);
    return RC_OK;
}

static enum rc
check_server(void *ctx, const uint8_t server_static[32], struct bytes certificate, struct err *err)
{
    const struct world *w = ctx;

    /* a key that is not the server's cannot have got this far */
    must(memcmp(server_static, w->server_key.pub, 32) == 0);
    return RC_OK;
}

static void
begin(struct world *w, bool has_known_server)
{
    *w = (struct world){.seed = 1};
    w->rng = rng_seeded(&w->seed);
    x25519_keypair(w->client_key.priv, w->client_key.pub, w->rng);
    x25519_keypair(w->server_key.priv, w->server_key.pub, w->rng);
    const struct pipe_opt server = {.role = NOISE_SERVER,
                                    .local_static = &w->server_key,
                                    .payload = bytes_of_str("certificate"),
                                    .message_max = MESSAGE_MAX,
                                    .rng = w->rng};
    struct pipe_opt client = server;
    client.role = NOISE_CLIENT;
    client.local_static = &w->client_key;
    client.known_server = has_known_server ? w->server_key.pub : NULL;
    client.check_server = check_server;
    client.ctx = w;
    must(pipe_new(&w->server, &server, NULL) == RC_OK);
    must(pipe_new(&w->client, &client, NULL) == RC_OK);
    buf_init(&w->to_server, 1u << 20);
    buf_init(&w->to_client, 1u << 20);
}

static void
end(struct world *w)
{
    pipe_free(&w->client);
    pipe_free(&w->server);
    buf_free(&w->to_server);
    buf_free(&w->to_client);
}

static void
feed(struct world *w, struct pipe *pipe, struct bytes in, struct buf *out)
{
    while (in.len > 0 && pipe_state(pipe) != PIPE_DEAD) {
        size_t n = w->cut == 0 || w->cut > in.len ? in.len : w->cut;
        size_t said = out->len;
        enum rc rc = pipe_feed(pipe, bytes_of(in.ptr, n), out, on_message, NULL, NULL);

        must((rc == RC_OK) == (pipe_state(pipe) != PIPE_DEAD));
        must(rc == RC_OK || out->len == said);
        must(pipe_state(pipe) == PIPE_UP || pipe_memory(pipe) <= BEFORE_MAX);
        in = bytes_of(in.ptr + n, in.len - n);
    }
    if (pipe_state(pipe) == PIPE_DEAD) {
        must(pipe_feed(pipe, bytes_of("x", 1), out, on_message, NULL, NULL) == RC_PROTO);
        must(pipe_send(pipe, bytes_of("x", 1), out, NULL) == RC_PROTO);
    }
}

/* Edits are (offset u16, xor u8); they count over everything that one side says. */
static void
edit(struct buf *said, size_t already, struct bytes edits)
{
    for (size_t i = 0; i + 3 <= edits.len; i += 3) {
        size_t at = (size_t)edits.ptr[i] << 8 | edits.ptr[i + 1];

        if (at >= already && at - already < said->len)
            said->ptr[at - already] ^= edits.ptr[i + 2];
    }
}

static void
run_edited(struct world *w, struct bytes edits, bool edits_server)
{
    size_t client_said = 0, server_said = 0;

    must(pipe_start(w->client, &w->to_server, NULL) == RC_OK);
    while (w->to_server.len > 0 || w->to_client.len > 0) {
        edit(edits_server ? &w->to_client : &w->to_server, edits_server ? server_said : client_said,
             edits);
        client_said += w->to_server.len;
        server_said += w->to_client.len;
        struct buf up = w->to_server, down = w->to_client;
        buf_init(&w->to_server, up.max);
        buf_init(&w->to_client, down.max);
        feed(w, w->server, buf_bytes(&up), &w->to_client);
        feed(w, w->client, buf_bytes(&down), &w->to_server);
        buf_free(&up);
        buf_free(&down);
    }
    /* if both came up, they agree on everything */
    if (pipe_state(w->client) == PIPE_UP && pipe_state(w->server) == PIPE_UP)
        must(memcmp(pipe_hash(w->client), pipe_hash(w->server), 32) == 0);
}

/* The handshake by hand, then pieces as the input has them: u16 length, plaintext. */
static void
run_pieces(struct world *w, struct bytes input)
{
    static const uint8_t hello[] = {'P', 'L', 'Y', '1', 2};
    const struct noise_handshake_opt opt = {.pattern = NOISE_IK,
                                            .role = NOISE_CLIENT,
                                            .local_static = &w->client_key,
                                            .remote_static = w->server_key.pub,
                                            .prologue = bytes_of(hello, sizeof(hello)),
                                            .rng = w->rng};
    struct noise_handshake *hs;
    struct noise_cipher send, recv;
    struct reader r = reader_over(input);
    struct buf message, nothing;
    uint8_t hash[32];

    buf_init(&message, 4096);
    buf_init(&nothing, 4096);
    must(noise_handshake_new(&hs, &opt, NULL) == RC_OK);
    must(noise_handshake_write(hs, bytes_of(NULL, 0), &message, NULL) == RC_OK);
    buf_put(&w->to_server, bytes_of(hello, sizeof(hello)));
    buf_put_u24be(&w->to_server, (uint32_t)message.len);
    buf_put(&w->to_server, buf_bytes(&message));
    feed(w, w->server, buf_bytes(&w->to_server), &w->to_client);
    must(noise_handshake_read(hs, bytes_of(w->to_client.ptr + 4, w->to_client.len - 4), &nothing,
                              NULL) == RC_OK);
    must(noise_handshake_split(hs, &send, &recv, hash, NULL) == RC_OK);
    while (reader_left(&r) > 0 && pipe_state(w->server) == PIPE_UP) {
        size_t want = reader_u16be(&r);
        struct bytes piece = reader_borrow(&r, want < reader_left(&r) ? want : reader_left(&r));

        buf_reset(&w->to_server);
        buf_put_u24be(&w->to_server, (uint32_t)piece.len + 16);
        must(noise_encrypt(&send, buf_extend(&w->to_server, piece.len + 16), piece) == RC_OK);
        feed(w, w->server, buf_bytes(&w->to_server), &w->to_client);
    }
    noise_handshake_free(&hs);
    buf_free(&message);
    buf_free(&nothing);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    must(crypto_start(NULL) == RC_OK);
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w;

    if (size < 2)
        return 0;
    unsigned mode = data[0] % 5;
    struct bytes rest = bytes_of(data + 2, size - 2);
    begin(&w, mode != 1);
    w.cut = data[1];
    if (mode == 0)
        feed(&w, w.server, rest, &w.to_client);
    else if (mode == 4)
        run_pieces(&w, rest);
    else
        run_edited(&w, rest, mode == 3);
    end(&w);
    return 0;
}
