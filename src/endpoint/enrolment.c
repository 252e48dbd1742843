/* enrolment.c - an account's keys, made at the moment of registering and bound to the channel.
 *
 * Identity and prekeys are committed before their public halves leave; the identity key signs
 * "PLY-reg" || handshake hash, so the relay knows that whoever holds this channel holds the key.
 * Source: docs/protocol/registration.md. */
#include <sodium.h>
#include <stdlib.h>

#include "endpoint/keys.h"

struct enrolment {
    struct store_job job;
    struct endpoint *ep;
    endpoint_reply_fn *fn;
    void *ctx;
    char pin[8];
    struct arena *arena;
    struct self_secret *secret; /* becomes the endpoint's */
    struct session_signed_prekey signed_prekey;
    struct session_prekey *one_time;
    uint32_t n_one_time, first_prekey, first_signed;
    uint64_t generation;
    int64_t until_ms; /* monotonic: how long it waits for a channel */
};

static void
enrolment_end(struct enrolment *e, enum rc rc, Parley__Wire__Reason reason, const char *text)
{
    struct endpoint *ep = e->ep;

    e->fn(e->ctx, rc, reason, text);
    bytes_wipe(e->pin, sizeof e->pin);
    bytes_wipe(&e->signed_prekey, sizeof e->signed_prekey);
    arena_wipe(&e->arena);
    if (e->secret != NULL)
        sodium_free(e->secret);
    free(e);
    endpoint_release(ep);
}

enum rc
account_clear(struct endpoint *ep, struct store_tx *tx, struct err *err)
{
    static const enum endpoint_stmt clears[] = {SQL_SIGNED_CLEAR, SQL_PREKEY_CLEAR,
                                                SQL_DEVICE_CLEAR};
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < ARRAY_LEN(clears); i++)
        rc = store_run(tx, &endpoint_part, clears[i], NULL, err, ST_ARGS(ST_I(ep->account)));
    return rc;
}

static enum rc
self_store(struct enrolment *e, struct store_tx *tx, struct err *err)
{
    struct endpoint *ep = e->ep;
    struct row_key key = row_key_num(ep->account, 0);
    struct buf sealed;
    enum rc rc;

    buf_init(&sealed, 1024);
    rc = row_seal(ep, &sealed, SEAL_YEAR, "end_self", "secret", &key, 0,
                  bytes_of(e->secret, sizeof *e->secret), err);
    if (rc == RC_OK)
        rc = store_run(tx, &endpoint_part, SQL_SELF_PUT, NULL, err,
                       ST_ARGS(ST_I(ep->account), ST_I(e->secret->identity.registration_id),
                               ST_I(ep->tx_counter), ST_I(ep->tx_ord),
                               ST_I(keys_next_id(e->first_prekey, e->n_one_time)),
                               ST_I(keys_next_id(e->first_signed, 1)), ST_B(buf_bytes(&sealed))));
    buf_free(&sealed);
    return rc;
}

static enum rc
enrolment_make(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct enrolment *e = (struct enrolment *)job;
    struct endpoint *ep = e->ep;
    struct session_engine *engine = ep->host->engine;
    int64_t now_ms = clock_unix_ms(ep->host->clock);
    enum rc rc;

    if (ep->ops->guard != NULL && (rc = ep->ops->guard(ep->ctx, tx, err)) != RC_OK)
        return rc;
    if ((rc = account_clear(ep, tx, err)) != RC_OK)
        return rc;
    if ((rc = session_identity_make(engine, &e->secret->identity, err)) != RC_OK)
        return rc;
    rc = session_signed_prekey_make(engine, &e->signed_prekey, &e->secret->identity,
                                    e->first_signed, now_ms, err);
    if (rc == RC_OK)
        rc = session_prekeys_make(engine, e->one_time, e->n_one_time, e->first_prekey, err);
    if (rc == RC_OK)
        rc = self_store(e, tx, err);
    if (rc == RC_OK)
        rc = keys_store_signed(ep, tx, &e->signed_prekey, err);
    if (rc == RC_OK)
        rc = keys_store_one_time(ep, tx, e->one_time, e->n_one_time, now_ms, err);
    return rc;
}

static enum rc
enrolment_mark(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct enrolment *e = (struct enrolment *)job;
    enum rc rc;

    rc = store_run(tx, &endpoint_part, SQL_SELF_REGISTERED, NULL, err,
                   ST_ARGS(ST_I(e->ep->account), ST_I(1), ST_I(e->generation)));
    if (rc == RC_OK)
        rc = store_run(tx, &endpoint_part, SQL_SIGNED_UPLOADED, NULL, err,
                       ST_ARGS(ST_I(e->ep->account), ST_I(e->signed_prekey.pair.id)));
    return rc;
}

static void
enrolment_marked(struct store_job *job, enum rc rc, const struct err *err)
{
    struct enrolment *e = (struct enrolment *)job;
    struct endpoint *ep = e->ep;

    if (rc != RC_OK) {
        enrolment_end(e, rc, PARLEY__WIRE__REASON__UNAVAILABLE, err->text);
        return;
    }
    ep->state = SELF_REGISTERED;
    ep->generation = e->generation;
    ep->ticket_len = 0;
    ep->is_enrolling = false;
    ep->is_refused = false;
    enrolment_end(e, RC_OK, PARLEY__WIRE__REASON__REASON_UNSPECIFIED, "");
    if (!ep->is_closing && !ep->is_offline)
        link_retry(ep->link); /* come back and log in */
}

static void
on_registered(void *ctx, enum rc rc, const Parley__Wire__Frame *reply)
{
    struct enrolment *e = ctx;

    if (rc != RC_OK)
        enrolment_end(e, rc, PARLEY__WIRE__REASON__UNAVAILABLE, "the relay did not answer");
    else if (reply->body_case == PARLEY__WIRE__FRAME__BODY_REFUSAL)
        enrolment_end(e, RC_DENIED, reply->refusal->reason, reply->refusal->text);
    else if (reply->body_case != PARLEY__WIRE__FRAME__BODY_REGISTERED)
        enrolment_end(e, RC_PROTO, PARLEY__WIRE__REASON__MALFORMED, "unexpected answer");
    else {
        e->generation = reply->registered->generation;
        e->job = (struct store_job){
            .run = enrolment_mark, .done = enrolment_marked, .loop = e->ep->host->loop};
        store_submit(e->ep->host->store, &e->job);
    }
}

/* label || data under the identity key. */
static enum rc
sign_labelled(struct enrolment *e, const char *label, struct bytes data, uint8_t sig[64],
              struct err *err)
{
    uint8_t random64[64];
    struct buf msg;

    buf_init(&msg, 4096);
    buf_put_str(&msg, label);
    buf_put(&msg, data);
    if (buf_failed(&msg)) {
        buf_free(&msg);
        return err_set(err, RC_NOMEM, "endpoint.register", "signed bytes");
    }
    rng_fill(e->ep->host->rng, random64, sizeof random64);
    curve_sign(sig, e->secret->identity.priv, buf_bytes(&msg), random64);
    bytes_wipe(random64, sizeof random64);
    buf_free(&msg);
    return RC_OK;
}

struct register_frame { /* storage of the nested wire structs */
    Parley__Wire__Frame frame;
    Parley__Wire__Register reg;
    Parley__Wire__DeviceKeys keys;
    Parley__Wire__SignedPrekey signed_prekey;
    Parley__Wire__DeviceStatement statement;
    uint8_t details[64], details_sig[64], channel_sig[64];
};

static enum rc
statement_fill(struct enrolment *e, struct register_frame *f, struct err *err)
{
    Parley__Wire__DeviceDetails details = PARLEY__WIRE__DEVICE_DETAILS__INIT;
    size_t n;

    details.account = e->ep->account;
    details.device = 1;
    details.hosting = e->ep->policy->hosting;
    details.created_ms = clock_unix_ms(e->ep->host->clock);
    n = parley__wire__device_details__get_packed_size(&details);
    if (n > sizeof f->details)
        return err_set(err, RC_LIMIT, "endpoint.register", "statement");
    parley__wire__device_details__pack(&details, f->details);
    f->statement.details = wire_field(bytes_of(f->details, n));
    f->statement.signature = wire_field(bytes_of(f->details_sig, 64));
    return sign_labelled(e, "PLY-device", bytes_of(f->details, n), f->details_sig, err);
}

static enum rc
register_send(struct enrolment *e, struct err *err)
{
    struct endpoint *ep = e->ep;
    struct register_frame f = {.frame = PARLEY__WIRE__FRAME__INIT,
                               .reg = PARLEY__WIRE__REGISTER__INIT,
                               .keys = PARLEY__WIRE__DEVICE_KEYS__INIT,
                               .statement = PARLEY__WIRE__DEVICE_STATEMENT__INIT};
    const uint8_t *hash = link_hash(ep->link);
    struct buf cert;
    enum rc rc;

    if (hash == NULL)
        return err_set(err, RC_CLOSED, "endpoint.register", "no connection to the relay");
    buf_init(&cert, 4096);
    if ((rc = statement_fill(e, &f, err)) != RC_OK)
        goto out;
    if ((rc = sign_labelled(e, "PLY-reg", bytes_of(hash, 32), f.channel_sig, err)) != RC_OK)
        goto out;
    keys_wire_signed(&f.signed_prekey, &e->signed_prekey);
    f.keys.registration_id = e->secret->identity.registration_id;
    f.keys.identity_key = wire_field(bytes_of(e->secret->identity.pub, 33));
    f.keys.signed_prekey = &f.signed_prekey;
    f.keys.statement = &f.statement;
    f.keys.n_one_time = e->n_one_time;
    if (!keys_wire_one_time(e->arena, &f.keys.one_time, e->one_time, e->n_one_time)) {
        rc = err_set(err, RC_NOMEM, "endpoint.register", "prekeys");
        goto out;
    }
    f.reg.ticket = wire_field(bytes_of(ep->ticket, ep->ticket_len));
    f.reg.pin = e->pin;
    f.reg.new_pin = e->pin;
    f.reg.keys = &f.keys;
    f.reg.channel_signature = wire_field(bytes_of(f.channel_sig, 64));
    if (ep->certificate != NULL && ep->certificate(ep->ctx, &cert))
        f.reg.number_certificate = wire_field(buf_bytes(&cert));
    f.frame.body_case = PARLEY__WIRE__FRAME__BODY_REGISTER;
    f.frame.register_ = &f.reg;
    rc = link_request(ep->link, &f.frame, WIRE_REQUEST_TIMEOUT_MS, on_registered, e, err);
out:
    buf_free(&cert);
    return rc;
}

static void
enrolment_send(struct enrolment *e)
{
    struct err err = {0};
    enum rc rc;

    e->secret = e->ep->secret; /* borrowed while the frame is built */
    rc = register_send(e, &err);
    e->secret = NULL;
    if (rc != RC_OK)
        enrolment_end(e, rc, PARLEY__WIRE__REASON__UNAVAILABLE, err.text);
}

void
enrolment_flush(struct endpoint *ep)
{
    struct enrolment *e = ep->enrolment;

    ep->enrolment = NULL;
    if (e != NULL)
        enrolment_send(e);
}

void
enrolment_abandon(struct endpoint *ep, bool all)
{
    struct enrolment *e = ep->enrolment;

    if (e == NULL || (!all && e->until_ms > clock_mono_ms(ep->host->clock)))
        return;
    ep->enrolment = NULL;
    enrolment_end(e, RC_TIMEOUT, PARLEY__WIRE__REASON__UNAVAILABLE,
                  "the relay cannot be reached; is it running?");
}

static void
enrolment_made(struct store_job *job, enum rc rc, const struct err *why)
{
    struct enrolment *e = (struct enrolment *)job;
    struct endpoint *ep = e->ep;
    struct self_secret *old = ep->secret;

    if (rc != RC_OK) {
        enrolment_end(e, rc, PARLEY__WIRE__REASON__UNAVAILABLE, why->text);
        return;
    }
    __atomic_store_n(&ep->secret, e->secret, __ATOMIC_RELEASE); /* committed: who we are now */
    e->secret = NULL;
    ep->state = SELF_REGISTERING;
    ep->signed_created_ms = e->signed_prekey.created_ms;
    ep->next_prekey = keys_next_id(e->first_prekey, e->n_one_time);
    ep->next_signed = keys_next_id(e->first_signed, 1);
    ep->must_replace = false;
    if (ep->retired != NULL)
        sodium_free(ep->retired);
    ep->retired = old;
    if (ep->is_closing) {
        enrolment_end(e, RC_CLOSED, PARLEY__WIRE__REASON__UNAVAILABLE, "closing");
        return;
    }
    if (registration_is_channel_open(ep)) {
        enrolment_send(e);
        return;
    }
    /* The relay does not wait for long on a channel without a login; the ticket outlives it. */
    e->until_ms = clock_mono_ms(ep->host->clock) + WIRE_REQUEST_TIMEOUT_MS;
    ep->enrolment = e;
}

void
endpoint_register(struct endpoint *ep, const char *pin, endpoint_reply_fn *fn, void *ctx)
{
    struct enrolment *e = calloc(1, sizeof *e);
    struct rng rng = ep->host->rng;

    if (e == NULL || ep->ticket_len == 0 || arena_new(&e->arena, 2u << 20, NULL) != RC_OK ||
        (e->secret = sodium_malloc(sizeof *e->secret)) == NULL) {
        if (e != NULL)
            arena_free(&e->arena);
        free(e);
        fn(ctx, RC_PROTO, PARLEY__WIRE__REASON__TICKET_INVALID, "verify the number first");
        return;
    }
    memset(e->secret, 0, sizeof *e->secret);
    e->ep = ep;
    e->fn = fn;
    e->ctx = ctx;
    if (pin != NULL && strlen(pin) < sizeof e->pin)
        memcpy(e->pin, pin, strlen(pin));
    e->secret->noise = ep->noise;
    e->n_one_time = ep->policy->prekeys_first;
    e->first_prekey = 1 + rng_below(rng, SESSION_PREKEY_ID_MAX);
    e->first_signed = 1 + rng_below(rng, SESSION_PREKEY_ID_MAX);
    e->one_time = arena_alloc(e->arena, e->n_one_time * sizeof *e->one_time);
    endpoint_hold(ep);
    if (e->one_time == NULL) {
        enrolment_end(e, RC_NOMEM, PARLEY__WIRE__REASON__UNAVAILABLE, "out of memory");
        return;
    }
    e->job =
        (struct store_job){.run = enrolment_make, .done = enrolment_made, .loop = ep->host->loop};
    store_submit(ep->host->store, &e->job);
}
