/* person.c - a person: a bare endpoint that keeps what it is shown; see net.h. */
#include <stdio.h>
#include <stdlib.h>

#include "net.h"
#include "wire/ident.h"

/* ---- what the endpoint tells ---- */

static enum rc
receipt_enqueue(struct person *p, struct store_tx *tx, uint64_t to,
                Parley__Content__ReceiptKind kind, const uint8_t id[16],
                struct endpoint_outputs *out, struct err *err)
{
    Parley__Content__Payload payload = PARLEY__CONTENT__PAYLOAD__INIT;
    Parley__Content__Receipt receipt = PARLEY__CONTENT__RECEIPT__INIT;
    ProtobufCBinaryData ids[] = {wire_field(bytes_of(id, 16))};
    struct endpoint_message message = {
        .to = to, .class = PARLEY__WIRE__CLASS__RECEIPT, .payload = &payload};
    int64_t now_ms = clock_unix_ms(p->net->clock);

    receipt.kind = kind;
    receipt.n_message_ids = 1;
    receipt.message_ids = ids;
    receipt.at_ms = now_ms;
    payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_RECEIPT;
    payload.receipt = &receipt;
    message.expires_at_ms = now_ms + WIRE_EXPIRY_MAX_MS;
    message_id_make(message.message_id, now_ms, rng_system());
    return endpoint_enqueue(p->tx_endpoint, tx, &message, out, err);
}

static enum rc
take_message(struct person *p, struct store_tx *tx, const struct endpoint_incoming *in,
             struct endpoint_outputs *out, struct err *err)
{
    struct event e = {.kind = EVENT_MESSAGE,
                      .account = p->number,
                      .peer = in->peer,
                      .value = in->is_new_session,
                      .at_ms = in->now_ms};
    enum rc rc = RC_OK;

    memcpy(e.message_id, in->message_id, sizeof e.message_id);
    if (in->payload->body_case == PARLEY__CONTENT__PAYLOAD__BODY_TEXT)
        snprintf(e.text, sizeof e.text, "%s", in->payload->text->body);
    if (p->in_message != NULL)
        p->in_message(p->in_message_ctx);
    if (p->poison > 0 && strcmp(e.text, "poison") == 0) {
        p->poison--;
        return err_set(err, p->answer_message, "test.message", "told to fail");
    }
    rc = events_add(tx, &e, err);
    if (rc == RC_OK && p->sends_receipts)
        rc = receipt_enqueue(p, tx, in->peer, PARLEY__CONTENT__RECEIPT_KIND__DELIVERED,
                             in->message_id, out, err);
    return rc;
}

static enum rc
on_message(void *ctx, struct store_tx *tx, const struct endpoint_incoming *in,
           struct endpoint_outputs *out, struct err *err)
{
    struct person *p = ctx;
    const Parley__Content__Receipt *receipt = in->payload->receipt;
    enum rc rc = RC_OK;

    if (in->payload->class_ == PARLEY__WIRE__CLASS__MESSAGE)
        return take_message(p, tx, in, out, err);
    if (in->payload->body_case != PARLEY__CONTENT__PAYLOAD__BODY_RECEIPT)
        return RC_OK;
    for (size_t i = 0; rc == RC_OK && i < receipt->n_message_ids; i++) {
        struct event e = {.kind = EVENT_RECEIPT,
                          .account = p->number,
                          .peer = in->peer,
                          .value = receipt->kind,
                          .at_ms = in->now_ms};

        memcpy(e.message_id, receipt->message_ids[i].data, 16);
        rc = events_add(tx, &e, err);
        if (rc == RC_OK)
            rc = endpoint_forget(p->tx_endpoint, tx, e.message_id, err);
    }
    return rc;
}

static enum rc
add_outcome(struct person *p, struct store_tx *tx, enum event_kind kind,
            const struct endpoint_outcome *outcome, struct err *err)
{
    struct event e = {
        .kind = kind, .account = p->number, .value = outcome->reason, .at_ms = outcome->now_ms};

    memcpy(e.message_id, outcome->message_id, sizeof e.message_id);
    return events_add(tx, &e, err);
}

static enum rc
on_sent(void *ctx, struct store_tx *tx, const struct endpoint_outcome *outcome, struct err *err)
{
    return add_outcome(ctx, tx, EVENT_SENT, outcome, err);
}

static enum rc
on_failed(void *ctx, struct store_tx *tx, const struct endpoint_outcome *outcome, struct err *err)
{
    return add_outcome(ctx, tx, EVENT_FAILED, outcome, err);
}

static enum rc
on_identity_changed(void *ctx, struct store_tx *tx, uint64_t peer, const uint8_t *old_key,
                    const uint8_t *new_key, int64_t now_ms, struct err *err)
{
    struct person *p = ctx;
    struct event e = {.kind = EVENT_IDENTITY, .account = p->number, .peer = peer, .at_ms = now_ms};

    e.value = memcmp(old_key, new_key, 33) != 0;
    return events_add(tx, &e, err);
}

static void
on_typing(void *ctx, uint64_t peer, bool is_typing)
{
    struct person *p = ctx;

    p->typings++;
    p->is_typing = is_typing;
}

static void
on_state(void *ctx, bool is_up, Parley__Wire__CloseReason refused)
{
    struct person *p = ctx;

    p->is_up = is_up;
    p->ups += is_up;
}

static const struct endpoint_ops ops = {.on_message = on_message,
                                        .on_sent = on_sent,
                                        .on_failed = on_failed,
                                        .on_identity_changed = on_identity_changed,
                                        .on_typing = on_typing,
                                        .on_state = on_state};

/* ---- its life ---- */

void
person_init(struct person *p, struct net *net, uint64_t number)
{
    char name[32];

    *p = (struct person){
        .net = net, .number = number, .policy = endpoint_policy_person, .sends_receipts = true};
    snprintf(name, sizeof name, "person-%llu", (unsigned long long)number);
    place_init(&p->place, net, name);
}

void
person_start(struct person *p)
{
    struct net *net = p->net;
    struct endpoint_opt opt = {
        .host = &p->host, .policy = &p->policy, .ops = &ops, .ctx = p, .account = p->number};
    struct channel_hub_opt hub = {.loop = net->loop, .log = net->log};
    struct err err = {.rc = RC_OK};

    if (p->place.store == NULL)
        place_open(&p->place);
    p->host = (struct endpoint_host){.loop = net->loop,
                                     .store = p->place.store,
                                     .ring = p->place.ring,
                                     .clock = net->clock,
                                     .rng = rng_system(),
                                     .log = net->log,
                                     .relay_host = "127.0.0.1",
                                     .relay_port = p->port != 0 ? p->port : net->port,
                                     .has_authority = true,
                                     .client_name = "test/0"};
    memcpy(p->host.relay_root, net->root_pub, 32);
    memcpy(p->host.authority, net->authority_pub, 32);
    assert_int_equal(channel_hub_open(&p->host.hub, &hub, &err), RC_OK);
    assert_int_equal(session_engine_new(&p->host.engine, rng_system(), &err), RC_OK);
    p->is_up = p->is_closed = false;
    if (endpoint_open(&p->endpoint, &opt, &err) != RC_OK)
        fail_msg("%s: %s", err.site, err.text);
    p->tx_endpoint = p->endpoint;
}

static void
on_closed(void *ctx)
{
    ((struct person *)ctx)->is_closed = true;
}

static bool
is_closed(void *ctx)
{
    return ((struct person *)ctx)->is_closed;
}

void
person_stop(struct person *p)
{
    if (p->place.store == NULL)
        return;
    if (p->endpoint != NULL) {
        endpoint_close(&p->endpoint, on_closed, p);
        assert_true(net_wait(p->net, is_closed, p));
        channel_hub_free(&p->host.hub);
        loop_poll(p->net->loop);
    }
    place_close(&p->place);
    session_engine_free(&p->host.engine);
}

void
person_wipe(struct person *p)
{
    person_stop(p);
}

void
person_forget(struct person *p)
{
    char command[160];

    assert_null(p->place.store);
    snprintf(command, sizeof command, "rm -rf '%s'/*", p->place.dir);
    assert_int_equal(system(command), 0);
}

static bool
is_up(void *ctx)
{
    return endpoint_is_up(((struct person *)ctx)->endpoint);
}

void
person_wait_up(struct person *p)
{
    assert_true(net_wait(p->net, is_up, p));
}

static bool
has_answer(void *ctx)
{
    return ((struct person *)ctx)->has_answer;
}

static void
on_reply(void *ctx, enum rc rc, Parley__Wire__Reason reason, const char *text)
{
    struct person *p = ctx;

    p->has_answer = true;
    p->rc = rc;
    p->reason = reason;
    if (rc != RC_OK)
        print_error("refused: %s\n", text == NULL ? "" : text);
}

static void
wait_reply(struct person *p)
{
    assert_true(net_wait(p->net, has_answer, p));
    assert_int_equal(p->rc, RC_OK);
    p->has_answer = false;
}

void
person_register(struct person *p)
{
    char code[8];

    p->has_answer = false;
    endpoint_request_code(p->endpoint, "sms", "en", on_reply, p);
    wait_reply(p);
    net_code(p->net, p->number, code);
    endpoint_verify_code(p->endpoint, code, on_reply, p);
    wait_reply(p);
    endpoint_register(p->endpoint, NULL, on_reply, p);
    wait_reply(p);
    person_wait_up(p);
}

/* ---- sending ---- */

struct saying {
    struct store_job job;
    struct person *p;
    struct endpoint_outputs *out;
    uint64_t to;
    const char *text; /* NULL: a read receipt for id */
    uint8_t id[16];
};

static enum rc
say_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct saying *s = (struct saying *)job;
    Parley__Content__Payload payload = PARLEY__CONTENT__PAYLOAD__INIT;
    Parley__Content__Text text = PARLEY__CONTENT__TEXT__INIT;
    struct endpoint_message message = {
        .to = s->to, .class = PARLEY__WIRE__CLASS__MESSAGE, .payload = &payload};

    endpoint_outputs_reset(s->out);
    if (s->text == NULL)
        return receipt_enqueue(s->p, tx, s->to, PARLEY__CONTENT__RECEIPT_KIND__READ, s->id, s->out,
                               err);
    text.body = (char *)(uintptr_t)s->text;
    payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_TEXT;
    payload.text = &text;
    memcpy(message.message_id, s->id, 16);
    message.expires_at_ms = clock_unix_ms(s->p->net->clock) + WIRE_EXPIRY_MAX_MS;
    return endpoint_enqueue(s->p->tx_endpoint, tx, &message, s->out, err);
}

static void
say_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct saying *s = (struct saying *)job;

    if (rc == RC_OK)
        endpoint_committed(s->p->endpoint, s->out);
    s->p->rc = rc;
    s->p->has_answer = true;
}

static enum rc
say(struct person *p, struct saying *s)
{
    s->p = p;
    s->out = endpoint_outputs_new(p->endpoint);
    s->job = (struct store_job){.run = say_run, .done = say_done, .loop = p->net->loop};
    p->has_answer = false;
    store_submit(p->place.store, &s->job);
    assert_true(net_wait(p->net, has_answer, p));
    endpoint_outputs_free(&s->out);
    return p->rc;
}

enum rc
person_say(struct person *p, uint64_t to, const char *text, uint8_t id[16])
{
    struct saying s = {.to = to, .text = text};

    message_id_make(s.id, clock_unix_ms(p->net->clock), rng_system());
    if (id != NULL)
        memcpy(id, s.id, 16);
    return say(p, &s);
}

enum rc
person_read(struct person *p, uint64_t to, const uint8_t id[16])
{
    struct saying s = {.to = to};

    memcpy(s.id, id, 16);
    return say(p, &s);
}

static void
on_due(void *ctx)
{
    ((struct person *)ctx)->has_answer = true;
}

void
person_run_due(struct person *p)
{
    p->has_answer = false;
    endpoint_run_due(p->endpoint, on_due, p);
    assert_true(net_wait(p->net, has_answer, p));
}

/* ---- what was told ---- */

struct event_wait {
    struct person *p;
    enum event_kind kind;
    size_t n;
};

static bool
has_events(void *ctx)
{
    struct event_wait *w = ctx;

    return events_count(w->p->place.store, w->p->number, w->kind, NULL) >= w->n;
}

void
person_wait_events(struct person *p, enum event_kind kind, size_t n)
{
    struct event_wait w = {.p = p, .kind = kind, .n = n};

    if (!net_wait(p->net, has_events, &w))
        fail_msg("%zu events of kind %d instead of %zu",
                 events_count(p->place.store, p->number, kind, NULL), (int)kind, n);
}

char *
person_shown(struct person *p)
{
    struct event *events;
    size_t n = events_load(p->place.store, p->number, &events), len = 0;
    char *out = calloc(n + 1, sizeof events[0].text + 1);

    for (size_t i = 0; i < n; i++)
        if (events[i].kind == EVENT_MESSAGE)
            len += (size_t)sprintf(out + len, "%s\n", events[i].text);
    free(events);
    return out;
}
