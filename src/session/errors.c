/* errors.c - one table from the session library's result codes to ours. */
#include "session/engine.h"

static const struct error_row {
    int code;
    enum rc rc;
    const char *text;
} rows[] = {
    {SG_ERR_NOMEM,                RC_NOMEM,      "out of memory"                        },
    {SG_ERR_INVAL,                RC_MALFORMED,  "too short or out of range"            },
    {SG_ERR_UNKNOWN,              RC_MALFORMED,  "unusable key or state"                },
    {SG_ERR_DUPLICATE_MESSAGE,    RC_DUPLICATE,  "this counter was opened before"       },
    {SG_ERR_INVALID_KEY,          RC_MALFORMED,  "unusable key"                         },
    {SG_ERR_INVALID_KEY_ID,       RC_NOTFOUND,   "no private prekey of that id"         },
    {SG_ERR_INVALID_MAC,          RC_AUTH,       "does not open under any known session"},
    {SG_ERR_INVALID_MESSAGE,      RC_AUTH,       "does not open under any known session"},
    {SG_ERR_INVALID_VERSION,      RC_MALFORMED,  "unknown version"                      },
    {SG_ERR_LEGACY_MESSAGE,       RC_MALFORMED,  "version is too old"                   },
    {SG_ERR_NO_SESSION,           RC_NO_SESSION, "no session"                           },
    {SG_ERR_UNTRUSTED_IDENTITY,   RC_UNTRUSTED,  "identity key differs"                 },
    {SG_ERR_VRF_SIG_VERIF_FAILED, RC_AUTH,       "signature is wrong"                   },
    {SG_ERR_INVALID_PROTO_BUF,    RC_MALFORMED,  "does not parse"                       },
};

enum rc
signal_error(const struct session_engine *engine, int code, const char *site, struct err *err)
{
    if (engine->stage.callback_rc != RC_OK)
        return err_set(err, engine->stage.callback_rc, site, "refused by the key store or a limit");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].code == code)
            return err_set(err, rows[i].rc, site, "%s", rows[i].text);
    return err_set(err, RC_MALFORMED, site, "library code %d", code);
}
