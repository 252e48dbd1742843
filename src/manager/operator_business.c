/* operator_business.c - businesses and WABAs on the operator routes: make, list, show, revoke. */
#include "manager/operator.h"

/* ---- business ---- */

static enum rc
put_business(void *ctx, const struct business *b, struct err *err)
{
    struct json_writer *jw = &((struct operator_list *)ctx)->jw;

    jw_object(jw);
    jw_kv_u64_str(jw, "id", b->id);
    jw_kv_str(jw, "name", b->name);
    operator_put_tail(jw, b->created_s, b->revoked_s);
    jw_object_end(jw);
    return RC_OK;
}

enum rc
operator_business_create(struct call *call, struct work *w, struct err *err)
{
    struct operator_list one;
    struct business b;
    enum rc rc = business_make(&b, w, json_str(call->body, "name"), err);

    jw_init(&one.jw, &call->out);
    return rc == RC_OK ? put_business(&one, &b, err) : rc;
}

enum rc
operator_business_list(struct call *call, struct work *w, struct err *err)
{
    struct operator_list list;
    enum rc rc;

    operator_list_begin(&list, call);
    rc = business_each(w, call->after, put_business, &list, err);
    operator_list_end(&list);
    return rc;
}

enum rc
operator_business_show(struct call *call, struct work *w, struct err *err)
{
    struct operator_list one;
    struct business b;
    enum rc rc = business_load(&b, w, call->id, REVOKED_TOO, err);

    jw_init(&one.jw, &call->out);
    return rc == RC_OK ? put_business(&one, &b, err) : rc;
}

enum rc
operator_business_remove(struct call *call, struct work *w, struct err *err)
{
    enum rc rc = business_revoke(w, call->id, err);

    return operator_success(call, rc);
}

/* ---- WABA ---- */

static enum rc
put_waba(void *ctx, const struct waba *waba, struct err *err)
{
    struct json_writer *jw = &((struct operator_list *)ctx)->jw;

    jw_object(jw);
    jw_kv_u64_str(jw, "id", waba->id);
    jw_kv_u64_str(jw, "business_id", waba->business);
    jw_kv_str(jw, "name", waba->name);
    jw_kv_str(jw, "namespace", waba->namespace);
    operator_put_tail(jw, waba->created_s, waba->revoked_s);
    jw_object_end(jw);
    return RC_OK;
}

enum rc
operator_waba_create(struct call *call, struct work *w, struct err *err)
{
    struct operator_list one;
    struct waba waba;
    uint64_t business;
    enum rc rc;

    if ((rc = operator_body_id(&business, call, "business_id", true, err)) != RC_OK ||
        (rc = waba_make(&waba, w, business, json_str(call->body, "name"), err)) != RC_OK)
        return rc;
    jw_init(&one.jw, &call->out);
    return put_waba(&one, &waba, err);
}

enum rc
operator_waba_list(struct call *call, struct work *w, struct err *err)
{
    struct operator_list list;
    enum rc rc;

    if ((rc = operator_need_business(call, err)) != RC_OK)
        return rc;
    operator_list_begin(&list, call);
    rc = waba_each(w, call->business, call->after, put_waba, &list, err);
    operator_list_end(&list);
    return rc;
}

enum rc
operator_waba_show(struct call *call, struct work *w, struct err *err)
{
    struct operator_list one;
    struct waba waba;
    enum rc rc = waba_load(&waba, w, call->id, REVOKED_TOO, err);

    jw_init(&one.jw, &call->out);
    return rc == RC_OK ? put_waba(&one, &waba, err) : rc;
}

enum rc
operator_waba_remove(struct call *call, struct work *w, struct err *err)
{
    enum rc rc = waba_revoke(w, call->id, err);

    return operator_success(call, rc);
}
