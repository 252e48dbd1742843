/* params.c - a call's parameters, wherever they were put: query, form, multipart or JSON body.
 *
 * Bodies win over the query. Nested values of forms and queries are JSON text (some clients send
 * that inside JSON too) or have names with brackets: text[body]=hello. Bounded: at most PARAMS_MAX,
 * brackets NESTING_MAX deep, JSON as deep as base/json allows. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "cloud/call.h"
#include "http/url.h"

#define PARAMS_MAX 64u
#define NESTING_MAX 4u

static bool
is_type(const char *header, const char *type)
{
    size_t n = strlen(type);

    return header != NULL && strncasecmp(header, type, n) == 0 &&
           (header[n] == '\0' || header[n] == ';' || isspace((unsigned char)header[n]));
}

/* The object that holds `name`, n characters: made if it is not there. Borrowed; NULL if the name
 * is text, or there is no memory. */
static json_t *
member_object(json_t *params, const char *name, size_t n)
{
    json_t *object = json_object_getn(params, name, n);

    if (object == NULL && (object = json_object()) != NULL &&
        json_object_setn_new(params, name, n, object) != 0)
        return NULL;
    return json_is_object(object) ? object : NULL;
}

/* "[a][b]" to the end: words in brackets, NESTING_MAX at most. */
static bool
is_bracketed(const char *rest)
{
    for (unsigned depth = 0; *rest == '[' && depth < NESTING_MAX; depth++) {
        size_t n = strcspn(rest + 1, "[]");

        if (n == 0 || rest[1 + n] != ']')
            return false;
        rest += n + 2;
    }
    return *rest == '\0';
}

/* "text[body]" is the member body of the object text. Other names are taken as they are. */
static void
put_text(json_t *params, const char *name, struct bytes value)
{
    json_t *text = json_stringn((const char *)value.ptr, value.len); /* NULL: not UTF-8 */
    size_t n = strcspn(name, "[");
    const char *rest = name + n;

    if (n == 0 || !is_bracketed(rest))
        rest = name + (n = strlen(name));
    while (text != NULL && params != NULL && *rest == '[') {
        params = member_object(params, name, n);
        name = rest + 1;
        n = strcspn(name, "]");
        rest = name + n + 1;
    }
    if (params != NULL && text != NULL)
        json_object_setn_new(params, name, n, text);
    else
        json_decref(text);
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
