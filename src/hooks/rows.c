/* rows.c - the tables of webhooks: every key leads with the account.
 *
 * Bodies are sealed with the account's key of the day, bound to account and event id, so that a row
 * moved elsewhere does not open. Must never write a body in clear. Source:
 * docs/protocol/webhook.md, docs/protocol/at-rest.md. */
#include "hooks/rows.h"

#include <stdlib.h>
#include <string.h>

static const char *const migrations[] = {
    "CREATE TABLE hook_seq ("
    " account BIGINT PRIMARY KEY,"
    " last BIGINT NOT NULL);"

    "CREATE TABLE hook_account (" /* part is 0: one shard, read at start and by the sweep */
    " part INT NOT NULL,"
    " account BIGINT NOT NULL,"
    " PRIMARY KEY (part, account));"

    "CREATE TABLE hook ("
    " account BIGINT NOT NULL,"
    " seq BIGINT NOT NULL,"
    " event_id BLOB NOT NULL,"
    " state INT NOT NULL," /* 0 pending, 1 parked */
    " tries INT NOT NULL,"
    " next_ms BIGINT NOT NULL,"
    " since_ms BIGINT NOT NULL," /* the window of attempts began */
    " created_ms BIGINT NOT NULL,"
    " app BIGINT NOT NULL,"
    " profile INT NOT NULL,"
    " url TEXT NOT NULL,"
    " body BLOB NOT NULL,"
    " PRIMARY KEY (account, seq));",
};

#define PAGE_COLUMNS "seq, event_id, tries, next_ms, since_ms, app, profile, url, body"

static const char *const statements[SQL_N] = {
    [SQL_SEQ_NEXT] = "INSERT INTO hook_seq (account, last) VALUES (?1, 1)"
                     " ON CONFLICT (account) DO UPDATE SET last = hook_seq.last + 1"
                     " RETURNING last",
    [SQL_ACCOUNT_ADD] = "INSERT INTO hook_account (part, account) VALUES (0, ?1)"
                        " ON CONFLICT (part, account) DO NOTHING",
    [SQL_ACCOUNT_PAGE] = "SELECT account FROM hook_account WHERE part = 0 AND account > ?1"
                         " ORDER BY account LIMIT ?2",
    [SQL_ADD] = "INSERT INTO hook (account, seq, event_id, state, tries, next_ms, since_ms,"
                " created_ms, app, profile, url, body)"
                " VALUES (?1, ?2, ?3, 0, 0, ?4, ?4, ?4, ?5, ?6, ?7, ?8)",
    [SQL_PAGE] = "SELECT " PAGE_COLUMNS " FROM hook WHERE account = ?1 AND seq >= ?2"
                 " AND state = 0 ORDER BY seq LIMIT ?3",
    [SQL_PAGE_DUE] = "SELECT " PAGE_COLUMNS " FROM hook WHERE account = ?1 AND seq >= ?2"
                     " AND state = 0 AND url = ?4 AND next_ms <= ?5 ORDER BY seq LIMIT ?3",
    [SQL_NEXT_DUE] = "SELECT MIN(next_ms) FROM hook WHERE account = ?1 AND seq >= ?2"
                     " AND state = 0 AND url = ?3 AND next_ms > ?4",
    [SQL_TAKEN] = "DELETE FROM hook WHERE account = ?1 AND seq = ?2",
    [SQL_RETRY] = "UPDATE hook SET tries = ?3, next_ms = ?4 WHERE account = ?1 AND seq = ?2"
                  " AND state = 0",
    [SQL_PARK] = "UPDATE hook SET state = 1, tries = ?3 WHERE account = ?1 AND seq = ?2",
    [SQL_REPLAY] = "UPDATE hook SET state = 0, tries = 0, next_ms = ?2, since_ms = ?2"
                   " WHERE account = ?1 AND state = 1",
    [SQL_FORGET] = "DELETE FROM hook WHERE account = ?1 AND created_ms < ?2",
    [SQL_PARK_OLD] = "UPDATE hook SET state = 1 WHERE account = ?1 AND profile = ?2 AND state = 0"
                     " AND ((tries > 0 AND since_ms < ?3) OR since_ms < ?4)",
};

const struct store_part hooks_part = {
    .name = "hooks",
    .migrations = migrations,
    .n_migrations = ARRAY_LEN(migrations),
    .statements = statements,
    .n_statements = ARRAY_LEN(statements),
};

/* ---- sealing ---- */

struct place_key {
    uint8_t bytes[24]; /* account, event id */
};

static struct seal_place
place_of(struct place_key *key, uint64_t account, const uint8_t event_id[16])
{
    for (unsigned i = 0; i < 8; i++)
        key->bytes[i] = (uint8_t)(account >> (56 - 8 * i));
    memcpy(key->bytes + 8, event_id, 16);
    return (struct seal_place){
        .table = "hook", .column = "body", .key = bytes_of(key->bytes, sizeof(key->bytes))};
}

enum rc
hook_item_open(const struct hook_item *item, struct keyring *ring, struct buf *out, struct err *err)
{
    struct place_key key;
    struct seal_place place = place_of(&key, item->account, item->event_id);

    return seal_open(ring, &place, item->sealed, out, err);
}

/* ---- writing ---- */

static enum rc
next_seq(struct store_tx *tx, uint64_t account, int64_t *seq, struct err *err)
{
    struct store_rows rows;
    enum rc rc;

    *seq = 0;
    store_query(&rows, tx, &hooks_part, SQL_SEQ_NEXT, ST_ARGS(ST_I(account)));
    if (rows.has_row)
        *seq = store_col_int(&rows, 0);
    store_rows_end(&rows);
    if (rows.rc != RC_OK || *seq <= 0)
        return err_set(err, rows.rc == RC_OK ? RC_IO : rows.rc, "hooks.enqueue", "no number");
    if (*seq > 1)
        return RC_OK;
    rc = store_run(tx, &hooks_part, SQL_ACCOUNT_ADD, NULL, err, ST_ARGS(ST_I(account)));
    return rc;
}

enum rc
hook_row_add(struct store_tx *tx, struct keyring *ring, struct rng rng,
             const struct hooks_event *event, uint8_t event_id[16], struct err *err)
{
    struct place_key key;
    struct seal_place place;
    struct buf sealed;
    uint32_t key_id;
    int64_t seq;
    enum rc rc;

    if (event->body.len > HOOKS_BODY_MAX || strlen(event->url) > HOOKS_URL_MAX)
        return err_set(err, RC_LIMIT, "hooks.enqueue", "body or URL too long");
    rng_fill(rng, event_id, 16);
    place = place_of(&key, event->account, event_id);
    buf_init(&sealed, HOOKS_BODY_MAX + SEAL_OVERHEAD);
    if ((rc = keyring_current(ring, &key_id, event->account, SEAL_DAY, event->now_ms, err)) ==
            RC_OK &&
        (rc = seal_record(ring, key_id, &place, event->body, &sealed, err)) == RC_OK &&
        (rc = next_seq(tx, event->account, &seq, err)) == RC_OK)
        rc = store_run(tx, &hooks_part, SQL_ADD, NULL, err,
                       ST_ARGS(ST_I(event->account), ST_I(seq), ST_B(bytes_of(event_id, 16)),
                               ST_I(event->now_ms), ST_I(event->app), ST_I(event->profile),
                               ST_T(event->url), ST_B(buf_bytes(&sealed))));
    buf_free(&sealed);
    return rc;
}

/* ---- reading ---- */

struct hook_item *
hook_item_read(const struct store_rows *rows, uint64_t account)
{
    struct bytes id = store_col_bytes(rows, 1), url = store_col_bytes(rows, 7);
    struct bytes sealed = store_col_bytes(rows, 8);
    struct hook_item *item = malloc(sizeof(*item) + url.len + 1 + sealed.len);
    char *room;

    if (item == NULL)
        return NULL;
    *item = (struct hook_item){.account = account,
                               .seq = store_col_int(rows, 0),
                               .tries = (uint32_t)store_col_int(rows, 2),
                               .next_ms = store_col_int(rows, 3),
                               .since_ms = store_col_int(rows, 4),
                               .app = (uint64_t)store_col_int(rows, 5),
                               .profile = (enum hooks_profile)store_col_int(rows, 6)};
    if (item->profile >= HOOKS_PROFILES)
        item->profile = HOOKS_CLOUD; /* a row of a newer version: be kind */
    if (id.len == sizeof(item->event_id))
        memcpy(item->event_id, id.ptr, id.len);
    room = (char *)(item + 1);
    item->url = room;
    if (url.len > 0)
        memcpy(room, url.ptr, url.len);
    room[url.len] = '\0';
    item->sealed = bytes_of(room + url.len + 1, sealed.len);
    if (sealed.len > 0)
        memcpy(room + url.len + 1, sealed.ptr, sealed.len);
    return item;
}

void
hook_item_free(struct hook_item *item)
{
    free(item);
}
