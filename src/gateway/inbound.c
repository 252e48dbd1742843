/* inbound.c - the endpoint's in-transaction calls: a message came in, a receipt, the fate of ours.
 *
 * Everything here runs inside the endpoint's job: incoming message, receipt, webhook rows and
 * session state are one commit (U1, T3). */
#include "gateway/internal.h"

static enum rc
take_message(struct number *number, struct store_tx *tx, const struct endpoint_incoming *in,
             struct endpoint_outputs *out, struct err *err)
{
    struct gateway *gw = number->gw;
    struct gateway_inbound inbound = {.account = number->account,
                                      .peer = in->peer,
                                      .payload = in->payload,
                                      .accepted_at_ms = in->accepted_at_ms,
                                      .now_ms = in->now_ms};
    struct buf info;
    uint64_t is_new = 0;
    enum rc rc;

    memcpy(inbound.message_id, in->message_id, sizeof inbound.message_id);
    buf_init(&info, 8 + GATEWAY_OPAQUE_MAX + SEAL_OVERHEAD);
    rc = info_seal(number, &info, "gw_in", in->message_id, in->peer, bytes_of(NULL, 0), err);
    if (rc == RC_OK)
        rc = store_run(tx, &gateway_part, SQL_IN_INSERT, &is_new, err,
                       ST_ARGS(ST_I(number->account), ST_B(bytes_of(in->message_id, 16)),
                               ST_B(bytes_of(in->peer_key, ENDPOINT_PEER_KEY_SIZE)),
                               ST_I(in->accepted_at_ms), ST_B(buf_bytes(&info))));
    buf_free(&info);
    if (rc == RC_OK && is_new != 0) /* once, also when it was sent again after a retry request */
        rc = gw->ops->on_inbound(gw->ctx, tx, &inbound, err);
    if (rc == RC_OK && in->payload->body_case != PARLEY__CONTENT__PAYLOAD__BODY__NOT_SET)
        rc = endpoint_enqueue_receipt(number->tx_endpoint, tx, in->peer,
                                      PARLEY__CONTENT__RECEIPT_KIND__DELIVERED, &in->message_id, 1,
                                      out, err);
    return rc;
}

static enum rc
take_receipt(struct number *number, struct store_tx *tx, const struct endpoint_incoming *in,
             struct err *err)
{
    const Parley__Content__Receipt *receipt = in->payload->receipt;
    enum message_event event =
        receipt->kind == PARLEY__CONTENT__RECEIPT_KIND__DELIVERED ? ON_DELIVERED : ON_READ;
    enum rc rc = RC_OK;

    if (receipt->kind == PARLEY__CONTENT__RECEIPT_KIND__RECEIPT_NONE)
        return RC_OK;
    for (size_t i = 0; rc == RC_OK && i < receipt->n_message_ids; i++)
        if (receipt->message_ids[i].len == 16)
            rc = message_apply(number, tx, receipt->message_ids[i].data, in->peer_key, event,
                               GATEWAY_NO_REASON, in->now_ms, err);
    return rc;
}

static enum rc
on_message(void *ctx, struct store_tx *tx, const struct endpoint_incoming *in,
           struct endpoint_outputs *out, struct err *err)
{
    if (in->payload->class_ == PARLEY__WIRE__CLASS__MESSAGE)
        return take_message(ctx, tx, in, out, err);
    if (in->payload->body_case == PARLEY__CONTENT__PAYLOAD__BODY_RECEIPT)
        return take_receipt(ctx, tx, in, err);
    return RC_OK;
}

static enum rc
on_sent(void *ctx, struct store_tx *tx, const struct endpoint_outcome *outcome, struct err *err)
{
    return message_apply(ctx, tx, outcome->message_id, NULL, ON_SENT, GATEWAY_NO_REASON,
                         outcome->now_ms, err);
}

static enum gateway_reason
reason_of(Parley__Wire__Reason reason)
{
    switch (reason) {
    case PARLEY__WIRE__REASON__NO_ACCOUNT:
    case PARLEY__WIRE__REASON__UNKNOWN_DEVICE:
        return GATEWAY_NO_ACCOUNT;
    case PARLEY__WIRE__REASON__OVERFLOW:
        return GATEWAY_OVERFLOW;
    case PARLEY__WIRE__REASON__EXPIRED:
        return GATEWAY_EXPIRED;
    default:
        return GATEWAY_REJECTED;
    }
}

static enum rc
on_failed(void *ctx, struct store_tx *tx, const struct endpoint_outcome *outcome, struct err *err)
{
    enum message_event event =
        outcome->reason == PARLEY__WIRE__REASON__EXPIRED ? ON_EXPIRED : ON_FAILED;

    return message_apply(ctx, tx, outcome->message_id, NULL, event, reason_of(outcome->reason),
                         outcome->now_ms, err);
}

static void
after_commit(void *ctx)
{
    struct number *number = ctx;

    if (number->gw->ops->after_commit != NULL)
        number->gw->ops->after_commit(number->gw->ctx);
}

static void
on_state(void *ctx, bool is_up, Parley__Wire__CloseReason refused)
{
    struct number *number = ctx;
    struct gateway *gw = number->gw;

    if (is_up)
        number->leap = 0;
    if (refused == PARLEY__WIRE__CLOSE_REASON__CLOSE_FENCED ||
        refused == PARLEY__WIRE__CLOSE_REASON__CONNECTED_ELSEWHERE) {
        lease_refused(number); /* which tells */
        return;
    }
    if (gw->ops->on_number_state != NULL)
        gw->ops->on_number_state(gw->ctx, number->account, is_up);
}

const struct endpoint_ops number_endpoint_ops = {.guard = lease_guard,
                                                 .on_message = on_message,
                                                 .on_sent = on_sent,
                                                 .on_failed = on_failed,
                                                 .after_commit = after_commit,
                                                 .on_state = on_state};
