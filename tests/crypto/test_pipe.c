/* Tests of crypto/pipe: messages of every size, the limits of frames and pieces, damage after the
 * handshake. */
#include "couple.h"

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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipe_messages_of_many_sizes),
        cmocka_unit_test(test_pipe_many_messages_in_one_feed),
        cmocka_unit_test(test_pipe_message_right_behind_the_handshake),
        cmocka_unit_test(test_pipe_damaged_transport_closes_without_reply),
        cmocka_unit_test(test_pipe_replayed_and_dropped_messages_refused),
        cmocka_unit_test(test_pipe_idle_costs_little),
        cmocka_unit_test(test_pipe_too_large_refused_before_the_body),
        cmocka_unit_test(test_pipe_transport_lengths),
        cmocka_unit_test(test_pipe_flags),
        cmocka_unit_test(test_pipe_callers_refusal_is_returned),
        cmocka_unit_test(test_pipe_options_and_order),
    };

    return cmocka_run_group_tests_name("crypto/pipe", tests, start_crypto, NULL);
}
