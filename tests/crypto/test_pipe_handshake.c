/* Tests of crypto/pipe_handshake: every way of cutting the bytes, the fallback, every damaged byte,
 * wrong servers, hostile openings. */
#include "couple.h"

static void
test_pipe_handshakes_however_cut(void **state)
{
    static const size_t cuts[] = {0, 1, 2, 3, 7, 64, SIZE_MAX};

    for (enum cache cache = NO_KEY; cache <= WRONG_KEY; cache++)
        for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
            struct couple c;

            open_couple(&c, cache, BIG);
            assert_int_equal(shake_hands(&c, cuts[i]), RC_OK);
            assert_agreed(&c, cache);
            exchange(&c, 0, cuts[i]);
            exchange(&c, 1, cuts[i]);
            exchange(&c, 300, cuts[i]);
            close_couple(&c);
        }
}

/* Runs a handshake in which the byte at `at` of all that one side says is changed. True if there
 * was such a byte. */
static bool
damaged_handshake(enum cache cache, bool by_client, size_t at, uint8_t flip, struct couple *c)
{
    size_t said = 0;
    bool is_hit = false;
    enum rc rc;

    open_couple(c, cache, BIG);
    rc = pipe_start(c->client.pipe, &c->client.out, NULL);
    while (rc == RC_OK && (c->client.out.len > 0 || c->server.out.len > 0)) {
        struct end *from = c->client.out.len > 0 ? &c->client : &c->server;
        struct end *to = from == &c->client ? &c->server : &c->client;

        if ((from == &c->client) == by_client) {
            if (at >= said && at < said + from->out.len) {
                from->out.ptr[at - said] ^= flip;
                is_hit = true;
            }
            said += from->out.len;
        }
        rc = carry(c, from, to, 0);
    }
    return is_hit;
}

/* Damage behind the ephemeral of an IK message looks like a wrong key to the server: they come up
 * by the fallback, which reads nothing of what was damaged and makes the client check the server.
 * That is the one way; everything else never brings both ends up. */
static bool
is_lawful_fallback(const struct couple *c, enum cache cache, bool by_client, size_t at)
{
    const size_t first_after_ephemeral = 5 + 3 + 32;

    return cache != NO_KEY && by_client && at >= first_after_ephemeral &&
           pipe_fell_back(c->client.pipe) && pipe_fell_back(c->server.pipe) &&
           c->client.checks == 1 &&
           memcmp(pipe_hash(c->client.pipe), pipe_hash(c->server.pipe), 32) == 0;
}

static void
damage_each_byte(enum cache cache, bool by_client, uint8_t flip)
{
    for (size_t at = 0;; at++) {
        struct couple c;
        bool is_hit = damaged_handshake(cache, by_client, at, flip, &c);
        bool is_up = are_both_up(&c);

        if (is_hit && is_up && !is_lawful_fallback(&c, cache, by_client, at))
            fail_msg("key cache %d, %s, byte %zu ^ %02x: both up", (int)cache,
                     by_client ? "client" : "server", at, flip);
        close_couple(&c);
        if (!is_hit) {
            assert_true(is_up); /* the control: a whole handshake does come up */
            return;
        }
    }
}

static void
test_pipe_i38_every_damaged_byte_is_refused(void **state)
{
    static const uint8_t flips[] = {0x01, 0x80, 0x03, 0xff};

    for (enum cache cache = NO_KEY; cache <= WRONG_KEY; cache++)
        for (size_t f = 0; f < ARRAY_LEN(flips); f++) {
            damage_each_byte(cache, true, flips[f]);
            damage_each_byte(cache, false, flips[f]);
        }
}

static void
test_pipe_client_refuses_the_wrong_server(void **state)
{
    static const enum cache caches[] = {NO_KEY, WRONG_KEY};

    for (size_t i = 0; i < ARRAY_LEN(caches); i++) {
        struct couple c;

        open_couple(&c, caches[i], BIG);
        c.client.verdict = RC_AUTH;
        assert_int_equal(shake_hands(&c, 0), RC_AUTH);
        assert_int_equal(c.client.out.len, 0); /* neither key nor hint went out */
        assert_int_equal(pipe_state(c.client.pipe), PIPE_DEAD);
        assert_false(pipe_fell_back(c.client.pipe));
        close_couple(&c);
    }
}

static void
test_pipe_reply_types(void **state)
{
    for (enum cache cache = NO_KEY; cache <= RIGHT_KEY; cache++)
        for (unsigned type = 0; type < 256; type++) {
            struct couple c;

            open_couple(&c, cache, BIG);
            assert_int_equal(pipe_start(c.client.pipe, &c.client.out, NULL), RC_OK);
            assert_int_equal(carry(&c, &c.client, &c.server, 0), RC_OK);
            c.server.out.ptr[3] = (uint8_t)type;
            enum rc rc = carry(&c, &c.server, &c.client, 0);
            assert_int_equal(rc == RC_OK, type == 1);
            assert_int_equal(pipe_state(c.client.pipe), type == 1 ? PIPE_UP : PIPE_DEAD);
            close_couple(&c);
        }
}

static const struct {
    const char *name;
    uint8_t bytes[8];
    size_t len;
    enum rc want;
} openings[] = {
    {"garbage",            {'G', 'E', 'T', ' '},                     4, RC_MALFORMED},
    {"garbage at byte 4",  {'P', 'L', 'Y', '2'},                     4, RC_MALFORMED},
    {"no such pattern",    {'P', 'L', 'Y', '1', 9},                  5, RC_MALFORMED},
    {"fallback first",     {'P', 'L', 'Y', '1', 3},                  5, RC_MALFORMED},
    {"length 0",           {'P', 'L', 'Y', '1', 1, 0, 0, 0},         8, RC_MALFORMED},
    {"length 4097",        {'P', 'L', 'Y', '1', 1, 0, 0x10, 0x01},   8, RC_LIMIT    },
    {"length 16777215",    {'P', 'L', 'Y', '1', 2, 0xff, 0xff, 255}, 8, RC_LIMIT    },
    {"length 4096",        {'P', 'L', 'Y', '1', 1, 0, 0x10, 0x00},   8, RC_OK       },
    {"only part of hello", {'P', 'L'},                               2, RC_OK       },
};

static void
test_pipe_refuses_openings_before_the_body(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(openings); i++)
        for (size_t cut = 0; cut < 2; cut++) {
            struct couple c;

            open_couple(&c, NO_KEY, BIG);
            buf_put(&c.client.out, bytes_of(openings[i].bytes, openings[i].len));
            enum rc rc = carry(&c, &c.client, &c.server, cut);
            if (rc != openings[i].want)
                fail_msg("%s: %s", openings[i].name, rc_name(rc));
            assert_int_equal(c.server.out.len, 0);
            close_couple(&c);
        }
}

static void
test_pipe_i39_little_memory_before_authentication(void **state)
{
    uint8_t opening[] = {'P', 'L', 'Y', '1', 2, 0, 0x10, 0x00};
    struct couple c;
    uint8_t byte = 0;

    open_couple(&c, NO_KEY, PIPE_MESSAGE_MAX);
    for (size_t i = 0; i < sizeof(opening) + 4095; i++) {
        byte = i < sizeof(opening) ? opening[i] : (uint8_t)i;
        assert_int_equal(pipe_feed(c.server.pipe, bytes_of(&byte, 1), &c.server.out, on_message,
                                   &c.server, NULL),
                         RC_OK);
        assert_true(pipe_memory(c.server.pipe) < 8u * 1024);
    }
    /* the last byte makes it an IK message that fails: the fallback goes out, still small */
    assert_int_equal(
        pipe_feed(c.server.pipe, bytes_of(&byte, 1), &c.server.out, on_message, &c.server, NULL),
        RC_OK);
    assert_int_equal(pipe_state(c.server.pipe), PIPE_SERVER_WAIT_LAST);
    assert_true(pipe_memory(c.server.pipe) + c.server.out.cap < 16u * 1024);
    close_couple(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipe_handshakes_however_cut),
        cmocka_unit_test(test_pipe_i38_every_damaged_byte_is_refused),
        cmocka_unit_test(test_pipe_client_refuses_the_wrong_server),
        cmocka_unit_test(test_pipe_reply_types),
        cmocka_unit_test(test_pipe_refuses_openings_before_the_body),
        cmocka_unit_test(test_pipe_i39_little_memory_before_authentication),
    };

    return cmocka_run_group_tests_name("crypto/pipe_handshake", tests, start_crypto, NULL);
}
