/* verb_ack.c - the device says that everything up to a number is safe with it.
 *
 * Acks are gathered while one is on its way to the store, so that a fast reader costs one statement
 * per lane and batch. An ack beyond what this connection was sent ends the connection (I8). */
#include "relay/core.h"
#include "relay/deliver.h"

void
peer_flush_acks(struct peer *peer)
{
    struct ack_work *ack = peer->ack;

    if (peer->is_acking || ack == NULL)
        return;
    ack->n = 0;
    for (uint32_t l = 0; l < peer->n_lanes; l++) {
        struct peer_lane *lane = &peer->lanes[l];

        if (lane->is_claimed && lane->acked > lane->ack_asked) {
            ack->items[ack->n++] =
                (struct ack_item){.lane = l, .seq = lane->acked, .lease_epoch = lane->lease_epoch};
            lane->ack_asked = lane->acked;
        }
    }
    if (ack->n == 0)
        return;
    ack->account = peer->account;
    ack->device = peer->device;
    ack->generation = peer->generation;
    ack->work = (struct work){.kind = WORK_ACK, .worker = peer->worker, .peer = peer_ref(peer)};
    peer->is_acking = writer_submit(peer->worker->relay->writer, &ack->work);
    if (!peer->is_acking)
        peer_unref(peer);
}

void
verb_ack(struct peer *peer, const Parley__Wire__Frame *frame)
{
    const Parley__Wire__Ack *in = frame->ack;

    for (size_t i = 0; i < in->n_lanes; i++) {
        if (!deliver_acked(peer, in->lanes[i]->lane, in->lanes[i]->seq)) {
            atomic_fetch_add(&peer->worker->relay->counters.ack_refused, 1);
            peer_close(peer, PARLEY__WIRE__CLOSE_REASON__PROTOCOL_ERROR,
                       "ack of what was not sent");
            return;
        }
    }
    peer_flush_acks(peer);
}
