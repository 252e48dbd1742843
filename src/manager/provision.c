/* provision.c - everything that a business needs to begin, in one transaction; see provision.h. */
#include "manager/provision.h"

#include "base/e164.h"
#include "manager/row.h"
#include "manager/sql.h"
#include "manager/tokens.h"

struct parts {
    bool is_new;
    uint64_t business, waba, number, app, user;
};

struct wish {
    const char *name;
    uint64_t digits;
    enum hosting hosting;
    bool with_token;
    uint32_t scopes;
};

static enum rc
read_wish(struct wish *out, const json_t *body, struct err *err)
{
    const json_t *scopes = json_object_get(body, "scopes");
    const json_t *with_token = json_object_get(body, "with_token");
    enum rc rc;

    *out = (struct wish){.name = json_str(body, "name"),
                         .with_token = with_token == NULL || json_truthy(with_token),
                         .scopes = PERM_WHATSAPP};
    if (json_str(body, "number") == NULL)
        return err_set(err, RC_INVAL, "provision", "number is missing");
    if ((rc = e164_read(&out->digits, bytes_of_str(json_str(body, "number")), err)) != RC_OK ||
        (rc = hosting_read(&out->hosting, json_str(body, "hosting"), err)) != RC_OK)
        return rc;
    for (size_t i = 0; i < json_array_size(scopes); i++) {
        const char *name = json_string_value(json_array_get(scopes, i));
        uint32_t bit = name == NULL ? 0 : permission_read(name);

        if (bit == 0)
            return err_set(err, RC_INVAL, "provision", "a scope is unknown");
        out->scopes = i == 0 ? bit : out->scopes | bit;
    }
    return RC_OK;
}

static enum rc
find_parts(struct parts *out, bool *found, struct work *w, uint64_t digits, struct err *err)
{
    struct store_rows rows;

    *out = (struct parts){0};
    store_query(&rows, w->tx, &manager_part, SQL_PROVISION_GET, ST_ARGS(ST_I(digits)));
    if ((*found = rows.has_row)) {
        out->business = (uint64_t)store_col_int(&rows, 0);
        out->waba = (uint64_t)store_col_int(&rows, 1);
        out->number = (uint64_t)store_col_int(&rows, 2);
        out->app = (uint64_t)store_col_int(&rows, 3);
        out->user = (uint64_t)store_col_int(&rows, 4);
    }
    return row_end(&rows, true, "provision", err);
}

static enum rc
make_parts(struct parts *out, struct work *w, const struct wish *wish, struct err *err)
{
    struct system_user user;
    struct business business;
    struct number number;
    struct waba waba;
    struct app app = {0};
    enum rc rc;

    if ((rc = business_make(&business, w, wish->name, err)) != RC_OK ||
        (rc = waba_make(&waba, w, business.id, wish->name, err)) != RC_OK ||
        (rc = number_make(&number, w, &waba, wish->digits, wish->name, wish->hosting, err)) !=
            RC_OK ||
        (rc = app_make(&app, w, business.id, wish->name, err)) != RC_OK ||
        (rc = waba_app_put(w, &waba, app.id, NULL, err)) != RC_OK ||
        (rc = user_make(&user, w, business.id, "admin", err)) != RC_OK)
        goto out;
    *out = (struct parts){true, business.id, waba.id, number.id, app.id, user.id};
    rc = store_run(w->tx, &manager_part, SQL_PROVISION_ADD, NULL, err,
                   ST_ARGS(ST_I(wish->digits), ST_I(out->business), ST_I(out->waba),
                           ST_I(out->number), ST_I(out->app), ST_I(out->user)));
out:
    app_wipe(&app);
    return rc;
}

/* What is there must be what is asked for: same name, and nothing of it revoked. */
static enum rc
check_parts(struct work *w, const struct parts *parts, const struct wish *wish, struct err *err)
{
    struct business business;
    enum rc rc = business_load(&business, w, parts->business, LIVE_ONLY, err);

    if (rc == RC_OK && strcmp(business.name, wish->name) != 0)
        return err_set(err, RC_EXISTS, "provision", "this number belongs to another business");
    return rc;
}

static enum rc
put_answer(struct call *call, struct work *w, const struct parts *parts, const struct wish *wish,
           struct err *err)
{
    char digits[E164_TEXT_SIZE], token[TOKEN_SIZE] = "";
    struct principal p;
    struct json_writer jw;
    struct number number;
    struct app app;
    enum rc rc;

    if ((rc = app_load(&app, w, parts->app, LIVE_ONLY, err)) != RC_OK)
        return rc;
    if ((rc = number_load(&number, w, parts->number, LIVE_ONLY, err)) != RC_OK)
        goto out;
    if (wish->with_token) {
        const struct token_opt opt = {.label = "provision",
                                      .is_repeatable = true,
                                      .app = &app,
                                      .user = parts->user,
                                      .scopes = wish->scopes};

        if ((rc = token_make(token, &p, w, &opt, err)) != RC_OK)
            goto out;
    }
    jw_init(&jw, &call->out);
    jw_object(&jw);
    jw_kv_bool(&jw, "created", parts->is_new);
    jw_kv_u64_str(&jw, "business_id", parts->business);
    jw_kv_u64_str(&jw, "waba_id", parts->waba);
    jw_kv_u64_str(&jw, "phone_number_id", parts->number);
    jw_kv_u64_str(&jw, "app_id", parts->app);
    jw_kv_str(&jw, "app_secret", app.secret);
    jw_kv_str(&jw, "verify_token", app.verify_token);
    jw_kv_u64_str(&jw, "user_id", parts->user);
    if (wish->with_token) {
        jw_kv_u64_str(&jw, "token_id", p.token);
        jw_kv_str(&jw, "token", token);
    }
    jw_kv_str(&jw, "number", e164_write(digits, number.digits));
    jw_kv_bool(&jw, "is_registered", number.is_registered);
    jw_object_end(&jw);
out:
    app_wipe(&app);
    bytes_wipe(token, sizeof(token));
    return rc;
}

enum rc
provision_handle(struct call *call, struct work *w, struct err *err)
{
    char name[NAME_SIZE];
    struct parts parts;
    struct wish wish;
    bool found;
    enum rc rc;

    if ((rc = read_wish(&wish, call->body, err)) != RC_OK ||
        (rc = name_copy(name, wish.name, "name", err)) != RC_OK ||
        (rc = find_parts(&parts, &found, w, wish.digits, err)) != RC_OK)
        return rc;
    rc = found ? check_parts(w, &parts, &wish, err) : make_parts(&parts, w, &wish, err);
    return rc == RC_OK ? put_answer(call, w, &parts, &wish, err) : rc;
}
