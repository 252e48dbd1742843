/* peers.c - a peer account's devices as we know them, and what the relay's answer to a fetch
 * changes.
 *
 * A device row holds the public identity, the registration id and the sealed session record. A
 * device that left the list keeps its row (its old messages still decrypt) but gets no new ones. */
#include "crypto/cert.h"
#include "endpoint/internal.h"

static enum rc
device_read(struct endpoint *ep, const uint8_t key[16], const struct store_rows *rows,
            struct peer_device *d, struct err *err)
{
    struct bytes identity = store_col_bytes(rows, 2);
    struct bytes record = store_col_bytes(rows, 4);

    d->device = (uint32_t)store_col_int(rows, 0);
    d->registration_id = (uint32_t)store_col_int(rows, 1);
    d->version = (uint64_t)store_col_int(rows, 3);
    d->unanswered = (uint32_t)store_col_int(rows, 5);
    d->hosting = (uint32_t)store_col_int(rows, 6);
    buf_init(&d->record, SESSION_RECORD_MAX);
    if (identity.len != sizeof d->identity)
        return err_set(err, RC_IO, "endpoint.peer", "identity column of %zu bytes", identity.len);
    memcpy(d->identity, identity.ptr, sizeof d->identity);
    if (record.len == 0)
        return RC_OK;
    struct row_key row = row_key_peer(ep->account, key, d->device);
    return row_open(ep, &d->record, "end_device", "record", &row, d->version, record, err);
}

enum rc
peer_load(struct endpoint *ep, struct store_tx *tx, const uint8_t key[16], struct peer_devices *out,
          struct err *err)
{
    struct store_rows rows;
    enum rc rc = RC_OK;

    out->n = 0;
    out->all_ready = false;
    store_query(&rows, tx, &endpoint_part, SQL_DEVICE_OF_PEER,
                ST_ARGS(ST_I(ep->account), ST_B(bytes_of(key, 16))));
    for (; rows.has_row && out->n < DEVICES_MAX && rc == RC_OK; store_next(&rows))
        rc = device_read(ep, key, &rows, &out->item[out->n++], err);
    store_rows_end(&rows);
    if (rc == RC_OK && rows.rc != RC_OK)
        rc = err_set(err, rows.rc, "endpoint.peer", "reading devices failed");
    if (rc != RC_OK) {
        peer_wipe(out);
        return rc;
    }
    out->all_ready = out->n > 0;
    for (size_t i = 0; i < out->n; i++) {
        if (out->item[i].record.len == 0 || out->item[i].unanswered >= UNANSWERED_STALE)
            out->all_ready = false;
    }
    return RC_OK;
}

static uint32_t
unanswered_max(const struct endpoint *ep)
{
    return ep->policy->unanswered_max > 0 ? ep->policy->unanswered_max : ENDPOINT_UNANSWERED_MAX;
}

bool
peer_was_chain_full(const struct endpoint *ep, uint32_t unanswered)
{
    return unanswered >= unanswered_max(ep) && unanswered < UNANSWERED_STALE;
}

bool
peer_is_chain_full(const struct endpoint *ep, const struct peer_devices *devices)
{
    for (size_t i = 0; i < devices->n; i++)
        if (devices->item[i].unanswered >= unanswered_max(ep))
            return true;
    return false;
}

void
peer_wipe(struct peer_devices *devices)
{
    for (size_t i = 0; i < devices->n; i++)
        buf_wipe(&devices->item[i].record);
    devices->n = 0;
}

/* The device's own statement, under its own key. Unknown if absent or not to be believed. */
static enum endpoint_hosting
stated_hosting(uint64_t peer, const Parley__Wire__Bundle *bundle)
{
    static const char label[] = "PLY-device";
    const Parley__Wire__DeviceStatement *s = bundle->statement;
    Parley__Wire__DeviceDetails *details;
    struct buf signed_bytes;
    enum endpoint_hosting hosting = ENDPOINT_HOSTING_UNKNOWN;

    if (s == NULL || s->signature.len != SIGNATURE_SIZE || bundle->identity_key.len != 33)
        return hosting;
    buf_init(&signed_bytes, 4096);
    buf_put_str(&signed_bytes, label);
    buf_put(&signed_bytes, wire_bytes(s->details));
    details = parley__wire__device_details__unpack(NULL, s->details.len, s->details.data);
    if (details != NULL && !buf_failed(&signed_bytes) && details->account == peer &&
        details->device == bundle->device &&
        curve_verify(s->signature.data, bundle->identity_key.data + 1, buf_bytes(&signed_bytes)) ==
            RC_OK &&
        details->hosting <= ENDPOINT_SELF_HOSTED)
        hosting = (enum endpoint_hosting)details->hosting;
    if (details != NULL)
        parley__wire__device_details__free_unpacked(details, NULL);
    buf_free(&signed_bytes);
    return hosting;
}

enum endpoint_hosting
bundle_hosting(const struct endpoint *ep, uint64_t peer, const Parley__Wire__Bundles *bundles,
               const Parley__Wire__Bundle *bundle)
{
    enum endpoint_hosting stated = stated_hosting(peer, bundle);
    struct bytes signed_cert = wire_bytes(bundles->number_certificate);
    struct number_cert cert;

    if (signed_cert.len == 0 && (stated != ENDPOINT_SELF_HOSTED || !ep->host->has_authority))
        return stated;
    /* A business. "Run by the business itself" takes both to say so. */
    if (stated != ENDPOINT_SELF_HOSTED)
        return ENDPOINT_HOSTED;
    if (!ep->host->has_authority)
        return stated;
    if (number_cert_read(&cert, signed_cert, ep->host->authority,
                         clock_wall_ms(ep->host->clock) / 1000, NULL) != RC_OK ||
        cert.number != peer || cert.hosting != CERT_SELF_HOSTED)
        return ENDPOINT_HOSTED;
    return stated;
}

static enum rc
bundle_to_session(struct session_bundle *out, const Parley__Wire__Bundle *b, struct err *err)
{
    const Parley__Wire__SignedPrekey *s = b->signed_prekey;

    if (b->identity_key.len != SESSION_PUBLIC_SIZE || s == NULL ||
        s->key.len != SESSION_PUBLIC_SIZE || s->signature.len != SIGNATURE_SIZE ||
        (b->one_time != NULL && b->one_time->key.len != SESSION_PUBLIC_SIZE))
        return err_set(err, RC_MALFORMED, "endpoint.bundle", "key sizes");
    *out = (struct session_bundle){.registration_id = b->registration_id,
                                   .device = b->device,
                                   .signed_id = s->id,
                                   .has_one_time = b->one_time != NULL};
    memcpy(out->identity, b->identity_key.data, SESSION_PUBLIC_SIZE);
    memcpy(out->signed_key, s->key.data, SESSION_PUBLIC_SIZE);
    memcpy(out->signature, s->signature.data, SIGNATURE_SIZE);
    if (b->one_time != NULL) {
        out->one_time_id = b->one_time->id;
        memcpy(out->one_time, b->one_time->key.data, SESSION_PUBLIC_SIZE);
    }
    return RC_OK;
}

struct known_device {
    bool is_known, has_session, is_stale, is_restored;
    uint32_t registration_id;
    uint8_t identity[33];
    uint64_t version;
    struct buf record;
};

static enum rc
known_load(struct endpoint *ep, struct store_tx *tx, const uint8_t key[16], uint32_t device,
           struct known_device *known, struct err *err)
{
    struct store_rows rows;
    enum rc rc = RC_OK;

    *known = (struct known_device){.is_known = false};
    buf_init(&known->record, SESSION_RECORD_MAX);
    store_query(&rows, tx, &endpoint_part, SQL_DEVICE_GET,
                ST_ARGS(ST_I(ep->account), ST_B(bytes_of(key, 16)), ST_I(device)));
    if (rows.has_row && store_col_bytes(&rows, 1).len == sizeof known->identity) {
        struct bytes record = store_col_bytes(&rows, 3);
        struct row_key row = row_key_peer(ep->account, key, device);

        known->is_known = true;
        known->registration_id = (uint32_t)store_col_int(&rows, 0);
        memcpy(known->identity, store_col_bytes(&rows, 1).ptr, sizeof known->identity);
        known->version = (uint64_t)store_col_int(&rows, 2);
        known->is_stale = store_col_int(&rows, 5) >= UNANSWERED_STALE;
        known->is_restored = store_col_int(&rows, 5) >= UNANSWERED_RESTORED;
        if (record.len > 0)
            rc = row_open(ep, &known->record, "end_device", "record", &row, known->version, record,
                          err);
        known->has_session = known->record.len > 0;
    }
    store_rows_end(&rows);
    return rc != RC_OK ? rc : rows.rc;
}

/* One device of the answer. A session is started where there is none, where the device was
 * installed anew (another registration id or identity), never merely because a bundle came. */
static enum rc
apply_one(struct endpoint *ep, struct store_tx *tx, uint64_t peer, const uint8_t key[16],
          const Parley__Wire__Bundles *bundles, const Parley__Wire__Bundle *bundle, struct err *err)
{
    struct known_device known;
    struct session_bundle sb;
    struct buf record, sealed;
    int64_t now_ms = clock_unix_ms(ep->host->clock);
    bool same_identity, is_fresh;
    enum rc rc;

    buf_init(&record, SESSION_RECORD_MAX);
    buf_init(&sealed, SESSION_RECORD_MAX + SEAL_OVERHEAD);
    if ((rc = known_load(ep, tx, key, bundle->device, &known, err)) != RC_OK)
        goto out;
    if ((rc = bundle_to_session(&sb, bundle, err)) != RC_OK)
        goto out;
    same_identity = known.is_known && memcmp(known.identity, sb.identity, 33) == 0;
    is_fresh = known.has_session && !known.is_stale && same_identity &&
               known.registration_id == sb.registration_id;
    if (is_fresh) {
        rc = store_run(tx, &endpoint_part, SQL_DEVICE_RELIST, NULL, err,
                       ST_ARGS(ST_I(ep->account), ST_B(bytes_of(key, 16)), ST_I(bundle->device),
                               ST_I(bundle_hosting(ep, peer, bundles, bundle))));
        goto out;
    }
    /* A restored record is not archived but dropped: an archived session becomes the current one
     * again when a message of it arrives, and would send under keys that were used (I28). */
    struct bytes old =
        same_identity && !known.is_restored ? buf_bytes(&known.record) : bytes_of(NULL, 0);
    rc = session_start(ep->host->engine, &record, &tx_secret(ep)->identity, old, &sb, err);
    if (rc != RC_OK)
        goto out;
    if (known.is_known && !same_identity && ep->ops->on_identity_changed != NULL) {
        rc = ep->ops->on_identity_changed(ep->ctx, tx, peer, known.identity, sb.identity, now_ms,
                                          err);
        if (rc != RC_OK)
            goto out;
    }
    struct row_key row = row_key_peer(ep->account, key, bundle->device);
    rc = row_seal(ep, &sealed, SEAL_YEAR, "end_device", "record", &row, known.version + 1,
                  buf_bytes(&record), err);
    if (rc != RC_OK)
        goto out;
    rc = store_run(tx, &endpoint_part, SQL_DEVICE_PUT, NULL, err,
                   ST_ARGS(ST_I(ep->account), ST_B(bytes_of(key, 16)), ST_I(bundle->device),
                           ST_I(1), ST_I(sb.registration_id), ST_B(bytes_of(sb.identity, 33)),
                           ST_I(bundle_hosting(ep, peer, bundles, bundle)), ST_I(known.version + 1),
                           ST_B(buf_bytes(&sealed)), ST_I(now_ms)));
out:
    buf_wipe(&known.record);
    buf_wipe(&record);
    buf_free(&sealed);
    return rc;
}

enum rc
peer_apply_bundles(struct endpoint *ep, struct store_tx *tx, const struct bundles_item *item,
                   struct err *err)
{
    uint8_t key[ENDPOINT_PEER_KEY_SIZE];
    enum rc rc;

    endpoint_peer_key(ep, item->peer, key);
    rc = store_run(tx, &endpoint_part, SQL_DEVICE_UNLIST, NULL, err,
                   ST_ARGS(ST_I(ep->account), ST_B(bytes_of(key, 16))));
    for (size_t i = 0; rc == RC_OK && i < item->bundles->n_bundles && i < DEVICES_MAX; i++) {
        rc = apply_one(ep, tx, item->peer, key, item->bundles, item->bundles->bundles[i], err);
        if (rc == RC_AUTH || rc == RC_MALFORMED) {
            /* A device that cannot prove its keys gets nothing; the others do. */
            log_event(ep->host->log, LOG_WARN, "endpoint.bundle_refused",
                      LOG_NUM("peer", item->peer), LOG_RC(err));
            rc = RC_OK;
        }
    }
    return rc;
}
