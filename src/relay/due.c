/* due.c - a handler per kind of due row, in one table. */
#include "relay/due.h"

#include "relay/core.h"
#include "relay/notice.h"

#define CODES_KEPT_MS HOUR_MS
#define PREKEYS_KNOWN_MS (62 * DAY_MS) /* how long a served key is recognised */
#define FORGET_EVERY_MS (6 * HOUR_MS)
#define NOTICE_ITEMS 100u

struct due_row {
    int64_t at_ms;
    uint32_t kind;
    uint64_t account;
    uint32_t device, lane;
};

/* Envelopes of one lane that are given up. */
struct given_up {
    size_t n;
    struct {
        uint64_t sender, size;
        uint32_t sender_device;
        bool is_told;
    } rows[SWEEP_ENVELOPES];
    uint8_t ids[SWEEP_ENVELOPES][MESSAGE_ID_BYTES];
};

static enum rc
drop(struct inbox *inbox, const struct due_row *row, struct err *err)
{
    return store_run(inbox->tx, &relay_part, SQL_DUE_DROP, NULL, err,
                     ST_ARGS(ST_I(row->at_ms), ST_I(row->kind), ST_I(row->account),
                             ST_I(row->device), ST_I(row->lane)));
}

static enum rc
add(struct inbox *inbox, const struct due_row *row, int64_t at_ms, struct err *err)
{
    return store_run(inbox->tx, &relay_part, SQL_DUE_ADD, NULL, err,
                     ST_ARGS(ST_I(at_ms), ST_I(row->kind), ST_I(row->account), ST_I(row->device),
                             ST_I(row->lane)));
}

/* Read up to n_most envelopes of the lane by a statement whose fourth argument is the limit between
 * those that go and those that stay: a time, or a generation. */
static enum rc
collect(struct given_up *g, struct inbox *inbox, enum relay_sql stmt, const struct due_row *row,
        int64_t until, size_t n_most, struct err *err)
{
    struct store_rows rows;

    g->n = 0;
    for (store_query(&rows, inbox->tx, &relay_part, stmt,
                     ST_ARGS(ST_I(row->account), ST_I(row->device), ST_I(row->lane), ST_I(until),
                             ST_I(n_most)));
         rows.has_row && g->n < n_most; store_next(&rows)) {
        struct bytes id = store_col_bytes(&rows, 3);

        g->rows[g->n].sender = (uint64_t)store_col_int(&rows, 1);
        g->rows[g->n].sender_device = (uint32_t)store_col_int(&rows, 2);
        g->rows[g->n].size = (uint64_t)store_col_int(&rows, 5);
        g->rows[g->n].is_told = false;
        memset(g->ids[g->n], 0, MESSAGE_ID_BYTES);
        memcpy(g->ids[g->n++], id.ptr, id.len < MESSAGE_ID_BYTES ? id.len : MESSAGE_ID_BYTES);
    }
    store_rows_end(&rows);
    return rows.rc == RC_OK ? RC_OK : err_set(err, rows.rc, "relay.due", "cannot read a queue");
}

static enum rc
close_all(const struct given_up *g, struct inbox *inbox, struct lane_row *lane,
          enum envelope_state state, struct err *err)
{
    for (size_t i = 0; i < g->n; i++) {
        enum rc rc =
            store_run(inbox->tx, &relay_part, SQL_ENVELOPE_CLOSE, NULL, err,
                      ST_ARGS(ST_I(lane->account), ST_I(lane->device),
                              ST_B(bytes_of(g->ids[i], MESSAGE_ID_BYTES)), ST_I(g->rows[i].sender),
                              ST_I(g->rows[i].sender_device), ST_I(state)));

        if (rc != RC_OK)
            return rc;
        lane->pending--;
        lane->pending_bytes -= g->rows[i].size;
        lane->expired += state == ENVELOPE_EXPIRED;
        lane->purged += state == ENVELOPE_PURGED;
    }
    lane->is_dirty = true;
    return RC_OK;
}

static enum rc
tell(struct inbox *inbox, struct due_bite *bite, const struct notice *notice, struct err *err)
{
    struct poke *poke = &bite->pokes[bite->n_pokes];
    enum rc rc = inbox_make_room(inbox, err);

    if (rc == RC_OK)
        rc = notice_put(inbox, notice, poke, err);
    if (rc == RC_OK && poke->account != 0)
        bite->n_pokes++;
    return rc;
}

/* ---- expiry ---- */

/* Has the sender been told already, because of another device of the same recipient? */
static enum rc
is_told_elsewhere(bool *told, struct inbox *inbox, const struct due_row *row,
                  const struct given_up *g, size_t i, struct err *err)
{
    const struct account_row *account;
    enum rc rc = inbox_account(inbox, &account, row->account, err);

    *told = false;
    for (size_t d = 0; rc == RC_OK && d < account->n && !*told; d++) {
        struct store_rows rows;

        if (account->devices[d].device == row->device)
            continue;
        store_query(&rows, inbox->tx, &relay_part, SQL_ENVELOPE_SEEN,
                    ST_ARGS(ST_I(row->account), ST_I(account->devices[d].device),
                            ST_B(bytes_of(g->ids[i], MESSAGE_ID_BYTES)), ST_I(g->rows[i].sender),
                            ST_I(g->rows[i].sender_device)));
        *told = rows.has_row && store_col_int(&rows, 0) == ENVELOPE_EXPIRED;
        store_rows_end(&rows);
        if (rows.rc != RC_OK)
            rc = err_set(err, rows.rc, "relay.due", "cannot read an envelope");
    }
    return rc;
}

static enum rc
tell_expired(struct inbox *inbox, struct due_bite *bite, const struct due_row *row,
             const struct given_up *g, struct err *err)
{
    for (size_t i = 0; i < g->n; i++) {
        struct notice notice = {.sender = g->rows[i].sender,
                                .sender_device = g->rows[i].sender_device,
                                .recipient = row->account,
                                .device = row->device,
                                .reason = PARLEY__WIRE__REASON__EXPIRED,
                                .n = 1,
                                .ids = &g->ids[i]};
        bool told;
        enum rc rc = is_told_elsewhere(&told, inbox, row, g, i, err);

        if (rc == RC_OK && !told)
            rc = tell(inbox, bite, &notice, err);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

/* When will the lane have something to expire next? */
static enum rc
plan_next(struct inbox *inbox, const struct due_row *row, struct lane_row *lane, struct err *err)
{
    struct store_rows rows;

    store_query(&rows, inbox->tx, &relay_part, SQL_ENVELOPE_NEXT_DUE,
                ST_ARGS(ST_I(row->account), ST_I(row->device), ST_I(row->lane)));
    lane->due_ms = rows.has_row ? store_col_int(&rows, 0) : 0; /* none: NULL, which reads as 0 */
    store_rows_end(&rows);
    lane->is_dirty = true;
    if (rows.rc != RC_OK)
        return err_set(err, rows.rc, "relay.due", "cannot read a queue");
    return lane->due_ms == 0 ? RC_OK : add(inbox, row, lane->due_ms, err);
}

static enum rc
expire(struct inbox *inbox, struct due_bite *bite, const struct due_row *row, struct err *err)
{
    size_t room = SWEEP_ENVELOPES - bite->n_pokes;
    struct given_up g;
    struct lane_row *lane;
    enum rc rc;

    if ((rc = drop(inbox, row, err)) != RC_OK ||
        (rc = inbox_lane(inbox, &lane, row->account, row->device, row->lane, err)) != RC_OK)
        return rc;
    if (!lane->exists || lane->due_ms != row->at_ms)
        return RC_OK; /* planned anew since */
    if ((rc = collect(&g, inbox, SQL_ENVELOPE_DUE, row, inbox->now_ms, room, err)) != RC_OK ||
        (rc = close_all(&g, inbox, lane, ENVELOPE_EXPIRED, err)) != RC_OK ||
        (rc = plan_next(inbox, row, lane, err)) != RC_OK)
        return rc;
    bite->expired += (uint32_t)g.n;
    return tell_expired(inbox, bite, row, &g, err); /* lane is not used any more: rows may move */
}

/* ---- returning ---- */

/* All that one sender is owed in this bite, a notice at a time. */
static enum rc
tell_returned(struct inbox *inbox, struct due_bite *bite, const struct due_row *row,
              struct given_up *g, struct err *err)
{
    uint8_t ids[NOTICE_ITEMS][MESSAGE_ID_BYTES];

    for (size_t i = 0; i < g->n; i++) {
        struct notice notice = {.sender = g->rows[i].sender,
                                .sender_device = g->rows[i].sender_device,
                                .recipient = row->account,
                                .device = row->device,
                                .reason = PARLEY__WIRE__REASON__STALE_DEVICES,
                                .ids = (const uint8_t(*)[MESSAGE_ID_BYTES])ids};
        enum rc rc;

        for (size_t k = i; k < g->n && notice.n < NOTICE_ITEMS; k++) {
            if (g->rows[k].is_told || g->rows[k].sender != notice.sender ||
                g->rows[k].sender_device != notice.sender_device)
                continue;
            memcpy(ids[notice.n++], g->ids[k], MESSAGE_ID_BYTES);
            g->rows[k].is_told = true;
        }
        if (notice.n > 0 && (rc = tell(inbox, bite, &notice, err)) != RC_OK)
            return rc;
    }
    return RC_OK;
}

static enum rc
return_old(struct inbox *inbox, struct due_bite *bite, const struct due_row *row, struct err *err)
{
    size_t room = SWEEP_ENVELOPES - bite->n_pokes;
    struct given_up g;
    struct lane_row *lane;
    enum rc rc;

    rc = inbox_lane(inbox, &lane, row->account, row->device, row->lane, err);
    if (rc != RC_OK || !lane->exists)
        return rc == RC_OK ? drop(inbox, row, err) : rc;
    rc = collect(&g, inbox, SQL_ENVELOPE_OLD_GENERATION, row, (int64_t)lane->generation, room, err);
    if (rc == RC_OK && g.n < room)
        rc = drop(inbox, row, err);
    if (rc != RC_OK || (rc = close_all(&g, inbox, lane, ENVELOPE_PURGED, err)) != RC_OK)
        return rc;
    bite->returned += (uint32_t)g.n;
    return tell_returned(inbox, bite, row, &g, err);
}

/* ---- forgetting ---- */

static enum rc
forget(struct inbox *inbox, struct due_bite *bite, const struct due_row *row, struct err *err)
{
    int64_t before_ms = inbox->now_ms - DEDUPE_LIFE_MS;
    uint8_t first_kept[6]; /* ids begin with their time */
    uint64_t changed = 0;
    enum rc rc;

    for (unsigned i = 0; i < sizeof(first_kept); i++)
        first_kept[i] = (uint8_t)(before_ms >> (40 - 8 * i));
    rc = store_run(inbox->tx, &relay_part, SQL_ENVELOPE_FORGET, &changed, err,
                   ST_ARGS(ST_I(row->account), ST_I(row->device),
                           ST_B(bytes_of(first_kept, sizeof(first_kept))), ST_I(SWEEP_ENVELOPES)));
    bite->forgotten += (uint32_t)changed;
    if (rc != RC_OK || changed >= SWEEP_ENVELOPES)
        return rc; /* the row stays: there is more */
    rc = store_run(
        inbox->tx, &relay_part, SQL_PREKEY_FORGET_OLD, NULL, err,
        ST_ARGS(ST_I(row->account), ST_I(row->device), ST_I(inbox->now_ms - PREKEYS_KNOWN_MS)));
    if (rc != RC_OK || (rc = drop(inbox, row, err)) != RC_OK)
        return rc;
    return add(inbox, row, inbox->now_ms + FORGET_EVERY_MS, err);
}

static enum rc
forget_code(struct inbox *inbox, struct due_bite *bite, const struct due_row *row, struct err *err)
{
    enum rc rc = store_run(
        inbox->tx, &relay_part, SQL_CODE_DROP, NULL, err,
        ST_ARGS(ST_I(row->account), ST_I(inbox->now_ms), ST_I(inbox->now_ms - CODES_KEPT_MS)));

    if (rc != RC_OK || (rc = store_run(inbox->tx, &relay_part, SQL_TICKET_DROP_OLD, NULL, err,
                                       ST_ARGS(ST_I(row->account), ST_I(inbox->now_ms)))) != RC_OK)
        return rc;
    return drop(inbox, row, err);
}

typedef enum rc handler(struct inbox *inbox, struct due_bite *bite, const struct due_row *row,
                        struct err *err);
static handler *const handlers[] = {[DUE_EXPIRY] = expire,
                                    [DUE_PURGE] = return_old,
                                    [DUE_FORGET] = forget,
                                    [DUE_CODE] = forget_code};

enum rc
due_take_bite(struct inbox *inbox, struct due_bite *bite, struct err *err)
{
    struct due_row due[SWEEP_ROWS];
    struct store_rows rows;
    size_t n = 0;
    enum rc rc = RC_OK;

    bite->expired = bite->returned = bite->forgotten = 0;
    bite->n_pokes = 0;
    for (store_query(&rows, inbox->tx, &relay_part, SQL_DUE_NOW,
                     ST_ARGS(ST_I(inbox->now_ms), ST_I(SWEEP_ROWS)));
         rows.has_row && n < SWEEP_ROWS; store_next(&rows))
        due[n++] = (struct due_row){.at_ms = store_col_int(&rows, 0),
                                    .kind = (uint32_t)store_col_int(&rows, 1),
                                    .account = (uint64_t)store_col_int(&rows, 2),
                                    .device = (uint32_t)store_col_int(&rows, 3),
                                    .lane = (uint32_t)store_col_int(&rows, 4)};
    store_rows_end(&rows);
    if (rows.rc != RC_OK)
        return err_set(err, rows.rc, "relay.due", "cannot read what is due");
    for (size_t i = 0; i < n && rc == RC_OK; i++) {
        if (bite->n_pokes >= SWEEP_ENVELOPES || bite->forgotten >= SWEEP_ENVELOPES)
            break; /* the rest is due still */
        if ((rc = inbox_make_room(inbox, err)) != RC_OK)
            break;
        if (due[i].kind < ARRAY_LEN(handlers) && handlers[due[i].kind] != NULL)
            rc = handlers[due[i].kind](inbox, bite, &due[i], err);
        else
            rc = drop(inbox, &due[i], err);
    }
    return rc;
}
