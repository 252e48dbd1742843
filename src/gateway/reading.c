/* reading.c - "mark as read": the message and the earlier ones of its conversation, and typing; and
 * a look at a message's state. */
#include <stdlib.h>

#include "gateway/internal.h"

struct mark {
    struct store_job job;
    struct number *number;
    struct endpoint *endpoint;
    uint8_t message_id[16];
    uint64_t peer;
    bool is_found, with_typing;
    struct endpoint_outputs *out;
    void (*fn)(void *ctx, enum rc rc);
    void *ctx;
};

static enum rc
mark_find(struct mark *m, struct store_tx *tx, uint8_t peer_key[16], int64_t *at_ms,
          struct err *err)
{
    struct store_rows rows;
    enum rc rc = RC_OK;

    store_query(&rows, tx, &gateway_part, SQL_IN_GET,
                ST_ARGS(ST_I(m->number->account), ST_B(bytes_of(m->message_id, 16))));
    if (rows.has_row && store_col_bytes(&rows, 0).len == 16) {
        m->is_found = true;
        memcpy(peer_key, store_col_bytes(&rows, 0).ptr, 16);
        *at_ms = store_col_int(&rows, 1);
        rc = info_open(m->number, "gw_in", m->message_id, store_col_bytes(&rows, 2), &m->peer, NULL,
                       err);
    }
    store_rows_end(&rows);
    return rc != RC_OK ? rc : rows.rc;
}

static enum rc
mark_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct mark *m = (struct mark *)job;
    uint8_t ids[ENDPOINT_RECEIPT_IDS][16], peer_key[16];
    struct store_rows rows;
    int64_t at_ms = 0;
    size_t n = 0;
    enum rc rc;

    endpoint_outputs_reset(m->out);
    m->is_found = false;
    if ((rc = lease_guard(m->number, tx, err)) != RC_OK)
        return rc;
    if ((rc = mark_find(m, tx, peer_key, &at_ms, err)) != RC_OK || !m->is_found)
        return rc;
    store_query(&rows, tx, &gateway_part, SQL_IN_UNREAD,
                ST_ARGS(ST_I(m->number->account), ST_B(bytes_of(peer_key, 16)), ST_I(at_ms),
                        ST_I(ENDPOINT_RECEIPT_IDS)));
    for (; rows.has_row && n < ENDPOINT_RECEIPT_IDS; store_next(&rows))
        if (store_col_bytes(&rows, 0).len == 16)
            memcpy(ids[n++], store_col_bytes(&rows, 0).ptr, 16);
    store_rows_end(&rows);
    rc = rows.rc;
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = store_run(tx, &gateway_part, SQL_IN_MARK_READ, NULL, err,
                       ST_ARGS(ST_I(m->number->account), ST_B(bytes_of(ids[i], 16))));
    if (rc == RC_OK && n > 0)
        rc = endpoint_enqueue_receipt(m->endpoint, tx, m->peer, PARLEY__CONTENT__RECEIPT_KIND__READ,
                                      ids, n, m->out, err);
    return rc;
}

static void
mark_done(struct store_job *job, enum rc rc, const struct err *err UNUSED)
{
    struct mark *m = (struct mark *)job;
    struct gateway *gw = m->number->gw;

    if (rc == RC_OK) {
        endpoint_committed(m->endpoint, m->out);
        if (m->is_found && m->with_typing)
            endpoint_send_typing(m->endpoint, m->peer, true);
        if (!m->is_found)
            rc = RC_NOTFOUND;
    }
    m->fn(m->ctx, rc);
    endpoint_outputs_free(&m->out);
    endpoint_release(m->endpoint);
    free(m);
    gateway_release(gw);
}

void
gateway_mark_read(struct gateway *gw, uint64_t account, const uint8_t message_id[16],
                  bool with_typing, void (*fn)(void *ctx, enum rc rc), void *ctx)
{
    struct number *number = number_find(gw, account);
    struct mark *m;

    if (number == NULL || number->endpoint == NULL || gw->is_closing) {
        fn(ctx, RC_BUSY);
        return;
    }
    if ((m = calloc(1, sizeof *m)) == NULL ||
        (m->out = endpoint_outputs_new(number->endpoint)) == NULL) {
        free(m);
        fn(ctx, RC_NOMEM);
        return;
    }
    m->number = number;
    m->endpoint = number->endpoint;
    m->with_typing = with_typing;
    m->fn = fn;
    m->ctx = ctx;
    memcpy(m->message_id, message_id, 16);
    m->job = (struct store_job){.run = mark_run, .done = mark_done, .loop = gw->host.loop};
    gateway_hold(gw);
    endpoint_hold(m->endpoint);
    store_submit(gw->host.store, &m->job);
}

/* ---- a look ---- */

struct look {
    struct store_job job;
    struct number *number;
    uint8_t message_id[16];
    struct gateway_message_state state;
    bool is_found;
    void (*fn)(void *ctx, enum rc rc, const struct gateway_message_state *state);
    void *ctx;
};

static enum rc
look_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct look *look = (struct look *)job;
    struct message_row row;
    enum rc rc = message_load(look->number, tx, look->message_id, &row, err);

    look->is_found = rc == RC_OK && row.exists;
    look->state = (struct gateway_message_state){.state = (int)row.state,
                                                 .accepted_ms = row.accepted_ms,
                                                 .sent_ms = row.sent_ms,
                                                 .delivered_ms = row.delivered_ms,
                                                 .read_ms = row.read_ms,
                                                 .failed_ms = row.failed_ms};
    buf_wipe(&row.opaque);
    return rc;
}

static void
look_done(struct store_job *job, enum rc rc, const struct err *err UNUSED)
{
    struct look *look = (struct look *)job;
    struct gateway *gw = look->number->gw;

    if (rc == RC_OK && !look->is_found)
        rc = RC_NOTFOUND;
    look->fn(look->ctx, rc, rc == RC_OK ? &look->state : NULL);
    free(look);
    gateway_release(gw);
}

void
gateway_message_look(struct gateway *gw, uint64_t account, const uint8_t message_id[16],
                     void (*fn)(void *ctx, enum rc rc, const struct gateway_message_state *state),
                     void *ctx)
{
    struct number *number = number_find(gw, account);
    struct look *look;

    if (number == NULL || gw->is_closing || (look = calloc(1, sizeof *look)) == NULL) {
        fn(ctx, RC_NOTFOUND, NULL);
        return;
    }
    look->number = number;
    look->fn = fn;
    look->ctx = ctx;
    memcpy(look->message_id, message_id, 16);
    look->job = (struct store_job){.run = look_run, .done = look_done, .loop = gw->host.loop};
    gateway_hold(gw);
    store_read(gw->host.store, &look->job);
}
