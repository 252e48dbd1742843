/* test_target.c - receivers that fail, hang, drip and pour; backlogs; what they cost and whom they
 * delay. */
#include "harness.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACCOUNT 15550123400u

static void
test_a_long_backlog_comes_out_of_the_store_in_order(void **state)
{
    struct hooks_world *w = *state;
    char body[16];
    int last = -1;

    w->flip_status = 503;
    for (unsigned i = 0; i < 1500; i++) {
        snprintf(body, sizeof(body), "%u", i);
        hooks_put(w, ACCOUNT, hooks_url(w, "/flip"), body, NULL);
    }
    hooks_drain(w);
    hooks_advance(w, HOUR);
    assert_true(w->n_calls < 40); /* a volley and some probes */
    w->flip_status = 200;
    w->n_calls = 0;
    hooks_advance(w, HOUR);
    assert_int_equal(hooks_count(w, ACCOUNT, 0), 0);
    assert_int_equal(w->n_calls, 1500);
    for (uint32_t i = 40; i < w->n_calls; i++) { /* nearly: eight at a time */
        assert_true(atoi(w->calls[i].head) > last - 300);
        last = atoi(w->calls[i].head);
    }
}

/* ---- receivers that misbehave ---- */

static void
test_i22_a_dead_target_gets_probes_and_is_back_at_once(void **state)
{
    struct hooks_world *w = *state;
    struct hooks_stats stats;

    w->flip_status = 503;
    for (unsigned i = 0; i < 50; i++)
        hooks_put(w, ACCOUNT, hooks_url(w, "/flip"), "x", NULL);
    hooks_drain(w);
    hooks_pump_stats(w->pump, &stats);
    assert_int_equal(stats.targets_failing, 1);
    assert_true(stats.waiting <= HOOKS_FAILING_ITEMS_MAX);
    w->n_calls = 0;
    hooks_drain(w);
    assert_int_equal(w->n_calls, 0); /* on back-off */
    hooks_advance(w, MINUTE);
    assert_int_equal(w->n_calls, 1); /* one probe */
    hooks_advance(w, 5 * MINUTE);
    assert_int_equal(w->n_calls, 2);
    w->flip_status = 200;
    hooks_advance(w, 5 * MINUTE); /* the probe succeeds: all the rest follows */
    assert_int_equal(hooks_count(w, ACCOUNT, 0), 0);
    hooks_pump_stats(w->pump, &stats);
    assert_int_equal(stats.targets_failing, 0);
    assert_int_equal(stats.waiting, 0);
}

static void
test_one_refused_event_does_not_hold_up_the_others(void **state)
{
    struct hooks_world *w = *state;

    w->flip_status = 500;
    hooks_put(w, ACCOUNT, hooks_url(w, "/flip"), "poison", NULL);
    hooks_drain(w);
    w->flip_status = 200;
    for (unsigned i = 0; i < 20; i++)
        hooks_put(w, ACCOUNT, hooks_url(w, "/flip"), "fine", NULL);
    hooks_drain(w);
    assert_int_equal(hooks_count(w, ACCOUNT, 0), 1);
    hooks_advance(w, 15 * SECOND);
    assert_int_equal(hooks_count(w, ACCOUNT, 0), 0);
}

/* A listener that accepts and then: says nothing, drips, or pours. */
struct bad_peer {
    uv_tcp_t listener;
    uv_timer_t timer;
    uv_tcp_t peers[64];
    uv_write_t writes[64];
    unsigned n_peers, n_most, n_now;
    enum { SILENT, DRIPPING, POURING } manner;
    bool is_closed;
    char room[65536];
};

static void
bad_room(uv_handle_t *handle, size_t want, uv_buf_t *buf)
{
    *buf = uv_buf_init(((struct bad_peer *)handle->data)->room, 65536);
}

static void
bad_closed(uv_handle_t *handle)
{
    ((struct bad_peer *)handle->data)->n_now--;
}

static void
bad_read(uv_stream_t *peer, ssize_t n, const uv_buf_t *buf)
{
    if (n < 0 && !uv_is_closing((uv_handle_t *)peer))
        uv_close((uv_handle_t *)peer, bad_closed);
}

static void
bad_poured(uv_write_t *write, int status)
{
    static char flood[65536];
    uv_buf_t buf = uv_buf_init(flood, sizeof(flood));
    uv_stream_t *peer = write->data;

    if (status == 0 && !uv_is_closing((uv_handle_t *)peer))
        uv_write(write, peer, &buf, 1, bad_poured);
}

static void
bad_drip(uv_timer_t *timer)
{
    struct bad_peer *bad = timer->data;
    uv_buf_t buf = uv_buf_init((char[]){'H'}, 1);

    for (unsigned i = 0; i < bad->n_peers; i++)
        if (!uv_is_closing((uv_handle_t *)&bad->peers[i]))
            uv_try_write((uv_stream_t *)&bad->peers[i], &buf, 1);
}

static void
bad_connected(uv_stream_t *listener, int status)
{
    static const char head[] = "HTTP/1.1 500 Oops\r\nContent-Length: 1073741824\r\n\r\n";
    struct bad_peer *bad = listener->data;
    uv_tcp_t *peer = &bad->peers[bad->n_peers];
    uv_write_t *write = &bad->writes[bad->n_peers++];
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)head, sizeof(head) - 1);

    assert_true(bad->n_peers < 64);
    uv_tcp_init(listener->loop, peer);
    peer->data = bad;
    uv_accept(listener, (uv_stream_t *)peer);
    uv_read_start((uv_stream_t *)peer, bad_room, bad_read);
    if (++bad->n_now > bad->n_most)
        bad->n_most = bad->n_now;
    write->data = peer;
    if (bad->manner == POURING)
        uv_write(write, (uv_stream_t *)peer, &buf, 1, bad_poured);
}

static void
bad_open(struct bad_peer *bad, struct loop *loop, int manner, char url[64])
{
    struct sockaddr_in addr;
    int len = sizeof(addr);

    memset(bad, 0, sizeof(*bad));
    bad->manner = manner;
    uv_ip4_addr("127.0.0.1", 0, &addr);
    uv_tcp_init(loop_uv(loop), &bad->listener);
    uv_timer_init(loop_uv(loop), &bad->timer);
    bad->listener.data = bad->timer.data = bad;
    uv_tcp_bind(&bad->listener, (struct sockaddr *)&addr, 0);
    assert_int_equal(uv_listen((uv_stream_t *)&bad->listener, 64, bad_connected), 0);
    uv_tcp_getsockname(&bad->listener, (struct sockaddr *)&addr, &len);
    snprintf(url, 64, "http://127.0.0.1:%u/", ntohs(addr.sin_port));
    if (manner == DRIPPING)
        uv_timer_start(&bad->timer, bad_drip, 5, 5);
}

struct i22 {
    struct hooks_world *w;
    uint32_t want;
};

static bool
healthy_are_served(void *ctx)
{
    struct i22 *i22 = ctx;

    return i22->w->n_calls >= i22->want;
}

/* Silent, dripping and pouring receivers beside a healthy one: the healthy one is served while the
 * others' first calls still hang, and they cost a bounded number of sockets. */
static void
test_i22_bad_receivers_cost_little_and_delay_nobody(void **state)
{
    static struct bad_peer bad[3];
    struct hooks_world *w = *state;
    struct i22 i22 = {w, 0};
    struct hooks_stats stats;
    char urls[3][64];

    for (unsigned i = 0; i < 3; i++)
        bad_open(&bad[i], w->loop, (int)i, urls[i]);
    for (unsigned i = 0; i < 40; i++)
        for (unsigned k = 0; k < 3; k++)
            hooks_put(w, ACCOUNT + k, urls[k], "x", NULL);
    for (unsigned i = 0; i < 100; i++)
        hooks_put(w, ACCOUNT + 10 + i, hooks_url(w, "/ok"), "x", NULL);
    i22.want = 100;
    net_wait_for(w->loop, healthy_are_served, &i22);
    hooks_pump_stats(w->pump, &stats);
    assert_true(stats.in_flight >= 8); /* the silent ones still hang */
    for (unsigned k = 0; k < 3; k++)
        assert_true(bad[k].n_most <= 16); /* eight, and those whose end has not been seen yet */
    hooks_drain(w);                       /* their time runs out */
    for (unsigned k = 0; k < 3; k++) {
        assert_true(hooks_count(w, ACCOUNT + k, 0) == 40);
        assert_true(bad[k].n_most <= 16);
    }
    hooks_pump_stats(w->pump, &stats);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.targets_failing, 3);
    assert_true(stats.waiting <= 3 * HOOKS_FAILING_ITEMS_MAX);
}

static int
setup_short(void **state)
{
    struct hooks_world *w;

    hooks_setup(state);
    w = *state;
    hooks_pump_free(&w->pump);
    w->opt.total_timeout_ms = 700;
    hooks_open_pump(w);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, hooks_setup, hooks_teardown)
        T(test_a_long_backlog_comes_out_of_the_store_in_order),
        T(test_i22_a_dead_target_gets_probes_and_is_back_at_once),
        T(test_one_refused_event_does_not_hold_up_the_others),
        cmocka_unit_test_setup_teardown(test_i22_bad_receivers_cost_little_and_delay_nobody,
                                        setup_short, hooks_teardown),
    };

    signal(SIGPIPE, SIG_IGN); /* as every program does */
    return cmocka_run_group_tests_name("hooks/target", tests, NULL, NULL);
}
