/* event_lines.c - one function a kind of event line; see events.h. */
#include "manager/events.h"

#include <string.h>

#include "base/e164.h"
#include "base/hex.h"
#include "base/json.h"

static void
begin(struct json_writer *jw, struct work *w, const char *event)
{
    jw_init(jw, w->events);
    jw_object(jw);
    jw_kv_str(jw, "event", event);
}

static void
end(struct json_writer *jw, struct work *w)
{
    jw_object_end(jw);
    buf_put_char(w->events, '\n');
}

/* A comma list as an array of strings. */
static void
put_list(struct json_writer *jw, const char *list)
{
    jw_array(jw);
    while (*list != '\0') {
        size_t len = strcspn(list, ",");

        jw_str_bytes(jw, bytes_of(list, len));
        list += len + (list[len] == ',');
    }
    jw_array_end(jw);
}

static const char *
or_null(const char *text)
{
    return text[0] == '\0' ? NULL : text;
}

void
event_app(struct work *w, const struct app *app)
{
    struct json_writer jw;

    begin(&jw, w, "app");
    jw_kv_u64_str(&jw, "id", app->id);
    jw_kv_u64_str(&jw, "business_id", app->business);
    jw_kv_str(&jw, "name", app->name);
    jw_kv_str(&jw, "secret", app->secret);
    jw_kv_str(&jw, "verify_token", app->verify_token);
    jw_key(&jw, "subscription");
    if (app->callback[0] == '\0') {
        jw_null(&jw);
    } else {
        jw_object(&jw);
        jw_kv_str(&jw, "callback_url", app->callback);
        jw_kv_str(&jw, "verify_token", app->verify_token);
        jw_kv_str(&jw, "version", app->version);
        jw_kv_bool(&jw, "include_values", app->include_values);
        jw_key(&jw, "fields");
        put_list(&jw, app->fields);
        jw_object_end(&jw);
    }
    end(&jw, w);
}

static enum rc
put_waba_app(void *ctx, uint64_t app, const char *override_uri, struct err *err)
{
    struct json_writer *jw = ctx;

    jw_object(jw);
    jw_kv_u64_str(jw, "app_id", app);
    jw_kv_str(jw, "override_callback_uri", or_null(override_uri));
    jw_object_end(jw);
    return RC_OK;
}

enum rc
event_waba(struct work *w, const struct waba *waba, struct err *err)
{
    struct json_writer jw;
    enum rc rc;

    begin(&jw, w, "waba");
    jw_kv_u64_str(&jw, "id", waba->id);
    jw_kv_u64_str(&jw, "business_id", waba->business);
    jw_kv_str(&jw, "name", waba->name);
    jw_key(&jw, "apps");
    jw_array(&jw);
    rc = waba_app_each(w, waba->business, waba->id, put_waba_app, &jw, err);
    jw_array_end(&jw);
    end(&jw, w);
    return rc;
}

void
event_number(struct work *w, const struct number *n)
{
    struct json_writer jw;
    struct buf text;
    char digits[E164_TEXT_SIZE];

    buf_init(&text, 2 * sizeof(n->cert));
    base64_put(&text, bytes_of(n->cert, n->cert_len));
    begin(&jw, w, "number");
    jw_kv_u64_str(&jw, "id", n->id);
    jw_kv_str(&jw, "digits", e164_write(digits, n->digits));
    jw_kv_str(&jw, "display_name", n->display_name);
    jw_kv_u64_str(&jw, "waba_id", n->waba);
    jw_kv_u64_str(&jw, "business_id", n->business);
    jw_kv_str(&jw, "hosting", hosting_name(n->hosting));
    jw_kv_bytes(&jw, "certificate", buf_bytes(&text));
    jw_kv_bool(&jw, "is_verified", n->is_verified);
    jw_kv_bool(&jw, "is_registered", n->is_registered);
    jw_kv_str(&jw, "override_callback_uri", or_null(n->override_uri));
    end(&jw, w);
    buf_free(&text);
}

void
event_removed(struct work *w, const char *event, uint64_t id)
{
    struct json_writer jw;

    begin(&jw, w, event);
    jw_kv_u64_str(&jw, "id", id);
    end(&jw, w);
}

void
event_token_revoked(struct work *w, const uint8_t hash[32])
{
    struct json_writer jw;
    struct buf hex;

    buf_init(&hex, 128);
    hex_put(&hex, bytes_of(hash, 32));
    begin(&jw, w, "token_revoked");
    jw_kv_bytes(&jw, "token_hash", buf_bytes(&hex));
    end(&jw, w);
    buf_free(&hex);
}

void
event_principals_stale(struct work *w, uint64_t business)
{
    struct json_writer jw;

    begin(&jw, w, "principals_stale");
    jw_kv_u64_str(&jw, "business_id", business);
    end(&jw, w);
}

struct walk {
    struct work *w;
    uint64_t last;
    unsigned rows;
};

static enum rc
walk_app(void *ctx, const struct app *app, struct err *err)
{
    struct walk *walk = ctx;

    walk->last = app->id;
    walk->rows++;
    if (app->revoked_s == 0)
        event_app(walk->w, app);
    return RC_OK;
}

static enum rc
walk_waba(void *ctx, const struct waba *waba, struct err *err)
{
    struct walk *walk = ctx;

    walk->last = waba->id;
    walk->rows++;
    return waba->revoked_s == 0 ? event_waba(walk->w, waba, err) : RC_OK;
}

static enum rc
walk_number(void *ctx, const struct number *n, struct err *err)
{
    struct walk *walk = ctx;

    walk->last = n->id;
    walk->rows++;
    if (n->revoked_s == 0)
        event_number(walk->w, n);
    return RC_OK;
}

enum rc
event_snapshot(struct work *w, struct err *err)
{
    struct json_writer jw;
    struct walk walk;
    struct buf key;
    enum rc rc;

    buf_init(&key, 128);
    base64_put(&key, bytes_of(w->dir->authority_pub, sizeof(w->dir->authority_pub)));
    begin(&jw, w, "snapshot_begin");
    jw_kv_bytes(&jw, "authority", buf_bytes(&key));
    jw_kv_int(&jw, "time", w->now_s);
    end(&jw, w);
    buf_free(&key);

    walk = (struct walk){.w = w, .rows = LIST_MAX};
    for (rc = RC_OK; rc == RC_OK && walk.rows == LIST_MAX;) {
        walk.rows = 0;
        rc = app_each(w, 0, walk.last, walk_app, &walk, err);
    }
    walk = (struct walk){.w = w, .rows = LIST_MAX};
    while (rc == RC_OK && walk.rows == LIST_MAX) {
        walk.rows = 0;
        rc = waba_each(w, 0, walk.last, walk_waba, &walk, err);
    }
    walk = (struct walk){.w = w, .rows = LIST_MAX};
    while (rc == RC_OK && walk.rows == LIST_MAX) {
        walk.rows = 0;
        rc = number_each(w, 0, walk.last, walk_number, &walk, err);
    }
    begin(&jw, w, "snapshot_end");
    end(&jw, w);
    return rc;
}
