/* call_stream.c - inbox and listen: answers of many lines, page by page from the table, no faster
 * than the client reads.
 *
 * A listener says what it has printed ({"printed":ORD}); that moves the profile's mark and, where
 * it was asked for, sends read receipts, for exactly what was shown. */
#include <inttypes.h>

#include "base/e164.h"
#include "phone/call.h"

#define UNSENT_MAX (256u * 1024)

static void page_next(struct call *call);

static bool
may_send(const struct call *call)
{
    return call->client != NULL && !call->is_ended && !call->is_ending &&
           lines_unsent(call->client) < UNSENT_MAX;
}

static void
on_page(void *ctx, enum rc rc, const struct phone_page *page)
{
    struct call *call = ctx;
    bool is_over = false;

    call->is_paging = false;
    if (rc == RC_OK && call->client != NULL) {
        lines_send(call->client, buf_bytes(page->lines));
        call->after = page->last;
        call->has_news = call->has_news || page->has_more;
        is_over = !call->is_listening && !page->has_more;
    }
    if (call->is_ended || call->is_ending) {
        /* an answer is on its way, or nobody wants one */
    } else if (rc != RC_OK) {
        call_answer(call, rc, "the messages cannot be read");
    } else if (is_over) {
        call_answer(call, RC_OK, NULL);
    } else if (call->has_news && may_send(call)) {
        page_next(call);
    }
    call_release(call);
}

static void
page_next(struct call *call)
{
    const struct phone_page_query query = {
        .after = call->after, .number = call->only, .incoming_only = call->is_listening};

    call->has_news = false;
    call->is_paging = true;
    call_hold(call);
    phone_page(call->profile, &query, on_page, call);
}

static void
on_drained(struct call *call)
{
    if (call->has_news && !call->is_paging && may_send(call))
        page_next(call);
}

static void
on_gone(struct call *call)
{
    if (!call->is_ended)
        call_drop(call);
}

void
call_inbox(struct call *call)
{
    call->only = call->number;
    call->on_drained = on_drained;
    call->on_gone = on_gone;
    page_next(call);
}

/* ---- listen ---- */

static struct call *
call_of(struct phone_watch *watch)
{
    return (struct call *)((char *)watch - offsetof(struct call, watch));
}

static void
on_news(struct phone_watch *watch)
{
    struct call *call = call_of(watch);

    call->has_news = true;
    if (!call->is_paging && may_send(call))
        page_next(call);
}

static void
on_typing(struct phone_watch *watch, uint64_t peer, bool is_typing)
{
    struct call *call = call_of(watch);
    char digits[E164_TEXT_SIZE];
    struct json_writer w;
    struct buf line;

    if (!call->with_events || !may_send(call))
        return;
    buf_init(&line, 1024);
    jw_init(&w, &line);
    jw_object(&w);
    jw_key(&w, "event");
    jw_object(&w);
    jw_kv_str(&w, "type", "typing");
    jw_kv_str(&w, "from", e164_write(digits, peer));
    jw_kv_bool(&w, "is_typing", is_typing);
    jw_object_end(&w);
    jw_object_end(&w);
    buf_put_char(&line, '\n');
    lines_send(call->client, buf_bytes(&line));
    buf_free(&line);
}

static void
on_settled(void *ctx, enum rc rc, const char *text)
{
    struct call *call = ctx;

    if (!call->is_ended)
        call_answer(call, rc, text);
    call_release(call);
}

static void
printed(struct call *call, uint64_t ord)
{
    if (ord > call->after)
        ord = call->after; /* no more than it was given */
    if (ord <= call->acked)
        return;
    phone_set_listened(call->profile, ord);
    if (call->with_read)
        phone_read_shown(call->profile, call->acked, ord);
    call->acked = ord;
}

static void
on_line(struct call *call, const json_t *line)
{
    int64_t ord = json_int(line, "printed", 0);

    if (call->is_ending)
        return;
    if (ord > 0)
        printed(call, (uint64_t)ord);
    if (json_truthy(json_object_get(line, "end"))) {
        call->is_ending = true;
        call_hold(call);
        phone_settle(call->profile, on_settled, call);
        return;
    }
    lines_next(call->client);
}

void
call_listen(struct call *call)
{
    int64_t after = json_int(call->request, "after", 0);

    call->is_listening = true;
    call->with_read = json_truthy(json_object_get(call->request, "read"));
    call->with_events = json_truthy(json_object_get(call->request, "events"));
    call->after = phone_listened(call->profile);
    if (after > 0 && (uint64_t)after > call->after)
        call->after = (uint64_t)after;
    call->acked = call->after;
    call->on_line = on_line;
    call->on_drained = on_drained;
    call->on_gone = on_gone;
    call->watch.on_news = on_news;
    call->watch.on_typing = on_typing;
    phone_watch_begin(&call->watch, call->profile);
    page_next(call);
    lines_next(call->client);
}
