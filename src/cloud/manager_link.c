/* manager_link.c - see manager_link.h. */
#include "cloud/manager_link.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

#define LINE_MAX_BYTES (1024u * 1024)
#define ANSWER_MAX (4u * 1024 * 1024)
#define SILENCE_MS 45000
#define RETRY_FIRST_MS 100u
#define RETRY_MAX_MS 15000u
#define URL_SIZE 512u

struct manager_link {
    struct manager_link_opt opt;
    char address[128];
    struct http_client *client;
    struct http_call *stream;
    struct buf line;
    struct loop_timer retry, watchdog;
    uint64_t retry_ms;
    int64_t heard_ms; /* the last sign of life, or the beginning of this attempt */
    int64_t alive_ms; /* the last sign of life of any stream */
    bool is_up, is_closing;
};

static void stream_start(struct manager_link *link);

bool
manager_link_is_up(const struct manager_link *link)
{
    return link->is_up;
}

int64_t
manager_link_silent_ms(const struct manager_link *link)
{
    return link->is_up ? 0 : clock_mono_ms(link->opt.clock) - link->alive_ms;
}

/* ---- the stream ---- */

static void
take_line(struct manager_link *link, struct bytes text)
{
    json_t *line = NULL;
    struct err err = {0};

    if (text.len == 0)
        return;
    if (json_read(&line, text, LINE_MAX_BYTES, &err) != RC_OK) {
        log_event(link->opt.log, LOG_ERROR, "manager.bad_line", LOG_RC(&err));
        return;
    }
    if (!link->is_up) {
        link->is_up = true;
        link->retry_ms = RETRY_FIRST_MS;
        link->opt.on_stream(link->opt.ctx, true);
    }
    link->opt.on_event(link->opt.ctx, line);
    json_decref(line);
}

static void
on_data(void *ctx, struct bytes data)
{
    struct manager_link *link = ctx;

    link->heard_ms = link->alive_ms = clock_mono_ms(link->opt.clock);
    while (data.len > 0) {
        const uint8_t *end = memchr(data.ptr, '\n', data.len);
        size_t n = end == NULL ? data.len : (size_t)(end - data.ptr);

        buf_put(&link->line, bytes_of(data.ptr, n));
        if (end == NULL)
            return;
        if (!buf_failed(&link->line))
            take_line(link, buf_bytes(&link->line));
        buf_wipe(&link->line); /* app secrets travel here */
        buf_init(&link->line, LINE_MAX_BYTES);
        data = bytes_of(data.ptr + n + 1, data.len - n - 1);
    }
}

static void
on_stream_end(void *ctx, enum rc rc, int status, struct bytes body UNUSED, const char *text)
{
    struct manager_link *link = ctx;
    bool was_up = link->is_up;

    link->stream = NULL;
    link->is_up = false;
    buf_wipe(&link->line);
    buf_init(&link->line, LINE_MAX_BYTES);
    if (link->is_closing)
        return;
    log_event(link->opt.log, was_up ? LOG_WARN : LOG_DEBUG, "manager.stream_down",
              LOG_STR("rc", rc_name(rc)), LOG_INT("status", status),
              LOG_STR("text", text == NULL ? "" : text));
    if (was_up)
        link->opt.on_stream(link->opt.ctx, false);
    loop_timer_start(&link->retry, link->retry_ms, 0);
    link->retry_ms = link->retry_ms * 2 < RETRY_MAX_MS ? link->retry_ms * 2 : RETRY_MAX_MS;
}

static void
stream_start(struct manager_link *link)
{
    char url[URL_SIZE];
    struct http_call_opt call = {.method = HTTP_GET,
                                 .url = url,
                                 .total_timeout_ms = UINT32_MAX,
                                 .on_data = on_data,
                                 .on_done = on_stream_end,
                                 .ctx = link};
    struct err err = {0};

    snprintf(url, sizeof url, "https://%s/internal/v1/events", link->address);
    link->heard_ms = clock_mono_ms(link->opt.clock);
    if (http_client_call(&link->stream, link->client, &call, &err) != RC_OK) {
        log_event(link->opt.log, LOG_ERROR, "manager.stream_failed", LOG_RC(&err));
        loop_timer_start(&link->retry, RETRY_MAX_MS, 0);
    }
}

static void
on_retry(struct loop_timer *timer)
{
    stream_start((struct manager_link *)((char *)timer - offsetof(struct manager_link, retry)));
}

static void
on_watchdog(struct loop_timer *timer)
{
    struct manager_link *link =
        (struct manager_link *)((char *)timer - offsetof(struct manager_link, watchdog));

    if (link->stream != NULL && clock_mono_ms(link->opt.clock) - link->heard_ms > SILENCE_MS)
        http_call_cancel(link->stream);
}

/* ---- calls ---- */

struct post {
    manager_reply_fn *fn;
    void *ctx;
};

static void
on_answer(void *ctx, enum rc rc, int status, struct bytes body, const char *text UNUSED)
{
    struct post *post = ctx;
    json_t *answer = NULL;

    if (rc == RC_OK && body.len > 0)
        (void)!json_read(&answer, body, ANSWER_MAX, NULL);
    post->fn(post->ctx, rc, status, answer);
    json_decref(answer);
    free(post);
}

void
manager_link_post(struct manager_link *link, const char *path, struct bytes body,
                  manager_reply_fn *fn, void *ctx)
{
    static const struct http_header headers[] = {
        {"Content-Type", "application/json"}
    };
    char url[URL_SIZE];
    struct post *post = malloc(sizeof *post);
    struct http_call_opt call = {.method = HTTP_POST,
                                 .url = url,
                                 .headers = headers,
                                 .n_headers = ARRAY_LEN(headers),
                                 .body = body,
                                 .response_max = ANSWER_MAX,
                                 .on_done = on_answer,
                                 .ctx = post};
    enum rc rc = RC_NOMEM;

    snprintf(url, sizeof url, "https://%s%s", link->address, path);
    if (post != NULL) {
        *post = (struct post){.fn = fn, .ctx = ctx};
        rc = http_client_call(NULL, link->client, &call, NULL);
    }
    if (rc != RC_OK) {
        free(post);
        fn(ctx, rc, 0, NULL);
    }
}

/* ---- open, free ---- */

enum rc
manager_link_open(struct manager_link **out, const struct manager_link_opt *opt, struct err *err)
{
    struct manager_link *link = calloc(1, sizeof *link);
    const struct http_client_opt client = {.loop = opt->loop,
                                           .log = opt->log,
                                           .ca_file = opt->ca_file,
                                           .cert_file = opt->cert_file,
                                           .key_file = opt->key_file};
    enum rc rc;

    *out = NULL;
    if (link == NULL)
        return err_set(err, RC_NOMEM, "manager.open", "link");
    link->opt = *opt;
    link->retry_ms = RETRY_FIRST_MS;
    snprintf(link->address, sizeof link->address, "%s", opt->address);
    buf_init(&link->line, LINE_MAX_BYTES);
    if ((rc = http_client_open(&link->client, &client, err)) != RC_OK) {
        free(link);
        return rc;
    }
    link->alive_ms = clock_mono_ms(opt->clock);
    loop_timer_init(opt->loop, &link->retry, on_retry);
    loop_timer_init(opt->loop, &link->watchdog, on_watchdog);
    loop_timer_start(&link->watchdog, SILENCE_MS / 3, SILENCE_MS / 3);
    stream_start(link);
    *out = link;
    return RC_OK;
}

static void
on_retry_closed(struct loop_timer *timer)
{
    struct manager_link *link =
        (struct manager_link *)((char *)timer - offsetof(struct manager_link, retry));

    buf_wipe(&link->line);
    free(link);
}

/* One after the other: libuv does not say in which order handles end that are closed together. */
static void
on_watchdog_closed(struct loop_timer *timer)
{
    struct manager_link *link =
        (struct manager_link *)((char *)timer - offsetof(struct manager_link, watchdog));

    loop_timer_close(&link->retry, on_retry_closed);
}

void
manager_link_free(struct manager_link **out)
{
    struct manager_link *link = *out;

    *out = NULL;
    if (link == NULL)
        return;
    link->is_closing = true;
    http_client_free(&link->client);
    loop_timer_stop(&link->retry);
    loop_timer_stop(&link->watchdog);
    loop_timer_close(&link->watchdog, on_watchdog_closed);
}
