/* describe.c - what a stored record says about itself, without its keys.
 *
 * A record is opaque to everybody else: two bytes that name engine and format, then the engine's
 * own bytes. record_open is the only place that reads the two. */
#include "session/engine.h"

#include <session_record.h>
#include <session_state.h>

enum rc
record_open(struct bytes *out, struct bytes record, struct err *err)
{
    *out = (struct bytes){0};
    if (record.len == 0)
        return RC_OK;
    if (record.len > SESSION_RECORD_MAX)
        return err_set(err, RC_LIMIT, "session.record", "%zu bytes", record.len);
    if (record.len <= RECORD_HEADER_SIZE || record.ptr[0] != RECORD_ENGINE_SIGNAL_V3 ||
        record.ptr[1] != RECORD_FORMAT)
        return err_set(err, RC_MALFORMED, "session.record", "written by an unknown engine");
    *out = bytes_of(record.ptr + RECORD_HEADER_SIZE, record.len - RECORD_HEADER_SIZE);
    return RC_OK;
}

static int
copy_identity(uint8_t out[SESSION_PUBLIC_SIZE], const ec_public_key *key)
{
    signal_buffer *serialized = NULL;
    int code;

    if (key == NULL)
        return SG_SUCCESS;
    if ((code = ec_public_key_serialize(&serialized, key)) < 0)
        return code;
    if (signal_buffer_len(serialized) == SESSION_PUBLIC_SIZE)
        memcpy(out, signal_buffer_data(serialized), SESSION_PUBLIC_SIZE);
    signal_buffer_free(serialized);
    return SG_SUCCESS;
}

enum rc
peek_record(struct session_engine *engine, struct peek *out, struct bytes record, struct err *err)
{
    struct bytes inner;
    session_record *library = NULL;
    session_state *state;
    enum rc rc;
    int code;

    *out = (struct peek){0};
    if ((rc = record_open(&inner, record, err)) != RC_OK || inner.len == 0)
        return rc;
    if ((code = session_record_deserialize(&library, inner.ptr, inner.len, engine->context)) < 0)
        return signal_error(engine, code, "session.record", err);
    state = session_record_get_state(library);
    if (session_state_get_sender_chain_key(state) != NULL) {
        out->description = (struct session_description){
            .has_session = true,
            .version = session_state_get_session_version(state),
            .remote_registration_id = session_state_get_remote_registration_id(state),
            .is_unanswered = session_state_has_unacknowledged_pre_key_message(state) == 1,
        };
    }
    if ((code = copy_identity(out->peer_identity, session_state_get_remote_identity_key(state))) <
        0)
        rc = signal_error(engine, code, "session.record", err);
    SIGNAL_UNREF(library);
    return rc;
}

enum rc
session_describe(struct session_engine *engine, struct session_description *out,
                 struct bytes record, struct err *err)
{
    struct peek peek;
    enum rc rc = peek_record(engine, &peek, record, err);

    *out = peek.description;
    return rc;
}
