/* flow.c - publishes and device look-ups on the loop: what is sent now, what waits, what comes
 * back.
 *
 * Publishes leave in the order of their counters, at most ENDPOINT_IN_FLIGHT_MAX unanswered. The
 * queue in memory is a window on the store: when it is full, or a connection begins, the sealed
 * rows are read page by page instead ("reloading") until nothing newer was committed meanwhile. */
#include <stdlib.h>

#include "endpoint/internal.h"

#define FETCH_RETRY_MS 2000

/* ---- publishes ---- */

struct flight { /* one publish sent and not answered */
    struct endpoint *ep;
    uint64_t ord;
};

static void page_read(struct endpoint *ep);

static void
queue_clear(struct endpoint *ep)
{
    for (struct publish_item *p = ep->queue, *next; p != NULL; p = next) {
        next = p->next;
        publish_item_free(&p);
    }
    ep->queue = NULL;
    ep->queue_end = &ep->queue;
    ep->queue_len = 0;
}

static bool
is_temporary(Parley__Wire__Reason reason)
{
    return reason == PARLEY__WIRE__REASON__RATE_LIMITED ||
           reason == PARLEY__WIRE__REASON__UNAVAILABLE || reason == PARLEY__WIRE__REASON__FENCED ||
           reason == PARLEY__WIRE__REASON__NOT_LOGGED_IN;
}

static void
result_add(struct endpoint *ep, uint64_t ord, Parley__Wire__Reason reason)
{
    struct work *w = work_gathering(ep);
    struct result_item *r = w == NULL ? NULL : arena_alloc(w->arena, sizeof *r);

    if (r == NULL) { /* the row stays sealed and is published again */
        link_retry(ep->link);
        return;
    }
    *r = (struct result_item){.ord = ord, .reason = reason};
    *w->results_end = r;
    w->results_end = &r->next;
    work_kick(ep);
}

static void
on_publish_result(void *ctx, enum rc rc, const Parley__Wire__Frame *reply)
{
    struct flight *flight = ctx;
    struct endpoint *ep = flight->ep;
    uint64_t ord = flight->ord;
    Parley__Wire__Reason reason = PARLEY__WIRE__REASON__UNAVAILABLE;

    free(flight);
    ep->in_flight--;
    if (rc == RC_OK && reply->body_case == PARLEY__WIRE__FRAME__BODY_PUBLISH_RESULT)
        reason = reply->publish_result->reason;
    else if (rc == RC_OK && reply->body_case == PARLEY__WIRE__FRAME__BODY_REFUSAL)
        reason = reply->refusal->reason;
    if (rc == RC_TIMEOUT && ep->is_up)
        link_retry(ep->link);
    else if (rc == RC_OK && is_temporary(reason))
        ep->must_retry = true; /* the rows stay sealed; the tick reads them again */
    else if (rc == RC_OK)
        result_add(ep, ord, reason);
    if (ep->is_up)
        flow_push(ep);
    endpoint_release(ep);
}

static bool
publish_send(struct endpoint *ep, const struct publish_item *p)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    struct flight *flight = malloc(sizeof *flight);
    enum rc rc = RC_NOMEM;

    if (flight == NULL)
        return false;
    *flight = (struct flight){.ep = ep, .ord = p->ord};
    frame.body_case = PARLEY__WIRE__FRAME__BODY_PUBLISH;
    frame.publish = parley__wire__publish__unpack(NULL, p->publish.len, p->publish.ptr);
    if (frame.publish != NULL)
        rc = link_request(ep->link, &frame, WIRE_REQUEST_TIMEOUT_MS, on_publish_result, flight,
                          NULL);
    if (rc == RC_OK)
        trace_published(ep, frame.publish);
    if (frame.publish != NULL)
        parley__wire__publish__free_unpacked(frame.publish, NULL);
    if (rc != RC_OK) {
        free(flight);
        return false;
    }
    endpoint_hold(ep);
    ep->in_flight++;
    ep->stats.published++;
    return true;
}

void
flow_push(struct endpoint *ep)
{
    while (ep->is_up && ep->queue != NULL && ep->in_flight < ENDPOINT_IN_FLIGHT_MAX &&
           !keys_are_too_old(ep)) {
        struct publish_item *p = ep->queue;

        if (!publish_send(ep, p))
            break; /* the link is busy or gone: an answer or the next connection goes on */
        ep->queue = p->next;
        if (ep->queue == NULL)
            ep->queue_end = &ep->queue;
        ep->queue_len--;
        publish_item_free(&p);
    }
    if (ep->is_up && ep->is_reloading && ep->queue_len < QUEUE_MAX / 2)
        page_read(ep);
}

/* Takes *p. */
static void
queue_put(struct endpoint *ep, struct publish_item *p)
{
    if (ep->is_up && !ep->is_reloading && p->counter <= ep->queued_to) {
        publish_item_free(&p); /* a page has brought it before its own job's end was told */
        return;
    }
    if (!ep->is_up || ep->is_reloading || ep->queue_len >= QUEUE_MAX) {
        ep->is_reloading = true;
        ep->has_newer = true; /* it is in the store, and a page will bring it */
        publish_item_free(&p);
        return;
    }
    p->next = NULL;
    *ep->queue_end = p;
    ep->queue_end = &p->next;
    ep->queue_len++;
    ep->queued_to = p->counter;
}

/* ---- reading sealed rows again ---- */

struct page {
    struct store_job job;
    struct endpoint *ep;
    uint64_t after;
    struct endpoint_outputs *out;
    uint32_t n;
};

static enum rc
page_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct page *page = (struct page *)job;
    struct endpoint *ep = page->ep;
    struct store_rows rows;
    enum rc rc = RC_OK;

    endpoint_outputs_reset(page->out);
    page->n = 0;
    store_query(&rows, tx, &endpoint_part, SQL_OUT_UNPUBLISHED,
                ST_ARGS(ST_I(ep->account), ST_I(page->after), ST_I(PAGE_MAX)));
    for (; rows.has_row && rc == RC_OK; store_next(&rows)) {
        uint64_t ord = (uint64_t)store_col_int(&rows, 0);
        uint64_t counter = (uint64_t)store_col_int(&rows, 1);
        struct row_key key = row_key_num(ep->account, ord);
        static const uint8_t unknown[16] = {0};
        struct buf publish;

        buf_init(&publish, WIRE_FRAME_MAX);
        rc = row_open(ep, &publish, "end_out", "publish", &key, counter, store_col_bytes(&rows, 2),
                      err);
        if (rc == RC_OK)
            rc = outputs_add_publish(page->out, ord, counter, unknown, &publish);
        buf_free(&publish);
        page->n++;
    }
    store_rows_end(&rows);
    return rc != RC_OK ? rc : rows.rc;
}

static void
page_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct page *page = (struct page *)job;
    struct endpoint *ep = page->ep;

    ep->is_page_pending = false;
    if (rc != RC_OK) {
        log_event(ep->host->log, LOG_ERROR, "endpoint.reload_failed",
                  LOG_NUM("account", ep->account), LOG_RC(err));
        ep->must_retry = true;
    } else if (ep->is_up && ep->is_reloading && page->after == ep->queued_to) {
        bool is_whole = page->n < PAGE_MAX && !ep->has_newer;
        struct publish_item *p;

        ep->is_reloading = false;
        while ((p = page->out->publishes) != NULL) {
            page->out->publishes = p->next;
            queue_put(ep, p);
        }
        page->out->publishes_end = &page->out->publishes;
        ep->is_reloading = !is_whole;
    }
    flow_push(ep); /* and go on, also where the page was one of an earlier connection */
    endpoint_outputs_free(&page->out);
    free(page);
    endpoint_release(ep);
}

static void
page_read(struct endpoint *ep)
{
    struct page *page;

    if (ep->is_page_pending || (page = calloc(1, sizeof *page)) == NULL)
        return;
    page->ep = ep;
    page->after = ep->queued_to;
    page->job = (struct store_job){.run = page_run, .done = page_done, .loop = ep->host->loop};
    if ((page->out = endpoint_outputs_new(ep)) == NULL) {
        free(page);
        return;
    }
    ep->is_page_pending = true;
    ep->has_newer = false;
    endpoint_hold(ep);
    store_read(ep->host->store, &page->job);
}

/* ---- device look-ups ---- */

/* False: out of memory, or a malformed answer. */
static bool
bundles_add(struct endpoint *ep, uint64_t peer, Parley__Wire__Reason reason,
            const Parley__Wire__Bundles *bundles)
{
    struct work *w = work_gathering(ep);
    struct bundles_item *item = w == NULL ? NULL : arena_alloc(w->arena, sizeof *item);

    if (item == NULL)
        return false;
    *item = (struct bundles_item){.peer = peer, .reason = reason};
    if (bundles != NULL) {
        Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT, *copy;
        struct buf buf;

        /* one copy that lives as long as the job: pack, and unpack into its arena */
        buf_init(&buf, WIRE_FRAME_MAX);
        frame.body_case = PARLEY__WIRE__FRAME__BODY_BUNDLES;
        frame.bundles = (Parley__Wire__Bundles *)(uintptr_t)bundles;
        if (wire_pack(&buf, &frame, NULL) == RC_OK &&
            wire_unpack(&copy, w->arena, buf_bytes(&buf), NULL) == RC_OK)
            item->bundles = copy->bundles;
        buf_free(&buf);
        if (item->bundles == NULL)
            return false;
    }
    *w->bundles_end = item;
    w->bundles_end = &item->next;
    return true;
}

/* The answer is applied in a job; until that is committed the peer stays among the fetches, so
 * that messages accepted meanwhile do not ask for another bundle. */
static void
fetch_apply(struct fetch *f, Parley__Wire__Reason reason, const Parley__Wire__Bundles *bundles)
{
    f->is_applying = bundles_add(f->ep, f->peer, reason, bundles);
    if (f->is_applying)
        work_kick(f->ep);
    else
        f->retry_at_ms = clock_mono_ms(f->ep->host->clock) + FETCH_RETRY_MS;
}

static void scan_start(struct endpoint *ep);

static void
fetch_end(struct endpoint *ep, struct fetch *f)
{
    HASH_DEL(ep->fetches, f);
    free(f);
    if (ep->has_more_peers && ep->is_up && HASH_COUNT(ep->fetches) < PEERS_MAX / 2)
        scan_start(ep);
}

void
flow_fetch_applied(struct endpoint *ep, uint64_t peer, bool is_done)
{
    struct fetch *f;

    HASH_FIND(hh, ep->fetches, &peer, sizeof peer, f);
    if (f == NULL)
        return;
    f->is_applying = false;
    f->retry_at_ms = clock_mono_ms(ep->host->clock) + FETCH_RETRY_MS;
    if (is_done)
        fetch_end(ep, f);
}

static void
on_bundles(void *ctx, enum rc rc, const Parley__Wire__Frame *reply)
{
    struct fetch *f = ctx;
    struct endpoint *ep = f->ep;

    ep->fetches_in_flight--;
    f->is_in_flight = false;
    if (rc == RC_OK && reply->body_case == PARLEY__WIRE__FRAME__BODY_BUNDLES) {
        fetch_apply(f, PARLEY__WIRE__REASON__REASON_UNSPECIFIED, reply->bundles);
    } else if (rc == RC_OK && reply->body_case == PARLEY__WIRE__FRAME__BODY_REFUSAL &&
               !is_temporary(reply->refusal->reason)) {
        fetch_apply(f, reply->refusal->reason, NULL);
    } else {
        uint32_t after_s = rc == RC_OK && reply->body_case == PARLEY__WIRE__FRAME__BODY_REFUSAL
                               ? reply->refusal->retry_after_s
                               : 0;

        f->retry_at_ms = rc == RC_CLOSED
                             ? 0 /* with the next connection */
                             : clock_mono_ms(ep->host->clock) +
                                   (after_s > 0 ? (int64_t)after_s * 1000 : FETCH_RETRY_MS);
    }
    if (ep->is_up)
        flow_fetch_due(ep);
    endpoint_release(ep);
}

static bool
fetch_send(struct endpoint *ep, struct fetch *f)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__BundleFetch ask = PARLEY__WIRE__BUNDLE_FETCH__INIT;

    ask.account = f->peer;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_BUNDLE_FETCH;
    frame.bundle_fetch = &ask;
    if (link_request(ep->link, &frame, WIRE_REQUEST_TIMEOUT_MS, on_bundles, f, NULL) != RC_OK)
        return false;
    endpoint_hold(ep);
    f->is_in_flight = true;
    ep->fetches_in_flight++;
    return true;
}

void
flow_fetch_due(struct endpoint *ep)
{
    int64_t now_ms = clock_mono_ms(ep->host->clock);
    struct fetch *f, *next;

    HASH_ITER(hh, ep->fetches, f, next)
    {
        if (!ep->is_up || ep->fetches_in_flight >= FETCHES_MAX)
            return;
        if (!f->is_in_flight && !f->is_applying && f->retry_at_ms <= now_ms && !fetch_send(ep, f))
            return;
    }
}

void
flow_fetch(struct endpoint *ep, uint64_t peer, bool later)
{
    struct fetch *f;

    HASH_FIND(hh, ep->fetches, &peer, sizeof peer, f);
    if (f == NULL) {
        if (HASH_COUNT(ep->fetches) >= PEERS_MAX || (f = calloc(1, sizeof *f)) == NULL) {
            ep->has_more_peers = true;
            return;
        }
        f->ep = ep;
        f->peer = peer;
        f->retry_at_ms = later ? clock_mono_ms(ep->host->clock) + FETCH_RETRY_MS : 0;
        HASH_ADD(hh, ep->fetches, peer, sizeof f->peer, f);
    }
    flow_fetch_due(ep);
}

/* Peers with waiting rows, found again after a start or a new connection: what can be sealed is
 * sealed, and for the others sealing asks for bundles. */
#define SCAN_PEERS 64u
struct scan {
    struct store_job job;
    struct endpoint *ep;
    uint8_t after[ENDPOINT_PEER_KEY_SIZE], last[ENDPOINT_PEER_KEY_SIZE];
    size_t after_len, last_len;
    uint64_t peers[SCAN_PEERS];
    size_t n, n_rows;
};

static enum rc
scan_peer(struct endpoint *ep, struct store_tx *tx, uint64_t ord, uint64_t *peer, struct err *err)
{
    struct row_key key = row_key_num(ep->account, ord);
    Parley__Content__Payload *payload;
    struct arena *arena = NULL;
    struct store_rows rows;
    struct buf plain;
    enum rc rc = RC_NOTFOUND;

    buf_init(&plain, CONTENT_MAX + 1024);
    store_query(&rows, tx, &endpoint_part, SQL_OUT_GET, ST_ARGS(ST_I(ep->account), ST_I(ord)));
    if (rows.has_row)
        rc = row_open(ep, &plain, "end_out", "payload", &key, 0, store_col_bytes(&rows, 5), err);
    store_rows_end(&rows);
    if (rc == RC_OK)
        rc = arena_new(&arena, 8 * CONTENT_MAX, err);
    if (rc == RC_OK)
        rc = content_unpack(&payload, arena, buf_bytes(&plain), err);
    if (rc == RC_OK)
        *peer = payload->recipient_account;
    arena_wipe(&arena);
    buf_wipe(&plain);
    return rc;
}

static enum rc
scan_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct scan *scan = (struct scan *)job;
    struct endpoint *ep = scan->ep;
    uint64_t ords[SCAN_PEERS];
    struct store_rows rows;

    scan->n = scan->n_rows = scan->last_len = 0;
    store_query(&rows, tx, &endpoint_part, SQL_OUT_WAITING_PEERS,
                ST_ARGS(ST_I(ep->account), ST_B(bytes_of(scan->after, scan->after_len))));
    for (; rows.has_row && scan->n_rows < ARRAY_LEN(ords); store_next(&rows)) {
        struct bytes key = store_col_bytes(&rows, 0);

        ords[scan->n_rows++] = (uint64_t)store_col_int(&rows, 1);
        if (key.len == sizeof scan->last) {
            memcpy(scan->last, key.ptr, key.len);
            scan->last_len = key.len;
        }
    }
    store_rows_end(&rows);
    if (rows.rc != RC_OK)
        return rows.rc;
    for (size_t i = 0; i < scan->n_rows; i++)
        if (scan_peer(ep, tx, ords[i], &scan->peers[scan->n], err) == RC_OK)
            scan->n++;
    return RC_OK;
}

static void
scan_done(struct store_job *job, enum rc rc, const struct err *err UNUSED)
{
    struct scan *scan = (struct scan *)job;
    struct endpoint *ep = scan->ep;

    for (size_t i = 0; rc == RC_OK && ep->is_up && i < scan->n; i++)
        work_add_kick(ep, scan->peers[i]);
    if (scan->n > 0)
        work_kick(ep);
    if (rc == RC_OK && ep->is_up && scan->n_rows == SCAN_PEERS && !ep->has_more_peers) {
        memcpy(scan->after, scan->last, sizeof scan->after);
        scan->after_len = scan->last_len;
        scan->job = (struct store_job){.run = scan_run, .done = scan_done, .loop = ep->host->loop};
        store_read(ep->host->store, &scan->job);
        return;
    }
    ep->must_retry = ep->must_retry || (rc != RC_OK && ep->is_up);
    ep->is_scanning = false;
    free(scan);
    endpoint_release(ep);
}

static void
scan_start(struct endpoint *ep)
{
    struct scan *scan;

    if (ep->is_scanning)
        return; /* it is at work, or was cut off by the end of a connection: then the tick asks */
    if ((scan = calloc(1, sizeof *scan)) == NULL) {
        ep->has_more_peers = true;
        return;
    }
    ep->is_scanning = true;
    ep->has_more_peers = false;
    scan->ep = ep;
    scan->job = (struct store_job){.run = scan_run, .done = scan_done, .loop = ep->host->loop};
    endpoint_hold(ep);
    store_read(ep->host->store, &scan->job);
}

void
flow_look_again(struct endpoint *ep)
{
    if (ep->has_more_peers && HASH_COUNT(ep->fetches) < PEERS_MAX / 2)
        scan_start(ep);
}

/* ---- connection ---- */

void
flow_up(struct endpoint *ep)
{
    queue_clear(ep);
    ep->queued_to = 0;
    ep->is_reloading = true;
    ep->has_newer = true;
    ep->must_retry = false;
    page_read(ep);
    flow_fetch_due(ep);
    ep->has_more_peers = true; /* also where a scan is still at work: it may be past them */
    scan_start(ep);
}

void
flow_down(struct endpoint *ep)
{
    struct fetch *f, *next;

    queue_clear(ep);
    if (!ep->is_closing)
        return;
    HASH_ITER(hh, ep->fetches, f, next)
    if (!f->is_in_flight)
        fetch_end(ep, f);
}

/* After a commit, on the loop: what it left to be done. */
void
flow_take(struct endpoint *ep, struct endpoint_outputs *out)
{
    struct publish_item *p;

    while ((p = out->publishes) != NULL) {
        out->publishes = p->next;
        queue_put(ep, p);
    }
    out->publishes_end = &out->publishes;
    for (struct fetch_item *f = out->fetches; f != NULL; f = f->next)
        flow_fetch(ep, f->peer, f->later);
    for (struct ephemeral_item *e = out->ephemerals; e != NULL; e = e->next)
        if (ep->ops->on_typing != NULL)
            ep->ops->on_typing(ep->ctx, e->peer, e->is_typing);
    endpoint_outputs_reset(out);
    flow_push(ep);
}

void
endpoint_committed(struct endpoint *ep, struct endpoint_outputs *out)
{
    flow_take(ep, out);
}
