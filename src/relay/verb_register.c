/* verb_register.c - a ticket, keys and signatures become a registered device.
 *
 * Four steps, each leaving the loop free: read ticket and PIN verifier; check signatures,
 * certificate and PIN on a worker thread (Argon2id takes its time); decide and write in one
 * transaction; tell the old connection. A new registration raises the generation, so whatever the
 * old one still sends is refused, and what waited for it goes back to its senders (sweep.c). Must
 * never keep a PIN. Source: docs/protocol/registration.md. */
#include <stdlib.h>

#include "crypto/cert.h"
#include "relay/core.h"
#include "relay/devices.h"
#include "relay/server.h"
#include "relay/ticket.h"

#define PRIMARY_DEVICE 1u
#define PIN_SIZE 7u /* six digits and the NUL */
#define PIN_TRIES 5 /* wrong PINs in a row before the number has to wait */
#define PIN_WAIT_MS (15 * 60 * 1000)
#define CHANNEL_LABEL "PLY-reg"
#define STATEMENT_LABEL "PLY-device"
#define SIGNED_MAX 320u /* label and statement */

struct registration {
    struct ask ask;
    uv_work_t work;
    uint64_t number;
    int64_t now_ms;
    uint8_t ticket_hash[SHA256_SIZE], noise_key[32], hash[32];
    char pin[PIN_SIZE], new_pin[PIN_SIZE];
    uint8_t channel_signature[64];
    struct device_keys keys;
    uint8_t cert[2048];
    size_t cert_len;
    /* found and decided on the way */
    bool has_pin, pin_is_wrong, is_business;
    char verifier[128], new_verifier[128];
    uint64_t generation;
    bool has_rest;                  /* something waited for the old registration */
    struct one_time_key one_time[]; /* keys.n_one_time of them */
};

static void
finish(struct registration *r)
{
    peer_reopen(r->ask.peer);
    bytes_wipe(r->pin, sizeof(r->pin));
    bytes_wipe(r->new_pin, sizeof(r->new_pin));
    ask_end(&r->ask);
}

static void
refuse(struct registration *r, Parley__Wire__Reason reason, const char *text)
{
    peer_refuse(r->ask.peer, r->ask.request_id, reason, 0, text);
    finish(r);
}

/* ---- the ticket ---- */

static enum rc
check_ticket(struct registration *r, struct store_tx *tx, struct err *err)
{
    struct store_rows rows;

    store_query(&rows, tx, &relay_part, SQL_TICKET_GET,
                ST_ARGS(ST_I(r->number), ST_B(bytes_of(r->ticket_hash, SHA256_SIZE))));
    if (!rows.has_row || store_col_int(&rows, 1) <= r->now_ms ||
        !bytes_equal_secret(store_col_bytes(&rows, 0), bytes_of(r->noise_key, 32)))
        ask_no(&r->ask, PARLEY__WIRE__REASON__TICKET_INVALID, "ask for a new code");
    store_rows_end(&rows);
    return rows.rc == RC_OK ? RC_OK
                            : err_set(err, rows.rc, "relay.register", "cannot read a ticket");
}

/* The account as it stands: generation, PIN, and whether PINs may be tried now. The verifier must
 * be the one that was checked (is_again), or the answer would be about another PIN. */
static enum rc
read_account(struct registration *r, struct store_tx *tx, bool is_again, struct err *err)
{
    struct store_rows rows;
    struct bytes pin = {0};

    store_query(&rows, tx, &relay_part, SQL_ACCOUNT_GET, ST_ARGS(ST_I(r->number)));
    if (rows.has_row) {
        r->generation = (uint64_t)store_col_int(&rows, 1);
        pin = store_col_bytes(&rows, 3);
        if (store_col_int(&rows, 5) > r->now_ms) {
            r->ask.retry_after_s = (uint32_t)((store_col_int(&rows, 5) - r->now_ms) / 1000 + 1);
            ask_no(&r->ask, PARLEY__WIRE__REASON__RATE_LIMITED, "too many wrong PINs: wait");
        }
    }
    if (is_again && !bytes_equal(pin, bytes_of_str(r->verifier)))
        ask_no(&r->ask, PARLEY__WIRE__REASON__UNAVAILABLE, "the PIN has just changed: try again");
    if (!is_again && pin.len > 0 && pin.len < sizeof(r->verifier)) {
        memcpy(r->verifier, pin.ptr, pin.len);
        r->verifier[pin.len] = '\0';
        r->has_pin = true;
    }
    store_rows_end(&rows);
    return rows.rc == RC_OK ? RC_OK
                            : err_set(err, rows.rc, "relay.register", "cannot read an account");
}

static enum rc
run_look(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct registration *r = (struct registration *)job;
    enum rc rc;

    r->ask.reason = PARLEY__WIRE__REASON__REASON_UNSPECIFIED;
    r->has_pin = false;
    if ((rc = check_ticket(r, tx, err)) != RC_OK || r->ask.reason != 0)
        return rc;
    return read_account(r, tx, false, err);
}

/* ---- signatures, certificate, PIN: on a worker thread ---- */

/* The statement must be about this device, and signed by it. */
static bool
statement_holds(const struct registration *r)
{
    const struct device_keys *k = &r->keys;
    struct bytes details = bytes_of(k->statement, k->statement_len);
    Parley__Wire__DeviceDetails *d =
        parley__wire__device_details__unpack(NULL, details.len, details.ptr);
    bool holds = d != NULL && d->account == r->number && d->device == PRIMARY_DEVICE;
    uint8_t text[SIGNED_MAX];
    size_t label = sizeof(STATEMENT_LABEL) - 1;

    if (d != NULL)
        parley__wire__device_details__free_unpacked(d, NULL);
    if (!holds || label + details.len > sizeof(text))
        return false;
    memcpy(text, STATEMENT_LABEL, label);
    memcpy(text + label, details.ptr, details.len);
    return curve_verify(k->statement_signature, k->identity + 1,
                        bytes_of(text, label + details.len)) == RC_OK;
}

static bool
channel_holds(const struct registration *r)
{
    size_t label = sizeof(CHANNEL_LABEL) - 1;
    uint8_t text[sizeof(CHANNEL_LABEL) - 1 + 32];

    memcpy(text, CHANNEL_LABEL, label);
    memcpy(text + label, r->hash, sizeof(r->hash));
    return curve_verify(r->channel_signature, r->keys.identity + 1, bytes_of(text, sizeof(text))) ==
           RC_OK;
}

static void
check_certificate(struct registration *r)
{
    const struct relay *relay = r->ask.peer->worker->relay;
    struct number_cert cert;
    struct err err;

    if (r->cert_len == 0)
        return;
    r->is_business = relay->has_authority &&
                     number_cert_read(&cert, bytes_of(r->cert, r->cert_len), relay->authority,
                                      clock_wall_ms(relay->clock) / 1000, &err) == RC_OK &&
                     cert.number == r->number;
    if (!r->is_business)
        ask_no(&r->ask, PARLEY__WIRE__REASON__BAD_CERTIFICATE,
               "not a valid certificate of this number");
}

static void
check_pin(struct registration *r)
{
    struct err err;

    if (r->has_pin)
        r->pin_is_wrong =
            r->pin[0] == '\0' || password_verify(r->verifier, bytes_of_str(r->pin)) != RC_OK;
    if (!r->pin_is_wrong && r->new_pin[0] != '\0' &&
        password_hash(r->new_verifier, bytes_of_str(r->new_pin), &err) != RC_OK)
        ask_no(&r->ask, PARLEY__WIRE__REASON__UNAVAILABLE, "cannot hash the PIN now");
}

static void
check(uv_work_t *work)
{
    struct registration *r = work->data;

    if (!device_signed_prekey_holds(r->keys.identity, &r->keys.signed_prekey) ||
        !channel_holds(r) || !statement_holds(r)) {
        ask_no(&r->ask, PARLEY__WIRE__REASON__BAD_SIGNATURE,
               "a signature does not match the identity key");
        return;
    }
    check_certificate(r);
    if (r->ask.reason == PARLEY__WIRE__REASON__REASON_UNSPECIFIED)
        check_pin(r);
}

/* ---- the decision ---- */

static enum rc
note_wrong_pin(struct registration *r, struct store_tx *tx, struct err *err)
{
    struct store_rows rows;
    int64_t tries = 0;

    store_query(&rows, tx, &relay_part, SQL_ACCOUNT_GET, ST_ARGS(ST_I(r->number)));
    if (rows.has_row)
        tries = store_col_int(&rows, 4);
    store_rows_end(&rows);
    if (rows.rc != RC_OK)
        return err_set(err, rows.rc, "relay.register", "cannot read an account");
    ask_no(&r->ask, PARLEY__WIRE__REASON__PIN_MISMATCH, "wrong two-step PIN");
    if (r->pin[0] == '\0')
        return RC_OK; /* none was offered: nothing was guessed */
    return store_run(
        tx, &relay_part, SQL_ACCOUNT_PIN_TRY, NULL, err,
        ST_ARGS(ST_I(r->number), ST_I((tries + 1) % PIN_TRIES == 0 ? r->now_ms + PIN_WAIT_MS : 0)));
}

static enum rc
write_account(struct registration *r, struct store_tx *tx, struct err *err)
{
    struct store_arg cert = r->is_business ? ST_B(bytes_of(r->cert, r->cert_len)) : ST_NULL;
    enum rc rc;

    if ((rc = store_run(tx, &relay_part, SQL_ACCOUNT_ADD, NULL, err, ST_ARGS(ST_I(r->number)))) !=
        RC_OK)
        return rc;
    if (r->new_verifier[0] != '\0' &&
        (rc = store_run(tx, &relay_part, SQL_ACCOUNT_PIN, NULL, err,
                        ST_ARGS(ST_I(r->number), ST_T(r->new_verifier)))) != RC_OK)
        return rc;
    return store_run(tx, &relay_part, SQL_ACCOUNT_REGISTERED, NULL, err,
                     ST_ARGS(ST_I(r->number), ST_I(r->is_business), ST_I(r->generation), cert));
}

static enum rc
run_decide(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct registration *r = (struct registration *)job;
    struct device_change change;
    enum rc rc;

    r->ask.reason = PARLEY__WIRE__REASON__REASON_UNSPECIFIED;
    if ((rc = check_ticket(r, tx, err)) != RC_OK || r->ask.reason != 0)
        return rc;
    r->generation = 0;
    if ((rc = read_account(r, tx, true, err)) != RC_OK || r->ask.reason != 0)
        return rc;
    if (r->pin_is_wrong)
        return note_wrong_pin(r, tx, err); /* the ticket stays good for another try */
    r->generation++;
    if ((rc = store_run(tx, &relay_part, SQL_TICKET_DROP, NULL, err,
                        ST_ARGS(ST_I(r->number), ST_B(bytes_of(r->ticket_hash, SHA256_SIZE))))) !=
            RC_OK ||
        (rc = write_account(r, tx, err)) != RC_OK)
        return rc;
    change = (struct device_change){.account = r->number,
                                    .device = PRIMARY_DEVICE,
                                    .generation = r->generation,
                                    .n_lanes = r->is_business ? WIRE_BUSINESS_LANES : 1,
                                    .now_ms = r->now_ms,
                                    .noise_key = r->noise_key,
                                    .keys = &r->keys,
                                    .one_time = r->one_time};
    rc = device_write(&change, tx, err);
    r->has_rest = change.has_rest;
    return rc;
}

static void
send_registered(struct registration *r)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Registered registered = PARLEY__WIRE__REGISTERED__INIT;
    Parley__Wire__Address address = PARLEY__WIRE__ADDRESS__INIT;

    address.account = r->number;
    address.device = PRIMARY_DEVICE;
    registered.address = &address;
    registered.generation = r->generation;
    frame.request_id = r->ask.request_id;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_REGISTERED;
    frame.registered = &registered;
    peer_send(r->ask.peer, &frame);
}

static void
decide_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct registration *r = (struct registration *)job;
    struct relay *relay = r->ask.peer->worker->relay;

    if (ask_allowed(&r->ask, rc, err)) {
        log_event(relay->log, LOG_INFO, "registered", LOG_NUM("account", r->number),
                  LOG_UINT("generation", r->generation), LOG_FLAG("business", r->is_business));
        device_close_routes(relay, r->number, PRIMARY_DEVICE, r->generation,
                            "the number has been registered again");
        send_registered(r);
    }
    finish(r);
}

static void
checked(uv_work_t *work, int status)
{
    struct registration *r = work->data;

    if (r->ask.reason != PARLEY__WIRE__REASON__REASON_UNSPECIFIED)
        refuse(r, r->ask.reason, r->ask.text);
    else
        ask_write(&r->ask, run_decide, decide_done, true);
}

static void
look_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct registration *r = (struct registration *)job;

    r->work.data = r;
    if (!ask_allowed(&r->ask, rc, err))
        finish(r);
    else if (uv_queue_work(loop_uv(r->ask.peer->worker->loop), &r->work, check, checked) != 0)
        refuse(r, PARLEY__WIRE__REASON__UNAVAILABLE, "no thread to check with");
}

/* ---- the frame ---- */

static bool
is_pin(const char *text)
{
    return text[0] == '\0' ||
           (strspn(text, "0123456789") == PIN_SIZE - 1 && text[PIN_SIZE - 1] == '\0');
}

static const char *
fault_of(const Parley__Wire__Register *in, uint64_t number)
{
    if (number == 0)
        return "ticket";
    if (!is_pin(in->pin) || !is_pin(in->new_pin))
        return "a PIN is six digits";
    if (in->keys->statement == NULL)
        return "the device's statement is missing";
    return NULL;
}

void
verb_register(struct peer *peer, const Parley__Wire__Frame *frame)
{
    const Parley__Wire__Register *in = frame->register_;
    uint64_t number = ticket_number(wire_bytes(in->ticket));
    const char *fault = fault_of(in, number);
    struct relay *relay = peer->worker->relay;
    struct registration *r;

    if (fault != NULL) {
        peer_refuse(peer, frame->request_id, PARLEY__WIRE__REASON__MALFORMED, 0, fault);
        return;
    }
    r = ask_new(peer, frame, sizeof(*r) + in->keys->n_one_time * sizeof(struct one_time_key));
    if (r == NULL)
        return;
    peer->state = PEER_ASKING;
    r->number = number;
    r->now_ms = relay_now_ms(relay);
    ticket_hash(r->ticket_hash, relay->code_key, wire_bytes(in->ticket));
    memcpy(r->noise_key, peer->noise_key, sizeof(r->noise_key));
    memcpy(r->hash, peer->hash, sizeof(r->hash));
    memcpy(r->pin, in->pin, strlen(in->pin));
    memcpy(r->new_pin, in->new_pin, strlen(in->new_pin));
    memcpy(r->channel_signature, in->channel_signature.data, sizeof(r->channel_signature));
    if (in->number_certificate.len > 0 && in->number_certificate.len <= sizeof(r->cert)) {
        r->cert_len = in->number_certificate.len;
        memcpy(r->cert, in->number_certificate.data, r->cert_len);
    }
    device_keys_copy(&r->keys, r->one_time, in->keys);
    ask_read(&r->ask, run_look, look_done);
}
