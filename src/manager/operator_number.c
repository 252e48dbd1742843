/* operator_number.c - phone numbers on the operator routes: make, list, show, revoke. */
#include "manager/operator.h"

#include "base/e164.h"
#include "base/hex.h"

/* ---- number ---- */

static enum rc
put_number(void *ctx, const struct number *n, struct err *err)
{
    struct json_writer *jw = &((struct operator_list *)ctx)->jw;
    char digits[E164_TEXT_SIZE];
    struct buf cert;

    buf_init(&cert, 2 * sizeof(n->cert));
    base64_put(&cert, bytes_of(n->cert, n->cert_len));
    jw_object(jw);
    jw_kv_u64_str(jw, "id", n->id);
    jw_kv_u64_str(jw, "waba_id", n->waba);
    jw_kv_u64_str(jw, "business_id", n->business);
    jw_kv_str(jw, "number", e164_write(digits, n->digits));
    jw_kv_str(jw, "display_name", n->display_name);
    jw_kv_str(jw, "hosting", hosting_name(n->hosting));
    jw_kv_bool(jw, "is_verified", n->is_verified);
    jw_kv_bool(jw, "is_registered", n->is_registered);
    jw_kv_bytes(jw, "certificate", buf_bytes(&cert));
    operator_put_tail(jw, n->created_s, n->revoked_s);
    jw_object_end(jw);
    buf_free(&cert);
    return RC_OK;
}

enum rc
operator_number_create(struct call *call, struct work *w, struct err *err)
{
    const char *text = json_str(call->body, "number");
    const char *display = json_str(call->body, "display_name");
    struct operator_list one;
    enum hosting hosting;
    struct number n;
    struct waba waba;
    uint64_t id, digits;
    enum rc rc;

    if (text == NULL)
        return err_set(err, RC_INVAL, "operator", "number is missing");
    if ((rc = e164_read(&digits, bytes_of_str(text), err)) != RC_OK ||
        (rc = hosting_read(&hosting, json_str(call->body, "hosting"), err)) != RC_OK ||
        (rc = operator_body_id(&id, call, "waba_id", true, err)) != RC_OK ||
        (rc = waba_load(&waba, w, id, LIVE_ONLY, err)) != RC_OK)
        return rc;
    rc = number_make(&n, w, &waba, digits, display != NULL ? display : waba.name, hosting, err);
    jw_init(&one.jw, &call->out);
    return rc == RC_OK ? put_number(&one, &n, err) : rc;
}

enum rc
operator_number_list(struct call *call, struct work *w, struct err *err)
{
    struct operator_list list;
    enum rc rc;

    if ((rc = operator_need_business(call, err)) != RC_OK)
        return rc;
    operator_list_begin(&list, call);
    rc = number_each(w, call->business, call->after, put_number, &list, err);
    operator_list_end(&list);
    return rc;
}

enum rc
operator_number_show(struct call *call, struct work *w, struct err *err)
{
    struct operator_list one;
    struct number n;
    enum rc rc = number_load(&n, w, call->id, REVOKED_TOO, err);

    jw_init(&one.jw, &call->out);
    return rc == RC_OK ? put_number(&one, &n, err) : rc;
}

enum rc
operator_number_remove(struct call *call, struct work *w, struct err *err)
{
    enum rc rc = number_revoke(w, call->id, err);

    return operator_success(call, rc);
}
