/* decrypt.c - open one ciphertext: record in, payload and next record out.
 *
 * Everything is checked before the library sees a byte: sizes, the version byte, ids, the sender's
 * identity. A failure of any kind appends nothing; the caller's record is never written to
 * (invariant I27). The identity reported is the one of the session that opened the message, not the
 * one that an unprotected header claims. Source: docs/protocol/sessions.md. */
#include "session/engine.h"

#include <protocol.h>
#include <session_cipher.h>
#include <session_state.h>

#define VERSION 3u
#define CIPHER_MIN 10u /* version byte, one byte, eight bytes of MAC */

/* A decoded ciphertext: `whisper` is the message itself, borrowed from `prekey` where there is one.
 */
struct incoming {
    pre_key_signal_message *prekey;
    signal_message *whisper;
};

/* High nibble: the version. Low nibble: the newest one that the sender knows, so never lower. */
static bool
is_version_ok(uint8_t byte)
{
    return byte >> 4 == VERSION && (byte & 0x0f) >= VERSION;
}

static enum rc
decode(struct incoming *out, signal_context *context, enum session_type type, struct bytes cipher)
{
    int code;

    if (type == SESSION_WHISPER) {
        code = signal_message_deserialize(&out->whisper, cipher.ptr, cipher.len, context);
        return code == SG_ERR_NOMEM ? RC_NOMEM : code < 0 ? RC_MALFORMED : RC_OK;
    }
    code = pre_key_signal_message_deserialize(&out->prekey, cipher.ptr, cipher.len, context);
    if (code < 0)
        return code == SG_ERR_NOMEM ? RC_NOMEM : RC_MALFORMED;
    out->whisper = pre_key_signal_message_get_signal_message(out->prekey);
    signal_buffer *inner =
        ciphertext_message_get_serialized((const ciphertext_message *)out->whisper);
    return is_version_ok(signal_buffer_data(inner)[0]) ? RC_OK : RC_MALFORMED;
}

static enum rc
check_and_decode(struct incoming *out, struct session_engine *engine, enum session_type type,
                 struct bytes cipher, struct err *err)
{
    enum rc rc;

    if (cipher.len > SESSION_MESSAGE_MAX)
        return err_set(err, RC_LIMIT, "session.decrypt", "%zu bytes", cipher.len);
    if (type != SESSION_WHISPER && type != SESSION_PREKEY)
        return err_set(err, RC_MALFORMED, "session.decrypt", "type %d", (int)type);
    if (cipher.len < CIPHER_MIN || !is_version_ok(cipher.ptr[0]))
        return err_set(err, RC_MALFORMED, "session.decrypt", "too short, or another version");
    if ((rc = decode(out, engine->context, type, cipher)) != RC_OK)
        return err_set(err, rc, "session.decrypt", "does not parse");
    if (type == SESSION_WHISPER && engine->stage.record_in.len == 0)
        return err_set(err, RC_NO_SESSION, "session.decrypt", "no session");
    return RC_OK;
}

/* The identity in the header of a first message, and whether it is the one known for the address.
 */
static enum rc
check_identity(struct session_opened *out, const pre_key_signal_message *message,
               const uint8_t *expected, struct err *err)
{
    signal_buffer *key = NULL;

    if (ec_public_key_serialize(&key, pre_key_signal_message_get_identity_key(message)) < 0)
        return err_set(err, RC_NOMEM, "session.decrypt", "out of memory");
    memcpy(out->peer_identity, signal_buffer_data(key), SESSION_PUBLIC_SIZE);
    signal_buffer_free(key);
    if (expected != NULL && memcmp(out->peer_identity, expected, SESSION_PUBLIC_SIZE) != 0)
        return err_set(err, RC_UNTRUSTED, "session.decrypt",
                       "first message under another identity");
    return RC_OK;
}

static int
open_staged(struct session_engine *engine, signal_buffer **plain, const struct incoming *in)
{
    session_cipher *cipher = NULL;
    int code = session_cipher_create(&cipher, engine->store, staging_address(), engine->context);

    if (code < 0)
        return code;
    if (in->prekey != NULL)
        code = session_cipher_decrypt_pre_key_signal_message(cipher, in->prekey, NULL, plain);
    else
        code = session_cipher_decrypt_signal_message(cipher, in->whisper, NULL, plain);
    session_cipher_free(cipher);
    return code;
}

/* True if the state has the message's chain; *is_far then says whether the counter is past reach.
 */
static bool
has_chain(session_state *state, const signal_message *message, bool *is_far)
{
    ratchet_chain_key *chain =
        session_state_get_receiver_chain_key(state, signal_message_get_sender_ratchet_key(message));
    uint32_t counter = signal_message_get_counter(message);

    if (chain == NULL)
        return false;
    uint32_t index = ratchet_chain_key_get_index(chain);
    *is_far = counter > index && counter - index > JUMP_MAX;
    return true;
}

/* The library has one code for "bad MAC" and "too far ahead". The second is told apart here, so
 * that the caller can ask for a new session; it is a guess about a message whose MAC nobody
 * checked. */
static bool
is_too_far_ahead(struct session_engine *engine, const signal_message *message)
{
    struct bytes in = engine->stage.record_in;
    bool is_far = signal_message_get_counter(message) > JUMP_MAX;
    session_record *record = NULL;

    if (in.len == 0 || session_record_deserialize(&record, in.ptr, in.len, engine->context) < 0)
        return is_far;
    if (!has_chain(session_record_get_state(record), message, &is_far)) {
        session_record_state_node *node = session_record_get_previous_states_head(record);

        while (node != NULL &&
               !has_chain(session_record_get_previous_states_element(node), message, &is_far))
            node = session_record_get_previous_states_next(node);
    }
    SIGNAL_UNREF(record);
    return is_far;
}

/* Fill *out from the record just made. The session's identity must be the one that the caller
 * expects and, in a first message, the one in the header. */
static enum rc
finish(struct session_engine *engine, struct session_opened *out, struct bytes record,
       bool has_header, const uint8_t *expected, struct err *err)
{
    const struct staging *stage = &engine->stage;
    struct peek peek;
    enum rc rc = peek_record(engine, &peek, record, err);

    if (rc != RC_OK)
        return rc;
    if (has_header && memcmp(out->peer_identity, peek.peer_identity, SESSION_PUBLIC_SIZE) != 0)
        return err_set(err, RC_AUTH, "session.decrypt", "header names another identity");
    memcpy(out->peer_identity, peek.peer_identity, SESSION_PUBLIC_SIZE);
    if (expected != NULL && memcmp(peek.peer_identity, expected, SESSION_PUBLIC_SIZE) != 0)
        return err_set(err, RC_UNTRUSTED, "session.decrypt", "session of another identity");
    out->used_one_time = stage->has_spent_one_time;
    out->one_time_id = stage->spent_one_time_id;
    out->is_new_session = stage->is_set_up;
    return RC_OK;
}

enum rc
session_decrypt(struct session_engine *engine, struct buf *plain_out, struct buf *record_out,
                struct session_opened *out, const struct session_identity *identity,
                struct bytes record_in, enum session_type type, struct bytes cipher,
                const uint8_t *expected_identity, const struct session_prekey_source *source,
                struct err *err)
{
    struct incoming in = {0};
    signal_buffer *plain = NULL;
    size_t plain_mark = plain_out->len;
    size_t record_mark = record_out->len;
    enum rc rc;
    int code;

    *out = (struct session_opened){0};
    if ((rc = staging_begin(engine, identity, record_in, record_out, err)) != RC_OK)
        goto out;
    engine->stage.source = source;
    if ((rc = check_and_decode(&in, engine, type, cipher, err)) != RC_OK)
        goto out;
    if (in.prekey != NULL && (rc = check_identity(out, in.prekey, expected_identity, err)) != RC_OK)
        goto out;
    if ((code = open_staged(engine, &plain, &in)) < 0) {
        rc = signal_error(engine, code, "session.decrypt", err);
        if (rc == RC_AUTH && is_too_far_ahead(engine, in.whisper))
            rc = err_set(err, RC_LIMIT, "session.decrypt", "more than %u messages ahead", JUMP_MAX);
        goto out;
    }
    rc = finish(engine, out, bytes_of(record_out->ptr + record_mark, record_out->len - record_mark),
                in.prekey != NULL, expected_identity, err);
    if (rc != RC_OK)
        goto out;
    buf_put(plain_out, bytes_of(signal_buffer_data(plain), signal_buffer_len(plain)));
    if (buf_failed(plain_out))
        rc = err_set(err, RC_NOMEM, "session.decrypt", "no room for the payload");
out:
    if (rc != RC_OK) {
        buf_roll_back(plain_out, plain_mark);
        buf_roll_back(record_out, record_mark);
        out->used_one_time = false;
        out->is_new_session = false;
    }
    signal_buffer_bzero_free(plain);
    if (in.prekey != NULL)
        SIGNAL_UNREF(in.prekey);
    else
        SIGNAL_UNREF(in.whisper);
    staging_end(engine);
    return rc;
}
