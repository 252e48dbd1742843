/* block.c - the block list: kept here, sealed, and known to nobody but us. The relay hears of each
 * change as a signal about quality; it blocks nothing. */
#include <stdlib.h>

#include "phone/internal.h"

struct blocking {
    struct profile_job base;
    uint64_t number;
    bool is_blocked;
    phone_reply_fn *fn;
    void *ctx;
};

enum rc
contact_is_blocked(struct profile *p, struct store_tx *tx, const uint8_t peer_key[16],
                   bool *is_blocked, struct err *err)
{
    struct store_rows rows;

    store_query(&rows, tx, &phone_part, SQL_CONTACT_GET,
                ST_ARGS(ST_I(p->account), ST_B(bytes_of(peer_key, 16))));
    *is_blocked = rows.has_row && store_col_int(&rows, 0) != 0;
    store_rows_end(&rows);
    return rows.rc == RC_OK ? RC_OK : err_set(err, rows.rc, "phone.block", "cannot read a contact");
}

/* The number itself, sealed: the hash alone could not be shown to its owner. */
static enum rc
number_seal(struct blocking *b, struct buf *out, const uint8_t peer[16], struct err *err)
{
    struct profile *p = b->base.p;
    uint8_t key[8 + 16];
    struct buf plain;
    enum rc rc;

    for (int i = 0; i < 8; i++)
        key[i] = (uint8_t)(p->account >> (56 - 8 * i));
    memcpy(key + 8, peer, 16);
    buf_init(&plain, 8);
    buf_put_u64be(&plain, b->number);
    rc = info_seal(p, out, "phone_contact", bytes_of(key, sizeof key), buf_bytes(&plain), err);
    buf_wipe(&plain);
    return rc;
}

static enum rc
blocking_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct blocking *b = (struct blocking *)job;
    struct profile *p = b->base.p;
    uint8_t peer[ENDPOINT_PEER_KEY_SIZE];
    struct store_rows rows;
    struct buf info;
    enum rc rc;

    buf_init(&info, 8 + SEAL_OVERHEAD);
    endpoint_peer_key(p->tx_endpoint, b->number, peer);
    rc = number_seal(b, &info, peer, err);
    if (rc == RC_OK)
        rc = store_run(tx, &phone_part, SQL_CONTACT_BLOCK, NULL, err,
                       ST_ARGS(ST_I(p->account), ST_B(bytes_of(peer, sizeof peer)),
                               ST_I(b->is_blocked), ST_B(buf_bytes(&info))));
    buf_free(&info);
    if (rc != RC_OK)
        return rc;
    store_query(&rows, tx, &phone_part, SQL_CONTACT_BLOCKED, ST_ARGS(ST_I(p->account)));
    if (rows.has_row) /* also right when the batch is undone: then it is only too high or counted
                         again by the next change, and looked up in the table either way */
        p->tx_blocked = (uint64_t)store_col_int(&rows, 0);
    store_rows_end(&rows);
    return rows.rc;
}

static void
blocking_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct blocking *b = (struct blocking *)job;

    if (rc == RC_OK && b->base.p->endpoint != NULL)
        endpoint_block_signal(b->base.endpoint, b->number, b->is_blocked);
    b->fn(b->ctx, rc, rc == RC_OK ? "" : err->text);
    profile_job_end(&b->base, rc);
    free(b);
}

void
phone_block(struct profile *p, uint64_t number, bool is_blocked, phone_reply_fn *fn, void *ctx)
{
    struct blocking *b = calloc(1, sizeof *b);

    if (b == NULL || !profile_job_init(&b->base, p, false)) {
        free(b);
        fn(ctx, RC_CLOSED, "the phone is shutting down");
        return;
    }
    b->number = number;
    b->is_blocked = is_blocked;
    b->fn = fn;
    b->ctx = ctx;
    b->base.job =
        (struct store_job){.run = blocking_run, .done = blocking_done, .loop = p->phone->host.loop};
    store_submit(p->phone->host.store, &b->base.job);
}
