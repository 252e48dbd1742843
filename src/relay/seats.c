/* seats.c - which connection sits where in a worker, and closing one that sits on another loop.
 *
 * Owns the table of slots: a route names a slot and a turn, so a route that outlived its connection
 * finds nobody, even when somebody else sits there by now. */
#include <stdlib.h>
#include <string.h>

#include "relay/core.h"
#include "relay/server.h"

static bool
more_slots(struct worker *worker)
{
    uint32_t n = worker->n_slots == 0 ? 64 : worker->n_slots * 2;
    struct peer **slots = realloc(worker->slots, n * sizeof(struct peer *));
    uint32_t *turns;

    if (slots == NULL)
        return false;
    worker->slots = slots;
    if ((turns = realloc(worker->turns, n * sizeof(*turns))) == NULL)
        return false;
    worker->turns = turns;
    memset(slots + worker->n_slots, 0, (n - worker->n_slots) * sizeof(struct peer *));
    memset(turns + worker->n_slots, 0, (n - worker->n_slots) * sizeof(*turns));
    worker->n_slots = n;
    return true;
}

static void
link_in(struct peer **list, struct peer *peer)
{
    peer->older = *list;
    peer->newer = NULL;
    if (peer->older != NULL)
        peer->older->newer = peer;
    *list = peer;
}

static void
link_out(struct peer **list, struct peer *peer)
{
    if (peer->newer != NULL)
        peer->newer->older = peer->older;
    else
        *list = peer->older;
    if (peer->older != NULL)
        peer->older->newer = peer->newer;
}

static struct peer **
list_of(struct worker *worker, const struct peer *peer)
{
    return peer->is_settled ? &worker->settled : &worker->opening;
}

bool
worker_seat(struct worker *worker, struct peer *peer)
{
    while (worker->first_free < worker->n_slots && worker->slots[worker->first_free] != NULL)
        worker->first_free++;
    if (worker->first_free == worker->n_slots && !more_slots(worker))
        return false;
    peer->slot = worker->first_free++;
    peer->turn = ++worker->turns[peer->slot];
    worker->slots[peer->slot] = peer;
    link_in(list_of(worker, peer), peer);
    return true;
}

void
worker_settle(struct worker *worker, struct peer *peer)
{
    link_out(list_of(worker, peer), peer);
    peer->is_settled = true;
    link_in(list_of(worker, peer), peer);
}

void
worker_unseat(struct worker *worker, struct peer *peer)
{
    worker->slots[peer->slot] = NULL;
    if (peer->slot < worker->first_free)
        worker->first_free = peer->slot;
    link_out(list_of(worker, peer), peer);
}

struct peer *
worker_peer(struct worker *worker, uint32_t slot, uint32_t turn)
{
    if (slot >= worker->n_slots || worker->turns[slot] != turn)
        return NULL;
    return worker->slots[slot];
}

struct close_post {
    struct loop_post post;
    struct route route;
    int reason;
    const char *text;
};

static void
close_there(struct loop_post *post)
{
    struct close_post *c = (struct close_post *)post;
    struct peer *peer = worker_peer(c->route.worker, c->route.slot, c->route.turn);

    if (peer != NULL && peer->login == c->route.login)
        peer_close(peer, (Parley__Wire__CloseReason)c->reason, c->text);
    free(c);
}

void
relay_close_route(struct relay *relay, const struct route *route, int close_reason,
                  const char *text)
{
    struct close_post *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        log_event(relay->log, LOG_ERROR, "relay.close", LOG_STR("error", "out of memory"));
        return; /* its epoch or generation is refused by the store all the same */
    }
    *c = (struct close_post){
        .post.fn = close_there, .route = *route, .reason = close_reason, .text = text};
    loop_post(route->worker->loop, &c->post);
}
