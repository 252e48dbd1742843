/* receive.c - the endpoint's in-transaction calls: what came in, and the fate of what went out.
 *
 * Message, session and delivered receipt are one commit (U1). A receipt is given only for a kind
 * that can be shown (I18), and none to a blocked number: its messages leave no trace but the
 * endpoint's seen row. */
#include "phone/profile.h"

/* Receipts, typing and retries never come as messages; a kind that we do not know may. */
static bool
is_showable(const Parley__Content__Payload *payload)
{
    return payload->body_case == PARLEY__CONTENT__PAYLOAD__BODY_TEXT ||
           payload->body_case == PARLEY__CONTENT__PAYLOAD__BODY__NOT_SET;
}

static enum rc
take_message(struct profile *p, struct store_tx *tx, const struct endpoint_incoming *in,
             struct err *err)
{
    bool is_blocked = false, is_new;
    enum rc rc;

    if (!is_showable(in->payload))
        return RC_OK;
    if (p->tx_blocked > 0)
        if ((rc = contact_is_blocked(p, tx, in->peer_key, &is_blocked, err)) != RC_OK || is_blocked)
            return rc;
    if ((rc = message_insert_in(p, tx, in, &is_new, err)) != RC_OK)
        return rc;
    if (in->payload->body_case == PARLEY__CONTENT__PAYLOAD__BODY__NOT_SET)
        return RC_OK;
    return receipts_add(p, in->peer, in->message_id, err);
}

static enum rc
take_receipt(struct profile *p, struct store_tx *tx, const struct endpoint_incoming *in,
             struct err *err)
{
    const Parley__Content__Receipt *receipt = in->payload->receipt;
    enum phone_status status =
        receipt->kind == PARLEY__CONTENT__RECEIPT_KIND__DELIVERED ? STATUS_DELIVERED : STATUS_READ;
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < receipt->n_message_ids; i++) {
        bool has_moved = false;

        if (receipt->message_ids[i].len != 16)
            continue;
        rc = message_move(p, tx, in->peer_key, receipt->message_ids[i].data, status, &has_moved,
                          err);
        if (rc == RC_OK && has_moved)
            rc = endpoint_forget(p->tx_endpoint, tx, receipt->message_ids[i].data, err);
    }
    return rc;
}

static enum rc
on_message(void *ctx, struct store_tx *tx, const struct endpoint_incoming *in,
           struct endpoint_outputs *out UNUSED, struct err *err)
{
    if (in->payload->class_ == PARLEY__WIRE__CLASS__MESSAGE)
        return take_message(ctx, tx, in, err);
    if (in->payload->body_case == PARLEY__CONTENT__PAYLOAD__BODY_RECEIPT &&
        in->payload->receipt->kind != PARLEY__CONTENT__RECEIPT_KIND__RECEIPT_NONE)
        return take_receipt(ctx, tx, in, err);
    return RC_OK;
}

/* Before anything of a job, also of one that is run again. */
static enum rc
begin(void *ctx, struct store_tx *tx UNUSED, struct err *err UNUSED)
{
    receipts_drop(ctx);
    return RC_OK;
}

static enum rc
on_batch_end(void *ctx, struct store_tx *tx, struct endpoint_outputs *out, struct err *err)
{
    return receipts_flush(ctx, tx, out, err);
}

static enum rc
on_sent(void *ctx, struct store_tx *tx, const struct endpoint_outcome *outcome, struct err *err)
{
    bool has_moved;

    return message_move(ctx, tx, outcome->peer_key, outcome->message_id, STATUS_SENT, &has_moved,
                        err);
}

static enum rc
on_failed(void *ctx, struct store_tx *tx, const struct endpoint_outcome *outcome, struct err *err)
{
    bool has_moved;

    return message_move(ctx, tx, outcome->peer_key, outcome->message_id, STATUS_FAILED, &has_moved,
                        err);
}

static enum rc
on_identity_changed(void *ctx, struct store_tx *tx, uint64_t peer, const uint8_t *old_key UNUSED,
                    const uint8_t *new_key UNUSED, int64_t now_ms, struct err *err)
{
    struct profile *p = ctx;
    uint8_t key[ENDPOINT_PEER_KEY_SIZE];

    log_event(p->phone->host.log, LOG_INFO, "phone.identity_changed", LOG_NUM("peer", peer));
    endpoint_peer_key(p->tx_endpoint, peer, key);
    return store_run(tx, &phone_part, SQL_CONTACT_CHANGED, NULL, err,
                     ST_ARGS(ST_I(p->account), ST_B(bytes_of(key, sizeof key)), ST_I(now_ms)));
}

static void
after_commit(void *ctx)
{
    watches_tell(ctx);
}

static void
on_typing(void *ctx, uint64_t peer, bool is_typing)
{
    watches_tell_typing(ctx, peer, is_typing);
}

static void
on_state(void *ctx, bool is_up, Parley__Wire__CloseReason refused)
{
    struct profile *p = ctx;

    log_event(p->phone->host.log, LOG_INFO, "phone.link", LOG_NUM("account", p->account),
              LOG_FLAG("up", is_up), LOG_INT("refused", refused));
    if (refused == PARLEY__WIRE__CLOSE_REASON__UNREGISTERED)
        profile_lost(p);
}

const struct endpoint_ops profile_endpoint_ops = {.guard = begin,
                                                  .on_message = on_message,
                                                  .on_batch_end = on_batch_end,
                                                  .on_sent = on_sent,
                                                  .on_failed = on_failed,
                                                  .on_identity_changed = on_identity_changed,
                                                  .after_commit = after_commit,
                                                  .on_typing = on_typing,
                                                  .on_state = on_state};
