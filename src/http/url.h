/* url.h - URLs cut into parts, and percent-encoding. Bounded; only reading a form allocates. */
#ifndef PARLEY_HTTP_URL_H
#define PARLEY_HTTP_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

#define URL_MAX 2048u

struct url {
    bool is_https;
    char host[256]; /* lower case, without brackets for IPv6 */
    bool is_ipv6_literal;
    uint16_t port; /* the default filled in */
    bool has_port;
    struct bytes target; /* path and query as given, "/" if empty; begins with / or ?; borrowed from
                            the input */
};

/* http and https only; no user:password, no fragment kept, no spaces or control characters.
 * RC_MALFORMED with a text that says which rule. */
NODISCARD enum rc url_read(struct url *out, struct bytes text, struct err *err);
/* Append with everything but unreserved characters percent-encoded. */
void url_put_escaped(struct buf *out, struct bytes in);
/* application/x-www-form-urlencoded: call fn for each pair, decoded in scratch memory that is
 * borrowed for the call (value has no NUL behind it). "+" is a space. RC_MALFORMED, RC_LIMIT (more
 * than max_pairs), RC_NOMEM; fn may have been called for earlier pairs. */
NODISCARD enum rc url_form_read(struct bytes body, unsigned max_pairs,
                                void (*fn)(void *ctx, const char *name, struct bytes value),
                                void *ctx, struct err *err);

#endif
