/* verb_bundle.c - the keys of somebody's devices, to start sessions with.
 *
 * A one-time prekey is taken out of the store in a transaction that has been committed before the
 * key is shown, so nobody ever sees one twice (I26). Who asks for the same person too often is
 * answered without one: sessions can still be started, but the stock cannot be emptied by one
 * requester. Source: docs/protocol/registration.md, "Bundles". */
#include <stdlib.h>

#include "relay/core.h"
#include "relay/devices.h"
#include "relay/prekey_push.h"
#include "wire/ident.h"

struct shown {
    uint32_t device, registration_id, left;
    uint8_t identity[33], statement[256], statement_signature[64];
    size_t statement_len;
    struct signed_key signed_prekey;
    bool has_one_time;
    struct one_time_key one_time;
    uint64_t place;
};

struct fetch {
    struct ask ask;
    uint64_t account;
    bool keys_only, spends;
    uint32_t n_wanted;
    uint32_t wanted[WIRE_DEVICES_MAX]; /* none: all */
    /* the answer */
    bool is_business;
    size_t cert_len;
    uint8_t cert[2048];
    uint8_t hash[DEVICE_LIST_HASH_SIZE];
    uint32_t n;
    struct shown shown[WIRE_DEVICES_MAX];
};

static void
copy_column(void *out, size_t size, const struct store_rows *rows, int col)
{
    struct bytes in = store_col_bytes(rows, col);

    if (in.len == size)
        memcpy(out, in.ptr, size);
}

static void
copy_device(struct shown *s, const struct store_rows *rows)
{
    struct bytes statement = store_col_bytes(rows, 7);

    memset(s, 0, sizeof(*s));
    s->device = (uint32_t)store_col_int(rows, 0);
    s->registration_id = (uint32_t)store_col_int(rows, 1);
    copy_column(s->identity, sizeof(s->identity), rows, 2);
    s->signed_prekey.id = (uint32_t)store_col_int(rows, 3);
    copy_column(s->signed_prekey.key, sizeof(s->signed_prekey.key), rows, 4);
    copy_column(s->signed_prekey.signature, sizeof(s->signed_prekey.signature), rows, 5);
    s->signed_prekey.created_ms = store_col_int(rows, 6);
    if (statement.len > 0 && statement.len <= sizeof(s->statement)) {
        s->statement_len = statement.len;
        memcpy(s->statement, statement.ptr, statement.len);
    }
    copy_column(s->statement_signature, sizeof(s->statement_signature), rows, 8);
    s->left = (uint32_t)store_col_int(rows, 9);
    s->place = (uint64_t)store_col_int(rows, 10);
}

static enum rc
read_devices(struct fetch *f, struct store_tx *tx, struct err *err)
{
    struct device_entry list[WIRE_DEVICES_MAX];
    struct store_rows rows;

    f->n = 0;
    for (store_query(&rows, tx, &relay_part, SQL_BUNDLES_GET, ST_ARGS(ST_I(f->account)));
         rows.has_row && f->n < WIRE_DEVICES_MAX; store_next(&rows)) {
        struct shown *s = &f->shown[f->n];

        copy_device(s, &rows);
        list[f->n].device = s->device;
        list[f->n].registration_id = s->registration_id;
        memcpy(list[f->n++].identity_key, s->identity, sizeof(s->identity));
    }
    store_rows_end(&rows);
    if (rows.rc != RC_OK)
        return err_set(err, rows.rc, "relay.bundle", "cannot read devices");
    device_list_hash(f->hash, list, f->n);
    if (f->n == 0)
        return ask_no(&f->ask, PARLEY__WIRE__REASON__NO_ACCOUNT, "nobody is registered there");
    return RC_OK;
}

static enum rc
read_account(struct fetch *f, struct store_tx *tx, struct err *err)
{
    struct store_rows rows;

    f->cert_len = 0;
    store_query(&rows, tx, &relay_part, SQL_ACCOUNT_GET, ST_ARGS(ST_I(f->account)));
    if (rows.has_row) {
        struct bytes cert = store_col_bytes(&rows, 2);

        f->is_business = store_col_int(&rows, 0) != 0;
        if (cert.len > 0 && cert.len <= sizeof(f->cert)) {
            f->cert_len = cert.len;
            memcpy(f->cert, cert.ptr, cert.len);
        }
    }
    store_rows_end(&rows);
    return rows.rc == RC_OK ? RC_OK
                            : err_set(err, rows.rc, "relay.bundle", "cannot read an account");
}

static bool
is_wanted(const struct fetch *f, uint32_t device)
{
    bool found = f->n_wanted == 0;

    for (uint32_t i = 0; i < f->n_wanted; i++)
        found = found || f->wanted[i] == device;
    return found;
}

static enum rc
spend_one(struct fetch *f, struct shown *s, struct store_tx *tx, struct err *err)
{
    struct prekey_stock stock = {
        .account = f->account, .device = s->device, .left = s->left, .place = s->place};
    enum rc rc = prekey_spend(&s->one_time, &stock, tx, err);

    if (rc == RC_NOTFOUND)
        return RC_OK;
    if (rc != RC_OK)
        return rc;
    s->has_one_time = true;
    s->left = stock.left;
    return prekey_stock_write(&stock, tx, err);
}

static enum rc
run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct fetch *f = (struct fetch *)job;
    enum rc rc;

    f->ask.reason = PARLEY__WIRE__REASON__REASON_UNSPECIFIED;
    if ((rc = read_devices(f, tx, err)) != RC_OK || f->ask.reason != 0)
        return rc;
    rc = read_account(f, tx, err);
    for (uint32_t i = 0; i < f->n && rc == RC_OK; i++) {
        if (f->spends && is_wanted(f, f->shown[i].device))
            rc = spend_one(f, &f->shown[i], tx, err);
    }
    return rc;
}

/* ---- the answer ---- */

/* One bundle and the messages inside it, filled from one device. */
struct parts {
    Parley__Wire__Bundle bundle;
    Parley__Wire__SignedPrekey signed_prekey;
    Parley__Wire__OneTimePrekey one_time;
    Parley__Wire__DeviceStatement statement;
};

#define FIELD(array) wire_field(bytes_of((array), sizeof(array)))

static void
fill(struct parts *p, struct shown *s, bool keys_only)
{
    parley__wire__bundle__init(&p->bundle);
    parley__wire__signed_prekey__init(&p->signed_prekey);
    parley__wire__one_time_prekey__init(&p->one_time);
    parley__wire__device_statement__init(&p->statement);
    p->bundle.device = s->device;
    p->bundle.registration_id = s->registration_id;
    p->bundle.identity_key = FIELD(s->identity);
    p->statement.details = wire_field(bytes_of(s->statement, s->statement_len));
    p->statement.signature = FIELD(s->statement_signature);
    p->bundle.statement = &p->statement;
    if (keys_only)
        return;
    p->signed_prekey.id = s->signed_prekey.id;
    p->signed_prekey.key = FIELD(s->signed_prekey.key);
    p->signed_prekey.signature = FIELD(s->signed_prekey.signature);
    p->signed_prekey.created_ms = s->signed_prekey.created_ms;
    p->bundle.signed_prekey = &p->signed_prekey;
    if (s->has_one_time) {
        p->one_time.id = s->one_time.id;
        p->one_time.key = FIELD(s->one_time.key);
        p->bundle.one_time = &p->one_time;
    }
}

static void
send_bundles(struct fetch *f)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Bundles bundles = PARLEY__WIRE__BUNDLES__INIT;
    struct parts parts[WIRE_DEVICES_MAX];
    Parley__Wire__Bundle *list[WIRE_DEVICES_MAX];

    for (uint32_t i = 0; i < f->n; i++) {
        if (!is_wanted(f, f->shown[i].device))
            continue;
        fill(&parts[bundles.n_bundles], &f->shown[i], f->keys_only);
        list[bundles.n_bundles] = &parts[bundles.n_bundles].bundle;
        bundles.n_bundles++;
    }
    bundles.account = f->account;
    bundles.device_list_hash = FIELD(f->hash);
    bundles.bundles = list;
    bundles.number_certificate = wire_field(bytes_of(f->cert, f->cert_len));
    frame.request_id = f->ask.request_id;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_BUNDLES;
    frame.bundles = &bundles;
    peer_send(f->ask.peer, &frame);
}

static void
done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct fetch *f = (struct fetch *)job;
    struct relay *relay = f->ask.peer->worker->relay;

    if (ask_allowed(&f->ask, rc, err)) {
        send_bundles(f);
        for (uint32_t i = 0; i < f->n; i++) {
            if (f->shown[i].has_one_time)
                prekey_push(relay, f->account, f->shown[i].device, f->is_business, f->shown[i].left,
                            f->shown[i].signed_prekey.id);
        }
    }
    ask_end(&f->ask);
}

/* May this requester have a one-time key of this target? Counted only when both windows allow. */
static bool
may_spend(struct relay *relay, uint64_t requester, uint64_t target)
{
    const struct relay_limits *l = &relay->limits;
    int64_t now = relay_now_ms(relay);

    return limiter_take(relay->limiter, LIMIT_FETCH_HOUR, requester, target, l->fetches_per_hour,
                        HOUR_MS, now, NULL) &&
           limiter_take(relay->limiter, LIMIT_FETCH_DAY, requester, target, l->fetches_per_day,
                        DAY_MS, now, NULL);
}

void
verb_bundle_fetch(struct peer *peer, const Parley__Wire__Frame *frame)
{
    const Parley__Wire__BundleFetch *in = frame->bundle_fetch;
    struct relay *relay = peer->worker->relay;
    uint32_t retry_s;
    struct fetch *f;

    if (!peer->is_business &&
        !limiter_take(relay->limiter, LIMIT_LOOKUP, peer->account, 0,
                      relay->limits.lookups_per_hour, HOUR_MS, relay_now_ms(relay), &retry_s)) {
        peer_refuse(peer, frame->request_id, PARLEY__WIRE__REASON__RATE_LIMITED, retry_s,
                    "too many look-ups");
        return;
    }
    if ((f = ask_new(peer, frame, sizeof(*f))) == NULL)
        return;
    f->account = in->account;
    f->keys_only = in->keys_only;
    f->n_wanted = (uint32_t)in->n_devices;
    for (uint32_t i = 0; i < f->n_wanted; i++)
        f->wanted[i] = in->devices[i];
    f->spends = !in->keys_only && may_spend(relay, peer->account, in->account);
    if (f->spends)
        ask_write(&f->ask, run, done, false);
    else
        ask_read(&f->ask, run, done);
}
