/* objects_app.c - apps: secret and verify token (sealed at rest), the webhook subscription. */
#include "manager/objects.h"

#include "base/hex.h"
#include "manager/events.h"
#include "manager/row.h"
#include "manager/sql.h"
#include "manager/tokens.h"

void
app_wipe(struct app *app)
{
    bytes_wipe(app, sizeof(*app));
}

static struct seal_place
place_of(const char *column, const uint8_t key[8])
{
    return (struct seal_place){.table = "app", .column = column, .key = bytes_of(key, 8)};
}

static void
key_of(uint8_t out[8], uint64_t id)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(id >> (56 - 8 * i));
}

/* Append `text`, sealed under the business's key for this year. */
static enum rc
seal_text(struct buf *out, struct work *w, const struct app *app, const char *column,
          const char *text, struct err *err)
{
    uint8_t key[8];
    uint32_t key_id;
    struct seal_place place;
    enum rc rc =
        keyring_current(w->dir->ring, &key_id, app->business, SEAL_YEAR, w->now_s * 1000, err);

    if (rc != RC_OK)
        return rc;
    key_of(key, app->id);
    place = place_of(column, key);
    return seal_record(w->dir->ring, key_id, &place, bytes_of_str(text), out, err);
}

static enum rc
open_text(char *out, size_t size, struct work *w, const struct app *app, const char *column,
          struct bytes record, struct err *err)
{
    uint8_t key[8];
    struct seal_place place;
    struct buf plain;
    enum rc rc;

    key_of(key, app->id);
    place = place_of(column, key);
    buf_init(&plain, size - 1);
    rc = seal_open(w->dir->ring, &place, record, &plain, err);
    if (rc == RC_OK && buf_failed(&plain))
        rc = err_set(err, RC_LIMIT, "app.open", "a sealed text is longer than its field");
    if (rc == RC_OK) {
        if (plain.len > 0)
            memcpy(out, plain.ptr, plain.len);
        out[plain.len] = '\0';
    }
    buf_wipe(&plain);
    return rc;
}

static enum rc
read_app(struct app *app, struct work *w, const struct store_rows *rows, struct err *err)
{
    enum rc rc;

    app->business = (uint64_t)store_col_int(rows, 0);
    app->id = (uint64_t)store_col_int(rows, 1);
    row_text(app->name, sizeof(app->name), rows, 2);
    rc = open_text(app->secret, sizeof(app->secret), w, app, "secret", store_col_bytes(rows, 3),
                   err);
    if (rc == RC_OK)
        rc = open_text(app->verify_token, sizeof(app->verify_token), w, app, "verify",
                       store_col_bytes(rows, 4), err);
    row_text(app->callback, sizeof(app->callback), rows, 5);
    row_text(app->fields, sizeof(app->fields), rows, 6);
    row_text(app->version, sizeof(app->version), rows, 7);
    app->include_values = store_col_int(rows, 8) != 0;
    app->created_s = store_col_int(rows, 9);
    app->revoked_s = store_col_int(rows, 10);
    return rc;
}

static void
random_hex(char *out, size_t bytes, struct rng rng)
{
    uint8_t random[32];
    struct buf hex;

    rng_fill(rng, random, bytes);
    buf_init(&hex, 2 * sizeof(random));
    hex_put(&hex, bytes_of(random, bytes));
    memcpy(out, hex.ptr, hex.len);
    out[hex.len] = '\0';
    buf_wipe(&hex);
    bytes_wipe(random, sizeof(random));
}

enum rc
app_make(struct app *out, struct work *w, uint64_t business, const char *name, struct err *err)
{
    uint64_t state;
    struct rng rng = work_rng(w, &state, "app", name == NULL ? "" : name, business);
    struct business owner;
    struct buf secret, verify;
    enum rc rc;

    memset(out, 0, sizeof(*out));
    out->business = business;
    out->created_s = w->now_s;
    buf_init(&secret, 1024);
    buf_init(&verify, 1024);
    if ((rc = business_load(&owner, w, business, LIVE_ONLY, err)) != RC_OK)
        goto out;
    if ((rc = name_copy(out->name, name, "the app's name", err)) != RC_OK)
        goto out;
    if ((rc = home_add(&out->id, w, OBJECT_APP, business, rng, err)) != RC_OK)
        goto out;
    random_hex(out->secret, 16, rng); /* 32 hex digits, as clients expect of an app secret */
    random_hex(out->verify_token, 12, rng);
    if ((rc = seal_text(&secret, w, out, "secret", out->secret, err)) != RC_OK ||
        (rc = seal_text(&verify, w, out, "verify", out->verify_token, err)) != RC_OK)
        goto out;
    rc = store_run(w->tx, &manager_part, SQL_APP_ADD, NULL, err,
                   ST_ARGS(ST_I(business), ST_I(out->id), ST_T(out->name), ST_B(buf_bytes(&secret)),
                           ST_B(buf_bytes(&verify)), ST_I(out->created_s)));
    if (rc == RC_OK)
        event_app(w, out);
out:
    buf_free(&secret);
    buf_free(&verify);
    if (rc != RC_OK)
        app_wipe(out);
    return rc;
}

enum rc
app_load(struct app *out, struct work *w, uint64_t id, enum revoked revoked, struct err *err)
{
    struct store_rows rows;
    uint64_t business;
    bool found;
    enum rc rc, read = RC_OK;

    memset(out, 0, sizeof(*out));
    if ((rc = home_find(&business, w, id, err)) != RC_OK)
        return rc;
    store_query(&rows, w->tx, &manager_part, SQL_APP_GET, ST_ARGS(ST_I(business), ST_I(id)));
    if (rows.has_row)
        read = read_app(out, w, &rows, err);
    found = rows.has_row && (out->revoked_s == 0 || revoked == REVOKED_TOO);
    if (read != RC_OK)
        store_rows_end(&rows);
    rc = read != RC_OK ? read : row_end(&rows, found, "app", err);
    if (rc != RC_OK)
        app_wipe(out);
    return rc;
}

enum rc
app_each(struct work *w, uint64_t business, uint64_t after,
         enum rc (*fn)(void *ctx, const struct app *app, struct err *err), void *ctx,
         struct err *err)
{
    struct store_rows rows;
    struct app app = {0};
    enum rc rc = RC_OK;

    if (business == 0)
        store_query(&rows, w->tx, &manager_part, SQL_APP_LIST_ALL,
                    ST_ARGS(ST_I(after), ST_I(LIST_MAX)));
    else
        store_query(&rows, w->tx, &manager_part, SQL_APP_LIST,
                    ST_ARGS(ST_I(business), ST_I(after), ST_I(LIST_MAX)));
    for (; rows.has_row && rc == RC_OK; store_next(&rows)) {
        if ((rc = read_app(&app, w, &rows, err)) == RC_OK)
            rc = fn(ctx, &app, err);
    }
    app_wipe(&app);
    return rc != RC_OK ? (store_rows_end(&rows), rc) : row_end(&rows, true, "apps", err);
}

enum rc
app_revoke(struct work *w, uint64_t id, struct err *err)
{
    struct app app;
    enum rc rc;

    if ((rc = app_load(&app, w, id, LIVE_ONLY, err)) != RC_OK)
        return rc;
    rc = tokens_revoke_of_app(w, &app, err);
    if (rc == RC_OK)
        rc = store_run(w->tx, &manager_part, SQL_APP_REVOKE, NULL, err,
                       ST_ARGS(ST_I(app.business), ST_I(id), ST_I(w->now_s)));
    if (rc == RC_OK)
        event_removed(w, "app_removed", id);
    app_wipe(&app);
    return rc;
}

enum rc
app_save_subscription(struct work *w, const struct app *app, struct err *err)
{
    bool is_set = app->callback[0] != '\0';
    struct buf verify;
    enum rc rc;

    buf_init(&verify, 1024);
    if ((rc = seal_text(&verify, w, app, "verify", app->verify_token, err)) != RC_OK)
        goto out;
    rc = store_run(w->tx, &manager_part, SQL_APP_SET_VERIFY, NULL, err,
                   ST_ARGS(ST_I(app->business), ST_I(app->id), ST_B(buf_bytes(&verify))));
    if (rc != RC_OK)
        goto out;
    rc = store_run(w->tx, &manager_part, SQL_APP_SUBSCRIBE, NULL, err,
                   ST_ARGS(ST_I(app->business), ST_I(app->id),
                           is_set ? ST_T(app->callback) : ST_NULL,
                           is_set ? ST_T(app->fields) : ST_NULL,
                           is_set ? ST_T(app->version) : ST_NULL, ST_I(app->include_values)));
    if (rc == RC_OK)
        event_app(w, app);
out:
    buf_free(&verify);
    return rc;
}
