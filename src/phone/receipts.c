/* receipts.c - receipts to the people who wrote: one for all messages of a sender in a transaction.
 *
 * Deliveries that come together are stored together, and told of together: a burst costs one
 * receipt a sender, not one a message (I18). What is owed lives no longer than the transaction. */
#include <stdlib.h>

#include "phone/internal.h"

struct receipts_due {
    size_t n, room;
    struct due_item {
        uint64_t to; /* 0: told */
        uint8_t message_id[16];
    } item[];
};

#define ROOM_FIRST 8u

enum rc
receipts_add(struct profile *p, uint64_t to, const uint8_t message_id[16], struct err *err)
{
    struct receipts_due *due = p->tx_receipts;

    if (due == NULL || due->n == due->room) {
        size_t n = due == NULL ? 0 : due->n, room = n == 0 ? ROOM_FIRST : 2 * n;

        due = realloc(due, sizeof *due + room * sizeof due->item[0]);
        if (due == NULL)
            return err_set(err, RC_NOMEM, "phone.receipt", "receipts");
        due->n = n;
        due->room = room;
        p->tx_receipts = due;
    }
    due->item[due->n].to = to;
    memcpy(due->item[due->n++].message_id, message_id, 16);
    return RC_OK;
}

/* One receipt, for what is owed to the sender of item `first` (up to PHONE_READ_BATCH of it). */
static enum rc
flush_sender(struct profile *p, struct store_tx *tx, size_t first, struct endpoint_outputs *out,
             struct err *err)
{
    struct receipts_due *due = p->tx_receipts;
    uint64_t to = due->item[first].to;
    uint8_t ids[PHONE_READ_BATCH][16];
    size_t n = 0;

    for (size_t i = first; i < due->n && n < PHONE_READ_BATCH; i++)
        if (due->item[i].to == to) {
            memcpy(ids[n++], due->item[i].message_id, 16);
            due->item[i].to = 0;
        }
    return endpoint_enqueue_receipt(p->tx_endpoint, tx, to,
                                    PARLEY__CONTENT__RECEIPT_KIND__DELIVERED, ids, n, out, err);
}

enum rc
receipts_flush(struct profile *p, struct store_tx *tx, struct endpoint_outputs *out,
               struct err *err)
{
    size_t n = p->tx_receipts == NULL ? 0 : p->tx_receipts->n;
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < n; i++)
        if (p->tx_receipts->item[i].to != 0)
            rc = flush_sender(p, tx, i, out, err);
    receipts_drop(p);
    return rc;
}

void
receipts_drop(struct profile *p)
{
    free(p->tx_receipts);
    p->tx_receipts = NULL;
}
