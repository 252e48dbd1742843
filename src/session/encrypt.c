/* encrypt.c - seal one payload: record in, ciphertext and next record out.
 *
 * Never lets a ciphertext out without the record that has moved past its key: both are appended, or
 * neither (invariant I24 rests on the caller keeping both or neither as well). */
#include "session/engine.h"

#include "crypto/prim.h"

#include <protocol.h>
#include <session_cipher.h>
#include <session_state.h>

/* Test hook: the message key that this call will use, taken from the sending chain of record_in. */
static int
trace_key(struct session_engine *engine, struct bytes plain)
{
    struct bytes in = engine->stage.record_in;
    session_record *record = NULL;
    ratchet_chain_key *chain;
    ratchet_message_keys keys;
    uint8_t joined[sizeof(keys.cipher_key) + sizeof(keys.mac_key) + sizeof(keys.iv)];
    uint8_t key_hash[SHA256_SIZE];
    uint8_t plain_hash[SHA256_SIZE];
    int code;

    if ((code = session_record_deserialize(&record, in.ptr, in.len, engine->context)) < 0)
        return code;
    chain = session_state_get_sender_chain_key(session_record_get_state(record));
    if (chain == NULL) {
        code = SG_ERR_NO_SESSION;
        goto out;
    }
    if ((code = ratchet_chain_key_get_message_keys(chain, &keys)) < 0)
        goto out;
    memcpy(joined, keys.cipher_key, sizeof(keys.cipher_key));
    memcpy(joined + sizeof(keys.cipher_key), keys.mac_key, sizeof(keys.mac_key));
    memcpy(joined + sizeof(keys.cipher_key) + sizeof(keys.mac_key), keys.iv, sizeof(keys.iv));
    sha256(key_hash, bytes_of(joined, sizeof(joined)));
    sha256(plain_hash, plain);
    engine->trace(engine->trace_ctx, key_hash, plain_hash);
out:
    bytes_wipe(&keys, sizeof(keys));
    bytes_wipe(joined, sizeof(joined));
    SIGNAL_UNREF(record);
    return code;
}

static int
encrypt_staged(struct session_engine *engine, ciphertext_message **out, struct bytes plain)
{
    session_cipher *cipher = NULL;
    int code;

    if (engine->trace != NULL && (code = trace_key(engine, plain)) < 0)
        return code;
    if ((code = session_cipher_create(&cipher, engine->store, staging_address(),
                                      engine->context)) >= 0)
        code = session_cipher_encrypt(cipher, plain.ptr, plain.len, out);
    session_cipher_free(cipher);
    /* The library has no better word for a record whose state has no sending chain. */
    return code == SG_ERR_UNKNOWN && engine->stage.callback_rc == RC_OK ? SG_ERR_NO_SESSION : code;
}

enum rc
session_encrypt(struct session_engine *engine, struct buf *cipher_out, enum session_type *type_out,
                struct buf *record_out, const struct session_identity *identity,
                struct bytes record_in, struct bytes plain, struct err *err)
{
    static const uint8_t nothing = 0; /* the library wants a pointer even for no bytes */
    ciphertext_message *message = NULL;
    size_t cipher_mark = cipher_out->len;
    size_t record_mark = record_out->len;
    enum rc rc;
    int code;

    if (plain.len > SESSION_PLAIN_MAX)
        return err_set(err, RC_LIMIT, "session.encrypt", "%zu bytes", plain.len);
    if (plain.len == 0)
        plain = bytes_of(&nothing, 0);
    if ((rc = staging_begin(engine, identity, record_in, record_out, err)) != RC_OK)
        goto out;
    if (engine->stage.record_in.len == 0) {
        rc = err_set(err, RC_NO_SESSION, "session.encrypt", "no session");
        goto out;
    }
    if ((code = encrypt_staged(engine, &message, plain)) < 0) {
        rc = signal_error(engine, code, "session.encrypt", err);
        goto out;
    }
    *type_out = ciphertext_message_get_type(message) == CIPHERTEXT_PREKEY_TYPE ? SESSION_PREKEY
                                                                               : SESSION_WHISPER;
    signal_buffer *wire = ciphertext_message_get_serialized(message);
    buf_put(cipher_out, bytes_of(signal_buffer_data(wire), signal_buffer_len(wire)));
    if (buf_failed(cipher_out))
        rc = err_set(err, RC_NOMEM, "session.encrypt", "no room for the ciphertext");
out:
    if (rc != RC_OK) {
        buf_roll_back(cipher_out, cipher_mark);
        buf_roll_back(record_out, record_mark);
    }
    SIGNAL_UNREF(message);
    staging_end(engine);
    return rc;
}
