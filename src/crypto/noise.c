/* noise.c - the handshake as a table of tokens. Its ciphers are in noise_cipher.c.
 *
 * Tokens name whose keys meet by the ends of the TCP connection: the first letter is the client's
 * key, the second the server's, in all three patterns. In XXfallback the server is Noise's
 * initiator, which shows in one place only: it owns the first key of the split. Source:
 * docs/protocol/transport.md; Noise revision 34, sections 5, 7, 10.2. */
#include "crypto/noise.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/noise_cipher.h"
#include "crypto/prim.h"

#define MESSAGES_MAX 3u
#define TOKENS_MAX 4u

enum token { T_END, T_E, T_S, T_EE, T_ES, T_SE, T_SS };

struct message {
    enum noise_role writer;
    enum token tokens[TOKENS_MAX + 1];
};

struct pattern {
    const char *name;
    enum noise_role initiator; /* in Noise's sense */
    size_t message_count;
    struct message messages[MESSAGES_MAX];
};

static const struct pattern patterns[] = {
    [NOISE_XX] = {.name = "Noise_XX_25519_AESGCM_SHA256",
                  .initiator = NOISE_CLIENT,
                  .message_count = 3,
                  .messages[0] = {NOISE_CLIENT, {T_E}},
                  .messages[1] = {NOISE_SERVER, {T_E, T_EE, T_S, T_ES}},
                  .messages[2] = {NOISE_CLIENT, {T_S, T_SE}}},
    [NOISE_IK] = {.name = "Noise_IK_25519_AESGCM_SHA256",
                  .initiator = NOISE_CLIENT,
                  .message_count = 2,
                  .messages[0] = {NOISE_CLIENT, {T_E, T_ES, T_S, T_SS}},
                  .messages[1] = {NOISE_SERVER, {T_E, T_EE, T_SE}}},
    [NOISE_XXFALLBACK] = {.name = "Noise_XXfallback_25519_AESGCM_SHA256",
                  .initiator = NOISE_SERVER,
                  .message_count = 2,
                  .messages[0] = {NOISE_SERVER, {T_E, T_EE, T_S, T_ES}},
                  .messages[1] = {NOISE_CLIENT, {T_S, T_SE}}},
};

struct noise_handshake {
    const struct pattern *pattern;
    enum noise_role role;
    struct rng rng;
    const struct noise_keypair *s; /* borrowed */
    struct noise_keypair e;
    uint8_t rs[32], re[32];
    bool has_e, has_rs, has_re, has_key, has_failed;
    uint8_t h[32], ck[32];
    struct noise_cipher cipher; /* of the handshake itself */
    size_t next;                /* index into pattern->messages */
};

static void
mix_hash(struct noise_handshake *hs, struct bytes data)
{
    sha256_2(hs->h, bytes_of(hs->h, sizeof(hs->h)), data);
}

static void
mix_key(struct noise_handshake *hs, const uint8_t dh[32])
{
    uint8_t both[64];

    hkdf_sha256(both, sizeof(both), bytes_of(dh, 32), bytes_of(hs->ck, 32), bytes_of(NULL, 0));
    memcpy(hs->ck, both, 32);
    memcpy(hs->cipher.key, both + 32, 32);
    hs->cipher.n = 0;
    hs->has_key = true;
    bytes_wipe(both, sizeof(both));
}

/* Append in, encrypted once there is a key; what was appended goes into the hash. */
static enum rc
encrypt_and_hash(struct noise_handshake *hs, struct buf *out, struct bytes in, struct err *err)
{
    size_t size = in.len + (hs->has_key ? NOISE_TAG_SIZE : 0);
    uint8_t *room = buf_extend(out, size);

    if (room == NULL)
        return err_set(err, RC_NOMEM, "noise.write", "no room for %zu bytes", size);
    if (hs->has_key)
        noise_cipher_seal(&hs->cipher, room, bytes_of(hs->h, sizeof(hs->h)), in);
    else if (in.len != 0)
        memcpy(room, in.ptr, in.len);
    mix_hash(hs, bytes_of(room, size));
    return RC_OK;
}

/* out holds in.len bytes, less a tag once there is a key. */
static enum rc
decrypt_and_hash(struct noise_handshake *hs, uint8_t *out, struct bytes in, struct err *err)
{
    uint8_t before[32];

    memcpy(before, hs->h, sizeof(before));
    mix_hash(hs, in); /* first: out may be where in is */
    if (!hs->has_key) {
        if (in.len != 0)
            memmove(out, in.ptr, in.len);
        return RC_OK;
    }
    if (noise_cipher_open(&hs->cipher, out, bytes_of(before, sizeof(before)), in) != RC_OK)
        return err_set(err, RC_AUTH, "noise.read", "handshake message does not authenticate");
    return RC_OK;
}

static enum rc
mix_dh(struct noise_handshake *hs, enum token token, struct err *err)
{
    bool is_client = hs->role == NOISE_CLIENT;
    bool is_client_e = token == T_EE || token == T_ES;
    bool is_server_e = token == T_EE || token == T_SE;
    bool is_mine_e = is_client ? is_client_e : is_server_e;
    bool is_theirs_e = is_client ? is_server_e : is_client_e;
    uint8_t dh[32];

    assert(is_theirs_e ? hs->has_re : hs->has_rs);
    assert(!is_mine_e || hs->has_e);
    if (x25519_dh(dh, is_mine_e ? hs->e.priv : hs->s->priv, is_theirs_e ? hs->re : hs->rs) != RC_OK)
        return err_set(err, RC_AUTH, "noise", "the peer sent a key of small order");
    mix_key(hs, dh);
    bytes_wipe(dh, sizeof(dh));
    return RC_OK;
}

static enum rc
write_token(struct noise_handshake *hs, enum token token, struct buf *out, struct err *err)
{
    if (token == T_S)
        return encrypt_and_hash(hs, out, bytes_of(hs->s->pub, sizeof(hs->s->pub)), err);
    if (token != T_E)
        return mix_dh(hs, token, err);
    if (!hs->has_e)
        x25519_keypair(hs->e.priv, hs->e.pub, hs->rng);
    hs->has_e = true;
    buf_put(out, bytes_of(hs->e.pub, sizeof(hs->e.pub)));
    mix_hash(hs, bytes_of(hs->e.pub, sizeof(hs->e.pub)));
    return buf_failed(out) ? err_set(err, RC_NOMEM, "noise.write", "no room") : RC_OK;
}

/* Take n bytes off the front of *in. */
static enum rc
cut(struct bytes *piece, struct bytes *in, size_t n, struct err *err)
{
    if (in->len < n)
        return err_set(err, RC_MALFORMED, "noise.read", "handshake message is too short");
    *piece = bytes_of(in->ptr, n);
    *in = bytes_of(in->ptr + n, in->len - n);
    return RC_OK;
}

static enum rc
read_token(struct noise_handshake *hs, enum token token, struct bytes *in, struct err *err)
{
    struct bytes piece;
    enum rc rc;

    if (token != T_E && token != T_S)
        return mix_dh(hs, token, err);
    size_t size = NOISE_KEY_SIZE + (token == T_S && hs->has_key ? NOISE_TAG_SIZE : 0);
    if ((rc = cut(&piece, in, size, err)) != RC_OK)
        return rc;
    if (token == T_E) {
        memcpy(hs->re, piece.ptr, sizeof(hs->re));
        hs->has_re = true;
        mix_hash(hs, piece);
        return RC_OK;
    }
    rc = decrypt_and_hash(hs, hs->rs, piece, err);
    hs->has_rs = rc == RC_OK;
    return rc;
}

static const struct message *
current(const struct noise_handshake *hs)
{
    return hs->has_failed || hs->next == hs->pattern->message_count
               ? NULL
               : &hs->pattern->messages[hs->next];
}

/* h = the name, padded if it is short and hashed if it is not; then prologue and what is known. */
static void
begin(struct noise_handshake *hs, struct bytes prologue)
{
    struct bytes name = bytes_of_str(hs->pattern->name);

    if (name.len <= sizeof(hs->h))
        memcpy(hs->h, name.ptr, name.len);
    else
        sha256(hs->h, name);
    memcpy(hs->ck, hs->h, sizeof(hs->ck));
    mix_hash(hs, prologue);
    if (hs->pattern == &patterns[NOISE_IK])
        mix_hash(hs, bytes_of(hs->role == NOISE_CLIENT ? hs->rs : hs->s->pub, 32));
    if (hs->pattern == &patterns[NOISE_XXFALLBACK])
        mix_hash(hs, bytes_of(hs->role == NOISE_CLIENT ? hs->e.pub : hs->re, 32));
}

static bool
is_opt_legal(const struct noise_handshake_opt *opt)
{
    bool is_fallback = opt->pattern == NOISE_XXFALLBACK;

    if (opt->pattern < NOISE_XX || opt->pattern > NOISE_XXFALLBACK || opt->local_static == NULL)
        return false;
    if (opt->role == NOISE_CLIENT)
        return (opt->remote_static != NULL) == (opt->pattern == NOISE_IK) &&
               opt->remote_ephemeral == NULL && (!is_fallback || opt->local_ephemeral != NULL);
    return opt->remote_static == NULL && (opt->remote_ephemeral != NULL) == is_fallback;
}

enum rc
noise_handshake_new(struct noise_handshake **out, const struct noise_handshake_opt *opt,
                    struct err *err)
{
    struct noise_handshake *hs;

    *out = NULL;
    if (!is_opt_legal(opt))
        return err_set(err, RC_INVAL, "noise.new", "keys do not fit the pattern");
    if ((hs = calloc(1, sizeof(*hs))) == NULL)
        return err_set(err, RC_NOMEM, "noise.new", "no memory");
    hs->pattern = &patterns[opt->pattern];
    hs->role = opt->role;
    hs->rng = opt->rng;
    hs->s = opt->local_static;
    hs->has_e = opt->local_ephemeral != NULL;
    hs->has_rs = opt->remote_static != NULL;
    hs->has_re = opt->remote_ephemeral != NULL;
    if (hs->has_e)
        hs->e = *opt->local_ephemeral;
    if (hs->has_rs)
        memcpy(hs->rs, opt->remote_static, sizeof(hs->rs));
    if (hs->has_re)
        memcpy(hs->re, opt->remote_ephemeral, sizeof(hs->re));
    begin(hs, opt->prologue);
    *out = hs;
    return RC_OK;
}

void
noise_handshake_free(struct noise_handshake **hs)
{
    if (*hs == NULL)
        return;
    bytes_wipe(*hs, sizeof(**hs));
    free(*hs);
    *hs = NULL;
}

size_t
noise_handshake_memory(void)
{
    return sizeof(struct noise_handshake);
}

bool
noise_handshake_must_write(const struct noise_handshake *hs)
{
    const struct message *message = current(hs);

    return message != NULL && message->writer == hs->role;
}

bool
noise_handshake_is_complete(const struct noise_handshake *hs)
{
    return !hs->has_failed && hs->next == hs->pattern->message_count;
}

/* One message is done: count it, or remember that there is no way on. */
static enum rc
finish_message(struct noise_handshake *hs, enum rc rc)
{
    if (rc == RC_OK)
        hs->next++;
    else
        hs->has_failed = true;
    return rc;
}

enum rc
noise_handshake_write(struct noise_handshake *hs, struct bytes payload, struct buf *out,
                      struct err *err)
{
    const struct message *message = current(hs);
    size_t start = out->len;
    enum rc rc = RC_OK;

    if (message == NULL || message->writer != hs->role)
        return err_set(err, RC_PROTO, "noise.write", "it is not our turn");
    for (const enum token *t = message->tokens; rc == RC_OK && *t != T_END; t++)
        rc = write_token(hs, *t, out, err);
    if (rc == RC_OK)
        rc = encrypt_and_hash(hs, out, payload, err);
    if (rc == RC_OK && out->len - start > NOISE_MESSAGE_MAX)
        rc = err_set(err, RC_LIMIT, "noise.write", "message of %zu bytes", out->len - start);
    return finish_message(hs, rc);
}

enum rc
noise_handshake_read(struct noise_handshake *hs, struct bytes in, struct buf *payload_out,
                     struct err *err)
{
    const struct message *message = current(hs);
    size_t start = payload_out->len;
    uint8_t *room;
    enum rc rc = RC_OK;

    if (message == NULL || message->writer == hs->role)
        return err_set(err, RC_PROTO, "noise.read", "it is not the peer's turn");
    if (in.len > NOISE_MESSAGE_MAX)
        rc = err_set(err, RC_MALFORMED, "noise.read", "message of %zu bytes", in.len);
    for (const enum token *t = message->tokens; rc == RC_OK && *t != T_END; t++)
        rc = read_token(hs, *t, &in, err);
    if (rc != RC_OK)
        return finish_message(hs, rc);
    size_t overhead = hs->has_key ? NOISE_TAG_SIZE : 0;
    if (in.len < overhead)
        rc = err_set(err, RC_MALFORMED, "noise.read", "handshake message is too short");
    else if ((room = buf_extend(payload_out, in.len - overhead)) == NULL)
        rc = err_set(err, RC_NOMEM, "noise.read", "no room for the payload");
    else if ((rc = decrypt_and_hash(hs, room, in, err)) != RC_OK)
        payload_out->len = start;
    return finish_message(hs, rc);
}

const uint8_t *
noise_handshake_remote_static(const struct noise_handshake *hs)
{
    return hs->has_rs ? hs->rs : NULL;
}

const struct noise_keypair *
noise_handshake_ephemeral(const struct noise_handshake *hs)
{
    return &hs->e;
}

enum rc
noise_handshake_split(struct noise_handshake *hs, struct noise_cipher *send,
                      struct noise_cipher *recv, uint8_t hash[32], struct err *err)
{
    uint8_t both[64];
    bool is_first = hs->pattern->initiator == hs->role;

    memset(send, 0, sizeof(*send));
    memset(recv, 0, sizeof(*recv));
    if (!noise_handshake_is_complete(hs))
        return err_set(err, RC_PROTO, "noise.split", "the handshake is not complete");
    hkdf_sha256(both, sizeof(both), bytes_of(NULL, 0), bytes_of(hs->ck, 32), bytes_of(NULL, 0));
    memcpy(send->key, both + (is_first ? 0 : 32), 32);
    memcpy(recv->key, both + (is_first ? 32 : 0), 32);
    memcpy(hash, hs->h, sizeof(hs->h));
    bytes_wipe(both, sizeof(both));
    bytes_wipe(hs->ck, sizeof(hs->ck));
    return RC_OK;
}
