/* test_tls.c - the server's and the client's TLS: who is trusted, who must prove what, swaps. */
#include "net.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crypto/ca.h"
#include "http/client.h"
#include "http/server.h"

struct pem {
    struct buf cert, key;
};

struct pki {
    char dir[64];
    struct pem ca, other_ca;                 /* roots */
    struct pem server, second, wrong_host;   /* leaves of ca */
    struct pem client, stranger, not_client; /* stranger is of other_ca */
};

struct world {
    struct loop *loop;
    struct http_server *server;
    struct http_client *client;
    bool is_done;
    enum rc rc;
    int status;
    char peer[64];
    unsigned n_requests;
};

static struct pki pki;

static void
make_root(struct pem *out, const char *name)
{
    buf_init(&out->cert, CA_PEM_MAX);
    buf_init(&out->key, CA_PEM_MAX);
    assert_int_equal(ca_make(&out->cert, &out->key, name, time(NULL), NULL), RC_OK);
}

static void
make_leaf(struct pem *out, const struct pem *root, const char *common_name, const char *host,
          bool is_server, bool is_client)
{
    struct ca_leaf leaf = {.common_name = common_name,
                           .names = &host,
                           .n_names = host != NULL,
                           .is_server = is_server,
                           .is_client = is_client,
                           .now_unix_s = time(NULL)};

    buf_init(&out->cert, CA_PEM_MAX);
    buf_init(&out->key, CA_PEM_MAX);
    assert_int_equal(
        ca_issue(&out->cert, &out->key, buf_bytes(&root->cert), buf_bytes(&root->key), &leaf, NULL),
        RC_OK);
}

static const char *
path_of(const char *name)
{
    static char path[4][128];
    static unsigned turn;
    char *out = path[turn++ % 4];

    snprintf(out, sizeof(path[0]), "%s/%s", pki.dir, name);
    return out;
}

static void
write_file(const char *name, struct buf *content)
{
    FILE *file = fopen(path_of(name), "w");

    assert_non_null(file);
    assert_int_equal(fwrite(content->ptr, 1, content->len, file), content->len);
    fclose(file);
}

static int
make_pki(void **state)
{
    snprintf(pki.dir, sizeof(pki.dir), "/tmp/parley-tls-XXXXXX");
    assert_non_null(mkdtemp(pki.dir));
    make_root(&pki.ca, "test root");
    make_root(&pki.other_ca, "other root");
    make_leaf(&pki.server, &pki.ca, "parley-one", "127.0.0.1", true, false);
    make_leaf(&pki.second, &pki.ca, "parley-two", "127.0.0.1", true, false);
    make_leaf(&pki.wrong_host, &pki.ca, "parley-three", "127.0.0.9", true, false);
    make_leaf(&pki.client, &pki.ca, "parley-cloud", NULL, false, true);
    make_leaf(&pki.stranger, &pki.other_ca, "parley-cloud", NULL, false, true);
    make_leaf(&pki.not_client, &pki.ca, "parley-cloud", "127.0.0.1", true, false);
    write_file("ca", &pki.ca.cert);
    write_file("other_ca", &pki.other_ca.cert);
    write_file("client", &pki.client.cert);
    write_file("client.key", &pki.client.key);
    write_file("stranger", &pki.stranger.cert);
    write_file("stranger.key", &pki.stranger.key);
    write_file("not_client", &pki.not_client.cert);
    write_file("not_client.key", &pki.not_client.key);
    return 0;
}

static int
drop_pki(void **state)
{
    static const char *const names[] = {"ca",       "other_ca",     "client",     "client.key",
                                        "stranger", "stranger.key", "not_client", "not_client.key"};
    struct pem *all[] = {&pki.ca,         &pki.other_ca, &pki.server,   &pki.second,
                         &pki.wrong_host, &pki.client,   &pki.stranger, &pki.not_client};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unlink(path_of(names[i]));
    rmdir(pki.dir);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        buf_wipe(&all[i]->cert);
        buf_wipe(&all[i]->key);
    }
    return 0;
}

static void
on_request(void *ctx, struct http_request *req)
{
    struct world *w = ctx;
    const char *peer = http_request_peer_name(req);

    w->n_requests++;
    snprintf(w->peer, sizeof(w->peer), "%s", peer == NULL ? "" : peer);
    http_reply(req, http_request_is_tls(req) ? 200 : 500, NULL, 0, bytes_of_str("ok"));
}

static void
on_done(void *ctx, enum rc rc, int status, struct bytes body, const char *error_text)
{
    struct world *w = ctx;

    w->is_done = true;
    w->rc = rc;
    w->status = status;
}

static int
setup(void **state)
{
    struct world *w = test_calloc(1, sizeof(*w));

    assert_int_equal(loop_new(&w->loop, NULL), RC_OK);
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
serve(struct world *w, struct pem *identity, struct pem *client_ca)
{
    assert_int_equal(
        http_server_open(&w->server,
                         &(struct http_server_opt){
                             .loop = w->loop,
                             .log = log_none(),
                             .host = "127.0.0.1",
                             .cert_pem = buf_cstr(&identity->cert),
                             .key_pem = buf_cstr(&identity->key),
                             .client_ca_pem = client_ca == NULL ? NULL : buf_cstr(&client_ca->cert),
                             .max_body = 1000,
                             .on_request = on_request,
                             .ctx = w},
                         NULL),
        RC_OK);
}

/* A call with a client of its own, so that nothing is kept from an earlier one. */
static void
call_as(struct world *w, const char *ca, const char *identity, bool allow_any_cert)
{
    char url[64], key[64];

    snprintf(url, sizeof(url), "https://127.0.0.1:%u/", http_server_port(w->server));
    snprintf(key, sizeof(key), "%s.key", identity == NULL ? "" : identity);
    http_client_free(&w->client);
    assert_int_equal(http_client_open(&w->client,
                                      &(struct http_client_opt){
                                          .loop = w->loop,
                                          .log = log_none(),
                                          .ca_file = ca == NULL ? NULL : path_of(ca),
                                          .cert_file = identity == NULL ? NULL : path_of(identity),
                                          .key_file = identity == NULL ? NULL : path_of(key)},
                                      NULL),
                     RC_OK);
    w->is_done = false;
    w->peer[0] = '\0';
    assert_int_equal(http_client_call(NULL, w->client,
                                      &(struct http_call_opt){.url = url,
                                                              .response_max = 100,
                                                              .allow_any_cert = allow_any_cert,
                                                              .on_done = on_done,
                                                              .ctx = w},
                                      NULL),
                     RC_OK);
    net_wait(w->loop, &w->is_done);
}

static void
test_i23_certificate_faults_are_failures(void **state)
{
    struct world *w = *state;

    serve(w, &pki.server, NULL);
    call_as(w, "ca", NULL, false);
    assert_int_equal(w->rc, RC_OK);
    assert_int_equal(w->status, 200);
    assert_string_equal(w->peer, "");
    call_as(w, "other_ca", NULL, false);
    assert_int_equal(w->rc, RC_AUTH);
    call_as(w, NULL, NULL, false); /* the system's authorities do not know ours */
    assert_int_equal(w->rc, RC_AUTH);
    call_as(w, "other_ca", NULL, true);
    assert_int_equal(w->rc, RC_OK);
    http_server_free(&w->server);

    serve(w, &pki.wrong_host, NULL);
    call_as(w, "ca", NULL, false);
    assert_int_equal(w->rc, RC_AUTH);
    assert_int_equal(w->n_requests, 2);
}

static void
test_client_certificates_are_required_and_verified(void **state)
{
    struct world *w = *state;

    serve(w, &pki.server, &pki.ca);
    call_as(w, "ca", "client", false);
    assert_int_equal(w->rc, RC_OK);
    assert_string_equal(w->peer, "parley-cloud");
    call_as(w, "ca", NULL, false);
    assert_int_not_equal(w->rc, RC_OK);
    call_as(w, "ca", "stranger", false);
    assert_int_not_equal(w->rc, RC_OK);
    call_as(w, "ca", "not_client", false);
    assert_int_not_equal(w->rc, RC_OK);
    assert_int_equal(w->n_requests, 1); /* the others never got as far as a request */
}

static void
test_a_swapped_certificate_is_shown_to_new_connections(void **state)
{
    struct world *w = *state;
    struct err err;

    serve(w, &pki.wrong_host, NULL);
    call_as(w, "ca", NULL, false);
    assert_int_equal(w->rc, RC_AUTH);
    assert_int_equal(http_server_set_cert(w->server, buf_cstr(&pki.second.cert),
                                          buf_cstr(&pki.second.key), NULL),
                     RC_OK);
    call_as(w, "ca", NULL, false);
    assert_int_equal(w->rc, RC_OK);
    /* what does not fit is refused and changes nothing */
    assert_int_equal(http_server_set_cert(w->server, buf_cstr(&pki.server.cert),
                                          buf_cstr(&pki.second.key), &err),
                     RC_AUTH);
    assert_int_equal(http_server_set_cert(w->server, "no certificate", "no key", &err),
                     RC_MALFORMED);
    call_as(w, "ca", NULL, false);
    assert_int_equal(w->rc, RC_OK);
}

static void
on_moment(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void
wait_a_moment(struct world *w, uint64_t ms)
{
    bool is_over = false;
    uv_timer_t timer = {.data = &is_over};

    uv_timer_init(loop_uv(w->loop), &timer);
    uv_timer_start(&timer, on_moment, ms, 0);
    net_wait(w->loop, &is_over);
    uv_close((uv_handle_t *)&timer, NULL);
    loop_poll(w->loop);
}

/* Peers that stop inside the handshake: others are served at once, and the loop does not spin. */
static void
test_i39_silence_in_the_handshake_costs_nobody_anything(void **state)
{
    static const uint8_t half[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01};
    struct world *w = *state;
    struct net_peer silent, slow;
    clock_t spent;

    serve(w, &pki.server, NULL);
    net_open(&silent, w->loop, http_server_port(w->server));
    net_open(&slow, w->loop, http_server_port(w->server));
    net_send_bytes(&slow, bytes_of(half, sizeof(half)));
    spent = clock();
    call_as(w, "ca", NULL, false);
    assert_int_equal(w->status, 200);
    wait_a_moment(w, 1000);
    assert_true(clock() - spent <
                CLOCKS_PER_SEC * 3 / 4); /* of the program's time, not the wall's */
    net_close(&silent);
    net_close(&slow);
}

static void
test_plain_bytes_on_a_tls_port_are_dropped(void **state)
{
    struct world *w = *state;
    struct net_peer peer;

    serve(w, &pki.server, NULL);
    net_open(&peer, w->loop, http_server_port(w->server));
    net_send(&peer, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    net_expect_close(&peer);
    assert_int_equal(w->n_requests, 0);
    net_close(&peer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        T(test_i23_certificate_faults_are_failures),
        T(test_client_certificates_are_required_and_verified),
        T(test_a_swapped_certificate_is_shown_to_new_connections),
        T(test_i39_silence_in_the_handshake_costs_nobody_anything),
        T(test_plain_bytes_on_a_tls_port_are_dropped),
    };

    signal(SIGPIPE, SIG_IGN); /* as every program does */
    return cmocka_run_group_tests_name("http/tls", tests, make_pki, drop_pki);
}
