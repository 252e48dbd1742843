/* accept.c - T1: a message of the business's becomes ours to deliver, durable before it is
 * answered.
 *
 * One transaction: lease checked, idempotency looked up, message row, idempotency row, outgoing
 * queue (and the encryption, where a session is at hand). The caller answers 200 from fn, after the
 * covering commit (I1, I3); with the same key and body it gets the first call's id again (I2). */
#include <stdlib.h>

#include "gateway/internal.h"

struct accept {
    struct store_job job;
    struct gateway *gw;
    struct number *number;
    struct endpoint *endpoint;
    struct gateway_send send;
    struct endpoint_outputs *out;
    struct gateway_accepted accepted;
    bool is_conflict;
    uint8_t key_hash[SHA256_SIZE], body_hash[SHA256_SIZE];
    gateway_send_fn *fn;
    void *ctx;
};

/* A key that was used before: answer as then, or refuse another body. */
static enum rc
idempotency_look(struct accept *a, struct store_tx *tx, bool *is_known, struct err *err UNUSED)
{
    struct store_rows rows;

    *is_known = false;
    store_query(&rows, tx, &gateway_part, SQL_IDEM_GET,
                ST_ARGS(ST_I(a->send.account), ST_B(bytes_of(a->key_hash, SHA256_SIZE))));
    if (rows.has_row && store_col_bytes(&rows, 1).len == sizeof a->accepted.message_id) {
        *is_known = true;
        a->is_conflict =
            !bytes_equal(store_col_bytes(&rows, 0), bytes_of(a->body_hash, SHA256_SIZE));
        a->accepted.is_repeat = true;
        memcpy(a->accepted.message_id, store_col_bytes(&rows, 1).ptr,
               sizeof a->accepted.message_id);
    }
    store_rows_end(&rows);
    return rows.rc;
}

static enum rc
idempotency_store(struct accept *a, struct store_tx *tx, int64_t now_ms, struct err *err)
{
    return store_run(tx, &gateway_part, SQL_IDEM_INSERT, NULL, err,
                     ST_ARGS(ST_I(a->send.account), ST_B(bytes_of(a->key_hash, SHA256_SIZE)),
                             ST_B(bytes_of(a->body_hash, SHA256_SIZE)),
                             ST_B(bytes_of(a->accepted.message_id, 16)), ST_I(now_ms)));
}

static enum rc
accept_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct accept *a = (struct accept *)job;
    int64_t now_ms = clock_unix_ms(a->gw->host.clock);
    struct endpoint_message message = {.to = a->send.to,
                                       .class = PARLEY__WIRE__CLASS__MESSAGE,
                                       .category = a->send.category,
                                       .is_template = a->send.is_template,
                                       .payload = a->send.payload};
    bool is_known = false;
    enum rc rc;

    endpoint_outputs_reset(a->out);
    a->is_conflict = false;
    a->accepted.is_repeat = false;
    memcpy(a->accepted.message_id, a->send.message_id, 16);
    memcpy(message.message_id, a->send.message_id, 16);
    message.expires_at_ms =
        now_ms + (a->send.ttl_ms > 0 && a->send.ttl_ms < WIRE_EXPIRY_MAX_MS ? a->send.ttl_ms
                                                                            : WIRE_EXPIRY_MAX_MS);
    if ((rc = lease_guard(a->number, tx, err)) != RC_OK)
        return rc;
    if (a->send.idempotency_key.len > 0) {
        if ((rc = idempotency_look(a, tx, &is_known, err)) != RC_OK || is_known)
            return rc;
        if ((rc = idempotency_store(a, tx, now_ms, err)) != RC_OK)
            return rc;
    }
    rc = message_insert(a->number, tx, &a->send, a->send.message_id, now_ms, err);
    if (rc == RC_OK)
        rc = endpoint_enqueue(a->endpoint, tx, &message, a->out, err);
    return rc;
}

static void
accept_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct accept *a = (struct accept *)job;
    struct gateway *gw = a->gw;

    if (rc == RC_OK && a->is_conflict)
        rc = RC_EXISTS;
    else if (rc != RC_OK)
        log_event(gw->host.log, LOG_WARN, "gateway.accept_failed",
                  LOG_NUM("number", a->send.account), LOG_RC(err));
    a->fn(a->ctx, rc, rc == RC_OK ? &a->accepted : NULL);
    if (rc == RC_OK)
        endpoint_committed(a->endpoint, a->out);
    if (rc == RC_FENCED)
        lease_lost(a->number);
    endpoint_outputs_free(&a->out);
    endpoint_release(a->endpoint);
    free(a);
    gateway_release(gw);
}

static void
hash_request(struct accept *a)
{
    if (a->send.idempotency_key.len == 0)
        return;
    hmac_sha256(a->key_hash, bytes_of(a->number->idem_key, sizeof a->number->idem_key),
                a->send.idempotency_key);
    hmac_sha256(a->body_hash, bytes_of(a->number->idem_key, sizeof a->number->idem_key),
                a->send.request_body);
}

void
gateway_send(struct gateway *gw, const struct gateway_send *send, gateway_send_fn *fn, void *ctx)
{
    struct number *number = number_find(gw, send->account);
    struct accept *a;

    /* not served here, or not yet: its lease is being taken, or another instance has it */
    if (number == NULL || number->endpoint == NULL || gw->is_closing) {
        fn(ctx, RC_BUSY, NULL);
        return;
    }
    if (!endpoint_is_registered(number->endpoint)) {
        fn(ctx, RC_PROTO, NULL);
        return;
    }
    if (send->opaque.len > GATEWAY_OPAQUE_MAX) {
        fn(ctx, RC_LIMIT, NULL);
        return;
    }
    if ((a = calloc(1, sizeof *a)) == NULL ||
        (a->out = endpoint_outputs_new(number->endpoint)) == NULL) {
        free(a);
        fn(ctx, RC_NOMEM, NULL);
        return;
    }
    a->gw = gw;
    a->number = number;
    a->endpoint = number->endpoint;
    a->send = *send;
    a->fn = fn;
    a->ctx = ctx;
    hash_request(a);
    a->job = (struct store_job){
        .run = accept_run, .done = accept_done, .loop = gw->host.loop, .grows = true};
    gateway_hold(gw);
    endpoint_hold(a->endpoint);
    store_submit(gw->host.store, &a->job);
}
