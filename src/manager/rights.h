/* rights.h - who asks, and what they may do: the one place where a right is decided.
 *
 * A principal is loaded from the store for each call; what comes over the wire only names it. An
 * object that a principal may not see is reported exactly like one that does not exist (I32).
 * Thread rule: on a store thread. Source: docs/protocol/internal.md, section 3.3. */
#ifndef PARLEY_MANAGER_RIGHTS_H
#define PARLEY_MANAGER_RIGHTS_H

#include <stdbool.h>

#include "base/json.h"
#include "manager/objects.h"

enum permission {
    PERM_MESSAGING = 1 << 0,
    PERM_MANAGEMENT = 1 << 1,
    PERM_BUSINESS = 1 << 2,
};
#define PERM_WHATSAPP (PERM_MESSAGING | PERM_MANAGEMENT)
#define PERM_NAMES 3u

/* "whatsapp_business_messaging" …; i < PERM_NAMES, in the order that answers list them. */
const char *permission_name(unsigned i);
enum permission permission_at(unsigned i);
/* The names of the bits, as a JSON array. */
void permission_put(struct json_writer *jw, uint32_t scopes);
/* 0 for a name that is none. */
uint32_t permission_read(const char *name);

#define TOKEN_WABAS_MAX 32u

enum principal_kind { PRINCIPAL_USER = 1, PRINCIPAL_APP = 2 };

struct principal {
    enum principal_kind kind;
    uint64_t token, app, user, business; /* token and user 0 for an app */
    uint32_t scopes;                     /* enum permission bits */
    uint64_t wabas[TOKEN_WABAS_MAX];     /* what the token is narrowed to */
    unsigned n_wabas;                    /* 0: every WABA of the business */
    int64_t created_s, expires_s;        /* expires_s 0: never */
    uint8_t hash[32];
};

const char *principal_kind_name(enum principal_kind kind); /* "SYSTEM_USER", "APP" */

/* Who may call a route at all. */
enum who { WHO_USER = 1, WHO_APP = 2, WHO_ANY = 3 };

/* Whether the principal sees the object. Kinds: business, WABA, number, app. RC_NOTFOUND otherwise,
 * also for what is missing or revoked. */
NODISCARD enum rc rights_see(struct work *w, const struct principal *p, uint64_t id,
                             struct err *err);
bool rights_see_waba(const struct principal *p, uint64_t business, uint64_t waba);

#endif
