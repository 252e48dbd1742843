/* test_client.c - calls out, against our own server and against rude listeners. */
#include "net.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "http/client.h"
#include "http/server.h"

struct result {
    bool is_done;
    unsigned n_done;
    enum rc rc;
    int status;
    struct buf body, streamed;
    char text[256];
};

struct world {
    struct loop *loop;
    struct http_server *server;
    struct http_client *client;
    struct http_request *held;
    unsigned n_requests;
    char host[64]; /* Host header of the last request */
};

static void
echo(struct http_request *req)
{
    struct buf out;
    const char *type = http_request_header(req, "X-Test");

    buf_init(&out, 65536);
    buf_printf(&out, "%s %s [", http_method_name(http_request_method(req)), http_request_path(req));
    buf_put(&out, http_request_body(req));
    buf_printf(&out, "] %s", type == NULL ? "-" : type);
    http_reply(req, 200, NULL, 0, buf_bytes(&out));
    buf_free(&out);
}

static void
on_request(void *ctx, struct http_request *req)
{
    static uint8_t long_body[100000];
    struct world *w = ctx;
    const char *path = http_request_path(req);
    struct http_header to = {"Location", "/else"};

    w->n_requests++;
    snprintf(w->host, sizeof(w->host), "%s", http_request_header(req, "Host"));
    if (strcmp(path, "/hold") == 0)
        w->held = req;
    else if (strcmp(path, "/redirect") == 0)
        http_reply(req, 302, &to, 1, bytes_of_str("go"));
    else if (strcmp(path, "/long") == 0)
        http_reply(req, 200, NULL, 0, bytes_of(long_body, sizeof(long_body)));
    else
        echo(req);
}

static int
setup(void **state)
{
    struct world *w = test_calloc(1, sizeof(*w));

    assert_int_equal(loop_new(&w->loop, NULL), RC_OK);
    assert_int_equal(http_server_open(&w->server,
                                      &(struct http_server_opt){.loop = w->loop,
                                                                .log = log_none(),
                                                                .host = "127.0.0.1",
                                                                .max_body = 65536,
                                                                .on_request = on_request,
                                                                .ctx = w},
                                      NULL),
                     RC_OK);
    assert_int_equal(http_client_open(&w->client,
                                      &(struct http_client_opt){.loop = w->loop, .log = log_none()},
                                      NULL),
                     RC_OK);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;

    http_client_free(&w->client);
    http_server_free(&w->server);
    loop_free(&w->loop);
    test_free(w);
    return 0;
}

static void
on_done(void *ctx, enum rc rc, int status, struct bytes body, const char *error_text)
{
    struct result *r = ctx;

    r->is_done = true;
    r->n_done++;
    r->rc = rc;
    r->status = status;
    snprintf(r->text, sizeof(r->text), "%s", error_text);
    buf_put(&r->body, body);
}

static void
on_data(void *ctx, struct bytes data)
{
    buf_put(&((struct result *)ctx)->streamed, data);
}

static const char *
url_at(uint16_t port, const char *path)
{
    static char url[256];

    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, path);
    return url;
}

static void
result_init(struct result *r)
{
    memset(r, 0, sizeof(*r));
    buf_init(&r->body, 1u << 20);
    buf_init(&r->streamed, 1u << 20);
}

static void
result_wipe(struct result *r)
{
    buf_free(&r->body);
    buf_free(&r->streamed);
}

/* Call and wait. */
static void
call(struct world *w, struct result *r, struct http_call_opt opt)
{
    result_init(r);
    opt.on_done = on_done;
    opt.ctx = r;
    assert_int_equal(http_client_call(NULL, w->client, &opt, NULL), RC_OK);
    assert_false(r->is_done); /* never from inside */
    net_wait(w->loop, &r->is_done);
    assert_int_equal(r->n_done, 1);
}

static const struct call_case {
    const char *name;
    enum http_method method;
    const char *path, *body, *header, *want;
} call_cases[] = {
    {"get",                   HTTP_GET,    "/a/../b", "",     NULL, "GET /a/../b [] -"},
    {"post",                  HTTP_POST,   "/p",      "body", "x",  "POST /p [body] x"},
    {"post of nothing",       HTTP_POST,   "/p",      "",     NULL, "POST /p [] -"    },
    {"get after post",        HTTP_GET,    "/g",      "",     NULL, "GET /g [] -"     },
    {"put",                   HTTP_PUT,    "/p",      "abc",  "y",  "PUT /p [abc] y"  },
    {"patch",                 HTTP_PATCH,  "/p",      "abc",  "y",  "PATCH /p [abc] y"},
    {"delete",                HTTP_DELETE, "/d",      "",     NULL, "DELETE /d [] -"  },
    {"delete with a body",    HTTP_DELETE, "/d",      "{}",   NULL, "DELETE /d [{}] -"},
    {"head",                  HTTP_HEAD,   "/h",      "",     NULL, ""                },
    {"get after head",        HTTP_GET,    "/g",      "",     NULL, "GET /g [] -"     },
    {"header without value",  HTTP_GET,    "/g",      "",     "",   "GET /g [] "      },
    {"slash at the end kept", HTTP_POST,   "/p/",     "1",    NULL, "POST /p/ [1] -"  },
};

static void
test_methods_share_one_kept_connection(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(call_cases); i++) {
        const struct call_case *c = &call_cases[i];
        struct http_header header = {"X-Test", c->header};
        struct result r;

        call(w, &r,
             (struct http_call_opt){.method = c->method,
                                    .url = url_at(http_server_port(w->server), c->path),
                                    .headers = &header,
                                    .n_headers = c->header != NULL,
                                    .body = bytes_of_str(c->body),
                                    .response_max = 4096});
        assert_int_equal(r.rc, RC_OK);
        assert_int_equal(r.status, 200);
        assert_string_equal(buf_cstr(&r.body), c->want);
        result_wipe(&r);
    }
    assert_int_equal(http_server_connections(w->server), 1);
    assert_int_equal(http_client_active(w->client), 0);
}

static void
test_i23_redirects_are_not_followed(void **state)
{
    struct world *w = *state;
    struct result r;

    call(w, &r,
         (struct http_call_opt){.url = url_at(http_server_port(w->server), "/redirect"),
                                .response_max = 100});
    assert_int_equal(r.rc, RC_OK);
    assert_int_equal(r.status, 302);
    assert_int_equal(w->n_requests, 1);
    result_wipe(&r);
}

static void
test_connect_to_decides_where_the_connection_goes(void **state)
{
    struct world *w = *state;
    struct result r;
    char url[128];

    snprintf(url, sizeof(url), "http://name.invalid:%u/x", http_server_port(w->server));
    call(w, &r, (struct http_call_opt){.url = url, .connect_to = "127.0.0.1", .response_max = 100});
    assert_int_equal(r.rc, RC_OK);
    assert_int_equal(r.status, 200);
    assert_memory_equal(w->host, "name.invalid:", 13);
    result_wipe(&r);
    /* and without it the name is asked for again: the connection is not reused under the name */
    call(w, &r, (struct http_call_opt){.url = url, .response_max = 100});
    assert_int_equal(r.rc, RC_IO);
    result_wipe(&r);
    call(w, &r,
         (struct http_call_opt){.url = url_at(http_server_port(w->server), "/x"),
                                .connect_to = "127.0.0.2:1",
                                .response_max = 100});
    assert_int_not_equal(r.rc, RC_OK);
    result_wipe(&r);
}

static void
test_long_responses_fail_but_tell_the_status(void **state)
{
    struct world *w = *state;
    struct result r;

    call(w, &r,
         (struct http_call_opt){.url = url_at(http_server_port(w->server), "/long"),
                                .response_max = 99999});
    assert_int_equal(r.rc, RC_LIMIT);
    assert_int_equal(r.status, 200);
    assert_true(r.body.len <= 99999);
    result_wipe(&r);
    call(w, &r,
         (struct http_call_opt){.url = url_at(http_server_port(w->server), "/long"),
                                .response_max = 100000});
    assert_int_equal(r.rc, RC_OK);
    assert_int_equal(r.body.len, 100000);
    result_wipe(&r);
    call(w, &r,
         (struct http_call_opt){.url = url_at(http_server_port(w->server), "/long"),
                                .on_data = on_data});
    assert_int_equal(r.rc, RC_OK);
    assert_int_equal(r.body.len, 0);
    assert_int_equal(r.streamed.len, 100000);
    result_wipe(&r);
}

static void
test_silence_times_out(void **state)
{
    struct world *w = *state;
    struct result r;

    call(w, &r,
         (struct http_call_opt){.url = url_at(http_server_port(w->server), "/hold"),
                                .total_timeout_ms = 50,
                                .response_max = 100});
    assert_int_equal(r.rc, RC_TIMEOUT);
    assert_int_equal(r.status, 0);
    assert_non_null(w->held);
    echo(w->held); /* nobody listens any more */
    result_wipe(&r);
}

static void
test_refused_connections_and_bad_calls(void **state)
{
    struct world *w = *state;
    uint16_t port = http_server_port(w->server);
    struct http_header broken = {"X", "a\r\nInjected: b"};
    struct result r;
    struct err err;

    assert_int_equal(http_client_call(NULL, w->client,
                                      &(struct http_call_opt){.url = url_at(port, "/"),
                                                              .headers = &broken,
                                                              .n_headers = 1,
                                                              .on_done = on_done,
                                                              .ctx = &r},
                                      &err),
                     RC_INVAL);
    assert_int_equal(
        http_client_call(
            NULL, w->client,
            &(struct http_call_opt){.url = "file:///etc/passwd", .on_done = on_done, .ctx = &r},
            &err),
        RC_INVAL);
    http_server_free(&w->server);
    call(w, &r, (struct http_call_opt){.url = url_at(port, "/"), .response_max = 100});
    assert_int_equal(r.rc, RC_IO);
    result_wipe(&r);
}

static void
test_cancel_and_free_end_calls_once(void **state)
{
    struct world *w = *state;
    struct http_call_opt opt = {.url = url_at(http_server_port(w->server), "/hold"),
                                .response_max = 100,
                                .on_done = on_done};
    struct http_call *cancelled;
    struct result a, b;

    result_init(&a);
    result_init(&b);
    opt.ctx = &a;
    assert_int_equal(http_client_call(&cancelled, w->client, &opt, NULL), RC_OK);
    opt.ctx = &b;
    assert_int_equal(http_client_call(NULL, w->client, &opt, NULL), RC_OK);
    http_call_cancel(cancelled);
    assert_false(a.is_done);
    net_wait(w->loop, &a.is_done);
    assert_int_equal(a.rc, RC_CLOSED);
    assert_int_equal(http_client_active(w->client), 1);
    http_client_free(&w->client);
    assert_int_equal(b.rc, RC_CLOSED);
    assert_int_equal(a.n_done, 1);
    assert_int_equal(b.n_done, 1);
    result_wipe(&a);
    result_wipe(&b);
}

/* ---- a listener that answers with raw bytes, once ---- */

struct rude {
    uv_tcp_t listener, peer;
    uv_shutdown_t shutdown;
    char room[4096];
    const char *answer, *more;
    size_t repeat; /* how often `more` follows the answer */
    unsigned open_handles;
    bool is_closed;
};

static void
on_rude_closed(uv_handle_t *handle)
{
    struct rude *rude = handle->data;

    rude->is_closed = --rude->open_handles == 0;
}

static void
rude_room(uv_handle_t *handle, size_t want, uv_buf_t *buf)
{
    struct rude *rude = handle->data;

    *buf = uv_buf_init(rude->room, sizeof(rude->room));
}

/* What is asked is not read; it is taken, so that our own end is no reset. */
static void
on_rude_read(uv_stream_t *peer, ssize_t n, const uv_buf_t *buf)
{
    if (n < 0)
        uv_close((uv_handle_t *)peer, on_rude_closed);
}

static void
on_rude_written(uv_write_t *write, int status)
{
    struct rude *rude = write->data;
    const char *text = rude->answer != NULL ? rude->answer : rude->more;
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, (unsigned)strlen(text));

    if (status == 0 && (rude->answer != NULL || rude->repeat-- > 0))
        uv_write(write, (uv_stream_t *)&rude->peer, &buf, 1, on_rude_written);
    else if (status == 0)
        uv_shutdown(&rude->shutdown, (uv_stream_t *)&rude->peer, NULL);
    rude->answer = NULL;
}

static void
on_rude_peer(uv_stream_t *listener, int status)
{
    static uv_write_t write;
    struct rude *rude = listener->data;

    uv_tcp_init(listener->loop, &rude->peer);
    rude->peer.data = rude;
    rude->open_handles++;
    uv_accept(listener, (uv_stream_t *)&rude->peer);
    uv_read_start((uv_stream_t *)&rude->peer, rude_room, on_rude_read);
    write.data = rude;
    on_rude_written(&write, 0);
}

static uint16_t
rude_open(struct rude *rude, struct loop *loop, const char *answer, const char *more, size_t repeat)
{
    struct sockaddr_in addr;
    int len = sizeof(addr);

    *rude = (struct rude){.answer = answer, .more = more, .repeat = repeat, .open_handles = 1};
    uv_ip4_addr("127.0.0.1", 0, &addr);
    uv_tcp_init(loop_uv(loop), &rude->listener);
    rude->listener.data = rude;
    uv_tcp_bind(&rude->listener, (struct sockaddr *)&addr, 0);
    assert_int_equal(uv_listen((uv_stream_t *)&rude->listener, 8, on_rude_peer), 0);
    uv_tcp_getsockname(&rude->listener, (struct sockaddr *)&addr, &len);
    return ntohs(addr.sin_port);
}

static const struct rude_case {
    const char *name, *answer, *more;
    size_t repeat;
    enum rc want;
} rude_cases[] = {
    {"closes at once",    "",                                                      "",                              0,      RC_IO   },
    {"not HTTP",          "SSH-2.0-hello\r\n",                                     "",                              0,      RC_IO   },
    {"ends in the body",  "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",      "",                              0,      RC_IO   },
    {"headers for ever",  "HTTP/1.1 200 OK\r\n",                                   "X-A: 01234567890123456789\r\n", 100000, RC_LIMIT},
    {"announces 1 GB",    "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", "0123",                          10,
     RC_LIMIT                                                                                                                       },
    {"no length, no end", "HTTP/1.1 200 OK\r\n\r\n",                               "0123456789",                    100000, RC_LIMIT},
    {"no length, closes", "HTTP/1.1 200 OK\r\n\r\nfine",                           "",                              0,      RC_OK   },
};

static void
test_rude_servers(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(rude_cases); i++) {
        struct rude rude;
        struct result r;
        uint16_t port = rude_open(&rude, w->loop, rude_cases[i].answer, rude_cases[i].more,
                                  rude_cases[i].repeat);

        call(w, &r, (struct http_call_opt){.url = url_at(port, "/"), .response_max = 1000});
        if (r.rc != rude_cases[i].want)
            fail_msg("%s: %s, %s", rude_cases[i].name, rc_name(r.rc), r.text);
        uv_close((uv_handle_t *)&rude.listener, on_rude_closed);
        net_wait(w->loop, &rude.is_closed);
        result_wipe(&r);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        T(test_methods_share_one_kept_connection),
        T(test_i23_redirects_are_not_followed),
        T(test_connect_to_decides_where_the_connection_goes),
        T(test_long_responses_fail_but_tell_the_status),
        T(test_silence_times_out),
        T(test_refused_connections_and_bad_calls),
        T(test_cancel_and_free_end_calls_once),
        T(test_rude_servers),
    };

    signal(SIGPIPE, SIG_IGN); /* as every program does */
    return cmocka_run_group_tests_name("http/client", tests, NULL, NULL);
}
