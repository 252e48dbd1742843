/* json_read.c - the one reader of JSON: jansson behind two ceilings.
 *
 * jansson refuses duplicate keys, bad UTF-8 and strings with a NUL; its own depth limit is far
 * above ours, so a pass over the bytes counts the brackets first. Error texts say where, never
 * what: the input may be somebody's message. */
#include "base/json.h"

#include <stdlib.h>

/* Brackets outside strings never nest deeper than JSON_DEPTH_MAX. Malformed input may be counted
 * wrongly; jansson refuses it afterwards. */
static bool
is_shallow(struct bytes in)
{
    unsigned depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return false;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

enum rc
json_read(json_t **out, struct bytes in, size_t max_bytes, struct err *err)
{
    json_error_t why;

    *out = NULL;
    if (in.len > max_bytes)
        return err_set(err, RC_LIMIT, "json.read", "longer than %zu bytes", max_bytes);
    if (!is_shallow(in))
        return err_set(err, RC_LIMIT, "json.read", "nested deeper than %u", JSON_DEPTH_MAX);
    *out = json_loadb(in.len == 0 ? "" : (const char *)in.ptr, in.len,
                      JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (*out != NULL)
        return RC_OK;
    if (json_error_code(&why) == json_error_out_of_memory)
        return err_set(err, RC_NOMEM, "json.read", "out of memory");
    return err_set(err, RC_MALFORMED, "json.read", "not valid JSON at line %d, column %d", why.line,
                   why.column);
}

const char *
json_str(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

int64_t
json_int(const json_t *object, const char *key, int64_t otherwise)
{
    const json_t *value = json_object_get(object, key);

    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

bool
json_truthy(const json_t *value)
{
    if (json_is_integer(value))
        return json_integer_value(value) == 1;
    if (json_is_string(value))
        return strcmp(json_string_value(value), "1") == 0 ||
               strcmp(json_string_value(value), "true") == 0;
    return json_is_true(value);
}
