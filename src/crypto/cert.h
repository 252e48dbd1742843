/* cert.h - the platform's signed statements: the relay's certificate and a number's certificate.
 *
 * Both are protobuf details (cert.proto) with an Ed25519 signature over label || details. Reading
 * checks the signature first, then parses. Source: docs/protocol/certificates.md.
 * Thread rule: pure. */
#ifndef PARLEY_CRYPTO_CERT_H
#define PARLEY_CRYPTO_CERT_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

#define CERT_NAME_MAX 256u  /* bytes of a host, display or operator name with its NUL */
#define CERT_SIZE_MAX 2048u /* bytes of a signed statement; larger is refused unread */
#define CERT_SKEW_S 3600    /* how far the issuer's clock may be ahead of the reader's */

struct relay_cert {
    uint8_t static_key[32];
    char host[CERT_NAME_MAX];
    int64_t not_before_s, not_after_s;
};

enum cert_hosting { CERT_HOSTED = 1, CERT_SELF_HOSTED = 2 };

struct number_cert {
    uint64_t number;
    char display_name[CERT_NAME_MAX];
    uint64_t business_id, portfolio_id;
    uint32_t tier;
    enum cert_hosting hosting;
    char operator_name[CERT_NAME_MAX];
    int64_t issued_s, not_after_s;
};

/* Append the signed form to *out. RC_INVAL: an empty or overlong name, no number, no hosting, or a
 * validity that ends before it begins. */
NODISCARD enum rc relay_cert_issue(const struct relay_cert *cert, const uint8_t root_seed[32],
                                   struct buf *out, struct err *err);
/* RC_AUTH: bad signature; RC_MALFORMED; RC_PROTO: a version we do not know; RC_TIMEOUT: not valid
 * at now_s (0 skips the check). *out is cleared on failure. */
NODISCARD enum rc relay_cert_read(struct relay_cert *out, struct bytes in,
                                  const uint8_t root_pub[32], int64_t now_s, struct err *err);
NODISCARD enum rc number_cert_issue(const struct number_cert *cert, const uint8_t seed[32],
                                    struct buf *out, struct err *err);
NODISCARD enum rc number_cert_read(struct number_cert *out, struct bytes in,
                                   const uint8_t authority_pub[32], int64_t now_s, struct err *err);

#endif
