/* inbox.c - the table of messages: each stored once (I11), its status moving forward only, read in
 * pages.
 *
 * A row keeps the whole payload, sealed; whose it is and when it came are in clear. Incoming
 * messages are known by (sender, message id). Never deletes: the history is the person's. */
#include <stdlib.h>

#include "phone/internal.h"

#define PAGE_BYTES (128u * 1024) /* rendered; one message may be larger */
#define PAGE_SCAN 400u

/* ---- sealed columns ---- */

enum rc
info_seal(struct profile *p, struct buf *out, const char *table, struct bytes key,
          struct bytes plain, struct err *err)
{
    const struct endpoint_host *host = &p->phone->host;
    const struct seal_place place = {.table = table, .column = "info", .key = key};
    uint32_t key_id;
    enum rc rc = keyring_current(host->ring, &key_id, p->account, SEAL_YEAR,
                                 clock_unix_ms(host->clock), err);

    return rc != RC_OK ? rc : seal_record(host->ring, key_id, &place, plain, out, err);
}

enum rc
info_open(const struct profile *p, const char *table, struct bytes key, struct bytes sealed,
          struct buf *out, struct err *err)
{
    const struct seal_place place = {.table = table, .column = "info", .key = key};

    return seal_open(p->phone->host.ring, &place, sealed, out, err);
}

/* account || peer || direction || message id */
struct message_key {
    uint8_t bytes[8 + 16 + 1 + 16];
};

static struct message_key
message_key(uint64_t account, const uint8_t peer[16], enum phone_direction direction,
            const uint8_t message_id[16])
{
    struct message_key key;

    for (int i = 0; i < 8; i++)
        key.bytes[i] = (uint8_t)(account >> (56 - 8 * i));
    memcpy(key.bytes + 8, peer, 16);
    key.bytes[24] = (uint8_t)direction;
    memcpy(key.bytes + 25, message_id, 16);
    return key;
}

/* ---- writing ---- */

static enum rc
payload_seal(struct profile *p, struct buf *out, const uint8_t peer[16],
             enum phone_direction direction, const uint8_t message_id[16],
             const Parley__Content__Payload *payload, struct err *err)
{
    struct message_key key = message_key(p->account, peer, direction, message_id);
    struct buf plain;
    enum rc rc;

    buf_init(&plain, INFO_MAX);
    rc = content_pack(&plain, payload, err);
    if (rc == RC_OK)
        rc = info_seal(p, out, "phone_msg", bytes_of(key.bytes, sizeof key.bytes),
                       buf_bytes(&plain), err);
    buf_wipe(&plain);
    return rc;
}

enum rc
message_insert_in(struct profile *p, struct store_tx *tx, const struct endpoint_incoming *in,
                  bool *is_new, struct err *err)
{
    uint64_t changed = 0, ord = ++p->tx_ord;
    struct buf info;
    enum rc rc;

    *is_new = false;
    buf_init(&info, INFO_MAX + SEAL_OVERHEAD);
    rc = payload_seal(p, &info, in->peer_key, DIRECTION_IN, in->message_id, in->payload, err);
    if (rc == RC_OK)
        rc = store_run(tx, &phone_part, SQL_MSG_IN, &changed, err,
                       ST_ARGS(ST_I(p->account), ST_I(ord), ST_B(bytes_of(in->message_id, 16)),
                               ST_B(bytes_of(in->peer_key, ENDPOINT_PEER_KEY_SIZE)),
                               ST_I(in->accepted_at_ms), ST_B(buf_bytes(&info))));
    buf_free(&info);
    *is_new = rc == RC_OK && changed > 0;
    return rc;
}

enum rc
message_insert_out(struct profile *p, struct store_tx *tx, uint64_t to,
                   const uint8_t message_id[16], const Parley__Content__Payload *payload,
                   int64_t now_ms, struct err *err)
{
    uint64_t ord = ++p->tx_ord;
    uint8_t peer[ENDPOINT_PEER_KEY_SIZE];
    struct buf info;
    enum rc rc;

    buf_init(&info, INFO_MAX + SEAL_OVERHEAD);
    endpoint_peer_key(p->tx_endpoint, to, peer);
    rc = payload_seal(p, &info, peer, DIRECTION_OUT, message_id, payload, err);
    if (rc == RC_OK)
        rc = store_run(tx, &phone_part, SQL_MSG_OUT, NULL, err,
                       ST_ARGS(ST_I(p->account), ST_I(ord), ST_B(bytes_of(message_id, 16)),
                               ST_B(bytes_of(peer, sizeof peer)), ST_I(now_ms),
                               ST_B(buf_bytes(&info))));
    buf_free(&info);
    return rc;
}

enum rc
message_move(struct profile *p, struct store_tx *tx, const uint8_t peer_key[16],
             const uint8_t message_id[16], enum phone_status status, bool *has_moved,
             struct err *err)
{
    uint64_t changed = 0;
    enum rc rc = store_run(tx, &phone_part, SQL_MSG_MOVE, &changed, err,
                           ST_ARGS(ST_I(p->account), ST_B(bytes_of(peer_key, 16)),
                                   ST_B(bytes_of(message_id, 16)), ST_I(status)));

    *has_moved = changed > 0;
    return rc;
}

/* ---- reading ---- */

enum rc
message_find(struct profile *p, struct store_tx *tx, const uint8_t peer_key[16],
             const uint8_t message_id[16], enum phone_direction *direction, struct err *err)
{
    for (int d = DIRECTION_OUT; d <= DIRECTION_IN; d++) {
        struct store_rows rows;
        bool found;

        store_query(&rows, tx, &phone_part, SQL_MSG_FIND,
                    ST_ARGS(ST_I(p->account), ST_B(bytes_of(peer_key, 16)), ST_I(d),
                            ST_B(bytes_of(message_id, 16))));
        found = rows.has_row;
        store_rows_end(&rows);
        if (rows.rc != RC_OK)
            return err_set(err, rows.rc, "phone.message", "cannot look up a message");
        *direction = (enum phone_direction)d;
        if (found)
            return RC_OK;
    }
    return err_set(err, RC_NOTFOUND, "phone.message", "no such message in this conversation");
}

enum rc
message_open(const struct profile *p, struct arena *arena, const uint8_t peer[16],
             enum phone_direction direction, const uint8_t message_id[16], struct bytes sealed,
             Parley__Content__Payload **out, struct err *err)
{
    struct message_key key = message_key(p->account, peer, direction, message_id);
    struct buf plain;
    enum rc rc;

    *out = NULL;
    buf_init(&plain, INFO_MAX);
    rc = info_open(p, "phone_msg", bytes_of(key.bytes, sizeof key.bytes), sealed, &plain, err);
    if (rc == RC_OK)
        rc = content_unpack(out, arena, buf_bytes(&plain), err);
    buf_wipe(&plain);
    return rc;
}

/* ---- pages ---- */

struct page_job {
    struct profile_job base;
    struct phone_page_query query;
    struct phone_page page;
    struct buf lines;
    uint8_t peer[ENDPOINT_PEER_KEY_SIZE]; /* of query.number */
    void (*fn)(void *ctx, enum rc rc, const struct phone_page *page);
    void *ctx;
};

static void
line_put(struct buf *out, uint64_t ord, const struct message_view *view)
{
    struct json_writer w;
    struct buf message;

    buf_init(&message, 1024u * 1024);
    render_message(&message, view);
    jw_init(&w, out);
    jw_object(&w);
    jw_kv_int(&w, "ord", (int64_t)ord);
    jw_key(&w, "message");
    jw_raw(&w, buf_bytes(&message));
    jw_object_end(&w);
    buf_put_char(out, '\n');
    buf_wipe(&message);
}

/* The id under which the quoted message was shown, if it is in our history. */
static enum rc
context_find(struct page_job *job, struct store_tx *tx, struct arena *arena, const uint8_t peer[16],
             const Parley__Content__Context *context, char id[CONTENT_PUBLIC_ID_MAX + 1],
             struct err *err)
{
    const struct profile *p = job->base.p;
    struct message_view view = {.account = p->account,
                                .direction =
                                    context->author == p->account ? DIRECTION_OUT : DIRECTION_IN,
                                .message_id = context->message_id.data};
    Parley__Content__Payload *quoted = NULL;
    struct store_rows rows;
    enum rc rc = RC_OK;

    store_query(&rows, tx, &phone_part, SQL_MSG_FIND,
                ST_ARGS(ST_I(p->account), ST_B(bytes_of(peer, 16)), ST_I(view.direction),
                        ST_B(wire_bytes(context->message_id))));
    if (rows.has_row)
        rc = message_open(p, arena, peer, view.direction, view.message_id,
                          store_col_bytes(&rows, 1), &quoted, err);
    store_rows_end(&rows);
    if (rc == RC_OK && quoted != NULL) {
        view.payload = quoted;
        render_id(id, &view);
    }
    return rc != RC_OK ? rc : rows.rc;
}

static enum rc
page_row(struct page_job *job, struct store_tx *tx, const struct store_rows *rows, struct err *err)
{
    const struct profile *p = job->base.p;
    struct bytes id = store_col_bytes(rows, 2), peer = store_col_bytes(rows, 6);
    struct message_view view = {.account = p->account,
                                .direction = (enum phone_direction)store_col_int(rows, 1),
                                .status = (enum phone_status)store_col_int(rows, 3),
                                .at_ms = store_col_int(rows, 4),
                                .message_id = id.ptr};
    char context_id[CONTENT_PUBLIC_ID_MAX + 1] = "";
    Parley__Content__Payload *payload;
    struct arena *arena = NULL;
    enum rc rc;

    if (job->query.incoming_only && view.direction != DIRECTION_IN)
        return RC_OK;
    if (id.len != 16 || peer.len != 16)
        return err_set(err, RC_IO, "phone.page", "a damaged row");
    if (job->query.number != 0 && memcmp(peer.ptr, job->peer, 16) != 0)
        return RC_OK;
    if ((rc = arena_new(&arena, 16 * CONTENT_MAX, err)) != RC_OK)
        return rc;
    rc = message_open(p, arena, peer.ptr, view.direction, id.ptr, store_col_bytes(rows, 5),
                      &payload, err);
    if (rc == RC_OK && payload->context != NULL && payload->context->message_id.len == 16)
        rc = context_find(job, tx, arena, peer.ptr, payload->context, context_id, err);
    if (rc == RC_OK) {
        view.payload = payload;
        view.context_id = context_id;
        line_put(&job->lines, job->page.last, &view);
        job->page.n++;
    }
    arena_wipe(&arena);
    return rc;
}

static enum rc
page_run(struct store_job *base, struct store_tx *tx, struct err *err)
{
    struct page_job *job = (struct page_job *)base;
    struct store_rows rows;
    uint32_t scanned = 0;
    bool is_full = false;
    enum rc rc = RC_OK;

    buf_reset(&job->lines);
    job->page = (struct phone_page){.lines = &job->lines, .last = job->query.after};
    store_query(&rows, tx, &phone_part, SQL_MSG_PAGE,
                ST_ARGS(ST_I(job->base.p->account), ST_I(job->query.after), ST_I(PAGE_SCAN)));
    for (; rows.has_row && rc == RC_OK && !is_full; store_next(&rows)) {
        job->page.last = (uint64_t)store_col_int(&rows, 0);
        scanned++;
        rc = page_row(job, tx, &rows, err);
        is_full = job->page.n >= PHONE_PAGE_MAX || job->lines.len >= PAGE_BYTES;
    }
    store_rows_end(&rows);
    if (rc == RC_OK && rows.rc != RC_OK)
        rc = err_set(err, rows.rc, "phone.page", "cannot read messages");
    if (rc == RC_OK && buf_failed(&job->lines))
        rc = err_set(err, RC_NOMEM, "phone.page", "out of memory");
    job->page.has_more = is_full || scanned == PAGE_SCAN;
    return rc;
}

static void
page_done(struct store_job *base, enum rc rc, const struct err *err)
{
    struct page_job *job = (struct page_job *)base;

    if (rc != RC_OK)
        log_event(job->base.p->phone->host.log, LOG_ERROR, "phone.page", LOG_RC(err));
    job->fn(job->ctx, rc, rc == RC_OK ? &job->page : NULL);
    buf_wipe(&job->lines);
    profile_job_end(&job->base, rc);
    free(job);
}

void
phone_page(struct profile *p, const struct phone_page_query *query,
           void (*fn)(void *ctx, enum rc rc, const struct phone_page *page), void *ctx)
{
    struct page_job *job = calloc(1, sizeof *job);

    if (job == NULL || !profile_job_init(&job->base, p, false)) {
        free(job);
        fn(ctx, RC_CLOSED, NULL);
        return;
    }
    job->query = *query;
    job->fn = fn;
    job->ctx = ctx;
    buf_init(&job->lines, 2u * 1024 * 1024);
    if (query->number != 0)
        endpoint_peer_key(p->endpoint, query->number, job->peer);
    job->base.job =
        (struct store_job){.run = page_run, .done = page_done, .loop = p->phone->host.loop};
    store_read(p->phone->host.store, &job->base.job);
}
