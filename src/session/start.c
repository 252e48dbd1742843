/* start.c - begin a session from a peer's bundle (X3DH, the initiator's side).
 *
 * Checks everything that came from outside before the library sees it: ids in range, the signature
 * over the signed prekey (told apart from unusable keys, so that the caller can report it). The
 * all-zero check on every agreement sits in curve.c. Source: docs/protocol/sessions.md. */
#include "session/engine.h"

#include "crypto/prim.h"

#include <session_builder.h>

static bool
has_ids_in_range(const struct session_bundle *bundle)
{
    return bundle->registration_id <= SESSION_REGISTRATION_ID_MAX && bundle->signed_id >= 1 &&
           bundle->signed_id <= SESSION_PREKEY_ID_MAX &&
           (!bundle->has_one_time ||
            (bundle->one_time_id >= 1 && bundle->one_time_id <= SESSION_PREKEY_ID_MAX));
}

/* The library's form of a bundle, and the keys that it borrows. */
struct library_bundle {
    ec_public_key *identity;
    ec_public_key *signed_key;
    ec_public_key *one_time;
    session_pre_key_bundle *bundle;
};

static int
decode_bundle(struct library_bundle *out, const struct session_bundle *in, signal_context *context)
{
    int code;

    if ((code = curve_decode_point(&out->identity, in->identity, sizeof(in->identity), context)) <
            0 ||
        (code = curve_decode_point(&out->signed_key, in->signed_key, sizeof(in->signed_key),
                                   context)) < 0)
        return code;
    if (in->has_one_time && (code = curve_decode_point(&out->one_time, in->one_time,
                                                       sizeof(in->one_time), context)) < 0)
        return code;
    return session_pre_key_bundle_create(
        &out->bundle, in->registration_id, 1, in->has_one_time ? in->one_time_id : 0, out->one_time,
        in->signed_id, out->signed_key, in->signature, sizeof(in->signature), out->identity);
}

static void
release_bundle(struct library_bundle *b)
{
    SIGNAL_UNREF(b->bundle);
    SIGNAL_UNREF(b->one_time);
    SIGNAL_UNREF(b->signed_key);
    SIGNAL_UNREF(b->identity);
}

/* The library checks the signature too, and answers "invalid key" for that as for bad keys. Ours
 * told them apart already if exactly the signature is the reason. */
static enum rc
why_invalid(const struct session_bundle *bundle, struct err *err)
{
    if (curve_verify(bundle->signature, bundle->identity + 1,
                     bytes_of(bundle->signed_key, sizeof(bundle->signed_key))) != RC_OK)
        return err_set(err, RC_AUTH, "session.start", "signed prekey is not signed by identity");
    return err_set(err, RC_MALFORMED, "session.start", "unusable key in the bundle");
}

enum rc
session_start(struct session_engine *engine, struct buf *record_out,
              const struct session_identity *identity, struct bytes record_in,
              const struct session_bundle *bundle, struct err *err)
{
    struct library_bundle library = {0};
    session_builder *builder = NULL;
    size_t mark = record_out->len;
    enum rc rc;
    int code;

    if (!has_ids_in_range(bundle))
        return err_set(err, RC_MALFORMED, "session.start", "an id in the bundle is out of range");
    if ((rc = staging_begin(engine, identity, record_in, record_out, err)) != RC_OK)
        goto out;
    if ((code = decode_bundle(&library, bundle, engine->context)) >= 0 &&
        (code = session_builder_create(&builder, engine->store, staging_address(),
                                       engine->context)) >= 0)
        code = session_builder_process_pre_key_bundle(builder, library.bundle);
    if (code == SG_ERR_INVALID_KEY && library.bundle != NULL)
        rc = why_invalid(bundle, err);
    else if (code < 0)
        rc = signal_error(engine, code, "session.start", err);
out:
    if (rc != RC_OK)
        buf_roll_back(record_out, mark);
    session_builder_free(builder);
    release_bundle(&library);
    staging_end(engine);
    return rc;
}
