/* sealing.c - T2: messages encrypted to every listed device of a peer, session rows moved on by
 * compare-and-set, the finished publish frame kept sealed: retries send those bytes.
 *
 * Runs inside store jobs only. Rule (I24): a ciphertext leaves the process only after the commit
 * that holds the session state which can no longer produce its key. */
#include "endpoint/internal.h"

/* A ciphertext made earlier for the same installation of this device, or NULL. */
static const Parley__Wire__DeviceCiphertext *
kept_ciphertext(const Parley__Wire__Publish *old, const struct peer_device *d)
{
    for (size_t i = 0; old != NULL && i < old->n_ciphertexts; i++)
        if (old->ciphertexts[i]->device == d->device &&
            old->ciphertexts[i]->registration_id == d->registration_id)
            return old->ciphertexts[i];
    return NULL;
}

static enum rc
device_store(struct endpoint *ep, struct store_tx *tx, const uint8_t peer_key[16],
             struct peer_device *d, struct bytes record, struct err *err)
{
    struct row_key row = row_key_peer(ep->account, peer_key, d->device);
    struct buf sealed;
    uint64_t changed = 0;
    enum rc rc;

    buf_init(&sealed, SESSION_RECORD_MAX + SEAL_OVERHEAD);
    rc =
        row_seal(ep, &sealed, SEAL_YEAR, "end_device", "record", &row, d->version + 1, record, err);
    if (rc == RC_OK)
        rc = store_run(tx, &endpoint_part, SQL_DEVICE_SESSION, &changed, err,
                       ST_ARGS(ST_I(ep->account), ST_B(bytes_of(peer_key, 16)), ST_I(d->device),
                               ST_I(d->version), ST_B(buf_bytes(&sealed)), ST_I(d->unanswered),
                               ST_I(clock_unix_ms(ep->host->clock))));
    if (rc == RC_OK && changed != 1)
        rc = err_set(err, RC_STALE, "endpoint.seal", "session row moved under us");
    buf_free(&sealed);
    return rc;
}

/* Encrypt for one device and move its session on, in memory and in the transaction. */
static enum rc
encrypt_one(struct endpoint *ep, struct store_tx *tx, const uint8_t peer_key[16],
            struct peer_device *d, Parley__Content__Payload *payload, struct buf *cipher,
            enum session_type *type, struct err *err)
{
    struct trace_keys trace;
    struct buf plain, record;
    enum rc rc;

    buf_init(&plain, CONTENT_MAX + 1024);
    buf_init(&record, SESSION_RECORD_MAX);
    payload->recipient_device = d->device;
    if ((rc = content_pack(&plain, payload, err)) != RC_OK)
        goto out;
    trace_begin(ep, &trace);
    rc = session_encrypt(ep->host->engine, cipher, type, &record, &tx_secret(ep)->identity,
                         buf_bytes(&d->record), buf_bytes(&plain), err);
    trace_encrypted(ep, &trace, buf_bytes(cipher));
    if (rc != RC_OK)
        goto out;
    d->unanswered++;
    if ((rc = device_store(ep, tx, peer_key, d, buf_bytes(&record), err)) != RC_OK)
        goto out;
    d->version++;
    buf_wipe(&d->record);
    d->record = record;
    record = (struct buf){0};
out:
    buf_wipe(&plain);
    buf_wipe(&record);
    return rc;
}

static void
list_hash(const struct peer_devices *devices, uint8_t hash[DEVICE_LIST_HASH_SIZE])
{
    struct device_entry entries[DEVICES_MAX];

    for (size_t i = 0; i < devices->n; i++) {
        entries[i].device = devices->item[i].device;
        entries[i].registration_id = devices->item[i].registration_id;
        memcpy(entries[i].identity_key, devices->item[i].identity, 33);
    }
    device_list_hash(hash, entries, devices->n);
}

/* Append the packed Publish for all devices to *publish. devices must be all_ready. old_publish
 * holds ciphertexts of an earlier try, or is empty. */
enum rc
seal_for_devices(struct endpoint *ep, struct store_tx *tx, struct peer_devices *devices,
                 const uint8_t peer_key[16], Parley__Content__Payload *payload,
                 struct bytes old_publish, uint64_t counter, struct buf *publish, struct err *err)
{
    Parley__Wire__DeviceCiphertext items[DEVICES_MAX], *refs[DEVICES_MAX];
    struct buf ciphers[DEVICES_MAX] = {{0}};
    Parley__Wire__Publish msg = PARLEY__WIRE__PUBLISH__INIT, *old = NULL;
    uint8_t hash[DEVICE_LIST_HASH_SIZE];
    enum rc rc = RC_OK;

    if (old_publish.len > 0)
        old = parley__wire__publish__unpack(NULL, old_publish.len, old_publish.ptr);
    for (size_t i = 0; rc == RC_OK && i < devices->n; i++) {
        struct peer_device *d = &devices->item[i];
        const Parley__Wire__DeviceCiphertext *kept = kept_ciphertext(old, d);
        enum session_type type = SESSION_WHISPER;

        items[i] = (Parley__Wire__DeviceCiphertext)PARLEY__WIRE__DEVICE_CIPHERTEXT__INIT;
        refs[i] = &items[i];
        buf_init(&ciphers[i], WIRE_ENVELOPE_MAX);
        if (kept == NULL) {
            rc = encrypt_one(ep, tx, peer_key, d, payload, &ciphers[i], &type, err);
            items[i].type = (Parley__Wire__CipherType)type;
        } else {
            buf_put(&ciphers[i], wire_bytes(kept->body));
            items[i].type = kept->type;
        }
        items[i].device = d->device;
        items[i].registration_id = d->registration_id;
        items[i].body = wire_field(buf_bytes(&ciphers[i]));
    }
    if (rc == RC_OK) {
        list_hash(devices, hash);
        msg.message_id = payload->message_id;
        msg.recipient = payload->recipient_account;
        msg.device_list_hash = wire_field(bytes_of(hash, sizeof hash));
        msg.class_ = (Parley__Wire__Class)payload->class_;
        msg.category = (Parley__Wire__Category)payload->category;
        msg.is_template = payload->is_template;
        msg.expires_at_ms = payload->expires_at_ms;
        msg.counter = counter;
        msg.n_ciphertexts = devices->n;
        msg.ciphertexts = refs;
        uint8_t *room = buf_extend(publish, parley__wire__publish__get_packed_size(&msg));
        if (room == NULL)
            rc = err_set(err, RC_LIMIT, "endpoint.seal", "publish frame too large");
        else
            parley__wire__publish__pack(&msg, room);
    }
    for (size_t i = 0; i < devices->n; i++)
        buf_free(&ciphers[i]);
    if (old != NULL)
        parley__wire__publish__free_unpacked(old, NULL);
    return rc;
}

/* One waiting row, sealed and handed to the outputs. */
struct waiting_row {
    uint64_t ord, counter;
    uint8_t message_id[16];
    struct buf payload, publish; /* opened */
};

static enum rc
waiting_read(struct endpoint *ep, const struct store_rows *rows, struct waiting_row *row,
             struct err *err)
{
    struct bytes id = store_col_bytes(rows, 1), publish = store_col_bytes(rows, 6);
    struct row_key key;
    enum rc rc;

    row->ord = (uint64_t)store_col_int(rows, 0);
    row->counter = (uint64_t)store_col_int(rows, 3);
    buf_init(&row->payload, CONTENT_MAX + 1024);
    buf_init(&row->publish, WIRE_FRAME_MAX);
    if (id.len != sizeof row->message_id)
        return err_set(err, RC_IO, "endpoint.waiting", "message id of %zu bytes", id.len);
    memcpy(row->message_id, id.ptr, id.len);
    key = row_key_num(ep->account, row->ord);
    rc = row_open(ep, &row->payload, "end_out", "payload", &key, 0, store_col_bytes(rows, 5), err);
    if (rc == RC_OK && publish.len > 0)
        rc = row_open(ep, &row->publish, "end_out", "publish", &key, row->counter, publish, err);
    return rc;
}

static enum rc
waiting_seal(struct endpoint *ep, struct store_tx *tx, struct peer_devices *devices,
             const uint8_t peer_key[16], struct waiting_row *row, struct endpoint_outputs *out,
             struct err *err)
{
    Parley__Content__Payload *payload;
    struct arena *arena = NULL;
    struct buf publish, sealed;
    struct row_key key = row_key_num(ep->account, row->ord);
    uint64_t counter = tx_counter_next(ep);
    enum rc rc;

    buf_init(&publish, WIRE_FRAME_MAX);
    buf_init(&sealed, WIRE_FRAME_MAX + SEAL_OVERHEAD);
    out->is_counted = true;
    if ((rc = arena_new(&arena, 4 * CONTENT_MAX, err)) != RC_OK)
        goto out;
    if ((rc = content_unpack(&payload, arena, buf_bytes(&row->payload), err)) != RC_OK)
        goto out;
    /* the row's id wins: a resend goes out under a new one */
    payload->message_id = wire_field(bytes_of(row->message_id, 16));
    rc = seal_for_devices(ep, tx, devices, peer_key, payload, buf_bytes(&row->publish), counter,
                          &publish, err);
    if (rc == RC_OK)
        rc = row_seal(ep, &sealed, SEAL_DAY, "end_out", "publish", &key, counter,
                      buf_bytes(&publish), err);
    if (rc == RC_OK)
        rc = store_run(
            tx, &endpoint_part, SQL_OUT_SEALED, NULL, err,
            ST_ARGS(ST_I(ep->account), ST_I(row->ord), ST_I(counter), ST_B(buf_bytes(&sealed))));
    if (rc == RC_OK)
        rc = outputs_add_publish(out, row->ord, counter, row->message_id, &publish);
out:
    arena_wipe(&arena);
    buf_free(&publish);
    buf_free(&sealed);
    return rc;
}

/* Seal what waits for this peer, in order of acceptance, as far as its sessions allow; ask for
 * bundles where they do not. */
enum rc
seal_waiting(struct endpoint *ep, struct store_tx *tx, uint64_t peer, struct endpoint_outputs *out,
             struct err *err)
{
    uint8_t key[ENDPOINT_PEER_KEY_SIZE];
    struct peer_devices devices = {.n = 0};
    uint64_t after = 0;
    enum rc rc;

    if (!endpoint_may_seal(ep))
        return RC_OK;
    endpoint_peer_key(ep, peer, key);
    rc = peer_load(ep, tx, key, &devices, err);
    while (rc == RC_OK) {
        struct waiting_row row = {0};
        struct store_rows rows;
        bool has_row;

        store_query(&rows, tx, &endpoint_part, SQL_OUT_WAITING_OF_PEER,
                    ST_ARGS(ST_I(ep->account), ST_B(bytes_of(key, 16)), ST_I(after)));
        has_row = rows.has_row;
        if (has_row)
            rc = waiting_read(ep, &rows, &row, err);
        store_rows_end(&rows);
        if (!has_row)
            rc = rows.rc;
        if (rc == RC_OK && has_row) {
            after = row.ord;
            if (!devices.all_ready) {
                rc = outputs_add_fetch(out, peer, true);
                has_row = false;
            } else if (peer_is_chain_full(ep, &devices)) {
                has_row = false; /* an answer will kick us */
            } else {
                rc = waiting_seal(ep, tx, &devices, key, &row, out, err);
            }
        }
        buf_wipe(&row.payload);
        buf_free(&row.publish);
        if (!has_row)
            break;
    }
    peer_wipe(&devices);
    return rc;
}
