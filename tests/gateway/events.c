/* events.c - see events.h. */
#include "events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { ADD, LIST, STATEMENTS };

static const char *const migrations[] = {
    "CREATE TABLE test_event(account BIGINT NOT NULL, seq BIGINT NOT NULL, kind INTEGER NOT NULL,"
    " peer BIGINT NOT NULL, message_id BLOB NOT NULL, value BIGINT NOT NULL, extra BIGINT NOT NULL,"
    " at_ms BIGINT NOT NULL, text BLOB NOT NULL, PRIMARY KEY(account, seq));",
};
static const char *const statements[STATEMENTS] = {
    [ADD] = "INSERT INTO test_event(account, seq, kind, peer, message_id, value, extra, at_ms,"
            " text) VALUES(?1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM test_event"
            " WHERE account = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [LIST] = "SELECT kind, peer, message_id, value, extra, at_ms, text FROM test_event"
             " WHERE account = ?1 ORDER BY seq",
};
const struct store_part events_part = {
    .name = "test.events",
    .migrations = migrations,
    .n_migrations = 1,
    .statements = statements,
    .n_statements = STATEMENTS,
};

enum rc
events_add(struct store_tx *tx, const struct event *e, struct err *err)
{
    return store_run(tx, &events_part, ADD, NULL, err,
                     ST_ARGS(ST_I(e->account), ST_I(e->kind), ST_I(e->peer),
                             ST_B(bytes_of(e->message_id, sizeof e->message_id)), ST_I(e->value),
                             ST_I(e->extra), ST_I(e->at_ms), ST_B(bytes_of_str(e->text))));
}

struct load {
    uint64_t account;
    struct event *items;
    size_t n, room;
};

static enum rc
load_run(void *ctx, struct store_tx *tx, struct err *err)
{
    struct load *load = ctx;
    struct store_rows rows;

    load->n = 0;
    for (store_query(&rows, tx, &events_part, LIST, ST_ARGS(ST_I(load->account))); rows.has_row;
         store_next(&rows)) {
        struct bytes id = store_col_bytes(&rows, 2), text = store_col_bytes(&rows, 6);
        struct event *e;

        if (load->n == load->room) {
            load->room = load->room * 2 + 64;
            load->items = realloc(load->items, load->room * sizeof(*load->items));
        }
        e = &load->items[load->n++];
        *e = (struct event){.kind = (enum event_kind)store_col_int(&rows, 0),
                            .account = load->account,
                            .peer = (uint64_t)store_col_int(&rows, 1),
                            .value = store_col_int(&rows, 3),
                            .extra = store_col_int(&rows, 4),
                            .at_ms = store_col_int(&rows, 5)};
        memcpy(e->message_id, id.ptr, id.len < 16 ? id.len : 16);
        if (text.len > 0)
            memcpy(e->text, text.ptr,
                   text.len < sizeof e->text - 1 ? text.len : sizeof e->text - 1);
    }
    return rows.rc;
}

size_t
events_load(struct store *store, uint64_t account, struct event **out)
{
    struct load load = {.account = account};
    struct err err = {.rc = RC_OK};

    if (store_do(store, load_run, &load, &err) != RC_OK)
        fail_msg("events: %s: %s", err.site, err.text);
    *out = load.items;
    return load.n;
}

size_t
events_count(struct store *store, uint64_t account, enum event_kind kind, const uint8_t *message_id)
{
    struct event *events;
    size_t n = events_load(store, account, &events), count = 0;

    for (size_t i = 0; i < n; i++)
        count += (kind == EVENT_ANY || events[i].kind == kind) &&
                 (message_id == NULL || memcmp(events[i].message_id, message_id, 16) == 0);
    free(events);
    return count;
}
