/* graph_subscriptions.c - webhooks: an app's subscription, and which apps a WABA tells.
 *
 * The Cloud has done the hub.challenge handshake before a call comes here. The app is always the
 * token's own, never a parameter. */
#include "manager/graph.h"

#include <stdio.h>

#include "http/url.h"

#define OVERRIDE_URI_MAX 200u
#define OBJECT_NAME "whatsapp_business_account"

static const char *const field_names[] = {
    "account_alerts",
    "account_review_update",
    "account_settings_update",
    "account_update",
    "automatic_events",
    "business_capability_update",
    "business_status_update",
    "calls",
    "flows",
    "group_lifecycle_update",
    "group_participants_update",
    "group_settings_update",
    "group_status_update",
    "history",
    "message_echoes",
    "message_template_components_update",
    "message_template_quality_update",
    "message_template_status_update",
    "messages",
    "partner_solutions",
    "payment_configuration_update",
    "phone_number_name_update",
    "phone_number_quality_update",
    "security",
    "smb_app_state_sync",
    "smb_message_echoes",
    "template_category_update",
    "tracking_events",
    "user_preferences",
};

static bool
is_field(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(field_names); i++) {
        if (bytes_equal(bytes_of_str(field_names[i]), name))
            return true;
    }
    return false;
}

/* Whether a comma list holds the name. */
static bool
list_has(const char *list, struct bytes name)
{
    while (*list != '\0') {
        size_t len = strcspn(list, ",");

        if (bytes_equal(bytes_of(list, len), name))
            return true;
        list += len + (list[len] == ',');
    }
    return false;
}

static bool
list_add(char list[FIELDS_SIZE], struct bytes name)
{
    size_t at = strlen(list);

    if (list_has(list, name))
        return true;
    if (at + name.len + 2 > FIELDS_SIZE)
        return false;
    if (at > 0)
        list[at++] = ',';
    memcpy(list + at, name.ptr, name.len);
    list[at + name.len] = '\0';
    return true;
}

static bool
add_names(char list[FIELDS_SIZE], const char *names)
{
    while (*names != '\0') {
        size_t len;

        names += strspn(names, " ,");
        len = strcspn(names, " ,");
        if (len > 0 && (!is_field(bytes_of(names, len)) || !list_add(list, bytes_of(names, len))))
            return false;
        names += len;
    }
    return true;
}

/* `fields` is a comma list, an array, or an array's JSON text. false: a name is unknown. */
static bool
read_fields(char list[FIELDS_SIZE], const json_t *value)
{
    json_t *parsed = NULL;
    bool is_good = true;

    list[0] = '\0';
    if (json_is_string(value) && json_string_value(value)[0] == '[') {
        if (json_read(&parsed, bytes_of_str(json_string_value(value)), 4096, NULL) != RC_OK)
            return false;
        value = parsed;
    }
    if (json_is_string(value))
        is_good = add_names(list, json_string_value(value));
    else if (json_is_array(value))
        for (size_t i = 0; is_good && i < json_array_size(value); i++) {
            const json_t *item = json_array_get(value, i);

            is_good = json_is_string(item) && add_names(list, json_string_value(item));
        }
    json_decref(parsed);
    return is_good;
}

enum rc
graph_subscriptions_get(struct graph_call *call, struct err *err)
{
    struct json_writer jw;
    struct app app;
    enum rc rc;

    if ((rc = app_load(&app, call->w, call->node, LIVE_ONLY, err)) != RC_OK)
        return rc;
    jw_init(&jw, call->body);
    jw_object(&jw);
    jw_key(&jw, "data");
    jw_array(&jw);
    if (app.callback[0] != '\0') {
        const char *at = app.fields;

        jw_object(&jw);
        jw_kv_str(&jw, "object", OBJECT_NAME);
        jw_kv_str(&jw, "callback_url", app.callback);
        jw_kv_bool(&jw, "active", true);
        jw_key(&jw, "fields");
        jw_array(&jw);
        while (*at != '\0') {
            size_t len = strcspn(at, ",");

            jw_object(&jw);
            jw_kv_bytes(&jw, "name", bytes_of(at, len));
            jw_kv_str(&jw, "version", app.version);
            jw_object_end(&jw);
            at += len + (at[len] == ',');
        }
        jw_array_end(&jw);
        jw_object_end(&jw);
    }
    jw_array_end(&jw);
    jw_object_end(&jw);
    app_wipe(&app);
    return RC_OK;
}

/* NULL, or what is wrong with the parameters of a subscription; fills the app's fields. */
static const char *
read_subscription(struct app *app, const struct graph_call *call)
{
    const char *object = graph_param(call, "object"), *url = graph_param(call, "callback_url");
    const char *verify = graph_param(call, "verify_token");
    const json_t *fields = json_object_get(call->params, "fields");
    const json_t *include = json_object_get(call->params, "include_values");
    struct url parts;

    if (object == NULL || strcmp(object, OBJECT_NAME) != 0)
        return "Param object must be one of {whatsapp_business_account}";
    if (url == NULL)
        return "The parameter callback_url is required";
    if (strlen(url) >= sizeof(app->callback) || url_read(&parts, bytes_of_str(url), NULL) != RC_OK)
        return "Param callback_url must be a URL";
    if (verify == NULL || verify[0] == '\0')
        return "The parameter verify_token is required";
    if (strlen(verify) >= sizeof(app->verify_token))
        return "Param verify_token is too long";
    if (!read_fields(app->fields, fields))
        return "Param fields must be a list of webhook fields of whatsapp_business_account";
    if (app->fields[0] == '\0')
        return "The parameter fields is required";
    snprintf(app->callback, sizeof(app->callback), "%s", url);
    snprintf(app->verify_token, sizeof(app->verify_token), "%s", verify);
    snprintf(app->version, sizeof(app->version), "%s", call->version);
    app->include_values = include == NULL || json_truthy(include);
    return NULL;
}

enum rc
graph_subscriptions_post(struct graph_call *call, struct err *err)
{
    const char *wrong;
    struct app app;
    enum rc rc;

    if ((rc = app_load(&app, call->w, call->node, LIVE_ONLY, err)) != RC_OK)
        return rc;
    if ((wrong = read_subscription(&app, call)) != NULL)
        rc = graph_refuse(call, GRAPH_BAD_PARAM, "%s", wrong);
    else if ((rc = app_save_subscription(call->w, &app, err)) == RC_OK)
        rc = graph_success(call);
    app_wipe(&app);
    return rc;
}

/* The subscribed fields without those of `drop`. */
static void
keep_others(char fields[FIELDS_SIZE], const char *drop)
{
    char kept[FIELDS_SIZE] = "";
    const char *at = fields;

    while (*at != '\0') {
        size_t len = strcspn(at, ",");

        if (!list_has(drop, bytes_of(at, len)))
            (void)list_add(kept, bytes_of(at, len)); /* a part of what fitted before */
        at += len + (at[len] == ',');
    }
    memcpy(fields, kept, sizeof(kept));
}

enum rc
graph_subscriptions_delete(struct graph_call *call, struct err *err)
{
    const char *object = graph_param(call, "object");
    const json_t *fields = json_object_get(call->params, "fields");
    char drop[FIELDS_SIZE];
    struct app app;
    enum rc rc;

    if (object != NULL && strcmp(object, OBJECT_NAME) != 0)
        return graph_refuse(call, GRAPH_BAD_PARAM,
                            "Param object must be one of {whatsapp_business_account}");
    if (!read_fields(drop, fields))
        return graph_refuse(call, GRAPH_BAD_PARAM,
                            "Param fields must be a list of webhook fields of "
                            "whatsapp_business_account");
    if ((rc = app_load(&app, call->w, call->node, LIVE_ONLY, err)) != RC_OK)
        return rc;
    if (drop[0] != '\0')
        keep_others(app.fields, drop);
    if (drop[0] == '\0' || app.fields[0] == '\0')
        app.callback[0] = '\0';
    if ((rc = app_save_subscription(call->w, &app, err)) == RC_OK)
        rc = graph_success(call);
    app_wipe(&app);
    return rc;
}

/* ---- which apps a WABA tells ---- */

struct app_rows {
    struct json_writer jw;
    struct work *w;
};

static enum rc
put_app(void *ctx, uint64_t id, const char *override_uri, struct err *err)
{
    struct app_rows *rows = ctx;
    struct app app;
    enum rc rc = app_load(&app, rows->w, id, REVOKED_TOO, err);

    if (rc != RC_OK)
        return rc;
    if (app.revoked_s == 0) {
        jw_object(&rows->jw);
        jw_key(&rows->jw, "whatsapp_business_api_data");
        jw_object(&rows->jw);
        jw_kv_u64_str(&rows->jw, "id", id);
        jw_kv_str(&rows->jw, "name", app.name);
        jw_object_end(&rows->jw);
        if (override_uri[0] != '\0')
            jw_kv_str(&rows->jw, "override_callback_uri", override_uri);
        jw_object_end(&rows->jw);
    }
    app_wipe(&app);
    return RC_OK;
}

enum rc
graph_waba_apps_get(struct graph_call *call, struct err *err)
{
    struct app_rows rows = {.w = call->w};
    struct waba waba;
    enum rc rc;

    if ((rc = waba_load(&waba, call->w, call->node, LIVE_ONLY, err)) != RC_OK)
        return rc;
    jw_init(&rows.jw, call->body);
    jw_object(&rows.jw);
    jw_key(&rows.jw, "data");
    jw_array(&rows.jw);
    rc = waba_app_each(call->w, waba.business, waba.id, put_app, &rows, err);
    jw_array_end(&rows.jw);
    jw_object_end(&rows.jw);
    return rc;
}

enum rc
graph_waba_apps_post(struct graph_call *call, struct err *err)
{
    const char *uri = graph_param(call, "override_callback_uri");
    struct waba waba;
    struct url url;
    enum rc rc;

    if (uri != NULL && uri[0] != '\0') {
        if (strlen(uri) > OVERRIDE_URI_MAX || url_read(&url, bytes_of_str(uri), NULL) != RC_OK)
            return graph_refuse(call, GRAPH_BAD_PARAM,
                                "override_callback_uri must be a URL of at most %u characters",
                                OVERRIDE_URI_MAX);
        if (graph_param(call, "verify_token") == NULL)
            return graph_refuse(call, GRAPH_MISSING_PARAM,
                                "The parameter verify_token is required");
    }
    if ((rc = waba_load(&waba, call->w, call->node, LIVE_ONLY, err)) != RC_OK)
        return rc;
    rc = waba_app_put(call->w, &waba, call->p->app, uri, err);
    if (rc == RC_LIMIT)
        return graph_refuse(call, GRAPH_LIMIT, "At most %u apps can subscribe to a WABA",
                            APPS_PER_WABA_MAX);
    return rc == RC_OK ? graph_success(call) : rc;
}

enum rc
graph_waba_apps_delete(struct graph_call *call, struct err *err)
{
    struct waba waba;
    bool dropped;
    enum rc rc;

    if ((rc = waba_load(&waba, call->w, call->node, LIVE_ONLY, err)) != RC_OK ||
        (rc = waba_app_drop(&dropped, call->w, &waba, call->p->app, err)) != RC_OK)
        return rc;
    return graph_success(call);
}
