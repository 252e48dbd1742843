/* server_request.c - one request from its head to its reply.
 *
 * Owns the request's body and arena until the reply is queued. Must never read a body without
 * bound, never hand over a request whose length two readers could see differently (RFC 9112,
 * section 6.3), and never answer twice. */
#include "http/server_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <strings.h>

#define ARENA_MAX (1024u * 1024)
#define BODY_RESERVE_MAX (256u * 1024) /* taken ahead on the word of a Content-Length */
#define REFUSAL_BODY_MAX 4096u

/* ---- what MHD tells about framing ---- */

struct framing {
    unsigned n_lengths, n_encodings;
    bool is_chunked;
    bool expects_continue;
    uint64_t length;
};

static enum MHD_Result
note_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct framing *f = cls;
    char first = (char)(name[0] | 0x20);

    if (first == 'c' && strcasecmp(name, "Content-Length") == 0) {
        f->n_lengths++;
        f->length = strtoull(value, NULL, 10); /* the daemon has checked the digits */
    } else if (first == 't' && strcasecmp(name, "Transfer-Encoding") == 0) {
        f->n_encodings++;
        f->is_chunked = value != NULL && strcasecmp(value, "chunked") == 0;
    } else if (first == 'e' && strcasecmp(name, "Expect") == 0) {
        f->expects_continue = true;
    }
    return MHD_YES;
}

static bool
framing_is_clear(const struct framing *f, const char *version)
{
    if (f->n_encodings == 0)
        return f->n_lengths <= 1;
    return f->n_encodings == 1 && f->is_chunked && f->n_lengths == 0 &&
           strcmp(version, "HTTP/1.1") == 0;
}

/* ---- replies ---- */

/* What the handler could borrow ends here; the struct itself goes with on_completed. */
static void
drop_contents(struct http_request *req)
{
    buf_wipe(&req->body);
    arena_wipe(&req->arena);
}

void
http_request_send(struct http_request *req, int status, struct MHD_Response *response)
{
    struct http_conn *conn = req->conn;
    enum MHD_Result queued;

    assert(!req->is_answered);
    req->is_answered = true;
    queued = MHD_queue_response(conn->mhd, (unsigned)status, response);
    MHD_destroy_response(response); /* our reference */
    drop_contents(req);
    if (queued != MHD_YES)
        log_event(conn->server->log, LOG_WARN, "http.reply_lost", LOG_INT("status", status));
    if (req->is_suspended) {
        req->is_suspended = false;
        http_conn_resume(conn); /* with nothing queued the next call closes it */
    }
}

void
http_reply(struct http_request *req, int status, const struct http_header *headers, size_t n,
           struct bytes body)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body.len, (void *)(uintptr_t)body.ptr, MHD_RESPMEM_MUST_COPY);
    uint64_t room_ms = HTTP_BODY_GRACE_S * 1000u + body.len / HTTP_BYTES_PER_MS_MIN;

    if (response == NULL)
        abort(); /* out of memory for a reply: nothing truthful can be said any more */
    for (size_t i = 0; i < n; i++)
        (void)MHD_add_response_header(response, headers[i].name, headers[i].value);
    http_conn_stage(req->conn, CONN_REPLIES, room_ms);
    http_request_send(req, status, response);
}

/* Answer in the owner's dialect. Early: the rest of the request is not read and the connection
 * ends. */
static void
refuse(struct http_request *req, int status, bool is_early)
{
    struct http_server *server = req->conn->server;
    struct http_header headers[2];
    const char *type = NULL;
    struct buf body;
    size_t n = 0;

    buf_init(&body, REFUSAL_BODY_MAX);
    if (server->on_refuse != NULL)
        type = server->on_refuse(server->ctx, status, &body);
    if (type != NULL)
        headers[n++] = (struct http_header){"Content-Type", type};
    if (is_early)
        headers[n++] = (struct http_header){"Connection", "close"};
    http_reply(req, status, headers, n, buf_bytes(&body));
    buf_free(&body);
}

/* ---- reading ---- */

static size_t
head_size(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;
}

/* The head is whole: refuse now what must not be read on. */
static void
begin(struct http_request *req, struct MHD_Connection *mhd, const char *version)
{
    struct http_server *server = req->conn->server;
    struct framing f = {0};

    req->is_begun = true;
    http_conn_stage(req->conn, CONN_BODY, HTTP_BODY_GRACE_S * 1000u);
    MHD_get_connection_values(mhd, MHD_HEADER_KIND, note_header, &f);
    if (!framing_is_clear(&f, version)) {
        refuse(req, 400, true);
        return;
    }
    if (head_size(mhd) > HTTP_HEADERS_MAX)
        req->refusal = 431;
    else if (req->refusal == 0 && MHD_get_connection_values(mhd, MHD_GET_ARGUMENT_KIND, NULL,
                                                            NULL) > (int)HTTP_QUERY_ARGS_MAX)
        req->refusal = 400;
    if (f.length > server->max_body) {
        if (f.expects_continue || f.length > server->max_body + HTTP_DRAIN_MAX)
            refuse(req, 413, true);
        else
            req->refusal = 413;
    } else if (f.length > 0 && req->refusal == 0) {
        (void)buf_reserve(&req->body,
                          f.length < BODY_RESERVE_MAX ? (size_t)f.length : BODY_RESERVE_MAX);
    }
}

static enum MHD_Result
take_body(struct http_request *req, const char *data, size_t len)
{
    struct http_server *server = req->conn->server;
    uint64_t now_ms = uv_now(loop_uv(server->loop));

    req->body_seen += len;
    if (req->body_seen > server->max_body + HTTP_DRAIN_MAX)
        return MHD_NO;
    /* a peer that keeps the pace may take its time */
    if (req->conn->deadline_ms < now_ms + HTTP_BODY_GRACE_S * 1000u)
        req->conn->deadline_ms += len / HTTP_BYTES_PER_MS_MIN;
    if (req->refusal != 0)
        return MHD_YES;
    if (req->body_seen <= server->max_body)
        buf_put(&req->body, bytes_of(data, len));
    if (req->body_seen > server->max_body || buf_failed(&req->body)) {
        req->refusal = req->body_seen > server->max_body ? 413 : 503;
        buf_wipe(&req->body);
    }
    return MHD_YES;
}

static void
hand_over(struct http_request *req)
{
    struct http_server *server = req->conn->server;

    if (req->refusal != 0) {
        refuse(req, req->refusal, false);
        return;
    }
    http_conn_stage(req->conn, CONN_WAITS, 0);
    req->is_in_handler = true;
    server->on_request(server->ctx, req);
    req->is_in_handler = false;
    if (!req->is_answered) {
        req->is_suspended = true;
        MHD_suspend_connection(req->conn->mhd);
    }
}

static struct http_conn *
conn_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static struct http_request *
request_of(struct http_conn *conn)
{
    struct http_request *req;

    if (conn->req != NULL)
        return conn->req;
    if ((req = calloc(1, sizeof(*req))) == NULL)
        return NULL;
    req->conn = conn;
    buf_init(&req->body, conn->server->max_body);
    conn->req = req;
    return req;
}

/* Called with the head, with each run of the body, and once more when all has come. */
enum MHD_Result
http_on_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
               const char *version, const char *data, size_t *size, void **con_cls)
{
    struct http_conn *conn = conn_of(mhd);
    struct http_request *req = conn == NULL ? NULL : request_of(conn);
    enum MHD_Result result = MHD_YES;

    ((struct http_server *)cls)->has_progress = true;
    if (req == NULL || req->is_answered)
        return MHD_NO;
    *con_cls = req;
    if (!req->is_begun) {
        req->path = url;
        req->method = http_method_read(method);
        begin(req, mhd, version);
    } else if (*size > 0) {
        result = take_body(req, data, *size);
        *size = 0;
    } else {
        hand_over(req);
    }
    return result;
}

void
http_on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
                  enum MHD_RequestTerminationCode why)
{
    struct http_conn *conn = conn_of(mhd);
    struct http_request *req = conn == NULL ? NULL : conn->req;

    ((struct http_server *)cls)->has_progress = true;
    if (req == NULL)
        return;
    conn->req = NULL;
    http_stream_free(&req->stream);
    drop_contents(req);
    free(req);
    http_conn_stage(conn, CONN_HEAD, HTTP_IDLE_TIMEOUT_S * 1000u);
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode in place. A broken escape stays as it is; %00 would cut the text short for whoever reads
 * it as a C string, so it marks the request as refused. */
size_t
http_on_unescape(void *cls, struct MHD_Connection *mhd, char *text)
{
    char *out = text;

    for (const char *in = text; *in != '\0'; out++) {
        int high = in[0] == '%' ? hex_digit(in[1]) : -1;
        int low = high < 0 ? -1 : hex_digit(in[2]);

        if (low >= 0) {
            *out = (char)(high << 4 | low);
            in += 3;
        } else {
            *out = *in++;
        }
        if (*out == '\0') {
            struct http_conn *conn = conn_of(mhd);
            struct http_request *req = conn == NULL ? NULL : request_of(conn);

            if (req != NULL)
                req->refusal = 400;
            break;
        }
    }
    *out = '\0';
    return (size_t)(out - text);
}

/* ---- what a handler may ask ---- */

enum http_method
http_request_method(const struct http_request *req)
{
    return req->method;
}

const char *
http_request_path(const struct http_request *req)
{
    return req->path;
}

const char *
http_request_header(const struct http_request *req, const char *name)
{
    return MHD_lookup_connection_value(req->conn->mhd, MHD_HEADER_KIND, name);
}

struct arg_search {
    const char *by_name; /* NULL: by index */
    unsigned index;
    const char *name, *value;
};

static enum MHD_Result
match_arg(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct arg_search *s = cls;

    if (s->by_name != NULL ? strcmp(name, s->by_name) != 0 : s->index-- > 0)
        return MHD_YES;
    s->name = name;
    s->value = value == NULL ? "" : value;
    return MHD_NO; /* found: stop */
}

const char *
http_request_query(const struct http_request *req, const char *name)
{
    struct arg_search s = {.by_name = name};

    MHD_get_connection_values(req->conn->mhd, MHD_GET_ARGUMENT_KIND, match_arg, &s);
    return s.value;
}

bool
http_request_query_at(const struct http_request *req, unsigned i, const char **name,
                      const char **value)
{
    struct arg_search s = {.index = i};

    MHD_get_connection_values(req->conn->mhd, MHD_GET_ARGUMENT_KIND, match_arg, &s);
    *name = s.name;
    *value = s.value;
    return s.name != NULL;
}

struct bytes
http_request_body(const struct http_request *req)
{
    return buf_bytes(&req->body);
}

const char *
http_request_peer_name(const struct http_request *req)
{
    struct http_conn *conn = req->conn;

    if (conn->server->needs_client_cert && conn->peer_name == NULL)
        conn->peer_name = http_tls_peer_name(conn->mhd);
    return conn->peer_name;
}

struct arena *
http_request_arena(struct http_request *req)
{
    if (req->arena == NULL && arena_new(&req->arena, ARENA_MAX, NULL) != RC_OK)
        abort(); /* a few hundred bytes; callers have no way to go on without */
    return req->arena;
}

bool
http_request_is_tls(const struct http_request *req)
{
    return req->conn->server->is_tls;
}

void
http_request_set_state(struct http_request *req, void *state)
{
    req->state = state;
}

void *
http_request_state(const struct http_request *req)
{
    return req->state;
}
