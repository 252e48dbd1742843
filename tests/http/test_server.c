/* test_server.c - requests as they come from the wild: kept alive, pipelined, in chunks, too long,
 * half open, dripping. */
#include "net.h"

#include <string.h>
#include <sys/socket.h>

#include "http/server.h"

#define MAX_BODY 4096u

struct world {
    struct loop *loop;
    struct http_server *server;
    struct http_request *held; /* by /hold */
    struct http_stream *stream;
    unsigned n_requests, n_gone;
    bool is_held, is_gone;
};

static void
stream_gone(void *ctx)
{
    struct world *w = ctx;

    w->n_gone++;
    w->is_gone = true;
    w->stream = NULL;
}

/* "METHOD path a=b c=d [body]" back, so that a case can compare one text. */
static void
echo(struct http_request *req)
{
    struct buf out;
    const char *name, *value;
    struct http_header headers[] = {
        {"Content-Type", "text/plain"}
    };

    buf_init(&out, 65536);
    buf_printf(&out, "%s %s", http_method_name(http_request_method(req)), http_request_path(req));
    for (unsigned i = 0; http_request_query_at(req, i, &name, &value); i++)
        buf_printf(&out, " %s=%s", name, value);
    buf_put_str(&out, " [");
    buf_put(&out, http_request_body(req));
    buf_put_str(&out, "]");
    http_reply(req, 200, headers, 1, buf_bytes(&out));
    buf_free(&out);
}

static void
on_request(void *ctx, struct http_request *req)
{
    struct world *w = ctx;

    w->n_requests++;
    if (strcmp(http_request_path(req), "/hold") == 0) {
        w->held = req;
        w->is_held = true;
    } else if (strcmp(http_request_path(req), "/stream") == 0) {
        w->stream = http_reply_stream(req, 200, NULL, 0, stream_gone, w);
    } else {
        echo(req);
    }
}

static const char *
on_refuse(void *ctx, int status, struct buf *body)
{
    buf_printf(body, "{\"refused\":%d}", status);
    return "application/json";
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
                                                                .max_body = MAX_BODY,
                                                                .head_timeout_ms = 200,
                                                                .on_request = on_request,
                                                                .on_refuse = on_refuse,
                                                                .ctx = w},
                                      NULL),
                     RC_OK);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;

    http_server_free(&w->server);
    loop_free(&w->loop);
    test_free(w);
    return 0;
}

static const struct wire_case {
    const char *name, *request, *want;
    bool ends; /* the server closes afterwards */
} wire_cases[] = {
    {"get",                     "GET /a/b HTTP/1.1\r\nHost: x\r\n\r\n",                                       "\r\n\r\nGET /a/b []",   false},
    {"trailing slash is kept",  "GET /a/ HTTP/1.1\r\nHost: x\r\n\r\n",                                        "GET /a/ []",            false},
    {"percent in path",         "GET /a%20b%2Fc HTTP/1.1\r\nHost: x\r\n\r\n",                                 "GET /a b/c []",         false},
    {"broken percent stays",    "GET /a%2 HTTP/1.1\r\nHost: x\r\n\r\n",                                       "GET /a%2 []",           false},
    {"query",                   "GET /q?a=1&b=x%3Dy+z&c&hub.mode=s HTTP/1.1\r\nHost: x\r\n\r\n",
     "GET /q a=1 b=x=y z c= hub.mode=s []",                                                                                            false},
    {"post",                    "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",              "POST /p [hello]",
     false                                                                                                                                  },
    {"body on delete",          "DELETE /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
     "DELETE /p [{}]",                                                                                                                 false},
    {"patch",                   "PATCH /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",                "PATCH /p [{}]",
     false                                                                                                                                  },
    {"other method",            "BREW /p HTTP/1.1\r\nHost: x\r\n\r\n",                                        "OTHER /p []",           false},
    {"chunked",
     "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
     "5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n",                                                       "POST /c [hello world]", false},
    {"header with underscore",  "GET /h HTTP/1.1\r\nHost: x\r\nfile_offset: 0\r\n\r\n",                       "GET /h []",
     false                                                                                                                                  },
    {"NUL in path",             "GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n",                                     "{\"refused\":400}",     false},
    {"NUL in query",            "GET /a?b=%00 HTTP/1.1\r\nHost: x\r\n\r\n",                                   "{\"refused\":400}",     false},
    {"length beside chunks",
     "POST /s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
     "0\r\n\r\n",                                                                                             "{\"refused\":400}",     true },
    {"two lengths",
     "POST /s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",                    "{\"refused\":400}",     true },
    {"unknown transfer coding",
     "POST /s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",                      "{\"refused\":400}",     true },
    {"chunked in 1.0",          "POST /s HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "{\"refused\":400}",                                                                                                              true },
    {"length far too long",     "POST /s HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n",
     "{\"refused\":413}",                                                                                                              true },
    {"too long, asked first",
     "POST /s HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n",                   "{\"refused\":413}",     true },
    {"no Host",                 "GET / HTTP/1.1\r\n\r\n",                                                     "400",                   true },
    {"not HTTP",                "\x16\x03\x01 hello\r\n\r\n",                                                 "",                      true },
};

static void
test_requests_from_the_wild(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(wire_cases); i++) {
        const struct wire_case *c = &wire_cases[i];
        struct net_peer peer;

        net_open(&peer, w->loop, http_server_port(w->server));
        net_send(&peer, c->request);
        if (c->want[0] != '\0')
            net_expect(&peer, c->want, 1);
        if (c->ends) {
            net_expect_close(&peer);
        } else { /* the connection still serves */
            net_send(&peer, "GET /again HTTP/1.1\r\nHost: x\r\n\r\n");
            net_expect(&peer, "GET /again []", 1);
        }
        net_close(&peer);
    }
}

static void
test_pipelined_requests_are_answered_in_order(void **state)
{
    struct world *w = *state;
    struct net_peer peer;
    const char *at;

    net_open(&peer, w->loop, http_server_port(w->server));
    net_send(&peer, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
                    "POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                    "GET /3 HTTP/1.1\r\nHost: x\r\n\r\n");
    net_expect(&peer, "/3 []", 1);
    at = strstr(buf_cstr(&peer.in), "GET /1 []");
    assert_non_null(at);
    at = strstr(at, "POST /2 [abc]");
    assert_non_null(at);
    assert_non_null(strstr(at, "GET /3 []"));
    net_close(&peer);
}

/* One request waits for its commit; others are served meanwhile, and it is answered later. */
static void
test_a_held_request_waits_and_others_do_not(void **state)
{
    struct world *w = *state;
    struct net_peer slow, quick;

    net_open(&slow, w->loop, http_server_port(w->server));
    net_send(&slow,
             "POST /hold HTTP/1.1\r\nHost: x\r\nX-Note: kept\r\nContent-Length: 4\r\n\r\nbody"
             "GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    net_wait(w->loop, &w->is_held);
    net_open(&quick, w->loop, http_server_port(w->server));
    net_send(&quick, "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n");
    net_expect(&quick, "GET /quick []", 1);
    assert_int_equal(w->n_requests, 2); /* the pipelined one waits behind */
    assert_string_equal(http_request_header(w->held, "x-note"), "kept");
    assert_null(http_request_header(w->held, "x-none"));
    assert_null(http_request_peer_name(w->held));
    assert_false(http_request_is_tls(w->held));
    echo(w->held);
    net_expect(&slow, "POST /hold [body]", 1);
    net_expect(&slow, "GET /next []", 1);
    assert_int_equal(http_server_connections(w->server), 2);
    net_close(&quick);
    net_close(&slow);
}

static void
test_a_body_slightly_too_long_is_413_and_the_connection_lives(void **state)
{
    struct world *w = *state;
    struct net_peer peer;
    char body[MAX_BODY + 2];

    memset(body, 'x', sizeof(body));
    body[MAX_BODY + 1] = '\0';
    net_open(&peer, w->loop, http_server_port(w->server));
    net_send(&peer, "POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: 4097\r\n\r\n");
    net_send(&peer, body);
    net_expect(&peer, "{\"refused\":413}", 1);
    net_expect(&peer, "application/json", 1);
    net_send(&peer, "POST /big HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1001\r\n");
    net_send(&peer, body);
    net_send(&peer, "\r\n0\r\n\r\n");
    net_expect(&peer, "{\"refused\":413}", 2);
    net_send(&peer, "POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: 4096\r\n\r\n");
    net_send(&peer, body + 1);
    net_expect(&peer, "POST /big [xxxx", 1);
    assert_int_equal(w->n_requests, 1);
    net_close(&peer);
}

/* I39: what an upload without end can make us read is bounded. */
static void
test_i39_an_endless_body_is_cut_off(void **state)
{
    struct world *w = *state;
    struct net_peer peer;
    char chunk[8192 + 9];
    unsigned n;

    memcpy(chunk, "2000\r\n", 6);
    memset(chunk + 6, 'x', 8192);
    memcpy(chunk + 6 + 8192, "\r\n", 3);
    net_open(&peer, w->loop, http_server_port(w->server));
    net_send(&peer, "POST /e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (n = 0; n < 4096 && !peer.is_closed; n++) {
        uint8_t byte;

        net_send(&peer, chunk);
        loop_poll(w->loop);
        peer.is_closed = recv(peer.fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
    }
    assert_true(n < 4096);
    assert_int_equal(w->n_requests, 0);
    net_close(&peer);
}

static void
test_long_heads_are_431(void **state)
{
    struct world *w = *state;
    struct net_peer peer;
    char filler[13000];

    memset(filler, 'a', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = '\0';
    net_open(&peer, w->loop, http_server_port(w->server));
    net_send(&peer, "GET /long HTTP/1.1\r\nHost: x\r\nX-Filler: ");
    net_send(&peer, filler);
    net_send(&peer, "\r\n\r\n");
    net_expect(&peer, "{\"refused\":431}", 1);
    net_close(&peer);
    assert_int_equal(w->n_requests, 0);
}

static void
test_too_many_query_arguments_are_400(void **state)
{
    struct world *w = *state;
    struct net_peer peer;

    net_open(&peer, w->loop, http_server_port(w->server));
    net_send(&peer, "GET /q?");
    for (unsigned i = 0; i <= HTTP_QUERY_ARGS_MAX; i++)
        net_send(&peer, "a&");
    net_send(&peer, "z HTTP/1.1\r\nHost: x\r\n\r\n");
    net_expect(&peer, "{\"refused\":400}", 1);
    net_close(&peer);
}

/* Nobody is told of a request whose peer left half way. */
static void
test_half_requests_are_forgotten(void **state)
{
    struct world *w = *state;
    struct net_peer peer, other;

    net_open(&peer, w->loop, http_server_port(w->server));
    net_send(&peer, "POST /half HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf");
    net_open(&other, w->loop, http_server_port(w->server));
    net_send(&other, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
    net_expect(&other, "GET /x []", 1);
    assert_int_equal(http_server_connections(w->server), 2);
    net_close(&peer);
    net_send(&other, "GET /y HTTP/1.1\r\nHost: x\r\n\r\n");
    net_expect(&other, "GET /y []", 1);
    assert_int_equal(http_server_connections(w->server), 1);
    assert_int_equal(w->n_requests, 2);
    net_close(&other);
}

static void
test_a_reply_to_a_peer_that_left_is_harmless(void **state)
{
    struct world *w = *state;
    struct net_peer peer, other;

    net_open(&peer, w->loop, http_server_port(w->server));
    net_send(&peer, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    net_wait(w->loop, &w->is_held);
    net_close(&peer);
    echo(w->held);
    net_open(&other, w->loop, http_server_port(w->server));
    net_send(&other, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
    net_expect(&other, "GET /x []", 1);
    net_close(&other);
}

/* I39: a peer that never finishes its first head is cut off, even if it drips bytes. */
static void
test_i39_dripping_and_silent_peers_are_cut_off(void **state)
{
    struct world *w = *state;
    struct net_peer dripping, silent;

    net_open(&silent, w->loop, http_server_port(w->server));
    net_open(&dripping, w->loop, http_server_port(w->server));
    net_send(&dripping, "GET /slow HTTP/1.1\r\nHost: x\r\nX-");
    net_expect_close(&silent);
    net_expect_close(&dripping);
    assert_int_equal(w->n_requests, 0);
    net_close(&silent);
    net_close(&dripping);
}

static void
test_a_server_can_go_while_requests_wait(void **state)
{
    struct world *w = *state;
    struct net_peer held, streaming, idle;

    net_open(&held, w->loop, http_server_port(w->server));
    net_send(&held, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    net_wait(w->loop, &w->is_held);
    net_open(&streaming, w->loop, http_server_port(w->server));
    net_send(&streaming, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    net_expect(&streaming, "200 OK", 1);
    net_open(&idle, w->loop, http_server_port(w->server));
    http_server_free(&w->server);
    assert_int_equal(w->n_gone, 1);
    net_expect_close(&held);
    net_close(&held);
    net_close(&streaming);
    net_close(&idle);
}

static void
test_streams_push_end_and_notice_a_peer_that_leaves(void **state)
{
    struct world *w = *state;
    struct net_peer peer;

    net_open(&peer, w->loop, http_server_port(w->server));
    net_send(&peer, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    net_expect(&peer, "chunked", 1);
    assert_true(http_stream_push(w->stream, bytes_of_str("first\n")));
    net_expect(&peer, "first\n", 1);
    assert_true(http_stream_push(w->stream, bytes_of_str("second\n")));
    assert_true(http_stream_push(w->stream, bytes_of_str("third\n")));
    net_expect(&peer, "third\n", 1);
    http_stream_end(w->stream);
    net_expect(&peer, "\r\n0\r\n\r\n", 1);
    net_wait(w->loop, &w->is_gone);

    w->is_gone = false; /* the connection lives on and takes a second stream */
    net_send(&peer, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    net_expect(&peer, "HTTP/1.1 200", 2);
    net_close(&peer);
    net_wait(w->loop, &w->is_gone);
    assert_int_equal(w->n_gone, 2);
}

static void
test_a_stream_nobody_reads_is_ended(void **state)
{
    static uint8_t block[65536];
    struct world *w = *state;
    struct net_peer peer;
    unsigned n;

    net_open(&peer, w->loop, http_server_port(w->server));
    net_send(&peer, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    net_expect(&peer, "chunked", 1);
    for (n = 0; n < 1024 && http_stream_push(w->stream, bytes_of(block, sizeof(block))); n++)
        loop_poll(w->loop);
    assert_true(n < 1024);
    net_wait(w->loop, &w->is_gone);
    net_close(&peer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        T(test_requests_from_the_wild),
        T(test_pipelined_requests_are_answered_in_order),
        T(test_a_held_request_waits_and_others_do_not),
        T(test_a_body_slightly_too_long_is_413_and_the_connection_lives),
        T(test_i39_an_endless_body_is_cut_off),
        T(test_long_heads_are_431),
        T(test_too_many_query_arguments_are_400),
        T(test_half_requests_are_forgotten),
        T(test_a_reply_to_a_peer_that_left_is_harmless),
        T(test_i39_dripping_and_silent_peers_are_cut_off),
        T(test_a_server_can_go_while_requests_wait),
        T(test_streams_push_end_and_notice_a_peer_that_leaves),
        T(test_a_stream_nobody_reads_is_ended),
    };

    return cmocka_run_group_tests_name("http/server", tests, NULL, NULL);
}
