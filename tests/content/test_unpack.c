/* Unpacking what a peer sent: forms that are refused, kinds of the future, and the arena's ceiling.
 */
#include "content/check.h"

#include "samples.h"

#define ARENA_MAX (1u << 20)

/* version 1, message id of 16 bytes */
#define HEAD                                                                                       \
    "\x08\x01\x12\x10"                                                                             \
    "0123456789abcdef"
#define HEAD_LEN 20

static const struct unpack_case {
    const char *name;
    const char *bytes;
    size_t len;
    enum rc want;
} cases[] = {
    {"head alone",               HEAD,                                              HEAD_LEN,      RC_OK       },
    {"nothing at all",           "",                                                0,             RC_MALFORMED},
    {"version 0 on the wire",
     "\x08\x00\x12\x10"
     "0123456789abcdef",                                                            HEAD_LEN,      RC_MALFORMED},
    {"newer version",
     "\x08\x02\x12\x10"
     "0123456789abcdef",                                                            HEAD_LEN,      RC_PROTO    },
    {"no message id",            "\x08\x01",                                        2,             RC_MALFORMED},
    {"id of 15 bytes",
     "\x08\x01\x12\x0f"
     "0123456789abcde",                                                             HEAD_LEN - 1,  RC_MALFORMED},
    {"cut short",                HEAD,                                              HEAD_LEN - 1,  RC_MALFORMED},
    {"text",                     HEAD "\xa2\x01\x04\x0a\x02hi",                     HEAD_LEN + 7,  RC_OK       },
    {"text with a NUL inside",   HEAD "\xa2\x01\x05\x0a\x03h\0i",                   HEAD_LEN + 8,  RC_MALFORMED},
    {"text that is not UTF-8",   HEAD "\xa2\x01\x04\x0a\x02\xc0\x80",               HEAD_LEN + 7,  RC_MALFORMED},
    {"name that is not UTF-8",   HEAD "\x8a\x01\x01\xff",                           HEAD_LEN + 4,  RC_MALFORMED},
    {"two bodies",               HEAD "\xa2\x01\x04\x0a\x02hi\xb2\x01\x02\x08\x01", HEAD_LEN + 12, RC_MALFORMED},
    {"a field sent twice",       "\x08\x01" HEAD,                                   HEAD_LEN + 2,  RC_MALFORMED},
    {"body of a later version",  HEAD "\xf2\x01\x02\x08\x07",                       HEAD_LEN + 5,  RC_OK       },
    {"field of a later version", HEAD "\xa2\x01\x06\x0a\x02hi\x58\x01",             HEAD_LEN + 9,  RC_OK       },
    {"number in over-long form",
     "\x08\x81\x00\x12\x10"
     "0123456789abcdef",                                                            HEAD_LEN + 1,  RC_MALFORMED},
    {"first id of 16 bytes",
     HEAD "\x62\x10"
          "0123456789abcdef",                                                       HEAD_LEN + 18, RC_OK       },
    {"first id of 2 bytes",
     HEAD "\x62\x02"
          "01",                                                                     HEAD_LEN + 4,  RC_MALFORMED},
    {"context without an id",    HEAD "\x92\x01\x02\x10\x01",                       HEAD_LEN + 5,  RC_MALFORMED},
    {"wrong kind of field",
     "\x0a\x01\x31\x12\x10"
     "0123456789abcdef",                                                            HEAD_LEN + 1,  RC_MALFORMED},
};

static enum rc
unpack(const struct unpack_case *c, size_t arena_max, Parley__Content__Payload__BodyCase *body)
{
    struct buf padded;
    struct arena *arena;
    Parley__Content__Payload *payload;
    enum rc rc;

    buf_init(&padded, CONTENT_MAX);
    buf_put(&padded, bytes_of(c->bytes, c->len));
    pad_append(&padded, c->len);
    assert_int_equal(arena_new(&arena, arena_max, NULL), RC_OK);
    rc = content_unpack(&payload, arena, buf_bytes(&padded), NULL);
    assert_true((payload != NULL) == (rc == RC_OK));
    if (payload != NULL)
        *body = payload->body_case;
    arena_free(&arena);
    buf_free(&padded);
    return rc;
}

static void
test_cases(void **state)
{
    Parley__Content__Payload__BodyCase body;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum rc rc = unpack(&cases[i], ARENA_MAX, &body);

        if (rc != cases[i].want)
            fail_msg("%s: %s", cases[i].name, rc_name(rc));
    }
}

static void
test_unknown_body_is_left_to_the_caller(void **state)
{
    const struct unpack_case later = {"later", HEAD "\xf2\x01\x02\x08\x07", HEAD_LEN + 5, RC_OK};
    Parley__Content__Payload__BodyCase body = PARLEY__CONTENT__PAYLOAD__BODY_TEXT;

    (void)state;
    assert_int_equal(unpack(&later, ARENA_MAX, &body), RC_OK);
    assert_int_equal(body, PARLEY__CONTENT__PAYLOAD__BODY__NOT_SET);
}

static void
test_small_arena_is_a_limit(void **state)
{
    const struct unpack_case text = {"text", HEAD "\xa2\x01\x04\x0a\x02hi", HEAD_LEN + 7, RC_OK};
    Parley__Content__Payload__BodyCase body;

    (void)state;
    assert_int_equal(unpack(&text, 64, &body), RC_LIMIT);
}

/* Thousands of tiny unknown fields: bounded by the arena, not by the peer's patience. */
static void
test_many_fields_stay_in_the_arena(void **state)
{
    static uint8_t bytes[CONTENT_MAX];
    struct arena *arena;
    Parley__Content__Payload *payload;

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(bytes); i += 2) {
        bytes[i] = 0x58;
        bytes[i + 1] = 1;
    }
    bytes[sizeof(bytes) - 2] = 0x80;
    bytes[sizeof(bytes) - 1] = 0;
    assert_int_equal(arena_new(&arena, 256 * 1024, NULL), RC_OK);
    assert_int_equal(content_unpack(&payload, arena, bytes_of(bytes, sizeof(bytes)), NULL),
                     RC_LIMIT);
    assert_null(payload);
    arena_free(&arena);
}

static void
test_oversize_is_refused_first(void **state)
{
    static uint8_t bytes[CONTENT_MAX + 1];
    struct arena *arena;
    Parley__Content__Payload *payload;

    (void)state;
    assert_int_equal(arena_new(&arena, ARENA_MAX, NULL), RC_OK);
    assert_int_equal(content_unpack(&payload, arena, bytes_of(bytes, sizeof(bytes)), NULL),
                     RC_LIMIT);
    assert_int_equal(arena_used(arena), 0);
    arena_free(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_unknown_body_is_left_to_the_caller),
        cmocka_unit_test(test_small_arena_is_a_limit),
        cmocka_unit_test(test_many_fields_stay_in_the_arena),
        cmocka_unit_test(test_oversize_is_refused_first),
    };

    return cmocka_run_group_tests_name("content/unpack", tests, NULL, NULL);
}
