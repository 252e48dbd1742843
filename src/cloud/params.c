/* params.c - a call's parameters, wherever they were put: query, form, multipart or JSON body.
 *
 * Bodies win over the query. Nested values of forms and queries are JSON text; some clients send
 * that inside JSON too. Bounded: at most PARAMS_MAX, JSON as deep as base/json allows. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "cloud/call.h"
#include "http/url.h"

#define PARAMS_MAX 64u

static bool
is_type(const char *header, const char *type)
{
    size_t n = strlen(type);

    return header != NULL && strncasecmp(header, type, n) == 0 &&
           (header[n] == '\0' || header[n] == ';' || isspace((unsigned char)header[n]));
}

static void
put_text(json_t *params, const char *name, struct bytes value)
{
    json_t *text = json_stringn((const char *)value.ptr, value.len); /* NULL: not UTF-8 */

    if (text != NULL)
        json_object_set_new(params, name, text);
}

static void
on_form_pair(void *ctx, const char *name, struct bytes value)
{
    put_text(ctx, name, value);
}

static void
read_query(struct call *call)
{
    const char *name, *value;

    for (unsigned i = 0; http_request_query_at(call->req, i, &name, &value); i++)
        put_text(call->params, name, bytes_of_str(value));
}

static enum rc
read_json(struct call *call, struct bytes body, struct err *err)
{
    json_t *object = NULL;
    enum rc rc = json_read(&object, body, CLOUD_BODY_MAX, err);

    if (rc != RC_OK)
        return rc;
    if (json_is_object(object))
        json_object_update(call->params, object);
    else
        rc = err_set(err, RC_MALFORMED, "params", "the body must be a JSON object");
    json_decref(object);
    return rc;
}

static bool
is_space(struct bytes body)
{
    for (size_t i = 0; i < body.len; i++)
        if (!isspace(body.ptr[i]))
            return false;
    return true;
}

enum rc
params_read(struct call *call, struct err *err)
{
    struct bytes body = http_request_body(call->req);
    const char *type = http_request_header(call->req, "Content-Type");

    call->params = json_object();
    if (call->params == NULL)
        return err_set(err, RC_NOMEM, "params", "parameters");
    read_query(call);
    if (body.len == 0 || is_space(body))
        return RC_OK;
    if (is_type(type, "application/x-www-form-urlencoded"))
        return url_form_read(body, PARAMS_MAX, on_form_pair, call->params, err);
    if (is_type(type, "multipart/form-data"))
        return err_set(err, RC_MALFORMED, "params", "multipart bodies are not accepted here");
    return read_json(call, body, err);
}
