/* operator.c - what the operator routes share; see operator.h. */
#include "manager/operator.h"

void
operator_list_begin(struct operator_list *list, struct call *call)
{
    jw_init(&list->jw, &call->out);
    jw_object(&list->jw);
    jw_key(&list->jw, "data");
    jw_array(&list->jw);
}

void
operator_list_end(struct operator_list *list)
{
    jw_array_end(&list->jw);
    jw_object_end(&list->jw);
}

enum rc
operator_success(struct call *call, enum rc rc)
{
    struct json_writer jw;

    if (rc != RC_OK)
        return rc;
    jw_init(&jw, &call->out);
    jw_object(&jw);
    jw_kv_bool(&jw, "success", true);
    jw_object_end(&jw);
    return RC_OK;
}

enum rc
operator_body_id(uint64_t *out, const struct call *call, const char *key, bool is_required,
                 struct err *err)
{
    const char *text = json_str(call->body, key);

    *out = 0;
    if (text == NULL)
        return is_required ? err_set(err, RC_INVAL, "operator", "%s is missing", key) : RC_OK;
    return object_id_read(out, bytes_of_str(text), err);
}

enum rc
operator_need_business(const struct call *call, struct err *err)
{
    return call->business != 0
               ? RC_OK
               : err_set(err, RC_INVAL, "operator", "say of which business: ?business_id=");
}

void
operator_put_tail(struct json_writer *jw, int64_t created_s, int64_t revoked_s)
{
    jw_kv_int(jw, "created_at", created_s);
    jw_kv_bool(jw, "is_revoked", revoked_s != 0);
}
