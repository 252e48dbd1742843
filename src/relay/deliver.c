/* deliver.c - one lane's flow: caught up and fed from memory, or behind and reading pages.
 *
 * Rules kept here: in sequence order (I9); from the first unacknowledged on after a login (I10);
 * never past `expires` (I15); at most `window` unacknowledged per lane and half of the channel's
 * write queue, so a slow reader costs a bounded amount. A page that is being read while the lane
 * grows is followed by another: what has been committed before a read began is in it. */
#include "relay/deliver.h"

#include <stdlib.h>

#include "link/channel.h"
#include "relay/core.h"

#define UNSENT_ENOUGH (CHANNEL_UNSENT_MAX / 2) /* the channel tells when this has drained */

static void
send_envelope(struct peer *peer, const struct envelope *env)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Deliver d = PARLEY__WIRE__DELIVER__INIT;
    Parley__Wire__Address sender = PARLEY__WIRE__ADDRESS__INIT;

    sender.account = env->sender;
    sender.device = env->sender_device;
    d.sender = env->sender != 0 ? &sender : NULL; /* a notice is from the relay itself */
    d.lane = env->lane;
    d.seq = env->seq;
    d.message_id = wire_field(bytes_of(env->message_id, MESSAGE_ID_BYTES));
    d.class_ = env->class;
    d.category = env->category;
    d.is_template = env->is_template;
    d.expires_at_ms = env->expires_ms;
    d.accepted_at_ms = env->accepted_ms;
    d.type = env->type;
    d.body = wire_field(env->body);
    frame.body_case = PARLEY__WIRE__FRAME__BODY_DELIVER;
    frame.deliver = &d;
    peer_send(peer, &frame);
}

static bool
has_window(const struct peer *peer, const struct peer_lane *lane)
{
    const struct relay_limits *limits = &peer->worker->relay->limits;

    return peer->state == PEER_UP && lane->unacked < limits->window &&
           lane->unacked_bytes < limits->window_bytes &&
           peer->io->unsent(peer->io_ctx) <= UNSENT_ENOUGH;
}

static void
send_next(struct peer *peer, struct peer_lane *lane, const struct envelope *env)
{
    lane->sent = env->seq;
    if (lane->head < lane->sent)
        lane->head = lane->sent;
    if (env->expires_ms <= relay_now_ms(peer->worker->relay))
        return; /* the sweeper's by now */
    lane->unacked++;
    lane->unacked_bytes += (uint32_t)env->body.len;
    atomic_fetch_add_explicit(&peer->worker->relay->counters.delivered, 1, memory_order_relaxed);
    send_envelope(peer, env);
}

/* ---- behind: pages from the store ---- */

struct page {
    struct store_job job;
    struct peer *peer; /* referenced */
    uint32_t lane;
    uint64_t after, head; /* read on from here; what was known to exist when the read began */
    uint32_t n_most, n;
    bool is_cut; /* more may follow */
    struct envelope envelopes[DELIVER_PAGE];
    struct buf bodies;
};

static void
copy_row(struct page *page, const struct store_rows *rows)
{
    struct envelope *env = &page->envelopes[page->n++];
    struct bytes id = store_col_bytes(rows, 3), body = store_col_bytes(rows, 7);

    memset(env, 0, sizeof(*env));
    env->lane = page->lane;
    env->seq = (uint64_t)store_col_int(rows, 0);
    env->sender = (uint64_t)store_col_int(rows, 1);
    env->sender_device = (uint32_t)store_col_int(rows, 2);
    if (id.len == MESSAGE_ID_BYTES)
        memcpy(env->message_id, id.ptr, id.len);
    envelope_set_meta(env, store_col_int(rows, 4));
    env->accepted_ms = store_col_int(rows, 5);
    env->expires_ms = store_col_int(rows, 6);
    env->body.len = body.len; /* the pointer is set when the buffer moves no more */
    buf_put(&page->bodies, body);
}

static enum rc
read_page(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct page *page = (struct page *)job;
    const struct peer *peer = page->peer; /* only what never changes once logged in */
    struct store_rows rows;

    page->n = 0;
    page->is_cut = false;
    buf_reset(&page->bodies);
    for (store_query(&rows, tx, &relay_part, SQL_ENVELOPE_PAGE,
                     ST_ARGS(ST_I(peer->account), ST_I(peer->device), ST_I(page->lane),
                             ST_I(page->after), ST_I(relay_now_ms(peer->worker->relay)),
                             ST_I(peer->generation), ST_I(page->n_most)));
         rows.has_row && page->bodies.len < DELIVER_PAGE_BYTES; store_next(&rows))
        copy_row(page, &rows);
    page->is_cut = rows.has_row || page->n == page->n_most;
    store_rows_end(&rows);
    if (rows.rc != RC_OK)
        return err_set(err, rows.rc, "relay.deliver", "cannot read a queue");
    if (buf_failed(&page->bodies))
        return err_set(err, RC_NOMEM, "relay.deliver", "no memory for a page");
    return RC_OK;
}

static void read_on(struct peer *peer, uint32_t lane);

static void
send_page(struct page *page, struct peer_lane *lane)
{
    const uint8_t *body = page->bodies.ptr;

    for (uint32_t i = 0; i < page->n; i++) {
        struct envelope *env = &page->envelopes[i];

        if (!has_window(page->peer, lane))
            return; /* read again from here when there is room */
        env->body.ptr = body;
        body += env->body.len;
        send_next(page->peer, lane, env);
    }
    if (!page->is_cut && lane->sent < page->head)
        lane->sent = page->head; /* what is missing in between has expired */
}

static void
page_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct page *page = (struct page *)job;
    struct peer *peer = page->peer;
    struct peer_lane *lane = &peer->lanes[page->lane];

    lane->is_reading = false;
    if (peer->state == PEER_UP) {
        if (rc == RC_OK) {
            send_page(page, lane);
            read_on(peer, page->lane);
        } else {
            log_event(peer->worker->relay->log, LOG_WARN, "deliver.page", LOG_RC(err));
            peer_close(peer, PARLEY__WIRE__CLOSE_REASON__DRAINING, "cannot read the queue now");
        }
    }
    buf_free(&page->bodies);
    free(page);
    peer_unref(peer);
}

/* Read the next page if the lane is behind and has room. */
static void
read_on(struct peer *peer, uint32_t l)
{
    struct peer_lane *lane = &peer->lanes[l];
    uint32_t window = peer->worker->relay->limits.window, room = window - lane->unacked;
    struct page *page;

    if (lane->is_reading || lane->sent >= lane->head || !has_window(peer, lane))
        return;
    if (room < window / 2 && room < DELIVER_PAGE)
        return; /* not a page for every single ack */
    if ((page = calloc(1, sizeof(*page))) == NULL)
        return; /* the next poke, push or ack tries again */
    buf_init(&page->bodies, DELIVER_PAGE_BYTES + WIRE_ENVELOPE_MAX);
    page->job = (struct store_job){.run = read_page, .done = page_done, .loop = peer->worker->loop};
    page->peer = peer_ref(peer);
    page->lane = l;
    page->after = lane->sent;
    page->head = lane->head;
    page->n_most = room < DELIVER_PAGE ? room : DELIVER_PAGE;
    lane->is_reading = true;
    store_read(peer->worker->relay->store, &page->job);
}

/* ---- the ways in ---- */

static struct peer_lane *
lane_of(struct peer *peer, uint32_t lane)
{
    if (peer->state != PEER_UP || lane >= peer->n_lanes || !peer->lanes[lane].is_claimed)
        return NULL;
    return &peer->lanes[lane];
}

void
deliver_start(struct peer *peer)
{
    for (uint32_t l = 0; l < peer->n_lanes; l++) {
        if (lane_of(peer, l) != NULL)
            read_on(peer, l);
    }
}

void
deliver_parcel(struct peer *peer, const struct parcel *parcel)
{
    const struct envelope *env = &parcel->envelope;
    struct peer_lane *lane = lane_of(peer, env->lane);

    if (lane == NULL || env->generation != peer->generation || env->seq <= lane->sent)
        return;
    if (lane->is_reading || lane->sent < lane->head || env->seq != lane->sent + 1 ||
        !has_window(peer, lane)) {
        deliver_poke(peer, env->lane, env->seq);
        return;
    }
    send_next(peer, lane, env);
}

void
deliver_ephemeral(struct peer *peer, const struct parcel *parcel)
{
    if (lane_of(peer, parcel->envelope.lane) != NULL &&
        peer->io->unsent(peer->io_ctx) <= UNSENT_ENOUGH)
        send_envelope(peer, &parcel->envelope);
}

void
deliver_poke(struct peer *peer, uint32_t l, uint64_t seq)
{
    struct peer_lane *lane = lane_of(peer, l);

    if (lane == NULL)
        return;
    if (lane->head < seq)
        lane->head = seq;
    read_on(peer, l);
}

void
deliver_drained(struct peer *peer)
{
    deliver_start(peer);
}

bool
deliver_acked(struct peer *peer, uint32_t l, uint64_t seq)
{
    struct peer_lane *lane = lane_of(peer, l);
    uint64_t n;

    if (lane == NULL || seq > lane->sent)
        return false;
    if (seq <= lane->acked)
        return true;
    n = seq - lane->acked;
    lane->acked = seq;
    if (seq == lane->sent || n >= lane->unacked) {
        lane->unacked = lane->sent > seq ? 1 : 0;
        lane->unacked_bytes = lane->sent > seq ? lane->unacked_bytes / 2 : 0;
    } else { /* sizes are not kept one by one: an even share is near enough for a window */
        lane->unacked_bytes -= (uint32_t)(lane->unacked_bytes * n / lane->unacked);
        lane->unacked -= (uint32_t)n;
    }
    read_on(peer, l);
    return true;
}
