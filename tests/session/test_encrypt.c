/* Sealing: one key, one plaintext (I24); ciphertext and record come together or not at all. */
#include "session/session.h"

#include "peers.h"
#include "tap.h"

#define PAIRS_MAX 64u

struct key_log {
    struct {
        uint8_t key[32], plain[32];
    } pairs[PAIRS_MAX];
    size_t n;
    bool is_function; /* no key met two plaintexts so far */
};

static void
note_key(void *ctx, const uint8_t key_hash[32], const uint8_t plain_hash[32])
{
    struct key_log *log = ctx;

    assert_true(log->n < PAIRS_MAX);
    for (size_t i = 0; i < log->n; i++)
        if (memcmp(log->pairs[i].key, key_hash, 32) == 0 &&
            memcmp(log->pairs[i].plain, plain_hash, 32) != 0)
            log->is_function = false;
    memcpy(log->pairs[log->n].key, key_hash, 32);
    memcpy(log->pairs[log->n].plain, plain_hash, 32);
    log->n++;
}

static void
test_i24_no_key_meets_two_plaintexts(void **state)
{
    struct key_log log = {.is_function = true};
    struct peer a, b;
    char text[32];

    (void)state;
    peers_meet(&a, &b);
    session_engine_trace_keys(a.engine, note_key, &log);
    session_engine_trace_keys(b.engine, note_key, &log);
    for (int i = 0; i < 30; i++) {
        snprintf(text, sizeof(text), "message %d", i);
        peer_talk(i % 3 == 0 ? &b : &a, i % 3 == 0 ? &a : &b, text);
    }
    assert_int_equal(log.n, 30);
    assert_true(log.is_function);
    for (size_t i = 1; i < log.n; i++)
        assert_memory_not_equal(log.pairs[0].key, log.pairs[i].key, 32);
    session_engine_trace_keys(a.engine, NULL, NULL);
    peer_talk(&a, &b, "not traced");
    assert_int_equal(log.n, 30);
    peer_close(&a);
    peer_close(&b);
}

/* The negative control: a caller that goes back to an old record is seen by the hook. */
static void
test_i24_rolled_back_record_is_seen(void **state)
{
    struct key_log log = {.is_function = true};
    struct buf cipher, next;
    enum session_type type;
    struct peer a, b;

    (void)state;
    peers_meet(&a, &b);
    session_engine_trace_keys(a.engine, note_key, &log);
    buf_init(&cipher, SESSION_MESSAGE_MAX);
    buf_init(&next, SESSION_RECORD_MAX);
    for (int i = 0; i < 2; i++) {
        buf_reset(&next);
        assert_int_equal(session_encrypt(a.engine, &cipher, &type, &next, &a.identity,
                                         buf_bytes(&a.record), bytes_of_str(i == 0 ? "one" : "two"),
                                         NULL),
                         RC_OK);
    }
    assert_false(log.is_function);
    buf_free(&cipher);
    buf_wipe(&next);
    peer_close(&a);
    peer_close(&b);
}

static void
test_header_goes_until_the_peer_answers(void **state)
{
    struct session_bundle bundle;
    struct sealed sealed;
    struct peer a, b;

    (void)state;
    peer_open(&a, 1);
    peer_open(&b, 2);
    bundle = peer_bundle(&b, 0);
    assert_int_equal(peer_start(&a, &bundle), RC_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(peer_seal(&a, &sealed, bytes_of_str("knock")), RC_OK);
        assert_int_equal(sealed.type, SESSION_PREKEY);
        peer_expect(&b, &sealed, "knock");
        assert_int_equal(b.opened.is_new_session, i == 0);
        assert_int_equal(b.opened.used_one_time, i == 0);
        sealed_free(&sealed);
    }
    peer_talk(&b, &a, "come in");
    assert_int_equal(peer_seal(&a, &sealed, bytes_of_str("thanks")), RC_OK);
    assert_int_equal(sealed.type, SESSION_WHISPER);
    peer_expect(&b, &sealed, "thanks");
    sealed_free(&sealed);
    peer_close(&a);
    peer_close(&b);
}

static void
test_refusals(void **state)
{
    static uint8_t large[SESSION_PLAIN_MAX + 1];
    static const uint8_t foreign[] = {9, 1, 0};
    struct sealed sealed;
    struct buf out, next;
    enum session_type type;
    struct peer a, b;

    (void)state;
    peers_meet(&a, &b);
    assert_int_equal(peer_seal(&a, &sealed, bytes_of(large, sizeof(large))), RC_LIMIT);
    sealed_free(&sealed);
    buf_init(&out, SESSION_MESSAGE_MAX);
    buf_init(&next, SESSION_RECORD_MAX);
    assert_int_equal(session_encrypt(a.engine, &out, &type, &next, &a.identity, bytes_of(NULL, 0),
                                     bytes_of_str("x"), NULL),
                     RC_NO_SESSION);
    assert_int_equal(session_encrypt(a.engine, &out, &type, &next, &a.identity,
                                     bytes_of(foreign, sizeof(foreign)), bytes_of_str("x"), NULL),
                     RC_MALFORMED);
    /* a record without any state in it */
    assert_int_equal(session_encrypt(a.engine, &out, &type, &next, &a.identity,
                                     bytes_of("\x01\x01\x12\x00", 4), bytes_of_str("x"), NULL),
                     RC_NO_SESSION);
    assert_int_equal(out.len + next.len, 0);
    peer_close(&a);
    peer_close(&b);
}

static void
test_largest_and_empty_payload(void **state)
{
    static uint8_t large[SESSION_PLAIN_MAX];
    struct sealed sealed;
    struct buf plain;
    struct peer a, b;

    (void)state;
    peers_meet(&a, &b);
    memset(large, 0x5a, sizeof(large));
    for (size_t len = 0; len <= sizeof(large); len += sizeof(large)) {
        buf_init(&plain, SESSION_PLAIN_MAX);
        assert_int_equal(peer_seal(&a, &sealed, bytes_of(large, len)), RC_OK);
        assert_true(sealed.cipher.len <= SESSION_MESSAGE_MAX);
        assert_int_equal(peer_receive(&b, &plain, &sealed, NULL), RC_OK);
        assert_true(bytes_equal(buf_bytes(&plain), bytes_of(large, len)));
        buf_wipe(&plain);
        sealed_free(&sealed);
    }
    peer_close(&a);
    peer_close(&b);
}

/* Whichever of the two outputs has no room, neither keeps anything; what was there before stays. */
static void
test_full_buffers_get_nothing(void **state)
{
    static const struct {
        size_t cipher_max, record_max;
    } cases[] = {
        {20,                  SESSION_RECORD_MAX},
        {SESSION_MESSAGE_MAX, 20                },
    };
    struct peer a, b;

    (void)state;
    peers_meet(&a, &b);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out, next;
        enum session_type type;

        buf_init(&out, cases[i].cipher_max);
        buf_init(&next, cases[i].record_max);
        buf_put_str(&out, "before");
        buf_put_str(&next, "before");
        assert_int_equal(session_encrypt(a.engine, &out, &type, &next, &a.identity,
                                         buf_bytes(&a.record), bytes_of_str("x"), NULL),
                         RC_NOMEM);
        assert_int_equal(out.len, 6);
        assert_int_equal(next.len, 6);
        buf_free(&out);
        buf_free(&next);
    }
    peer_talk(&a, &b, "goes on");
    peer_close(&a);
    peer_close(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_i24_no_key_meets_two_plaintexts),
        cmocka_unit_test(test_i24_rolled_back_record_is_seen),
        cmocka_unit_test(test_header_goes_until_the_peer_answers),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_largest_and_empty_payload),
        cmocka_unit_test(test_full_buffers_get_nothing),
    };

    return cmocka_run_group_tests_name("session/encrypt", tests, NULL, NULL);
}
