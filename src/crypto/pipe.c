/* pipe.c - takes bytes in, unit by unit, and cuts messages into pieces. The steps of the handshake
 * are in pipe_handshake.c.
 *
 * A unit is what is taken in at once: a frame, and for the server's first one the hello before it.
 * Units that arrived whole are read where they lie; only the torn one at the end is kept. Nothing
 * is reserved for a length that the peer claims: memory grows as bytes arrive. No step is taken
 * that is not in the table below, and any failure ends in PIPE_DEAD with every key cleared. Source:
 * docs/protocol/transport.md. */
#include "crypto/pipe.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/reader.h"
#include "crypto/pipe_state.h"

#define FLAG_LAST 0u
#define FLAG_MORE 1u
#define PIECE_MAX (NOISE_PLAINTEXT_MAX - 1) /* less the flag byte */
#define PIECE_OVERHEAD (PIPE_LENGTH_SIZE + 1 + NOISE_TAG_SIZE)

enum rc
pipe_new(struct pipe **out, const struct pipe_opt *opt, struct err *err)
{
    bool is_client = opt->role == NOISE_CLIENT;
    struct pipe *p;

    *out = NULL;
    if (opt->local_static == NULL || opt->payload.len > PIPE_PAYLOAD_MAX ||
        opt->message_max > PIPE_MESSAGE_MAX || (is_client && opt->check_server == NULL))
        return err_set(err, RC_INVAL, "pipe.new", "options do not fit the role or the limits");
    if ((p = calloc(1, sizeof(*p))) == NULL)
        return err_set(err, RC_NOMEM, "pipe.new", "no memory");
    p->state = is_client ? PIPE_CLIENT_START : PIPE_SERVER_WAIT_HELLO;
    p->role = opt->role;
    p->rng = opt->rng;
    p->local_static = opt->local_static;
    p->check_server = opt->check_server;
    p->ctx = opt->ctx;
    p->message_max = opt->message_max;
    p->has_known_server = is_client && opt->known_server != NULL;
    if (p->has_known_server)
        memcpy(p->known_server, opt->known_server, sizeof(p->known_server));
    buf_init(&p->payload, PIPE_PAYLOAD_MAX);
    buf_init(&p->hint, PIPE_HANDSHAKE_MAX);
    buf_init(&p->torn, PIPE_HELLO_SIZE + PIPE_LENGTH_SIZE + PIPE_HANDSHAKE_MAX);
    buf_init(&p->message, 1 + p->message_max); /* one byte of room in front */
    buf_put(&p->payload, opt->payload);
    if (buf_failed(&p->payload)) {
        pipe_free(&p);
        return err_set(err, RC_NOMEM, "pipe.new", "no memory");
    }
    *out = p;
    return RC_OK;
}

void
pipe_forget_secrets(struct pipe *p)
{
    noise_handshake_free(&p->hs);
    noise_cipher_wipe(&p->send);
    noise_cipher_wipe(&p->recv);
    buf_wipe(&p->payload);
    buf_wipe(&p->hint);
    buf_wipe(&p->torn);
    buf_wipe(&p->message);
}

void
pipe_free(struct pipe **pipe)
{
    if (*pipe == NULL)
        return;
    pipe_forget_secrets(*pipe);
    free(*pipe);
    *pipe = NULL;
}

/* ---- transport ---- */

/* Bytes of the message that is being put together. */
static size_t
assembled(const struct pipe *p)
{
    return p->message.len == 0 ? 0 : p->message.len - 1;
}

static enum rc
step_transport(struct pipe *p, struct bytes body, struct feed *feed, struct err *err)
{
    size_t plain_size = body.len - NOISE_TAG_SIZE; /* check_length saw to it: flag and piece */
    bool is_first = p->message.len == 0;
    enum rc rc = RC_OK;

    if (is_first)
        buf_put_u8(&p->message, 0);
    /* Decrypted so that the flag lands on the byte before the piece, which is put back after. */
    if (buf_extend(&p->message, plain_size - 1) == NULL)
        return err_set(err, RC_NOMEM, "pipe", "no room for a piece");
    uint8_t *at = p->message.ptr + p->message.len - plain_size;
    uint8_t before = *at;
    if (noise_decrypt(&p->recv, at, body) != RC_OK)
        return err_set(err, RC_AUTH, "pipe", "message does not authenticate");
    uint8_t flag = *at;
    *at = before;
    if (flag > FLAG_MORE || (plain_size == 1 && (flag == FLAG_MORE || !is_first)))
        return err_set(err, RC_MALFORMED, "pipe", "flag %u on a piece of %zu bytes", flag,
                       plain_size - 1);
    if (flag == FLAG_LAST) {
        rc = feed->on_message(feed->ctx, bytes_of(p->message.ptr + 1, assembled(p)), err);
        buf_reset(&p->message);
    }
    return rc;
}

enum rc
pipe_send(struct pipe *p, struct bytes message, struct buf *out, struct err *err)
{
    size_t pieces = message.len == 0 ? 1 : (message.len + PIECE_MAX - 1) / PIECE_MAX;

    if (p->state != PIPE_UP)
        return err_set(err, RC_PROTO, "pipe.send", "not up");
    if (message.len > PIPE_MESSAGE_MAX)
        return err_set(err, RC_LIMIT, "pipe.send", "message of %zu bytes", message.len);
    if (!buf_reserve(out, message.len + pieces * PIECE_OVERHEAD)) /* all or nothing */
        return err_set(err, RC_NOMEM, "pipe.send", "no room for %zu bytes", message.len);
    for (; pieces > 0; pieces--) {
        size_t n = message.len < PIECE_MAX ? message.len : PIECE_MAX;

        buf_put_u24be(out, (uint32_t)(1 + n + NOISE_TAG_SIZE));
        uint8_t *at = buf_extend(out, 1 + n + NOISE_TAG_SIZE);
        at[0] = pieces > 1 ? FLAG_MORE : FLAG_LAST;
        if (n != 0)
            memcpy(at + 1, message.ptr, n);
        if (noise_encrypt(&p->send, at, bytes_of(at, 1 + n)) != RC_OK) {
            pipe_forget_secrets(p);
            p->state = PIPE_DEAD;
            return err_set(err, RC_LIMIT, "pipe.send", "the cipher is worn out");
        }
        message = bytes_of(message.ptr + n, message.len - n);
    }
    return RC_OK;
}

/* ---- taking bytes in ---- */

static enum rc (*const steps[])(struct pipe *p, struct bytes body, struct feed *feed,
                                struct err *err) = {
    [PIPE_CLIENT_XX_SENT] = pipe_step_client_xx,
    [PIPE_CLIENT_IK_SENT] = pipe_step_client_ik,
    [PIPE_SERVER_WAIT_HELLO] = pipe_step_server_hello,
    [PIPE_SERVER_WAIT_LAST] = pipe_step_server_last,
    [PIPE_UP] = step_transport,
};

/* As much of the hello as is there. */
static enum rc
check_hello(struct bytes have, struct err *err)
{
    size_t n = have.len < PIPE_MAGIC_SIZE ? have.len : PIPE_MAGIC_SIZE;

    if (memcmp(have.ptr, PIPE_MAGIC, n) != 0)
        return err_set(err, RC_MALFORMED, "pipe", "not our protocol, or another version of it");
    if (have.len >= PIPE_HELLO_SIZE && have.ptr[PIPE_MAGIC_SIZE] != NOISE_XX &&
        have.ptr[PIPE_MAGIC_SIZE] != NOISE_IK)
        return err_set(err, RC_MALFORMED, "pipe", "pattern %u", have.ptr[PIPE_MAGIC_SIZE]);
    return RC_OK;
}

/* A claimed length, before a byte of the body is looked at. */
static enum rc
check_length(const struct pipe *p, size_t length, struct err *err)
{
    bool is_up = p->state == PIPE_UP;

    if (length == 0 || (is_up && length <= NOISE_TAG_SIZE))
        return err_set(err, RC_MALFORMED, "pipe", "frame of %zu bytes", length);
    if (length > (is_up ? NOISE_MESSAGE_MAX : PIPE_HANDSHAKE_MAX) ||
        (is_up && length - NOISE_TAG_SIZE - 1 > p->message_max - assembled(p)))
        return err_set(err, RC_LIMIT, "pipe", "frame of %zu bytes is too long", length);
    return RC_OK;
}

/* How many bytes the unit that starts with `have` takes, as far as that is known: *is_known is
 * false while the length itself is missing. */
static enum rc
measure(const struct pipe *p, struct bytes have, size_t *need, bool *is_known, struct err *err)
{
    size_t head = p->state == PIPE_SERVER_WAIT_HELLO ? PIPE_HELLO_SIZE : 0;
    enum rc rc;

    *is_known = have.len >= head + PIPE_LENGTH_SIZE;
    *need = head + PIPE_LENGTH_SIZE;
    if (head != 0 && (rc = check_hello(have, err)) != RC_OK)
        return rc;
    if (!*is_known)
        return RC_OK;
    struct reader r = reader_over(bytes_of(have.ptr + head, PIPE_LENGTH_SIZE));
    size_t length = reader_u24be(&r);
    *need += length;
    return check_length(p, length, err);
}

static enum rc
take_unit(struct pipe *p, struct bytes unit, struct feed *feed, struct err *err)
{
    if (p->state == PIPE_SERVER_WAIT_HELLO) {
        memcpy(p->hello, unit.ptr, PIPE_HELLO_SIZE);
        unit = bytes_of(unit.ptr + PIPE_HELLO_SIZE, unit.len - PIPE_HELLO_SIZE);
    }
    return steps[p->state](p, bytes_of(unit.ptr + PIPE_LENGTH_SIZE, unit.len - PIPE_LENGTH_SIZE),
                           feed, err);
}

/* One turn: read a whole unit where it lies, or move what there is of it to the torn one. */
static enum rc
take_some(struct pipe *p, struct bytes *in, struct feed *feed, struct err *err)
{
    bool is_known;
    size_t need;
    enum rc rc;

    if (p->torn.len == 0) {
        if ((rc = measure(p, *in, &need, &is_known, err)) != RC_OK)
            return rc;
        if (is_known && in->len >= need) {
            struct bytes unit = bytes_of(in->ptr, need);

            *in = bytes_of(in->ptr + need, in->len - need);
            return take_unit(p, unit, feed, err);
        }
    } else if ((rc = measure(p, buf_bytes(&p->torn), &need, &is_known, err)) != RC_OK) {
        return rc;
    }
    size_t n = need - p->torn.len < in->len ? need - p->torn.len : in->len;
    buf_put(&p->torn, bytes_of(in->ptr, n));
    *in = bytes_of(in->ptr + n, in->len - n);
    if (buf_failed(&p->torn))
        return err_set(err, RC_NOMEM, "pipe", "no room for a frame");
    if ((rc = measure(p, buf_bytes(&p->torn), &need, &is_known, err)) != RC_OK)
        return rc;
    if (!is_known || p->torn.len < need)
        return RC_OK;
    rc = take_unit(p, buf_bytes(&p->torn), feed, err);
    buf_reset(&p->torn);
    return rc;
}

enum rc
pipe_feed(struct pipe *p, struct bytes in, struct buf *out,
          enum rc (*on_message)(void *ctx, struct bytes message, struct err *err), void *ctx,
          struct err *err)
{
    struct feed feed = {.out = out, .on_message = on_message, .ctx = ctx};
    size_t start = out->len;
    enum rc rc = RC_OK;

    if (p->state == PIPE_CLIENT_START || p->state == PIPE_DEAD)
        return err_set(err, RC_PROTO, "pipe.feed", "the pipe is not open");
    while (rc == RC_OK && in.len > 0)
        rc = take_some(p, &in, &feed, err);
    if (rc != RC_OK) {
        pipe_forget_secrets(p);
        p->state = PIPE_DEAD;
        out->len = start; /* nothing is said to a peer that failed */
        return rc;
    }
    if (p->torn.len == 0)
        buf_free(&p->torn); /* it held ciphertext */
    if (p->message.len == 0)
        buf_wipe(&p->message);
    return RC_OK;
}

/* ---- looking ---- */

enum pipe_state
pipe_state(const struct pipe *p)
{
    return p->state;
}

const uint8_t *
pipe_remote_static(const struct pipe *p)
{
    return p->remote_static;
}

const uint8_t *
pipe_hash(const struct pipe *p)
{
    return p->hash;
}

struct bytes
pipe_hint(const struct pipe *p)
{
    return buf_bytes(&p->hint);
}

void
pipe_forget_hint(struct pipe *p)
{
    buf_wipe(&p->hint);
}

bool
pipe_fell_back(const struct pipe *p)
{
    return p->has_fallen_back && p->state == PIPE_UP;
}

void
pipe_raise_message_max(struct pipe *p, size_t message_max)
{
    assert(message_max >= p->message_max && message_max <= PIPE_MESSAGE_MAX);
    p->message_max = message_max;
    p->message.max = 1 + message_max;
}

size_t
pipe_memory(const struct pipe *p)
{
    return sizeof(*p) + p->payload.cap + p->hint.cap + p->torn.cap + p->message.cap +
           (p->hs != NULL ? noise_handshake_memory() : 0);
}
