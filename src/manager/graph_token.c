/* graph_token.c - who am I, and what is this token: /me, /debug_token, the app node.
 *
 * A token of another app and another business is described exactly as one that does not exist
 * (I32). */
#include "manager/graph.h"

#include "manager/tokens.h"

enum rc
graph_app_get(struct graph_call *call, struct err *err)
{
    struct json_writer jw;
    struct app app;
    enum rc rc;

    if ((rc = app_load(&app, call->w, call->node, LIVE_ONLY, err)) != RC_OK)
        return rc;
    jw_init(&jw, call->body);
    jw_object(&jw);
    jw_kv_str(&jw, "name", app.name);
    jw_kv_u64_str(&jw, "id", app.id);
    jw_object_end(&jw);
    app_wipe(&app);
    return RC_OK;
}

enum rc
graph_me(struct graph_call *call, struct err *err)
{
    struct system_user user;
    struct json_writer jw;
    enum rc rc;

    if (call->p->kind == PRINCIPAL_APP) {
        call->node = call->p->app;
        return graph_app_get(call, err);
    }
    if ((rc = user_load(&user, call->w, call->p->user, err)) != RC_OK)
        return rc;
    jw_init(&jw, call->body);
    jw_object(&jw);
    jw_kv_str(&jw, "name", user.name);
    jw_kv_u64_str(&jw, "id", user.id);
    jw_object_end(&jw);
    return RC_OK;
}

static void
put_scopes(struct json_writer *jw, const struct principal *p)
{
    jw_key(jw, "scopes");
    permission_put(jw, p->scopes);
    jw_key(jw, "granular_scopes");
    jw_array(jw);
    for (unsigned i = 0; i < PERM_NAMES; i++) {
        if ((p->scopes & permission_at(i)) == 0)
            continue;
        jw_object(jw);
        jw_kv_str(jw, "scope", permission_name(i));
        if (p->n_wabas > 0 && (permission_at(i) & PERM_WHATSAPP)) {
            jw_key(jw, "target_ids");
            jw_array(jw);
            for (unsigned k = 0; k < p->n_wabas; k++)
                jw_u64_str(jw, p->wabas[k]);
            jw_array_end(jw);
        }
        jw_object_end(jw);
    }
    jw_array_end(jw);
}

static void
put_invalid(struct json_writer *jw, const struct token_refusal *refusal)
{
    jw_key(jw, "error");
    jw_object(jw);
    jw_kv_int(jw, "code", refusal->code);
    jw_kv_str(jw, "message", refusal->message);
    if (refusal->subcode != 0)
        jw_kv_int(jw, "subcode", refusal->subcode);
    jw_object_end(jw);
    jw_kv_bool(jw, "is_valid", false);
    jw_key(jw, "scopes");
    jw_array(jw);
    jw_array_end(jw);
}

static enum rc
put_valid(struct json_writer *jw, const struct principal *p, struct work *w, struct err *err)
{
    struct app app;
    enum rc rc = app_load(&app, w, p->app, LIVE_ONLY, err);

    if (rc != RC_OK)
        return rc;
    jw_kv_u64_str(jw, "app_id", p->app);
    jw_kv_str(jw, "type", principal_kind_name(p->kind));
    jw_kv_str(jw, "application", app.name);
    jw_kv_int(jw, "data_access_expires_at", 0);
    jw_kv_int(jw, "expires_at", p->expires_s);
    jw_kv_bool(jw, "is_valid", true);
    jw_kv_int(jw, "issued_at", p->created_s);
    put_scopes(jw, p);
    if (p->user != 0)
        jw_kv_u64_str(jw, "user_id", p->user);
    app_wipe(&app);
    return RC_OK;
}

enum rc
graph_debug_token(struct graph_call *call, struct err *err)
{
    static const struct token_refusal hidden = {190, 0, "Invalid OAuth access token."};
    const char *text = graph_param(call, "input_token");
    struct token_refusal refusal;
    struct json_writer jw;
    struct principal seen;
    enum rc rc;

    if (text == NULL)
        return graph_refuse(call, GRAPH_MISSING_PARAM, "The parameter input_token is required");
    rc = token_check(&seen, &refusal, call->w, bytes_of_str(text), err);
    if (rc != RC_OK && rc != RC_AUTH)
        return rc;
    if (seen.app != call->p->app && seen.business != call->p->business) {
        rc = RC_AUTH;
        refusal = hidden;
    }
    jw_init(&jw, call->body);
    jw_object(&jw);
    jw_key(&jw, "data");
    jw_object(&jw);
    if (rc == RC_AUTH)
        put_invalid(&jw, &refusal);
    else
        rc = put_valid(&jw, &seen, call->w, err);
    jw_object_end(&jw);
    jw_object_end(&jw);
    return rc == RC_AUTH ? RC_OK : rc;
}
