/* load.c - see load.h. */
#include "load.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "measure.h"

#define ANSWER_MAX (64u * 1024)
#define REQUEST_MAX (64u * 1024)

struct wire {
    struct load *load;
    uv_tcp_t tcp;
    uv_connect_t connecting;
    uv_write_t writing;
    struct buf request, answer;
    int64_t since_us;
    bool is_up, is_busy, is_broken;
};

struct load {
    struct load_opt opt;
    struct wire wire[LOAD_CONNECTIONS_MAX];
    struct loop_timer pace;
    bool is_on;
    int64_t start_us;
    uint64_t started, answered, failed; /* started: since load_go */
    unsigned under_way, open_handles;
};

static void take_turn(struct wire *wire);

static void
break_wire(struct wire *wire)
{
    if (wire->is_broken)
        return;
    wire->is_broken = true;
    wire->load->failed++;
    if (wire->is_busy)
        wire->load->under_way--;
    wire->is_busy = false;
}

/* ---- answers ---- */

/* The length of a whole answer at the start of the buffer; 0: more is needed. */
static size_t
answer_len(struct buf *in, struct bytes *body)
{
    const char *text = buf_cstr(in), *end = strstr(text, "\r\n\r\n"), *field;
    size_t head, len;

    if (end == NULL)
        return 0;
    head = (size_t)(end - text) + 4;
    field = strcasestr(text, "\r\ncontent-length:");
    len = field == NULL || field > end ? 0 : strtoul(field + 17, NULL, 10);
    if (in->len < head + len)
        return 0;
    *body = bytes_of(in->ptr + head, len);
    return head + len;
}

static void
take_answer(struct wire *wire)
{
    struct load *load = wire->load;
    struct bytes body;
    size_t len = answer_len(&wire->answer, &body);
    int status;

    if (len == 0 || !wire->is_busy)
        return;
    status = wire->answer.len > 12 ? atoi((char *)wire->answer.ptr + 9) : 0;
    wire->is_busy = false;
    load->under_way--;
    load->answered++;
    load->failed += status != 200;
    if (load->opt.on_answer != NULL)
        load->opt.on_answer(load->opt.ctx, status, body, now_us() - wire->since_us);
    buf_consume(&wire->answer, len);
    take_turn(wire);
}

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    static char scratch[ANSWER_MAX]; /* one loop, one thread: copied before the next read */

    *out = uv_buf_init(scratch, sizeof(scratch));
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *in)
{
    struct wire *wire = stream->data;

    if (n < 0) {
        break_wire(wire);
        return;
    }
    buf_put(&wire->answer, bytes_of(in->base, (size_t)n));
    take_answer(wire);
}

/* ---- requests ---- */

static void
on_written(uv_write_t *writing, int status)
{
    if (status != 0)
        break_wire(writing->handle->data);
}

static void
send_request(struct wire *wire)
{
    struct load *load = wire->load;
    uv_buf_t out;

    buf_reset(&wire->request);
    load->opt.fill(load->opt.ctx, &wire->request);
    wire->is_busy = true;
    load->started++;
    load->under_way++;
    out = uv_buf_init((char *)wire->request.ptr, (unsigned)wire->request.len);
    if (uv_write(&wire->writing, (uv_stream_t *)&wire->tcp, &out, 1, on_written) != 0)
        break_wire(wire);
}

/* Send on a free connection if it is time to. */
static void
take_turn(struct wire *wire)
{
    struct load *load = wire->load;
    int64_t due_us = now_us();

    if (!load->is_on || !wire->is_up || wire->is_busy || wire->is_broken)
        return;
    if (load->opt.may_send != NULL && !load->opt.may_send(load->opt.ctx))
        return;
    if (load->opt.per_s > 0) {
        int64_t now = due_us;

        due_us = load->start_us + (int64_t)((double)load->started * 1e6 / load->opt.per_s);
        if (due_us > now)
            return;
    }
    wire->since_us = due_us;
    send_request(wire);
}

void
load_kick(struct load *load)
{
    for (unsigned i = 0; i < load->opt.connections; i++)
        take_turn(&load->wire[i]);
}

static void
on_pace(struct loop_timer *timer)
{
    load_kick((struct load *)((char *)timer - offsetof(struct load, pace)));
}

void
load_go(struct load *load)
{
    load->is_on = true;
    load->started = 0;
    load->start_us = now_us();
    if (load->opt.per_s > 0)
        loop_timer_start(&load->pace, 1, 1);
    load_kick(load);
}

void
load_pause(struct load *load)
{
    load->is_on = false;
    loop_timer_stop(&load->pace);
}

unsigned
load_under_way(const struct load *load)
{
    return load->under_way;
}

uint64_t
load_answered(const struct load *load)
{
    return load->answered;
}

uint64_t
load_failed(const struct load *load)
{
    return load->failed;
}

/* ---- life ---- */

static void
on_connected(uv_connect_t *connecting, int status)
{
    struct wire *wire = connecting->handle->data;

    wire->is_up = status == 0;
    if (!wire->is_up) {
        break_wire(wire);
        return;
    }
    uv_tcp_nodelay(&wire->tcp, 1);
    uv_read_start((uv_stream_t *)&wire->tcp, on_alloc, on_read);
    take_turn(wire);
}

enum rc
load_open(struct load **out, const struct load_opt *opt, struct err *err)
{
    struct load *load = calloc(1, sizeof(*load));
    struct sockaddr_in to;

    *out = load;
    if (load == NULL || opt->connections > LOAD_CONNECTIONS_MAX)
        return err_set(err, RC_NOMEM, "bench.load", "too many connections");
    load->opt = *opt;
    loop_timer_init(opt->loop, &load->pace, on_pace);
    uv_ip4_addr("127.0.0.1", opt->port, &to);
    for (unsigned i = 0; i < opt->connections; i++) {
        struct wire *wire = &load->wire[i];

        wire->load = load;
        buf_init(&wire->request, REQUEST_MAX);
        buf_init(&wire->answer, ANSWER_MAX);
        uv_tcp_init(loop_uv(opt->loop), &wire->tcp);
        wire->tcp.data = wire;
        load->open_handles++;
        if (uv_tcp_connect(&wire->connecting, &wire->tcp, (struct sockaddr *)&to, on_connected) !=
            0)
            break_wire(wire);
    }
    return RC_OK;
}

static void
release(struct load *load)
{
    if (--load->open_handles > 0)
        return;
    for (unsigned i = 0; i < load->opt.connections; i++) {
        buf_free(&load->wire[i].request);
        buf_free(&load->wire[i].answer);
    }
    free(load);
}

static void
on_closed(uv_handle_t *handle)
{
    release(((struct wire *)handle->data)->load);
}

static void
on_pace_closed(struct loop_timer *timer)
{
    release((struct load *)((char *)timer - offsetof(struct load, pace)));
}

void
load_free(struct load **load)
{
    struct load *l = *load;

    *load = NULL;
    if (l == NULL)
        return;
    load_pause(l);
    l->open_handles++;
    loop_timer_close(&l->pace, on_pace_closed);
    for (unsigned i = 0; i < l->opt.connections; i++)
        uv_close((uv_handle_t *)&l->wire[i].tcp, on_closed);
}

void
load_put_post(struct buf *out, const char *path, const char *token, struct bytes body)
{
    buf_printf(out,
               "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
               "Content-Type: application/json\r\nAccept: */*\r\nContent-Length: %zu\r\n\r\n",
               path, token, body.len);
    buf_put(out, body);
}
