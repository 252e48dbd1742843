/* read.c - read receipts: for what a listener showed, or for a chat that was opened. Never for
 * anything else (docs/phone.md, "Reading").
 *
 * Marking and the receipts' rows are one commit, one receipt for the messages of one sender. */
#include <stdlib.h>

#include "phone/internal.h"

struct reading {
    struct profile_job base;
    bool is_chat;
    uint64_t number;    /* of a chat */
    uint64_t after, to; /* shown */
    uint8_t (*ids)[16]; /* PHONE_READ_BATCH of each */
    uint8_t (*peers)[16];
    uint64_t *numbers, *ords;
    size_t n;
    bool has_more;
    phone_reply_fn *fn;
    void *ctx;
};

/* One unread message: its id, its sender's key and number. */
static enum rc
unread_take(struct reading *r, const struct store_rows *rows, struct err *err)
{
    struct bytes id = store_col_bytes(rows, 1), peer = store_col_bytes(rows, 2);
    Parley__Content__Payload *payload;
    struct arena *arena = NULL;
    size_t at = r->n;
    enum rc rc;

    if (id.len != 16 || peer.len != 16)
        return err_set(err, RC_IO, "phone.read", "a damaged row");
    memcpy(r->ids[at], id.ptr, 16);
    memcpy(r->peers[at], peer.ptr, 16);
    r->ords[at] = (uint64_t)store_col_int(rows, 0);
    r->numbers[at] = r->number;
    for (size_t i = 0; i < at && r->numbers[at] == 0; i++)
        if (memcmp(r->peers[i], peer.ptr, 16) == 0)
            r->numbers[at] = r->numbers[i];
    r->n++;
    if (r->numbers[at] != 0)
        return RC_OK;
    if ((rc = arena_new(&arena, 8 * CONTENT_MAX, err)) != RC_OK)
        return rc;
    rc = message_open(r->base.p, arena, peer.ptr, DIRECTION_IN, id.ptr, store_col_bytes(rows, 3),
                      &payload, err);
    if (rc == RC_OK)
        r->numbers[at] = payload->sender_account;
    arena_wipe(&arena);
    return rc;
}

static enum rc
unread_find(struct reading *r, struct store_tx *tx, struct err *err)
{
    struct profile *p = r->base.p;
    uint8_t peer[ENDPOINT_PEER_KEY_SIZE];
    struct store_rows rows;
    enum rc rc = RC_OK;

    r->n = 0;
    if (r->is_chat) {
        endpoint_peer_key(p->tx_endpoint, r->number, peer);
        store_query(
            &rows, tx, &phone_part, SQL_MSG_UNREAD_OF_PEER,
            ST_ARGS(ST_I(p->account), ST_B(bytes_of(peer, sizeof peer)), ST_I(PHONE_READ_BATCH)));
    } else {
        store_query(&rows, tx, &phone_part, SQL_MSG_UNREAD_SHOWN,
                    ST_ARGS(ST_I(p->account), ST_I(r->after), ST_I(r->to), ST_I(PHONE_READ_BATCH)));
    }
    for (; rows.has_row && rc == RC_OK && r->n < PHONE_READ_BATCH; store_next(&rows))
        rc = unread_take(r, &rows, err);
    store_rows_end(&rows);
    r->has_more = r->n == PHONE_READ_BATCH;
    return rc != RC_OK ? rc : rows.rc;
}

/* A receipt for every sender among the messages found. */
static enum rc
tell_senders(struct reading *r, struct store_tx *tx, struct err *err)
{
    uint8_t(*ids)[16] = calloc(PHONE_READ_BATCH, sizeof *ids);
    enum rc rc = ids == NULL ? err_set(err, RC_NOMEM, "phone.read", "receipt") : RC_OK;

    for (size_t i = 0; rc == RC_OK && i < r->n; i++) {
        uint64_t sender = r->numbers[i];
        size_t n = 0;

        for (size_t j = i; sender != 0 && j < r->n; j++)
            if (r->numbers[j] == sender) {
                memcpy(ids[n++], r->ids[j], 16);
                r->numbers[j] = 0; /* told */
            }
        if (n > 0)
            rc = endpoint_enqueue_receipt(r->base.p->tx_endpoint, tx, sender,
                                          PARLEY__CONTENT__RECEIPT_KIND__READ, ids, n, r->base.out,
                                          err);
    }
    free(ids);
    return rc;
}

static enum rc
reading_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct reading *r = (struct reading *)job;
    enum rc rc;

    endpoint_outputs_reset(r->base.out);
    rc = unread_find(r, tx, err);
    for (size_t i = 0; rc == RC_OK && i < r->n; i++)
        rc = store_run(tx, &phone_part, SQL_MSG_MARK_READ, NULL, err,
                       ST_ARGS(ST_I(r->base.p->account), ST_I(r->ords[i])));
    if (rc == RC_OK)
        rc = tell_senders(r, tx, err);
    return rc;
}

static void
reading_free(struct reading *r)
{
    if (r == NULL)
        return;
    free(r->ids);
    free(r->peers);
    free(r->numbers);
    free(r->ords);
    free(r);
}

static void
reading_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct reading *r = (struct reading *)job;
    struct store *store = r->base.p->phone->host.store;

    if (rc == RC_OK && r->has_more && r->base.p->endpoint != NULL) {
        endpoint_committed(r->base.endpoint, r->base.out);
        store_submit(store, job);
        return;
    }
    if (rc != RC_OK)
        log_event(r->base.p->phone->host.log, LOG_WARN, "phone.read", LOG_RC(err));
    if (r->fn != NULL)
        r->fn(r->ctx, rc, rc == RC_OK ? "" : err->text);
    profile_job_end(&r->base, rc);
    reading_free(r);
}

static struct reading *
reading_new(struct profile *p)
{
    struct reading *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->ids = calloc(PHONE_READ_BATCH, sizeof *r->ids);
    r->peers = calloc(PHONE_READ_BATCH, sizeof *r->peers);
    r->numbers = calloc(PHONE_READ_BATCH, sizeof *r->numbers);
    r->ords = calloc(PHONE_READ_BATCH, sizeof *r->ords);
    if (r->ids != NULL && r->peers != NULL && r->numbers != NULL && r->ords != NULL &&
        p->state == PROFILE_REGISTERED && profile_job_init(&r->base, p, true)) {
        r->base.job = (struct store_job){
            .run = reading_run, .done = reading_done, .loop = p->phone->host.loop};
        return r;
    }
    reading_free(r);
    return NULL;
}

void
phone_read_chat(struct profile *p, uint64_t number, phone_reply_fn *fn, void *ctx)
{
    struct reading *r = reading_new(p);

    if (r == NULL) {
        fn(ctx, RC_PROTO, "this profile is not registered");
        return;
    }
    r->is_chat = true;
    r->number = number;
    r->fn = fn;
    r->ctx = ctx;
    store_submit(p->phone->host.store, &r->base.job);
}

void
phone_read_shown(struct profile *p, uint64_t after, uint64_t to)
{
    struct reading *r = reading_new(p);

    if (r == NULL)
        return;
    r->after = after;
    r->to = to;
    store_submit(p->phone->host.store, &r->base.job);
}
