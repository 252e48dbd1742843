/* receiving.c - U1: one delivery, from the relay's envelope to stored state, in the job's
 * transaction.
 *
 * Order: seen before? - open the session record - decrypt in memory - compare what travelled in
 * clear with what was sealed - write session, used prekey and seen row - hand the payload to the
 * owner. A failure writes only that it failed (I27). Acknowledged after the commit (I19). */
#include "endpoint/internal.h"

struct reception {
    const Parley__Wire__Deliver *deliver;
    uint64_t peer;
    uint32_t device;
    uint8_t key[ENDPOINT_PEER_KEY_SIZE];
    struct buf record_in, record_out, plain;
    bool is_known_device;
    uint8_t known_identity[33];
    uint32_t registration_id, hosting, unanswered;
    uint64_t version;
    struct session_opened opened;
    int64_t now_ms;
};

static enum rc
device_find(struct endpoint *ep, struct store_tx *tx, struct reception *r, struct err *err)
{
    struct store_rows rows;
    enum rc rc = RC_OK;

    store_query(&rows, tx, &endpoint_part, SQL_DEVICE_GET,
                ST_ARGS(ST_I(ep->account), ST_B(bytes_of(r->key, 16)), ST_I(r->device)));
    if (rows.has_row && store_col_bytes(&rows, 1).len == 33) {
        struct bytes record = store_col_bytes(&rows, 3);
        struct row_key row = row_key_peer(ep->account, r->key, r->device);

        r->is_known_device = true;
        r->registration_id = (uint32_t)store_col_int(&rows, 0);
        memcpy(r->known_identity, store_col_bytes(&rows, 1).ptr, 33);
        r->version = (uint64_t)store_col_int(&rows, 2);
        r->hosting = (uint32_t)store_col_int(&rows, 4);
        r->unanswered = (uint32_t)store_col_int(&rows, 5);
        if (record.len > 0)
            rc = row_open(ep, &r->record_in, "end_device", "record", &row, r->version, record, err);
    }
    store_rows_end(&rows);
    return rc != RC_OK ? rc : rows.rc;
}

static enum rc
decrypt(struct endpoint *ep, struct store_tx *tx, struct reception *r, struct err *err)
{
    struct keys_source ctx = {.ep = ep, .tx = tx};
    const struct session_prekey_source source = {
        .one_time = keys_one_time_by_id, .signed_prekey = keys_signed_by_id, .ctx = &ctx};
    const uint8_t *expected = r->is_known_device ? r->known_identity : NULL;
    enum session_type type = (enum session_type)r->deliver->type;
    enum rc rc;

    rc = session_decrypt(ep->host->engine, &r->plain, &r->record_out, &r->opened,
                         &tx_secret(ep)->identity, buf_bytes(&r->record_in), type,
                         wire_bytes(r->deliver->body), expected, &source, err);
    if (rc == RC_OK && r->opened.is_new_session && r->unanswered >= UNANSWERED_RESTORED) {
        /* A new session takes nothing over from a restored record (I28): opened again, alone. */
        buf_wipe(&r->plain);
        buf_wipe(&r->record_out);
        buf_init(&r->plain, SESSION_MESSAGE_MAX);
        buf_init(&r->record_out, SESSION_RECORD_MAX);
        rc = session_decrypt(ep->host->engine, &r->plain, &r->record_out, &r->opened,
                             &tx_secret(ep)->identity, bytes_of(NULL, 0), type,
                             wire_bytes(r->deliver->body), expected, &source, err);
    }
    if (rc != RC_UNTRUSTED)
        return rc;
    /* Installed anew: start from an empty record, accept the new key (trust on first use) and say
     * so; but only once the message has proved it (I27). */
    rc = session_decrypt(ep->host->engine, &r->plain, &r->record_out, &r->opened,
                         &tx_secret(ep)->identity, bytes_of(NULL, 0), type,
                         wire_bytes(r->deliver->body), NULL, &source, err);
    if (rc != RC_OK)
        return rc;
    r->registration_id = 0;
    r->unanswered = 0;
    r->hosting = ENDPOINT_HOSTING_UNKNOWN;
    if (ep->ops->on_identity_changed == NULL)
        return RC_OK;
    return ep->ops->on_identity_changed(ep->ctx, tx, r->peer, r->known_identity,
                                        r->opened.peer_identity, r->now_ms, err);
}

/* Was what travelled in clear what the sender sealed? */
static bool
facts_agree(const struct endpoint *ep, const Parley__Wire__Deliver *d,
            const Parley__Content__Payload *p)
{
    return p->message_id.len == 16 &&
           bytes_equal(wire_bytes(p->message_id), wire_bytes(d->message_id)) &&
           p->sender_account == d->sender->account && p->sender_device == d->sender->device &&
           p->recipient_account == ep->account && p->recipient_device == ep->device &&
           p->class_ == (uint32_t)d->class_ && p->category == (uint32_t)d->category &&
           p->is_template == d->is_template && p->expires_at_ms == d->expires_at_ms;
}

static enum rc
session_store(struct endpoint *ep, struct store_tx *tx, struct reception *r, struct err *err)
{
    struct row_key row = row_key_peer(ep->account, r->key, r->device);
    /* A session that may not send any more stays so until there is a new one (I28). */
    uint32_t unanswered = r->unanswered >= UNANSWERED_STALE ? r->unanswered : 0;
    struct session_description about;
    struct buf sealed;
    enum rc rc;

    buf_init(&sealed, SESSION_RECORD_MAX + SEAL_OVERHEAD);
    rc = row_seal(ep, &sealed, SEAL_YEAR, "end_device", "record", &row, r->version + 1,
                  buf_bytes(&r->record_out), err);
    if (rc != RC_OK)
        goto out;
    if (r->is_known_device && r->registration_id != 0 && !r->opened.is_new_session) {
        rc = store_run(tx, &endpoint_part, SQL_DEVICE_SESSION, NULL, err,
                       ST_ARGS(ST_I(ep->account), ST_B(bytes_of(r->key, 16)), ST_I(r->device),
                               ST_I(r->version), ST_B(buf_bytes(&sealed)), ST_I(unanswered),
                               ST_I(r->now_ms)));
        goto out;
    }
    rc = session_describe(ep->host->engine, &about, buf_bytes(&r->record_out), err);
    if (rc != RC_OK)
        goto out;
    /* A device that wrote to us is one we can write to: the relay corrects us if the list differs.
     */
    rc = store_run(tx, &endpoint_part, SQL_DEVICE_PUT, NULL, err,
                   ST_ARGS(ST_I(ep->account), ST_B(bytes_of(r->key, 16)), ST_I(r->device), ST_I(1),
                           ST_I(about.remote_registration_id),
                           ST_B(bytes_of(r->opened.peer_identity, 33)), ST_I(r->hosting),
                           ST_I(r->version + 1), ST_B(buf_bytes(&sealed)), ST_I(r->now_ms)));
out:
    buf_free(&sealed);
    return rc;
}

static enum rc
owner_take(struct work *work, struct store_tx *tx, struct reception *r,
           const Parley__Content__Payload *payload, struct err *err)
{
    struct endpoint *ep = work->ep;
    struct endpoint_incoming in = {.payload = payload,
                                   .peer = r->peer,
                                   .peer_device = r->device,
                                   .accepted_at_ms = r->deliver->accepted_at_ms,
                                   .now_ms = r->now_ms,
                                   .is_new_session = r->opened.is_new_session};
    struct bytes shown = payload->first_message_id.len == 16 ? wire_bytes(payload->first_message_id)
                                                             : wire_bytes(payload->message_id);

    memcpy(in.message_id, shown.ptr, 16);
    memcpy(in.peer_key, r->key, sizeof in.peer_key);
    switch (payload->class_) {
    case PARLEY__WIRE__CLASS__MESSAGE:
    case PARLEY__WIRE__CLASS__RECEIPT:
        return ep->ops->on_message(ep->ctx, tx, &in, work->out, err);
    case PARLEY__WIRE__CLASS__SIGNAL:
        return retry_apply(work, tx, payload, r->peer, err);
    case PARLEY__WIRE__CLASS__EPHEMERAL:
        if (payload->body_case != PARLEY__CONTENT__PAYLOAD__BODY_TYPING)
            return RC_OK;
        return outputs_add_ephemeral(work->out, r->peer, payload->typing->is_typing);
    default:
        return RC_OK;
    }
}

static enum rc
after_decrypt(struct work *work, struct store_tx *tx, struct reception *r, struct err *err)
{
    struct endpoint *ep = work->ep;
    Parley__Content__Payload *payload;
    struct arena *arena = NULL;
    enum rc rc;

    if ((rc = session_store(ep, tx, r, err)) != RC_OK)
        return rc;
    if (r->opened.used_one_time) { /* I26: gone in the commit that keeps the session */
        rc = store_run(tx, &endpoint_part, SQL_PREKEY_DELETE, NULL, err,
                       ST_ARGS(ST_I(ep->account), ST_I(r->opened.one_time_id)));
        if (rc != RC_OK)
            return rc;
    }
    /* the chain is answered: the rest may go */
    if (peer_was_chain_full(ep, r->unanswered)) {
        rc = seal_waiting(ep, tx, r->peer, work->out, err);
        if (rc != RC_OK)
            return rc;
    }
    if ((rc = arena_new(&arena, 8 * CONTENT_MAX, err)) != RC_OK)
        return rc;
    rc = content_unpack(&payload, arena, buf_bytes(&r->plain), err);
    if (rc == RC_OK && !facts_agree(ep, r->deliver, payload))
        rc = err_set(err, RC_AUTH, "endpoint.receive", "sealed facts differ from those in clear");
    if (rc == RC_OK) {
        rc = owner_take(work, tx, r, payload, err);
    } else if (rc == RC_AUTH || rc == RC_MALFORMED || rc == RC_PROTO || rc == RC_LIMIT) {
        /* It decrypted, but is not a message we can honour: kept out, no receipt (I18). */
        work->undecryptable++;
        log_event(ep->host->log, LOG_WARN, "endpoint.payload_refused", LOG_NUM("peer", r->peer),
                  LOG_HEX("message", wire_bytes(r->deliver->message_id)), LOG_RC(err));
        rc = RC_OK;
    }
    arena_wipe(&arena);
    return rc;
}

/* Ask the sender to send it again, at most RESENDS_MAX times per message. */
static enum rc
ask_again(struct work *work, struct store_tx *tx, struct reception *r, struct err *err)
{
    struct endpoint *ep = work->ep;
    Parley__Content__Payload payload = PARLEY__CONTENT__PAYLOAD__INIT;
    Parley__Content__Retry retry = PARLEY__CONTENT__RETRY__INIT;
    struct endpoint_message message = {.to = r->peer,
                                       .class = PARLEY__WIRE__CLASS__SIGNAL,
                                       .expires_at_ms = r->now_ms + WIRE_EXPIRY_MAX_MS,
                                       .payload = &payload};
    struct store_rows rows;
    uint32_t attempts;
    enum rc rc;

    rc = store_run(tx, &endpoint_part, SQL_FAILURE_BUMP, NULL, err,
                   ST_ARGS(ST_I(ep->account), ST_B(wire_bytes(r->deliver->message_id)),
                           ST_B(bytes_of(r->key, 16)), ST_I(r->now_ms)));
    if (rc != RC_OK)
        return rc;
    store_query(&rows, tx, &endpoint_part, SQL_FAILURE_GET,
                ST_ARGS(ST_I(ep->account), ST_B(wire_bytes(r->deliver->message_id)),
                        ST_B(bytes_of(r->key, 16))));
    attempts = rows.has_row ? (uint32_t)store_col_int(&rows, 0) : 1;
    store_rows_end(&rows);
    if (r->deliver->class_ != PARLEY__WIRE__CLASS__MESSAGE || attempts > RESENDS_MAX)
        return RC_OK;
    /* The request goes out under a new session. The record stays as it is (I27): what else is on
     * its way was sealed for it. */
    rc = store_run(tx, &endpoint_part, SQL_DEVICE_STALE, NULL, err,
                   ST_ARGS(ST_I(ep->account), ST_B(bytes_of(r->key, 16)), ST_I(UNANSWERED_STALE)));
    if (rc != RC_OK)
        return rc;
    message_id_make(message.message_id, r->now_ms, ep->host->rng);
    retry.message_id = r->deliver->message_id;
    retry.attempt = attempts;
    retry.registration_id = tx_secret(ep)->identity.registration_id;
    payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_RETRY;
    payload.retry = &retry;
    return endpoint_enqueue(ep, tx, &message, work->out, err);
}

static enum rc
on_decrypt_failure(struct work *work, struct store_tx *tx, struct reception *r, enum rc why,
                   struct err *err)
{
    struct endpoint *ep = work->ep;
    enum rc rc;

    if (why == RC_DUPLICATE) { /* its seen row had expired: acknowledge, ask nothing */
        work->duplicates++;
        return RC_OK;
    }
    work->undecryptable++;
    log_event(ep->host->log, LOG_WARN, "endpoint.undecryptable", LOG_NUM("peer", r->peer),
              LOG_HEX("message", wire_bytes(r->deliver->message_id)), LOG_RC(err));
    rc = store_run(tx, &endpoint_part, SQL_SEEN_DELETE, NULL, err,
                   ST_ARGS(ST_I(ep->account), ST_B(wire_bytes(r->deliver->message_id)),
                           ST_B(bytes_of(r->key, 16))));
    if (rc != RC_OK)
        return rc;
    return ask_again(work, tx, r, err);
}

static bool
is_store_failure(enum rc rc)
{
    return rc == RC_IO || rc == RC_FULL || rc == RC_NOMEM || rc == RC_BUSY || rc == RC_FENCED ||
           rc == RC_STALE;
}

/* Its owner could not take it, however often it was tried: the others go on (I13). */
static bool
is_poison(const struct endpoint *ep, const Parley__Wire__Deliver *deliver)
{
    return ep->poison.tries >= POISON_TRIES &&
           bytes_equal(bytes_of(ep->poison.id, sizeof ep->poison.id),
                       wire_bytes(deliver->message_id));
}

enum rc
receive_one(struct work *work, struct store_tx *tx, const Parley__Wire__Deliver *deliver,
            struct err *err)
{
    struct endpoint *ep = work->ep;
    struct reception r = {.deliver = deliver,
                          .now_ms = clock_unix_ms(ep->host->clock),
                          .hosting = ENDPOINT_HOSTING_UNKNOWN};
    uint64_t is_new = 0;
    enum rc rc;

    if (deliver->class_ == PARLEY__WIRE__CLASS__NOTICE)
        return notice_apply(work, tx, deliver, err);
    r.peer = deliver->sender->account;
    r.device = deliver->sender->device;
    endpoint_peer_key(ep, r.peer, r.key);
    buf_init(&r.record_in, SESSION_RECORD_MAX);
    buf_init(&r.record_out, SESSION_RECORD_MAX);
    buf_init(&r.plain, SESSION_MESSAGE_MAX);
    if (deliver->class_ != PARLEY__WIRE__CLASS__EPHEMERAL) {
        rc = store_run(tx, &endpoint_part, SQL_SEEN_INSERT, &is_new, err,
                       ST_ARGS(ST_I(ep->account), ST_B(wire_bytes(deliver->message_id)),
                               ST_B(bytes_of(r.key, 16)), ST_I(r.now_ms)));
        if (rc != RC_OK)
            goto out;
        if (is_new == 0) { /* B2: stored before, the ack was lost */
            work->duplicates++;
            goto out;
        }
    }
    if (is_poison(ep, deliver)) {
        work->undecryptable++;
        log_event(ep->host->log, LOG_ERROR, "endpoint.set_aside", LOG_NUM("peer", r.peer),
                  LOG_HEX("message", wire_bytes(deliver->message_id)));
        goto out;
    }
    if ((rc = device_find(ep, tx, &r, err)) != RC_OK)
        goto out;
    rc = decrypt(ep, tx, &r, err);
    if (rc == RC_OK)
        rc = after_decrypt(work, tx, &r, err);
    else if (!is_store_failure(rc))
        rc = on_decrypt_failure(work, tx, &r, rc, err);
out:
    buf_wipe(&r.record_in);
    buf_wipe(&r.record_out);
    buf_wipe(&r.plain);
    return rc;
}
