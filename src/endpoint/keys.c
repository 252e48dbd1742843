/* keys.c - prekeys: found by id while a first message is opened, made, committed, uploaded,
 * renewed.
 *
 * Order: make - commit the private halves - upload the public ones - mark as current. A key that
 * was stored and never uploaded is dead weight; one uploaded and never stored would lose messages.
 * Source: docs/protocol/sessions.md, "Prekeys". */
#include <stdlib.h>

#include "endpoint/keys.h"

/* Sealed form of a pair: priv 32 || pub 33 (|| signature 64 for signed prekeys). */
#define RENEW_AGAIN_MS 60000 /* after an upload that the relay did not take */
#define PAIR_SIZE (SESSION_PRIVATE_SIZE + SESSION_PUBLIC_SIZE)

static enum rc
secret_find(struct keys_source *source, enum endpoint_stmt stmt, const char *table, uint32_t id,
            int secret_col, size_t want, struct buf *out, int64_t *created_ms)
{
    struct endpoint *ep = source->ep;
    struct row_key key = row_key_num(ep->account, id);
    struct store_rows rows;
    enum rc rc = RC_NOTFOUND;

    store_query(&rows, source->tx, &endpoint_part, stmt, ST_ARGS(ST_I(ep->account), ST_I(id)));
    if (rows.has_row) {
        if (created_ms != NULL)
            *created_ms = store_col_int(&rows, 0);
        rc = row_open(ep, out, table, "secret", &key, 0, store_col_bytes(&rows, secret_col), NULL);
    }
    store_rows_end(&rows);
    if (rc == RC_OK && out->len != want)
        rc = RC_IO;
    return rc;
}

static void
pair_read(struct session_prekey *out, uint32_t id, const uint8_t *secret)
{
    out->id = id;
    memcpy(out->priv, secret, SESSION_PRIVATE_SIZE);
    memcpy(out->pub, secret + SESSION_PRIVATE_SIZE, SESSION_PUBLIC_SIZE);
}

static enum rc
pair_seal(struct endpoint *ep, struct buf *sealed, const char *table,
          const struct session_prekey *pair, const uint8_t *signature, struct err *err)
{
    struct row_key key = row_key_num(ep->account, pair->id);
    struct buf plain;
    enum rc rc;

    buf_init(&plain, 256);
    buf_put(&plain, bytes_of(pair->priv, sizeof pair->priv));
    buf_put(&plain, bytes_of(pair->pub, sizeof pair->pub));
    if (signature != NULL)
        buf_put(&plain, bytes_of(signature, SIGNATURE_SIZE));
    rc = row_seal(ep, sealed, SEAL_YEAR, table, "secret", &key, 0, buf_bytes(&plain), err);
    buf_wipe(&plain);
    return rc;
}

enum rc
keys_one_time_by_id(void *ctx, uint32_t id, struct session_prekey *out)
{
    struct buf secret;
    enum rc rc;

    buf_init(&secret, 256);
    rc = secret_find(ctx, SQL_PREKEY_GET, "end_prekey", id, 0, PAIR_SIZE, &secret, NULL);
    if (rc == RC_OK)
        pair_read(out, id, secret.ptr);
    buf_wipe(&secret);
    return rc;
}

enum rc
keys_signed_by_id(void *ctx, uint32_t id, struct session_signed_prekey *out)
{
    struct buf secret;
    enum rc rc;

    buf_init(&secret, 256);
    rc = secret_find(ctx, SQL_SIGNED_GET, "end_signed", id, 1, PAIR_SIZE + SIGNATURE_SIZE, &secret,
                     &out->created_ms);
    if (rc == RC_OK) {
        pair_read(&out->pair, id, secret.ptr);
        memcpy(out->signature, secret.ptr + PAIR_SIZE, SIGNATURE_SIZE);
    }
    buf_wipe(&secret);
    return rc;
}

enum rc
keys_store_signed(struct endpoint *ep, struct store_tx *tx, const struct session_signed_prekey *key,
                  struct err *err)
{
    struct buf sealed;
    enum rc rc;

    buf_init(&sealed, 512);
    rc = pair_seal(ep, &sealed, "end_signed", &key->pair, key->signature, err);
    if (rc == RC_OK)
        rc = store_run(tx, &endpoint_part, SQL_SIGNED_PUT, NULL, err,
                       ST_ARGS(ST_I(ep->account), ST_I(key->pair.id), ST_I(key->created_ms),
                               ST_B(buf_bytes(&sealed))));
    buf_free(&sealed);
    return rc;
}

enum rc
keys_store_one_time(struct endpoint *ep, struct store_tx *tx, const struct session_prekey *keys,
                    size_t n, int64_t now_ms, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        struct buf sealed;

        buf_init(&sealed, 512);
        rc = pair_seal(ep, &sealed, "end_prekey", &keys[i], NULL, err);
        if (rc == RC_OK)
            rc = store_run(tx, &endpoint_part, SQL_PREKEY_PUT, NULL, err,
                           ST_ARGS(ST_I(ep->account), ST_I(keys[i].id), ST_I(now_ms),
                                   ST_B(buf_bytes(&sealed))));
        buf_free(&sealed);
    }
    return rc;
}

uint32_t
keys_next_id(uint32_t id, uint32_t step)
{
    return (uint32_t)(((uint64_t)id - 1 + step) % SESSION_PREKEY_ID_MAX) + 1;
}

void
keys_wire_signed(Parley__Wire__SignedPrekey *out, const struct session_signed_prekey *key)
{
    *out = (Parley__Wire__SignedPrekey)PARLEY__WIRE__SIGNED_PREKEY__INIT;
    out->id = key->pair.id;
    out->key = wire_field(bytes_of(key->pair.pub, SESSION_PUBLIC_SIZE));
    out->signature = wire_field(bytes_of(key->signature, SIGNATURE_SIZE));
    out->created_ms = key->created_ms;
}

bool
keys_wire_one_time(struct arena *arena, Parley__Wire__OneTimePrekey ***out,
                   const struct session_prekey *keys, size_t n)
{
    Parley__Wire__OneTimePrekey *items = arena_alloc(arena, n * sizeof *items);

    *out = arena_alloc(arena, n * sizeof **out);
    if (n > 0 && (items == NULL || *out == NULL))
        return false;
    for (size_t i = 0; i < n; i++) {
        items[i] = (Parley__Wire__OneTimePrekey)PARLEY__WIRE__ONE_TIME_PREKEY__INIT;
        items[i].id = keys[i].id;
        items[i].key = wire_field(bytes_of(keys[i].pub, SESSION_PUBLIC_SIZE));
        (*out)[i] = &items[i];
    }
    return true;
}

/* ---- renewing: one job and one upload at a time ---- */

struct renewal {
    struct store_job job;
    struct endpoint *ep;
    struct arena *arena;
    bool has_signed;
    struct session_signed_prekey signed_prekey;
    struct session_prekey *one_time; /* in the arena */
    uint32_t n_one_time;
    bool replace; /* the store was restored: the relay forgets the old ones */
};

static void
renewal_end(struct renewal *r)
{
    struct endpoint *ep = r->ep;

    ep->is_refilling = false;
    bytes_wipe(&r->signed_prekey, sizeof r->signed_prekey);
    arena_wipe(&r->arena);
    free(r);
    endpoint_release(ep);
}

static enum rc
renewal_make(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct renewal *r = (struct renewal *)job;
    struct endpoint *ep = r->ep;
    int64_t now_ms = clock_unix_ms(ep->host->clock);
    uint32_t next_prekey = ep->next_prekey, next_signed = ep->next_signed;
    enum rc rc = RC_OK;

    if (ep->ops->guard != NULL)
        rc = ep->ops->guard(ep->ctx, tx, err);
    if (rc == RC_OK && r->has_signed) {
        rc = session_signed_prekey_make(ep->host->engine, &r->signed_prekey,
                                        &tx_secret(ep)->identity, next_signed, now_ms, err);
        if (rc == RC_OK)
            rc = keys_store_signed(ep, tx, &r->signed_prekey, err);
        next_signed = keys_next_id(next_signed, 1);
    }
    if (rc == RC_OK && r->n_one_time > 0) {
        rc = session_prekeys_make(ep->host->engine, r->one_time, r->n_one_time, next_prekey, err);
        if (rc == RC_OK)
            rc = keys_store_one_time(ep, tx, r->one_time, r->n_one_time, now_ms, err);
        next_prekey = keys_next_id(next_prekey, r->n_one_time);
    }
    if (rc == RC_OK)
        rc = store_run(tx, &endpoint_part, SQL_SELF_NEXT_PREKEY, NULL, err,
                       ST_ARGS(ST_I(ep->account), ST_I(next_prekey), ST_I(next_signed)));
    return rc;
}

static enum rc
renewal_mark(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct renewal *r = (struct renewal *)job;
    struct endpoint *ep = r->ep;
    int64_t keep_from = clock_unix_ms(ep->host->clock) - ep->policy->keep_private_ms;
    uint32_t id = r->signed_prekey.pair.id;
    enum rc rc;

    rc = store_run(tx, &endpoint_part, SQL_SIGNED_UPLOADED, NULL, err,
                   ST_ARGS(ST_I(ep->account), ST_I(id)));
    if (rc == RC_OK)
        rc = store_run(tx, &endpoint_part, SQL_SIGNED_SWEEP, NULL, err,
                       ST_ARGS(ST_I(ep->account), ST_I(keep_from), ST_I(id)));
    return rc;
}

static void
renewal_marked(struct store_job *job, enum rc rc, const struct err *err UNUSED)
{
    struct renewal *r = (struct renewal *)job;
    struct endpoint *ep = r->ep;

    if (rc == RC_OK)
        ep->signed_created_ms = r->signed_prekey.created_ms;
    flow_push(ep); /* which a key that was too old has stopped */
    renewal_end(r);
}

static void
on_uploaded(void *ctx, enum rc rc, const Parley__Wire__Frame *reply)
{
    struct renewal *r = ctx;
    struct endpoint *ep = r->ep;
    bool is_ok = rc == RC_OK && reply->body_case != PARLEY__WIRE__FRAME__BODY_REFUSAL;

    if (!is_ok && rc != RC_CLOSED)
        ep->renew_at_ms = clock_mono_ms(ep->host->clock) + RENEW_AGAIN_MS;
    if (!is_ok)
        log_event(ep->host->log, LOG_WARN, "endpoint.prekey_upload_failed",
                  LOG_NUM("account", ep->account), LOG_STR("rc", rc_name(rc)));
    if (is_ok && r->replace)
        ep->must_replace = false;
    if (!is_ok || !r->has_signed) {
        renewal_end(r);
        return;
    }
    r->job =
        (struct store_job){.run = renewal_mark, .done = renewal_marked, .loop = ep->host->loop};
    store_submit(ep->host->store, &r->job);
}

static void
renewal_made(struct store_job *job, enum rc rc, const struct err *err)
{
    struct renewal *r = (struct renewal *)job;
    struct endpoint *ep = r->ep;
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__PrekeyUpload upload = PARLEY__WIRE__PREKEY_UPLOAD__INIT;
    Parley__Wire__SignedPrekey signed_prekey;

    if (rc != RC_OK) {
        log_event(ep->host->log, LOG_ERROR, "endpoint.prekey_make_failed",
                  LOG_NUM("account", ep->account), LOG_RC(err));
        renewal_end(r);
        return;
    }
    if (r->has_signed) {
        ep->next_signed = keys_next_id(ep->next_signed, 1);
        keys_wire_signed(&signed_prekey, &r->signed_prekey);
        upload.signed_prekey = &signed_prekey;
    }
    ep->next_prekey = keys_next_id(ep->next_prekey, r->n_one_time);
    upload.replace_one_time = r->replace;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_PREKEY_UPLOAD;
    frame.prekey_upload = &upload;
    if (!ep->is_up || !keys_wire_one_time(r->arena, &upload.one_time, r->one_time, r->n_one_time)) {
        renewal_end(r);
        return;
    }
    upload.n_one_time = r->n_one_time;
    if (link_request(ep->link, &frame, WIRE_REQUEST_TIMEOUT_MS, on_uploaded, r, NULL) != RC_OK)
        renewal_end(r);
}

static void
renew(struct endpoint *ep, bool new_signed, uint32_t n_one_time)
{
    struct renewal *r;

    if (ep->is_refilling || !ep->is_up || clock_mono_ms(ep->host->clock) < ep->renew_at_ms ||
        (r = calloc(1, sizeof *r)) == NULL)
        return;
    *r = (struct renewal){
        .ep = ep, .has_signed = new_signed || ep->must_replace, .replace = ep->must_replace};
    if (r->replace)
        n_one_time = ep->policy->prekeys_first;
    if (n_one_time > WIRE_PREKEYS_MAX)
        n_one_time = WIRE_PREKEYS_MAX;
    if (arena_new(&r->arena, 1u << 20, NULL) != RC_OK) {
        free(r);
        return;
    }
    r->one_time = arena_alloc(r->arena, n_one_time * sizeof *r->one_time + 1);
    r->n_one_time = r->one_time == NULL ? 0 : n_one_time;
    ep->is_refilling = true;
    endpoint_hold(ep);
    r->job = (struct store_job){.run = renewal_make, .done = renewal_made, .loop = ep->host->loop};
    store_submit(ep->host->store, &r->job);
}

/* The relay says how many are left. */
void
keys_refill(struct endpoint *ep, uint32_t one_time_left)
{
    if (one_time_left < ep->policy->prekeys_low)
        renew(ep, false, ep->policy->prekeys_batch);
}

void
keys_rotate_if_old(struct endpoint *ep)
{
    int64_t age_ms = clock_unix_ms(ep->host->clock) - ep->signed_created_ms;

    if (ep->must_replace || age_ms > ep->policy->signed_rotate_ms)
        renew(ep, true, 0);
}

bool
keys_are_too_old(const struct endpoint *ep)
{
    return clock_unix_ms(ep->host->clock) - ep->signed_created_ms > ep->policy->signed_refuse_ms;
}
