/* test_channel_read.c - the reading half: what does not parse, what is forged, and strangers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#include "pair.h"

#define STRANGER_BYTES_MAX 16384u /* what a peer may cost before authentication (I39) */

/* A frame in order as the cipher sees it, but not as the schema does. */
static void
test_a_frame_that_does_not_parse_ends_with_a_reason(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t len;
    } cases[] = {
        {"no body",       "\x08\x01",             2},
        {"unknown kind",  "\xea\x02\x00",         3},
        {"cut short",     "\x32\x05",             2},
        {"out of bounds", "\xf2\x01\x02\x08\x01", 5}, /* a publish with nothing in it */
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pair f;

        pair_start_up(&f, (struct pair_limits){0});
        assert_int_equal(pipe_send(f.channel->pipe, bytes_of(cases[i].bytes, cases[i].len),
                                   &f.channel->out, NULL),
                         RC_OK);
        channel_flush(f.channel);
        pair_wait(&f, pair_has_ended);
        assert_int_equal(f.how, CHANNEL_BYE);
        assert_int_equal(f.reason, PARLEY__WIRE__CLOSE_REASON__PROTOCOL_ERROR);
        pair_wait(&f, pair_relay_has_ended);
        assert_int_equal(f.relay.last_how, CHANNEL_FAILED);
        pair_stop(&f);
    }
}

static void
test_a_wrong_tag_ends_without_a_word(void **state)
{
    struct pair f;
    uint8_t forged[3 + 40] = {0, 0, 40};

    pair_start_up(&f, (struct pair_limits){0});
    buf_put(&f.channel->out, bytes_of(forged, sizeof(forged)));
    channel_flush(f.channel);
    pair_wait(&f, pair_has_ended);
    assert_int_equal(f.how, CHANNEL_TRUNCATED); /* no Close came */
    pair_wait(&f, pair_relay_has_ended);
    assert_int_equal(f.relay.last_how, CHANNEL_FAILED);
    assert_int_equal(f.relay.last_rc, RC_AUTH);
    pair_stop(&f);
}

/* ---- strangers ---- */

static int
raw_connect(uint16_t port)
{
    struct sockaddr_in address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    uv_ip4_addr("127.0.0.1", port, &address);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void
test_garbage_on_the_port_is_refused_without_a_word(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t len;
    } cases[] = {
        {"http",             "GET / HTTP/1.1\r\n\r\n",   18},
        {"tls",              "\x16\x03\x01\x02\x00\x01", 6 },
        {"one wrong byte",   "Q",                        1 },
        {"another version",  "PLY2\x01",                 5 },
        {"unknown pattern",  "PLY1\x07\x00\x00\x20",     8 },
        {"length zero",      "PLY1\x01\x00\x00\x00",     8 },
        {"length too large", "PLY1\x01\xff\xff\xff",     8 },
        {"length above cap", "PLY1\x02\x00\x10\x01",     8 },
        {"short XX 1",
         "PLY1\x01\x00\x00\x03"
         "abc",                                          11},
        {"long XX 1",
         "PLY1\x01\x00\x00\x21"
         "abcdefghijklmnopqrstuvwxyzABCDEFG",            41},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pair f;
        uint8_t answer[16];
        int fd;

        pair_start(&f, (struct pair_limits){0});
        fd = raw_connect(f.relay.port);
        assert_int_equal(write(fd, cases[i].bytes, cases[i].len), cases[i].len);
        pair_wait(&f, pair_relay_has_ended);
        assert_int_equal(f.relay.last_how, CHANNEL_FAILED);
        assert_int_equal(f.relay.up, 0);
        assert_in_range(recv(fd, answer, sizeof(answer), MSG_DONTWAIT) + 1, 0, 1); /* 0 or reset */
        close(fd);
        pair_stop(&f);
    }
}

/* Bytes that keep coming do not move the deadline, and what is kept of them is bounded. */
static void
test_i39_half_a_handshake_is_cut_off_and_costs_little(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t len;
    } cases[] = {
        {"nothing",                  "",                     0},
        {"half a hello",             "PL",                   2},
        {"a frame that never comes", "PLY1\x02\x00\x0f\xff", 8},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pair f;
        struct channel *theirs = NULL;
        uint64_t start_ms;
        size_t most = 0;
        int fd;

        pair_start(&f, (struct pair_limits){.handshake_ms = 200});
        fd = raw_connect(f.relay.port);
        start_ms = uv_now(loop_uv(f.loop));
        if (cases[i].len > 0)
            assert_int_equal(write(fd, cases[i].bytes, cases[i].len), cases[i].len);
        while (f.relay.ended == 0 && uv_now(loop_uv(f.loop)) - start_ms < WAIT_MS) {
            if (cases[i].len == 8) /* drip */
                (void)!send(fd, "x", 1, MSG_NOSIGNAL);
            loop_pass_ms(f.loop, 5);
            theirs = f.relay.channels[0];
            if (theirs != NULL && channel_memory(theirs) > most)
                most = channel_memory(theirs);
        }
        assert_int_equal(f.relay.last_how, CHANNEL_TIMED_OUT);
        assert_int_equal(f.relay.last_rc, RC_TIMEOUT);
        assert_in_range(uv_now(loop_uv(f.loop)) - start_ms, 190, 2000);
        assert_in_range(most, 1, STRANGER_BYTES_MAX);
        close(fd);
        pair_stop(&f);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_frame_that_does_not_parse_ends_with_a_reason),
        cmocka_unit_test(test_a_wrong_tag_ends_without_a_word),
        cmocka_unit_test(test_garbage_on_the_port_is_refused_without_a_word),
        cmocka_unit_test(test_i39_half_a_handshake_is_cut_off_and_costs_little),
    };

    return cmocka_run_group_tests_name("link/channel_read", tests, NULL, NULL);
}
