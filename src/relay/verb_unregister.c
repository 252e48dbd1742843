/* verb_unregister.c - a device says that it is gone for good.
 *
 * The same as being replaced, without a successor: prekeys forgotten, lanes fenced, what waited
 * given back to its senders. Source: docs/protocol/registration.md, section 1. */
#include "relay/core.h"
#include "relay/devices.h"

struct leaving {
    struct ask ask;
    uint64_t account, generation;
    uint32_t device;
    int64_t now_ms;
};

static enum rc
run_leave(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct leaving *l = (struct leaving *)job;

    l->ask.reason = PARLEY__WIRE__REASON__REASON_UNSPECIFIED;
    return device_remove(tx, l->account, l->device, l->generation, l->now_ms, err);
}

static void
leave_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct leaving *l = (struct leaving *)job;

    if (ask_allowed(&l->ask, rc, err)) {
        peer_done(l->ask.peer, l->ask.request_id);
        peer_close(l->ask.peer, PARLEY__WIRE__CLOSE_REASON__UNREGISTERED, "unregistered");
        device_close_routes(l->ask.peer->worker->relay, l->account, l->device, UINT64_MAX,
                            "unregistered");
    }
    ask_end(&l->ask);
}

void
verb_unregister(struct peer *peer, const Parley__Wire__Frame *frame)
{
    struct leaving *l = ask_new(peer, frame, sizeof(*l));

    if (l == NULL)
        return;
    l->account = peer->account;
    l->device = peer->device;
    l->generation = peer->generation;
    l->now_ms = relay_now_ms(peer->worker->relay);
    ask_write(&l->ask, run_leave, leave_done, false);
}
