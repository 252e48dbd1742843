/* client.c - a device's standing connection to the relay: its life and its requests.
 *
 * Owns two timers and the requests in flight. The memory is released when both timers are closed,
 * so a callback may free the link. Source: docs/protocol/wire.md. */
#include "link/client.h"

#include <stdlib.h>

#include "link/client_inner.h"

uint64_t
link_loop_ms(const struct link *link)
{
    return uv_now(loop_uv(channel_hub_loop(link->opt.hub)));
}

static void
arm_deadlines(struct link *link)
{
    int64_t next = link->requests.next_deadline_ms, now = (int64_t)link_loop_ms(link);

    if (next >= link->armed_ms)
        return; /* it fires earlier than needed, and then looks again */
    link->armed_ms = next;
    loop_timer_start(&link->deadlines, next > now ? (uint64_t)(next - now) : 0, 0);
}

static void
on_deadlines(struct loop_timer *timer)
{
    struct link *link = (struct link *)((char *)timer - offsetof(struct link, deadlines));
    struct request request;

    link->armed_ms = INT64_MAX;
    while (requests_take_due(&link->requests, (int64_t)link_loop_ms(link), &request))
        if (request.fn != NULL)
            request.fn(request.ctx, RC_TIMEOUT, NULL);
    if (!link->is_freed)
        arm_deadlines(link);
}

enum rc
link_ask(struct link *link, Parley__Wire__Frame *frame, uint32_t timeout_ms, request_fn *fn,
         void *ctx, struct err *err)
{
    int64_t deadline_ms = (int64_t)link_loop_ms(link) + timeout_ms;
    struct request taken;
    enum rc rc;

    if ((rc = requests_add(&link->requests, &frame->request_id, fn, ctx, deadline_ms, err)) !=
        RC_OK)
        return rc;
    if ((rc = channel_send(link->channel, frame, err)) != RC_OK) {
        requests_take(&link->requests, frame->request_id, &taken);
        return rc;
    }
    arm_deadlines(link);
    return RC_OK;
}

enum rc
link_request(struct link *link, Parley__Wire__Frame *frame, uint32_t timeout_ms, request_fn *fn,
             void *ctx, struct err *err)
{
    if (link->channel == NULL || (link->phase != OPEN && link->phase != UP))
        return err_set(err, RC_CLOSED, "link.request", "not connected to the relay");
    return link_ask(link, frame, timeout_ms, fn, ctx, err);
}

enum rc
link_push(struct link *link, Parley__Wire__Frame *frame, struct err *err)
{
    if (link->channel == NULL || (link->phase != OPEN && link->phase != UP))
        return err_set(err, RC_CLOSED, "link.push", "not connected to the relay");
    frame->request_id = 0;
    return channel_send(link->channel, frame, err);
}

static void
on_wake(struct loop_timer *timer)
{
    struct link *link = (struct link *)((char *)timer - offsetof(struct link, wake));

    link_handle(link, EV_TIMER);
}

enum rc
link_open(struct link **out, const struct link_opt *opt, struct err *err)
{
    struct link *link = calloc(1, sizeof(*link));

    *out = NULL;
    if (link == NULL || (link->host = strdup(opt->host)) == NULL) {
        free(link);
        return err_set(err, RC_NOMEM, "link.open", "out of memory");
    }
    link->opt = *opt;
    link->opt.host = link->host;
    link->phase = WAITING;
    link->announced = LINK_DOWN;
    link->armed_ms = INT64_MAX;
    requests_init(&link->requests, LINK_REQUESTS_MAX);
    loop_timer_init(channel_hub_loop(opt->hub), &link->wake, on_wake);
    loop_timer_init(channel_hub_loop(opt->hub), &link->deadlines, on_deadlines);
    link->open_timers = 2;
    loop_timer_start(&link->wake, 0, 0); /* no callback from inside */
    *out = link;
    return RC_OK;
}

static void
release_if_last(struct link *link)
{
    if (--link->open_timers > 0)
        return;
    requests_wipe(&link->requests);
    free(link->host);
    bytes_wipe(&link->opt.noise, sizeof(link->opt.noise));
    free(link);
}

static void
on_wake_closed(struct loop_timer *timer)
{
    release_if_last((struct link *)((char *)timer - offsetof(struct link, wake)));
}

static void
on_deadlines_closed(struct loop_timer *timer)
{
    release_if_last((struct link *)((char *)timer - offsetof(struct link, deadlines)));
}

void
link_free(struct link **link)
{
    struct link *l = *link;

    if (l == NULL)
        return;
    *link = NULL;
    l->is_freed = true;
    link_handle(l, EV_OFFLINE);
    loop_timer_close(&l->wake, on_wake_closed);
    loop_timer_close(&l->deadlines, on_deadlines_closed);
}

void
link_retry(struct link *link)
{
    if (!link->is_freed)
        link_handle(link, EV_RETRY);
}

void
link_offline(struct link *link)
{
    if (!link->is_freed)
        link_handle(link, EV_OFFLINE);
}

enum link_state
link_state(const struct link *link)
{
    static const enum link_state shown[PHASES] = {
        [STOPPED] = LINK_DOWN, [WAITING] = LINK_DOWN, [CONNECTING] = LINK_CONNECTING,
        [OPEN] = LINK_OPEN,    [LOGIN] = LINK_LOGIN,  [UP] = LINK_UP};

    return shown[link->phase];
}

const char *
link_state_name(enum link_state state)
{
    static const char *const names[] = {[LINK_DOWN] = "down",
                                        [LINK_CONNECTING] = "connecting",
                                        [LINK_OPEN] = "open",
                                        [LINK_LOGIN] = "login",
                                        [LINK_UP] = "up"};

    return names[state];
}

const struct err *
link_why(const struct link *link)
{
    return &link->why;
}

const uint8_t *
link_hash(const struct link *link)
{
    return link->channel != NULL && channel_is_up(link->channel) ? channel_hash(link->channel)
                                                                 : NULL;
}
