/* device.c - a device's channel: connecting, asking, telling, and what comes by itself. */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES (4u * 1024 * 1024)

static void *
room(void *items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return items;
    *cap = *cap == 0 ? 64 : *cap * 2;
    items = realloc(items, *cap * size);
    assert_non_null(items);
    return items;
}

static void
on_up(void *ctx, struct channel *channel)
{
    ((struct device *)ctx)->is_up = true;
}

static void
read_notice(struct delivery *to, const Parley__Wire__Deliver *in)
{
    Parley__Wire__Notice *notice;
    struct arena *arena;

    assert_int_equal(arena_new(&arena, ARENA_BYTES, NULL), RC_OK);
    assert_int_equal(wire_notice_unpack(&notice, arena, wire_bytes(in->body), NULL), RC_OK);
    to->notice_reason = notice->reason;
    to->n_items = (uint32_t)notice->n_items;
    memcpy(to->notice_id, notice->items[0]->message_id.data, MESSAGE_ID_BYTES);
    arena_free(&arena);
}

static void
on_deliver(struct device *d, const Parley__Wire__Deliver *in)
{
    struct delivery *to;

    d->deliveries = room(d->deliveries, d->n_deliveries, &d->cap_deliveries, sizeof(*to));
    to = &d->deliveries[d->n_deliveries++];
    *to = (struct delivery){
        .lane = in->lane, .seq = in->seq, .class = in->class_, .len = in->body.len};
    if (in->sender != NULL) {
        to->sender = in->sender->account;
        to->sender_device = in->sender->device;
    }
    memcpy(to->id, in->message_id.data, MESSAGE_ID_BYTES);
    if (in->body.len >= 4)
        memcpy(&to->number, in->body.data, 4);
    if (in->class_ == PARLEY__WIRE__CLASS__NOTICE)
        read_notice(to, in);
    if (d->acks && in->seq != 0)
        device_ack(d, in->lane, in->seq);
}

static void
keep_reply(struct device *d, const Parley__Wire__Frame *frame)
{
    struct buf packed;

    buf_init(&packed, WIRE_FRAME_MAX);
    arena_free(&d->arena);
    assert_int_equal(arena_new(&d->arena, ARENA_BYTES, NULL), RC_OK);
    assert_int_equal(wire_pack(&packed, frame, NULL), RC_OK);
    assert_int_equal(wire_unpack(&d->reply, d->arena, buf_bytes(&packed), NULL), RC_OK);
    buf_free(&packed);
    d->has_reply = true;
}

static void
on_frame(void *ctx, struct channel *channel, const Parley__Wire__Frame *frame)
{
    struct device *d = ctx;

    if (frame->request_id != 0 && frame->request_id == d->waits_for) {
        keep_reply(d, frame);
        d->waits_for = 0;
    }
    if (frame->body_case == PARLEY__WIRE__FRAME__BODY_DELIVER) {
        on_deliver(d, frame->deliver);
    } else if (frame->body_case == PARLEY__WIRE__FRAME__BODY_PUBLISH_RESULT) {
        d->results = room(d->results, d->n_results, &d->cap_results, sizeof(*d->results));
        memcpy(d->results[d->n_results].id, frame->publish_result->message_id.data,
               MESSAGE_ID_BYTES);
        d->results[d->n_results++].reason = frame->publish_result->reason;
    } else if (frame->body_case == PARLEY__WIRE__FRAME__BODY_PREKEY_STATUS &&
               frame->request_id == 0) {
        d->n_status++;
        d->last_left = frame->prekey_status->one_time_left;
    } else if (frame->body_case == PARLEY__WIRE__FRAME__BODY_BUNDLES && d->on_bundles != NULL) {
        d->on_bundles(frame);
    }
}

static void
on_end(void *ctx, struct channel *channel, enum channel_end how, Parley__Wire__CloseReason reason,
       const struct err *err)
{
    struct device *d = ctx;

    d->has_ended = true;
    d->end = how;
    d->reason = reason;
    d->channel = NULL;
}

static const struct channel_ops ops = {on_up, on_frame, NULL, on_end};

static enum rc
check_server(void *ctx, const uint8_t server_static[32], struct bytes certificate, struct err *err)
{
    struct device *d = ctx;
    struct relay_cert cert;
    enum rc rc = relay_cert_read(&cert, certificate, d->rig->root_pub, 0, err);

    if (rc == RC_OK && memcmp(cert.static_key, server_static, 32) != 0)
        rc = err_set(err, RC_AUTH, "rig", "the certificate is another's");
    return rc;
}

void
device_init(struct device *d, struct rig *rig, uint64_t number)
{
    memset(d, 0, sizeof(*d));
    d->rig = rig;
    d->number = number;
    x25519_keypair(d->noise.priv, d->noise.pub, rng_system());
    d->identity[0] = 5;
    x25519_keypair(d->identity_priv, d->identity + 1, rng_system());
    d->registration_id = 1 + rng_below(rng_system(), 16380);
    d->next_prekey = 1;
}

void
device_wipe(struct device *d)
{
    device_cut(d);
    arena_free(&d->arena);
    free(d->deliveries);
    free(d->results);
    d->deliveries = NULL;
    d->results = NULL;
    d->n_deliveries = d->cap_deliveries = d->n_results = d->cap_results = 0;
}

static bool
is_up_or_over(void *ctx)
{
    struct device *d = ctx;

    return d->is_up || d->has_ended;
}

void
device_connect(struct device *d)
{
    struct channel_opt opt = {.hub = d->rig->hub, .ops = &ops, .ctx = d};

    device_cut(d);
    opt.pipe.local_static = &d->noise;
    opt.pipe.rng = rng_system();
    opt.pipe.check_server = check_server;
    opt.pipe.ctx = d;
    d->is_up = d->has_ended = d->has_reply = false;
    d->waits_for = 0;
    assert_int_equal(channel_connect(&d->channel, "127.0.0.1", d->rig->port, &opt, NULL), RC_OK);
    assert_true(rig_wait(d->rig, is_up_or_over, d));
}

void
device_cut(struct device *d)
{
    if (d->channel != NULL)
        channel_abandon(&d->channel, PARLEY__WIRE__CLOSE_REASON__BYE);
    d->is_up = false;
}

static bool
has_reply_or_ended(void *ctx)
{
    struct device *d = ctx;

    return d->has_reply || d->has_ended;
}

const Parley__Wire__Frame *
device_ask(struct device *d, Parley__Wire__Frame *frame)
{
    frame->request_id = ++d->next_request;
    d->waits_for = frame->request_id;
    d->has_reply = false;
    if (d->channel == NULL || channel_send(d->channel, frame, NULL) != RC_OK)
        return NULL;
    assert_true(rig_wait(d->rig, has_reply_or_ended, d));
    return d->has_reply ? d->reply : NULL;
}

void
device_tell(struct device *d, Parley__Wire__Frame *frame)
{
    if (d->channel != NULL)
        (void)!channel_send(d->channel, frame, NULL);
}

Parley__Wire__Reason
reason_of(const Parley__Wire__Frame *reply)
{
    assert_non_null(reply);
    return reply->body_case == PARLEY__WIRE__FRAME__BODY_REFUSAL ? reply->refusal->reason : OK;
}
