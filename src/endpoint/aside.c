/* aside.c - what an endpoint does beside messages: typing, a look at a peer's key, a block told. */
#include <stdlib.h>

#include "endpoint/internal.h"

/* Typing advances the session like any message, so its state is committed before it leaves (I24);
 * the message itself is kept nowhere. */
struct typing {
    struct store_job job;
    struct endpoint *ep;
    uint64_t to;
    bool is_typing, is_sealed;
    struct buf publish;
};

static enum rc
typing_seal(struct typing *t, struct store_tx *tx, struct peer_devices *devices,
            const uint8_t key[16], struct err *err)
{
    struct endpoint *ep = t->ep;
    Parley__Content__Payload payload = PARLEY__CONTENT__PAYLOAD__INIT;
    Parley__Content__Typing typing = PARLEY__CONTENT__TYPING__INIT;
    int64_t now_ms = clock_unix_ms(ep->host->clock);
    uint8_t id[16];

    message_id_make(id, now_ms, ep->host->rng);
    typing.is_typing = t->is_typing;
    payload.version = CONTENT_VERSION;
    payload.message_id = wire_field(bytes_of(id, sizeof id));
    payload.sender_account = ep->account;
    payload.sender_device = 1;
    payload.recipient_account = t->to;
    payload.class_ = PARLEY__WIRE__CLASS__EPHEMERAL;
    payload.expires_at_ms = now_ms + 30000;
    payload.sent_at_ms = now_ms;
    payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_TYPING;
    payload.typing = &typing;
    return seal_for_devices(ep, tx, devices, key, &payload, bytes_of(NULL, 0), 0, &t->publish, err);
}

static enum rc
typing_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct typing *t = (struct typing *)job;
    struct endpoint *ep = t->ep;
    struct peer_devices devices = {.n = 0};
    uint8_t key[ENDPOINT_PEER_KEY_SIZE];
    enum rc rc = RC_OK;

    t->is_sealed = false;
    buf_reset(&t->publish);
    if (ep->ops->guard != NULL && (rc = ep->ops->guard(ep->ctx, tx, err)) != RC_OK)
        return rc;
    endpoint_peer_key(ep, t->to, key);
    if ((rc = peer_load(ep, tx, key, &devices, err)) != RC_OK)
        return rc;
    if (endpoint_may_seal(ep) && devices.all_ready && !peer_is_chain_full(ep, &devices)) {
        rc = typing_seal(t, tx, &devices, key, err);
        t->is_sealed = rc == RC_OK;
    }
    peer_wipe(&devices);
    return rc;
}

static void
typing_done(struct store_job *job, enum rc rc, const struct err *err UNUSED)
{
    struct typing *t = (struct typing *)job;
    struct endpoint *ep = t->ep;

    if (rc == RC_OK && t->is_sealed && ep->is_up) {
        Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;

        frame.body_case = PARLEY__WIRE__FRAME__BODY_PUBLISH;
        frame.publish = parley__wire__publish__unpack(NULL, t->publish.len, t->publish.ptr);
        if (frame.publish != NULL) {
            trace_published(ep, frame.publish);
            link_push(ep->link, &frame, NULL); /* best effort */
            parley__wire__publish__free_unpacked(frame.publish, NULL);
        }
    }
    buf_free(&t->publish);
    free(t);
    endpoint_release(ep);
}

void
endpoint_send_typing(struct endpoint *ep, uint64_t to, bool is_typing)
{
    struct typing *t;

    if (!ep->is_up || ep->secret == NULL || (t = calloc(1, sizeof *t)) == NULL)
        return;
    t->ep = ep;
    t->to = to;
    t->is_typing = is_typing;
    buf_init(&t->publish, WIRE_FRAME_MAX);
    t->job = (struct store_job){.run = typing_run, .done = typing_done, .loop = ep->host->loop};
    endpoint_hold(ep);
    store_submit(ep->host->store, &t->job);
}

/* ---- a peer's identity ---- */

struct look {
    struct store_job job;
    struct endpoint *ep;
    uint64_t peer;
    bool is_found;
    uint32_t device;
    uint8_t key[33];
    enum endpoint_hosting hosting;
    void (*fn)(void *ctx, const uint8_t *key, enum endpoint_hosting hosting);
    void *ctx;
};

static void
look_end(struct look *look)
{
    struct endpoint *ep = look->ep;

    look->fn(look->ctx, look->is_found ? look->key : NULL, look->hosting);
    free(look);
    endpoint_release(ep);
}

static enum rc
hosting_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct look *look = (struct look *)job;
    uint8_t key[ENDPOINT_PEER_KEY_SIZE];

    endpoint_peer_key(look->ep, look->peer, key);
    return store_run(tx, &endpoint_part, SQL_DEVICE_HOSTING, NULL, err,
                     ST_ARGS(ST_I(look->ep->account), ST_B(bytes_of(key, sizeof key)),
                             ST_I(look->device), ST_I(look->hosting)));
}

static void
hosting_done(struct store_job *job, enum rc rc UNUSED, const struct err *err UNUSED)
{
    look_end((struct look *)job);
}

/* What the relay tells of a device counts only for the key that we know, if we know one. */
static void
on_identity(void *ctx, enum rc rc, const Parley__Wire__Frame *reply)
{
    struct look *look = ctx;
    const Parley__Wire__Bundle *bundle = NULL;
    bool was_known = look->is_found;

    if (rc == RC_OK && reply->body_case == PARLEY__WIRE__FRAME__BODY_BUNDLES &&
        reply->bundles->n_bundles > 0)
        bundle = reply->bundles->bundles[0];
    if (bundle == NULL || bundle->identity_key.len != sizeof look->key ||
        (was_known && memcmp(bundle->identity_key.data, look->key, sizeof look->key) != 0)) {
        look_end(look);
        return;
    }
    memcpy(look->key, bundle->identity_key.data, sizeof look->key);
    look->device = bundle->device;
    look->hosting = bundle_hosting(look->ep, look->peer, reply->bundles, bundle);
    look->is_found = true;
    if (!was_known) {
        look_end(look);
        return;
    }
    look->job =
        (struct store_job){.run = hosting_run, .done = hosting_done, .loop = look->ep->host->loop};
    store_submit(look->ep->host->store, &look->job);
}

static enum rc
look_run(struct store_job *job, struct store_tx *tx, struct err *err UNUSED)
{
    struct look *look = (struct look *)job;
    uint8_t key[ENDPOINT_PEER_KEY_SIZE];
    struct store_rows rows;

    endpoint_peer_key(look->ep, look->peer, key);
    look->is_found = false;
    store_query(&rows, tx, &endpoint_part, SQL_DEVICE_OF_PEER,
                ST_ARGS(ST_I(look->ep->account), ST_B(bytes_of(key, sizeof key))));
    if (rows.has_row && store_col_bytes(&rows, 2).len == sizeof look->key) {
        memcpy(look->key, store_col_bytes(&rows, 2).ptr, sizeof look->key);
        look->hosting = (enum endpoint_hosting)store_col_int(&rows, 6);
        look->is_found = true;
    }
    store_rows_end(&rows);
    return rows.rc;
}

static void
look_done(struct store_job *job, enum rc rc, const struct err *err UNUSED)
{
    struct look *look = (struct look *)job;
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__BundleFetch ask = PARLEY__WIRE__BUNDLE_FETCH__INIT;

    look->is_found = look->is_found && rc == RC_OK;
    ask.account = look->peer;
    ask.keys_only = true;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_BUNDLE_FETCH;
    frame.bundle_fetch = &ask;
    if ((look->is_found && look->hosting != ENDPOINT_HOSTING_UNKNOWN) || !look->ep->is_up ||
        link_request(look->ep->link, &frame, WIRE_REQUEST_TIMEOUT_MS, on_identity, look, NULL) !=
            RC_OK)
        look_end(look);
}

void
endpoint_peer_identity(struct endpoint *ep, uint64_t peer,
                       void (*fn)(void *ctx, const uint8_t *key, enum endpoint_hosting hosting),
                       void *ctx)
{
    struct look *look = calloc(1, sizeof *look);

    if (look == NULL) {
        fn(ctx, NULL, ENDPOINT_HOSTING_UNKNOWN);
        return;
    }
    *look = (struct look){
        .ep = ep, .peer = peer, .hosting = ENDPOINT_HOSTING_UNKNOWN, .fn = fn, .ctx = ctx};
    look->job = (struct store_job){.run = look_run, .done = look_done, .loop = ep->host->loop};
    endpoint_hold(ep);
    store_read(ep->host->store, &look->job);
}

void
endpoint_block_signal(struct endpoint *ep, uint64_t peer, bool is_blocked)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__BlockSignal signal = PARLEY__WIRE__BLOCK_SIGNAL__INIT;

    signal.account = peer;
    signal.is_blocked = is_blocked;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_BLOCK_SIGNAL;
    frame.block_signal = &signal;
    if (ep->is_up)
        link_push(ep->link, &frame, NULL);
}
