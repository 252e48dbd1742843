/* verb_code.c - proving that one holds a number: a code is sent, typed back, and becomes a ticket.
 *
 * Owns the rules: six digits, ten minutes, a few tries, a few codes an hour for a number and for an
 * address. What is stored is a keyed hash; codes are compared in constant time. A ticket is bound
 * to the Noise key of whoever typed the code. Source: docs/protocol/registration.md. */
#include <stdio.h>

#include "crypto/prim.h"
#include "relay/code_sender.h"
#include "relay/core.h"
#include "relay/ticket.h"

#define NUMBER_MIN 1000000u /* seven digits */

struct code_request {
    struct ask ask;
    struct code_message message;
    uint8_t hash[SHA256_SIZE];
    int64_t now_ms;
};

struct code_verify {
    struct ask ask;
    uint64_t number;
    uint8_t hash[SHA256_SIZE];   /* of the code that was typed */
    uint8_t ticket[TICKET_SIZE]; /* given out when it is right */
    uint8_t ticket_hash[SHA256_SIZE];
    uint8_t noise_key[32];
    int64_t now_ms;
    bool has_pin;
};

/* The number is hashed in, so a row moved to another number is worth nothing. */
static void
hash_code(uint8_t out[SHA256_SIZE], const struct relay *relay, uint64_t number, const char *code)
{
    struct bytes label = bytes_of(&number, sizeof(number));

    hmac_sha256_2(out, bytes_of(relay->code_key, sizeof(relay->code_key)), label,
                  bytes_of_str(code));
}

/* ---- asking for a code ---- */

static enum rc
note_code(struct code_request *r, struct store_tx *tx, int64_t window_ms, int64_t requests,
          struct err *err)
{
    int64_t now = r->now_ms;
    enum rc rc =
        store_run(tx, &relay_part, SQL_CODE_PUT, NULL, err,
                  ST_ARGS(ST_I(r->message.number), ST_B(bytes_of(r->hash, sizeof(r->hash))),
                          ST_I(now + CODE_LIFE_MS), ST_I(window_ms), ST_I(requests)));

    if (rc != RC_OK)
        return rc;
    return store_run(tx, &relay_part, SQL_DUE_ADD, NULL, err,
                     ST_ARGS(ST_I(now + 2 * HOUR_MS), ST_I(DUE_CODE), ST_I(r->message.number),
                             ST_I(0), ST_I(0)));
}

static enum rc
run_request(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct code_request *r = (struct code_request *)job;
    int64_t window_ms = r->now_ms, requests = 0;
    struct store_rows rows;

    r->ask.reason = PARLEY__WIRE__REASON__REASON_UNSPECIFIED;
    store_query(&rows, tx, &relay_part, SQL_CODE_GET, ST_ARGS(ST_I(r->message.number)));
    if (rows.has_row && store_col_int(&rows, 3) > r->now_ms - HOUR_MS) {
        window_ms = store_col_int(&rows, 3);
        requests = store_col_int(&rows, 4);
    }
    store_rows_end(&rows);
    if (rows.rc != RC_OK)
        return err_set(err, rows.rc, "relay.code", "cannot read a code");
    if (requests >= r->ask.peer->worker->relay->limits.codes_per_number) {
        r->ask.retry_after_s = (uint32_t)((window_ms + HOUR_MS - r->now_ms) / 1000 + 1);
        return ask_no(&r->ask, PARLEY__WIRE__REASON__RATE_LIMITED,
                      "too many codes for this number");
    }
    return note_code(r, tx, window_ms, requests + 1, err);
}

static void
code_sent(void *ctx, enum rc rc)
{
    struct code_request *r = ctx;
    struct relay *relay = r->ask.peer->worker->relay;

    if (rc == RC_OK) {
        atomic_fetch_add(&relay->counters.codes_sent, 1);
        peer_done(r->ask.peer, r->ask.request_id);
    } else {
        log_event(relay->log, LOG_WARN, "code.not_sent", LOG_STR("rc", rc_name(rc)));
        peer_refuse(r->ask.peer, r->ask.request_id, PARLEY__WIRE__REASON__CODE_NOT_SENT, 0,
                    "the code could not be sent");
    }
    bytes_wipe(&r->message, sizeof(r->message));
    ask_end(&r->ask);
}

static void
request_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct code_request *r = (struct code_request *)job;
    struct err failed;

    if (!ask_allowed(&r->ask, rc, err)) {
        bytes_wipe(&r->message, sizeof(r->message));
        ask_end(&r->ask);
        return;
    }
    rc = code_send(r->ask.peer->worker->loop, &r->message, code_sent, r, &failed);
    if (rc != RC_OK)
        code_sent(r, rc);
}

static bool
method_is_known(const char *method)
{
    return strcmp(method, "sms") == 0 || strcmp(method, "voice") == 0;
}

/* Letters, digits, '_' and '-': it goes to a command. */
static bool
is_language(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

    return text[n] == '\0' && n < sizeof(((struct code_message *)0)->language);
}

void
verb_code_request(struct peer *peer, const Parley__Wire__Frame *frame)
{
    const Parley__Wire__CodeRequest *in = frame->code_request;
    struct relay *relay = peer->worker->relay;
    uint32_t retry_s = 0;
    struct code_request *r;

    if (in->number < NUMBER_MIN || !method_is_known(in->method) || !is_language(in->language)) {
        peer_refuse(peer, frame->request_id, PARLEY__WIRE__REASON__MALFORMED, 0,
                    "number, method or language");
        return;
    }
    if (peer->address_key != 0 &&
        !limiter_take(relay->limiter, LIMIT_CODE_ADDRESS, peer->address_key, 0,
                      relay->limits.codes_per_address, HOUR_MS, relay_now_ms(relay), &retry_s)) {
        peer_refuse(peer, frame->request_id, PARLEY__WIRE__REASON__RATE_LIMITED, retry_s,
                    "too many codes from this address");
        return;
    }
    if ((r = ask_new(peer, frame, sizeof(*r))) == NULL)
        return;
    r->now_ms = relay_now_ms(relay);
    r->message = (struct code_message){.command = relay->code_command,
                                       .data_dir = relay->data_dir,
                                       .number = in->number,
                                       .at_ms = r->now_ms};
    snprintf(r->message.code, sizeof(r->message.code), "%06u",
             rng_below(relay->rng, 1000000) % 1000000u);
    snprintf(r->message.method, sizeof(r->message.method), "%s", in->method);
    snprintf(r->message.language, sizeof(r->message.language), "%s",
             in->language[0] == '\0' ? "en" : in->language);
    hash_code(r->hash, relay, in->number, r->message.code);
    ask_write(&r->ask, run_request, request_done, true);
}

/* ---- typing it back ---- */

static enum rc
judge_code(struct code_verify *v, struct store_tx *tx, struct err *err)
{
    uint32_t most = v->ask.peer->worker->relay->limits.code_tries;
    struct store_rows rows;

    store_query(&rows, tx, &relay_part, SQL_CODE_GET, ST_ARGS(ST_I(v->number)));
    if (!rows.has_row || store_col_int(&rows, 1) <= v->now_ms)
        ask_no(&v->ask, PARLEY__WIRE__REASON__CODE_EXPIRED, "ask for a new code");
    else if (store_col_int(&rows, 2) >= (int64_t)most)
        ask_no(&v->ask, PARLEY__WIRE__REASON__CODE_EXPIRED, "too many tries: ask for a new code");
    else if (!bytes_equal_secret(store_col_bytes(&rows, 0), bytes_of(v->hash, sizeof(v->hash))))
        ask_no(&v->ask, PARLEY__WIRE__REASON__WRONG_CODE, "not the code that was sent");
    store_rows_end(&rows);
    if (rows.rc != RC_OK)
        return err_set(err, rows.rc, "relay.code", "cannot read a code");
    if (v->ask.reason == PARLEY__WIRE__REASON__WRONG_CODE)
        return store_run(tx, &relay_part, SQL_CODE_TRY, NULL, err, ST_ARGS(ST_I(v->number)));
    return RC_OK;
}

static enum rc
give_ticket(struct code_verify *v, struct store_tx *tx, struct err *err)
{
    struct store_rows rows;
    enum rc rc;

    if ((rc = store_run(tx, &relay_part, SQL_CODE_BURN, NULL, err, ST_ARGS(ST_I(v->number)))) !=
        RC_OK)
        return rc;
    store_query(&rows, tx, &relay_part, SQL_ACCOUNT_GET, ST_ARGS(ST_I(v->number)));
    v->has_pin = rows.has_row && !store_col_is_null(&rows, 3);
    store_rows_end(&rows);
    if (rows.rc != RC_OK)
        return err_set(err, rows.rc, "relay.code", "cannot read an account");
    return store_run(tx, &relay_part, SQL_TICKET_PUT, NULL, err,
                     ST_ARGS(ST_I(v->number), ST_B(bytes_of(v->ticket_hash, SHA256_SIZE)),
                             ST_B(bytes_of(v->noise_key, sizeof(v->noise_key))),
                             ST_I(v->now_ms + TICKET_LIFE_MS)));
}

static enum rc
run_verify(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct code_verify *v = (struct code_verify *)job;
    enum rc rc;

    v->ask.reason = PARLEY__WIRE__REASON__REASON_UNSPECIFIED;
    if ((rc = judge_code(v, tx, err)) != RC_OK || v->ask.reason != 0)
        return rc;
    return give_ticket(v, tx, err);
}

static void
verify_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct code_verify *v = (struct code_verify *)job;

    if (ask_allowed(&v->ask, rc, err)) {
        Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
        Parley__Wire__Ticket ticket = PARLEY__WIRE__TICKET__INIT;

        ticket.ticket = wire_field(bytes_of(v->ticket, sizeof(v->ticket)));
        ticket.expires_at_ms = v->now_ms + TICKET_LIFE_MS;
        ticket.pin_required = v->has_pin;
        frame.request_id = v->ask.request_id;
        frame.body_case = PARLEY__WIRE__FRAME__BODY_TICKET;
        frame.ticket = &ticket;
        peer_send(v->ask.peer, &frame);
    }
    bytes_wipe(v->ticket, sizeof(v->ticket));
    ask_end(&v->ask);
}

void
verb_code_verify(struct peer *peer, const Parley__Wire__Frame *frame)
{
    const Parley__Wire__CodeVerify *in = frame->code_verify;
    struct relay *relay = peer->worker->relay;
    struct code_verify *v = ask_new(peer, frame, sizeof(*v));

    if (v == NULL)
        return;
    v->number = in->number;
    v->now_ms = relay_now_ms(relay);
    memcpy(v->noise_key, peer->noise_key, sizeof(v->noise_key));
    hash_code(v->hash, relay, in->number, in->code);
    ticket_make(v->ticket, in->number, relay->rng);
    ticket_hash(v->ticket_hash, relay->code_key, bytes_of(v->ticket, sizeof(v->ticket)));
    ask_write(&v->ask, run_verify, verify_done, false);
}
