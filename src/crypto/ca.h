/* ca.h - the platform's own certificate authority for TLS: its root, and the leaves it signs.
 *
 * Keys are ECDSA P-256, made by OpenSSL's own generator. Everything is PEM in buffers; where files
 * lie and who may read them is the caller's business. TLS validity follows the real clock, never
 * the test clock, so the caller passes the system's time. Source: docs/protocol/internal.md; RFC
 * 5280. Thread rule: pure. */
#ifndef PARLEY_CRYPTO_CA_H
#define PARLEY_CRYPTO_CA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

#define CA_ROOT_DAYS 3650u
#define CA_LEAF_DAYS 90u
#define CA_NAMES_MAX 32u
#define CA_PEM_MAX 65536u /* ceiling that callers give to their buffers */

/* A root that may sign leaves and nothing else (path length 0). Appends to *cert_pem and *key_pem;
 * the key's buffer is secret: buf_wipe it. now_unix_s: not valid before one day earlier. */
NODISCARD enum rc ca_make(struct buf *cert_pem, struct buf *key_pem, const char *common_name,
                          int64_t now_unix_s, struct err *err);

struct ca_leaf {
    const char *common_name;  /* the program's name: "parley-cloud" */
    const char *const *names; /* host names and IP literals for subjectAltName; may be NULL */
    size_t n_names;           /* at most CA_NAMES_MAX */
    bool is_server;           /* TLS server authentication */
    bool is_client;           /* TLS client authentication */
    uint32_t days;            /* 0: CA_LEAF_DAYS */
    int64_t now_unix_s;
};

/* A fresh key and its certificate, signed by the root; never outlives the root. Appends to
 * *cert_pem and *key_pem. Errors: RC_MALFORMED (root does not parse), RC_AUTH (key and root do not
 * belong together), RC_INVAL (a name, or neither server nor client). */
NODISCARD enum rc ca_issue(struct buf *cert_pem, struct buf *key_pem, struct bytes root_cert_pem,
                           struct bytes root_key_pem, const struct ca_leaf *leaf, struct err *err);

/* When the first certificate of the PEM ends. RC_MALFORMED. */
NODISCARD enum rc ca_expiry(int64_t *not_after_unix_s, struct bytes cert_pem, struct err *err);

#endif
