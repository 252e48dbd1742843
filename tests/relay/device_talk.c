/* device_talk.c - a device that is registered: login, publishes, deliveries, acks. */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

static const Parley__Wire__Frame *
log_in(struct device *d, const struct claim *claims, size_t n)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Login body = PARLEY__WIRE__LOGIN__INIT;
    Parley__Wire__Address address = PARLEY__WIRE__ADDRESS__INIT;
    Parley__Wire__LaneClaim parts[32], *list[32];
    const Parley__Wire__Frame *reply;
    struct buf cert = {0};

    for (size_t i = 0; i < n; i++) {
        parley__wire__lane_claim__init(&parts[i]);
        parts[i].mask = claims[i].mask;
        parts[i].lease_epoch = claims[i].epoch;
        list[i] = &parts[i];
    }
    address.account = d->number;
    address.device = 1;
    body.address = &address;
    body.generation = d->generation;
    body.n_lanes = n;
    body.lanes = list;
    body.client = (char *)(uintptr_t) "rig";
    if (d->is_business) {
        device_certificate(d, d->number, INT64_C(4000000000), &cert);
        body.number_certificate = wire_field(buf_bytes(&cert));
    }
    frame.body_case = PARLEY__WIRE__FRAME__BODY_LOGIN;
    frame.login = &body;
    reply = device_ask(d, &frame);
    buf_free(&cert);
    return reply;
}

Parley__Wire__Reason
device_login(struct device *d, const struct claim *claims, size_t n)
{
    return reason_of(log_in(d, claims, n));
}

Parley__Wire__Reason
device_try_login(struct device *d)
{
    const Parley__Wire__Frame *reply = log_in(d, NULL, 0);

    return reply == NULL ? REASON(UNAVAILABLE) : reason_of(reply);
}

void
device_come(struct device *d)
{
    device_connect(d);
    assert_true(d->is_up);
    assert_int_equal(device_login(d, NULL, 0), OK);
}

static void
fill_hash(uint8_t out[DEVICE_LIST_HASH_SIZE], const struct message *m)
{
    struct device_entry entry = {.device = 1, .registration_id = m->to->registration_id};

    memcpy(entry.identity_key, m->to->identity, 33);
    device_list_hash(out, &entry, 1);
    if (m->spoil_hash)
        out[0] ^= 1;
}

static void
publish(struct device *d, struct message *m, Parley__Wire__Frame *frame, bool waits)
{
    static const uint8_t none[MESSAGE_ID_BYTES];
    static uint8_t content[WIRE_ENVELOPE_MAX + 4096];
    Parley__Wire__Publish body = PARLEY__WIRE__PUBLISH__INIT;
    Parley__Wire__DeviceCiphertext c = PARLEY__WIRE__DEVICE_CIPHERTEXT__INIT, *list[1] = {&c};
    int64_t now = clock_unix_ms(d->rig->clock);
    uint8_t hash[DEVICE_LIST_HASH_SIZE];

    if (memcmp(m->id, none, sizeof(none)) == 0) {
        message_id_make(m->id, now, rng_system());
        d->counter++;
    }
    memcpy(content, &m->number, 4);
    fill_hash(hash, m);
    body.message_id = FIELD(m->id);
    body.recipient = m->to->number;
    body.device_list_hash = FIELD(hash);
    body.class_ = m->class == 0 ? PARLEY__WIRE__CLASS__MESSAGE : m->class;
    body.category = m->category;
    body.expires_at_ms = m->expires_ms == 0 ? now + WIRE_EXPIRY_MAX_MS : m->expires_ms;
    body.counter = d->counter;
    body.n_ciphertexts = 1;
    body.ciphertexts = list;
    c.device = 1;
    c.type = PARLEY__WIRE__CIPHER_TYPE__WHISPER;
    c.body = wire_field(bytes_of(content, m->len == 0 ? 100 : m->len));
    c.registration_id = m->registration_id == 0 ? m->to->registration_id : m->registration_id;
    frame->body_case = PARLEY__WIRE__FRAME__BODY_PUBLISH;
    frame->publish = &body;
    if (waits) {
        (void)device_ask(d, frame);
    } else {
        frame->request_id = ++d->next_request;
        device_tell(d, frame);
    }
}

void
device_publish(struct device *d, struct message *m)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;

    publish(d, m, &frame, false);
}

Parley__Wire__Reason
device_publish_wait(struct device *d, struct message *m)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;

    publish(d, m, &frame, true);
    assert_true(d->has_reply);
    if (d->reply->body_case == PARLEY__WIRE__FRAME__BODY_REFUSAL)
        return d->reply->refusal->reason;
    assert_int_equal(d->reply->body_case, PARLEY__WIRE__FRAME__BODY_PUBLISH_RESULT);
    assert_memory_equal(d->reply->publish_result->message_id.data, m->id, MESSAGE_ID_BYTES);
    return d->reply->publish_result->reason;
}

struct count_wait {
    struct device *d;
    size_t n;
};

static bool
has_deliveries(void *ctx)
{
    struct count_wait *w = ctx;

    return w->d->n_deliveries >= w->n;
}

void
device_wait_deliveries(struct device *d, size_t n)
{
    struct count_wait w = {d, n};

    if (!rig_wait(d->rig, has_deliveries, &w))
        fail_msg("%zu of %zu deliveries", d->n_deliveries, n);
}

static bool
has_results(void *ctx)
{
    struct count_wait *w = ctx;

    return w->d->n_results >= w->n;
}

void
device_wait_results(struct device *d, size_t n)
{
    struct count_wait w = {d, n};

    if (!rig_wait(d->rig, has_results, &w))
        fail_msg("%zu of %zu results", d->n_results, n);
}

static bool
has_ended(void *ctx)
{
    return ((struct device *)ctx)->has_ended;
}

void
device_wait_end(struct device *d)
{
    assert_true(rig_wait(d->rig, has_ended, d));
}

void
device_ack(struct device *d, uint32_t lane, uint64_t seq)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Ack body = PARLEY__WIRE__ACK__INIT;
    Parley__Wire__LaneAck one = PARLEY__WIRE__LANE_ACK__INIT, *list[1] = {&one};

    one.lane = lane;
    one.seq = seq;
    body.n_lanes = 1;
    body.lanes = list;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_ACK;
    frame.ack = &body;
    device_tell(d, &frame);
}
