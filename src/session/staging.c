/* staging.c - the store callbacks of the session library, over one struct that lives for one call.
 *
 * The library wants a store that it writes to in several steps. Here nothing is written: a callback
 * notes what the caller must commit, and the caller commits all of it in one transaction or none
 * (docs/protocol/sessions.md). No callback does I/O; private prekeys come from the source that the
 * caller passed. What the library only uses for other features fails if it is ever called. */
#include "session/engine.h"

#include <session_pre_key.h>

/* Give a callback's refusal to the caller unchanged, whatever the library makes of it. */
static int
refuse(struct session_engine *engine, enum rc rc)
{
    engine->stage.callback_rc = rc;
    return rc == RC_NOMEM ? SG_ERR_NOMEM : SG_ERR_UNKNOWN;
}

static int
load_session(signal_buffer **record, signal_buffer **user_record,
             const signal_protocol_address *address UNUSED, void *self)
{
    const struct session_engine *engine = self;
    struct bytes in = engine->stage.record_in;

    *record = NULL;
    *user_record = NULL;
    if (in.len == 0)
        return 0;
    *record = signal_buffer_create(in.ptr, in.len);
    return *record == NULL ? SG_ERR_NOMEM : 1;
}

static int
contains_session(const signal_protocol_address *address UNUSED, void *self)
{
    const struct session_engine *engine = self;

    return engine->stage.record_in.len > 0;
}

static int
store_session(const signal_protocol_address *address UNUSED, uint8_t *record, size_t len,
              uint8_t *user_record UNUSED, size_t user_record_len UNUSED, void *self)
{
    struct session_engine *engine = self;
    struct buf *out = engine->stage.record_out;

    if (out == NULL)
        return refuse(engine, RC_PROTO);
    if (len > SESSION_RECORD_MAX - RECORD_HEADER_SIZE)
        return refuse(engine, RC_LIMIT);
    buf_put_u8(out, RECORD_ENGINE_SIGNAL_V3);
    buf_put_u8(out, RECORD_FORMAT);
    buf_put(out, bytes_of(record, len));
    return buf_failed(out) ? refuse(engine, RC_NOMEM) : SG_SUCCESS;
}

static int
load_one_time(signal_buffer **record, uint32_t id, void *self)
{
    struct session_engine *engine = self;
    const struct session_prekey_source *source = engine->stage.source;
    struct session_prekey pair = {0};
    ec_key_pair *keys = NULL;
    session_pre_key *prekey = NULL;
    enum rc rc = RC_NOTFOUND;
    int code;

    *record = NULL;
    if (source != NULL && id >= 1 && id <= SESSION_PREKEY_ID_MAX)
        rc = source->one_time(source->ctx, id, &pair);
    if (rc != RC_OK) {
        code = refuse(engine, rc);
        goto out;
    }
    if ((code = key_pair_decode(&keys, &pair, engine->context)) < 0)
        goto out;
    if ((code = session_pre_key_create(&prekey, id, keys)) < 0)
        goto out;
    code = session_pre_key_serialize(record, prekey);
out:
    SIGNAL_UNREF(prekey);
    SIGNAL_UNREF(keys);
    bytes_wipe(&pair, sizeof(pair));
    return code;
}

static int
remove_one_time(uint32_t id, void *self)
{
    struct session_engine *engine = self;

    engine->stage.has_spent_one_time = true;
    engine->stage.spent_one_time_id = id;
    return SG_SUCCESS;
}

static int
load_signed_prekey(signal_buffer **record, uint32_t id, void *self)
{
    struct session_engine *engine = self;
    const struct session_prekey_source *source = engine->stage.source;
    struct session_signed_prekey own = {0};
    ec_key_pair *keys = NULL;
    session_signed_pre_key *prekey = NULL;
    enum rc rc = RC_NOTFOUND;
    int code;

    *record = NULL;
    engine->stage.is_set_up = true;
    if (source != NULL && id >= 1 && id <= SESSION_PREKEY_ID_MAX)
        rc = source->signed_prekey(source->ctx, id, &own);
    if (rc != RC_OK) {
        code = refuse(engine, rc);
        goto out;
    }
    if ((code = key_pair_decode(&keys, &own.pair, engine->context)) < 0)
        goto out;
    if ((code = session_signed_pre_key_create(&prekey, id, (uint64_t)own.created_ms, keys,
                                              own.signature, sizeof(own.signature))) < 0)
        goto out;
    code = session_signed_pre_key_serialize(record, prekey);
out:
    SIGNAL_UNREF(prekey);
    SIGNAL_UNREF(keys);
    bytes_wipe(&own, sizeof(own));
    return code;
}

static int
own_identity(signal_buffer **pub, signal_buffer **priv, void *self)
{
    const struct session_engine *engine = self;
    const struct session_identity *identity = engine->stage.identity;

    *pub = signal_buffer_create(identity->pub, sizeof(identity->pub));
    *priv = signal_buffer_create(identity->priv, sizeof(identity->priv));
    return *pub == NULL || *priv == NULL ? SG_ERR_NOMEM : SG_SUCCESS;
}

static int
own_registration_id(void *self, uint32_t *id)
{
    const struct session_engine *engine = self;

    *id = engine->stage.identity->registration_id;
    return SG_SUCCESS;
}

/* Trust is decided by the caller, who knows the key that belongs to the address. */
static int
save_peer_identity(const signal_protocol_address *address UNUSED, uint8_t *key UNUSED,
                   size_t len UNUSED, void *self UNUSED)
{
    return SG_SUCCESS;
}

static int
is_trusted(const signal_protocol_address *address UNUSED, uint8_t *key UNUSED, size_t len UNUSED,
           void *self UNUSED)
{
    return 1;
}

enum rc
staging_attach(struct session_engine *engine, struct err *err)
{
    const signal_protocol_session_store sessions = {
        .load_session_func = load_session,
        .store_session_func = store_session,
        .contains_session_func = contains_session,
        .user_data = engine,
    };
    const signal_protocol_pre_key_store one_times = {
        .load_pre_key = load_one_time,
        .remove_pre_key = remove_one_time,
        .user_data = engine,
    };
    const signal_protocol_signed_pre_key_store signed_prekeys = {
        .load_signed_pre_key = load_signed_prekey,
        .user_data = engine,
    };
    const signal_protocol_identity_key_store identities = {
        .get_identity_key_pair = own_identity,
        .get_local_registration_id = own_registration_id,
        .save_identity = save_peer_identity,
        .is_trusted_identity = is_trusted,
        .user_data = engine,
    };

    if (signal_protocol_store_context_create(&engine->store, engine->context) < 0 ||
        signal_protocol_store_context_set_session_store(engine->store, &sessions) < 0 ||
        signal_protocol_store_context_set_pre_key_store(engine->store, &one_times) < 0 ||
        signal_protocol_store_context_set_signed_pre_key_store(engine->store, &signed_prekeys) <
            0 ||
        signal_protocol_store_context_set_identity_key_store(engine->store, &identities) < 0)
        return err_set(err, RC_NOMEM, "session.staging", "cannot make the store context");
    return RC_OK;
}

enum rc
staging_begin(struct session_engine *engine, const struct session_identity *identity,
              struct bytes record_in, struct buf *record_out, struct err *err)
{
    engine->stage = (struct staging){.identity = identity, .record_out = record_out};
    return record_open(&engine->stage.record_in, record_in, err);
}

void
staging_end(struct session_engine *engine)
{
    engine->stage = (struct staging){0};
}

const signal_protocol_address *
staging_address(void)
{
    static const signal_protocol_address address = {.name = "peer", .name_len = 4, .device_id = 1};

    return &address;
}
