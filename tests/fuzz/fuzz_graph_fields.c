/* fuzz_graph_fields.c - the `fields` parameter of Graph calls: names, arguments, braces in braces.
 *
 * Whatever comes, the selection stays inside its bounds, and an inner selection stays inside the
 * text that it was cut from. */
#include <assert.h>
#include <stdlib.h>

#include "manager/graph.h"

static void
write_name(struct json_writer *jw, const char *name, const void *object)
{
    jw_kv_str(jw, name, "x");
}

static const struct graph_field table[] = {
    {"name",          true,  write_name},
    {"status",        false, write_name},
    {"phone_numbers", false, NULL      },
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct graph_selection selection;
    struct json_writer jw;
    struct buf out;
    char bad[64], *text;

    if (size > 4096 || (text = malloc(size + 1)) == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (graph_select(&selection, bad, table, ARRAY_LEN(table), text)) {
        assert(selection.n <= ARRAY_LEN(table));
        for (unsigned i = 0; i < selection.n; i++) {
            struct bytes inner = selection.inner[i];

            assert(inner.len == 0 || (inner.ptr >= (const uint8_t *)text &&
                                      inner.ptr + inner.len <= (const uint8_t *)text + size));
        }
        buf_init(&out, 4096);
        jw_init(&jw, &out);
        graph_put_fields(&jw, &selection, 1, NULL);
        assert(!buf_failed(&out));
        buf_free(&out);
    } else {
        assert(strnlen(bad, sizeof(bad)) < sizeof(bad));
        for (size_t i = 0; bad[i] != '\0'; i++)
            assert(bad[i] >= ' ' && bad[i] < 0x7f);
    }
    free(text);
    return 0;
}
