/* notice.c - packing a notice and queueing it; room is always made for it (it is small, and bounded
 * by what the sender itself has sent). */
#include "relay/notice.h"

#include <stdlib.h>

static enum rc
pack(struct buf *out, const struct notice *notice, struct err *err)
{
    Parley__Wire__Notice msg = PARLEY__WIRE__NOTICE__INIT;
    Parley__Wire__NoticeItem *items = calloc(notice->n, sizeof(*items));
    Parley__Wire__NoticeItem **list = calloc(notice->n, sizeof(struct Parley__Wire__NoticeItem *));
    enum rc rc;

    if (items == NULL || list == NULL) {
        rc = err_set(err, RC_NOMEM, "relay.notice", "out of memory");
        goto out;
    }
    for (size_t i = 0; i < notice->n; i++) {
        parley__wire__notice_item__init(&items[i]);
        items[i].message_id = wire_field(bytes_of(notice->ids[i], MESSAGE_ID_BYTES));
        items[i].recipient = notice->recipient;
        items[i].device = notice->device;
        list[i] = &items[i];
    }
    msg.reason = notice->reason;
    msg.n_items = notice->n;
    msg.items = list;
    rc = wire_notice_pack(out, &msg, err);
out:
    free(list);
    free(items);
    return rc;
}

static enum rc
put(struct inbox *inbox, const struct notice *notice, const struct account_row *row, size_t at,
    struct poke *poke, struct err *err)
{
    struct envelope env = {.account = notice->sender,
                           .device = notice->sender_device,
                           .lane = inbox_lane_for(row, notice->recipient),
                           .generation = row->generations[at],
                           .class = PARLEY__WIRE__CLASS__NOTICE,
                           .expires_ms = inbox->now_ms + WIRE_EXPIRY_MAX_MS};
    struct buf body;
    enum rc rc;

    buf_init(&body, WIRE_ENVELOPE_MAX);
    message_id_make(env.message_id, inbox->now_ms, inbox->rng);
    if ((rc = pack(&body, notice, err)) == RC_OK) {
        env.body = buf_bytes(&body);
        rc = inbox_put(inbox, &env, err);
    }
    buf_free(&body);
    if (rc == RC_OK)
        *poke = (struct poke){
            .account = env.account, .device = env.device, .lane = env.lane, .seq = env.seq};
    return rc;
}

enum rc
notice_put(struct inbox *inbox, const struct notice *notice, struct poke *poke, struct err *err)
{
    const struct account_row *row;
    enum rc rc;

    poke->account = 0;
    if (notice->sender == 0)
        return RC_OK; /* a notice that nobody fetched: nobody to tell */
    if ((rc = inbox_account(inbox, &row, notice->sender, err)) != RC_OK)
        return rc;
    for (size_t i = 0; i < row->n; i++) {
        if (row->devices[i].device == notice->sender_device)
            return put(inbox, notice, row, i, poke, err);
    }
    return RC_OK;
}
