/* enqueue.c - T1: a message of ours becomes durable, inside its owner's transaction.
 *
 * Where a session with every device of the peer is at hand and nothing of an earlier message waits,
 * the message is encrypted in the same commit; otherwise it waits for bundles, in order (I12). */
#include <assert.h>

#include "endpoint/internal.h"

static void
fill_facts(const struct endpoint *ep, const struct endpoint_message *m, int64_t now_ms)
{
    Parley__Content__Payload *p = m->payload;

    p->version = CONTENT_VERSION;
    p->message_id = wire_field(bytes_of(m->message_id, 16));
    p->sender_account = ep->account;
    p->sender_device = 1;
    p->recipient_account = m->to;
    p->recipient_device = 0; /* set for each device when it is sealed */
    p->class_ = m->class;
    p->category = m->category;
    p->is_template = m->is_template;
    p->expires_at_ms = m->expires_at_ms;
    p->sent_at_ms = now_ms;
}

static bool
is_peer_waiting(struct endpoint *ep, struct store_tx *tx, const uint8_t key[16])
{
    struct store_rows rows;
    bool waits;

    store_query(&rows, tx, &endpoint_part, SQL_OUT_IS_PEER_WAITING,
                ST_ARGS(ST_I(ep->account), ST_B(bytes_of(key, 16))));
    waits = rows.has_row || rows.rc != RC_OK;
    store_rows_end(&rows);
    return waits;
}

struct sealed_columns {
    struct buf payload, publish; /* sealed, as stored; publish empty while waiting */
    struct buf frame;            /* the publish in clear, for the wire */
    uint64_t counter;
};

static enum rc
seal_columns(struct endpoint *ep, struct store_tx *tx, const struct endpoint_message *m,
             uint64_t ord, const uint8_t key[16], struct endpoint_outputs *out,
             struct sealed_columns *c, struct err *err)
{
    struct row_key row = row_key_num(ep->account, ord);
    struct peer_devices devices = {.n = 0};
    struct buf plain;
    enum rc rc;

    buf_init(&plain, CONTENT_MAX + 1024);
    if ((rc = content_pack(&plain, m->payload, err)) != RC_OK)
        goto out;
    rc = row_seal(ep, &c->payload, SEAL_DAY, "end_out", "payload", &row, 0, buf_bytes(&plain), err);
    if (rc != RC_OK)
        goto out;
    if (!endpoint_may_seal(ep)) /* waits for the first login, which looks for what waits */
        goto out;
    if ((rc = peer_load(ep, tx, key, &devices, err)) != RC_OK)
        goto out;
    if (!devices.all_ready) {
        rc = outputs_add_fetch(out, m->to, false);
        goto out;
    }
    if (peer_is_chain_full(ep, &devices) || is_peer_waiting(ep, tx, key))
        goto out;
    c->counter = tx_counter_next(ep);
    rc = seal_for_devices(ep, tx, &devices, key, m->payload, bytes_of(NULL, 0), c->counter,
                          &c->frame, err);
    if (rc == RC_OK)
        rc = row_seal(ep, &c->publish, SEAL_DAY, "end_out", "publish", &row, c->counter,
                      buf_bytes(&c->frame), err);
out:
    peer_wipe(&devices);
    buf_wipe(&plain);
    return rc;
}

enum rc
endpoint_enqueue(struct endpoint *ep, struct store_tx *tx, const struct endpoint_message *m,
                 struct endpoint_outputs *out, struct err *err)
{
    struct sealed_columns c = {.counter = 0};
    uint8_t key[ENDPOINT_PEER_KEY_SIZE];
    uint64_t ord;
    bool is_sealed;
    enum rc rc;

    if (tx_secret(ep) == NULL)
        return err_set(err, RC_PROTO, "endpoint.enqueue", "the number is not registered");
    buf_init(&c.payload, CONTENT_MAX + 1024 + SEAL_OVERHEAD);
    buf_init(&c.publish, WIRE_FRAME_MAX + SEAL_OVERHEAD);
    buf_init(&c.frame, WIRE_FRAME_MAX);
    ord = ++ep->tx_ord;
    out->is_counted = true;
    fill_facts(ep, m, clock_unix_ms(ep->host->clock));
    endpoint_peer_key(ep, m->to, key);
    if ((rc = seal_columns(ep, tx, m, ord, key, out, &c, err)) != RC_OK)
        goto out;
    is_sealed = c.publish.len > 0;
    rc = store_run(tx, &endpoint_part, SQL_OUT_INSERT, NULL, err,
                   ST_ARGS(ST_I(ep->account), ST_I(ord), ST_B(bytes_of(m->message_id, 16)),
                           ST_B(bytes_of(key, 16)), ST_I(m->class),
                           ST_I(is_sealed ? OUT_SEALED : OUT_WAITING), ST_I(c.counter),
                           ST_I(m->expires_at_ms), ST_B(buf_bytes(&c.payload)),
                           is_sealed ? ST_B(buf_bytes(&c.publish)) : ST_NULL));
    if (rc == RC_OK && is_sealed)
        rc = outputs_add_publish(out, ord, c.counter, m->message_id, &c.frame);
    if (rc == RC_OK && !out->is_work)
        rc = outputs_write_counters(ep, tx, out, err);
out:
    buf_free(&c.payload);
    buf_free(&c.publish);
    buf_free(&c.frame);
    return rc;
}

enum rc
endpoint_enqueue_receipt(struct endpoint *ep, struct store_tx *tx, uint64_t to,
                         Parley__Content__ReceiptKind kind, const uint8_t (*ids)[16], size_t n,
                         struct endpoint_outputs *out, struct err *err)
{
    Parley__Content__Payload payload = PARLEY__CONTENT__PAYLOAD__INIT;
    Parley__Content__Receipt receipt = PARLEY__CONTENT__RECEIPT__INIT;
    ProtobufCBinaryData refs[ENDPOINT_RECEIPT_IDS];
    struct endpoint_message message = {
        .to = to, .class = PARLEY__WIRE__CLASS__RECEIPT, .payload = &payload};

    assert(n > 0 && n <= ENDPOINT_RECEIPT_IDS);
    for (size_t i = 0; i < n; i++)
        refs[i] = wire_field(bytes_of(ids[i], 16));
    receipt.kind = kind;
    receipt.n_message_ids = n;
    receipt.message_ids = refs;
    receipt.at_ms = clock_unix_ms(ep->host->clock);
    payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_RECEIPT;
    payload.receipt = &receipt;
    message.expires_at_ms = receipt.at_ms + WIRE_EXPIRY_MAX_MS;
    message_id_make(message.message_id, receipt.at_ms, ep->host->rng);
    return endpoint_enqueue(ep, tx, &message, out, err);
}

enum rc
endpoint_forget(struct endpoint *ep, struct store_tx *tx, const uint8_t message_id[16],
                struct err *err)
{
    return store_run(tx, &endpoint_part, SQL_OUT_FORGET, NULL, err,
                     ST_ARGS(ST_I(ep->account), ST_B(bytes_of(message_id, 16))));
}
