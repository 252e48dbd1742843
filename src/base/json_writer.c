/* json_writer.c - the only printer of JSON in the house (RFC 8259).
 *
 * Compact and ASCII only; everything else as lower-case \uXXXX, with surrogate pairs above U+FFFF,
 * and '/' escaped nowhere: receivers of webhooks check a signature over exactly these bytes
 * (docs/protocol/webhook.md). Bytes that are not UTF-8 become U+FFFD, so that the output is always
 * valid JSON; text is checked at the door, hence this is a last resort. */
#include "base/json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#define REPLACEMENT 0xfffdu

void
jw_init(struct json_writer *w, struct buf *out)
{
    *w = (struct json_writer){.out = out};
}

/* The comma before an item, where one is due. */
static void
start_item(struct json_writer *w)
{
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (w->has_item[w->depth])
        buf_put_char(w->out, ',');
    w->has_item[w->depth] = true;
}

static void
open_level(struct json_writer *w, char c)
{
    start_item(w);
    buf_put_char(w->out, c);
    assert(w->depth < JSON_WRITER_DEPTH_MAX);
    w->has_item[++w->depth] = false;
}

static void
close_level(struct json_writer *w, char c)
{
    assert(w->depth > 0 && !w->after_key);
    w->depth--;
    buf_put_char(w->out, c);
}

void
jw_object(struct json_writer *w)
{
    open_level(w, '{');
}

void
jw_object_end(struct json_writer *w)
{
    close_level(w, '}');
}

void
jw_array(struct json_writer *w)
{
    open_level(w, '[');
}

void
jw_array_end(struct json_writer *w)
{
    close_level(w, ']');
}

/* One code point from well-formed UTF-8 at p; *n bytes long. REPLACEMENT and 1 if it is not. */
static uint32_t
code_point(const uint8_t *p, size_t left, size_t *n)
{
    static const uint8_t lead_mask[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c;

    *n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (*n > left || !bytes_is_utf8(bytes_of(p, *n))) {
        *n = 1;
        return REPLACEMENT;
    }
    c = p[0] & lead_mask[*n];
    for (size_t i = 1; i < *n; i++)
        c = c << 6 | (p[i] & 0x3fu);
    return c;
}

static void
put_unit(struct buf *out, uint32_t unit)
{
    static const char digits[] = "0123456789abcdef";
    const char text[6] = {'\\',
                          'u',
                          digits[unit >> 12 & 15],
                          digits[unit >> 8 & 15],
                          digits[unit >> 4 & 15],
                          digits[unit & 15]};

    buf_put(out, bytes_of(text, sizeof(text)));
}

/* The short escape of a character (RFC 8259, section 7), 0 if it has none. */
static char
short_escape(uint32_t c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

static void
put_code_point(struct buf *out, uint32_t c)
{
    char escape = short_escape(c);

    if (escape != 0) {
        buf_put_char(out, '\\');
        buf_put_char(out, escape);
    } else if (c > 0xffff) {
        put_unit(out, 0xd800 + ((c - 0x10000) >> 10));
        put_unit(out, 0xdc00 + ((c - 0x10000) & 0x3ff));
    } else {
        put_unit(out, c);
    }
}

static void
put_text(struct buf *out, struct bytes utf8)
{
    size_t at = 0, n;

    buf_put_char(out, '"');
    while (at < utf8.len) {
        size_t plain = at; /* the longest run that needs no escape goes out in one piece */

        while (plain < utf8.len && utf8.ptr[plain] >= 0x20 && utf8.ptr[plain] < 0x7f &&
               utf8.ptr[plain] != '"' && utf8.ptr[plain] != '\\')
            plain++;
        buf_put(out, bytes_of(utf8.ptr + at, plain - at));
        at = plain;
        if (at < utf8.len) {
            put_code_point(out, code_point(utf8.ptr + at, utf8.len - at, &n));
            at += n;
        }
    }
    buf_put_char(out, '"');
}

static void
put_key(struct json_writer *w, struct bytes key)
{
    assert(!w->after_key && w->depth > 0);
    start_item(w);
    put_text(w->out, key);
    buf_put_char(w->out, ':');
    w->after_key = true;
}

void
jw_key(struct json_writer *w, const char *key)
{
    put_key(w, bytes_of_str(key));
}

void
jw_str(struct json_writer *w, const char *text)
{
    if (text == NULL)
        jw_null(w);
    else
        jw_str_bytes(w, bytes_of_str(text));
}

void
jw_str_bytes(struct json_writer *w, struct bytes utf8)
{
    start_item(w);
    put_text(w->out, utf8);
}

void
jw_int(struct json_writer *w, int64_t v)
{
    start_item(w);
    buf_printf(w->out, "%" PRId64, v);
}

void
jw_u64_str(struct json_writer *w, uint64_t v)
{
    start_item(w);
    buf_printf(w->out, "\"%" PRIu64 "\"", v);
}

void
jw_bool(struct json_writer *w, bool v)
{
    start_item(w);
    buf_put_str(w->out, v ? "true" : "false");
}

void
jw_null(struct json_writer *w)
{
    start_item(w);
    buf_put_str(w->out, "null");
}

void
jw_real(struct json_writer *w, double v)
{
    char text[40];

    if (!isfinite(v)) { /* JSON has no word for it */
        jw_null(w);
        return;
    }
    /* the shortest text that reads back as the same number */
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    for (char *c = text; *c != '\0'; c++) {
        if (*c == ',')
            *c = '.'; /* whatever the locale thinks */
    }
    start_item(w);
    buf_put_str(w->out, text);
    if (strpbrk(text, ".e") == NULL)
        buf_put_str(w->out, ".0");
}

static void
put_object(struct json_writer *w, const json_t *object)
{
    json_t *o = (json_t *)object; /* jansson iterates over const objects by non-const pointers */

    jw_object(w);
    for (void *at = json_object_iter(o); at != NULL; at = json_object_iter_next(o, at)) {
        put_key(w, bytes_of_str(json_object_iter_key(at)));
        jw_value(w, json_object_iter_value(at));
    }
    jw_object_end(w);
}

static void
put_array(struct json_writer *w, const json_t *array)
{
    jw_array(w);
    for (size_t i = 0; i < json_array_size(array); i++)
        jw_value(w, json_array_get(array, i));
    jw_array_end(w);
}

void
jw_value(struct json_writer *w, const json_t *value)
{
    switch (value == NULL ? JSON_NULL : json_typeof(value)) {
    case JSON_OBJECT:
        put_object(w, value);
        break;
    case JSON_ARRAY:
        put_array(w, value);
        break;
    case JSON_STRING:
        jw_str_bytes(w, bytes_of(json_string_value(value), json_string_length(value)));
        break;
    case JSON_INTEGER:
        jw_int(w, json_integer_value(value));
        break;
    case JSON_REAL:
        jw_real(w, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        jw_bool(w, json_is_true(value));
        break;
    default:
        jw_null(w);
        break;
    }
}

void
jw_raw(struct json_writer *w, struct bytes json)
{
    start_item(w);
    buf_put(w->out, json);
}

void
jw_kv_str(struct json_writer *w, const char *key, const char *text)
{
    jw_key(w, key);
    jw_str(w, text);
}

void
jw_kv_bytes(struct json_writer *w, const char *key, struct bytes utf8)
{
    jw_key(w, key);
    jw_str_bytes(w, utf8);
}

void
jw_kv_int(struct json_writer *w, const char *key, int64_t v)
{
    jw_key(w, key);
    jw_int(w, v);
}

void
jw_kv_u64_str(struct json_writer *w, const char *key, uint64_t v)
{
    jw_key(w, key);
    jw_u64_str(w, v);
}

void
jw_kv_bool(struct json_writer *w, const char *key, bool v)
{
    jw_key(w, key);
    jw_bool(w, v);
}
