/* biz.c - a business: a number on a gateway; see net.h. */
#include <stdio.h>
#include <stdlib.h>

#include "base/e164.h"
#include "gateway/states.h"
#include "net.h"

/* ---- what the gateway tells ---- */

static enum rc
on_inbound(void *ctx, struct store_tx *tx, const struct gateway_inbound *in, struct err *err)
{
    struct biz *biz = ctx;
    struct event e = {
        .kind = EVENT_MESSAGE, .account = in->account, .peer = in->peer, .at_ms = in->now_ms};

    memcpy(e.message_id, in->message_id, sizeof e.message_id);
    if (in->payload->body_case == PARLEY__CONTENT__PAYLOAD__BODY_TEXT)
        snprintf(e.text, sizeof e.text, "%s", in->payload->text->body);
    if (biz->in_message != NULL)
        biz->in_message(biz->in_message_ctx);
    if (biz->poison > 0 && strcmp(e.text, "poison") == 0) {
        biz->poison--;
        return err_set(err, biz->answer_inbound, "test.inbound", "told to fail");
    }
    return events_add(tx, &e, err);
}

static enum rc
on_status(void *ctx, struct store_tx *tx, const struct gateway_status *status, struct err *err)
{
    struct event e = {.kind = EVENT_STATUS,
                      .account = status->account,
                      .peer = status->peer,
                      .value = status->kind,
                      .extra = status->reason,
                      .at_ms = status->at_ms};

    memcpy(e.message_id, status->message_id, sizeof e.message_id);
    snprintf(e.text, sizeof e.text, "%.*s", (int)status->opaque.len,
             status->opaque.len == 0 ? "" : (const char *)status->opaque.ptr);
    return events_add(tx, &e, err);
}

static void
on_number_state(void *ctx, uint64_t account, bool is_up)
{
    struct biz *biz = ctx;

    biz->is_up = is_up;
    biz->ups += is_up;
}

static bool
certificate(void *ctx, uint64_t account, struct buf *out)
{
    struct biz *biz = ctx;
    struct number_cert cert = {.number = account,
                               .display_name = "Bakery",
                               .business_id = 1,
                               .portfolio_id = 1,
                               .hosting = CERT_HOSTED,
                               .operator_name = "Test",
                               .not_after_s = INT64_C(4000000000)};

    return number_cert_issue(&cert, biz->net->authority_seed, out, NULL) == RC_OK;
}

static const struct gateway_ops ops = {.on_inbound = on_inbound,
                                       .on_status = on_status,
                                       .on_number_state = on_number_state,
                                       .certificate = certificate};

/* ---- its life ---- */

void
biz_init(struct biz *biz, struct net *net, uint64_t number)
{
    char name[E164_TEXT_SIZE + 8];

    snprintf(name, sizeof name, "biz-%llu", (unsigned long long)number);
    biz_init_at(biz, net, number, name);
}

void
biz_init_at(struct biz *biz, struct net *net, uint64_t number, const char *name)
{
    *biz = (struct biz){.net = net, .number = number};
    snprintf(biz->node, sizeof biz->node, "node-a");
    place_init(&biz->own, net, name);
    biz->place = &biz->own;
}

void
biz_init_beside(struct biz *biz, struct biz *other, const char *node)
{
    *biz = (struct biz){.net = other->net,
                        .number = other->number,
                        .place = other->place,
                        .lease_ms = other->lease_ms};
    snprintf(biz->node, sizeof biz->node, "%s", node);
}

void
biz_start(struct biz *biz)
{
    struct net *net = biz->net;
    struct gateway_opt opt = {.loop = net->loop,
                              .clock = net->clock,
                              .rng = rng_system(),
                              .log = net->log,
                              .relay_host = "127.0.0.1",
                              .relay_port = biz->port != 0 ? biz->port : net->port,
                              .client_name = "test/0",
                              .ops = &ops,
                              .ctx = biz,
                              .node = biz->node,
                              .lease_ms = biz->lease_ms};
    struct err err = {.rc = RC_OK};

    if (biz->place->store == NULL)
        place_open(biz->place);
    opt.store = biz->place->store;
    opt.ring = biz->place->ring;
    memcpy(opt.relay_root, net->root_pub, sizeof opt.relay_root);
    biz->is_up = biz->is_closed = false;
    if (gateway_open(&biz->gateway, &opt, &err) != RC_OK ||
        gateway_number_add(biz->gateway, biz->number, &err) != RC_OK)
        fail_msg("%s: %s", err.site, err.text);
}

static void
on_closed(void *ctx)
{
    ((struct biz *)ctx)->is_closed = true;
}

static bool
is_closed(void *ctx)
{
    return ((struct biz *)ctx)->is_closed;
}

void
biz_stop_gateway(struct biz *biz)
{
    if (biz->gateway == NULL)
        return;
    biz->is_closed = false;
    gateway_close(&biz->gateway, on_closed, biz);
    assert_true(net_wait(biz->net, is_closed, biz));
}

void
biz_stop(struct biz *biz)
{
    biz_stop_gateway(biz);
    if (biz->place->store != NULL)
        place_close(biz->place);
}

void
biz_wipe(struct biz *biz)
{
    if (biz->place == &biz->own)
        biz_stop(biz);
    else
        biz_stop_gateway(biz);
}

static bool
has_answer(void *ctx)
{
    return ((struct biz *)ctx)->has_answer;
}

static void
wait_answer(struct biz *biz)
{
    assert_true(net_wait(biz->net, has_answer, biz));
}

static void
on_refusal(void *ctx, enum gateway_refusal refusal, const char *text)
{
    struct biz *biz = ctx;

    biz->has_answer = true;
    biz->refusal = refusal;
}

static bool
is_up(void *ctx)
{
    struct biz *biz = ctx;
    struct gateway_number_info info;

    return gateway_number_info(biz->gateway, biz->number, &info) && info.is_up;
}

void
biz_wait_up(struct biz *biz)
{
    assert_true(net_wait(biz->net, is_up, biz));
}

bool
biz_is_ours(struct biz *biz)
{
    struct gateway_number_info info;

    return gateway_number_info(biz->gateway, biz->number, &info) && info.is_ours;
}

static bool
is_ours(void *ctx)
{
    return biz_is_ours(ctx);
}

static enum gateway_refusal
wait_refusal(struct biz *biz)
{
    wait_answer(biz);
    biz->has_answer = false;
    return biz->refusal;
}

void
biz_verify(struct biz *biz)
{
    char code[8];

    assert_true(net_wait(biz->net, is_ours, biz));
    biz->has_answer = false;
    gateway_request_code(biz->gateway, biz->number, "sms", "en", on_refusal, biz);
    assert_int_equal(wait_refusal(biz), GATEWAY_REFUSED_NOT);
    net_code(biz->net, biz->number, code);
    gateway_verify_code(biz->gateway, biz->number, code, on_refusal, biz);
    assert_int_equal(wait_refusal(biz), GATEWAY_REFUSED_NOT);
}

enum gateway_refusal
biz_try_register(struct biz *biz, const char *pin)
{
    biz->has_answer = false;
    gateway_register(biz->gateway, biz->number, pin, on_refusal, biz);
    return wait_refusal(biz);
}

void
biz_register(struct biz *biz)
{
    biz_verify(biz);
    assert_int_equal(biz_try_register(biz, "123456"), GATEWAY_REFUSED_NOT);
    biz_wait_up(biz);
}

enum gateway_refusal
biz_deregister(struct biz *biz)
{
    biz->has_answer = false;
    gateway_deregister(biz->gateway, biz->number, on_refusal, biz);
    return wait_refusal(biz);
}

/* ---- sending ---- */

struct saying {
    struct biz *biz;
    Parley__Content__Payload payload;
    Parley__Content__Text text;
    char body[64];
    size_t *left;
};

static void
on_accepted(void *ctx, enum rc rc, const struct gateway_accepted *accepted)
{
    struct biz *biz = ctx;

    biz->has_answer = true;
    biz->rc = rc;
    if (accepted != NULL)
        biz->accepted = *accepted;
}

static void
fill_text(struct saying *s, const char *text)
{
    s->payload = (Parley__Content__Payload)PARLEY__CONTENT__PAYLOAD__INIT;
    s->text = (Parley__Content__Text)PARLEY__CONTENT__TEXT__INIT;
    snprintf(s->body, sizeof s->body, "%s", text);
    s->text.body = s->body;
    s->payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_TEXT;
    s->payload.text = &s->text;
}

enum rc
biz_send(struct biz *biz, const struct biz_send *send, uint8_t id[16])
{
    struct saying s;
    struct gateway_send req = {.account = biz->number,
                               .to = send->to,
                               .category = 4,
                               .ttl_ms = send->ttl_ms,
                               .payload = &s.payload,
                               .opaque = bytes_of_str("tag"),
                               .idempotency_key = bytes_of_str(send->key),
                               .request_body = bytes_of_str(send->text)};

    fill_text(&s, send->text);
    gateway_message_id(biz->gateway, req.message_id);
    biz->has_answer = false;
    gateway_send(biz->gateway, &req, on_accepted, biz);
    wait_answer(biz);
    if (biz->rc == RC_OK && id != NULL)
        memcpy(id, biz->accepted.message_id, 16);
    return biz->rc;
}

enum rc
biz_say(struct biz *biz, uint64_t to, const char *text, uint8_t id[16])
{
    return biz_send(biz, &(struct biz_send){.to = to, .text = text}, id);
}

static void
on_one_accepted(void *ctx, enum rc rc, const struct gateway_accepted *accepted)
{
    struct saying *s = ctx;

    assert_int_equal(rc, RC_OK);
    --*s->left;
}

static bool
is_zero(void *ctx)
{
    return *(size_t *)ctx == 0;
}

void
biz_say_many(struct biz *biz, uint64_t to, const char *prefix, size_t n)
{
    struct saying *all = calloc(n, sizeof *all);
    size_t left = n;

    for (size_t i = 0; i < n; i++) {
        char text[64];
        struct gateway_send req = {
            .account = biz->number, .to = to, .category = 4, .payload = &all[i].payload};

        snprintf(text, sizeof text, "%s %zu", prefix, i);
        fill_text(&all[i], text);
        all[i].biz = biz;
        all[i].left = &left;
        gateway_message_id(biz->gateway, req.message_id);
        gateway_send(biz->gateway, &req, on_one_accepted, &all[i]);
    }
    assert_true(net_wait(biz->net, is_zero, &left));
    free(all);
}

static void
on_marked(void *ctx, enum rc rc)
{
    struct biz *biz = ctx;

    biz->has_answer = true;
    biz->rc = rc;
}

enum rc
biz_mark_read(struct biz *biz, const uint8_t id[16])
{
    biz->has_answer = false;
    gateway_mark_read(biz->gateway, biz->number, id, false, on_marked, biz);
    wait_answer(biz);
    return biz->rc;
}

void
biz_type(struct biz *biz, const uint8_t id[16])
{
    biz->has_answer = false;
    gateway_mark_read(biz->gateway, biz->number, id, true, on_marked, biz);
    wait_answer(biz);
    assert_int_equal(biz->rc, RC_OK);
}

static void
on_due(void *ctx)
{
    ((struct biz *)ctx)->has_answer = true;
}

void
biz_run_due(struct biz *biz)
{
    biz->has_answer = false;
    gateway_run_due(biz->gateway, on_due, biz);
    wait_answer(biz);
}

struct state_wait {
    struct biz *biz;
    int state;
};

static void
on_state(void *ctx, enum rc rc, const struct gateway_message_state *state)
{
    struct state_wait *w = ctx;

    w->state = rc == RC_OK ? state->state : -1;
    w->biz->has_answer = true;
}

int
biz_state(struct biz *biz, const uint8_t id[16])
{
    struct state_wait w = {.biz = biz};

    biz->has_answer = false;
    gateway_message_look(biz->gateway, biz->number, id, on_state, &w);
    wait_answer(biz);
    return w.state;
}

/* ---- what was told ---- */

struct event_wait {
    struct biz *biz;
    enum event_kind kind;
    size_t n;
    const uint8_t *id;
    enum gateway_status_kind status;
};

static bool
has_events(void *ctx)
{
    struct event_wait *w = ctx;

    return events_count(w->biz->place->store, w->biz->number, w->kind, NULL) >= w->n;
}

void
biz_wait_events(struct biz *biz, enum event_kind kind, size_t n)
{
    struct event_wait w = {.biz = biz, .kind = kind, .n = n};

    if (!net_wait(biz->net, has_events, &w))
        fail_msg("%zu events of kind %d instead of %zu",
                 events_count(biz->place->store, biz->number, kind, NULL), (int)kind, n);
}

static bool
has_status(void *ctx)
{
    struct event_wait *w = ctx;
    struct event *events;
    size_t n = events_load(w->biz->place->store, w->biz->number, &events);
    bool is_there = false;

    for (size_t i = 0; i < n; i++)
        is_there = is_there || (events[i].kind == EVENT_STATUS &&
                                memcmp(events[i].message_id, w->id, 16) == 0 &&
                                events[i].value == (int64_t)w->status);
    free(events);
    return is_there;
}

void
biz_wait_status(struct biz *biz, const uint8_t id[16], enum gateway_status_kind kind)
{
    struct event_wait w = {.biz = biz, .id = id, .status = kind};
    char told[16];

    if (!net_wait(biz->net, has_status, &w))
        fail_msg("no status %s; told \"%s\"", gateway_status_name(kind), biz_told(biz, id, told));
}

const char *
biz_told(struct biz *biz, const uint8_t id[16], char out[16])
{
    static const char letters[] = "sdrf";
    struct event *events;
    size_t n = events_load(biz->place->store, biz->number, &events), k = 0;

    for (size_t i = 0; i < n && k < 15; i++)
        if (events[i].kind == EVENT_STATUS && memcmp(events[i].message_id, id, 16) == 0)
            out[k++] = letters[events[i].value];
    out[k] = '\0';
    free(events);
    return out;
}
