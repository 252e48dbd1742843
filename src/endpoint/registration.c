/* registration.c - how an account comes to be and ends: code, ticket, registering anew, leaving.
 *
 * Requests made before the channel is open wait for it. The keys are enrolment.c's.
 * Source: docs/protocol/registration.md. */
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

bool
registration_is_channel_open(const struct endpoint *ep)
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
    if (!registration_is_channel_open(ep)) {
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

/* ---- leaving ---- */

struct leaving {
    struct store_job job;
    struct ask *ask;
};

static enum rc
leaving_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct endpoint *ep = ((struct leaving *)job)->ask->ep;
    enum rc rc = account_clear(ep, tx, err);

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
