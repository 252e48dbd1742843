/* outputs.c - what a transaction leaves to be done on the loop once it is committed.
 *
 * A job's run() may be repeated, so the collection is emptied at its top; nothing in it has any
 * effect before endpoint_committed(). */
#include <stdlib.h>

#include "endpoint/internal.h"

struct endpoint_outputs *
endpoint_outputs_new(struct endpoint *ep UNUSED)
{
    struct endpoint_outputs *out = calloc(1, sizeof *out);

    if (out != NULL)
        out->publishes_end = &out->publishes;
    return out;
}

void
publish_item_free(struct publish_item **item)
{
    if (*item == NULL)
        return;
    buf_free(&(*item)->publish);
    free(*item);
    *item = NULL;
}

void
endpoint_outputs_reset(struct endpoint_outputs *out)
{
    for (struct publish_item *p = out->publishes, *next; p != NULL; p = next) {
        next = p->next;
        publish_item_free(&p);
    }
    for (struct fetch_item *f = out->fetches, *next; f != NULL; f = next) {
        next = f->next;
        free(f);
    }
    for (struct ephemeral_item *e = out->ephemerals, *next; e != NULL; e = next) {
        next = e->next;
        free(e);
    }
    out->publishes = NULL;
    out->publishes_end = &out->publishes;
    out->fetches = NULL;
    out->ephemerals = NULL;
    out->is_counted = false;
}

void
endpoint_outputs_free(struct endpoint_outputs **out)
{
    if (*out == NULL)
        return;
    endpoint_outputs_reset(*out);
    free(*out);
    *out = NULL;
}

enum rc
outputs_write_counters(struct endpoint *ep, struct store_tx *tx, struct endpoint_outputs *out,
                       struct err *err)
{
    if (!out->is_counted)
        return RC_OK;
    return store_run(tx, &endpoint_part, SQL_SELF_COUNTERS, NULL, err,
                     ST_ARGS(ST_I(ep->account), ST_I(ep->tx_counter), ST_I(ep->tx_ord)));
}

enum rc
outputs_add_fetch(struct endpoint_outputs *out, uint64_t peer, bool later)
{
    struct fetch_item *f;

    for (f = out->fetches; f != NULL; f = f->next)
        if (f->peer == peer) {
            f->later = f->later && later;
            return RC_OK;
        }
    if ((f = calloc(1, sizeof *f)) == NULL)
        return RC_NOMEM;
    *f = (struct fetch_item){.next = out->fetches, .peer = peer, .later = later};
    out->fetches = f;
    return RC_OK;
}

enum rc
outputs_add_ephemeral(struct endpoint_outputs *out, uint64_t peer, bool is_typing)
{
    struct ephemeral_item *e = calloc(1, sizeof *e);

    if (e == NULL)
        return RC_NOMEM;
    *e = (struct ephemeral_item){.next = out->ephemerals, .peer = peer, .is_typing = is_typing};
    out->ephemerals = e;
    return RC_OK;
}

/* Takes the contents of *publish. */
enum rc
outputs_add_publish(struct endpoint_outputs *out, uint64_t ord, uint64_t counter,
                    const uint8_t message_id[16], struct buf *publish)
{
    struct publish_item *p = calloc(1, sizeof *p);

    if (p == NULL) {
        buf_free(publish);
        return RC_NOMEM;
    }
    p->ord = ord;
    p->counter = counter;
    memcpy(p->message_id, message_id, 16);
    p->publish = *publish;
    *publish = (struct buf){0};
    *out->publishes_end = p;
    out->publishes_end = &p->next;
    return RC_OK;
}
