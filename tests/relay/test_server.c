/* test_server.c - the door: silence, garbage, knocking too often, too many at once (I39). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/peer.h"
#include "rig.h"

struct one {
    struct rig rig;
    struct device ana;
};

static int
set_up(void **state)
{
    struct one *o = calloc(1, sizeof(*o));

    rig_init(&o->rig);
    o->rig.limits.handshake_ms = 400;
    o->rig.limits.first_ms = 400;
    rig_start(&o->rig);
    device_init(&o->ana, &o->rig, 15557654321);
    *state = o;
    return 0;
}

static int
tear_down(void **state)
{
    struct one *o = *state;

    device_wipe(&o->ana);
    rig_wipe(&o->rig);
    free(o);
    return 0;
}

static int
knock(const struct rig *rig)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(rig->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* Has the other side ended the connection? What it may have said before is read away. */
static bool
is_shut(int fd)
{
    char away[4096];
    ssize_t n;

    while ((n = recv(fd, away, sizeof(away), 0)) > 0)
        ;
    return n == 0 || (errno != EAGAIN && errno != EINTR);
}

struct knocks {
    int *fds;
    size_t n;
};

static bool
all_shut(void *ctx)
{
    const struct knocks *k = ctx;

    for (size_t i = 0; i < k->n; i++) {
        if (!is_shut(k->fds[i]))
            return false;
    }
    return true;
}

static void
close_all(struct knocks *k)
{
    for (size_t i = 0; i < k->n; i++)
        close(k->fds[i]);
}

static void
test_i39_half_open_and_silent(void **state)
{
    struct one *o = *state;
    int fds[200];
    struct knocks k = {fds, ARRAY_LEN(fds)};

    for (size_t i = 0; i < k.n; i++) {
        fds[i] = knock(&o->rig);
        if (i % 2 == 0) /* some begin a handshake and stop */
            assert_int_equal(send(fds[i], "PLY1\1\0", 6, MSG_NOSIGNAL), 6);
    }
    assert_true(rig_wait(&o->rig, all_shut, &k));
    close_all(&k);
    device_register(&o->ana, 1); /* and others are served */
}

static void
test_i39_garbage(void **state)
{
    struct one *o = *state;
    int fds[100];
    struct knocks k = {fds, ARRAY_LEN(fds)};
    uint64_t seed = 7;
    struct rng rng = rng_seeded(&seed);

    for (size_t i = 0; i < k.n; i++) {
        uint8_t noise[3000];
        size_t n = 1 + rng_below(rng, sizeof(noise));

        rng_fill(rng, noise, n);
        if (i % 3 == 0) /* the right hello, then nonsense */
            memcpy(noise, "PLY1\1", n < 5 ? n : 5);
        fds[i] = knock(&o->rig);
        (void)!send(fds[i], noise, n, MSG_NOSIGNAL);
    }
    assert_true(rig_wait(&o->rig, all_shut, &k));
    close_all(&k);
    device_register(&o->ana, 1);
}

static void
test_i39_no_login_in_time(void **state)
{
    struct one *o = *state;

    device_connect(&o->ana);
    assert_true(o->ana.is_up);
    device_wait_end(&o->ana);
    assert_int_equal(o->ana.reason, CLOSED(SLOW));
    assert_true(sizeof(struct peer) <= 1024); /* beside the channel's own, see tests/link */
}

static bool
twenty_shut(void *ctx)
{
    const struct knocks *k = ctx;
    size_t n = 0;

    for (size_t i = 0; i < k->n; i++)
        n += is_shut(k->fds[i]);
    return n >= 20;
}

static void
test_i39_address_that_knocks_too_often(void **state)
{
    struct one *o = *state;
    int fds[40];
    struct knocks k = {fds, ARRAY_LEN(fds)};

    rig_stop(&o->rig);
    o->rig.limits.count_loopback = true;
    o->rig.limits.handshakes_per_10s = 20;
    o->rig.limits.handshake_ms = 10000;
    rig_start(&o->rig);
    for (size_t i = 0; i < k.n; i++)
        fds[i] = knock(&o->rig);
    /* the loops share one count, whichever of them took a connection */
    assert_true(rig_wait(&o->rig, twenty_shut, &k));
    rig_pass_ms(&o->rig, 50);
    size_t n_shut = 0;
    for (size_t i = 0; i < k.n; i++)
        n_shut += is_shut(fds[i]);
    assert_int_equal(n_shut, 20);
    close_all(&k);
}

static void
test_connection_ceiling(void **state)
{
    struct one *o = *state;
    int fds[10];
    struct knocks k = {fds, ARRAY_LEN(fds)};
    size_t n_shut = 0;

    rig_stop(&o->rig);
    o->rig.limits.connections = 6;
    o->rig.limits.handshake_ms = 2000;
    rig_start(&o->rig);
    for (size_t i = 0; i < k.n; i++) {
        fds[i] = knock(&o->rig);
        rig_pass_ms(&o->rig, 20);
    }
    for (size_t i = 0; i < k.n; i++)
        n_shut += is_shut(fds[i]);
    assert_int_equal(n_shut, 4);
    close_all(&k);
    rig_pass_ms(&o->rig, 100);
    device_register(&o->ana, 1); /* room again */
}

/* Who is not logged in yet cannot make the relay hold a large frame; who is can. */
static void
test_i39_large_frames_come_after_the_login(void **state)
{
    struct one *o = *state;
    struct message m = {.to = &o->ana, .len = 65 * 1024};

    device_register(&o->ana, 1);
    device_publish(&o->ana, &m);
    device_wait_end(&o->ana);
    assert_int_not_equal(o->ana.end, CHANNEL_BYE);
    device_come(&o->ana);
    m = (struct message){.to = &o->ana, .len = 65 * 1024};
    assert_int_equal(device_publish_wait(&o->ana, &m), REASON(STALE_DEVICES)); /* to herself */
}

/* A frame that is no request, from somebody who is logged in. */
static void
test_wrong_frames(void **state)
{
    struct one *o = *state;
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Done done = PARLEY__WIRE__DONE__INIT;

    device_register(&o->ana, 1);
    device_come(&o->ana);
    frame.request_id = 1;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_DONE;
    frame.done = &done;
    device_tell(&o->ana, &frame);
    device_wait_end(&o->ana);
    assert_int_equal(o->ana.reason, CLOSED(PROTOCOL_ERROR));
}

static void
test_stopping_says_draining(void **state)
{
    struct one *o = *state;

    device_register(&o->ana, 1);
    device_come(&o->ana);
    rig_stop(&o->rig);
    device_wait_end(&o->ana);
    assert_int_equal(o->ana.end, CHANNEL_BYE);
    assert_int_equal(o->ana.reason, CLOSED(DRAINING));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_i39_half_open_and_silent),
        TEST(test_i39_garbage),
        TEST(test_i39_no_login_in_time),
        TEST(test_i39_address_that_knocks_too_often),
        TEST(test_connection_ceiling),
        TEST(test_i39_large_frames_come_after_the_login),
        TEST(test_wrong_frames),
        TEST(test_stopping_says_draining),
    };

    return cmocka_run_group_tests_name("relay/server", tests, NULL, NULL);
}
