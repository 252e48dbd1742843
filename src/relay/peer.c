/* peer.c - the table of verbs by state, and the life of a connection.
 *
 * Owns the answer to "may this frame come now?": one table, one setter of the state. A frame that
 * may not come before login is refused, one that a device never sends ends the connection. */
#include "relay/peer.h"

#include <stdlib.h>
#include <string.h>

#include "relay/core.h"
#include "relay/deliver.h"
#include "relay/server.h"

#define IN(state) (1u << (state))

/* frame kind -> states in which it is welcome, and who handles it */
static const struct verb {
    unsigned states;
    void (*fn)(struct peer *peer, const Parley__Wire__Frame *frame);
} verbs[] = {
    [PARLEY__WIRE__FRAME__BODY_LOGIN] = {IN(PEER_OPEN), verb_login        },
    [PARLEY__WIRE__FRAME__BODY_CODE_REQUEST] = {IN(PEER_OPEN), verb_code_request },
    [PARLEY__WIRE__FRAME__BODY_CODE_VERIFY] = {IN(PEER_OPEN), verb_code_verify  },
    [PARLEY__WIRE__FRAME__BODY_REGISTER] = {IN(PEER_OPEN), verb_register     },
    [PARLEY__WIRE__FRAME__BODY_UNREGISTER] = {IN(PEER_UP),   verb_unregister   },
    [PARLEY__WIRE__FRAME__BODY_PREKEY_UPLOAD] = {IN(PEER_UP),   verb_prekey_upload},
    [PARLEY__WIRE__FRAME__BODY_BUNDLE_FETCH] = {IN(PEER_UP),   verb_bundle_fetch },
    [PARLEY__WIRE__FRAME__BODY_PUBLISH] = {IN(PEER_UP),   verb_publish      },
    [PARLEY__WIRE__FRAME__BODY_ACK] = {IN(PEER_UP),   verb_ack          },
    [PARLEY__WIRE__FRAME__BODY_BLOCK_SIGNAL] = {IN(PEER_UP),   verb_block_signal },
};

struct peer *
peer_new(struct worker *worker, const struct peer_io *io, void *io_ctx)
{
    struct peer *peer = calloc(1, sizeof(*peer));

    if (peer == NULL)
        return NULL;
    peer->worker = worker;
    peer->io = io;
    peer->io_ctx = io_ctx;
    peer->refs = 1;
    peer->since_ms = clock_mono_ms(worker->relay->clock);
    if (!worker_seat(worker, peer)) {
        free(peer);
        return NULL;
    }
    return peer;
}

struct peer *
peer_ref(struct peer *peer)
{
    peer->refs++;
    return peer;
}

void
peer_unref(struct peer *peer)
{
    if (--peer->refs > 0)
        return;
    free(peer->lanes);
    free(peer->ack);
    free(peer);
}

void
peer_up(struct peer *peer, const uint8_t noise_key[32], const uint8_t hash[32])
{
    memcpy(peer->noise_key, noise_key, sizeof(peer->noise_key));
    memcpy(peer->hash, hash, sizeof(peer->hash));
    peer->state = PEER_OPEN;
    peer->since_ms = clock_mono_ms(peer->worker->relay->clock);
    peer->deadline_ms = peer->since_ms + peer->worker->relay->limits.first_ms;
}

void
peer_frame(struct peer *peer, const Parley__Wire__Frame *frame)
{
    const struct verb *verb = NULL;

    if (peer->state == PEER_ENDED)
        return;
    if ((size_t)frame->body_case < ARRAY_LEN(verbs))
        verb = &verbs[frame->body_case];
    if (verb == NULL || verb->fn == NULL) {
        peer_close(peer, PARLEY__WIRE__CLOSE_REASON__PROTOCOL_ERROR, "not a request");
    } else if ((verb->states & IN(peer->state)) == 0) {
        peer_refuse(peer, frame->request_id,
                    (verb->states & IN(PEER_UP)) != 0 ? PARLEY__WIRE__REASON__NOT_LOGGED_IN
                                                      : PARLEY__WIRE__REASON__NOT_ALLOWED,
                    0, "not in this state of the connection");
    } else {
        if (peer->state == PEER_OPEN) /* a registration is under way: its own deadline holds */
            peer->deadline_ms = peer->since_ms + peer->worker->relay->limits.opening_ms;
        verb->fn(peer, frame);
    }
}

/* Nothing more goes out or is routed here. */
static void
end(struct peer *peer)
{
    struct registry *registry = peer->worker->relay->registry;

    if (peer->state == PEER_ENDED)
        return;
    if (peer->login == 0)
        atomic_fetch_sub(&peer->worker->relay->n_opening, 1);
    for (uint32_t l = 0; l < peer->n_lanes; l++) {
        if (peer->lanes[l].is_claimed)
            registry_release(registry, peer->account, peer->device, l, peer->login);
    }
    peer->state = PEER_ENDED;
}

void
peer_close(struct peer *peer, Parley__Wire__CloseReason reason, const char *text)
{
    if (peer->state == PEER_ENDED)
        return;
    log_event(peer->worker->relay->log, LOG_DEBUG, "peer.close", LOG_NUM("account", peer->account),
              LOG_INT("reason", reason), LOG_STR("text", text));
    end(peer);
    peer->io->close(peer->io_ctx, reason, text);
}

void
peer_gone(struct peer *peer)
{
    end(peer);
    worker_unseat(peer->worker, peer);
    peer->io = NULL;
    peer_unref(peer);
}

void
peer_tick(struct peer *peer, int64_t mono_ms)
{
    if (peer->deadline_ms != 0 && mono_ms >= peer->deadline_ms)
        peer_close(peer, PARLEY__WIRE__CLOSE_REASON__SLOW, "no login in time");
}

void
peer_send(struct peer *peer, Parley__Wire__Frame *frame)
{
    if (peer->state != PEER_ENDED)
        (void)!peer->io->send(peer->io_ctx, frame); /* a failed channel reports its end itself */
}

void
peer_refuse(struct peer *peer, uint32_t request_id, Parley__Wire__Reason reason,
            uint32_t retry_after_s, const char *text)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Refusal refusal = PARLEY__WIRE__REFUSAL__INIT;

    refusal.reason = reason;
    refusal.retry_after_s = retry_after_s;
    refusal.text = (char *)(uintptr_t)(text == NULL ? "" : text);
    frame.request_id = request_id;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_REFUSAL;
    frame.refusal = &refusal;
    peer_send(peer, &frame);
}

void
peer_done(struct peer *peer, uint32_t request_id)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Done done = PARLEY__WIRE__DONE__INIT;

    frame.request_id = request_id;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_DONE;
    frame.done = &done;
    peer_send(peer, &frame);
}

void
peer_publishes(struct peer *peer, int change)
{
    bool must_hold;

    peer->publishes += (uint32_t)change;
    must_hold = peer->publishes >= (peer->is_held ? PEER_PUBLISHES_MAX / 2 : PEER_PUBLISHES_MAX);
    if (must_hold == peer->is_held || peer->state == PEER_ENDED)
        return;
    peer->is_held = must_hold;
    peer->io->hold(peer->io_ctx, must_hold);
}

void
peer_reopen(struct peer *peer)
{
    if (peer->state == PEER_ASKING)
        peer->state = PEER_OPEN;
}

void *
ask_new(struct peer *peer, const Parley__Wire__Frame *frame, size_t size)
{
    struct ask *ask = peer->in_flight < PEER_REQUESTS_MAX ? calloc(1, size) : NULL;

    if (ask == NULL) {
        peer_refuse(peer, frame->request_id, PARLEY__WIRE__REASON__UNAVAILABLE, 1,
                    "too many requests under way");
        return NULL;
    }
    peer->in_flight++;
    atomic_fetch_add(&peer->worker->relay->n_asks, 1);
    ask->peer = peer_ref(peer);
    ask->request_id = frame->request_id;
    ask->job.loop = peer->worker->loop;
    return ask;
}

/* The store is closed, the relay is ending: the request is answered without it. */
static void
answer_closed(struct ask *ask)
{
    struct err err;

    ask->job.done(&ask->job, err_set(&err, RC_CLOSED, "relay", "the relay is stopping"), &err);
}

void
ask_write(struct ask *ask, enum rc (*run)(struct store_job *, struct store_tx *, struct err *),
          void (*done)(struct store_job *, enum rc, const struct err *), bool grows)
{
    ask->job.run = run;
    ask->job.done = done;
    ask->job.grows = grows;
    if (ask->peer->worker->relay->store == NULL)
        answer_closed(ask);
    else
        store_submit(ask->peer->worker->relay->store, &ask->job);
}

void
ask_read(struct ask *ask, enum rc (*run)(struct store_job *, struct store_tx *, struct err *),
         void (*done)(struct store_job *, enum rc, const struct err *))
{
    ask->job.run = run;
    ask->job.done = done;
    if (ask->peer->worker->relay->store == NULL)
        answer_closed(ask);
    else
        store_read(ask->peer->worker->relay->store, &ask->job);
}

bool
ask_allowed(struct ask *ask, enum rc rc, const struct err *err)
{
    if (rc != RC_OK) {
        log_event(ask->peer->worker->relay->log, LOG_WARN, "store.refused", LOG_RC(err));
        ask->reason = PARLEY__WIRE__REASON__UNAVAILABLE;
        ask->text = "the relay cannot store this now";
        ask->retry_after_s = 1;
    }
    if (ask->reason == PARLEY__WIRE__REASON__REASON_UNSPECIFIED)
        return true;
    peer_refuse(ask->peer, ask->request_id, ask->reason, ask->retry_after_s, ask->text);
    return false;
}

void
ask_end(struct ask *ask)
{
    struct peer *peer = ask->peer;

    peer->in_flight--;
    atomic_fetch_sub(&peer->worker->relay->n_asks, 1);
    free(ask);
    peer_unref(peer);
}
