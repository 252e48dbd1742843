/* noise_peer - our end of a pipe on standard input and output, for another implementation to talk
 * to.
 *
 * noise_peer server: the relay's end; says back each message that it gets.
 * noise_peer client none|right|wrong: a device's end, with the server key that it has cached; sends
 * "hello" and 100,000 bytes, and ends well when both came back.
 * The static keys are fixed: 32 bytes 0x11 (server) and 0x22 (client). Exit 0: the stream ended in
 * good order; 1: it did not. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "crypto/pipe.h"
#include "crypto/prim.h"

#define BIG 100000u

struct peer {
    struct pipe *pipe;
    struct buf out;
    bool is_server;
    unsigned messages;
    uint8_t big[BIG];
};

static enum rc
on_message(void *ctx, struct bytes message, struct err *err)
{
    struct peer *peer = ctx;

    peer->messages++;
    if (peer->is_server)
        return pipe_send(peer->pipe, message, &peer->out, err);
    struct bytes want =
        peer->messages == 1 ? bytes_of_str("hello") : bytes_of(peer->big, sizeof(peer->big));
    return bytes_equal(message, want) ? RC_OK : err_set(err, RC_PROTO, "peer", "another message");
}

static enum rc
check_server(void *ctx, const uint8_t server_static[32], struct bytes certificate, struct err *err)
{
    if (!bytes_equal(certificate, bytes_of_str("certificate")))
        return err_set(err, RC_AUTH, "peer", "another certificate");
    return RC_OK;
}

static enum rc
flush(struct peer *peer)
{
    while (peer->out.len > 0) {
        ssize_t n = write(STDOUT_FILENO, peer->out.ptr, peer->out.len);

        if (n <= 0)
            return RC_IO;
        buf_consume(&peer->out, (size_t)n);
    }
    return RC_OK;
}

static enum rc
run(struct peer *peer, struct err *err)
{
    bool has_sent = peer->is_server;
    uint8_t piece[4096];
    enum rc rc;
    ssize_t n;

    while ((rc = flush(peer)) == RC_OK && (n = read(STDIN_FILENO, piece, sizeof(piece))) > 0) {
        rc = pipe_feed(peer->pipe, bytes_of(piece, (size_t)n), &peer->out, on_message, peer, err);
        if (rc == RC_OK && !has_sent && pipe_state(peer->pipe) == PIPE_UP) {
            has_sent = true;
            rc = pipe_send(peer->pipe, bytes_of_str("hello"), &peer->out, err);
            if (rc == RC_OK)
                rc = pipe_send(peer->pipe, bytes_of(peer->big, BIG), &peer->out, err);
        }
        if (rc != RC_OK)
            return rc;
        if (!peer->is_server && peer->messages == 2)
            return RC_OK;
    }
    return peer->is_server && peer->messages > 0 ? rc : RC_PROTO;
}

int
main(int argc, char **argv)
{
    static struct peer peer;
    struct noise_keypair key;
    struct err err = {0};
    uint8_t known[32];
    enum rc rc;

    if (argc < 2 || crypto_start(&err) != RC_OK)
        return 1;
    peer.is_server = strcmp(argv[1], "server") == 0;
    const char *cached = argc > 2 ? argv[2] : "none";
    memset(key.priv, strcmp(cached, "right") == 0 ? 0x11 : 0x33, sizeof(key.priv));
    x25519_public(known, key.priv);
    memset(key.priv, peer.is_server ? 0x11 : 0x22, sizeof(key.priv));
    x25519_public(key.pub, key.priv);
    for (size_t i = 0; i < BIG; i++)
        peer.big[i] = (uint8_t)(i * 31);
    buf_init(&peer.out, 1u << 20);
    const struct pipe_opt opt = {
        .role = peer.is_server ? NOISE_SERVER : NOISE_CLIENT,
        .local_static = &key,
        .payload = bytes_of_str(peer.is_server ? "certificate" : "hint"),
        .known_server = strcmp(cached, "none") == 0 ? NULL : known,
        .message_max = 1u << 20,
        .rng = rng_system(),
        .check_server = peer.is_server ? NULL : check_server,
    };
    rc = pipe_new(&peer.pipe, &opt, &err);
    if (rc == RC_OK && !peer.is_server)
        rc = pipe_start(peer.pipe, &peer.out, &err);
    if (rc == RC_OK)
        rc = run(&peer, &err);
    if (rc != RC_OK)
        fprintf(stderr, "noise_peer: %s: %s\n", rc_name(rc), err.text);
    pipe_free(&peer.pipe);
    buf_free(&peer.out);
    return rc == RC_OK ? 0 : 1;
}
