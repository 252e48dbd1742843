/* hub.c - what all channels of one loop share.
 *
 * Owns the list of channels, but not the channels: each leaves the list when it ends. The flusher
 * is an idle handle: while it is active the loop does not block, and it runs after the callbacks
 * that queued frames and before the next wait for input, so all frames of a pass leave in one
 * write. Source: docs/protocol/wire.md. */
#include "link/hub.h"

#include <stdlib.h>

#include "link/inner.h"

#define TICK_MS_MIN 5u
#define TICK_MS_MAX 2500u
#define TICKS_PER_LIMIT 4u /* a limit is overshot by at most a quarter */

static uint32_t
smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t
tick_for(const struct channel_hub *hub)
{
    uint32_t ms =
        smaller(smaller(hub->handshake_ms, hub->ping_ms), smaller(hub->dead_ms, hub->linger_ms)) /
        TICKS_PER_LIMIT;

    if (ms < TICK_MS_MIN)
        return TICK_MS_MIN;
    return smaller(ms, TICK_MS_MAX);
}

static void
release_if_last(struct channel_hub *hub)
{
    if (!hub->is_closing || hub->open_handles > 0 || hub->count > 0)
        return;
    buf_wipe(&hub->scratch);
    buf_free(&hub->answers);
    free(hub);
}

static void
on_handle_closed(uv_handle_t *handle)
{
    struct channel_hub *hub = handle->data;

    hub->open_handles--;
    release_if_last(hub);
}

static void
on_flush(uv_idle_t *idle)
{
    struct channel_hub *hub = idle->data;
    struct channel *dirty = hub->dirty, *next;

    hub->dirty = NULL; /* what gets dirty while we write waits for the next pass */
    uv_idle_stop(idle);
    for (; dirty != NULL; dirty = next) {
        next = dirty->next_dirty;
        dirty->next_dirty = NULL;
        dirty->is_dirty = false;
        channel_flush(dirty);
    }
}

static void
on_tick(uv_timer_t *timer)
{
    struct channel_hub *hub = timer->data;
    uint64_t now_ms = uv_now(loop_uv(hub->loop));

    for (struct channel *c = hub->all, *next; c != NULL; c = next) {
        next = c->next; /* nothing leaves the list inside, ends come with the socket's callback */
        channel_tick(c, now_ms);
    }
}

enum rc
channel_hub_open(struct channel_hub **out, const struct channel_hub_opt *opt, struct err *err)
{
    struct channel_hub *hub = calloc(1, sizeof(*hub));

    *out = NULL;
    if (hub == NULL)
        return err_set(err, RC_NOMEM, "hub.open", "out of memory");
    hub->loop = opt->loop;
    hub->log = opt->log;
    hub->handshake_ms = opt->handshake_ms > 0 ? opt->handshake_ms : CHANNEL_HANDSHAKE_MS;
    hub->ping_ms = opt->ping_ms > 0 ? opt->ping_ms : CHANNEL_PING_MS;
    hub->dead_ms = opt->dead_ms > 0 ? opt->dead_ms : CHANNEL_DEAD_MS;
    hub->linger_ms = opt->linger_ms > 0 ? opt->linger_ms : CHANNEL_LINGER_MS;
    hub->tick_ms = tick_for(hub);
    buf_init(&hub->scratch, WIRE_FRAME_MAX);
    buf_init(&hub->answers, 2 * PIPE_HANDSHAKE_MAX);
    uv_idle_init(loop_uv(hub->loop), &hub->flusher); /* neither can fail */
    uv_timer_init(loop_uv(hub->loop), &hub->ticker);
    hub->flusher.data = hub;
    hub->ticker.data = hub;
    hub->open_handles = 2;
    *out = hub;
    return RC_OK;
}

void
channel_hub_free(struct channel_hub **hub)
{
    struct channel_hub *h = *hub;

    if (h == NULL)
        return;
    *hub = NULL;
    h->is_closing = true;
    for (struct channel *c = h->all; c != NULL; c = c->next)
        channel_drop(c);
    uv_close((uv_handle_t *)&h->flusher, on_handle_closed);
    uv_close((uv_handle_t *)&h->ticker, on_handle_closed);
}

struct loop *
channel_hub_loop(const struct channel_hub *hub)
{
    return hub->loop;
}

size_t
channel_hub_count(const struct channel_hub *hub)
{
    return hub->count;
}

void
hub_add(struct channel_hub *hub, struct channel *channel)
{
    channel->next = hub->all;
    if (hub->all != NULL)
        hub->all->prev = channel;
    hub->all = channel;
    if (hub->count++ == 0)
        uv_timer_start(&hub->ticker, on_tick, hub->tick_ms, hub->tick_ms);
}

static void
forget_dirty(struct channel_hub *hub, struct channel *channel)
{
    struct channel **at = &hub->dirty;

    while (channel->is_dirty && *at != NULL) {
        if (*at == channel) {
            *at = channel->next_dirty;
            channel->is_dirty = false;
        } else
            at = &(*at)->next_dirty;
    }
}

void
hub_remove(struct channel_hub *hub, struct channel *channel)
{
    forget_dirty(hub, channel);
    if (channel->prev != NULL)
        channel->prev->next = channel->next;
    else
        hub->all = channel->next;
    if (channel->next != NULL)
        channel->next->prev = channel->prev;
    if (--hub->count == 0 && !hub->is_closing)
        uv_timer_stop(&hub->ticker);
    release_if_last(hub);
}

void
hub_mark_dirty(struct channel_hub *hub, struct channel *channel)
{
    if (channel->is_dirty || hub->is_closing)
        return;
    channel->is_dirty = true;
    channel->next_dirty = hub->dirty;
    hub->dirty = channel;
    if (!uv_is_active((uv_handle_t *)&hub->flusher))
        uv_idle_start(&hub->flusher, on_flush);
}
