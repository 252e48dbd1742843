/* keytrace.c - see keytrace.h. */
#include "keytrace.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"

#define LOG_BYTES_MAX (64u * 1024 * 1024)

struct use { /* one encryption */
    char key[33], plain[33], cipher[33];
    bool is_published;
};

struct uses {
    struct use *items;
    size_t n, room;
};

static void
trace_path(char out[128], const struct net *net)
{
    snprintf(out, 128, "%s/trace.json", net->dir);
}

void
keytrace_begin(struct net *net)
{
    char path[128];
    struct log_opt opt = {.program = "test", .level = LOG_TRACE, .json = true, .fd = -1};

    trace_path(path, net);
    opt.file = path;
    assert_ptr_equal(net->log, log_none());
    assert_int_equal(log_open(&net->log, &opt, NULL), RC_OK);
    net->relay_opt.log = log_none();
}

static void
add(struct uses *uses, const json_t *line)
{
    struct use *u;

    if (uses->n == uses->room) {
        uses->room = uses->room * 2 + 256;
        uses->items = realloc(uses->items, uses->room * sizeof(*uses->items));
    }
    u = &uses->items[uses->n++];
    *u = (struct use){.is_published = false};
    snprintf(u->key, sizeof u->key, "%s", json_str(line, "key"));
    snprintf(u->plain, sizeof u->plain, "%s", json_str(line, "plain"));
    snprintf(u->cipher, sizeof u->cipher, "%s", json_str(line, "cipher"));
}

static void
publish(struct uses *uses, const char *cipher)
{
    for (size_t i = uses->n; i > 0; i--)
        if (strcmp(uses->items[i - 1].cipher, cipher) == 0) {
            uses->items[i - 1].is_published = true;
            return;
        }
    fail_msg("published a ciphertext that nobody encrypted");
}

static void
read_line(struct uses *uses, const char *text)
{
    const char *event;
    json_t *line;

    if (strstr(text, "\"endpoint.") == NULL)
        return;
    assert_int_equal(json_read(&line, bytes_of_str(text), 8192, NULL), RC_OK);
    event = json_str(line, "event");
    if (strcmp(event, "endpoint.encrypted") == 0)
        add(uses, line);
    else if (strcmp(event, "endpoint.published") == 0)
        publish(uses, json_str(line, "cipher"));
    json_decref(line);
}

static int
by_key(const void *a, const void *b)
{
    return strcmp(((const struct use *)a)->key, ((const struct use *)b)->key);
}

size_t
keytrace_check(struct net *net)
{
    struct uses uses = {.n = 0};
    struct use *last = NULL;
    char path[128], *save = NULL;
    struct buf text;
    size_t published = 0;

    trace_path(path, net);
    buf_init(&text, LOG_BYTES_MAX);
    assert_int_equal(file_read(&text, path, LOG_BYTES_MAX - 1, NULL), RC_OK);
    (void)buf_cstr(&text);
    for (char *line = strtok_r((char *)text.ptr, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save))
        read_line(&uses, line);
    if (uses.n > 0)
        qsort(uses.items, uses.n, sizeof(*uses.items), by_key);
    for (size_t i = 0; i < uses.n; i++) {
        struct use *u = &uses.items[i];

        if (!u->is_published)
            continue;
        published++;
        if (last != NULL && strcmp(last->key, u->key) == 0)
            assert_string_equal(last->plain, u->plain);
        last = u;
    }
    free(uses.items);
    buf_free(&text);
    return published;
}
