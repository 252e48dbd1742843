/* enqueue.c - a publish in the transaction: every check, then every row; and an ack.
 *
 * A message that is in the queue already, or was, is acknowledged whatever else has changed since,
 * and only after the commit of this batch, in which its lane is written (I5). Otherwise all
 * devices' rows are written or none. Must never look into a body. */
#include "relay/enqueue.h"

#include "relay/core.h"

#define REASON(name) PARLEY__WIRE__REASON__##name

void
enqueue_totals_begin(struct enqueue_totals *totals)
{
    totals->meter.n = 0;
    totals->n = 0;
}

enum rc
enqueue_totals_write(struct enqueue_totals *totals, struct inbox *inbox, struct err *err)
{
    enum rc rc;

    for (uint32_t i = 0; i < totals->n; i++) {
        const struct sender_total *s = &totals->senders[i];

        rc = store_run(inbox->tx, &relay_part, SQL_DEVICE_COUNTER, NULL, err,
                       ST_ARGS(ST_I(s->account), ST_I(s->device), ST_I(s->counter)));
        if (rc != RC_OK)
            return rc;
    }
    totals->n = 0;
    return meter_write(&totals->meter, inbox->tx, err);
}

/* Remember the sender's highest counter (I28). */
static enum rc
note_counter(struct enqueue_totals *t, struct inbox *inbox, const struct publish *p,
             struct err *err)
{
    enum rc rc;

    for (uint32_t i = t->n; i-- > 0;) {
        struct sender_total *s = &t->senders[i];

        if (s->account == p->sender && s->device == p->sender_device) {
            s->counter = p->counter > s->counter ? p->counter : s->counter;
            return RC_OK;
        }
    }
    if (t->n == ENQUEUE_SENDERS_MAX && (rc = enqueue_totals_write(t, inbox, err)) != RC_OK)
        return rc;
    t->senders[t->n++] = (struct sender_total){
        .account = p->sender, .device = p->sender_device, .counter = p->counter};
    return RC_OK;
}

static Parley__Wire__Reason
refuse(struct publish *p, Parley__Wire__Reason reason)
{
    p->reason = reason;
    return reason;
}

/* Is this still the connection that holds the lane it writes from (I29)? */
static bool
is_fenced(const struct publish *p, const struct lane_row *lane)
{
    return !lane->exists || lane->generation != p->generation || lane->lease_epoch > p->lease_epoch;
}

/* The entry of the account's list that a ciphertext is for, or NULL. */
static const struct device_entry *
entry_of(const struct account_row *row, uint32_t device)
{
    for (size_t i = 0; i < row->n; i++) {
        if (row->devices[i].device == device)
            return &row->devices[i];
    }
    return NULL;
}

/* Does the message hold one ciphertext for each current device, and were they made for those? */
static bool
fits_devices(const struct publish *p, const struct account_row *row)
{
    bool is_own = p->recipient == p->sender; /* to one's other devices: not to oneself */
    size_t expected = row->n - (is_own && entry_of(row, p->sender_device) != NULL ? 1 : 0);

    if (memcmp(p->device_list_hash, row->hash, sizeof(row->hash)) != 0 || p->n != expected)
        return false;
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t device = p->parcels[i].envelope.device;
        const struct device_entry *entry = entry_of(row, device);

        if (entry == NULL || entry->registration_id != p->parcels[i].registration_id ||
            (is_own && device == p->sender_device))
            return false;
        for (uint32_t j = 0; j < i; j++) {
            if (p->parcels[j].envelope.device == device)
                return false;
        }
    }
    return true;
}

static void
tell_current(struct publish *p, const struct account_row *row)
{
    memcpy(p->current_hash, row->hash, sizeof(p->current_hash));
    p->n_current = (uint32_t)row->n;
    memcpy(p->current, row->devices, row->n * sizeof(row->devices[0]));
}

/* Address every parcel to its queue and ask each queue for room. */
static enum rc
check_queues(struct inbox *inbox, struct publish *p, const struct account_row *row, struct err *err)
{
    for (uint32_t i = 0; i < p->n; i++) {
        struct envelope *env = &p->parcels[i].envelope;
        struct lane_row *lane;
        enum rc rc;

        for (size_t d = 0; d < row->n; d++) {
            if (row->devices[d].device == env->device)
                env->generation = row->generations[d];
        }
        if ((rc = inbox_lane(inbox, &lane, env->account, env->device, env->lane, err)) != RC_OK)
            return rc;
        if (!lane->exists || !inbox_has_room(inbox, row, lane, env->body.len))
            refuse(p, REASON(OVERFLOW));
    }
    return RC_OK;
}

static enum rc
check(struct inbox *inbox, struct publish *p, struct err *err)
{
    const struct account_row *row;
    int64_t made_ms = message_id_unix_ms(p->parcels[0].envelope.message_id);
    enum rc rc = inbox_account(inbox, &row, p->recipient, err);

    if (rc != RC_OK)
        return rc;
    for (uint32_t i = 0; i < p->n; i++)
        p->parcels[i].envelope.lane = inbox_lane_for(row, p->sender);
    if (!row->exists) {
        refuse(p, REASON(NO_ACCOUNT));
    } else if (!fits_devices(p, row)) {
        tell_current(p, row);
        refuse(p, REASON(STALE_DEVICES));
    } else if (p->parcels[0].envelope.expires_ms <= inbox->now_ms ||
               made_ms < inbox->now_ms - DEDUPE_LIFE_MS) {
        refuse(p, REASON(EXPIRED)); /* an id this old may have been forgotten: never twice */
    } else {
        rc = check_queues(inbox, p, row, err);
    }
    return rc;
}

/* A refusal does not stand when the message has been accepted before. */
static enum rc
recall(struct inbox *inbox, struct publish *p, struct err *err)
{
    struct lane_row *lane;
    bool seen = true;
    enum rc rc;

    for (uint32_t i = 0; i < p->n && seen; i++) {
        if ((rc = inbox_seen(inbox, &seen, &p->parcels[i].envelope, err)) != RC_OK)
            return rc;
    }
    if (!seen)
        return RC_OK;
    p->reason = REASON(REASON_UNSPECIFIED);
    p->is_duplicate = true;
    rc = inbox_lane(inbox, &lane, p->recipient, p->parcels[0].envelope.device,
                    p->parcels[0].envelope.lane, err);
    if (rc == RC_OK && lane->exists) { /* the barrier */
        lane->duplicates++;
        lane->is_dirty = true;
    }
    return rc;
}

static enum rc
put_all(struct inbox *inbox, struct enqueue_totals *totals, struct publish *p, struct err *err)
{
    int64_t last_ms = inbox->now_ms + WIRE_EXPIRY_MAX_MS;
    bool is_first = true;
    enum rc rc;

    for (uint32_t i = 0; i < p->n; i++) {
        struct envelope *env = &p->parcels[i].envelope;

        if (env->expires_ms > last_ms)
            env->expires_ms = last_ms;
        rc = inbox_put(inbox, env, err);
        if (rc != RC_OK && rc != RC_DUPLICATE)
            return rc;
        if (rc == RC_DUPLICATE)
            env->seq = 0; /* not this batch's to deliver */
        else
            p->n_stored++;
        is_first = is_first && rc == RC_OK && !env->came_back;
    }
    p->is_duplicate = p->n_stored == 0;
    if (is_first && p->sender_is_business &&
        p->parcels[0].envelope.class == PARLEY__WIRE__CLASS__MESSAGE)
        return meter_add(&totals->meter, inbox->tx, p->sender, inbox->now_ms,
                         p->parcels[0].envelope.category, err);
    return RC_OK;
}

enum rc
enqueue_publish(struct inbox *inbox, struct enqueue_totals *totals, struct publish *p,
                struct err *err)
{
    struct lane_row *own;
    enum rc rc;

    p->reason = REASON(REASON_UNSPECIFIED);
    p->is_duplicate = false;
    p->n_stored = p->n_current = 0;
    for (uint32_t i = 0; i < p->n; i++)
        p->parcels[i].envelope.seq = 0;
    if ((rc = inbox_lane(inbox, &own, p->sender, p->sender_device, p->sender_lane, err)) != RC_OK)
        return rc;
    if (is_fenced(p, own)) {
        refuse(p, REASON(FENCED));
        return RC_OK;
    }
    if ((rc = check(inbox, p, err)) != RC_OK)
        return rc;
    if (p->reason != REASON(REASON_UNSPECIFIED))
        return recall(inbox, p, err);
    if ((rc = put_all(inbox, totals, p, err)) != RC_OK)
        return rc;
    return note_counter(totals, inbox, p, err);
}

enum rc
enqueue_ack(struct inbox *inbox, struct ack_work *ack, struct err *err)
{
    for (uint32_t i = 0; i < ack->n; i++) {
        const struct ack_item *item = &ack->items[i];
        struct lane_row *lane;
        enum rc rc = inbox_lane(inbox, &lane, ack->account, ack->device, item->lane, err);

        if (rc != RC_OK)
            return rc;
        if (!lane->exists || lane->generation != ack->generation ||
            lane->lease_epoch > item->lease_epoch || item->seq > lane->last_seq)
            continue; /* not, or no longer, theirs to take away (I8, I29) */
        if ((rc = inbox_ack(inbox, lane, ack->generation, item->seq, err)) != RC_OK)
            return rc;
    }
    return RC_OK;
}

static void
send_result(struct peer *peer, struct publish *p)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__PublishResult result = PARLEY__WIRE__PUBLISH_RESULT__INIT;
    Parley__Wire__DeviceEntry entries[WIRE_DEVICES_MAX], *list[WIRE_DEVICES_MAX];

    result.message_id = wire_field(bytes_of(p->parcels[0].envelope.message_id, MESSAGE_ID_BYTES));
    result.reason = p->reason;
    if (p->n_current > 0) {
        result.device_list_hash = wire_field(bytes_of(p->current_hash, sizeof(p->current_hash)));
        for (uint32_t i = 0; i < p->n_current; i++) {
            parley__wire__device_entry__init(&entries[i]);
            entries[i].device = p->current[i].device;
            entries[i].registration_id = p->current[i].registration_id;
            list[i] = &entries[i];
        }
        result.n_devices = p->n_current;
        result.devices = list;
    }
    frame.request_id = p->request_id;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_PUBLISH_RESULT;
    frame.publish_result = &result;
    peer_send(peer, &frame);
}

void
enqueue_publish_answer(struct publish *publish, enum rc rc)
{
    struct peer *peer = publish->work.peer;
    struct relay_counters *counters = &peer->worker->relay->counters;

    if (rc != RC_OK) {
        publish->reason = REASON(UNAVAILABLE);
        publish->n_current = 0;
    }
    if (publish->reason != REASON(REASON_UNSPECIFIED))
        atomic_fetch_add(&counters->refused_publish, 1);
    else if (publish->is_duplicate)
        atomic_fetch_add(&counters->duplicates, 1);
    else
        atomic_fetch_add(&counters->published, 1);
    log_event(peer->worker->relay->log, LOG_DEBUG, "publish",
              LOG_HEX("id", bytes_of(publish->parcels[0].envelope.message_id, MESSAGE_ID_BYTES)),
              LOG_STR("reason", wire_reason_name(publish->reason)),
              LOG_FLAG("again", publish->is_duplicate));
    send_result(peer, publish);
    peer_publishes(peer, -1);
    publish_unref(publish);
    peer_unref(peer);
}

void
enqueue_ack_answer(struct ack_work *ack, enum rc rc)
{
    struct peer *peer = ack->work.peer;

    peer->is_acking = false;
    peer_flush_acks(peer); /* what came meanwhile; after a failure the next ack covers it */
    peer_unref(peer);
}
