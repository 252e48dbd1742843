/* address_filter.h - which addresses the platform may call on somebody's word.
 *
 * A URL from outside must not reach the platform's own network: a name is resolved once, every
 * address it gives is judged, one bad address refuses all, and the connection goes to a judged
 * address. Source: docs/threat-model.md, "Calls out". Thread rule: pure, but for resolve (on the
 * loop). */
#ifndef PARLEY_HOOKS_ADDRESS_FILTER_H
#define PARLEY_HOOKS_ADDRESS_FILTER_H

#include <netinet/in.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/loop.h"
#include "http/url.h"

/* True for global unicast addresses outside every special-purpose block. Addresses that carry
 * another one inside (v4-mapped, NAT64, 6to4, Teredo) are not public. */
bool address_is_public(const struct sockaddr *addr);

struct address_rule {
    bool allow_private; /* test platforms: anything goes, plain HTTP too */
    bool allow_http;    /* port 80 for media links */
};
/* Scheme and port: https on 443, 8443, 1024-65535. RC_DENIED with a text for people. */
NODISCARD enum rc address_check_url(const struct url *url, const struct address_rule *rule,
                                    struct err *err);

/* Resolve and judge; fn gets one judged address as text for http_call_opt.connect_to. Once, later.
 */
void address_resolve(struct loop *loop, const struct url *url, const struct address_rule *rule,
                     void (*fn)(void *ctx, enum rc rc, const char *connect_to, const char *text),
                     void *ctx);

#endif
