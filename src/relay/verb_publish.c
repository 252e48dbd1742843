/* verb_publish.c - a message comes in: copied once, handed to the writer; or, if ephemeral,
 * straight on.
 *
 * Owns what can be said without the store: lanes this connection holds, sizes, rates. The copy made
 * here is the one that travels to the store and to the receiving connection. Must never answer yes:
 * that is enqueue.c's, after the commit. Source: docs/protocol/relay.md, "Publish". */
#include <stdlib.h>

#include "relay/core.h"
#include "relay/deliver.h"
#include "relay/server.h"

static void
answer(struct peer *peer, const Parley__Wire__Frame *in, Parley__Wire__Reason reason)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__PublishResult result = PARLEY__WIRE__PUBLISH_RESULT__INIT;

    result.message_id = in->publish->message_id;
    result.reason = reason;
    frame.request_id = in->request_id;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_PUBLISH_RESULT;
    frame.publish_result = &result;
    peer_send(peer, &frame);
}

static void
copy_parcel(struct parcel *to, struct publish *p, const Parley__Wire__Publish *in,
            const Parley__Wire__DeviceCiphertext *c, uint8_t *room)
{
    struct envelope *env = &to->envelope;

    memcpy(room, c->body.data, c->body.len);
    to->publish = p;
    to->registration_id = c->registration_id;
    env->account = in->recipient;
    env->device = c->device;
    env->sender = p->sender;
    env->sender_device = p->sender_device;
    memcpy(env->message_id, in->message_id.data, MESSAGE_ID_BYTES);
    env->class = in->class_;
    env->category = p->sender_is_business ? in->category : PARLEY__WIRE__CATEGORY__CATEGORY_NONE;
    env->is_template = p->sender_is_business && in->is_template;
    env->type = c->type;
    env->expires_ms = in->expires_at_ms;
    env->body = bytes_of(room, c->body.len);
}

/* One allocation: the publish, its parcels, their bodies. NULL when out of memory. */
static struct publish *
copy_publish(struct peer *peer, const Parley__Wire__Frame *frame)
{
    const Parley__Wire__Publish *in = frame->publish;
    size_t head = sizeof(struct publish) + in->n_ciphertexts * sizeof(struct parcel), bytes = 0;
    struct publish *p;
    uint8_t *room;

    for (size_t i = 0; i < in->n_ciphertexts; i++)
        bytes += in->ciphertexts[i]->body.len;
    if ((p = malloc(head + bytes)) == NULL)
        return NULL;
    memset(p, 0, head);
    atomic_init(&p->refs, 1);
    p->bytes = bytes;
    p->request_id = frame->request_id;
    p->sender = peer->account;
    p->sender_device = peer->device;
    p->sender_is_business = peer->is_business;
    p->sender_lane = peer->is_business ? lane_of_peer(in->recipient) : 0;
    p->generation = peer->generation;
    p->lease_epoch = peer->lanes[p->sender_lane].lease_epoch;
    p->recipient = in->recipient;
    p->counter = in->counter;
    memcpy(p->device_list_hash, in->device_list_hash.data, sizeof(p->device_list_hash));
    p->n = (uint32_t)in->n_ciphertexts;
    room = (uint8_t *)p + head;
    for (uint32_t i = 0; i < p->n; i++) {
        copy_parcel(&p->parcels[i], p, in, in->ciphertexts[i], room);
        room += in->ciphertexts[i]->body.len;
    }
    return p;
}

struct ephemeral_post {
    struct loop_post post;
    struct parcel *parcel; /* holds a reference to its publish */
};

static void
deliver_there(struct loop_post *post)
{
    struct ephemeral_post *e = (struct ephemeral_post *)post;
    const struct route *route = &e->parcel->route;
    struct peer *peer = worker_peer(route->worker, route->slot, route->turn);

    if (peer != NULL)
        deliver_ephemeral(peer, e->parcel);
    publish_unref(e->parcel->publish);
    free(e);
}

/* Whoever is connected gets it now; nobody hears of it later. */
static void
hand_on(struct relay *relay, struct publish *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        struct parcel *parcel = &p->parcels[i];
        struct ephemeral_post *e;
        bool is_there = false;

        /* a person's device has lane 0 only; a business's is reached in its lane for this sender */
        for (unsigned k = 0; k < 2 && !is_there; k++) {
            parcel->envelope.lane = k == 0 ? 0 : lane_of_peer(p->sender);
            is_there = registry_find(relay->registry, &parcel->route, p->recipient,
                                     parcel->envelope.device, parcel->envelope.lane) &&
                       parcel->route.is_business == (k == 1);
        }
        if (!is_there || (e = calloc(1, sizeof(*e))) == NULL)
            continue;
        e->post.fn = deliver_there;
        e->parcel = parcel;
        atomic_fetch_add(&p->refs, 1);
        loop_post(parcel->route.worker->loop, &e->post);
    }
    atomic_fetch_add(&relay->counters.ephemerals, 1);
}

void
verb_publish(struct peer *peer, const Parley__Wire__Frame *frame)
{
    struct relay *relay = peer->worker->relay;
    const Parley__Wire__Publish *in = frame->publish;
    uint32_t lane = peer->is_business ? lane_of_peer(in->recipient) : 0;
    struct publish *p;

    if (!peer->lanes[lane].is_claimed) {
        answer(peer, frame, PARLEY__WIRE__REASON__NOT_ALLOWED);
        return;
    }
    if (in->class_ == PARLEY__WIRE__CLASS__EPHEMERAL &&
        !limiter_take(relay->limiter, LIMIT_EPHEMERAL, peer->login, 0,
                      relay->limits.ephemerals_per_10s, 10000, clock_mono_ms(relay->clock), NULL)) {
        answer(peer, frame, PARLEY__WIRE__REASON__RATE_LIMITED);
        return;
    }
    if ((p = copy_publish(peer, frame)) == NULL) {
        answer(peer, frame, PARLEY__WIRE__REASON__UNAVAILABLE);
        return;
    }
    if (in->class_ == PARLEY__WIRE__CLASS__EPHEMERAL) {
        hand_on(relay, p);
        answer(peer, frame, PARLEY__WIRE__REASON__REASON_UNSPECIFIED);
        publish_unref(p);
        return;
    }
    p->work = (struct work){.kind = WORK_PUBLISH, .worker = peer->worker, .peer = peer_ref(peer)};
    if (!writer_submit(relay->writer, &p->work)) {
        answer(peer, frame, PARLEY__WIRE__REASON__UNAVAILABLE);
        publish_unref(p);
        peer_unref(peer);
        return;
    }
    peer_publishes(peer, +1);
}
