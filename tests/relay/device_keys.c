/* device_keys.c - codes, tickets, registration, prekeys, bundles: a device's side of them. */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

Parley__Wire__Reason
device_ask_code(struct device *d)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__CodeRequest body = PARLEY__WIRE__CODE_REQUEST__INIT;

    body.number = d->number;
    body.method = (char *)(uintptr_t) "sms";
    body.language = (char *)(uintptr_t) "en";
    frame.body_case = PARLEY__WIRE__FRAME__BODY_CODE_REQUEST;
    frame.code_request = &body;
    return reason_of(device_ask(d, &frame));
}

Parley__Wire__Reason
device_verify(struct device *d, const char *code, uint8_t ticket[32], bool *pin_required)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__CodeVerify body = PARLEY__WIRE__CODE_VERIFY__INIT;
    const Parley__Wire__Frame *reply;

    body.number = d->number;
    body.code = (char *)(uintptr_t)code;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_CODE_VERIFY;
    frame.code_verify = &body;
    reply = device_ask(d, &frame);
    if (reason_of(reply) != OK)
        return reason_of(reply);
    assert_int_equal(reply->body_case, PARLEY__WIRE__FRAME__BODY_TICKET);
    assert_int_equal(reply->ticket->ticket.len, 32);
    memcpy(ticket, reply->ticket->ticket.data, 32);
    if (pin_required != NULL)
        *pin_required = reply->ticket->pin_required;
    return OK;
}

static void
sign(struct device *d, uint8_t sig[64], const char *label, struct bytes text, bool spoil)
{
    uint8_t random[64], joined[512];
    size_t n = strlen(label);

    memcpy(joined, label, n);
    memcpy(joined + n, text.ptr, text.len);
    rng_fill(rng_system(), random, sizeof(random));
    curve_sign(sig, d->identity_priv, bytes_of(joined, n + text.len), random);
    if (spoil)
        sig[5] ^= 1;
}

/* Everything a DeviceKeys needs, kept in one place while the frame is sent. */
struct key_parts {
    Parley__Wire__DeviceKeys keys;
    Parley__Wire__SignedPrekey signed_prekey;
    Parley__Wire__DeviceStatement statement;
    uint8_t signed_pub[33], signed_sig[64], details[64], statement_sig[64];
    Parley__Wire__OneTimePrekey *one_time;
    Parley__Wire__OneTimePrekey **list;
    uint8_t (*pubs)[33];
};

static void
make_one_time(struct device *d, struct key_parts *p, uint32_t n)
{
    uint64_t seed = d->prekey_seed;
    struct rng rng = d->keeps_prekeys ? rng_seeded(&seed) : rng_system();

    p->one_time = calloc(n + 1, sizeof(*p->one_time));
    p->list = calloc(n + 1, sizeof(struct Parley__Wire__OneTimePrekey *));
    p->pubs = calloc(n + 1, sizeof(*p->pubs));
    if (d->keeps_prekeys)
        d->next_prekey = 1;
    for (uint32_t i = 0; i < n; i++) {
        parley__wire__one_time_prekey__init(&p->one_time[i]);
        rng_fill(rng, p->pubs[i], 33);
        p->pubs[i][0] = 5;
        p->one_time[i].id = d->next_prekey++;
        p->one_time[i].key = FIELD(p->pubs[i]);
        p->list[i] = &p->one_time[i];
    }
}

static void
free_one_time(struct key_parts *p)
{
    free(p->one_time);
    free(p->list);
    free(p->pubs);
}

static void
make_keys(struct device *d, struct key_parts *p, const struct registration_opt *opt)
{
    Parley__Wire__DeviceDetails details = PARLEY__WIRE__DEVICE_DETAILS__INIT;
    size_t n;

    parley__wire__device_keys__init(&p->keys);
    parley__wire__signed_prekey__init(&p->signed_prekey);
    parley__wire__device_statement__init(&p->statement);
    make_one_time(d, p, opt->n_one_time);
    rng_fill(rng_system(), p->signed_pub, 33);
    p->signed_pub[0] = 5;
    sign(d, p->signed_sig, "", bytes_of(p->signed_pub, 33), opt->spoil_signed);
    p->signed_prekey.id = 7;
    p->signed_prekey.key = FIELD(p->signed_pub);
    p->signed_prekey.signature = FIELD(p->signed_sig);
    details.account = opt->statement_number == 0 ? d->number : opt->statement_number;
    details.device = 1;
    n = parley__wire__device_details__pack(&details, p->details);
    sign(d, p->statement_sig, "PLY-device", bytes_of(p->details, n), opt->spoil_statement);
    p->statement.details = wire_field(bytes_of(p->details, n));
    p->statement.signature = FIELD(p->statement_sig);
    p->keys.registration_id = d->registration_id;
    p->keys.identity_key = FIELD(d->identity);
    p->keys.signed_prekey = &p->signed_prekey;
    p->keys.statement = &p->statement;
    p->keys.n_one_time = opt->n_one_time;
    p->keys.one_time = p->list;
}

Parley__Wire__Reason
device_register_with(struct device *d, const struct registration_opt *opt)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Register body = PARLEY__WIRE__REGISTER__INIT;
    const Parley__Wire__Frame *reply;
    struct key_parts parts = {0};
    uint8_t sig[64];

    make_keys(d, &parts, opt);
    sign(d, sig, "PLY-reg", bytes_of(channel_hash(d->channel), 32), opt->spoil_channel);
    body.ticket = wire_field(bytes_of(opt->ticket, 32));
    body.pin = (char *)(uintptr_t)(opt->pin == NULL ? "" : opt->pin);
    body.new_pin = (char *)(uintptr_t)(opt->new_pin == NULL ? "" : opt->new_pin);
    body.keys = &parts.keys;
    body.channel_signature = FIELD(sig);
    body.number_certificate = wire_field(opt->certificate);
    frame.body_case = PARLEY__WIRE__FRAME__BODY_REGISTER;
    frame.register_ = &body;
    reply = device_ask(d, &frame);
    free_one_time(&parts);
    if (reason_of(reply) != OK)
        return reason_of(reply);
    assert_int_equal(reply->body_case, PARLEY__WIRE__FRAME__BODY_REGISTERED);
    assert_int_equal(reply->registered->address->account, d->number);
    d->generation = reply->registered->generation;
    d->counter = 0;
    return OK;
}

void
device_certificate(struct device *d, uint64_t number, int64_t not_after_s, struct buf *out)
{
    struct number_cert cert = {.number = number,
                               .display_name = "Shop",
                               .business_id = 1,
                               .portfolio_id = 1,
                               .hosting = CERT_HOSTED,
                               .operator_name = "Parley",
                               .issued_s = 1,
                               .not_after_s = not_after_s};

    buf_init(out, 4096);
    assert_int_equal(number_cert_issue(&cert, d->rig->authority_seed, out, NULL), RC_OK);
}

void
device_register(struct device *d, uint32_t n_one_time)
{
    struct registration_opt opt = {.n_one_time = n_one_time};
    uint8_t ticket[32];
    struct buf cert = {0};
    char code[8];

    device_connect(d);
    assert_int_equal(device_ask_code(d), OK);
    rig_code(d->rig, d->number, code);
    assert_int_equal(device_verify(d, code, ticket, NULL), OK);
    opt.ticket = ticket;
    if (d->is_business) {
        device_certificate(d, d->number, INT64_C(4000000000), &cert);
        opt.certificate = buf_bytes(&cert);
    }
    assert_int_equal(device_register_with(d, &opt), OK);
    buf_free(&cert);
}

/* ---- prekeys ---- */

static void
fetch(struct device *d, uint64_t account, bool keys_only, bool waits)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__BundleFetch body = PARLEY__WIRE__BUNDLE_FETCH__INIT;

    body.account = account;
    body.keys_only = keys_only;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_BUNDLE_FETCH;
    frame.bundle_fetch = &body;
    if (waits) {
        (void)device_ask(d, &frame);
    } else {
        frame.request_id = ++d->next_request;
        device_tell(d, &frame);
    }
}

Parley__Wire__Reason
device_fetch(struct device *d, uint64_t account, bool keys_only, uint32_t *one_time_id)
{
    *one_time_id = 0;
    fetch(d, account, keys_only, true);
    assert_true(d->has_reply);
    if (reason_of(d->reply) != OK)
        return reason_of(d->reply);
    assert_int_equal(d->reply->body_case, PARLEY__WIRE__FRAME__BODY_BUNDLES);
    assert_int_equal(d->reply->bundles->n_bundles, 1);
    if (d->reply->bundles->bundles[0]->one_time != NULL)
        *one_time_id = d->reply->bundles->bundles[0]->one_time->id;
    return OK;
}

void
device_fetch_later(struct device *d, uint64_t account)
{
    fetch(d, account, false, false);
}

void
device_keep_prekeys(struct device *d)
{
    d->keeps_prekeys = true;
    d->prekey_seed = rng_u64(rng_system());
}

Parley__Wire__Reason
device_try_upload(struct device *d, uint32_t n, bool replace)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__PrekeyUpload body = PARLEY__WIRE__PREKEY_UPLOAD__INIT;
    struct key_parts parts = {0};

    make_one_time(d, &parts, n);
    body.n_one_time = n;
    body.one_time = parts.list;
    body.replace_one_time = replace;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_PREKEY_UPLOAD;
    frame.prekey_upload = &body;
    (void)device_ask(d, &frame);
    free_one_time(&parts);
    if (reason_of(d->reply) != OK)
        return reason_of(d->reply);
    assert_int_equal(d->reply->body_case, PARLEY__WIRE__FRAME__BODY_PREKEY_STATUS);
    d->last_left = d->reply->prekey_status->one_time_left;
    return OK;
}

void
device_upload(struct device *d, uint32_t n, bool replace)
{
    assert_int_equal(device_try_upload(d, n, replace), OK);
}
