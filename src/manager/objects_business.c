/* objects_business.c - businesses, their WABAs and system users; which apps a WABA has. */
#include "manager/objects.h"

#include "base/hex.h"
#include "manager/events.h"
#include "manager/row.h"
#include "manager/sql.h"
#include "manager/tokens.h"

/* ---- business ---- */

static void
read_business(struct business *b, const struct store_rows *rows)
{
    b->id = (uint64_t)store_col_int(rows, 0);
    row_text(b->name, sizeof(b->name), rows, 1);
    b->tier = (uint32_t)store_col_int(rows, 2);
    b->created_s = store_col_int(rows, 3);
    b->revoked_s = store_col_int(rows, 4);
}

enum rc
business_make(struct business *out, struct work *w, const char *name, struct err *err)
{
    uint64_t state;
    enum rc rc;

    *out = (struct business){.tier = TIER_NEW_BUSINESS, .created_s = w->now_s};
    if ((rc = name_copy(out->name, name, "the business's name", err)) != RC_OK)
        return rc;
    rc = home_add(&out->id, w, OBJECT_BUSINESS, 0, work_rng(w, &state, "business", name, 0), err);
    if (rc != RC_OK)
        return rc;
    return store_run(
        w->tx, &manager_part, SQL_BUSINESS_ADD, NULL, err,
        ST_ARGS(ST_I(out->id), ST_T(out->name), ST_I(out->tier), ST_I(out->created_s)));
}

enum rc
business_load(struct business *out, struct work *w, uint64_t id, enum revoked revoked,
              struct err *err)
{
    struct store_rows rows;
    bool found;

    *out = (struct business){0};
    store_query(&rows, w->tx, &manager_part, SQL_BUSINESS_GET, ST_ARGS(ST_I(id)));
    if (rows.has_row)
        read_business(out, &rows);
    found = rows.has_row && (out->revoked_s == 0 || revoked == REVOKED_TOO);
    return row_end(&rows, found, "business", err);
}

enum rc
business_each(struct work *w, uint64_t after,
              enum rc (*fn)(void *ctx, const struct business *b, struct err *err), void *ctx,
              struct err *err)
{
    struct store_rows rows;
    struct business b;
    enum rc rc = RC_OK;

    for (store_query(&rows, w->tx, &manager_part, SQL_BUSINESS_LIST_ALL,
                     ST_ARGS(ST_I(after), ST_I(LIST_MAX)));
         rows.has_row && rc == RC_OK; store_next(&rows)) {
        read_business(&b, &rows);
        rc = fn(ctx, &b, err);
    }
    return rc != RC_OK ? (store_rows_end(&rows), rc) : row_end(&rows, true, "businesses", err);
}

/* Ids of what a business owns, one page: collected first, since a table is not changed while it is
 * read. */
struct ids {
    uint64_t id[LIST_MAX];
    unsigned n;
    uint64_t waba; /* numbers of this one only */
    uint64_t last; /* of the page, revoked ones included */
    unsigned seen;
};

static void
collect(struct ids *ids, uint64_t id, bool is_wanted)
{
    ids->last = id;
    ids->seen++;
    if (is_wanted)
        ids->id[ids->n++] = id;
}

static enum rc
collect_waba(void *ctx, const struct waba *waba, struct err *err)
{
    collect(ctx, waba->id, waba->revoked_s == 0);
    return RC_OK;
}

static enum rc
collect_app(void *ctx, const struct app *app, struct err *err)
{
    collect(ctx, app->id, app->revoked_s == 0);
    return RC_OK;
}

enum rc
business_revoke(struct work *w, uint64_t id, struct err *err)
{
    struct ids ids = {.n = 0};
    struct business b;
    enum rc rc;

    if ((rc = business_load(&b, w, id, LIVE_ONLY, err)) != RC_OK)
        return rc;
    do {
        ids.n = ids.seen = 0;
        rc = waba_each(w, id, ids.last, collect_waba, &ids, err);
        for (unsigned i = 0; rc == RC_OK && i < ids.n; i++)
            rc = waba_revoke(w, ids.id[i], err);
    } while (rc == RC_OK && ids.seen == LIST_MAX);
    ids.last = 0;
    do {
        ids.n = ids.seen = 0;
        if (rc == RC_OK)
            rc = app_each(w, id, ids.last, collect_app, &ids, err);
        for (unsigned i = 0; rc == RC_OK && i < ids.n; i++)
            rc = app_revoke(w, ids.id[i], err); /* its tokens with it */
    } while (rc == RC_OK && ids.seen == LIST_MAX);
    if (rc != RC_OK)
        return rc;
    event_principals_stale(w, id);
    return store_run(w->tx, &manager_part, SQL_BUSINESS_REVOKE, NULL, err,
                     ST_ARGS(ST_I(id), ST_I(w->now_s)));
}

/* ---- WABA ---- */

static void
read_waba(struct waba *waba, const struct store_rows *rows)
{
    waba->business = (uint64_t)store_col_int(rows, 0);
    waba->id = (uint64_t)store_col_int(rows, 1);
    row_text(waba->name, sizeof(waba->name), rows, 2);
    row_text(waba->namespace, sizeof(waba->namespace), rows, 3);
    waba->created_s = store_col_int(rows, 4);
    waba->revoked_s = store_col_int(rows, 5);
}

/* Eight-four-four-four-twelve hex digits, joined by underscores as template namespaces are. */
static void
make_namespace(char out[40], struct rng rng)
{
    static const unsigned groups[] = {4, 2, 2, 2, 6};
    uint8_t random[16];
    const uint8_t *at = random;
    struct buf text;

    rng_fill(rng, random, sizeof(random));
    buf_init(&text, 64);
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        if (i > 0)
            buf_put_char(&text, '_');
        hex_put(&text, bytes_of(at, groups[i]));
        at += groups[i];
    }
    memcpy(out, buf_cstr(&text), text.len + 1);
    buf_free(&text);
}

enum rc
waba_make(struct waba *out, struct work *w, uint64_t business, const char *name, struct err *err)
{
    uint64_t state;
    struct rng rng = work_rng(w, &state, "waba", name == NULL ? "" : name, business);
    struct business owner;
    enum rc rc;

    *out = (struct waba){.business = business, .created_s = w->now_s};
    if ((rc = business_load(&owner, w, business, LIVE_ONLY, err)) != RC_OK)
        return rc;
    if ((rc = name_copy(out->name, name, "the WABA's name", err)) != RC_OK)
        return rc;
    if ((rc = ceiling_check(w, SQL_WABA_COUNT, business, WABAS_PER_BUSINESS_MAX, "WABAs", err)) !=
        RC_OK)
        return rc;
    if ((rc = home_add(&out->id, w, OBJECT_WABA, business, rng, err)) != RC_OK)
        return rc;
    make_namespace(out->namespace, rng);
    rc = store_run(w->tx, &manager_part, SQL_WABA_ADD, NULL, err,
                   ST_ARGS(ST_I(business), ST_I(out->id), ST_T(out->name), ST_T(out->namespace),
                           ST_I(out->created_s)));
    if (rc != RC_OK)
        return rc;
    event_principals_stale(w, business);
    return event_waba(w, out, err);
}

enum rc
waba_load(struct waba *out, struct work *w, uint64_t id, enum revoked revoked, struct err *err)
{
    struct store_rows rows;
    uint64_t business;
    bool found;
    enum rc rc;

    *out = (struct waba){0};
    if ((rc = home_find(&business, w, id, err)) != RC_OK)
        return rc;
    store_query(&rows, w->tx, &manager_part, SQL_WABA_GET, ST_ARGS(ST_I(business), ST_I(id)));
    if (rows.has_row)
        read_waba(out, &rows);
    found = rows.has_row && (out->revoked_s == 0 || revoked == REVOKED_TOO);
    return row_end(&rows, found, "WABA", err);
}

enum rc
waba_each(struct work *w, uint64_t business, uint64_t after,
          enum rc (*fn)(void *ctx, const struct waba *waba, struct err *err), void *ctx,
          struct err *err)
{
    struct store_rows rows;
    struct waba waba;
    enum rc rc = RC_OK;

    if (business == 0)
        store_query(&rows, w->tx, &manager_part, SQL_WABA_LIST_ALL,
                    ST_ARGS(ST_I(after), ST_I(LIST_MAX)));
    else
        store_query(&rows, w->tx, &manager_part, SQL_WABA_LIST,
                    ST_ARGS(ST_I(business), ST_I(after), ST_I(LIST_MAX)));
    for (; rows.has_row && rc == RC_OK; store_next(&rows)) {
        read_waba(&waba, &rows);
        rc = fn(ctx, &waba, err);
    }
    return rc != RC_OK ? (store_rows_end(&rows), rc) : row_end(&rows, true, "WABAs", err);
}

static enum rc
collect_number(void *ctx, const struct number *n, struct err *err)
{
    struct ids *ids = ctx;

    collect(ids, n->id, n->revoked_s == 0 && n->waba == ids->waba);
    return RC_OK;
}

enum rc
waba_revoke(struct work *w, uint64_t id, struct err *err)
{
    struct ids ids = {.waba = id};
    struct waba waba;
    enum rc rc;

    if ((rc = waba_load(&waba, w, id, LIVE_ONLY, err)) != RC_OK)
        return rc;
    do {
        ids.n = ids.seen = 0;
        rc = number_each(w, waba.business, ids.last, collect_number, &ids, err);
        for (unsigned i = 0; rc == RC_OK && i < ids.n; i++)
            rc = number_revoke(w, ids.id[i], err);
    } while (rc == RC_OK && ids.seen == LIST_MAX);
    if (rc != RC_OK)
        return rc;
    event_removed(w, "waba_removed", id);
    event_principals_stale(w, waba.business);
    return store_run(w->tx, &manager_part, SQL_WABA_REVOKE, NULL, err,
                     ST_ARGS(ST_I(waba.business), ST_I(id), ST_I(w->now_s)));
}

/* ---- apps of a WABA ---- */

static enum rc
count_app(void *ctx, uint64_t app, const char *override_uri, struct err *err)
{
    unsigned *n = ctx;

    ++*n;
    return RC_OK;
}

enum rc
waba_app_put(struct work *w, const struct waba *waba, uint64_t app, const char *override_uri,
             struct err *err)
{
    bool has_override = override_uri != NULL && override_uri[0] != '\0';
    unsigned n = 0;
    enum rc rc;

    if ((rc = waba_app_each(w, waba->business, waba->id, count_app, &n, err)) != RC_OK)
        return rc;
    if (n >= APPS_PER_WABA_MAX)
        return err_set(err, RC_LIMIT, "waba.app", "at most %u apps subscribe to a WABA",
                       APPS_PER_WABA_MAX);
    rc = store_run(w->tx, &manager_part, SQL_WABA_APP_PUT, NULL, err,
                   ST_ARGS(ST_I(waba->business), ST_I(waba->id), ST_I(app),
                           has_override ? ST_T(override_uri) : ST_NULL, ST_I(w->now_s)));
    return rc == RC_OK ? event_waba(w, waba, err) : rc;
}

enum rc
waba_app_drop(bool *dropped, struct work *w, const struct waba *waba, uint64_t app, struct err *err)
{
    uint64_t changed = 0;
    enum rc rc = store_run(w->tx, &manager_part, SQL_WABA_APP_DROP, &changed, err,
                           ST_ARGS(ST_I(waba->business), ST_I(waba->id), ST_I(app)));

    *dropped = changed > 0;
    return rc == RC_OK && changed > 0 ? event_waba(w, waba, err) : rc;
}

enum rc
waba_app_each(struct work *w, uint64_t business, uint64_t waba,
              enum rc (*fn)(void *ctx, uint64_t app, const char *override_uri, struct err *err),
              void *ctx, struct err *err)
{
    struct store_rows rows;
    char override_uri[URI_SIZE];
    enum rc rc = RC_OK;

    for (store_query(&rows, w->tx, &manager_part, SQL_WABA_APP_LIST,
                     ST_ARGS(ST_I(business), ST_I(waba)));
         rows.has_row && rc == RC_OK; store_next(&rows)) {
        row_text(override_uri, sizeof(override_uri), &rows, 1);
        rc = fn(ctx, (uint64_t)store_col_int(&rows, 0), override_uri, err);
    }
    return rc != RC_OK ? (store_rows_end(&rows), rc) : row_end(&rows, true, "apps", err);
}

/* ---- system users ---- */

enum rc
user_make(struct system_user *out, struct work *w, uint64_t business, const char *name,
          struct err *err)
{
    uint64_t state;
    enum rc rc;

    *out = (struct system_user){.business = business};
    if ((rc = name_copy(out->name, name, "the system user's name", err)) != RC_OK)
        return rc;
    rc = home_add(&out->id, w, OBJECT_SYSTEM_USER, business,
                  work_rng(w, &state, "user", name, business), err);
    if (rc != RC_OK)
        return rc;
    return store_run(w->tx, &manager_part, SQL_USER_ADD, NULL, err,
                     ST_ARGS(ST_I(business), ST_I(out->id), ST_T(out->name), ST_I(w->now_s)));
}

static enum rc
take_user(struct system_user *out, struct store_rows *rows, uint64_t business, struct err *err)
{
    bool found = rows->has_row;

    *out = (struct system_user){.business = business};
    if (found) {
        out->id = (uint64_t)store_col_int(rows, 0);
        row_text(out->name, sizeof(out->name), rows, 1);
    }
    return row_end(rows, found, "system user", err);
}

enum rc
user_load(struct system_user *out, struct work *w, uint64_t id, struct err *err)
{
    struct store_rows rows;
    uint64_t business;
    enum rc rc;

    *out = (struct system_user){0};
    if ((rc = home_find(&business, w, id, err)) != RC_OK)
        return rc;
    store_query(&rows, w->tx, &manager_part, SQL_USER_GET, ST_ARGS(ST_I(business), ST_I(id)));
    return take_user(out, &rows, business, err);
}

enum rc
user_first(struct system_user *out, struct work *w, uint64_t business, struct err *err)
{
    struct store_rows rows;

    store_query(&rows, w->tx, &manager_part, SQL_USER_LIST, ST_ARGS(ST_I(business)));
    return take_user(out, &rows, business, err);
}
