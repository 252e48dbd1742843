/* objects.h - what the manager knows: businesses, WABAs, numbers, apps, system users.
 *
 * Every call runs inside a store transaction and belongs to one unit of work, which also collects
 * the event lines that the change causes; they are sent after the commit. A revoked object is
 * loaded as missing unless the call says otherwise. Nothing here checks rights (rights.h does).
 * Thread rule: on a store thread, inside run(). Source: docs/protocol/internal.md. */
#ifndef PARLEY_MANAGER_OBJECTS_H
#define PARLEY_MANAGER_OBJECTS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/object_id.h"
#include "base/rng.h"
#include "crypto/seal.h"
#include "store/store.h"

#define NAME_SIZE 256u  /* bytes of a name with its NUL; CERT_NAME_MAX */
#define SECRET_SIZE 65u /* app secrets and verify tokens made by us, or given: with the NUL */
#define URI_SIZE 2049u
#define FIELDS_SIZE 1024u                 /* comma list of subscribed fields */
#define LIST_MAX 1000u                    /* rows of one list */
#define WABAS_PER_BUSINESS_MAX LIST_MAX   /* live ones */
#define NUMBERS_PER_BUSINESS_MAX LIST_MAX /* live ones */
#define APPS_PER_WABA_MAX 32u
#define EVENTS_MAX (16u << 20) /* bytes of event lines that one unit of work may cause */
#define TIER_NEW_BUSINESS 250u /* unique recipients in a rolling day of a new portfolio */
#define CERT_VALID_S (365ll * 86400)
#define CERT_RENEW_S (30ll * 86400) /* renewed so long before its end */

/* What stays the same over all work: keys, time, names. Owned by the manager. */
struct directory {
    struct keyring *ring;
    struct clock *clock;
    struct rng rng;
    const char *seed; /* NULL: none. Fixes ids, tokens and secrets; never identity keys */
    uint8_t authority_seed[32];
    uint8_t authority_pub[32];
    const char *operator_name;
};

struct work {
    const struct directory *dir;
    struct store_tx *tx;
    struct buf *events; /* borrowed; NDJSON lines, see events.h */
    int64_t now_s;
};

/* Randomness for making one object. With a seed it depends on the seed and the parts alone, so it
 * is the same in every run and in every order; otherwise it is the system's. *state is borrowed. */
struct rng work_rng(const struct work *w, uint64_t *state, const char *what, const char *name,
                    uint64_t parent);
/* A new id of the kind that nothing uses yet, entered in `home` under its business (0: its own). */
NODISCARD enum rc home_add(uint64_t *id, struct work *w, enum object_kind kind, uint64_t business,
                           struct rng rng, struct err *err);
/* The business that an id belongs to. RC_NOTFOUND. */
NODISCARD enum rc home_find(uint64_t *business, struct work *w, uint64_t id, struct err *err);
/* RC_LIMIT once the count that `stmt` gives for the business has reached max. */
NODISCARD enum rc ceiling_check(struct work *w, unsigned stmt, uint64_t business, unsigned max,
                                const char *what, struct err *err);
/* Copy a name from outside: 1 … NAME_SIZE-1 bytes of UTF-8 without control characters. */
NODISCARD enum rc name_copy(char out[NAME_SIZE], const char *text, const char *what,
                            struct err *err);

enum revoked { LIVE_ONLY, REVOKED_TOO };

struct business {
    uint64_t id;
    char name[NAME_SIZE];
    uint32_t tier;
    int64_t created_s, revoked_s;
};
NODISCARD enum rc business_make(struct business *out, struct work *w, const char *name,
                                struct err *err);
NODISCARD enum rc business_load(struct business *out, struct work *w, uint64_t id,
                                enum revoked revoked, struct err *err);
/* With everything that it owns. */
NODISCARD enum rc business_revoke(struct work *w, uint64_t id, struct err *err);
NODISCARD enum rc business_each(struct work *w, uint64_t after,
                                enum rc (*fn)(void *ctx, const struct business *b, struct err *err),
                                void *ctx, struct err *err);

struct waba {
    uint64_t business, id;
    char name[NAME_SIZE];
    char namespace[40]; /* uuid with underscores */
    int64_t created_s, revoked_s;
};
NODISCARD enum rc waba_make(struct waba *out, struct work *w, uint64_t business, const char *name,
                            struct err *err);
NODISCARD enum rc waba_load(struct waba *out, struct work *w, uint64_t id, enum revoked revoked,
                            struct err *err);
NODISCARD enum rc waba_revoke(struct work *w, uint64_t id, struct err *err);
/* business 0: of all. In order of id, behind `after`, at most LIST_MAX; revoked ones included. */
NODISCARD enum rc waba_each(struct work *w, uint64_t business, uint64_t after,
                            enum rc (*fn)(void *ctx, const struct waba *waba, struct err *err),
                            void *ctx, struct err *err);

enum hosting { HOSTING_CLOUD = 1, HOSTING_ONPREM = 2 };

struct number {
    uint64_t business, id, waba;
    uint64_t digits;
    char display_name[NAME_SIZE];
    enum hosting hosting;
    bool is_verified, is_registered, has_pin;
    int64_t onboarded_s;         /* when last registered; 0: never */
    char override_uri[URI_SIZE]; /* "" for none */
    uint8_t cert[1024];
    size_t cert_len;
    int64_t cert_until_s;
    int64_t created_s, revoked_s;
};
const char *hosting_name(enum hosting hosting); /* "cloud", "onprem" */
NODISCARD enum rc hosting_read(enum hosting *out, const char *text, struct err *err);
/* RC_EXISTS: the digits are in use. */
NODISCARD enum rc number_make(struct number *out, struct work *w, const struct waba *waba,
                              uint64_t digits, const char *display_name, enum hosting hosting,
                              struct err *err);
NODISCARD enum rc number_load(struct number *out, struct work *w, uint64_t id, enum revoked revoked,
                              struct err *err);
NODISCARD enum rc number_revoke(struct work *w, uint64_t id, struct err *err);
/* Store is_verified, is_registered, has_pin as they are in *n. */
NODISCARD enum rc number_save_state(struct work *w, struct number *n, struct err *err);
NODISCARD enum rc number_set_override(struct work *w, struct number *n, const char *uri,
                                      struct err *err);
NODISCARD enum rc number_each(struct work *w, uint64_t business, uint64_t after,
                              enum rc (*fn)(void *ctx, const struct number *n, struct err *err),
                              void *ctx, struct err *err);
/* Issue anew the certificates that end within CERT_RENEW_S; at most LIST_MAX, *count says how many.
 */
NODISCARD enum rc number_renew_due(struct work *w, unsigned *count, struct err *err);

struct app {
    uint64_t business, id;
    char name[NAME_SIZE];
    char secret[SECRET_SIZE]; /* secret: app_wipe */
    char verify_token[NAME_SIZE];
    char callback[URI_SIZE]; /* "" while there is no subscription */
    char fields[FIELDS_SIZE];
    char version[16];
    bool include_values;
    int64_t created_s, revoked_s;
};
void app_wipe(struct app *app);
NODISCARD enum rc app_make(struct app *out, struct work *w, uint64_t business, const char *name,
                           struct err *err);
NODISCARD enum rc app_load(struct app *out, struct work *w, uint64_t id, enum revoked revoked,
                           struct err *err);
NODISCARD enum rc app_revoke(struct work *w, uint64_t id, struct err *err);
/* Store callback, fields, version, include_values and verify_token as they are in *app. */
NODISCARD enum rc app_save_subscription(struct work *w, const struct app *app, struct err *err);
NODISCARD enum rc app_each(struct work *w, uint64_t business, uint64_t after,
                           enum rc (*fn)(void *ctx, const struct app *app, struct err *err),
                           void *ctx, struct err *err);

/* An app's subscription to a WABA. override "" or NULL: none (and an old one is cleared). */
NODISCARD enum rc waba_app_put(struct work *w, const struct waba *waba, uint64_t app,
                               const char *override_uri, struct err *err);
NODISCARD enum rc waba_app_drop(bool *dropped, struct work *w, const struct waba *waba,
                                uint64_t app, struct err *err);
NODISCARD enum rc waba_app_each(struct work *w, uint64_t business, uint64_t waba,
                                enum rc (*fn)(void *ctx, uint64_t app, const char *override_uri,
                                              struct err *err),
                                void *ctx, struct err *err);

struct system_user {
    uint64_t business, id;
    char name[NAME_SIZE];
};
NODISCARD enum rc user_make(struct system_user *out, struct work *w, uint64_t business,
                            const char *name, struct err *err);
NODISCARD enum rc user_load(struct system_user *out, struct work *w, uint64_t id, struct err *err);
/* The business's first system user. RC_NOTFOUND. */
NODISCARD enum rc user_first(struct system_user *out, struct work *w, uint64_t business,
                             struct err *err);

#endif
