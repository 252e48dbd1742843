/* messages.c - rows of outgoing messages: written with the accept, moved by events, told as they
 * move. */
#include "base/reader.h"
#include "gateway/internal.h"

/* info = u64 peer || opaque bytes */
static struct seal_place
info_place(const char *table, const uint8_t message_id[16])
{
    return (struct seal_place){
        .table = table, .column = "info", .key = bytes_of(message_id, 16), .version = 0};
}

enum rc
info_seal(struct number *number, struct buf *out, const char *table, const uint8_t message_id[16],
          uint64_t peer, struct bytes opaque, struct err *err)
{
    const struct endpoint_host *host = &number->gw->host;
    const struct seal_place place = info_place(table, message_id);
    struct buf plain;
    uint32_t key_id;
    enum rc rc;

    buf_init(&plain, 8 + GATEWAY_OPAQUE_MAX);
    buf_put_u64be(&plain, peer);
    buf_put(&plain, opaque);
    rc = buf_failed(&plain) ? err_set(err, RC_LIMIT, "gateway.info", "opaque data too long")
                            : keyring_current(host->ring, &key_id, number->account, SEAL_DAY,
                                              clock_unix_ms(host->clock), err);
    if (rc == RC_OK)
        rc = seal_record(host->ring, key_id, &place, buf_bytes(&plain), out, err);
    buf_wipe(&plain);
    return rc;
}

enum rc
info_open(struct number *number, const char *table, const uint8_t message_id[16],
          struct bytes sealed, uint64_t *peer, struct buf *opaque, struct err *err)
{
    const struct seal_place place = info_place(table, message_id);
    struct reader r;
    struct buf plain;
    enum rc rc;

    buf_init(&plain, 8 + GATEWAY_OPAQUE_MAX);
    rc = seal_open(number->gw->host.ring, &place, sealed, &plain, err);
    r = reader_over(buf_bytes(&plain));
    *peer = reader_u64be(&r);
    if (opaque != NULL && rc == RC_OK)
        buf_put(opaque, reader_rest(&r));
    buf_wipe(&plain);
    return rc;
}

enum rc
message_insert(struct number *number, struct store_tx *tx, const struct gateway_send *send,
               const uint8_t message_id[16], int64_t now_ms, struct err *err)
{
    uint8_t peer_key[ENDPOINT_PEER_KEY_SIZE];
    struct buf info;
    enum rc rc;

    buf_init(&info, 8 + GATEWAY_OPAQUE_MAX + SEAL_OVERHEAD);
    endpoint_peer_key(number->tx_endpoint, send->to, peer_key);
    rc = info_seal(number, &info, "gw_msg", message_id, send->to, send->opaque, err);
    if (rc == RC_OK)
        rc = store_run(tx, &gateway_part, SQL_MSG_INSERT, NULL, err,
                       ST_ARGS(ST_I(number->account), ST_B(bytes_of(message_id, 16)),
                               ST_B(bytes_of(peer_key, sizeof peer_key)), ST_I(now_ms),
                               ST_B(buf_bytes(&info))));
    buf_free(&info);
    return rc;
}

enum rc
message_load(struct number *number, struct store_tx *tx, const uint8_t message_id[16],
             struct message_row *row, struct err *err)
{
    struct store_rows rows;
    enum rc rc = RC_OK;

    *row = (struct message_row){.exists = false};
    buf_init(&row->opaque, GATEWAY_OPAQUE_MAX);
    store_query(&rows, tx, &gateway_part, SQL_MSG_GET,
                ST_ARGS(ST_I(number->account), ST_B(bytes_of(message_id, 16))));
    if (rows.has_row && store_col_bytes(&rows, 1).len == sizeof row->peer_key) {
        row->exists = true;
        row->state = (enum message_state)store_col_int(&rows, 0);
        memcpy(row->peer_key, store_col_bytes(&rows, 1).ptr, sizeof row->peer_key);
        row->accepted_ms = store_col_int(&rows, 2);
        row->sent_ms = store_col_int(&rows, 3);
        row->delivered_ms = store_col_int(&rows, 4);
        row->read_ms = store_col_int(&rows, 5);
        row->failed_ms = store_col_int(&rows, 6);
        rc = info_open(number, "gw_msg", message_id, store_col_bytes(&rows, 7), &row->peer,
                       &row->opaque, err);
    }
    store_rows_end(&rows);
    return rc != RC_OK ? rc : rows.rc;
}

/* What one event may tell, in the order in which it is told. */
static const struct telling {
    uint32_t bit;
    enum gateway_status_kind kind;
} tellings[] = {
    {TELL_SENT,      GATEWAY_SENT     },
    {TELL_DELIVERED, GATEWAY_DELIVERED},
    {TELL_READ,      GATEWAY_READ     },
    {TELL_FAILED,    GATEWAY_FAILED   },
};

static enum rc
tell_all(struct number *number, struct store_tx *tx, const uint8_t message_id[16],
         const struct message_row *row, uint32_t tell, enum gateway_reason reason, int64_t at_ms,
         struct err *err)
{
    struct gateway *gw = number->gw;
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < ARRAY_LEN(tellings); i++) {
        struct gateway_status status = {.account = number->account,
                                        .peer = row->peer,
                                        .kind = tellings[i].kind,
                                        .reason = reason,
                                        .opaque = buf_bytes(&row->opaque),
                                        .at_ms = at_ms};

        if ((tell & tellings[i].bit) == 0)
            continue;
        memcpy(status.message_id, message_id, sizeof status.message_id);
        rc = gw->ops->on_status(gw->ctx, tx, &status, err);
    }
    return rc;
}

static void
stamp(struct message_row *row, uint32_t tell, int64_t at_ms)
{
    int64_t *const at[] = {&row->sent_ms, &row->delivered_ms, &row->read_ms, &row->failed_ms};

    for (size_t i = 0; i < ARRAY_LEN(tellings); i++)
        if ((tell & tellings[i].bit) != 0)
            *at[tellings[i].kind] = at_ms;
}

enum rc
message_apply(struct number *number, struct store_tx *tx, const uint8_t message_id[16],
              const uint8_t *peer_key, enum message_event event, enum gateway_reason reason,
              int64_t at_ms, struct err *err)
{
    struct message_row row;
    struct message_step step;
    enum rc rc = message_load(number, tx, message_id, &row, err);

    if (rc != RC_OK || !row.exists)
        goto out;
    /* Only the one it was sent to can say that it arrived. */
    if (peer_key != NULL && memcmp(peer_key, row.peer_key, sizeof row.peer_key) != 0)
        goto out;
    step = message_step(row.state, event);
    if (step.tell == 0)
        goto out;
    stamp(&row, step.tell, at_ms);
    rc = store_run(tx, &gateway_part, SQL_MSG_MOVE, NULL, err,
                   ST_ARGS(ST_I(number->account), ST_B(bytes_of(message_id, 16)), ST_I(step.next),
                           ST_I(row.sent_ms), ST_I(row.delivered_ms), ST_I(row.read_ms),
                           ST_I(row.failed_ms)));
    if (rc == RC_OK)
        rc = tell_all(number, tx, message_id, &row, step.tell, reason, at_ms, err);
    if (rc == RC_OK && (step.tell & TELL_DELIVERED) != 0)
        rc = endpoint_forget(number->tx_endpoint, tx, message_id, err);
out:
    buf_wipe(&row.opaque);
    return rc;
}
