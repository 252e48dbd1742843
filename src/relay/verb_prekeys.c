/* verb_prekeys.c - a device renews its signed prekey and tops up its one-time prekeys; and is told
 * when they run low.
 *
 * Signed first by the identity key, checked before anything is stored. Source:
 * docs/protocol/registration.md, "Prekeys". */
#include <stdlib.h>

#include "relay/core.h"
#include "relay/devices.h"
#include "relay/prekey_push.h"
#include "relay/server.h"

struct upload {
    struct ask ask;
    uint64_t account, generation;
    uint32_t device;
    int64_t now_ms;
    bool has_signed, replaces;
    struct signed_key signed_prekey;
    uint32_t left, signed_id; /* the answer */
    size_t n;
    struct one_time_key keys[];
};

static enum rc
write_signed(struct upload *u, struct store_tx *tx, struct err *err)
{
    const struct signed_key *s = &u->signed_prekey;

    return store_run(tx, &relay_part, SQL_DEVICE_SIGNED, NULL, err,
                     ST_ARGS(ST_I(u->account), ST_I(u->device), ST_I(s->id),
                             ST_B(bytes_of(s->key, sizeof(s->key))),
                             ST_B(bytes_of(s->signature, sizeof(s->signature))),
                             ST_I(s->created_ms)));
}

static enum rc
write_one_time(struct upload *u, struct prekey_stock *stock, struct store_tx *tx, struct err *err)
{
    enum rc rc;

    if (u->replaces) {
        rc = store_run(tx, &relay_part, SQL_PREKEY_SPEND_ALL, NULL, err,
                       ST_ARGS(ST_I(u->account), ST_I(u->device)));
        if (rc != RC_OK)
            return rc;
        stock->left = 0;
    }
    rc = prekey_add(stock, tx, u->keys, u->n, u->now_ms, err);
    if (rc == RC_LIMIT)
        return ask_no(&u->ask, PARLEY__WIRE__REASON__TOO_LARGE, "too many one-time prekeys");
    return rc == RC_OK ? prekey_stock_write(stock, tx, err) : rc;
}

static enum rc
run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct upload *u = (struct upload *)job;
    struct prekey_stock stock;
    enum rc rc;

    u->ask.reason = PARLEY__WIRE__REASON__REASON_UNSPECIFIED;
    rc = prekey_stock_read(&stock, tx, u->account, u->device, err);
    if (rc == RC_NOTFOUND || (rc == RC_OK && stock.generation != u->generation))
        return ask_no(&u->ask, PARLEY__WIRE__REASON__UNKNOWN_DEVICE,
                      "this registration is not the current one");
    if (rc == RC_OK)
        rc = write_one_time(u, &stock, tx, err);
    if (rc != RC_OK || u->ask.reason != 0)
        return rc;
    u->left = stock.left;
    u->signed_id = u->has_signed ? u->signed_prekey.id : stock.signed_id;
    return u->has_signed ? write_signed(u, tx, err) : RC_OK;
}

static void
send_status(struct peer *peer, uint32_t request_id, uint32_t left, uint32_t signed_id)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__PrekeyStatus status = PARLEY__WIRE__PREKEY_STATUS__INIT;

    status.one_time_left = left;
    status.signed_prekey_id = signed_id;
    frame.request_id = request_id;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_PREKEY_STATUS;
    frame.prekey_status = &status;
    peer_send(peer, &frame);
}

static void
done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct upload *u = (struct upload *)job;

    if (ask_allowed(&u->ask, rc, err))
        send_status(u->ask.peer, u->ask.request_id, u->left, u->signed_id);
    ask_end(&u->ask);
}

void
verb_prekey_upload(struct peer *peer, const Parley__Wire__Frame *frame)
{
    const Parley__Wire__PrekeyUpload *in = frame->prekey_upload;
    struct upload *u = ask_new(peer, frame, sizeof(*u) + in->n_one_time * sizeof(u->keys[0]));

    if (u == NULL)
        return;
    u->account = peer->account;
    u->device = peer->device;
    u->generation = peer->generation;
    u->now_ms = relay_now_ms(peer->worker->relay);
    u->replaces = in->replace_one_time;
    u->has_signed = in->signed_prekey != NULL;
    if (u->has_signed)
        signed_key_copy(&u->signed_prekey, in->signed_prekey);
    u->n = in->n_one_time;
    for (size_t i = 0; i < u->n; i++) {
        u->keys[i].id = in->one_time[i]->id;
        memcpy(u->keys[i].key, in->one_time[i]->key.data, sizeof(u->keys[i].key));
    }
    if (u->has_signed && !device_signed_prekey_holds(peer->identity_key, &u->signed_prekey)) {
        peer_refuse(peer, frame->request_id, PARLEY__WIRE__REASON__BAD_SIGNATURE, 0,
                    "not signed by this device's identity key");
        ask_end(&u->ask);
        return;
    }
    ask_write(&u->ask, run, done, true);
}

/* ---- running low ---- */

struct status_post {
    struct loop_post post;
    struct route route;
    uint32_t left, signed_id;
};

static void
push(struct loop_post *post)
{
    struct status_post *s = (struct status_post *)post;
    struct peer *peer = worker_peer(s->route.worker, s->route.slot, s->route.turn);

    if (peer != NULL)
        send_status(peer, 0, s->left, s->signed_id);
    free(s);
}

void
prekey_push(struct relay *relay, uint64_t account, uint32_t device, bool is_business, uint32_t left,
            uint32_t signed_id)
{
    uint32_t low = is_business ? PREKEY_LOW_BUSINESS : PREKEY_LOW_PHONE;
    struct status_post *s;
    struct route route;
    bool is_there = false;

    /* in steps, so that the moment of a push says little about a single fetch */
    if (left >= low || (left != low - 1 && left != 0 && left % (low / 4) != 0))
        return;
    for (uint32_t lane = 0; lane < WIRE_BUSINESS_LANES && !is_there; lane++)
        is_there = registry_find(relay->registry, &route, account, device, lane);
    if (!is_there || (s = calloc(1, sizeof(*s))) == NULL)
        return; /* the next login tells */
    *s =
        (struct status_post){.post.fn = push, .route = route, .left = left, .signed_id = signed_id};
    loop_post(route.worker->loop, &s->post);
}
