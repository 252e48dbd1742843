/* tokens.c - access tokens: made once, kept as a hash, checked, revoked; see tokens.h. */
#include "manager/tokens.h"

#include <stdlib.h>

#include "crypto/prim.h"
#include "manager/events.h"
#include "manager/row.h"
#include "manager/sql.h"

static const struct token_refusal refused_malformed = {190, 0,
                                                       "Invalid OAuth access token - Cannot parse "
                                                       "access token"};
static const struct token_refusal refused_unknown = {190, 0, "Invalid OAuth access token."};
static const struct token_refusal refused_expired = {190, 463,
                                                     "Error validating access token: Session has "
                                                     "expired."};
static const struct token_refusal refused_revoked = {190, 467,
                                                     "Error validating access token: The session "
                                                     "has been invalidated."};
static const struct token_refusal refused_app = {190, 458,
                                                 "Error validating access token: The application "
                                                 "has been removed."};

static enum rc
refuse(struct token_refusal *out, const struct token_refusal *why, struct err *err)
{
    *out = *why;
    return err_set(err, RC_AUTH, "token.check", "%s", why->message);
}

static void
make_text(char out[TOKEN_SIZE], struct rng rng)
{
    static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    memcpy(out, TOKEN_PREFIX, 3);
    for (unsigned i = 0; i < TOKEN_RANDOM_CHARS; i++)
        out[3 + i] = base62[rng_below(rng, 62)];
    out[TOKEN_SIZE - 1] = '\0';
}

static void
read_token(struct principal *p, int64_t *revoked_s, const struct store_rows *rows)
{
    char wabas[TOKEN_WABAS_MAX * OBJECT_ID_TEXT_SIZE], *at = wabas;
    struct bytes hash = store_col_bytes(rows, 2);

    *p = (struct principal){.kind = PRINCIPAL_USER};
    p->business = (uint64_t)store_col_int(rows, 0);
    p->token = (uint64_t)store_col_int(rows, 1);
    if (hash.len == sizeof(p->hash))
        memcpy(p->hash, hash.ptr, hash.len);
    p->app = (uint64_t)store_col_int(rows, 3);
    p->user = (uint64_t)store_col_int(rows, 4);
    p->scopes = (uint32_t)store_col_int(rows, 5);
    row_text(wabas, sizeof(wabas), rows, 6);
    while (*at != '\0' && p->n_wabas < TOKEN_WABAS_MAX) {
        p->wabas[p->n_wabas++] = strtoull(at, &at, 10);
        at += *at == ',';
    }
    p->created_s = store_col_int(rows, 7);
    p->expires_s = store_col_int(rows, 8);
    *revoked_s = store_col_int(rows, 9);
}

static enum rc
load_row(struct principal *p, int64_t *revoked_s, struct work *w, uint64_t business, uint64_t id,
         struct err *err)
{
    struct store_rows rows;
    bool found;

    *p = (struct principal){0};
    *revoked_s = 0;
    store_query(&rows, w->tx, &manager_part, SQL_TOKEN_GET, ST_ARGS(ST_I(business), ST_I(id)));
    if ((found = rows.has_row))
        read_token(p, revoked_s, &rows);
    return row_end(&rows, found, "token", err);
}

enum rc
token_load(struct principal *p, int64_t *revoked_s, struct work *w, uint64_t id, struct err *err)
{
    uint64_t business;
    enum rc rc;

    *p = (struct principal){0};
    *revoked_s = 0;
    if ((rc = home_find(&business, w, id, err)) != RC_OK)
        return rc;
    return load_row(p, revoked_s, w, business, id, err);
}

static enum rc
find_by_hash(struct principal *p, int64_t *revoked_s, struct work *w, const uint8_t hash[32],
             struct err *err)
{
    struct store_rows rows;
    uint64_t business = 0, id = 0;
    bool found;
    enum rc rc;

    *p = (struct principal){0};
    *revoked_s = 0;
    store_query(&rows, w->tx, &manager_part, SQL_TOKEN_HOME_GET, ST_ARGS(ST_B(bytes_of(hash, 32))));
    if ((found = rows.has_row)) {
        business = (uint64_t)store_col_int(&rows, 0);
        id = (uint64_t)store_col_int(&rows, 1);
    }
    if ((rc = row_end(&rows, found, "token", err)) != RC_OK)
        return rc;
    return load_row(p, revoked_s, w, business, id, err);
}

static enum rc
store_token(struct principal *p, struct work *w, const char *text, const struct token_opt *opt,
            struct rng rng, struct err *err)
{
    struct buf wabas;
    enum rc rc;

    *p = (struct principal){.kind = PRINCIPAL_USER,
                            .app = opt->app->id,
                            .user = opt->user,
                            .business = opt->app->business,
                            .scopes = opt->scopes,
                            .created_s = w->now_s,
                            .expires_s = opt->expires_s};
    sha256(p->hash, bytes_of_str(text));
    buf_init(&wabas, TOKEN_WABAS_MAX * OBJECT_ID_TEXT_SIZE);
    for (unsigned i = 0; i < opt->n_wabas && i < TOKEN_WABAS_MAX; i++) {
        char id[OBJECT_ID_TEXT_SIZE];

        if (i > 0)
            buf_put_char(&wabas, ',');
        buf_put_str(&wabas, object_id_write(id, opt->wabas[i]));
        p->wabas[p->n_wabas++] = opt->wabas[i];
    }
    if ((rc = home_add(&p->token, w, OBJECT_TOKEN, p->business, rng, err)) != RC_OK)
        goto out;
    rc = store_run(w->tx, &manager_part, SQL_TOKEN_ADD, NULL, err,
                   ST_ARGS(ST_I(p->business), ST_I(p->token), ST_B(bytes_of(p->hash, 32)),
                           ST_I(p->app), ST_I(p->user), ST_I(p->scopes), ST_T(buf_cstr(&wabas)),
                           ST_I(p->created_s), ST_I(p->expires_s)));
    if (rc == RC_OK)
        rc = store_run(w->tx, &manager_part, SQL_TOKEN_HOME_ADD, NULL, err,
                       ST_ARGS(ST_B(bytes_of(p->hash, 32)), ST_I(p->business), ST_I(p->token)));
out:
    buf_free(&wabas);
    return rc;
}

enum rc
token_make(char out[TOKEN_SIZE], struct principal *p, struct work *w, const struct token_opt *opt,
           struct err *err)
{
    uint64_t state;
    struct rng rng = work_rng(w, &state, "token", opt->label, opt->app->id);

    if (opt->n_wabas > TOKEN_WABAS_MAX)
        return err_set(err, RC_LIMIT, "token.make", "at most %u WABAs a token", TOKEN_WABAS_MAX);
    for (;;) {
        uint8_t hash[32];
        int64_t revoked_s;
        enum rc rc;

        make_text(out, rng);
        sha256(hash, bytes_of_str(out));
        rc = find_by_hash(p, &revoked_s, w, hash, err);
        if (rc == RC_OK && revoked_s == 0 && opt->is_repeatable)
            return RC_OK; /* a seed led here again */
        if (rc == RC_NOTFOUND)
            return store_token(p, w, out, opt, rng, err);
        if (rc != RC_OK)
            return rc; /* taken: the next draw */
    }
}

/* ---- checking ---- */

/* "app_id|secret", compared in constant time. */
static enum rc
check_app_token(struct principal *p, struct token_refusal *refusal, struct work *w,
                struct bytes text, size_t bar, struct err *err)
{
    struct bytes secret = bytes_of(text.ptr + bar + 1, text.len - bar - 1);
    struct app app;
    uint64_t id;
    bool is_right;
    enum rc rc;

    if (object_id_read(&id, bytes_of(text.ptr, bar), NULL) != RC_OK)
        return refuse(refusal, &refused_malformed, err);
    rc = app_load(&app, w, id, LIVE_ONLY, err);
    if (rc == RC_NOTFOUND)
        return refuse(refusal, &refused_unknown, err);
    if (rc != RC_OK)
        return rc;
    is_right = bytes_equal_secret(secret, bytes_of_str(app.secret));
    *p = (struct principal){
        .kind = PRINCIPAL_APP, .app = app.id, .business = app.business, .created_s = app.created_s};
    app_wipe(&app);
    sha256(p->hash, text);
    return is_right ? RC_OK : refuse(refusal, &refused_unknown, err);
}

/* A stored token is good while it, its app and its business are, and until it expires. */
static enum rc
check_state(const struct principal *p, int64_t revoked_s, struct token_refusal *refusal,
            struct work *w, struct err *err)
{
    struct business business;
    struct app app;
    enum rc rc = app_load(&app, w, p->app, LIVE_ONLY, err);

    app_wipe(&app);
    if (rc == RC_NOTFOUND)
        return refuse(refusal, &refused_app, err);
    if (rc == RC_OK)
        rc = business_load(&business, w, p->business, LIVE_ONLY, err);
    if (rc == RC_NOTFOUND || (rc == RC_OK && revoked_s != 0))
        return refuse(refusal, &refused_revoked, err);
    if (rc == RC_OK && p->expires_s != 0 && p->expires_s <= w->now_s)
        return refuse(refusal, &refused_expired, err);
    return rc;
}

static bool
is_token_text(struct bytes text)
{
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                   "_.-|";

    if (text.len == 0 || text.len > TOKEN_TEXT_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\0' || strchr(alphabet, text.ptr[i]) == NULL)
            return false;
    }
    return true;
}

enum rc
token_check(struct principal *p, struct token_refusal *refusal, struct work *w, struct bytes text,
            struct err *err)
{
    const uint8_t *bar;
    uint8_t hash[32];
    int64_t revoked_s;
    enum rc rc;

    *p = (struct principal){0};
    *refusal = (struct token_refusal){0};
    if (!is_token_text(text))
        return refuse(refusal, &refused_malformed, err);
    if ((bar = memchr(text.ptr, '|', text.len)) != NULL)
        return check_app_token(p, refusal, w, text, (size_t)(bar - text.ptr), err);
    sha256(hash, text);
    rc = find_by_hash(p, &revoked_s, w, hash, err);
    if (rc == RC_NOTFOUND)
        return refuse(refusal, &refused_unknown, err);
    return rc == RC_OK ? check_state(p, revoked_s, refusal, w, err) : rc;
}

static uint64_t
id_member(const json_t *object, const char *key)
{
    uint64_t id;

    return object_id_read(&id, bytes_of_str(json_str(object, key)), NULL) == RC_OK ? id : 0;
}

static enum rc
app_principal(struct principal *p, struct token_refusal *refusal, struct work *w, uint64_t id,
              struct err *err)
{
    struct app app;
    enum rc rc = app_load(&app, w, id, LIVE_ONLY, err);

    *p = (struct principal){
        .kind = PRINCIPAL_APP, .app = app.id, .business = app.business, .created_s = app.created_s};
    app_wipe(&app);
    return rc == RC_NOTFOUND ? refuse(refusal, &refused_app, err) : rc;
}

enum rc
token_principal(struct principal *p, struct token_refusal *refusal, struct work *w,
                const json_t *named, struct err *err)
{
    const char *kind = json_str(named, "kind");
    int64_t revoked_s;
    enum rc rc;

    *p = (struct principal){0};
    *refusal = (struct token_refusal){0};
    if (kind != NULL && strcmp(kind, "APP") == 0)
        return app_principal(p, refusal, w, id_member(named, "app_id"), err);
    rc = token_load(p, &revoked_s, w, id_member(named, "token_id"), err);
    if (rc == RC_NOTFOUND)
        return refuse(refusal, &refused_unknown, err);
    return rc == RC_OK ? check_state(p, revoked_s, refusal, w, err) : rc;
}

/* ---- revoking and listing ---- */

enum rc
token_revoke(struct work *w, uint64_t id, struct err *err)
{
    struct principal p;
    uint64_t changed = 0;
    int64_t revoked_s;
    enum rc rc = token_load(&p, &revoked_s, w, id, err);

    if (rc == RC_OK)
        rc = store_run(w->tx, &manager_part, SQL_TOKEN_REVOKE, &changed, err,
                       ST_ARGS(ST_I(p.business), ST_I(id), ST_I(w->now_s)));
    if (rc == RC_OK && changed > 0)
        event_token_revoked(w, p.hash);
    return rc;
}

enum rc
token_each(struct work *w, uint64_t business, uint64_t after,
           enum rc (*fn)(void *ctx, const struct principal *p, int64_t revoked_s, struct err *err),
           void *ctx, struct err *err)
{
    struct store_rows rows;
    struct principal p;
    int64_t revoked_s;
    enum rc rc = RC_OK;

    for (store_query(&rows, w->tx, &manager_part, SQL_TOKEN_LIST,
                     ST_ARGS(ST_I(business), ST_I(after), ST_I(LIST_MAX)));
         rows.has_row && rc == RC_OK; store_next(&rows)) {
        read_token(&p, &revoked_s, &rows);
        rc = fn(ctx, &p, revoked_s, err);
    }
    return rc != RC_OK ? (store_rows_end(&rows), rc) : row_end(&rows, true, "tokens", err);
}

struct tokens_of {
    uint64_t app, last;
    uint64_t id[LIST_MAX];
    unsigned n, rows;
};

static enum rc
collect_token(void *ctx, const struct principal *p, int64_t revoked_s, struct err *err)
{
    struct tokens_of *found = ctx;

    found->last = p->token;
    found->rows++;
    if (revoked_s == 0 && p->app == found->app)
        found->id[found->n++] = p->token;
    return RC_OK;
}

enum rc
tokens_revoke_of_app(struct work *w, const struct app *app, struct err *err)
{
    struct tokens_of found = {.app = app->id};
    struct buf text;
    char id[OBJECT_ID_TEXT_SIZE];
    uint8_t hash[32];
    enum rc rc;

    do {
        found.n = found.rows = 0;
        rc = token_each(w, app->business, found.last, collect_token, &found, err);
        for (unsigned i = 0; rc == RC_OK && i < found.n; i++)
            rc = token_revoke(w, found.id[i], err);
    } while (rc == RC_OK && found.rows == LIST_MAX);

    buf_init(&text, 128);
    buf_put_str(&text, object_id_write(id, app->id));
    buf_put_char(&text, '|');
    buf_put_str(&text, app->secret);
    sha256(hash, buf_bytes(&text));
    buf_wipe(&text);
    if (rc == RC_OK)
        event_token_revoked(w, hash);
    return rc;
}
