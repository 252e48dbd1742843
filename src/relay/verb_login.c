/* verb_login.c - a registered device takes its lanes.
 *
 * Owns the decision who holds a lane: the device is known by its Noise key, its registration's
 * generation must be the current one, and each lane's lease epoch at least the highest ever seen,
 * which is remembered in the same transaction (I29). Of equal claims the later wins (I31). After
 * the lanes are ours, their ends are read once more: what was stored in between was pushed to
 * nobody. Source: docs/protocol/relay.md, "Login". */
#include <stdlib.h>

#include "crypto/cert.h"
#include "relay/core.h"
#include "relay/deliver.h"
#include "relay/server.h"

struct login {
    struct ask ask;
    uint64_t account;
    uint32_t device;
    uint64_t generation, last_counter;
    uint64_t epochs[WIRE_BUSINESS_LANES];
    uint32_t claimed; /* bit l = lane l; 0: all */
    uint8_t noise_key[32];
    bool has_cert;
    size_t cert_len;
    uint8_t cert[2048];
    /* decided in the transaction */
    bool is_business;
    uint32_t n_lanes, one_time_left, signed_id;
    uint64_t highest_counter, order;
    uint8_t identity_key[33];
    uint64_t acked[WIRE_BUSINESS_LANES];
};

struct heads {
    struct ask ask;
    uint64_t last_seq[WIRE_BUSINESS_LANES];
};

static enum rc
find_device(struct login *l, struct store_tx *tx, struct err *err)
{
    struct store_rows rows;
    struct ask *ask = &l->ask;

    store_query(&rows, tx, &relay_part, SQL_DEVICE_GET, ST_ARGS(ST_I(l->account), ST_I(l->device)));
    if (!rows.has_row || store_col_int(&rows, 1) == 0 ||
        !bytes_equal(store_col_bytes(&rows, 2), bytes_of(l->noise_key, 32)))
        ask_no(ask, PARLEY__WIRE__REASON__UNKNOWN_DEVICE, "this key is not registered");
    else if (l->generation == 0) /* it crashed before it read our answer to its registration */
        l->generation = (uint64_t)store_col_int(&rows, 0);
    else if ((uint64_t)store_col_int(&rows, 0) != l->generation)
        ask_no(ask, PARLEY__WIRE__REASON__FENCED, "the number has been registered again");
    if (rows.has_row) {
        l->highest_counter = (uint64_t)store_col_int(&rows, 3);
        l->one_time_left = (uint32_t)store_col_int(&rows, 4);
        l->signed_id = (uint32_t)store_col_int(&rows, 5);
        if (store_col_bytes(&rows, 7).len == sizeof(l->identity_key))
            memcpy(l->identity_key, store_col_bytes(&rows, 7).ptr, sizeof(l->identity_key));
    }
    store_rows_end(&rows);
    return rows.rc == RC_OK ? RC_OK : err_set(err, rows.rc, "relay.login", "cannot read a device");
}

/* A business shows its certificate; the one it shows is kept for those who ask for its bundle. */
static enum rc
check_account(struct login *l, struct store_tx *tx, struct err *err)
{
    struct bytes cert = bytes_of(l->cert, l->cert_len);
    struct store_rows rows;
    bool is_new = false;

    store_query(&rows, tx, &relay_part, SQL_ACCOUNT_GET, ST_ARGS(ST_I(l->account)));
    l->is_business = rows.has_row && store_col_int(&rows, 0) != 0;
    if (l->is_business)
        is_new = !bytes_equal(store_col_bytes(&rows, 2), cert);
    store_rows_end(&rows);
    if (rows.rc != RC_OK)
        return err_set(err, rows.rc, "relay.login", "cannot read an account");
    l->n_lanes = l->is_business ? WIRE_BUSINESS_LANES : 1;
    if (l->is_business && !l->has_cert)
        return ask_no(&l->ask, PARLEY__WIRE__REASON__BAD_CERTIFICATE,
                      "a business shows its number certificate");
    if (!is_new)
        return RC_OK;
    return store_run(tx, &relay_part, SQL_ACCOUNT_CERT, NULL, err,
                     ST_ARGS(ST_I(l->account), ST_B(cert)));
}

static bool
is_claimed(const struct login *l, uint32_t lane)
{
    return l->claimed == 0 || (l->claimed >> lane & 1) != 0;
}

/* Every claimed lane must be free of a higher epoch before one is touched. */
static enum rc
check_lanes(struct login *l, struct store_tx *tx, struct err *err)
{
    struct store_rows rows;

    for (store_query(&rows, tx, &relay_part, SQL_LANES_GET,
                     ST_ARGS(ST_I(l->account), ST_I(l->device)));
         rows.has_row; store_next(&rows)) {
        uint32_t lane = (uint32_t)store_col_int(&rows, 0);

        if (lane >= l->n_lanes)
            continue;
        l->acked[lane] = (uint64_t)store_col_int(&rows, 4);
        if (is_claimed(l, lane) && (uint64_t)store_col_int(&rows, 2) > l->epochs[lane])
            ask_no(&l->ask, PARLEY__WIRE__REASON__FENCED, "a higher epoch holds this number");
    }
    store_rows_end(&rows);
    return rows.rc == RC_OK ? RC_OK : err_set(err, rows.rc, "relay.login", "cannot read lanes");
}

static enum rc
take_lanes(struct login *l, struct store_tx *tx, struct err *err)
{
    for (uint32_t lane = 0; lane < l->n_lanes; lane++) {
        enum rc rc;

        if (!is_claimed(l, lane))
            continue;
        rc = store_run(tx, &relay_part, SQL_LANE_CLAIM, NULL, err,
                       ST_ARGS(ST_I(l->account), ST_I(l->device), ST_I(lane), ST_I(l->generation),
                               ST_I(l->epochs[lane])));
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

static enum rc
run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct login *l = (struct login *)job;
    enum rc rc;

    l->ask.reason = PARLEY__WIRE__REASON__REASON_UNSPECIFIED;
    if ((rc = find_device(l, tx, err)) != RC_OK || l->ask.reason != 0)
        return rc;
    if ((rc = check_account(l, tx, err)) != RC_OK || l->ask.reason != 0)
        return rc;
    if ((rc = check_lanes(l, tx, err)) != RC_OK || l->ask.reason != 0)
        return rc;
    l->order = atomic_fetch_add(&l->ask.peer->worker->relay->last_login, 1) + 1;
    return take_lanes(l, tx, err);
}

/* ---- back on the loop ---- */

static void
heads_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct heads *h = (struct heads *)job;
    struct peer *peer = h->ask.peer;

    if (rc != RC_OK)
        peer_close(peer, PARLEY__WIRE__CLOSE_REASON__DRAINING, "cannot read the queue now");
    for (uint32_t l = 0; rc == RC_OK && l < peer->n_lanes; l++)
        deliver_poke(peer, l, h->last_seq[l]);
    ask_end(&h->ask);
}

static enum rc
read_heads(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct heads *h = (struct heads *)job;
    const struct peer *peer = h->ask.peer; /* only what never changes once logged in */
    struct store_rows rows;

    for (store_query(&rows, tx, &relay_part, SQL_LANES_GET,
                     ST_ARGS(ST_I(peer->account), ST_I(peer->device)));
         rows.has_row; store_next(&rows)) {
        if (store_col_int(&rows, 0) < WIRE_BUSINESS_LANES)
            h->last_seq[store_col_int(&rows, 0)] = (uint64_t)store_col_int(&rows, 3);
    }
    store_rows_end(&rows);
    return rows.rc == RC_OK ? RC_OK : err_set(err, rows.rc, "relay.login", "cannot read lanes");
}

static void
send_ok(struct peer *peer, const struct login *l)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__LoginOk ok = PARLEY__WIRE__LOGIN_OK__INIT;

    ok.generation = l->generation;
    ok.highest_counter = l->highest_counter;
    ok.server_time_ms = relay_now_ms(peer->worker->relay);
    ok.one_time_left = l->one_time_left;
    ok.signed_prekey_id = l->signed_id;
    ok.window = peer->worker->relay->limits.window;
    frame.request_id = l->ask.request_id;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_LOGIN_OK;
    frame.login_ok = &ok;
    peer_send(peer, &frame);
}

/* Put ourselves on the map. Who held a lane before is told so; if somebody later than us holds one
 * already, it is we who are told. */
static bool
claim_routes(struct peer *peer, const struct login *l)
{
    struct relay *relay = peer->worker->relay;
    struct route mine = {.worker = peer->worker,
                         .slot = peer->slot,
                         .turn = peer->turn,
                         .login = l->order,
                         .generation = l->generation,
                         .is_business = l->is_business};
    struct route told = {.worker = NULL};

    for (uint32_t lane = 0; lane < l->n_lanes; lane++) {
        struct route old;
        enum rc rc;

        if (!is_claimed(l, lane))
            continue;
        mine.lease_epoch = l->epochs[lane];
        peer->lanes[lane] = (struct peer_lane){.is_claimed = true,
                                               .lease_epoch = l->epochs[lane],
                                               .acked = l->acked[lane],
                                               .ack_asked = l->acked[lane],
                                               .sent = l->acked[lane],
                                               .head = l->acked[lane]};
        rc = registry_claim(relay->registry, &old, l->account, l->device, lane, &mine);
        if (rc != RC_OK) {
            bool is_lower = rc == RC_STALE && l->epochs[lane] < old.lease_epoch;

            peer_close(peer,
                       is_lower ? PARLEY__WIRE__CLOSE_REASON__CLOSE_FENCED
                                : PARLEY__WIRE__CLOSE_REASON__CONNECTED_ELSEWHERE,
                       "a later connection holds these lanes");
            return false;
        }
        if (old.worker != NULL && old.login != told.login) {
            told = old;
            relay_close_route(relay, &old,
                              old.lease_epoch < mine.lease_epoch
                                  ? PARLEY__WIRE__CLOSE_REASON__CLOSE_FENCED
                                  : PARLEY__WIRE__CLOSE_REASON__CONNECTED_ELSEWHERE,
                              "a newer connection took these lanes");
        }
    }
    return true;
}

static bool
become(struct peer *peer, const struct login *l)
{
    size_t ack_bytes = sizeof(*peer->ack) + l->n_lanes * sizeof(peer->ack->items[0]);

    peer->lanes = calloc(l->n_lanes, sizeof(*peer->lanes));
    peer->ack = calloc(1, ack_bytes);
    if (peer->lanes == NULL || peer->ack == NULL)
        return false;
    peer->n_lanes = l->n_lanes;
    peer->account = l->account;
    peer->device = l->device;
    peer->generation = l->generation;
    peer->is_business = l->is_business;
    peer->login = l->order;
    memcpy(peer->identity_key, l->identity_key, sizeof(peer->identity_key));
    peer->deadline_ms = 0;
    peer->state = PEER_UP;
    worker_settle(peer->worker, peer);
    peer->io->trust(peer->io_ctx);
    atomic_fetch_sub(&peer->worker->relay->n_opening, 1);
    atomic_fetch_add(&peer->worker->relay->counters.logins, 1);
    return true;
}

static void
done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct login *l = (struct login *)job;
    struct peer *peer = l->ask.peer;
    struct heads *h;
    Parley__Wire__Frame again = PARLEY__WIRE__FRAME__INIT;

    if (!ask_allowed(&l->ask, rc, err)) {
        peer_reopen(peer);
    } else if (peer->state != PEER_ASKING) {
        /* it left meanwhile; the lanes' epochs stay as claimed */
    } else if (!become(peer, l)) {
        peer_close(peer, PARLEY__WIRE__CLOSE_REASON__DRAINING, "out of memory");
    } else if (claim_routes(peer, l)) {
        log_event(peer->worker->relay->log, LOG_INFO, "peer.login", LOG_NUM("account", l->account),
                  LOG_UINT("device", l->device), LOG_UINT("generation", l->generation),
                  LOG_FLAG("business", l->is_business),
                  LOG_FLAG("restored", l->last_counter < l->highest_counter)); /* I28 */
        send_ok(peer, l);
        if ((h = ask_new(peer, &again, sizeof(*h))) != NULL)
            ask_read(&h->ask, read_heads, heads_done);
    }
    ask_end(&l->ask);
}

/* Lanes as asked for: none named means all with epoch 0. */
static void
read_claims(struct login *l, const Parley__Wire__Login *in)
{
    for (size_t i = 0; i < in->n_lanes; i++) {
        for (uint32_t lane = 0; lane < WIRE_BUSINESS_LANES; lane++) {
            if ((in->lanes[i]->mask >> lane & 1) != 0)
                l->epochs[lane] = in->lanes[i]->lease_epoch;
        }
        l->claimed |= in->lanes[i]->mask;
    }
}

static bool
read_cert(struct login *l, struct relay *relay, const Parley__Wire__Login *in)
{
    struct number_cert cert;
    struct err err;

    if (in->number_certificate.len == 0)
        return true;
    if (!relay->has_authority || in->number_certificate.len > sizeof(l->cert) ||
        number_cert_read(&cert, wire_bytes(in->number_certificate), relay->authority,
                         clock_wall_ms(relay->clock) / 1000, &err) != RC_OK ||
        cert.number != l->account)
        return false;
    l->has_cert = true;
    l->cert_len = in->number_certificate.len;
    memcpy(l->cert, in->number_certificate.data, l->cert_len);
    return true;
}

void
verb_login(struct peer *peer, const Parley__Wire__Frame *frame)
{
    const Parley__Wire__Login *in = frame->login;
    struct login *l = ask_new(peer, frame, sizeof(*l));

    if (l == NULL)
        return;
    l->account = in->address->account;
    l->device = in->address->device;
    l->generation = in->generation;
    l->last_counter = in->last_counter;
    memcpy(l->noise_key, peer->noise_key, sizeof(l->noise_key));
    read_claims(l, in);
    if (!read_cert(l, peer->worker->relay, in)) {
        peer_refuse(peer, frame->request_id, PARLEY__WIRE__REASON__BAD_CERTIFICATE, 0,
                    "not a valid certificate of this number");
        ask_end(&l->ask);
        return;
    }
    peer->state = PEER_ASKING;
    ask_write(&l->ask, run, done, false);
}
