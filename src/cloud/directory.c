/* directory.c - see directory.h. Three hash tables and one lock; entries are small and few. */
#include "cloud/directory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/e164.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/object_id.h"

#define SECRET_MAX 128u
#define FIELDS_MAX 2048u
#define CERTIFICATE_MAX 4096u
#define WABA_APPS_MAX DIRECTORY_TARGETS_MAX

struct app {
    uint64_t id;
    char secret[SECRET_MAX + 1];
    bool is_subscribed;
    char callback_url[DIRECTORY_URL_MAX];
    char fields[FIELDS_MAX]; /* ",messages,account_update," */
    unsigned version_major;
    bool is_fresh; /* seen since the snapshot began */
    UT_hash_handle hh;
};
struct waba_app {
    uint64_t app;
    char override_url[DIRECTORY_URL_MAX];
};
struct waba {
    uint64_t id;
    size_t n_apps;
    struct waba_app apps[WABA_APPS_MAX];
    bool is_fresh;
    UT_hash_handle hh;
};
struct number {
    uint64_t id;
    uint64_t account, waba_id, business_id;
    bool is_cloud, is_registered;
    char override_url[DIRECTORY_URL_MAX];
    struct buf certificate;
    bool is_fresh;
    struct number *next_gone;
    UT_hash_handle hh;         /* by id */
    UT_hash_handle hh_account; /* by account */
};

struct directory {
    pthread_mutex_t lock;
    struct directory_events events;
    struct app *apps;
    struct waba *wabas;
    struct number *numbers, *numbers_by_account;
    struct number *gone; /* out of the tables, to be told */
    bool is_loaded;
};

enum rc
directory_new(struct directory **out, const struct directory_events *events, struct err *err)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL)
        return err_set(err, RC_NOMEM, "directory", "directory");
    (*out)->events = *events;
    pthread_mutex_init(&(*out)->lock, NULL);
    return RC_OK;
}

/* ---- removing ---- */

static void
app_free(struct directory *dir, struct app *app)
{
    HASH_DEL(dir->apps, app);
    bytes_wipe(app->secret, sizeof app->secret);
    free(app);
}

static void
waba_free(struct directory *dir, struct waba *waba)
{
    HASH_DEL(dir->wabas, waba);
    free(waba);
}

static void
number_free(struct directory *dir, struct number *number)
{
    HASH_DELETE(hh, dir->numbers, number);
    HASH_DELETE(hh_account, dir->numbers_by_account, number);
    buf_free(&number->certificate);
    free(number);
}

/* The same, kept until its removal has been told outside the lock. */
static void
number_take_out(struct directory *dir, struct number *number)
{
    HASH_DELETE(hh, dir->numbers, number);
    HASH_DELETE(hh_account, dir->numbers_by_account, number);
    number->next_gone = dir->gone;
    dir->gone = number;
}

void
directory_free(struct directory **out)
{
    struct directory *dir = *out;
    struct app *app, *next_app;
    struct waba *waba, *next_waba;
    struct number *number, *next_number;

    if (dir == NULL)
        return;
    HASH_ITER(hh, dir->apps, app, next_app)
    app_free(dir, app);
    HASH_ITER(hh, dir->wabas, waba, next_waba)
    waba_free(dir, waba);
    HASH_ITER(hh, dir->numbers, number, next_number)
    number_free(dir, number);
    pthread_mutex_destroy(&dir->lock);
    free(dir);
    *out = NULL;
}

/* ---- applying lines ---- */

static uint64_t
id_of(const json_t *object, const char *key)
{
    uint64_t id = 0;

    if (object_id_read(&id, bytes_of_str(json_str(object, key)), NULL) != RC_OK)
        return 0;
    return id;
}

/* Empty when it does not fit: half a URL is another's. */
static void
copy_text(char *out, size_t size, const char *text)
{
    bool fits = text != NULL && strlen(text) < size;

    snprintf(out, size, "%s", fits ? text : "");
}

static void
read_subscription(struct app *app, const json_t *subscription)
{
    const char *version = json_str(subscription, "version");
    size_t i, at = 1;
    json_t *field;

    app->is_subscribed = json_is_object(subscription);
    copy_text(app->callback_url, sizeof app->callback_url, json_str(subscription, "callback_url"));
    app->version_major = version != NULL && version[0] == 'v'
                             ? (unsigned)strtoul(version + 1, NULL, 10)
                             : UINT32_MAX;
    app->fields[0] = ',';
    app->fields[1] = '\0';
    json_array_foreach(json_object_get(subscription, "fields"), i, field)
    {
        const char *name = json_string_value(field);

        if (name != NULL && at + strlen(name) + 2 < sizeof app->fields)
            at += (size_t)snprintf(app->fields + at, sizeof app->fields - at, "%s,", name);
    }
}

static enum rc
apply_app(struct directory *dir, const json_t *line)
{
    uint64_t id = id_of(line, "id");
    const char *secret = json_str(line, "secret");
    struct app *app;

    if (id == 0 || secret == NULL || strlen(secret) > SECRET_MAX)
        return RC_MALFORMED;
    HASH_FIND(hh, dir->apps, &id, sizeof id, app);
    if (app == NULL) {
        if ((app = calloc(1, sizeof *app)) == NULL)
            return RC_NOMEM;
        app->id = id;
        HASH_ADD(hh, dir->apps, id, sizeof app->id, app);
    }
    app->is_fresh = true;
    copy_text(app->secret, sizeof app->secret, secret);
    read_subscription(app, json_object_get(line, "subscription"));
    return RC_OK;
}

static enum rc
apply_waba(struct directory *dir, const json_t *line)
{
    uint64_t id = id_of(line, "id");
    struct waba *waba;
    json_t *item;
    size_t i;

    if (id == 0)
        return RC_MALFORMED;
    HASH_FIND(hh, dir->wabas, &id, sizeof id, waba);
    if (waba == NULL) {
        if ((waba = calloc(1, sizeof *waba)) == NULL)
            return RC_NOMEM;
        waba->id = id;
        HASH_ADD(hh, dir->wabas, id, sizeof waba->id, waba);
    }
    waba->is_fresh = true;
    waba->n_apps = 0;
    json_array_foreach(json_object_get(line, "apps"), i, item)
    {
        struct waba_app *app = &waba->apps[waba->n_apps];

        if (waba->n_apps == WABA_APPS_MAX)
            break;
        app->app = id_of(item, "app_id");
        copy_text(app->override_url, sizeof app->override_url,
                  json_str(item, "override_callback_uri"));
        waba->n_apps += app->app != 0;
    }
    return RC_OK;
}

static enum rc
apply_number(struct directory *dir, const json_t *line)
{
    uint64_t id = id_of(line, "id"), account = 0;
    const char *certificate = json_str(line, "certificate");
    const char *hosting = json_str(line, "hosting");
    struct number *number;

    if (id == 0 || hosting == NULL ||
        e164_read(&account, bytes_of_str(json_str(line, "digits")), NULL) != RC_OK)
        return RC_MALFORMED;
    HASH_FIND(hh, dir->numbers, &id, sizeof id, number);
    if (number != NULL && number->account != account)
        return RC_MALFORMED;
    if (number == NULL) {
        if ((number = calloc(1, sizeof *number)) == NULL)
            return RC_NOMEM;
        number->id = id;
        number->account = account;
        buf_init(&number->certificate, CERTIFICATE_MAX);
        HASH_ADD(hh, dir->numbers, id, sizeof number->id, number);
        HASH_ADD(hh_account, dir->numbers_by_account, account, sizeof number->account, number);
    }
    number->is_fresh = true;
    number->waba_id = id_of(line, "waba_id");
    number->business_id = id_of(line, "business_id");
    number->is_cloud = strcmp(hosting, "cloud") == 0;
    number->is_registered = json_truthy(json_object_get(line, "is_registered"));
    copy_text(number->override_url, sizeof number->override_url,
              json_str(line, "override_callback_uri"));
    buf_reset(&number->certificate);
    if (certificate != NULL &&
        base64_read(&number->certificate, bytes_of_str(certificate), NULL) != RC_OK)
        buf_reset(&number->certificate);
    return RC_OK;
}

static enum rc
remove_app(struct directory *dir, const json_t *line)
{
    uint64_t id = id_of(line, "id");
    struct app *app;

    HASH_FIND(hh, dir->apps, &id, sizeof id, app);
    if (app != NULL)
        app_free(dir, app);
    return RC_OK;
}

static enum rc
remove_waba(struct directory *dir, const json_t *line)
{
    uint64_t id = id_of(line, "id");
    struct waba *waba;

    HASH_FIND(hh, dir->wabas, &id, sizeof id, waba);
    if (waba != NULL)
        waba_free(dir, waba);
    return RC_OK;
}

static enum rc
remove_number(struct directory *dir, const json_t *line)
{
    uint64_t id = id_of(line, "id");
    struct number *number;

    HASH_FIND(hh, dir->numbers, &id, sizeof id, number);
    if (number != NULL)
        number_take_out(dir, number);
    return RC_OK;
}

static enum rc
begin_snapshot(struct directory *dir, const json_t *line UNUSED)
{
    struct app *app;
    struct waba *waba;
    struct number *number;

    for (app = dir->apps; app != NULL; app = app->hh.next)
        app->is_fresh = false;
    for (waba = dir->wabas; waba != NULL; waba = waba->hh.next)
        waba->is_fresh = false;
    for (number = dir->numbers; number != NULL; number = number->hh.next)
        number->is_fresh = false;
    return RC_OK;
}

/* What was known and is not in the snapshot is gone. */
static enum rc
end_snapshot(struct directory *dir, const json_t *line UNUSED)
{
    struct app *app, *next_app;
    struct waba *waba, *next_waba;
    struct number *number, *next_number;

    HASH_ITER(hh, dir->apps, app, next_app)
    if (!app->is_fresh)
        app_free(dir, app);
    HASH_ITER(hh, dir->wabas, waba, next_waba)
    if (!waba->is_fresh)
        waba_free(dir, waba);
    HASH_ITER(hh, dir->numbers, number, next_number)
    if (!number->is_fresh)
        number_take_out(dir, number);
    dir->is_loaded = true;
    return RC_OK;
}

static const struct line_kind {
    const char *event;
    enum rc (*apply)(struct directory *dir, const json_t *line);
} kinds[] = {
    {"snapshot_begin", begin_snapshot},
    {"app",            apply_app     },
    {"waba",           apply_waba    },
    {"number",         apply_number  },
    {"snapshot_end",   end_snapshot  },
    {"app_removed",    remove_app    },
    {"waba_removed",   remove_waba   },
    {"number_removed", remove_number },
};

/* Tell about numbers outside the lock: the listener may ask us back. Digits that have come back
 * under another id meanwhile are not gone. */
static void
tell(struct directory *dir, const char *event, uint64_t id)
{
    struct number *number;

    if (strcmp(event, "number") == 0) {
        HASH_FIND(hh, dir->numbers, &id, sizeof id, number);
        if (number != NULL)
            dir->events.on_number(dir->events.ctx, number->account, number->is_cloud);
    }
    while ((number = dir->gone) != NULL) {
        struct directory_number other;

        dir->gone = number->next_gone;
        if (!directory_number_by_account(dir, number->account, &other))
            dir->events.on_number_removed(dir->events.ctx, number->account);
        buf_free(&number->certificate);
        free(number);
    }
}

enum rc
directory_apply(struct directory *dir, const json_t *line, struct err *err)
{
    const char *event = json_str(line, "event");
    enum rc rc = RC_OK;

    if (event == NULL)
        return err_set(err, RC_MALFORMED, "directory", "a line without event");
    pthread_mutex_lock(&dir->lock);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i].event, event) == 0)
            rc = kinds[i].apply(dir, line);
    pthread_mutex_unlock(&dir->lock);
    if (rc != RC_OK)
        return err_set(err, rc, "directory", "the line \"%s\" is not as documented", event);
    tell(dir, event, id_of(line, "id"));
    return RC_OK;
}

bool
directory_is_loaded(const struct directory *dir)
{
    return dir->is_loaded;
}

/* ---- looking up ---- */

static void
fill(struct directory_number *out, const struct number *number)
{
    *out = (struct directory_number){.id = number->id,
                                     .account = number->account,
                                     .waba_id = number->waba_id,
                                     .business_id = number->business_id,
                                     .is_registered = number->is_registered};
}

bool
directory_number_by_id(struct directory *dir, uint64_t id, struct directory_number *out)
{
    struct number *number;

    HASH_FIND(hh, dir->numbers, &id, sizeof id, number);
    if (number != NULL)
        fill(out, number);
    return number != NULL;
}

bool
directory_number_by_account(struct directory *dir, uint64_t account, struct directory_number *out)
{
    struct number *number;

    HASH_FIND(hh_account, dir->numbers_by_account, &account, sizeof account, number);
    if (number != NULL)
        fill(out, number);
    return number != NULL;
}

bool
directory_certificate(struct directory *dir, uint64_t account, struct buf *out)
{
    struct number *number;

    HASH_FIND(hh_account, dir->numbers_by_account, &account, sizeof account, number);
    if (number == NULL || number->certificate.len == 0)
        return false;
    buf_put(out, buf_bytes(&number->certificate));
    return !buf_failed(out);
}

bool
directory_app_secret(struct directory *dir, uint64_t app_id, char out[129])
{
    struct app *app;

    HASH_FIND(hh, dir->apps, &app_id, sizeof app_id, app);
    if (app != NULL)
        memcpy(out, app->secret, sizeof app->secret);
    return app != NULL;
}

static bool
wants(const struct app *app, const char *field)
{
    char word[128];

    snprintf(word, sizeof word, ",%s,", field);
    return app->is_subscribed && strstr(app->fields, word) != NULL;
}

static void
add_target(struct directory *dir, const struct number *number, const struct waba_app *via,
           const char *field, struct directory_targets *out)
{
    struct directory_target *target = &out->target[out->n];
    const char *url;
    struct app *app;

    HASH_FIND(hh, dir->apps, &via->app, sizeof via->app, app);
    if (app == NULL || !wants(app, field) || out->n == DIRECTORY_TARGETS_MAX)
        return;
    url = number->override_url[0] != '\0' ? number->override_url
          : via->override_url[0] != '\0'  ? via->override_url
                                          : app->callback_url;
    if (url[0] == '\0')
        return;
    target->app = app->id;
    target->version_major = app->version_major;
    copy_text(target->url, sizeof target->url, url);
    out->n++;
}

bool
directory_targets(struct directory *dir, uint64_t account, const char *field,
                  struct directory_targets *out)
{
    struct number *number;
    struct waba *waba = NULL;

    out->n = 0;
    pthread_mutex_lock(&dir->lock);
    HASH_FIND(hh_account, dir->numbers_by_account, &account, sizeof account, number);
    if (number != NULL) {
        out->number_id = number->id;
        out->waba_id = number->waba_id;
        HASH_FIND(hh, dir->wabas, &number->waba_id, sizeof number->waba_id, waba);
        for (size_t i = 0; waba != NULL && i < waba->n_apps; i++)
            add_target(dir, number, &waba->apps[i], field, out);
    }
    pthread_mutex_unlock(&dir->lock);
    return number != NULL;
}
