/* device.c - see device.h. */
#include "device.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "crypto/cert.h"
#include "crypto/prim.h"
#include "wait.h"

#define ANSWER_MS 10000u
#define OUTBOX_MAX (16u * 1024 * 1024)
#define SIGNED_MAX 512u
#define CERT_NOT_AFTER_S INT64_C(4000000000)

#define FIELD(array) wire_field(bytes_of((array), sizeof(array)))
#define TEXT(literal) ((char *)(uintptr_t)(literal))

/* ---- the channel ---- */

static void
on_up(void *ctx, struct channel *channel)
{
    ((struct device *)ctx)->is_up = true;
}

static void
acknowledge(struct device *d, const Parley__Wire__Deliver *in)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Ack body = PARLEY__WIRE__ACK__INIT;
    Parley__Wire__LaneAck lane = PARLEY__WIRE__LANE_ACK__INIT, *list[1] = {&lane};

    lane.lane = in->lane;
    lane.seq = in->seq;
    body.n_lanes = 1;
    body.lanes = list;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_ACK;
    frame.ack = &body;
    (void)!channel_send(d->channel, &frame, NULL);
}

static void
on_frame(void *ctx, struct channel *channel, const Parley__Wire__Frame *frame)
{
    struct device *d = ctx;

    switch (frame->body_case) {
    case PARLEY__WIRE__FRAME__BODY_DELIVER:
        d->n_delivered++;
        acknowledge(d, frame->deliver);
        break;
    case PARLEY__WIRE__FRAME__BODY_PUBLISH_RESULT:
        d->n_answered++;
        d->n_refused += frame->publish_result->reason != PARLEY__WIRE__REASON__REASON_UNSPECIFIED;
        break;
    case PARLEY__WIRE__FRAME__BODY_TICKET:
        if (frame->ticket->ticket.len == sizeof(d->ticket))
            memcpy(d->ticket, frame->ticket->ticket.data, sizeof(d->ticket));
        break;
    case PARLEY__WIRE__FRAME__BODY_REGISTERED:
        d->generation = frame->registered->generation;
        break;
    default:
        break;
    }
    if (frame->request_id != 0 && frame->request_id == d->waits_for) {
        d->waits_for = 0;
        d->is_refused = frame->body_case == PARLEY__WIRE__FRAME__BODY_REFUSAL;
    }
    if (d->on_progress != NULL)
        d->on_progress(d);
}

static void
on_end(void *ctx, struct channel *channel, enum channel_end how, Parley__Wire__CloseReason reason,
       const struct err *err)
{
    struct device *d = ctx;

    d->channel = NULL;
    d->is_up = false;
}

static const struct channel_ops ops = {on_up, on_frame, NULL, on_end};

static enum rc
check_server(void *ctx, const uint8_t server_static[32], struct bytes certificate, struct err *err)
{
    const struct device *d = ctx;
    struct relay_cert cert;
    enum rc rc = relay_cert_read(&cert, certificate, d->net->root, 0, err);

    if (rc == RC_OK && memcmp(cert.static_key, server_static, 32) != 0)
        rc = err_set(err, RC_AUTH, "bench.device", "the certificate is another's");
    return rc;
}

static bool
is_up_or_over(void *ctx)
{
    const struct device *d = ctx;

    return d->is_up || d->channel == NULL;
}

static enum rc
connect_device(struct device *d, struct err *err)
{
    struct channel_opt opt = {.hub = d->net->hub, .ops = &ops, .ctx = d};
    enum rc rc;

    device_close(d);
    opt.pipe.local_static = &d->noise;
    opt.pipe.rng = rng_system();
    opt.pipe.check_server = check_server;
    opt.pipe.ctx = d;
    if ((rc = channel_connect(&d->channel, "127.0.0.1", d->net->port, &opt, err)) != RC_OK ||
        (rc = wait_until(d->net->loop, is_up_or_over, d, ANSWER_MS, err)) != RC_OK)
        return rc;
    return d->is_up ? RC_OK : err_set(err, RC_IO, "bench.device", "the relay hung up");
}

void
device_close(struct device *device)
{
    if (device->channel != NULL)
        channel_abandon(&device->channel, PARLEY__WIRE__CLOSE_REASON__BYE);
    device->is_up = false;
}

static bool
is_answered(void *ctx)
{
    const struct device *d = ctx;

    return d->waits_for == 0 || d->channel == NULL;
}

/* Send a request and wait for its answer, which must not be a refusal. */
static enum rc
ask(struct device *d, Parley__Wire__Frame *frame, struct err *err)
{
    enum rc rc;

    frame->request_id = d->waits_for = UINT32_MAX; /* publishes count from 1 */
    d->is_refused = false;
    if (d->channel == NULL)
        return err_set(err, RC_CLOSED, "bench.device", "not connected");
    if ((rc = channel_send(d->channel, frame, err)) == RC_OK)
        rc = wait_until(d->net->loop, is_answered, d, ANSWER_MS, err);
    if (rc == RC_OK && (d->is_refused || d->waits_for != 0))
        rc =
            err_set(err, RC_DENIED, "bench.device", "the relay refused %s", wire_frame_name(frame));
    return rc;
}

/* ---- registration ---- */

static enum rc
ask_code(struct device *d, struct err *err)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__CodeRequest body = PARLEY__WIRE__CODE_REQUEST__INIT;

    body.number = d->number;
    body.method = TEXT("sms");
    body.language = TEXT("en");
    frame.body_case = PARLEY__WIRE__FRAME__BODY_CODE_REQUEST;
    frame.code_request = &body;
    return ask(d, &frame, err);
}

/* The last line of the outbox is ours: devices register one after the other. */
static enum rc
read_code(const struct device *d, char code[16], struct err *err)
{
    json_t *object = NULL;
    const char *last, *text = NULL;
    struct buf all;
    enum rc rc;

    buf_init(&all, OUTBOX_MAX);
    if ((rc = file_read(&all, d->net->outbox, OUTBOX_MAX - 1, err)) == RC_OK) {
        while (all.len > 0 && all.ptr[all.len - 1] == '\n')
            all.len--;
        last = strrchr(buf_cstr(&all), '\n');
        last = last == NULL ? buf_cstr(&all) : last + 1;
        if ((rc = json_read(&object, bytes_of_str(last), 4096, err)) == RC_OK)
            text = json_str(object, "code");
        snprintf(code, 16, "%s", text == NULL ? "" : text);
    }
    json_decref(object);
    buf_free(&all);
    return rc;
}

static enum rc
verify(struct device *d, const char *code, struct err *err)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__CodeVerify body = PARLEY__WIRE__CODE_VERIFY__INIT;

    body.number = d->number;
    body.code = TEXT(code);
    frame.body_case = PARLEY__WIRE__FRAME__BODY_CODE_VERIFY;
    frame.code_verify = &body;
    return ask(d, &frame, err);
}

static void
sign(const struct device *d, uint8_t sig[64], const char *label, struct bytes text)
{
    uint8_t random[64], joined[SIGNED_MAX];
    size_t n = strlen(label);

    memcpy(joined, label, n);
    memcpy(joined + n, text.ptr, text.len);
    rng_fill(rng_system(), random, sizeof(random));
    curve_sign(sig, d->identity_priv, bytes_of(joined, n + text.len), random);
}

static void
certificate_of(const struct device *d, struct buf *out)
{
    const struct number_cert cert = {.number = d->number,
                                     .display_name = "Bench",
                                     .business_id = 1,
                                     .portfolio_id = 1,
                                     .hosting = CERT_HOSTED,
                                     .operator_name = "Parley",
                                     .issued_s = 1,
                                     .not_after_s = CERT_NOT_AFTER_S};

    buf_init(out, 4096);
    if (d->is_business && number_cert_issue(&cert, d->net->authority_seed, out, NULL) != RC_OK)
        buf_reset(out); /* the relay refuses it, and says so */
}

static enum rc
send_register(struct device *d, struct err *err)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Register body = PARLEY__WIRE__REGISTER__INIT;
    Parley__Wire__DeviceKeys keys = PARLEY__WIRE__DEVICE_KEYS__INIT;
    Parley__Wire__SignedPrekey prekey = PARLEY__WIRE__SIGNED_PREKEY__INIT;
    Parley__Wire__DeviceStatement statement = PARLEY__WIRE__DEVICE_STATEMENT__INIT;
    Parley__Wire__DeviceDetails details = PARLEY__WIRE__DEVICE_DETAILS__INIT;
    uint8_t pub[33], pub_sig[64], packed[64], packed_sig[64], sig[64];
    struct buf cert;
    size_t n;
    enum rc rc;

    rng_fill(rng_system(), pub, sizeof(pub));
    pub[0] = 5;
    sign(d, pub_sig, "", bytes_of(pub, sizeof(pub)));
    prekey.id = 7;
    prekey.key = FIELD(pub);
    prekey.signature = FIELD(pub_sig);
    details.account = d->number;
    details.device = 1;
    n = parley__wire__device_details__pack(&details, packed);
    sign(d, packed_sig, "PLY-device", bytes_of(packed, n));
    statement.details = wire_field(bytes_of(packed, n));
    statement.signature = FIELD(packed_sig);
    keys.registration_id = d->registration_id;
    keys.identity_key = FIELD(d->identity);
    keys.signed_prekey = &prekey;
    keys.statement = &statement;
    sign(d, sig, "PLY-reg", bytes_of(channel_hash(d->channel), 32));
    body.ticket = FIELD(d->ticket);
    body.keys = &keys;
    body.channel_signature = FIELD(sig);
    certificate_of(d, &cert);
    body.number_certificate = wire_field(buf_bytes(&cert));
    frame.body_case = PARLEY__WIRE__FRAME__BODY_REGISTER;
    frame.register_ = &body;
    rc = ask(d, &frame, err);
    buf_free(&cert);
    return rc;
}

static enum rc
log_in(struct device *d, struct err *err)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Login body = PARLEY__WIRE__LOGIN__INIT;
    Parley__Wire__Address address = PARLEY__WIRE__ADDRESS__INIT;
    struct buf cert;
    enum rc rc;

    address.account = d->number;
    address.device = 1;
    body.address = &address;
    body.generation = d->generation;
    body.client = TEXT("parley-bench");
    certificate_of(d, &cert);
    body.number_certificate = wire_field(buf_bytes(&cert));
    frame.body_case = PARLEY__WIRE__FRAME__BODY_LOGIN;
    frame.login = &body;
    rc = ask(d, &frame, err);
    buf_free(&cert);
    return rc;
}

enum rc
device_open(struct device *device, struct device_net *net, uint64_t number, bool is_business,
            struct err *err)
{
    char code[16];
    enum rc rc;

    *device = (struct device){.net = net, .number = number, .is_business = is_business};
    x25519_keypair(device->noise.priv, device->noise.pub, rng_system());
    device->identity[0] = 5;
    x25519_keypair(device->identity_priv, device->identity + 1, rng_system());
    device->registration_id = 1 + rng_below(rng_system(), 16380);
    if ((rc = connect_device(device, err)) != RC_OK || (rc = ask_code(device, err)) != RC_OK ||
        (rc = read_code(device, code, err)) != RC_OK || (rc = verify(device, code, err)) != RC_OK ||
        (rc = send_register(device, err)) != RC_OK || (rc = connect_device(device, err)) != RC_OK)
        return rc;
    return log_in(device, err);
}

/* ---- traffic ---- */

void
device_publish(struct device *from, const struct device *to, struct bytes body)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Publish publish = PARLEY__WIRE__PUBLISH__INIT;
    Parley__Wire__DeviceCiphertext one = PARLEY__WIRE__DEVICE_CIPHERTEXT__INIT, *list[1] = {&one};
    struct device_entry entry = {.device = 1, .registration_id = to->registration_id};
    uint8_t id[MESSAGE_ID_BYTES], hash[DEVICE_LIST_HASH_SIZE];
    struct timespec now;
    int64_t now_ms;

    clock_gettime(CLOCK_REALTIME, &now);
    now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    message_id_make(id, now_ms, rng_system());
    memcpy(entry.identity_key, to->identity, sizeof(entry.identity_key));
    device_list_hash(hash, &entry, 1);
    one.device = 1;
    one.type = PARLEY__WIRE__CIPHER_TYPE__WHISPER;
    one.body = wire_field(body);
    one.registration_id = to->registration_id;
    publish.message_id = FIELD(id);
    publish.recipient = to->number;
    publish.device_list_hash = FIELD(hash);
    publish.class_ = PARLEY__WIRE__CLASS__MESSAGE;
    publish.category = PARLEY__WIRE__CATEGORY__UTILITY;
    publish.expires_at_ms = now_ms + WIRE_EXPIRY_MAX_MS;
    publish.counter = ++from->counter;
    publish.n_ciphertexts = 1;
    publish.ciphertexts = list;
    frame.request_id = (uint32_t)from->counter;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_PUBLISH;
    frame.publish = &publish;
    if (from->channel != NULL && channel_send(from->channel, &frame, NULL) == RC_OK)
        from->n_sent++;
}
