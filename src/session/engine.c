/* engine.c - make and release an engine, and prove at its birth that our curve code is the one in
 * use.
 *
 * An engine is one library context, one store context and the crypto contexts of one thread. It
 * holds no keys and no sessions between calls. A program whose build hides the replaced symbols
 * would run four times slower and without the all-zero check; it does not start instead. */
#include "session/engine.h"

#include <stdlib.h>

/* RFC 7748, section 6.1: Alice's private key, Bob's public key, their shared secret. */
static const uint8_t alice_priv[32] = {
    0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45,
    0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a};
static const uint8_t bob_pub[33] = {0x05, 0xde, 0x9e, 0xdb, 0x7d, 0x7b, 0x7d, 0xc1, 0xb4,
                                    0xd3, 0x5b, 0x61, 0xc2, 0xec, 0xe4, 0x35, 0x37, 0x3f,
                                    0x83, 0x43, 0xc8, 0x5b, 0x78, 0x67, 0x4d, 0xad, 0xfc,
                                    0x7e, 0x14, 0x6f, 0x88, 0x2b, 0x4f};
static const uint8_t shared_secret[32] = {
    0x4a, 0x5d, 0x9d, 0x5b, 0xa4, 0xce, 0x2d, 0xe1, 0x72, 0x8e, 0x3b, 0xf4, 0x80, 0x35, 0x0f, 0x25,
    0xe0, 0x7e, 0x21, 0xc9, 0x47, 0xd1, 0x9e, 0x33, 0x76, 0xf0, 0x9b, 0x3c, 0x1e, 0x16, 0x17, 0x42};

/* One agreement, one signature and one check through the library's own entry points. */
static bool
agrees_with_known_answer(struct session_engine *engine)
{
    ec_public_key *pub = NULL;
    ec_public_key *own = NULL;
    ec_private_key *priv = NULL;
    signal_buffer *signature = NULL;
    uint8_t *secret = NULL;
    bool is_good = false;

    if (curve_decode_point(&pub, bob_pub, sizeof(bob_pub), engine->context) < 0 ||
        curve_decode_private_point(&priv, alice_priv, sizeof(alice_priv), engine->context) < 0 ||
        curve_generate_public_key(&own, priv) < 0)
        goto out;
    if (curve_calculate_agreement(&secret, pub, priv) != (int)sizeof(shared_secret) ||
        memcmp(secret, shared_secret, sizeof(shared_secret)) != 0)
        goto out;
    if (curve_calculate_signature(engine->context, &signature, priv, bob_pub, sizeof(bob_pub)) < 0)
        goto out;
    is_good = curve_verify_signature(own, bob_pub, sizeof(bob_pub), signal_buffer_data(signature),
                                     signal_buffer_len(signature)) == 1;
out:
    free(secret);
    signal_buffer_free(signature);
    SIGNAL_UNREF(priv);
    SIGNAL_UNREF(own);
    SIGNAL_UNREF(pub);
    return is_good;
}

static enum rc
prove_curve(struct session_engine *engine, struct err *err)
{
    const struct curve_calls before = *curve_calls_borrow();
    bool is_right = agrees_with_known_answer(engine);
    const struct curve_calls *after = curve_calls_borrow();

    if (!is_right)
        return err_set(err, RC_PROTO, "session.engine", "curve functions give a wrong answer");
    if (after->multiply != before.multiply + 2 || after->sign != before.sign + 1 ||
        after->verify != before.verify + 1)
        return err_set(err, RC_PROTO, "session.engine",
                       "the curve functions of the session library are not replaced: link the "
                       "program with src/session/curve.list");
    return RC_OK;
}

enum rc
session_engine_new(struct session_engine **out, struct rng rng, struct err *err)
{
    struct session_engine *engine = calloc(1, sizeof(*engine));
    enum rc rc;

    *out = NULL;
    if (engine == NULL)
        return err_set(err, RC_NOMEM, "session.engine", "out of memory");
    engine->rng = rng;
    if ((rc = provider_open(engine, err)) != RC_OK)
        goto out;
    if ((rc = staging_attach(engine, err)) != RC_OK)
        goto out;
    if ((rc = prove_curve(engine, err)) != RC_OK)
        goto out;
    *out = engine;
    engine = NULL;
out:
    session_engine_free(&engine);
    return rc;
}

void
session_engine_free(struct session_engine **engine)
{
    if (*engine == NULL)
        return;
    signal_protocol_store_context_destroy((*engine)->store);
    provider_close(*engine);
    free(*engine);
    *engine = NULL;
}

void
session_engine_trace_keys(struct session_engine *engine,
                          void (*fn)(void *ctx, const uint8_t key_hash[32],
                                     const uint8_t plain_hash[32]),
                          void *ctx)
{
    engine->trace = fn;
    engine->trace_ctx = ctx;
}

void
buf_roll_back(struct buf *buf, size_t mark)
{
    if (buf->len <= mark)
        return;
    bytes_wipe(buf->ptr + mark, buf->len - mark);
    buf->len = mark;
}
