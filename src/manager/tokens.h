/* tokens.h - access tokens: made once, kept as a hash, checked, revoked.
 *
 * A token is "EAA" and 48 base62 characters (285 random bits); only its SHA-256 is stored, which is
 * enough against guessing a value of that size. An app's own token is the literal "app_id|secret".
 * Thread rule: on a store thread. Source: docs/protocol/internal.md, section 3.1. */
#ifndef PARLEY_MANAGER_TOKENS_H
#define PARLEY_MANAGER_TOKENS_H

#include "manager/rights.h"

#define TOKEN_PREFIX "EAA"
#define TOKEN_RANDOM_CHARS 48u
#define TOKEN_SIZE (3u + TOKEN_RANDOM_CHARS + 1u)
#define TOKEN_TEXT_MAX 512u /* longest text that is looked at as a token */

struct token_opt {
    const char *label;  /* with the app: what a seed derives it from */
    bool is_repeatable; /* with a seed: a live token derived before is given back again */
    const struct app *app;
    uint64_t user;
    uint32_t scopes;
    int64_t expires_s;     /* 0: never */
    const uint64_t *wabas; /* narrowed to these; n_wabas 0: all */
    unsigned n_wabas;
};

/* Make and store a token; its text leaves here once (secret: wipe). */
NODISCARD enum rc token_make(char out[TOKEN_SIZE], struct principal *p, struct work *w,
                             const struct token_opt *opt, struct err *err);

/* Why a token is refused, in Graph's terms. */
struct token_refusal {
    int code, subcode;   /* subcode 0: none */
    const char *message; /* static */
};

/* Load the principal of a token's text. RC_AUTH with *refusal filled. */
NODISCARD enum rc token_check(struct principal *p, struct token_refusal *refusal, struct work *w,
                              struct bytes text, struct err *err);
/* Load the principal that {"kind","token_id","app_id"} names, as valid now. RC_AUTH likewise. */
NODISCARD enum rc token_principal(struct principal *p, struct token_refusal *refusal,
                                  struct work *w, const json_t *named, struct err *err);
/* By id, whatever its state; *revoked_s says when it ended. */
NODISCARD enum rc token_load(struct principal *p, int64_t *revoked_s, struct work *w, uint64_t id,
                             struct err *err);
NODISCARD enum rc token_revoke(struct work *w, uint64_t id, struct err *err);
/* An app's tokens, and the app token itself. */
NODISCARD enum rc tokens_revoke_of_app(struct work *w, const struct app *app, struct err *err);
NODISCARD enum rc token_each(struct work *w, uint64_t business, uint64_t after,
                             enum rc (*fn)(void *ctx, const struct principal *p, int64_t revoked_s,
                                           struct err *err),
                             void *ctx, struct err *err);

#endif
