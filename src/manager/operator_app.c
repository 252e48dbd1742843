/* operator_app.c - apps and tokens on the operator routes: make, list, show, revoke.
 *
 * Secrets are in the answer to a POST, and in an app's own answer when ?with_secrets=1 asks for
 * them. */
#include "manager/operator.h"

#include "manager/tokens.h"

/* ---- app ---- */

static void
put_app_members(struct json_writer *jw, const struct app *app, bool with_secrets)
{
    jw_object(jw);
    jw_kv_u64_str(jw, "id", app->id);
    jw_kv_u64_str(jw, "business_id", app->business);
    jw_kv_str(jw, "name", app->name);
    if (with_secrets) {
        jw_kv_str(jw, "secret", app->secret);
        jw_kv_str(jw, "verify_token", app->verify_token);
    }
    operator_put_tail(jw, app->created_s, app->revoked_s);
    jw_object_end(jw);
}

static enum rc
put_app(void *ctx, const struct app *app, struct err *err)
{
    put_app_members(&((struct operator_list *)ctx)->jw, app, false);
    return RC_OK;
}

enum rc
operator_app_create(struct call *call, struct work *w, struct err *err)
{
    uint64_t business, waba_id;
    struct json_writer jw;
    struct waba waba;
    struct app app;
    enum rc rc;

    if ((rc = operator_body_id(&business, call, "business_id", true, err)) != RC_OK ||
        (rc = operator_body_id(&waba_id, call, "waba_id", false, err)) != RC_OK)
        return rc;
    if (waba_id != 0) {
        if ((rc = waba_load(&waba, w, waba_id, LIVE_ONLY, err)) != RC_OK)
            return rc;
        if (waba.business != business)
            return err_set(err, RC_NOTFOUND, "operator", "the business has no such WABA");
    }
    if ((rc = app_make(&app, w, business, json_str(call->body, "name"), err)) != RC_OK)
        return rc;
    if (waba_id != 0)
        rc = waba_app_put(w, &waba, app.id, NULL, err);
    jw_init(&jw, &call->out);
    put_app_members(&jw, &app, true);
    app_wipe(&app);
    return rc;
}

enum rc
operator_app_list(struct call *call, struct work *w, struct err *err)
{
    struct operator_list list;
    enum rc rc;

    if ((rc = operator_need_business(call, err)) != RC_OK)
        return rc;
    operator_list_begin(&list, call);
    rc = app_each(w, call->business, call->after, put_app, &list, err);
    operator_list_end(&list);
    return rc;
}

enum rc
operator_app_show(struct call *call, struct work *w, struct err *err)
{
    struct json_writer jw;
    struct app app;
    enum rc rc = app_load(&app, w, call->id, REVOKED_TOO, err);

    if (rc != RC_OK)
        return rc;
    jw_init(&jw, &call->out);
    put_app_members(&jw, &app, call->with_secrets);
    app_wipe(&app);
    return RC_OK;
}

enum rc
operator_app_remove(struct call *call, struct work *w, struct err *err)
{
    enum rc rc = app_revoke(w, call->id, err);

    return operator_success(call, rc);
}

/* ---- token ---- */

static void
put_token_members(struct json_writer *jw, const struct principal *p, int64_t revoked_s,
                  const char *token)
{
    jw_object(jw);
    jw_kv_u64_str(jw, "id", p->token);
    jw_kv_str(jw, "kind", principal_kind_name(p->kind));
    jw_kv_u64_str(jw, "app_id", p->app);
    jw_kv_u64_str(jw, "user_id", p->user);
    jw_kv_u64_str(jw, "business_id", p->business);
    jw_key(jw, "scopes");
    permission_put(jw, p->scopes);
    jw_key(jw, "waba_ids");
    jw_array(jw);
    for (unsigned i = 0; i < p->n_wabas; i++)
        jw_u64_str(jw, p->wabas[i]);
    jw_array_end(jw);
    jw_kv_int(jw, "expires_at", p->expires_s);
    if (token != NULL)
        jw_kv_str(jw, "token", token);
    operator_put_tail(jw, p->created_s, revoked_s);
    jw_object_end(jw);
}

static enum rc
put_token(void *ctx, const struct principal *p, int64_t revoked_s, struct err *err)
{
    put_token_members(&((struct operator_list *)ctx)->jw, p, revoked_s, NULL);
    return RC_OK;
}

static enum rc
read_scopes(uint32_t *out, const json_t *scopes, struct err *err)
{
    *out = json_array_size(scopes) == 0 ? PERM_WHATSAPP : 0;
    for (size_t i = 0; i < json_array_size(scopes); i++) {
        const char *name = json_string_value(json_array_get(scopes, i));
        uint32_t bit = name == NULL ? 0 : permission_read(name);

        if (bit == 0)
            return err_set(err, RC_INVAL, "operator",
                           "a scope is whatsapp_business_messaging, whatsapp_business_management "
                           "or business_management");
        *out |= bit;
    }
    return RC_OK;
}

/* The WABAs that a token is narrowed to must be the business's own. */
static enum rc
read_wabas(uint64_t out[TOKEN_WABAS_MAX], unsigned *n, const struct call *call, struct work *w,
           uint64_t business, struct err *err)
{
    const json_t *ids = json_object_get(call->body, "waba_ids");
    struct waba waba;
    enum rc rc;

    *n = 0;
    if (json_array_size(ids) > TOKEN_WABAS_MAX)
        return err_set(err, RC_INVAL, "operator", "at most %u WABAs a token", TOKEN_WABAS_MAX);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const char *text = json_string_value(json_array_get(ids, i));

        if ((rc = object_id_read(&out[*n], bytes_of_str(text), err)) != RC_OK ||
            (rc = waba_load(&waba, w, out[*n], LIVE_ONLY, err)) != RC_OK)
            return rc;
        if (waba.business != business)
            return err_set(err, RC_NOTFOUND, "operator", "the business has no such WABA");
        ++*n;
    }
    return RC_OK;
}

/* The system user named, else the business's first, else a new one. */
static enum rc
find_user(struct system_user *out, const struct call *call, struct work *w, uint64_t business,
          struct err *err)
{
    uint64_t id;
    enum rc rc;

    if ((rc = operator_body_id(&id, call, "user_id", false, err)) != RC_OK)
        return rc;
    if (id == 0) {
        rc = user_first(out, w, business, err);
        return rc == RC_NOTFOUND ? user_make(out, w, business, "admin", err) : rc;
    }
    rc = user_load(out, w, id, err);
    if (rc == RC_OK && out->business != business)
        rc = err_set(err, RC_NOTFOUND, "operator", "the business has no such system user");
    return rc;
}

enum rc
operator_token_create(struct call *call, struct work *w, struct err *err)
{
    int64_t expires_in_s = json_int(call->body, "expires_in_s", 0);
    struct token_opt opt = {.label = "operator"};
    uint64_t app_id, wabas[TOKEN_WABAS_MAX];
    char token[TOKEN_SIZE] = "";
    struct system_user user;
    struct json_writer jw;
    struct principal p;
    struct app app = {0};
    enum rc rc;

    if (expires_in_s < 0)
        return err_set(err, RC_INVAL, "operator", "expires_in_s is not negative");
    if ((rc = operator_body_id(&app_id, call, "app_id", true, err)) != RC_OK ||
        (rc = read_scopes(&opt.scopes, json_object_get(call->body, "scopes"), err)) != RC_OK ||
        (rc = app_load(&app, w, app_id, LIVE_ONLY, err)) != RC_OK)
        goto out;
    if ((rc = read_wabas(wabas, &opt.n_wabas, call, w, app.business, err)) != RC_OK ||
        (rc = find_user(&user, call, w, app.business, err)) != RC_OK)
        goto out;
    opt.app = &app;
    opt.user = user.id;
    opt.wabas = wabas;
    opt.expires_s = expires_in_s == 0 ? 0 : w->now_s + expires_in_s;
    if ((rc = token_make(token, &p, w, &opt, err)) != RC_OK)
        goto out;
    jw_init(&jw, &call->out);
    put_token_members(&jw, &p, 0, token);
out:
    bytes_wipe(token, sizeof(token));
    app_wipe(&app);
    return rc;
}

enum rc
operator_token_list(struct call *call, struct work *w, struct err *err)
{
    struct operator_list list;
    enum rc rc;

    if ((rc = operator_need_business(call, err)) != RC_OK)
        return rc;
    operator_list_begin(&list, call);
    rc = token_each(w, call->business, call->after, put_token, &list, err);
    operator_list_end(&list);
    return rc;
}

enum rc
operator_token_show(struct call *call, struct work *w, struct err *err)
{
    struct json_writer jw;
    struct principal p;
    int64_t revoked_s;
    enum rc rc = token_load(&p, &revoked_s, w, call->id, err);

    if (rc != RC_OK)
        return rc;
    jw_init(&jw, &call->out);
    put_token_members(&jw, &p, revoked_s, NULL);
    return RC_OK;
}

enum rc
operator_token_remove(struct call *call, struct work *w, struct err *err)
{
    enum rc rc = token_revoke(w, call->id, err);

    return operator_success(call, rc);
}
