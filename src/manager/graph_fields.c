/* graph_fields.c - reading `fields`, writing what it selects, cutting lists into pages.
 *
 * fields = name[.method(args)]…[{fields}] , … with white space allowed between. Arguments of
 * methods are accepted and not used by any field that is served here. */
#include "manager/graph.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>

#include "base/hex.h"
#include "http/url.h"

#define NESTING_MAX 16u

/* The bracket that closes this one; NUL for any other character. */
static char
closing(char c)
{
    return c == '(' ? ')' : c == '{' ? '}' : c == '[' ? ']' : '\0';
}

/* The end of one selected field: a comma outside brackets, or the end. NULL: brackets do not match,
 * each with its own kind, or nest too deep. */
static const char *
item_end(const char *at)
{
    char open[NESTING_MAX];
    unsigned depth = 0;

    for (; *at != '\0' && (depth > 0 || *at != ','); at++) {
        if (closing(*at) != '\0') {
            if (depth == NESTING_MAX)
                return NULL;
            open[depth++] = closing(*at);
        } else if (*at == ')' || *at == '}' || *at == ']') {
            if (depth == 0 || open[--depth] != *at)
                return NULL;
        }
    }
    return depth == 0 ? at : NULL;
}

static const struct graph_field *
find_field(const struct graph_field *table, size_t n, struct bytes name)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes_equal(bytes_of_str(table[i].name), name))
            return &table[i];
    }
    return NULL;
}

static bool
is_selected(const struct graph_selection *s, const struct graph_field *field)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (s->field[i] == field)
            return true;
    }
    return false;
}

static void
keep_bad(char bad[64], struct bytes name)
{
    size_t len = name.len < 63 ? name.len : 63;

    for (size_t i = 0; i < len; i++) /* it is quoted in an answer: plain characters only */
        bad[i] = isalnum(name.ptr[i]) || name.ptr[i] == '_' ? (char)name.ptr[i] : '?';
    bad[len] = '\0';
}

/* One item [at, end): its name, and what stands between braces. */
static bool
select_item(struct graph_selection *out, char bad[64], const struct graph_field *table,
            size_t n_table, const char *at, const char *end)
{
    const struct graph_field *field;
    const char *name_end, *brace;
    struct bytes name;

    while (at < end && isspace((unsigned char)*at))
        at++;
    for (name_end = at; name_end < end && (isalnum((unsigned char)*name_end) || *name_end == '_');)
        name_end++;
    name = bytes_of(at, (size_t)(name_end - at));
    if (name.len == 0 && at == end)
        return true; /* "a,,b" and a trailing comma are forgiven */
    if (name.len == 2 && memcmp(name.ptr, "id", 2) == 0)
        return true; /* always given */
    field = find_field(table, n_table, name);
    if (field == NULL) {
        keep_bad(bad, name);
        return false;
    }
    if (is_selected(out, field))
        return true;
    if (out->n == GRAPH_FIELDS_MAX) {
        keep_bad(bad, name);
        return false;
    }
    brace = memchr(name_end, '{', (size_t)(end - name_end));
    if (brace != NULL) {
        const char *close = end;

        while (close > brace && *close != '}')
            close--;
        assert(close > brace); /* item_end() matched them */
        out->inner[out->n] = bytes_of(brace + 1, (size_t)(close - brace - 1));
    }
    out->field[out->n++] = field;
    return true;
}

bool
graph_select(struct graph_selection *out, char bad[64], const struct graph_field *table,
             size_t n_table, const char *text)
{
    memset(out, 0, sizeof(*out));
    bad[0] = '\0';
    if (text == NULL || text[0] == '\0') {
        for (size_t i = 0; i < n_table; i++) {
            if (table[i].is_default)
                out->field[out->n++] = &table[i];
        }
        return true;
    }
    while (*text != '\0') {
        const char *end = item_end(text);

        if (end == NULL) {
            keep_bad(bad, bytes_of_str(text));
            return false;
        }
        if (!select_item(out, bad, table, n_table, text, end))
            return false;
        text = *end == ',' ? end + 1 : end;
    }
    return true;
}

void
graph_put_fields(struct json_writer *jw, const struct graph_selection *selection, uint64_t id,
                 const void *object)
{
    jw_object(jw);
    for (unsigned i = 0; i < selection->n; i++) {
        if (selection->field[i]->write != NULL)
            selection->field[i]->write(jw, selection->field[i]->name, object);
    }
    jw_kv_u64_str(jw, "id", id);
    jw_object_end(jw);
}

/* ---- pages ---- */

static void
cursor_put(struct buf *out, uint64_t id)
{
    char text[OBJECT_ID_TEXT_SIZE];

    base64url_put(out, bytes_of_str(object_id_write(text, id)));
}

/* The row a cursor names; n when it names none any more. */
static bool
cursor_row(unsigned *row, const char *cursor, const uint64_t *ids, unsigned n)
{
    struct buf text;
    uint64_t id;
    bool is_good;

    *row = 0;
    buf_init(&text, 64);
    is_good = base64_read(&text, bytes_of_str(cursor), NULL) == RC_OK &&
              object_id_read(&id, buf_bytes(&text), NULL) == RC_OK;
    buf_free(&text);
    if (!is_good)
        return false;
    while (*row < n && ids[*row] != id)
        ++*row;
    return *row < n;
}

static unsigned
page_size(const struct graph_call *call)
{
    const json_t *limit = json_object_get(call->params, "limit");
    long n = json_is_integer(limit)  ? (long)json_integer_value(limit)
             : json_is_string(limit) ? strtol(json_string_value(limit), NULL, 10)
                                     : (long)GRAPH_PAGE_DEFAULT;

    if (n < 1)
        return GRAPH_PAGE_DEFAULT;
    return n > (long)GRAPH_PAGE_MAX ? GRAPH_PAGE_MAX : (unsigned)n;
}

bool
graph_page_open(struct graph_page *out, struct graph_call *call, const uint64_t *ids, unsigned n)
{
    const char *after = graph_param(call, "after"), *before = graph_param(call, "before");
    unsigned size = page_size(call), row;

    *out = (struct graph_page){.n = n, .ids = ids};
    if (after != NULL && after[0] != '\0') {
        if (!cursor_row(&row, after, ids, n))
            goto bad;
        out->from = row + 1;
    } else if (before != NULL && before[0] != '\0') {
        if (!cursor_row(&row, before, ids, n))
            goto bad;
        out->from = row > size ? row - size : 0;
        n = row;
    }
    out->to = n - out->from > size ? out->from + size : n;
    return true;
bad:
    (void)graph_refuse(call, GRAPH_BAD_CURSOR, "Invalid cursor");
    return false;
}

static void
put_link(struct json_writer *jw, const struct graph_call *call, const char *name,
         const char *argument, uint64_t id)
{
    const char *fields = graph_param(call, "fields");
    struct buf url;

    if (call->origin == NULL)
        return;
    buf_init(&url, 8192);
    buf_put_str(&url, call->origin);
    buf_put_char(&url, '/');
    buf_put_str(&url, call->version);
    buf_put_str(&url, call->path);
    buf_printf(&url, "?limit=%u&%s=", page_size(call), argument);
    cursor_put(&url, id);
    if (fields != NULL) {
        buf_put_str(&url, "&fields=");
        url_put_escaped(&url, bytes_of_str(fields));
    }
    if (!buf_failed(&url))
        jw_kv_str(jw, name, buf_cstr(&url));
    buf_free(&url);
}

void
graph_page_put(struct json_writer *jw, const struct graph_page *page, const struct graph_call *call)
{
    struct buf cursor;

    if (page->from >= page->to)
        return; /* an empty list has no paging */
    buf_init(&cursor, 64);
    jw_key(jw, "paging");
    jw_object(jw);
    jw_key(jw, "cursors");
    jw_object(jw);
    cursor_put(&cursor, page->ids[page->from]);
    jw_kv_bytes(jw, "before", buf_bytes(&cursor));
    buf_reset(&cursor);
    cursor_put(&cursor, page->ids[page->to - 1]);
    jw_kv_bytes(jw, "after", buf_bytes(&cursor));
    jw_object_end(jw);
    if (page->to < page->n)
        put_link(jw, call, "next", "after", page->ids[page->to - 1]);
    if (page->from > 0)
        put_link(jw, call, "previous", "before", page->ids[page->from]);
    jw_object_end(jw);
    buf_free(&cursor);
}
