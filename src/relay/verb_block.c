/* verb_block.c - a person blocked or unblocked a number: counted as a quality signal, nothing else.
 *
 * Who blocked whom is not kept: the phone itself keeps its block list. Counted once an hour for a
 * pair. Source: docs/protocol/relay.md, "Tables". */
#include "relay/core.h"

struct block {
    struct ask ask;
    uint64_t account;
    int64_t hour;
    bool is_blocked;
};

static enum rc
run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct block *b = (struct block *)job;

    return store_run(
        tx, &relay_part, SQL_QUALITY_ADD, NULL, err,
        ST_ARGS(ST_I(b->account), ST_I(b->hour), ST_I(b->is_blocked), ST_I(!b->is_blocked)));
}

static void
done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct block *b = (struct block *)job;

    if (ask_allowed(&b->ask, rc, err) && b->ask.request_id != 0)
        peer_done(b->ask.peer, b->ask.request_id);
    ask_end(&b->ask);
}

void
verb_block_signal(struct peer *peer, const Parley__Wire__Frame *frame)
{
    const Parley__Wire__BlockSignal *in = frame->block_signal;
    struct relay *relay = peer->worker->relay;
    struct block *b;

    if (!limiter_take(relay->limiter, LIMIT_BLOCK, peer->account, in->account * 2 + in->is_blocked,
                      1, HOUR_MS, relay_now_ms(relay), NULL)) {
        peer_done(peer, frame->request_id); /* counted already */
        return;
    }
    if ((b = ask_new(peer, frame, sizeof(*b))) == NULL)
        return;
    b->account = in->account;
    b->is_blocked = in->is_blocked;
    b->hour = relay_now_ms(relay) / HOUR_MS;
    ask_write(&b->ask, run, done, true);
}
