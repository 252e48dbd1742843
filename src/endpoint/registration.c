/* registration.c - how an account comes to be: code, ticket, fresh keys, and its end.
 *
 * The identity and all prekeys are made at the moment of registering and committed before the
 * public halves leave. The identity key signs "PLY-reg" || handshake hash: the relay knows that
 * whoever holds this channel holds the key. Source: docs/protocol/registration.md. */
#include <sodium.h>
#include <stdlib.h>

#include "endpoint/keys.h"

struct ask { /* one request to the relay on behalf of the owner */
    struct endpoint *ep;
    endpoint_reply_fn *fn;
    void *ctx;
};

static void
ask_end(struct ask *ask, enum rc rc, Parley__Wire__Reason reason, const char *text)
{
    struct endpoint *ep = ask->ep;

    ask->fn(ask->ctx, rc, reason, text);
    free(ask);
    endpoint_release(ep);
}

/* Refusals and failures in one place; true when the reply is the wanted kind. */
static bool
is_wanted(struct ask *ask, enum rc rc, const Parley__Wire__Frame *reply,
          Parley__Wire__Frame__BodyCase wanted)
{
    if (rc != RC_OK)
        ask_end(ask, rc, PARLEY__WIRE__REASON__UNAVAILABLE, "the relay cannot be reached");
    else if (reply->body_case == PARLEY__WIRE__FRAME__BODY_REFUSAL)
        ask_end(ask, RC_DENIED, reply->refusal->reason, reply->refusal->text);
    else if (reply->body_case != wanted)
        ask_end(ask, RC_PROTO, PARLEY__WIRE__REASON__MALFORMED, "unexpected answer of the relay");
    else
        return true;
    return false;
}

typedef void ask_reply_fn(void *ctx, enum rc rc, const Parley__Wire__Frame *reply);

struct pending_ask { /* asked before the channel was open */
    struct pending_ask *next;
    struct ask *ask;
    ask_reply_fn *on_reply;
    struct buf packed;
    int64_t until_ms; /* monotonic */
};

static bool
is_channel_open(const struct endpoint *ep)
{
    return link_state(ep->link) == LINK_OPEN || link_state(ep->link) == LINK_UP;
}

static void
ask_fail(struct ask *ask, enum rc rc)
{
    ask_end(ask, rc, PARLEY__WIRE__REASON__UNAVAILABLE,
            "the relay cannot be reached; is it running?");
}

static void
ask_park(struct ask *ask, const Parley__Wire__Frame *frame, ask_reply_fn *on_reply)
{
    struct endpoint *ep = ask->ep;
    struct pending_ask *p = calloc(1, sizeof *p);

    if (p == NULL) {
        ask_fail(ask, RC_NOMEM);
        return;
    }
    *p = (struct pending_ask){.next = ep->asks, .ask = ask, .on_reply = on_reply};
    p->until_ms = clock_mono_ms(ep->host->clock) + WIRE_REQUEST_TIMEOUT_MS;
    buf_init(&p->packed, WIRE_FRAME_MAX);
    ep->asks = p;
    if (wire_pack(&p->packed, frame, NULL) != RC_OK)
        p->until_ms = 0;
}

static void
ask_send(struct endpoint *ep, Parley__Wire__Frame *frame, ask_reply_fn *on_reply,
         endpoint_reply_fn *fn, void *ctx)
{
    struct ask *ask = malloc(sizeof *ask);
    enum rc rc;

    if (ask == NULL) {
        fn(ctx, RC_NOMEM, PARLEY__WIRE__REASON__UNAVAILABLE, "out of memory");
        return;
    }
    *ask = (struct ask){.ep = ep, .fn = fn, .ctx = ctx};
    endpoint_hold(ep);
    if (!is_channel_open(ep)) {
        ask_park(ask, frame, on_reply);
        if (link_state(ep->link) == LINK_DOWN && !ep->is_offline)
            link_retry(ep->link); /* somebody waits: not at the end of a long pause */
        return;
    }
    rc = link_request(ep->link, frame, WIRE_REQUEST_TIMEOUT_MS, on_reply, ask, NULL);
    if (rc != RC_OK)
        ask_fail(ask, rc);
}

static void
pending_end(struct pending_ask *p)
{
    buf_wipe(&p->packed);
    free(p);
}

static void enrolment_flush(struct endpoint *ep);
static void enrolment_abandon(struct endpoint *ep, bool all);

void
registration_flush(struct endpoint *ep)
{
    struct pending_ask *list = ep->asks;

    enrolment_flush(ep);
    ep->asks = NULL;
    for (struct pending_ask *p = list, *next; p != NULL; p = next) {
        Parley__Wire__Frame *frame;
        struct arena *arena = NULL;
        enum rc rc = arena_new(&arena, WIRE_FRAME_MAX, NULL);

        next = p->next;
        if (rc == RC_OK)
            rc = wire_unpack(&frame, arena, buf_bytes(&p->packed), NULL);
        if (rc == RC_OK)
            rc = link_request(ep->link, frame, WIRE_REQUEST_TIMEOUT_MS, p->on_reply, p->ask, NULL);
        if (rc != RC_OK)
            ask_fail(p->ask, rc);
        arena_free(&arena);
        pending_end(p);
    }
}

/* Those that waited too long, or all at the end. */
void
registration_abandon(struct endpoint *ep, bool all)
{
    int64_t now_ms = clock_mono_ms(ep->host->clock);
    struct pending_ask **at = &ep->asks;

    enrolment_abandon(ep, all);
    while (*at != NULL) {
        struct pending_ask *p = *at;

        if (!all && p->until_ms > now_ms) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        ask_fail(p->ask, RC_TIMEOUT);
        pending_end(p);
    }
}

/* ---- registering anew ---- */

/* A link of another key. Requests in flight end first. */
static enum rc
link_renew(struct endpoint *ep, struct err *err)
{
    bool was_up = ep->is_up;

    ep->is_up = false;
    link_free(&ep->link);
    if (was_up)
        flow_down(ep);
    return link_start(ep, err);
}

enum rc
endpoint_enrol(struct endpoint *ep, struct err *err)
{
    if (ep->is_closing)
        return err_set(err, RC_CLOSED, "endpoint.enrol", "closing");
    ep->enrol_until_ms = clock_mono_ms(ep->host->clock) + ENDPOINT_ENROL_MS;
    if (ep->is_enrolling)
        return RC_OK;
    ep->is_enrolling = true;
    ep->is_offline = false;
    x25519_keypair(ep->noise.priv, ep->noise.pub, ep->host->rng);
    return link_renew(ep, err);
}

void
registration_lapse(struct endpoint *ep)
{
    struct err err = {0};

    if (!ep->is_enrolling || clock_mono_ms(ep->host->clock) < ep->enrol_until_ms)
        return;
    ep->is_enrolling = false;
    ep->ticket_len = 0;
    if (ep->secret != NULL)
        ep->noise = ep->secret->noise;
    if (link_renew(ep, &err) != RC_OK)
        log_event(ep->host->log, LOG_ERROR, "endpoint.link_failed", LOG_NUM("account", ep->account),
                  LOG_RC(&err));
    else if (ep->state == SELF_NONE || ep->is_refused)
        link_offline(ep->link);
}

static void
on_code_sent(void *ctx, enum rc rc, const Parley__Wire__Frame *reply)
{
    if (is_wanted(ctx, rc, reply, PARLEY__WIRE__FRAME__BODY_DONE))
        ask_end(ctx, RC_OK, PARLEY__WIRE__REASON__REASON_UNSPECIFIED, "");
}

void
endpoint_request_code(struct endpoint *ep, const char *method, const char *language,
                      endpoint_reply_fn *fn, void *ctx)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__CodeRequest ask = PARLEY__WIRE__CODE_REQUEST__INIT;

    ask.number = ep->account;
    ask.method = (char *)(uintptr_t)method;
    ask.language = (char *)(uintptr_t)language;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_CODE_REQUEST;
    frame.code_request = &ask;
    ask_send(ep, &frame, on_code_sent, fn, ctx);
}

static void
on_ticket(void *ctx, enum rc rc, const Parley__Wire__Frame *reply)
{
    struct ask *ask = ctx;
    struct endpoint *ep = ask->ep;

    if (!is_wanted(ask, rc, reply, PARLEY__WIRE__FRAME__BODY_TICKET))
        return;
    if (reply->ticket->ticket.len > sizeof ep->ticket) {
        ask_end(ask, RC_PROTO, PARLEY__WIRE__REASON__MALFORMED, "ticket too long");
        return;
    }
    ep->ticket_len = reply->ticket->ticket.len;
    memcpy(ep->ticket, reply->ticket->ticket.data, ep->ticket_len);
    ask_end(ask, RC_OK, PARLEY__WIRE__REASON__REASON_UNSPECIFIED, "");
}

void
endpoint_verify_code(struct endpoint *ep, const char *code, endpoint_reply_fn *fn, void *ctx)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__CodeVerify ask = PARLEY__WIRE__CODE_VERIFY__INIT;

    ask.number = ep->account;
    ask.code = (char *)(uintptr_t)code;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_CODE_VERIFY;
    frame.code_verify = &ask;
    ask_send(ep, &frame, on_ticket, fn, ctx);
}

/* ---- register ---- */

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

static enum rc
clear_account(struct endpoint *ep, struct store_tx *tx, struct err *err)
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
    if ((rc = clear_account(ep, tx, err)) != RC_OK)
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

static void
enrolment_flush(struct endpoint *ep)
{
    struct enrolment *e = ep->enrolment;

    ep->enrolment = NULL;
    if (e != NULL)
        enrolment_send(e);
}

static void
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
    if (is_channel_open(ep)) {
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

/* ---- leaving ---- */

struct leaving {
    struct store_job job;
    struct ask *ask;
};

static enum rc
leaving_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct endpoint *ep = ((struct leaving *)job)->ask->ep;
    enum rc rc = clear_account(ep, tx, err);

    if (rc == RC_OK)
        rc = store_run(tx, &endpoint_part, SQL_SELF_UNREGISTERED, NULL, err,
                       ST_ARGS(ST_I(ep->account)));
    return rc;
}

static void
leaving_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct ask *ask = ((struct leaving *)job)->ask;

    ask->ep->state = SELF_NONE;
    ask->ep->is_up = false;
    if (!ask->ep->is_closing)
        link_offline(ask->ep->link);
    free(job);
    ask_end(ask, rc, PARLEY__WIRE__REASON__REASON_UNSPECIFIED, rc == RC_OK ? "" : err->text);
}

static void
on_unregistered(void *ctx, enum rc rc, const Parley__Wire__Frame *reply)
{
    struct ask *ask = ctx;
    struct leaving *leaving;

    if (!is_wanted(ask, rc, reply, PARLEY__WIRE__FRAME__BODY_DONE))
        return;
    if ((leaving = calloc(1, sizeof *leaving)) == NULL) {
        ask_end(ask, RC_NOMEM, PARLEY__WIRE__REASON__UNAVAILABLE, "out of memory");
        return;
    }
    leaving->ask = ask;
    leaving->job =
        (struct store_job){.run = leaving_run, .done = leaving_done, .loop = ask->ep->host->loop};
    store_submit(ask->ep->host->store, &leaving->job);
}

void
endpoint_unregister(struct endpoint *ep, endpoint_reply_fn *fn, void *ctx)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Unregister ask = PARLEY__WIRE__UNREGISTER__INIT;

    frame.body_case = PARLEY__WIRE__FRAME__BODY_UNREGISTER;
    frame.unregister = &ask;
    ask_send(ep, &frame, on_unregistered, fn, ctx);
}
