/* fingerprint.c - the 60-digit number that two people compare to know that nobody sits between
 * them.
 *
 * 5,200 rounds of SHA-512 over key and identifier for each side, thirty digits each, smaller first:
 * both sides read the same number. Source: docs/protocol/sessions.md, "Safety number". */
#include "session/engine.h"

#include <fingerprint.h>

#define ROUNDS 5200
#define SCANNABLE_VERSION 1
#define ID_MAX 32u /* E.164 has fifteen digits */

static bool
is_usable_id(const char *id)
{
    size_t len = strlen(id);

    return len > 0 && len <= ID_MAX;
}

enum rc
session_safety_number(struct session_engine *engine, char out[61],
                      const uint8_t local_identity[SESSION_PUBLIC_SIZE], const char *local_id,
                      const uint8_t remote_identity[SESSION_PUBLIC_SIZE], const char *remote_id,
                      struct err *err)
{
    fingerprint_generator *generator = NULL;
    fingerprint *both = NULL;
    ec_public_key *local = NULL;
    ec_public_key *remote = NULL;
    const char *text;
    enum rc rc = RC_OK;
    int code;

    out[0] = '\0';
    if (!is_usable_id(local_id) || !is_usable_id(remote_id))
        return err_set(err, RC_INVAL, "session.safety_number", "identifier is empty or too long");
    if ((code = curve_decode_point(&local, local_identity, SESSION_PUBLIC_SIZE, engine->context)) <
            0 ||
        (code = curve_decode_point(&remote, remote_identity, SESSION_PUBLIC_SIZE,
                                   engine->context)) < 0 ||
        (code = fingerprint_generator_create(&generator, ROUNDS, SCANNABLE_VERSION,
                                             engine->context)) < 0 ||
        (code = fingerprint_generator_create_for(generator, local_id, local, remote_id, remote,
                                                 &both)) < 0) {
        rc = signal_error(engine, code, "session.safety_number", err);
        goto out;
    }
    text = displayable_fingerprint_text(fingerprint_get_displayable(both));
    if (strlen(text) != 60)
        rc = err_set(err, RC_PROTO, "session.safety_number", "%zu digits", strlen(text));
    else
        memcpy(out, text, 61);
out:
    SIGNAL_UNREF(both);
    fingerprint_generator_free(generator);
    SIGNAL_UNREF(remote);
    SIGNAL_UNREF(local);
    return rc;
}
