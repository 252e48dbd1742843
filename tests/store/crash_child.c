/* crash_child.c - a program that does nothing but keep what it is told, so that it can be killed,
 * traced and starved. It says on standard output, one line and one write() each, what it tries and
 * what was answered; a fault test compares that with what the file holds afterwards.
 *
 *   crash_child write FILE FIRST COUNT DEPTH   put rows FIRST…, DEPTH at a time; says "try N"
 * before submitting, "ok N" or the failure after; "closing" crash_child serve FILE commands on
 * standard input, answered one by one: "grow N BYTES", "put N BYTES", "drop N", "count" crash_child
 * list FILE                      "row N" for every row
 *
 * Exit: 0; 1 could not open; 3 the disk failed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store.h"

#define BODY_MAX (1u << 20)
#define LINES_MAX 100000

static const char *const migrations[] = {
    "CREATE TABLE kept (shard BIGINT NOT NULL, id BIGINT NOT NULL, body BLOB NOT NULL,"
    " PRIMARY KEY (shard, id));",
};
enum { KEPT_PUT, KEPT_DROP, KEPT_COUNT, KEPT_LIST, KEPT_STATEMENTS };
static const char *const statements[KEPT_STATEMENTS] = {
    [KEPT_PUT] = "INSERT INTO kept (shard, id, body) VALUES (1, ?1, ?2)",
    [KEPT_DROP] = "DELETE FROM kept WHERE shard = 1 AND id = ?1",
    [KEPT_COUNT] = "SELECT COUNT(*) FROM kept WHERE shard = 1",
    [KEPT_LIST] = "SELECT id, LENGTH(body) FROM kept WHERE shard = 1 ORDER BY id",
};
static const struct store_part kept_part = {.name = "kept",
                                            .migrations = migrations,
                                            .n_migrations = ARRAY_LEN(migrations),
                                            .statements = statements,
                                            .n_statements = KEPT_STATEMENTS};

static const uint8_t body[BODY_MAX];

static void
say(const char *word, int64_t n)
{
    char line[64];
    int len = snprintf(line, sizeof(line), "%s %lld\n", word, (long long)n);

    if (write(STDOUT_FILENO, line, (size_t)len) != len)
        _exit(4);
}

/* The way every program of the platform does it: say why, and go. */
static void
on_fatal(void *ctx, const struct err *err)
{
    fprintf(stderr, "the store failed: %s\n", err->text);
    _exit(3);
}

static struct store *
open_store(const char *path)
{
    static const struct store_part *const parts[] = {&kept_part};
    struct store_opt opt = {.path = path, .parts = parts, .n_parts = 1, .on_fatal = on_fatal};
    struct err err = {.rc = RC_OK};
    struct store *store;

    if (store_open(&store, &opt, &err) != RC_OK) {
        fprintf(stderr, "cannot open: %s\n", err.text);
        exit(1);
    }
    return store;
}

/* ---- write ---- */

struct writer {
    struct store *store;
    struct loop *loop;
    int64_t next, end;
    unsigned under_way;
};

struct row {
    struct store_job job; /* first */
    struct writer *writer;
    int64_t id;
};

static enum rc
row_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct row *row = (struct row *)job;

    return store_run(tx, &kept_part, KEPT_PUT, NULL, err,
                     ST_ARGS(ST_I(row->id), ST_B(bytes_of(body, 300))));
}

static void
row_submit(struct row *row)
{
    struct writer *writer = row->writer;

    if (writer->next == writer->end) {
        if (--writer->under_way == 0)
            loop_stop(writer->loop);
        return;
    }
    row->id = writer->next++;
    say("try", row->id);
    store_submit(writer->store, &row->job);
}

static void
row_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct row *row = (struct row *)job;

    say(rc_name(rc), row->id);
    row_submit(row);
}

static int
do_write(struct store *store, char **args)
{
    struct writer writer = {.store = store, .next = atoll(args[0])};
    unsigned depth = (unsigned)atoi(args[2]);
    struct row *rows = calloc(depth, sizeof(*rows));

    writer.end = writer.next + atoll(args[1]);
    if (rows == NULL || loop_new(&writer.loop, NULL) != RC_OK)
        return 1;
    writer.under_way = depth;
    for (unsigned i = 0; i < depth; i++) {
        rows[i] = (struct row){
            .job = {.run = row_run, .done = row_done, .loop = writer.loop},
              .writer = &writer
        };
        row_submit(&rows[i]);
    }
    loop_run(writer.loop);
    say("closing", 0);
    store_free(&store);
    loop_free(&writer.loop);
    free(rows);
    return 0;
}

/* ---- serve ---- */

struct order {
    struct store_job job; /* first */
    char verb[16];
    int64_t id;
    size_t size;
    int64_t answer;
};

static enum rc
order_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct order *order = (struct order *)job;
    struct store_rows rows;

    if (strcmp(order->verb, "drop") == 0)
        return store_run(tx, &kept_part, KEPT_DROP, NULL, err, ST_ARGS(ST_I(order->id)));
    if (strcmp(order->verb, "count") != 0)
        return store_run(tx, &kept_part, KEPT_PUT, NULL, err,
                         ST_ARGS(ST_I(order->id), ST_B(bytes_of(body, order->size))));
    store_query(&rows, tx, &kept_part, KEPT_COUNT, ST_NONE);
    order->answer = rows.has_row ? store_col_int(&rows, 0) : -1;
    store_rows_end(&rows);
    return rows.rc;
}

static void
order_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct order *order = (struct order *)job;

    say(rc_name(rc), strcmp(order->verb, "count") == 0 ? order->answer : order->id);
}

/* Answers are said on the store's threads; whoever drives us waits for each. */
static int
do_serve(struct store *store, char **args)
{
    static struct order orders[LINES_MAX];
    size_t n = 0;
    char line[80];

    while (n < LINES_MAX && fgets(line, sizeof(line), stdin) != NULL) {
        struct order *order = &orders[n++];
        long long id = 0;
        size_t size = 0;

        if (sscanf(line, "%15s %lld %zu", order->verb, &id, &size) < 1 || size > BODY_MAX)
            return 2;
        order->id = id;
        order->size = size;
        order->job = (struct store_job){
            .run = order_run, .done = order_done, .grows = strcmp(order->verb, "grow") == 0};
        if (strcmp(order->verb, "count") == 0)
            store_read(store, &order->job);
        else
            store_submit(store, &order->job);
    }
    store_free(&store);
    return 0;
}

/* ---- list ---- */

static enum rc
list_run(void *ctx, struct store_tx *tx, struct err *err)
{
    struct store_rows rows;

    for (store_query(&rows, tx, &kept_part, KEPT_LIST, ST_NONE); rows.has_row; store_next(&rows))
        say("row", store_col_int(&rows, 0));
    return rows.rc;
}

static int
do_list(struct store *store, char **args)
{
    enum rc rc = store_do(store, list_run, NULL, NULL);

    store_free(&store);
    return rc == RC_OK ? 0 : 1;
}

static const struct {
    const char *name;
    int n_args;
    int (*run)(struct store *store, char **args);
} verbs[] = {
    {"write", 3, do_write},
    {"serve", 0, do_serve},
    {"list",  0, do_list },
};

int
main(int argc, char **argv)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (argc == 3 + verbs[i].n_args && strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(open_store(argv[2]), argv + 3);
    }
    fprintf(stderr, "usage: see the top of crash_child.c\n");
    return 2;
}
