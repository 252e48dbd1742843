/* inbox.c - lanes and envelopes inside a transaction.
 *
 * Owns the arithmetic of a lane row: every envelope that is put is taken out again by exactly one
 * of ack, expiry and purge, so that enqueued = acked + expired + purged + pending (I7). A lane's
 * due_ms is never later than the first expiry of what it holds; there is one row in `due` for it.
 */
#include "relay/inbox.h"

#include <stdlib.h>

static uint32_t
place_of(uint64_t account, uint32_t device, uint32_t lane, uint32_t mask)
{
    uint64_t x = account * 0x9e3779b97f4a7c15ull ^ ((uint64_t)device << 32 | lane);

    return (uint32_t)(x ^ x >> 29 ^ x >> 47) & mask;
}

enum rc
inbox_new(struct inbox **out, const struct relay_limits *limits, struct rng rng, struct err *err)
{
    struct inbox *inbox = *out = calloc(1, sizeof(*inbox));

    if (inbox == NULL)
        return err_set(err, RC_NOMEM, "relay.inbox", "out of memory");
    inbox->limits = limits;
    inbox->rng = rng;
    return RC_OK;
}

void
inbox_free(struct inbox **inbox)
{
    free(*inbox);
    *inbox = NULL;
}

static void
forget(struct inbox *inbox)
{
    for (size_t i = 0; i < inbox->n_lanes; i++)
        inbox->lanes[inbox->lane_places[i]].account = 0;
    for (size_t i = 0; i < inbox->n_accounts; i++)
        inbox->accounts[inbox->account_places[i]].account = 0;
    inbox->n_lanes = inbox->n_accounts = 0;
}

void
inbox_begin(struct inbox *inbox, struct store_tx *tx, int64_t now_ms)
{
    forget(inbox);
    inbox->tx = tx;
    inbox->now_ms = now_ms;
}

static enum rc
save_lane(struct inbox *inbox, struct lane_row *l, struct err *err)
{
    l->is_dirty = false;
    return store_run(inbox->tx, &relay_part, SQL_LANE_SAVE, NULL, err,
                     ST_ARGS(ST_I(l->account), ST_I(l->device), ST_I(l->lane), ST_I(l->last_seq),
                             ST_I(l->acked_seq), ST_I(l->pending), ST_I(l->pending_bytes),
                             ST_I(l->due_ms), ST_I(l->enqueued), ST_I(l->acked), ST_I(l->expired),
                             ST_I(l->purged), ST_I(l->duplicates)));
}

enum rc
inbox_finish(struct inbox *inbox, struct err *err)
{
    for (size_t i = 0; i < inbox->n_lanes; i++) {
        struct lane_row *lane = &inbox->lanes[inbox->lane_places[i]];
        enum rc rc;

        if (lane->is_dirty && (rc = save_lane(inbox, lane, err)) != RC_OK)
            return rc;
    }
    return RC_OK;
}

enum rc
inbox_make_room(struct inbox *inbox, struct err *err)
{
    enum rc rc;

    if (inbox->n_lanes + INBOX_WORK_LANES < INBOX_LANES_MAX * 3 / 4 &&
        inbox->n_accounts + INBOX_WORK_LANES < INBOX_ACCOUNTS_MAX * 3 / 4)
        return RC_OK;
    if ((rc = inbox_finish(inbox, err)) == RC_OK)
        forget(inbox);
    return rc;
}

static enum rc
load_lane(struct inbox *inbox, struct lane_row *l, struct err *err)
{
    struct store_rows rows;

    store_query(&rows, inbox->tx, &relay_part, SQL_LANE_GET,
                ST_ARGS(ST_I(l->account), ST_I(l->device), ST_I(l->lane)));
    if (rows.has_row) {
        l->exists = true;
        l->generation = (uint64_t)store_col_int(&rows, 0);
        l->lease_epoch = (uint64_t)store_col_int(&rows, 1);
        l->last_seq = (uint64_t)store_col_int(&rows, 2);
        l->acked_seq = (uint64_t)store_col_int(&rows, 3);
        l->pending = (uint64_t)store_col_int(&rows, 4);
        l->pending_bytes = (uint64_t)store_col_int(&rows, 5);
        l->due_ms = store_col_int(&rows, 6);
        l->enqueued = (uint64_t)store_col_int(&rows, 7);
        l->acked = (uint64_t)store_col_int(&rows, 8);
        l->expired = (uint64_t)store_col_int(&rows, 9);
        l->purged = (uint64_t)store_col_int(&rows, 10);
        l->duplicates = (uint64_t)store_col_int(&rows, 11);
    }
    store_rows_end(&rows);
    return rows.rc == RC_OK ? RC_OK : err_set(err, rows.rc, "relay.inbox", "cannot read a lane");
}

enum rc
inbox_lane(struct inbox *inbox, struct lane_row **out, uint64_t account, uint32_t device,
           uint32_t lane, struct err *err)
{
    uint32_t at = place_of(account, device, lane, INBOX_LANES_MAX - 1);
    enum rc rc;

    for (; inbox->lanes[at].account != 0; at = (at + 1) & (INBOX_LANES_MAX - 1)) {
        struct lane_row *l = &inbox->lanes[at];

        if (l->account == account && l->device == device && l->lane == lane) {
            *out = l;
            return RC_OK;
        }
    }
    *out = NULL;
    inbox->lanes[at] = (struct lane_row){.account = account, .device = device, .lane = lane};
    if ((rc = load_lane(inbox, &inbox->lanes[at], err)) != RC_OK) {
        inbox->lanes[at].account = 0;
        return rc;
    }
    inbox->lane_places[inbox->n_lanes++] = (uint16_t)at;
    *out = &inbox->lanes[at];
    return RC_OK;
}

static enum rc
load_account(struct inbox *inbox, struct account_row *a, struct err *err)
{
    struct store_rows rows;

    for (store_query(&rows, inbox->tx, &relay_part, SQL_DEVICES_GET, ST_ARGS(ST_I(a->account)));
         rows.has_row && a->n < WIRE_DEVICES_MAX; store_next(&rows)) {
        struct device_entry *d = &a->devices[a->n];
        struct bytes identity = store_col_bytes(&rows, 2);

        d->device = (uint32_t)store_col_int(&rows, 0);
        d->registration_id = (uint32_t)store_col_int(&rows, 1);
        if (identity.len == sizeof(d->identity_key))
            memcpy(d->identity_key, identity.ptr, sizeof(d->identity_key));
        a->is_business = store_col_int(&rows, 4) != 0;
        a->generations[a->n++] = (uint64_t)store_col_int(&rows, 3);
    }
    store_rows_end(&rows);
    if (rows.rc != RC_OK)
        return err_set(err, rows.rc, "relay.inbox", "cannot read devices");
    a->exists = a->n > 0;
    device_list_hash(a->hash, a->devices, a->n);
    return RC_OK;
}

enum rc
inbox_account(struct inbox *inbox, const struct account_row **out, uint64_t account,
              struct err *err)
{
    uint32_t at = place_of(account, 0, 0, INBOX_ACCOUNTS_MAX - 1);
    enum rc rc;

    for (; inbox->accounts[at].account != 0; at = (at + 1) & (INBOX_ACCOUNTS_MAX - 1)) {
        if (inbox->accounts[at].account == account) {
            *out = &inbox->accounts[at];
            return RC_OK;
        }
    }
    *out = NULL;
    memset(&inbox->accounts[at], 0, sizeof(inbox->accounts[at]));
    inbox->accounts[at].account = account;
    if ((rc = load_account(inbox, &inbox->accounts[at], err)) != RC_OK) {
        inbox->accounts[at].account = 0;
        return rc;
    }
    inbox->account_places[inbox->n_accounts++] = (uint16_t)at;
    *out = &inbox->accounts[at];
    return RC_OK;
}

uint32_t
inbox_lane_for(const struct account_row *row, uint64_t peer)
{
    return row->is_business ? lane_of_peer(peer) : 0;
}

int64_t
envelope_meta(const struct envelope *env)
{
    return (int64_t)(env->class | env->category << 8 | env->type << 16 |
                     (env->is_template ? 1u << 24 : 0));
}

void
envelope_set_meta(struct envelope *env, int64_t meta)
{
    env->class = meta & 0xff;
    env->category = meta >> 8 & 0xff;
    env->type = meta >> 16 & 0xff;
    env->is_template = (meta >> 24 & 1) != 0;
}

enum rc
inbox_seen(struct inbox *inbox, bool *seen, const struct envelope *env, struct err *err)
{
    struct store_rows rows;

    store_query(&rows, inbox->tx, &relay_part, SQL_ENVELOPE_SEEN,
                ST_ARGS(ST_I(env->account), ST_I(env->device),
                        ST_B(bytes_of(env->message_id, MESSAGE_ID_BYTES)), ST_I(env->sender),
                        ST_I(env->sender_device)));
    *seen = rows.has_row && store_col_int(&rows, 0) != ENVELOPE_PURGED;
    store_rows_end(&rows);
    return rows.rc == RC_OK ? RC_OK
                            : err_set(err, rows.rc, "relay.inbox", "cannot read an envelope");
}

bool
inbox_has_room(const struct inbox *inbox, const struct account_row *owner,
               const struct lane_row *lane, size_t size_bytes)
{
    const struct relay_limits *l = inbox->limits;
    uint64_t most = owner->is_business ? l->lane_envelopes : l->phone_envelopes;
    uint64_t most_bytes = owner->is_business ? l->lane_bytes : l->phone_bytes;

    return lane->pending < most && lane->pending_bytes + size_bytes <= most_bytes;
}

/* Keep due_ms not later than the expiry of what comes in. */
static enum rc
note_expiry(struct inbox *inbox, struct lane_row *lane, int64_t expires_ms, struct err *err)
{
    enum rc rc;

    if (lane->due_ms != 0 && lane->due_ms <= expires_ms)
        return RC_OK;
    if (lane->due_ms != 0 &&
        (rc = store_run(inbox->tx, &relay_part, SQL_DUE_DROP, NULL, err,
                        ST_ARGS(ST_I(lane->due_ms), ST_I(DUE_EXPIRY), ST_I(lane->account),
                                ST_I(lane->device), ST_I(lane->lane)))) != RC_OK)
        return rc;
    lane->due_ms = expires_ms;
    return store_run(inbox->tx, &relay_part, SQL_DUE_ADD, NULL, err,
                     ST_ARGS(ST_I(expires_ms), ST_I(DUE_EXPIRY), ST_I(lane->account),
                             ST_I(lane->device), ST_I(lane->lane)));
}

/* Write the row: a new one, or a purged one that comes back for the new registration. */
static enum rc
write_row(struct inbox *inbox, bool *is_new, struct envelope *env, struct err *err)
{
    const struct store_arg common[] = {
        ST_I(env->account),
        ST_I(env->device),
        ST_B(bytes_of(env->message_id, MESSAGE_ID_BYTES)),
        ST_I(env->sender),
        ST_I(env->sender_device),
        ST_I(env->lane),
        ST_I(env->seq),
        ST_I(env->generation),
        ST_I(env->body.len),
        ST_I(envelope_meta(env)),
        ST_I(env->accepted_ms),
        ST_I(env->expires_ms),
        ST_B(env->body),
    };
    uint64_t changed = 0;
    enum rc rc = store_run(inbox->tx, &relay_part, SQL_ENVELOPE_ADD, &changed, err, common,
                           ARRAY_LEN(common));

    env->came_back = false;
    if (rc == RC_OK && changed == 0) {
        rc = store_run(inbox->tx, &relay_part, SQL_ENVELOPE_REVIVE, &changed, err, common,
                       ARRAY_LEN(common));
        env->came_back = changed != 0;
    }
    *is_new = changed != 0;
    return rc;
}

enum rc
inbox_put(struct inbox *inbox, struct envelope *env, struct err *err)
{
    struct lane_row *lane;
    bool is_new;
    enum rc rc;

    if ((rc = inbox_lane(inbox, &lane, env->account, env->device, env->lane, err)) != RC_OK)
        return rc;
    env->seq = lane->last_seq + 1;
    env->accepted_ms = inbox->now_ms;
    if ((rc = write_row(inbox, &is_new, env, err)) != RC_OK)
        return rc;
    lane->is_dirty = true;
    if (!is_new) {
        lane->duplicates++;
        return RC_DUPLICATE;
    }
    lane->last_seq++;
    lane->enqueued++;
    lane->pending++;
    lane->pending_bytes += env->body.len;
    return note_expiry(inbox, lane, env->expires_ms, err);
}

enum rc
inbox_ack(struct inbox *inbox, struct lane_row *lane, uint64_t generation, uint64_t seq,
          struct err *err)
{
    struct store_rows rows;

    if (seq <= lane->acked_seq)
        return RC_OK;
    for (store_query(&rows, inbox->tx, &relay_part, SQL_ENVELOPE_ACK,
                     ST_ARGS(ST_I(lane->account), ST_I(lane->device), ST_I(lane->lane),
                             ST_I(lane->acked_seq), ST_I(seq), ST_I(generation),
                             ST_I(inbox->now_ms)));
         rows.has_row; store_next(&rows)) {
        lane->acked++;
        lane->pending--;
        lane->pending_bytes -= (uint64_t)store_col_int(&rows, 0);
    }
    store_rows_end(&rows);
    lane->acked_seq = seq;
    lane->is_dirty = true;
    return rows.rc == RC_OK ? RC_OK : err_set(err, rows.rc, "relay.inbox", "cannot acknowledge");
}
