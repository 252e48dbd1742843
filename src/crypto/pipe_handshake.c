/* pipe_handshake.c - the steps from the hello to the split: XX, IK, and IK falling back to XX.
 *
 * Never sends the client's key or hint before check_server has agreed to the server's key, except
 * in IK, where the key was agreed to before. Knows nothing of how bytes arrive. Source:
 * docs/protocol/transport.md, "The handshake". */
#include "crypto/pipe_state.h"

#include <assert.h>
#include <string.h>

#define REPLY_AS_ASKED 1u
#define REPLY_FALLBACK 3u

static enum rc
start_handshake(struct pipe *p, enum noise_pattern pattern, const struct noise_keypair *ephemeral,
                const uint8_t *remote_ephemeral, struct err *err)
{
    const struct noise_handshake_opt opt = {
        .pattern = pattern,
        .role = p->role,
        .local_static = p->local_static,
        .remote_static = pattern == NOISE_IK && p->role == NOISE_CLIENT ? p->known_server : NULL,
        .prologue = bytes_of(p->hello, sizeof(p->hello)),
        .rng = p->rng,
        .local_ephemeral = ephemeral,
        .remote_ephemeral = remote_ephemeral,
    };
    struct noise_handshake *fresh;
    enum rc rc = noise_handshake_new(&fresh, &opt, err);

    noise_handshake_free(&p->hs); /* after: the ephemeral may be borrowed from it */
    p->hs = fresh;
    return rc;
}

/* Append a frame with the next handshake message; reply is its type byte, or -1 for none. */
static enum rc
write_handshake(struct pipe *p, int reply, struct bytes payload, struct buf *out, struct err *err)
{
    size_t start = out->len;
    enum rc rc;

    buf_put_u24be(out, 0);
    if (reply >= 0)
        buf_put_u8(out, (uint8_t)reply);
    if ((rc = noise_handshake_write(p->hs, payload, out, err)) != RC_OK)
        return rc;
    size_t size = out->len - start - PIPE_LENGTH_SIZE;
    assert(size <= PIPE_HANDSHAKE_MAX); /* PIPE_PAYLOAD_MAX sees to it */
    out->ptr[start] = (uint8_t)(size >> 16);
    out->ptr[start + 1] = (uint8_t)(size >> 8);
    out->ptr[start + 2] = (uint8_t)size;
    return RC_OK;
}

static enum rc
go_up(struct pipe *p, struct err *err)
{
    enum rc rc = noise_handshake_split(p->hs, &p->send, &p->recv, p->hash, err);

    if (rc != RC_OK)
        return rc;
    memcpy(p->remote_static, noise_handshake_remote_static(p->hs), sizeof(p->remote_static));
    noise_handshake_free(&p->hs);
    buf_wipe(&p->payload);
    p->torn.max = PIPE_LENGTH_SIZE + NOISE_MESSAGE_MAX;
    p->state = PIPE_UP;
    return RC_OK;
}

/* ---- client ---- */

enum rc
pipe_start(struct pipe *p, struct buf *out, struct err *err)
{
    enum noise_pattern pattern = p->has_known_server ? NOISE_IK : NOISE_XX;
    struct bytes payload = bytes_of(NULL, 0); /* XX 1 is readable by anyone: it carries nothing */
    size_t start = out->len;
    enum rc rc;

    if (p->state != PIPE_CLIENT_START)
        return err_set(err, RC_PROTO, "pipe.start", "not a client at its start");
    memcpy(p->hello, PIPE_MAGIC, PIPE_MAGIC_SIZE);
    p->hello[PIPE_MAGIC_SIZE] = (uint8_t)pattern;
    buf_put(out, bytes_of(p->hello, sizeof(p->hello)));
    if (pattern == NOISE_IK)
        payload = buf_bytes(&p->payload);
    if ((rc = start_handshake(p, pattern, NULL, NULL, err)) == RC_OK)
        rc = write_handshake(p, -1, payload, out, err);
    if (rc != RC_OK) {
        out->len = start;
        pipe_forget_secrets(p);
        p->state = PIPE_DEAD;
        return rc;
    }
    p->state = pattern == NOISE_IK ? PIPE_CLIENT_IK_SENT : PIPE_CLIENT_XX_SENT;
    return RC_OK;
}

/* XX 2, or the first message of the fallback: who is the server, and may it know who we are? */
static enum rc
answer_server(struct pipe *p, struct bytes message, struct feed *feed, struct err *err)
{
    struct buf certificate;
    enum rc rc;

    buf_init(&certificate, PIPE_HANDSHAKE_MAX);
    if ((rc = noise_handshake_read(p->hs, message, &certificate, err)) != RC_OK)
        goto out;
    rc =
        p->check_server(p->ctx, noise_handshake_remote_static(p->hs), buf_bytes(&certificate), err);
    if (rc != RC_OK)
        goto out;
    if ((rc = write_handshake(p, -1, buf_bytes(&p->payload), feed->out, err)) == RC_OK)
        rc = go_up(p, err);
out:
    buf_free(&certificate);
    return rc;
}

enum rc
pipe_step_client_xx(struct pipe *p, struct bytes body, struct feed *feed, struct err *err)
{
    if (body.ptr[0] != REPLY_AS_ASKED)
        return err_set(err, RC_MALFORMED, "pipe", "reply type %u to XX", body.ptr[0]);
    return answer_server(p, bytes_of(body.ptr + 1, body.len - 1), feed, err);
}

enum rc
pipe_step_client_ik(struct pipe *p, struct bytes body, struct feed *feed, struct err *err)
{
    struct bytes message = bytes_of(body.ptr + 1, body.len - 1);
    struct buf nothing;
    enum rc rc;

    if (body.ptr[0] == REPLY_FALLBACK) {
        p->has_fallen_back = true;
        rc = start_handshake(p, NOISE_XXFALLBACK, noise_handshake_ephemeral(p->hs), NULL, err);
        return rc != RC_OK ? rc : answer_server(p, message, feed, err);
    }
    if (body.ptr[0] != REPLY_AS_ASKED)
        return err_set(err, RC_MALFORMED, "pipe", "reply type %u to IK", body.ptr[0]);
    buf_init(&nothing, PIPE_HANDSHAKE_MAX);
    if ((rc = noise_handshake_read(p->hs, message, &nothing, err)) == RC_OK)
        rc = go_up(p, err);
    buf_wipe(&nothing);
    return rc;
}

/* ---- server ---- */

static enum rc
answer_xx(struct pipe *p, struct bytes message, struct feed *feed, struct err *err)
{
    enum rc rc;

    if (message.len != NOISE_KEY_SIZE)
        return err_set(err, RC_MALFORMED, "pipe", "XX 1 of %zu bytes", message.len);
    if ((rc = noise_handshake_read(p->hs, message, &p->hint, err)) != RC_OK)
        return rc;
    rc = write_handshake(p, REPLY_AS_ASKED, buf_bytes(&p->payload), feed->out, err);
    if (rc == RC_OK)
        p->state = PIPE_SERVER_WAIT_LAST;
    return rc;
}

/* The client's cached key is not ours. Of its message only the ephemeral in front is kept. */
static enum rc
fall_back(struct pipe *p, struct bytes message, struct feed *feed, struct err *err)
{
    enum rc rc = start_handshake(p, NOISE_XXFALLBACK, NULL, message.ptr, err);

    if (rc == RC_OK)
        rc = write_handshake(p, REPLY_FALLBACK, buf_bytes(&p->payload), feed->out, err);
    if (rc != RC_OK)
        return rc;
    p->has_fallen_back = true;
    p->state = PIPE_SERVER_WAIT_LAST;
    return RC_OK;
}

static enum rc
answer_ik(struct pipe *p, struct bytes message, struct feed *feed, struct err *err)
{
    enum rc rc = noise_handshake_read(p->hs, message, &p->hint, err);

    if (rc == RC_AUTH)
        return fall_back(p, message, feed, err);
    if (rc != RC_OK)
        return rc;
    rc = write_handshake(p, REPLY_AS_ASKED, bytes_of(NULL, 0), feed->out, err);
    return rc != RC_OK ? rc : go_up(p, err);
}

enum rc
pipe_step_server_hello(struct pipe *p, struct bytes body, struct feed *feed, struct err *err)
{
    enum noise_pattern pattern = (enum noise_pattern)p->hello[PIPE_MAGIC_SIZE];
    enum rc rc = start_handshake(p, pattern, NULL, NULL, err);

    if (rc != RC_OK)
        return rc;
    return pattern == NOISE_XX ? answer_xx(p, body, feed, err) : answer_ik(p, body, feed, err);
}

enum rc
pipe_step_server_last(struct pipe *p, struct bytes body, struct feed *feed, struct err *err)
{
    enum rc rc = noise_handshake_read(p->hs, body, &p->hint, err);

    return rc != RC_OK ? rc : go_up(p, err);
}
