/* routes_cloud.c - what the Cloud calls: tokens, events, Graph, what became of a number. */
#include "manager/call.h"

#include "base/hex.h"
#include "crypto/prim.h"
#include "manager/graph.h"
#include "manager/state.h"
#include "manager/tokens.h"

/* ---- tokens/check ---- */

static void
put_scope_list(struct json_writer *jw, const struct principal *p)
{
    jw_key(jw, "scopes");
    permission_put(jw, p->scopes);
    jw_key(jw, "granular");
    jw_array(jw);
    for (unsigned i = 0; i < PERM_NAMES; i++) {
        if ((p->scopes & permission_at(i)) == 0)
            continue;
        jw_object(jw);
        jw_kv_str(jw, "scope", permission_name(i));
        if (p->n_wabas > 0) {
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

struct asset_rows {
    struct json_writer *jw;
    const struct principal *p;
    uint64_t last;
    unsigned seen;
};

static enum rc
put_waba_asset(void *ctx, const struct waba *waba, struct err *err)
{
    struct asset_rows *rows = ctx;

    rows->last = waba->id;
    rows->seen++;
    if (waba->revoked_s == 0 && rights_see_waba(rows->p, waba->business, waba->id))
        jw_u64_str(rows->jw, waba->id);
    return RC_OK;
}

static enum rc
put_number_asset(void *ctx, const struct number *n, struct err *err)
{
    struct asset_rows *rows = ctx;

    rows->last = n->id;
    rows->seen++;
    if (n->revoked_s == 0 && rights_see_waba(rows->p, n->business, n->waba)) {
        jw_object(rows->jw);
        jw_kv_u64_str(rows->jw, "id", n->id);
        jw_kv_u64_str(rows->jw, "waba_id", n->waba);
        jw_object_end(rows->jw);
    }
    return RC_OK;
}

static enum rc
put_assets(struct json_writer *jw, const struct principal *p, struct work *w, struct err *err)
{
    struct asset_rows rows = {.jw = jw, .p = p, .seen = LIST_MAX};
    enum rc rc = RC_OK;

    jw_key(jw, "assets");
    jw_object(jw);
    jw_key(jw, "wabas");
    jw_array(jw);
    while (rc == RC_OK && rows.seen == LIST_MAX && p->kind == PRINCIPAL_USER) {
        rows.seen = 0;
        rc = waba_each(w, p->business, rows.last, put_waba_asset, &rows, err);
    }
    jw_array_end(jw);
    jw_key(jw, "numbers");
    jw_array(jw);
    rows.seen = LIST_MAX;
    rows.last = 0;
    while (rc == RC_OK && rows.seen == LIST_MAX && p->kind == PRINCIPAL_USER) {
        rows.seen = 0;
        rc = number_each(w, p->business, rows.last, put_number_asset, &rows, err);
    }
    jw_array_end(jw);
    jw_object_end(jw);
    return rc;
}

static enum rc
put_principal(struct buf *out, const struct principal *p, struct work *w, struct err *err)
{
    struct json_writer jw;
    struct buf hash;
    enum rc rc;

    buf_init(&hash, 128);
    hex_put(&hash, bytes_of(p->hash, sizeof(p->hash)));
    jw_init(&jw, out);
    jw_object(&jw);
    jw_kv_bytes(&jw, "token_hash", buf_bytes(&hash));
    jw_kv_u64_str(&jw, "token_id", p->token);
    jw_kv_str(&jw, "kind", principal_kind_name(p->kind));
    jw_kv_u64_str(&jw, "app_id", p->app);
    jw_kv_u64_str(&jw, "user_id", p->user);
    jw_kv_u64_str(&jw, "business_id", p->business);
    put_scope_list(&jw, p);
    jw_kv_int(&jw, "issued_at", p->created_s);
    jw_kv_int(&jw, "expires_at", p->expires_s);
    rc = put_assets(&jw, p, w, err);
    jw_object_end(&jw);
    buf_free(&hash);
    return rc;
}

/* appsecret_proof = lower-case hex HMAC-SHA256(app secret, token), checked when it is given. */
static enum rc
check_proof(bool *is_right, const char *proof, const char *token, uint64_t app_id, struct work *w,
            struct err *err)
{
    uint8_t mac[SHA256_SIZE];
    struct app app;
    struct buf hex;
    enum rc rc;

    *is_right = proof == NULL;
    if (proof == NULL)
        return RC_OK;
    if ((rc = app_load(&app, w, app_id, LIVE_ONLY, err)) != RC_OK)
        return rc;
    hmac_sha256(mac, bytes_of_str(app.secret), bytes_of_str(token));
    app_wipe(&app);
    buf_init(&hex, 128);
    hex_put(&hex, bytes_of(mac, sizeof(mac)));
    *is_right = bytes_equal_secret(buf_bytes(&hex), bytes_of_str(proof));
    buf_wipe(&hex);
    return RC_OK;
}

static enum rc
tokens_check(struct call *call, struct work *w, struct err *err)
{
    const char *token = json_str(call->body, "token");
    const char *proof = json_str(call->body, "appsecret_proof");
    struct token_refusal refusal;
    struct principal p;
    bool is_proven;
    enum rc rc;

    if (token == NULL)
        return err_set(err, RC_INVAL, "tokens.check", "token is missing");
    rc = token_check(&p, &refusal, w, bytes_of_str(token), err);
    if (rc == RC_AUTH) {
        call->status = 401;
        graph_put_token_error(&call->out, refusal.code, refusal.subcode, refusal.message, NULL);
        return RC_OK;
    }
    if (rc != RC_OK || (rc = check_proof(&is_proven, proof, token, p.app, w, err)) != RC_OK)
        return rc;
    if (!is_proven) {
        call->status = 400;
        graph_put_token_error(&call->out, 100, 0,
                              "Invalid appsecret_proof provided in the API argument", NULL);
        return RC_OK;
    }
    return put_principal(&call->out, &p, w, err);
}

/* ---- events ---- */

static enum rc
events_open(struct call *call, struct work *w, struct err *err)
{
    return event_snapshot(w, err);
}

static void
events_finish(struct call *call)
{
    hub_attach(call->manager->hub, call->req, buf_bytes(&call->events));
}

/* ---- graph ---- */

static bool
graph_is_read(const struct call *call)
{
    const char *method = json_str(call->body, "method");

    return method != NULL && strcmp(method, "GET") == 0;
}

static enum rc
graph_call(struct call *call, struct work *w, struct err *err)
{
    const json_t *named = json_object_get(call->body, "principal");
    struct graph_request req = {.method = json_str(call->body, "method"),
                                .path = json_str(call->body, "path"),
                                .version = json_str(call->body, "version"),
                                .origin = json_str(call->body, "origin"),
                                .trace_id = json_str(call->body, "trace_id"),
                                .params = json_object_get(call->body, "params")};
    struct token_refusal refusal;
    struct json_writer jw;
    struct principal p;
    struct buf body;
    int status = 200;
    enum rc rc;

    if (req.method == NULL || req.path == NULL || !json_is_object(named))
        return err_set(err, RC_INVAL, "graph", "method, path and principal are required");
    buf_init(&body, CALL_ANSWER_MAX);
    rc = token_principal(&p, &refusal, w, named, err);
    if (rc == RC_AUTH) {
        status = 401;
        graph_put_token_error(&body, refusal.code, refusal.subcode, refusal.message, req.trace_id);
        rc = RC_OK;
    } else if (rc == RC_OK) {
        rc = graph_handle(&status, &body, w, &p, &req, err);
    }
    if (rc == RC_OK) {
        jw_init(&jw, &call->out);
        jw_object(&jw);
        jw_kv_int(&jw, "status", status);
        jw_key(&jw, "body");
        jw_raw(&jw, buf_bytes(&body));
        jw_object_end(&jw);
    }
    buf_wipe(&body);
    return rc;
}

/* ---- what became of a number ---- */

static void
take_bool(bool *out, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (value != NULL)
        *out = json_truthy(value);
}

static enum rc
number_registered(struct call *call, struct work *w, struct err *err)
{
    struct json_writer jw;
    struct number n, before;
    enum rc rc;

    if ((rc = number_load(&n, w, call->id, LIVE_ONLY, err)) != RC_OK)
        return rc;
    before = n;
    take_bool(&n.is_verified, call->body, "verified");
    take_bool(&n.is_registered, call->body, "registered");
    take_bool(&n.has_pin, call->body, "pin_set");
    if (n.is_registered && !before.is_registered) {
        n.onboarded_s = w->now_s;
        n.is_verified = true;
    }
    if (n.is_verified != before.is_verified || n.is_registered != before.is_registered ||
        n.has_pin != before.has_pin)
        rc = number_save_state(w, &n, err);
    jw_init(&jw, &call->out);
    jw_object(&jw);
    jw_kv_bool(&jw, "success", true);
    jw_object_end(&jw);
    return rc;
}

const struct internal_route cloud_routes[] = {
    {HTTP_POST,              "/internal/v1/tokens/check", PROGRAM_CLOUD,    .handle = tokens_check                               },
    {                         HTTP_GET, "/internal/v1/events",               PROGRAM_CLOUD,   .writes = true,                                 .handle = events_open,
     .finish = events_finish},
    {                                                                                                                                HTTP_POST,              "/internal/v1/graph",        PROGRAM_CLOUD,    .writes = true,                                        .is_read = graph_is_read,
     .handle = graph_call},
    {HTTP_POST,                      "/internal/v1/numbers/*/registered",                                         PROGRAM_CLOUD, .writes = true,
     .handle = number_registered},
};
const size_t cloud_routes_n = ARRAY_LEN(cloud_routes);
