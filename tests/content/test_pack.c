/* Packing: round trips of every kind, lengths that tell nothing, bounds on the way out.
 * Built twice, once with the session library in the same program (its own protobuf runtime must not
 * win). */
#include "samples.h"

#ifdef WITH_SESSION
#include "session/session.h"

#include "crypto/prim.h"

static void
load_session_library(void)
{
    struct session_engine *engine;

    assert_int_equal(crypto_start(NULL), RC_OK);
    assert_int_equal(session_engine_new(&engine, rng_system(), NULL), RC_OK);
    session_engine_free(&engine);
}
#else
static void
load_session_library(void)
{
}
#endif

static size_t
pack_and_compare(const Parley__Content__Payload *payload)
{
    struct buf packed, again;
    struct arena *arena;
    Parley__Content__Payload *back;
    size_t len;

    buf_init(&packed, CONTENT_MAX);
    buf_init(&again, CONTENT_MAX);
    assert_int_equal(arena_new(&arena, 1 << 20, NULL), RC_OK);
    assert_int_equal(content_pack(&packed, payload, NULL), RC_OK);
    assert_int_equal(content_unpack(&back, arena, buf_bytes(&packed), NULL), RC_OK);
    assert_int_equal(back->body_case, payload->body_case);
    assert_int_equal(back->sender_account, payload->sender_account);
    assert_string_equal(back->public_id, payload->public_id);
    assert_int_equal(content_pack(&again, back, NULL), RC_OK);
    assert_true(bytes_equal(buf_bytes(&packed), buf_bytes(&again)));
    len = packed.len;
    arena_free(&arena);
    buf_free(&packed);
    buf_free(&again);
    return len;
}

static void
test_round_trip_of_every_kind(void **state)
{
    Parley__Content__Text text = PARLEY__CONTENT__TEXT__INIT;
    Parley__Content__Receipt receipt = PARLEY__CONTENT__RECEIPT__INIT;
    Parley__Content__Typing typing = PARLEY__CONTENT__TYPING__INIT;
    Parley__Content__Retry retry = PARLEY__CONTENT__RETRY__INIT;
    ProtobufCBinaryData ids[] = {SAMPLE_ID, SAMPLE_ID};
    Parley__Content__Payload payload = sample_payload();

    (void)state;
    load_session_library();
    text.body = (char[]){"ol\xc3\xa1 \xf0\x9f\x8c\x8d"};
    receipt.kind = PARLEY__CONTENT__RECEIPT_KIND__READ;
    receipt.message_ids = ids;
    receipt.n_message_ids = ARRAY_LEN(ids);
    retry.message_id = ids[0];
    retry.attempt = 1;

    pack_and_compare(&payload);
    payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_TEXT;
    payload.text = &text;
    pack_and_compare(&payload);
    payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_RECEIPT;
    payload.receipt = &receipt;
    pack_and_compare(&payload);
    payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_TYPING;
    payload.typing = &typing;
    pack_and_compare(&payload);
    payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_RETRY;
    payload.retry = &retry;
    pack_and_compare(&payload);
}

static void
test_short_texts_have_one_length(void **state)
{
    Parley__Content__Text text = PARLEY__CONTENT__TEXT__INIT;
    Parley__Content__Payload payload = sample_payload();
    size_t shortest;

    (void)state;
    payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_TEXT;
    payload.text = &text;
    text.body = (char[]){"y"};
    shortest = pack_and_compare(&payload);
    assert_int_equal(shortest % 64, 0);
    text.body = (char[]){"yes indeed"};
    assert_int_equal(pack_and_compare(&payload), shortest);
}

/* One payload, one thing wrong with it. */
static const struct bound_case {
    const char *name;
    size_t text_len;
    const char *text;
    size_t name_len;
    size_t id_len;
    enum rc want;
} bounds[] = {
    {"longest text",      CONTENT_TEXT_MAX,     NULL,           0,                    MESSAGE_ID_SIZE, RC_OK       },
    {"text too long",     CONTENT_TEXT_MAX + 1, NULL,           0,                    MESSAGE_ID_SIZE, RC_LIMIT    },
    {"text is not UTF-8", 0,                    "\xc3\x28",     0,                    MESSAGE_ID_SIZE, RC_MALFORMED},
    {"surrogate in text", 0,                    "\xed\xa0\x80", 0,                    MESSAGE_ID_SIZE, RC_MALFORMED},
    {"longest name",      0,                    "x",            CONTENT_NAME_MAX,     MESSAGE_ID_SIZE, RC_OK       },
    {"name too long",     0,                    "x",            CONTENT_NAME_MAX + 1, MESSAGE_ID_SIZE, RC_LIMIT    },
    {"no message id",     0,                    "x",            0,                    0,               RC_MALFORMED},
    {"short message id",  0,                    "x",            0,                    15,              RC_MALFORMED},
};

static void
test_bounds(void **state)
{
    static char long_text[CONTENT_TEXT_MAX + 2];
    static char long_name[CONTENT_NAME_MAX + 2];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        const struct bound_case *c = &bounds[i];
        Parley__Content__Text text = PARLEY__CONTENT__TEXT__INIT;
        Parley__Content__Payload payload = sample_payload();
        struct buf out;

        memset(long_text, 'a', c->text_len);
        long_text[c->text_len] = '\0';
        memset(long_name, 'n', c->name_len);
        long_name[c->name_len] = '\0';
        payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_TEXT;
        payload.text = &text;
        payload.profile_name = long_name;
        payload.message_id.len = c->id_len;
        text.body = c->text == NULL ? long_text : (char *)c->text;
        buf_init(&out, CONTENT_MAX);
        assert_int_equal(content_pack(&out, &payload, NULL), c->want);
        assert_true((out.len > 0) == (c->want == RC_OK));
        buf_free(&out);
    }
}

static void
test_receipt_and_retry_bounds(void **state)
{
    static uint8_t id[MESSAGE_ID_SIZE];
    static ProtobufCBinaryData ids[CONTENT_RECEIPT_IDS_MAX + 1];
    static const struct {
        size_t n;
        Parley__Content__ReceiptKind kind;
        enum rc want;
    } receipts[] = {
        {1,                           PARLEY__CONTENT__RECEIPT_KIND__DELIVERED,    RC_OK       },
        {CONTENT_RECEIPT_IDS_MAX,     PARLEY__CONTENT__RECEIPT_KIND__READ,         RC_OK       },
        {CONTENT_RECEIPT_IDS_MAX + 1, PARLEY__CONTENT__RECEIPT_KIND__READ,         RC_LIMIT    },
        {0,                           PARLEY__CONTENT__RECEIPT_KIND__READ,         RC_MALFORMED},
        {1,                           PARLEY__CONTENT__RECEIPT_KIND__RECEIPT_NONE, RC_MALFORMED},
        {1,                           (Parley__Content__ReceiptKind)9,             RC_OK       },
    };
    static const struct {
        uint32_t attempt;
        enum rc want;
    } retries[] = {
        {0,                              RC_MALFORMED},
        {1,                              RC_OK       },
        {CONTENT_RETRY_ATTEMPTS_MAX,     RC_OK       },
        {CONTENT_RETRY_ATTEMPTS_MAX + 1, RC_MALFORMED},
    };
    struct buf out;

    (void)state;
    buf_init(&out, CONTENT_MAX);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        ids[i] = (ProtobufCBinaryData){.data = id, .len = sizeof(id)};
    for (size_t i = 0; i < ARRAY_LEN(receipts); i++) {
        Parley__Content__Receipt receipt = PARLEY__CONTENT__RECEIPT__INIT;
        Parley__Content__Payload payload = sample_payload();

        receipt.kind = receipts[i].kind;
        receipt.message_ids = ids;
        receipt.n_message_ids = receipts[i].n;
        payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_RECEIPT;
        payload.receipt = &receipt;
        buf_reset(&out);
        assert_int_equal(content_pack(&out, &payload, NULL), receipts[i].want);
    }
    for (size_t i = 0; i < ARRAY_LEN(retries); i++) {
        Parley__Content__Retry retry = PARLEY__CONTENT__RETRY__INIT;
        Parley__Content__Payload payload = sample_payload();

        retry.attempt = retries[i].attempt;
        retry.message_id = ids[0];
        payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_RETRY;
        payload.retry = &retry;
        buf_reset(&out);
        assert_int_equal(content_pack(&out, &payload, NULL), retries[i].want);
    }
    buf_free(&out);
}

static void
test_full_buffer_gets_nothing(void **state)
{
    Parley__Content__Payload payload = sample_payload();
    struct buf out;

    (void)state;
    buf_init(&out, 63);
    assert_int_equal(content_pack(&out, &payload, NULL), RC_NOMEM);
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip_of_every_kind),
        cmocka_unit_test(test_short_texts_have_one_length),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_receipt_and_retry_bounds),
        cmocka_unit_test(test_full_buffer_gets_nothing),
    };

    return cmocka_run_group_tests_name("content/pack", tests, NULL, NULL);
}
