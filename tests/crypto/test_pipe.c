/* Tests of crypto/pipe: every way of cutting the bytes, the fallback, every damaged byte of the
 * handshake, the limits before and after it. */
#include "crypto/pipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "crypto/prim.h"

#define BIG (1024u * 1024)

static const char certificate[] = "the server's certificate";
static const char hint[] = "the client's hint";

struct end {
    struct noise_keypair key;
    struct pipe *pipe;
    struct buf out; /* to the peer */
    struct buf got; /* messages, each with a 4-byte length before it */
    size_t messages;
    enum rc verdict; /* of on_message or check_server */
    unsigned checks;
};

struct couple {
    struct end client, server;
    uint64_t seed;
    struct rng rng;
    uint8_t expect[32]; /* the server key that the client is to see */
};

static enum rc
on_message(void *ctx, struct bytes message, struct err *err)
{
    struct end *end = ctx;

    buf_put_u32be(&end->got, (uint32_t)message.len);
    buf_put(&end->got, message);
    end->messages++;
    return end->verdict;
}

static enum rc
check_server(void *ctx, const uint8_t server_static[32], struct bytes got, struct err *err)
{
    struct couple *c = ctx;

    c->client.checks++;
    assert_memory_equal(server_static, c->expect, 32);
    assert_true(bytes_equal(got, bytes_of_str(certificate)));
    return c->client.verdict;
}

static void
open_end(struct couple *c, struct end *end, enum noise_role role, const uint8_t *known,
         size_t message_max)
{
    bool is_client = role == NOISE_CLIENT;
    const struct pipe_opt opt = {
        .role = role,
        .local_static = &end->key,
        .payload = bytes_of_str(is_client ? hint : certificate),
        .known_server = known,
        .message_max = message_max,
        .rng = c->rng,
        .check_server = is_client ? check_server : NULL,
        .ctx = c,
    };

    x25519_keypair(end->key.priv, end->key.pub, c->rng);
    assert_int_equal(pipe_new(&end->pipe, &opt, NULL), RC_OK);
    buf_init(&end->out, 32u << 20);
    buf_init(&end->got, 32u << 20);
}

enum cache { NO_KEY, RIGHT_KEY, WRONG_KEY };

static void
open_couple(struct couple *c, enum cache cache, size_t message_max)
{
    uint8_t known[32];

    *c = (struct couple){.seed = 42};
    c->rng = rng_seeded(&c->seed);
    open_end(c, &c->server, NOISE_SERVER, NULL, message_max);
    memcpy(c->expect, c->server.key.pub, 32);
    memcpy(known, c->server.key.pub, 32);
    if (cache == WRONG_KEY) {
        uint8_t priv[32];

        x25519_keypair(priv, known, c->rng);
    }
    open_end(c, &c->client, NOISE_CLIENT, cache == NO_KEY ? NULL : known, message_max);
}

static void
close_couple(struct couple *c)
{
    struct end *ends[] = {&c->client, &c->server};

    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        pipe_free(&ends[i]->pipe);
        buf_free(&ends[i]->out);
        buf_free(&ends[i]->got);
    }
}

/* How many bytes the wire gives at once: 0 means all. */
static size_t
next_cut(struct couple *c, size_t cut)
{
    return cut == SIZE_MAX ? 1 + rng_below(c->rng, 900) : cut;
}

/* All that `from` has said, in cuts. */
static enum rc
carry(struct couple *c, struct end *from, struct end *to, size_t cut)
{
    enum rc rc = RC_OK;

    while (rc == RC_OK && from->out.len > 0) {
        size_t n = next_cut(c, cut);

        if (n == 0 || n > from->out.len)
            n = from->out.len;
        /* an exact copy, so that reading past the end is caught */
        uint8_t *piece = malloc(n);
        assert_non_null(piece);
        memcpy(piece, from->out.ptr, n);
        buf_consume(&from->out, n);
        rc = pipe_feed(to->pipe, bytes_of(piece, n), &to->out, on_message, to, NULL);
        free(piece);
    }
    return rc;
}

static enum rc
shake_hands(struct couple *c, size_t cut)
{
    enum rc rc = pipe_start(c->client.pipe, &c->client.out, NULL);

    while (rc == RC_OK && (c->client.out.len > 0 || c->server.out.len > 0)) {
        rc = carry(c, &c->client, &c->server, cut);
        if (rc == RC_OK)
            rc = carry(c, &c->server, &c->client, cut);
    }
    return rc;
}

static bool
are_both_up(const struct couple *c)
{
    return pipe_state(c->client.pipe) == PIPE_UP && pipe_state(c->server.pipe) == PIPE_UP;
}

static void
assert_agreed(const struct couple *c, enum cache cache)
{
    assert_true(are_both_up(c));
    assert_memory_equal(pipe_hash(c->client.pipe), pipe_hash(c->server.pipe), 32);
    assert_memory_equal(pipe_remote_static(c->client.pipe), c->server.key.pub, 32);
    assert_memory_equal(pipe_remote_static(c->server.pipe), c->client.key.pub, 32);
    assert_true(bytes_equal(pipe_hint(c->server.pipe), bytes_of_str(hint)));
    assert_int_equal(pipe_fell_back(c->client.pipe), cache == WRONG_KEY);
    assert_int_equal(pipe_fell_back(c->server.pipe), cache == WRONG_KEY);
    assert_int_equal(c->client.checks, cache == RIGHT_KEY ? 0 : 1);
}

/* One message each way, both arrive as they were sent. */
static void
exchange(struct couple *c, size_t size, size_t cut)
{
    struct end *ends[] = {&c->client, &c->server};
    uint8_t *message = malloc(size + 1);

    assert_non_null(message);
    rng_fill(c->rng, message, size);
    for (size_t i = 0; i < 2; i++) {
        struct end *from = ends[i], *to = ends[1 - i];

        buf_reset(&to->got);
        assert_int_equal(pipe_send(from->pipe, bytes_of(message, size), &from->out, NULL), RC_OK);
        assert_int_equal(carry(c, from, to, cut), RC_OK);
        assert_int_equal(to->got.len, 4 + size);
        assert_memory_equal(to->got.ptr + 4, message, size);
    }
    free(message);
}

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

static void
test_pipe_messages_of_many_sizes(void **state)
{
    /* around the size of one piece and of two, and the ceiling */
    static const size_t sizes[] = {65517, 65518, 65519, 131035, 131036, 131037, BIG};
    struct couple c;

    open_couple(&c, NO_KEY, BIG);
    assert_int_equal(shake_hands(&c, 0), RC_OK);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        exchange(&c, sizes[i], 0);
        exchange(&c, sizes[i], SIZE_MAX);
    }
    close_couple(&c);
}

static void
test_pipe_many_messages_in_one_feed(void **state)
{
    struct couple c;

    open_couple(&c, RIGHT_KEY, BIG);
    assert_int_equal(shake_hands(&c, 0), RC_OK);
    for (uint8_t i = 0; i < 100; i++)
        assert_int_equal(pipe_send(c.client.pipe, bytes_of(&i, 1), &c.client.out, NULL), RC_OK);
    assert_int_equal(carry(&c, &c.client, &c.server, 0), RC_OK);
    assert_int_equal(c.server.messages, 100);
    for (uint8_t i = 0; i < 100; i++)
        assert_int_equal(c.server.got.ptr[i * 5 + 4], i);
    close_couple(&c);
}

/* The first message may ride behind the last one of the handshake. */
static void
test_pipe_message_right_behind_the_handshake(void **state)
{
    struct couple c;

    open_couple(&c, NO_KEY, BIG);
    assert_int_equal(pipe_start(c.client.pipe, &c.client.out, NULL), RC_OK);
    assert_int_equal(carry(&c, &c.client, &c.server, 0), RC_OK);
    assert_int_equal(carry(&c, &c.server, &c.client, 0), RC_OK);
    assert_int_equal(pipe_state(c.client.pipe), PIPE_UP);
    assert_int_equal(pipe_send(c.client.pipe, bytes_of_str("early"), &c.client.out, NULL), RC_OK);
    assert_int_equal(carry(&c, &c.client, &c.server, 0), RC_OK);
    assert_int_equal(c.server.messages, 1);
    close_couple(&c);
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
test_pipe_damaged_transport_closes_without_reply(void **state)
{
    struct couple c;

    open_couple(&c, NO_KEY, BIG);
    assert_int_equal(shake_hands(&c, 0), RC_OK);
    assert_int_equal(pipe_send(c.client.pipe, bytes_of_str("hello"), &c.client.out, NULL), RC_OK);
    c.client.out.ptr[10] ^= 1;
    assert_int_equal(carry(&c, &c.client, &c.server, 0), RC_AUTH);
    assert_int_equal(c.server.messages, 0);
    assert_int_equal(c.server.out.len, 0);
    assert_int_equal(pipe_state(c.server.pipe), PIPE_DEAD);
    assert_int_equal(pipe_send(c.server.pipe, bytes_of_str("x"), &c.server.out, NULL), RC_PROTO);
    assert_int_equal(
        pipe_feed(c.server.pipe, bytes_of_str("x"), &c.server.out, on_message, &c.server, NULL),
        RC_PROTO);
    close_couple(&c);
}

static void
test_pipe_replayed_and_dropped_messages_refused(void **state)
{
    for (int is_replay = 0; is_replay < 2; is_replay++) {
        struct couple c;
        struct buf copy;

        open_couple(&c, NO_KEY, BIG);
        assert_int_equal(shake_hands(&c, 0), RC_OK);
        buf_init(&copy, 100);
        assert_int_equal(pipe_send(c.client.pipe, bytes_of_str("one"), &copy, NULL), RC_OK);
        if (is_replay) {
            buf_put(&c.client.out, buf_bytes(&copy));
            buf_put(&c.client.out, buf_bytes(&copy));
        } else {
            assert_int_equal(pipe_send(c.client.pipe, bytes_of_str("two"), &c.client.out, NULL),
                             RC_OK);
        }
        assert_int_equal(carry(&c, &c.client, &c.server, 0), RC_AUTH);
        assert_int_equal(c.server.messages, is_replay);
        buf_free(&copy);
        close_couple(&c);
    }
}

/* ---- hostile bytes to a server ---- */

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

static void
test_pipe_idle_costs_little(void **state)
{
    struct couple c;

    open_couple(&c, NO_KEY, PIPE_MESSAGE_MAX);
    assert_int_equal(shake_hands(&c, 0), RC_OK);
    exchange(&c, BIG, SIZE_MAX);
    pipe_forget_hint(c.server.pipe);
    assert_int_equal(pipe_hint(c.server.pipe).len, 0);
    assert_true(pipe_memory(c.server.pipe) < 1024);
    close_couple(&c);
}

static void
test_pipe_too_large_refused_before_the_body(void **state)
{
    struct couple c;
    struct buf out;

    open_couple(&c, NO_KEY, 100000);
    assert_int_equal(shake_hands(&c, 0), RC_OK);
    buf_init(&out, 1u << 20);
    assert_int_equal(pipe_send(c.client.pipe, bytes_of(c.server.key.pub, 0), &out, NULL), RC_OK);
    uint8_t *big = calloc(1, 100001);
    assert_non_null(big);
    assert_int_equal(pipe_send(c.client.pipe, bytes_of(big, 100000), &out, NULL), RC_OK);
    size_t legal = out.len;
    assert_int_equal(pipe_send(c.client.pipe, bytes_of(big, 100001), &out, NULL), RC_OK);
    /* the first piece of the last message and the length of its second one: 3 bytes are enough */
    size_t enough = legal + 3 + 65535 + 3;
    buf_put(&c.client.out, bytes_of(out.ptr, enough - 1));
    assert_int_equal(carry(&c, &c.client, &c.server, 0), RC_OK);
    assert_int_equal(c.server.messages, 2);
    buf_put(&c.client.out, bytes_of(out.ptr + enough - 1, 1));
    assert_int_equal(carry(&c, &c.client, &c.server, 0), RC_LIMIT);
    assert_int_equal(c.server.messages, 2);
    free(big);
    buf_free(&out);
    close_couple(&c);
}

static const struct {
    const char *name;
    uint8_t bytes[3];
    enum rc want;
} lengths[] = {
    {"0",      {0, 0, 0},       RC_MALFORMED},
    {"a tag",  {0, 0, 16},      RC_MALFORMED},
    {"65536",  {1, 0, 0},       RC_LIMIT    },
    {"max",    {255, 255, 255}, RC_LIMIT    },
    {"65535",  {0, 255, 255},   RC_OK       },
    {"a flag", {0, 0, 17},      RC_OK       },
};

static void
test_pipe_transport_lengths(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct couple c;

        open_couple(&c, RIGHT_KEY, BIG);
        assert_int_equal(shake_hands(&c, 0), RC_OK);
        buf_put(&c.client.out, bytes_of(lengths[i].bytes, 3));
        enum rc rc = carry(&c, &c.client, &c.server, 0);
        if (rc != lengths[i].want)
            fail_msg("length %s: %s", lengths[i].name, rc_name(rc));
        close_couple(&c);
    }
}

/* ---- a peer that knows the keys and misbehaves: a pipe of its own, spoken by hand ---- */

struct hand {
    struct noise_handshake *hs;
    struct noise_cipher send, recv;
};

static void
hand_up(struct couple *c, struct hand *hand)
{
    static const uint8_t hello[] = {'P', 'L', 'Y', '1', 2};
    const struct noise_handshake_opt opt = {
        .pattern = NOISE_IK,
        .role = NOISE_CLIENT,
        .local_static = &c->client.key,
        .remote_static = c->server.key.pub,
        .prologue = bytes_of(hello, sizeof(hello)),
        .rng = c->rng,
    };
    struct buf message;
    uint8_t hash[32];

    buf_init(&message, 4096);
    assert_int_equal(noise_handshake_new(&hand->hs, &opt, NULL), RC_OK);
    assert_int_equal(noise_handshake_write(hand->hs, bytes_of(NULL, 0), &message, NULL), RC_OK);
    buf_put(&c->client.out, bytes_of(hello, sizeof(hello)));
    buf_put_u24be(&c->client.out, (uint32_t)message.len);
    buf_put(&c->client.out, buf_bytes(&message));
    assert_int_equal(carry(c, &c->client, &c->server, 0), RC_OK);
    assert_int_equal(c->server.out.ptr[3], 1);
    buf_reset(&message);
    assert_int_equal(noise_handshake_read(hand->hs,
                                          bytes_of(c->server.out.ptr + 4, c->server.out.len - 4),
                                          &message, NULL),
                     RC_OK);
    assert_int_equal(noise_handshake_split(hand->hs, &hand->send, &hand->recv, hash, NULL), RC_OK);
    noise_handshake_free(&hand->hs);
    buf_reset(&c->server.out);
    buf_free(&message);
}

static const struct {
    const char *name;
    const char *pieces[3]; /* flag byte and content */
    enum rc want;
    size_t messages;
} flag_cases[] = {
    {"one piece",
     {"\x00"
      "a"},
     RC_OK,                                         1},
    {"two pieces",
     {"\x01"
      "a",
      "\x00"
      "b"},
     RC_OK,                                         1},
    {"three pieces",
     {"\x01"
      "a",
      "\x01"
      "b",
      "\x00"
      "c"},
     RC_OK,                                         1},
    {"unknown flag",
     {"\x02"
      "a"},
     RC_MALFORMED,                                  0},
    {"flag ff",
     {"\xff"
      "a"},
     RC_MALFORMED,                                  0},
    {"empty with more",     {"\x01"}, RC_MALFORMED, 0},
    {"empty in the middle",
     {"\x01"
      "a",
      "\x01"},
     RC_MALFORMED,                                  0},
    {"empty at the end",
     {"\x01"
      "a",
      "\x00"},
     RC_MALFORMED,                                  0},
    {"two whole messages",
     {"\x00"
      "a",
      "\x00"
      "b"},
     RC_OK,                                         2},
};

static void
test_pipe_flags(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(flag_cases); i++) {
        struct couple c;
        struct hand hand;
        enum rc rc = RC_OK;

        open_couple(&c, NO_KEY, BIG);
        hand_up(&c, &hand);
        for (size_t k = 0; rc == RC_OK && k < 3 && flag_cases[i].pieces[k] != NULL; k++) {
            const char *piece = flag_cases[i].pieces[k];
            size_t n = 1 + strlen(piece + 1);

            buf_put_u24be(&c.client.out, (uint32_t)(n + 16));
            uint8_t *at = buf_extend(&c.client.out, n + 16);
            assert_int_equal(noise_encrypt(&hand.send, at, bytes_of(piece, n)), RC_OK);
            rc = carry(&c, &c.client, &c.server, 0);
        }
        if (rc != flag_cases[i].want || c.server.messages != flag_cases[i].messages)
            fail_msg("%s: %s, %zu messages", flag_cases[i].name, rc_name(rc), c.server.messages);
        close_couple(&c);
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

static void
test_pipe_callers_refusal_is_returned(void **state)
{
    struct couple c;

    open_couple(&c, NO_KEY, BIG);
    assert_int_equal(shake_hands(&c, 0), RC_OK);
    c.server.verdict = RC_DENIED;
    assert_int_equal(pipe_send(c.client.pipe, bytes_of_str("a"), &c.client.out, NULL), RC_OK);
    assert_int_equal(pipe_send(c.client.pipe, bytes_of_str("b"), &c.client.out, NULL), RC_OK);
    assert_int_equal(carry(&c, &c.client, &c.server, 0), RC_DENIED);
    assert_int_equal(c.server.messages, 1);
    assert_int_equal(pipe_state(c.server.pipe), PIPE_DEAD);
    close_couple(&c);
}

static void
test_pipe_options_and_order(void **state)
{
    struct couple c;
    struct buf tiny;
    struct pipe *pipe;
    struct pipe_opt opt;

    open_couple(&c, NO_KEY, BIG);
    opt = (struct pipe_opt){.role = NOISE_CLIENT, .local_static = &c.client.key, .rng = c.rng};
    assert_int_equal(pipe_new(&pipe, &opt, NULL), RC_INVAL); /* nobody to check the server */
    assert_null(pipe);
    opt.role = NOISE_SERVER;
    opt.message_max = PIPE_MESSAGE_MAX + 1;
    assert_int_equal(pipe_new(&pipe, &opt, NULL), RC_INVAL);
    opt.message_max = 1;
    opt.payload = bytes_of(&c, PIPE_PAYLOAD_MAX + 1);
    assert_int_equal(pipe_new(&pipe, &opt, NULL), RC_INVAL);
    assert_int_equal(pipe_send(c.client.pipe, bytes_of_str("x"), &c.client.out, NULL), RC_PROTO);
    assert_int_equal(pipe_start(c.server.pipe, &c.server.out, NULL), RC_PROTO);
    assert_int_equal(shake_hands(&c, 0), RC_OK);
    assert_int_equal(pipe_start(c.client.pipe, &c.client.out, NULL), RC_PROTO);
    /* a full buffer takes nothing, and the pipe goes on */
    buf_init(&tiny, 10);
    assert_int_equal(pipe_send(c.client.pipe, bytes_of_str("hello"), &tiny, NULL), RC_NOMEM);
    assert_int_equal(tiny.len, 0);
    buf_free(&tiny);
    exchange(&c, 10, 0);
    close_couple(&c);
}

static int
start(void **state)
{
    return crypto_start(NULL) == RC_OK ? 0 : -1;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipe_handshakes_however_cut),
        cmocka_unit_test(test_pipe_messages_of_many_sizes),
        cmocka_unit_test(test_pipe_many_messages_in_one_feed),
        cmocka_unit_test(test_pipe_message_right_behind_the_handshake),
        cmocka_unit_test(test_pipe_i38_every_damaged_byte_is_refused),
        cmocka_unit_test(test_pipe_damaged_transport_closes_without_reply),
        cmocka_unit_test(test_pipe_replayed_and_dropped_messages_refused),
        cmocka_unit_test(test_pipe_refuses_openings_before_the_body),
        cmocka_unit_test(test_pipe_i39_little_memory_before_authentication),
        cmocka_unit_test(test_pipe_idle_costs_little),
        cmocka_unit_test(test_pipe_too_large_refused_before_the_body),
        cmocka_unit_test(test_pipe_transport_lengths),
        cmocka_unit_test(test_pipe_flags),
        cmocka_unit_test(test_pipe_client_refuses_the_wrong_server),
        cmocka_unit_test(test_pipe_reply_types),
        cmocka_unit_test(test_pipe_callers_refusal_is_returned),
        cmocka_unit_test(test_pipe_options_and_order),
    };

    return cmocka_run_group_tests_name("crypto/pipe", tests, start, NULL);
}
