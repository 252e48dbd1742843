/* results.c - T3: what became of a message: the relay's answer, a notice, a retry request, its
 * expiry.
 *
 * Each changes the row of the outgoing queue and tells the owner in the same transaction, at most
 * once: a repeated answer finds the row already moved and does nothing. */
#include "endpoint/internal.h"

#define SENT_LINGER_MS                                                                             \
    (24ll * 3600 * 1000) /* past its expiry the relay has this long to say so                      \
                          */

struct out_row {
    bool exists;
    uint64_t ord;
    uint8_t shown_id[16], message_id[16], peer_key[16];
    uint32_t class, resends;
    int64_t expires_ms;
    enum endpoint_out_state state;
    struct buf payload; /* opened on demand */
};

static void
copy16(uint8_t out[16], struct bytes in)
{
    if (in.len == 16)
        memcpy(out, in.ptr, 16);
}

static enum rc
row_load(struct endpoint *ep, struct store_tx *tx, uint64_t ord, bool with_payload,
         struct out_row *row, struct err *err)
{
    struct store_rows rows;
    enum rc rc = RC_OK;

    *row = (struct out_row){.ord = ord};
    buf_init(&row->payload, CONTENT_MAX + 1024);
    store_query(&rows, tx, &endpoint_part, SQL_OUT_GET, ST_ARGS(ST_I(ep->account), ST_I(ord)));
    if (rows.has_row) {
        row->exists = true;
        copy16(row->shown_id, store_col_bytes(&rows, 0));
        copy16(row->message_id, store_col_bytes(&rows, 1));
        copy16(row->peer_key, store_col_bytes(&rows, 2));
        row->class = (uint32_t)store_col_int(&rows, 3);
        row->state = (enum endpoint_out_state)store_col_int(&rows, 4);
        row->resends = (uint32_t)store_col_int(&rows, 7);
        row->expires_ms = store_col_int(&rows, 8);
        if (with_payload) {
            struct row_key key = row_key_num(ep->account, ord);

            rc = row_open(ep, &row->payload, "end_out", "payload", &key, 0,
                          store_col_bytes(&rows, 5), err);
        }
    }
    store_rows_end(&rows);
    return rc != RC_OK ? rc : rows.rc;
}

/* The row of a message by the id that others know it by: shown id, or the id of a resend. 0: none.
 */
static enum rc
ord_find(struct endpoint *ep, struct store_tx *tx, struct bytes id, uint64_t *ord)
{
    static const enum endpoint_stmt by[] = {SQL_OUT_BY_SHOWN, SQL_OUT_BY_RESEND};

    *ord = 0;
    for (size_t i = 0; i < ARRAY_LEN(by) && *ord == 0; i++) {
        struct store_rows rows;

        store_query(&rows, tx, &endpoint_part, by[i], ST_ARGS(ST_I(ep->account), ST_B(id)));
        if (rows.has_row)
            *ord = (uint64_t)store_col_int(&rows, 0);
        store_rows_end(&rows);
        if (rows.rc != RC_OK)
            return rows.rc;
    }
    return RC_OK;
}

static struct endpoint_outcome
outcome_of(struct endpoint *ep, const struct out_row *row, Parley__Wire__Reason reason)
{
    struct endpoint_outcome o = {
        .class = row->class, .now_ms = clock_unix_ms(ep->host->clock), .reason = reason};

    memcpy(o.message_id, row->shown_id, 16);
    memcpy(o.peer_key, row->peer_key, 16);
    return o;
}

static enum rc
row_delete(struct endpoint *ep, struct store_tx *tx, uint64_t ord, struct err *err)
{
    return store_run(tx, &endpoint_part, SQL_OUT_DELETE, NULL, err,
                     ST_ARGS(ST_I(ep->account), ST_I(ord)));
}

/* End a message without delivery: one terminal state, told once. */
static enum rc
row_fail(struct work *work, struct store_tx *tx, const struct out_row *row,
         Parley__Wire__Reason reason, struct err *err)
{
    struct endpoint *ep = work->ep;
    struct endpoint_outcome o = outcome_of(ep, row, reason);
    enum rc rc = row_delete(ep, tx, row->ord, err);

    if (rc != RC_OK || row->class != PARLEY__WIRE__CLASS__MESSAGE)
        return rc;
    return ep->ops->on_failed(ep->ctx, tx, &o, err);
}

static enum rc
row_sent(struct work *work, struct store_tx *tx, const struct out_row *row, struct err *err)
{
    struct endpoint *ep = work->ep;
    struct endpoint_outcome o = outcome_of(ep, row, PARLEY__WIRE__REASON__REASON_UNSPECIFIED);
    enum rc rc;

    if (row->class != PARLEY__WIRE__CLASS__MESSAGE)
        return row_delete(ep, tx, row->ord, err);
    rc = store_run(tx, &endpoint_part, SQL_OUT_SENT, NULL, err,
                   ST_ARGS(ST_I(ep->account), ST_I(row->ord)));
    if (rc != RC_OK || row->resends > 0) /* "sent" was said at the first time */
        return rc;
    return ep->ops->on_sent(ep->ctx, tx, &o, err);
}

static enum rc
payload_peer(struct endpoint *ep UNUSED, struct bytes padded, uint64_t *peer, struct err *err)
{
    Parley__Content__Payload *payload;
    struct arena *arena = NULL;
    enum rc rc = arena_new(&arena, 8 * CONTENT_MAX, err);

    if (rc == RC_OK)
        rc = content_unpack(&payload, arena, padded, err);
    if (rc == RC_OK)
        *peer = payload->recipient_account;
    arena_wipe(&arena);
    return rc;
}

/* The device list was old: the row waits for the new one. Its publish frame stays: ciphertexts for
 * installations that are still listed go out as they are. */
static enum rc
row_stale(struct work *work, struct store_tx *tx, const struct out_row *row, struct err *err)
{
    struct endpoint *ep = work->ep;
    uint64_t peer = 0;
    enum rc rc;

    rc = store_run(tx, &endpoint_part, SQL_OUT_BACK_TO_WAITING, NULL, err,
                   ST_ARGS(ST_I(ep->account), ST_I(row->ord)));
    if (rc == RC_OK)
        rc = payload_peer(ep, buf_bytes(&row->payload), &peer, err);
    if (rc == RC_OK)
        rc = outputs_add_fetch(work->out, peer, false);
    return rc;
}

enum rc
result_apply(struct work *work, struct store_tx *tx, const struct result_item *item,
             struct err *err)
{
    struct out_row row;
    bool is_stale = item->reason == PARLEY__WIRE__REASON__STALE_DEVICES;
    enum rc rc = row_load(work->ep, tx, item->ord, is_stale, &row, err);

    if (rc != RC_OK || !row.exists || row.state != OUT_SEALED)
        goto out;
    switch (item->reason) {
    case PARLEY__WIRE__REASON__REASON_UNSPECIFIED:
        rc = row_sent(work, tx, &row, err);
        break;
    case PARLEY__WIRE__REASON__STALE_DEVICES:
        rc = row_stale(work, tx, &row, err);
        break;
    default:
        rc = row_fail(work, tx, &row, item->reason, err);
        break;
    }
out:
    buf_wipe(&row.payload);
    return rc;
}

/* The relay knows no such account (any more): nothing that waits for it can go. */
enum rc
peer_fail_waiting(struct work *work, struct store_tx *tx, uint64_t peer,
                  Parley__Wire__Reason reason, struct err *err)
{
    struct endpoint *ep = work->ep;
    uint8_t key[ENDPOINT_PEER_KEY_SIZE];
    enum rc rc = RC_OK;
    bool more = true;

    endpoint_peer_key(ep, peer, key);
    while (rc == RC_OK && more) {
        struct store_rows rows;
        struct out_row row;
        uint64_t ord = 0;

        store_query(&rows, tx, &endpoint_part, SQL_OUT_WAITING_OF_PEER,
                    ST_ARGS(ST_I(ep->account), ST_B(bytes_of(key, 16)), ST_I(0)));
        more = rows.has_row;
        if (more)
            ord = (uint64_t)store_col_int(&rows, 0);
        store_rows_end(&rows);
        if (rows.rc != RC_OK || !more)
            return rows.rc;
        if ((rc = row_load(ep, tx, ord, false, &row, err)) == RC_OK)
            rc = row_fail(work, tx, &row, reason, err);
        buf_wipe(&row.payload);
    }
    return rc;
}

static enum rc
notice_item_apply(struct work *work, struct store_tx *tx, Parley__Wire__Reason reason,
                  const Parley__Wire__NoticeItem *item, struct err *err)
{
    bool is_stale = reason == PARLEY__WIRE__REASON__STALE_DEVICES;
    struct out_row row;
    uint64_t ord;
    enum rc rc;

    rc = ord_find(work->ep, tx, wire_bytes(item->message_id), &ord);
    if (rc != RC_OK || ord == 0)
        return rc;
    rc = row_load(work->ep, tx, ord, is_stale, &row, err);
    if (rc == RC_OK && row.exists && is_stale)
        rc = row_stale(work, tx, &row, err);
    else if (rc == RC_OK && row.exists)
        rc = row_fail(work, tx, &row, reason, err);
    buf_wipe(&row.payload);
    return rc;
}

enum rc
notice_apply(struct work *work, struct store_tx *tx, const Parley__Wire__Deliver *deliver,
             struct err *err)
{
    Parley__Wire__Notice *notice;
    struct arena *arena = NULL;
    enum rc rc;

    if (deliver->sender != NULL && deliver->sender->account != 0)
        return RC_OK; /* notices come from the relay itself and from nobody else */
    if ((rc = arena_new(&arena, WIRE_FRAME_MAX, err)) != RC_OK)
        return rc;
    rc = wire_notice_unpack(&notice, arena, wire_bytes(deliver->body), err);
    if (rc == RC_OK)
        for (size_t i = 0; rc == RC_OK && i < notice->n_items; i++)
            rc = notice_item_apply(work, tx, notice->reason, notice->items[i], err);
    else if (rc == RC_MALFORMED || rc == RC_PROTO || rc == RC_LIMIT)
        rc = RC_OK; /* nothing to learn from it; acknowledged */
    arena_free(&arena);
    return rc;
}

/* The peer could not open a message of ours: the same payload goes out under a new id and a new
 * session; the peer shows it once by its first id. */
static enum rc
row_resend(struct work *work, struct store_tx *tx, struct out_row *row, uint64_t peer,
           struct err *err)
{
    struct endpoint *ep = work->ep;
    struct row_key key = row_key_num(ep->account, row->ord);
    Parley__Content__Payload *payload;
    struct arena *arena = NULL;
    struct buf plain, sealed;
    uint8_t id[16];
    enum rc rc;

    buf_init(&plain, CONTENT_MAX + 1024);
    buf_init(&sealed, CONTENT_MAX + 1024 + SEAL_OVERHEAD);
    if ((rc = arena_new(&arena, 8 * CONTENT_MAX, err)) != RC_OK)
        goto out;
    if ((rc = content_unpack(&payload, arena, buf_bytes(&row->payload), err)) != RC_OK)
        goto out;
    message_id_make(id, clock_unix_ms(ep->host->clock), ep->host->rng);
    payload->first_message_id = wire_field(bytes_of(row->shown_id, 16));
    payload->message_id = wire_field(bytes_of(id, 16));
    if ((rc = content_pack(&plain, payload, err)) != RC_OK)
        goto out;
    rc = row_seal(ep, &sealed, SEAL_DAY, "end_out", "payload", &key, 0, buf_bytes(&plain), err);
    if (rc != RC_OK)
        goto out;
    rc = store_run(
        tx, &endpoint_part, SQL_DEVICE_STALE, NULL, err,
        ST_ARGS(ST_I(ep->account), ST_B(bytes_of(row->peer_key, 16)), ST_I(UNANSWERED_STALE)));
    if (rc != RC_OK)
        goto out;
    rc = store_run(tx, &endpoint_part, SQL_OUT_RESEND, NULL, err,
                   ST_ARGS(ST_I(ep->account), ST_I(row->ord), ST_B(bytes_of(id, 16)),
                           ST_B(buf_bytes(&sealed))));
    if (rc == RC_OK)
        rc = outputs_add_fetch(work->out, peer, false);
out:
    arena_wipe(&arena);
    buf_wipe(&plain);
    buf_free(&sealed);
    return rc;
}

enum rc
retry_apply(struct work *work, struct store_tx *tx, const Parley__Content__Payload *payload,
            uint64_t peer, struct err *err)
{
    uint8_t key[ENDPOINT_PEER_KEY_SIZE];
    struct out_row row;
    uint64_t ord;
    enum rc rc;

    if (payload->body_case != PARLEY__CONTENT__PAYLOAD__BODY_RETRY ||
        payload->retry->message_id.len != 16)
        return RC_OK;
    rc = ord_find(work->ep, tx, wire_bytes(payload->retry->message_id), &ord);
    if (rc != RC_OK || ord == 0)
        return rc;
    endpoint_peer_key(work->ep, peer, key);
    rc = row_load(work->ep, tx, ord, true, &row, err);
    if (rc == RC_OK && row.exists && row.state == OUT_SENT && row.resends < RESENDS_MAX &&
        memcmp(row.peer_key, key, sizeof key) == 0)
        rc = row_resend(work, tx, &row, peer, err);
    buf_wipe(&row.payload);
    return rc;
}

/* Messages whose time is over and that the relay never took. What it did take it answers itself. */
enum rc
expire_due(struct work *work, struct store_tx *tx, struct err *err)
{
    struct endpoint *ep = work->ep;
    int64_t now_ms = clock_unix_ms(ep->host->clock);
    uint64_t due[100], after = 0;
    enum rc rc = RC_OK;
    size_t n = ARRAY_LEN(due);

    while (rc == RC_OK && n == ARRAY_LEN(due)) {
        struct store_rows rows;

        n = 0;
        store_query(&rows, tx, &endpoint_part, SQL_OUT_DUE,
                    ST_ARGS(ST_I(ep->account), ST_I(now_ms), ST_I(after)));
        for (; rows.has_row && n < ARRAY_LEN(due); store_next(&rows))
            due[n++] = (uint64_t)store_col_int(&rows, 0);
        store_rows_end(&rows);
        rc = rows.rc;
        for (size_t i = 0; i < n && rc == RC_OK; i++) {
            struct out_row row;

            after = due[i];
            rc = row_load(ep, tx, due[i], false, &row, err);
            if (rc == RC_OK && row.exists && row.state != OUT_SENT)
                rc = row_fail(work, tx, &row, PARLEY__WIRE__REASON__EXPIRED, err);
            else if (rc == RC_OK && row.exists && row.expires_ms < now_ms - SENT_LINGER_MS)
                rc = row_delete(ep, tx, row.ord, err); /* delivered, and never receipted */
            buf_wipe(&row.payload);
        }
    }
    return rc;
}
