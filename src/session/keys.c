/* keys.c - the keys of one device: identity, signed prekey, one-time prekeys, signatures by
 * identity.
 *
 * Makes keys and signs; keeps none. What a caller stores is what comes out. Ids run over 1 to
 * SESSION_PREKEY_ID_MAX and wrap; the library's "last resort" id above it is never made. */
#include "session/engine.h"

#include "crypto/prim.h"

#define KEY_TYPE 0x05u /* first byte of a serialized public key */

static void
make_pair(struct session_engine *engine, uint8_t pub[SESSION_PUBLIC_SIZE],
          uint8_t priv[SESSION_PRIVATE_SIZE])
{
    pub[0] = KEY_TYPE;
    x25519_keypair(priv, pub + 1, engine->rng);
}

enum rc
session_identity_make(struct session_engine *engine, struct session_identity *out, struct err *err)
{
    (void)err;
    make_pair(engine, out->pub, out->priv);
    out->registration_id = 1 + rng_below(engine->rng, SESSION_REGISTRATION_ID_MAX);
    return RC_OK;
}

enum rc
session_sign(struct session_engine *engine, uint8_t signature[64],
             const struct session_identity *identity, struct bytes msg, struct err *err)
{
    uint8_t random64[64];

    (void)err;
    rng_fill(engine->rng, random64, sizeof(random64));
    curve_sign(signature, identity->priv, msg, random64);
    bytes_wipe(random64, sizeof(random64));
    return RC_OK;
}

enum rc
session_signed_prekey_make(struct session_engine *engine, struct session_signed_prekey *out,
                           const struct session_identity *identity, uint32_t id, int64_t now_ms,
                           struct err *err)
{
    *out = (struct session_signed_prekey){.pair.id = id, .created_ms = now_ms};
    if (id < 1 || id > SESSION_PREKEY_ID_MAX)
        return err_set(err, RC_INVAL, "session.signed_prekey", "id %u", id);
    make_pair(engine, out->pair.pub, out->pair.priv);
    return session_sign(engine, out->signature, identity,
                        bytes_of(out->pair.pub, sizeof(out->pair.pub)), err);
}

enum rc
session_prekeys_make(struct session_engine *engine, struct session_prekey *out, size_t n,
                     uint32_t first_id, struct err *err)
{
    if (first_id < 1 || first_id > SESSION_PREKEY_ID_MAX || n > SESSION_PREKEY_ID_MAX)
        return err_set(err, RC_INVAL, "session.prekeys", "first id %u", first_id);
    for (size_t i = 0; i < n; i++) {
        out[i].id = (uint32_t)((first_id - 1 + i) % SESSION_PREKEY_ID_MAX) + 1;
        make_pair(engine, out[i].pub, out[i].priv);
    }
    return RC_OK;
}

int
key_pair_decode(ec_key_pair **out, const struct session_prekey *pair, signal_context *context)
{
    ec_public_key *pub = NULL;
    ec_private_key *priv = NULL;
    int code;

    *out = NULL;
    if ((code = curve_decode_point(&pub, pair->pub, sizeof(pair->pub), context)) < 0)
        goto out;
    if ((code = curve_decode_private_point(&priv, pair->priv, sizeof(pair->priv), context)) < 0)
        goto out;
    code = ec_key_pair_create(out, pub, priv);
out:
    SIGNAL_UNREF(priv);
    SIGNAL_UNREF(pub);
    return code;
}
