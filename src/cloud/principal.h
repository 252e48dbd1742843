/* principal.h - who a bearer token speaks for, and a cache of it that revocation empties.
 *
 * Kept for 60 s under the token's SHA-256; dropped at once when the manager says so; served for at
 * most five minutes while the manager's stream is down. Source: docs/protocol/internal.md, 3.1.
 * Thread rule: one loop. */
#ifndef PARLEY_CLOUD_PRINCIPAL_H
#define PARLEY_CLOUD_PRINCIPAL_H

#include "cloud/manager_link.h"

#define PRINCIPALS_MAX 10000u
#define PRINCIPAL_FRESH_MS 60000
#define PRINCIPAL_STALE_MS 300000
#define PRINCIPAL_NUMBERS_MAX 1000u /* as many as a business may have */
#define TOKEN_MAX 512u

enum principal_scope { SCOPE_MESSAGING = 1, SCOPE_MANAGEMENT = 2, SCOPE_BUSINESS = 4 };

struct principal {
    bool is_app; /* an app token: no user, no assets */
    uint64_t token_id, app_id, business_id;
    uint32_t scopes; /* enum principal_scope bits */
    size_t n_numbers;
    const uint64_t *numbers; /* phone number ids it may act on; borrowed for principal_fn's call */
};

struct principals;
NODISCARD enum rc principals_new(struct principals **out, struct manager_link *manager,
                                 struct clock *clock, struct err *err);
void principals_free(struct principals **cache);

/* fn once, now (cached) or later. principal is borrowed for the call; NULL when refused: error is
 * then the manager's Graph error object (borrowed), or NULL when the manager cannot be asked. */
typedef void principal_fn(void *ctx, const struct principal *principal, int status,
                          const json_t *error);
void principals_check(struct principals *cache, const char *token, const char *proof,
                      principal_fn *fn, void *ctx);
/* The stream said: this token's hash (64 hex), or a whole business; NULL and 0: everything. */
void principals_drop(struct principals *cache, const char *token_hash, uint64_t business_id);
bool principal_has_number(const struct principal *p, uint64_t number_id);

#endif
