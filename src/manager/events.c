/* events.c - the hub: who listens, the heartbeat, ending those that do not read; see events.h. */
#include "manager/events.h"

#include <stdlib.h>

#include "base/json.h"

struct listener {
    struct hub *hub;
    struct http_stream *stream; /* NULL: the place is free */
};

struct hub {
    struct loop *loop;
    struct clock *clock;
    struct log *log;
    struct loop_timer heartbeat;
    struct listener listeners[HUB_STREAMS_MAX];
    bool is_closing;
};

static void
listener_gone(void *ctx)
{
    struct listener *l = ctx;

    l->stream = NULL;
    if (!l->hub->is_closing)
        log_event(l->hub->log, LOG_INFO, "events.left", LOG_UINT("streams", hub_streams(l->hub)));
}

static void
beat(struct loop_timer *timer)
{
    struct hub *hub = (struct hub *)((char *)timer - offsetof(struct hub, heartbeat));
    struct json_writer jw;
    struct buf line;

    buf_init(&line, 256);
    jw_init(&jw, &line);
    jw_object(&jw);
    jw_kv_str(&jw, "event", "heartbeat");
    jw_kv_int(&jw, "time", clock_unix_ms(hub->clock) / 1000);
    jw_object_end(&jw);
    buf_put_char(&line, '\n');
    hub_send(hub, buf_bytes(&line));
    buf_free(&line);
}

enum rc
hub_open(struct hub **out, struct loop *loop, struct clock *clock, struct log *log, struct err *err)
{
    struct hub *hub = calloc(1, sizeof(*hub));

    *out = hub;
    if (hub == NULL)
        return err_set(err, RC_NOMEM, "events.open", "no memory");
    hub->loop = loop;
    hub->clock = clock;
    hub->log = log;
    for (size_t i = 0; i < HUB_STREAMS_MAX; i++)
        hub->listeners[i].hub = hub;
    loop_timer_init(loop, &hub->heartbeat, beat);
    loop_timer_start(&hub->heartbeat, HUB_HEARTBEAT_MS, HUB_HEARTBEAT_MS);
    return RC_OK;
}

static void
heartbeat_closed(struct loop_timer *timer)
{
    free((char *)timer - offsetof(struct hub, heartbeat));
}

void
hub_free(struct hub **hub)
{
    struct hub *h = *hub;

    *hub = NULL;
    if (h == NULL)
        return;
    h->is_closing = true;
    for (size_t i = 0; i < HUB_STREAMS_MAX; i++) {
        if (h->listeners[i].stream != NULL)
            http_stream_end(h->listeners[i].stream);
    }
    loop_timer_close(&h->heartbeat, heartbeat_closed);
}

static struct listener *
free_place(struct hub *hub)
{
    for (size_t i = 0; i < HUB_STREAMS_MAX; i++) {
        if (hub->listeners[i].stream == NULL)
            return &hub->listeners[i];
    }
    return NULL;
}

void
hub_attach(struct hub *hub, struct http_request *req, struct bytes snapshot)
{
    static const struct http_header headers[] = {
        {"Content-Type", "application/x-ndjson"}
    };
    struct listener *l = free_place(hub);

    if (l == NULL) {
        log_event(hub->log, LOG_WARN, "events.full", LOG_UINT("streams", HUB_STREAMS_MAX));
        http_reply(req, 429, NULL, 0, bytes_of(NULL, 0));
        return;
    }
    l->stream = http_reply_stream(req, 200, headers, ARRAY_LEN(headers), listener_gone, l);
    if (l->stream == NULL)
        return;
    http_stream_set_max(l->stream, snapshot.len + HUB_UNREAD_MAX);
    if (http_stream_push(l->stream, snapshot))
        log_event(hub->log, LOG_INFO, "events.joined", LOG_UINT("streams", hub_streams(hub)));
}

void
hub_send(struct hub *hub, struct bytes lines)
{
    if (lines.len == 0)
        return;
    for (size_t i = 0; i < HUB_STREAMS_MAX; i++) {
        if (hub->listeners[i].stream != NULL && !http_stream_push(hub->listeners[i].stream, lines))
            log_event(hub->log, LOG_WARN, "events.slow_reader");
    }
}

unsigned
hub_streams(const struct hub *hub)
{
    unsigned n = 0;

    for (size_t i = 0; i < HUB_STREAMS_MAX; i++)
        n += hub->listeners[i].stream != NULL;
    return n;
}
