/* Opening: order, duplicates, every flipped byte (I27), one-time prekeys (I26), identities. */
#include "session/session.h"

#include "peers.h"
#include "tap.h"

#define RUN 2000u /* messages in the shuffled run: as far as a chain jumps ahead */

/* Try to open and say how it ended; on failure the record is byte for byte what it was (I27). */
static enum rc
try_open(struct peer *p, const struct sealed *in, const uint8_t *expected)
{
    struct buf before, plain;
    enum rc rc;

    buf_init(&before, SESSION_RECORD_MAX);
    buf_init(&plain, SESSION_PLAIN_MAX);
    buf_put(&before, buf_bytes(&p->record));
    rc = peer_receive(p, &plain, in, expected);
    if (rc != RC_OK) {
        assert_true(bytes_equal(buf_bytes(&before), buf_bytes(&p->record)));
        assert_int_equal(plain.len, 0);
    }
    buf_wipe(&before);
    buf_wipe(&plain);
    return rc;
}

static void
start(struct peer *a, struct peer *b, int one_time)
{
    struct session_bundle bundle;

    peer_open(a, 1);
    peer_open(b, 2);
    bundle = peer_bundle(b, one_time);
    assert_int_equal(peer_start(a, &bundle), RC_OK);
}

static void
test_shuffled_run_opens_and_next_is_too_far(void **state)
{
    static struct sealed run[RUN + 2];
    static uint32_t order[RUN];
    struct peer a, b;
    struct buf plain;
    uint64_t seed = 99;

    (void)state;
    peers_meet(&a, &b);
    for (uint32_t i = 0; i < RUN + 2; i++)
        assert_int_equal(peer_seal(&a, &run[i], bytes_of(&i, sizeof(i))), RC_OK);
    assert_int_equal(try_open(&b, &run[RUN + 1], NULL), RC_LIMIT);
    for (uint32_t i = 0; i < RUN; i++)
        order[i] = i;
    for (uint32_t i = RUN - 1; i > 0; i--) {
        uint32_t k = rng_below(rng_seeded(&seed), i + 1);
        uint32_t other = order[k];

        order[k] = order[i];
        order[i] = other;
    }
    buf_init(&plain, 64);
    for (uint32_t i = 0; i < RUN; i++) {
        buf_reset(&plain);
        assert_int_equal(peer_receive(&b, &plain, &run[order[i]], NULL), RC_OK);
        assert_memory_equal(plain.ptr, &order[i], sizeof(order[i]));
        assert_true(b.record.len < SESSION_RECORD_MAX);
    }
    assert_int_equal(try_open(&b, &run[order[0]], NULL), RC_DUPLICATE);
    for (uint32_t i = 0; i < RUN + 2; i++)
        sealed_free(&run[i]);
    buf_wipe(&plain);
    peer_close(&a);
    peer_close(&b);
}

static void
test_i27_duplicate_changes_nothing(void **state)
{
    struct sealed sealed;
    struct peer a, b;

    (void)state;
    peers_meet(&a, &b);
    assert_int_equal(peer_seal(&a, &sealed, bytes_of_str("once")), RC_OK);
    peer_expect(&b, &sealed, "once");
    assert_int_equal(try_open(&b, &sealed, NULL), RC_DUPLICATE);
    peer_talk(&a, &b, "goes on");
    sealed_free(&sealed);
    peer_close(&a);
    peer_close(&b);
}

/* Every byte of an ordinary message, each bit: refused, and the record stays as it was. */
static void
test_i27_flipped_byte_changes_nothing(void **state)
{
    struct sealed sealed;
    struct peer a, b;

    (void)state;
    peers_meet(&a, &b);
    assert_int_equal(peer_seal(&a, &sealed, bytes_of_str("do not touch")), RC_OK);
    for (size_t i = 0; i < sealed.cipher.len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            enum rc rc;

            sealed.cipher.ptr[i] ^= (uint8_t)(1u << bit);
            rc = try_open(&b, &sealed, NULL);
            if (rc != RC_AUTH && rc != RC_MALFORMED && rc != RC_LIMIT)
                fail_msg("byte %zu bit %u: %s", i, bit, rc_name(rc));
            sealed.cipher.ptr[i] ^= (uint8_t)(1u << bit);
        }
    }
    peer_expect(&b, &sealed, "do not touch");
    sealed_free(&sealed);
    peer_close(&a);
    peer_close(&b);
}

/* A first message's header has no MAC of its own: the sender's registration id (and the advertised
 * version) may be changed on the way, nothing else. Everything else is refused without a trace. */
static void
test_i27_flipped_byte_of_first_message(void **state)
{
    struct sealed sealed;
    struct peer a, b;
    unsigned n_opened = 0;

    (void)state;
    start(&a, &b, 0);
    assert_int_equal(peer_seal(&a, &sealed, bytes_of_str("first")), RC_OK);
    for (size_t i = 0; i < sealed.cipher.len; i++) {
        struct session_prekey_source source = peer_source(&b);
        struct session_opened opened;
        struct buf plain, next;
        enum rc rc;

        buf_init(&plain, SESSION_PLAIN_MAX);
        buf_init(&next, SESSION_RECORD_MAX);
        sealed.cipher.ptr[i] ^= 0x04;
        rc = session_decrypt(b.engine, &plain, &next, &opened, &b.identity, bytes_of(NULL, 0),
                             sealed.type, buf_bytes(&sealed.cipher), NULL, &source, NULL);
        sealed.cipher.ptr[i] ^= 0x04;
        if (rc == RC_OK) {
            n_opened++;
            assert_true(bytes_equal(buf_bytes(&plain), bytes_of_str("first")));
            assert_memory_equal(opened.peer_identity, a.identity.pub, SESSION_PUBLIC_SIZE);
        } else {
            assert_int_equal(plain.len + next.len, 0);
            assert_false(opened.used_one_time);
        }
        buf_wipe(&plain);
        buf_wipe(&next);
    }
    assert_in_range(n_opened, 1, 5);
    peer_expect(&b, &sealed, "first");
    sealed_free(&sealed);
    peer_close(&a);
    peer_close(&b);
}

static void
test_cut_short_anywhere_is_refused(void **state)
{
    struct sealed sealed;
    struct peer a, b;
    size_t whole;

    (void)state;
    start(&a, &b, 0);
    assert_int_equal(peer_seal(&a, &sealed, bytes_of_str("first")), RC_OK);
    whole = sealed.cipher.len;
    /* the last two fields, registration id and signed prekey id, are 5 bytes or so: the last is
     * needed */
    for (sealed.cipher.len = 0; sealed.cipher.len < whole; sealed.cipher.len++)
        assert_int_not_equal(try_open(&b, &sealed, NULL), RC_OK);
    peer_expect(&b, &sealed, "first");
    sealed_free(&sealed);
    peer_close(&a);
    peer_close(&b);
}

static const struct version_case {
    uint8_t byte;
    enum rc want;
} versions[] = {
    {0x33, RC_OK       },
    {0x32, RC_MALFORMED}, /* low nibble below the high one */
    {0x30, RC_MALFORMED},
    {0x34, RC_AUTH     }, /* legal, but the MAC covers the byte as sent */
    {0x3f, RC_AUTH     },
    {0x22, RC_MALFORMED},
    {0x23, RC_MALFORMED},
    {0x44, RC_MALFORMED},
    {0x43, RC_MALFORMED},
    {0x00, RC_MALFORMED},
};

static void
test_version_byte(void **state)
{
    struct sealed sealed;
    struct peer a, b;

    (void)state;
    peers_meet(&a, &b);
    assert_int_equal(peer_seal(&a, &sealed, bytes_of_str("x")), RC_OK);
    for (size_t i = ARRAY_LEN(versions); i-- > 0;) {
        sealed.cipher.ptr[0] = versions[i].byte;
        assert_int_equal(try_open(&b, &sealed, NULL), versions[i].want);
    }
    sealed_free(&sealed);
    peer_close(&a);
    peer_close(&b);
}

static void
test_i26_used_one_time_prekey_is_reported(void **state)
{
    struct sealed first, second;
    struct peer a, b;

    (void)state;
    start(&a, &b, 2);
    assert_int_equal(peer_seal(&a, &first, bytes_of_str("first")), RC_OK);
    assert_int_equal(peer_seal(&a, &second, bytes_of_str("second")), RC_OK);
    peer_expect(&b, &first, "first");
    assert_true(b.opened.used_one_time);
    assert_int_equal(b.opened.one_time_id, PEER_FIRST_ID + 2);
    assert_true(b.is_spent[2]);
    /* the private key is gone; the second message of the same session does not need it */
    peer_expect(&b, &second, "second");
    assert_false(b.opened.used_one_time);
    assert_int_equal(try_open(&b, &first, NULL), RC_DUPLICATE);
    sealed_free(&first);
    sealed_free(&second);
    peer_close(&a);
    peer_close(&b);
}

/* Replayed against a device that lost the session but not the bookkeeping: the key is spent. */
static void
test_i26_spent_one_time_prekey_opens_nothing(void **state)
{
    struct sealed first;
    struct peer a, b;

    (void)state;
    start(&a, &b, 0);
    assert_int_equal(peer_seal(&a, &first, bytes_of_str("first")), RC_OK);
    peer_expect(&b, &first, "first");
    buf_wipe(&b.record);
    buf_init(&b.record, SESSION_RECORD_MAX);
    assert_int_equal(try_open(&b, &first, NULL), RC_NOTFOUND);
    b.is_spent[0] = false;
    b.signed_prekey.pair.id++;
    assert_int_equal(try_open(&b, &first, NULL), RC_NOTFOUND);
    sealed_free(&first);
    peer_close(&a);
    peer_close(&b);
}

static enum rc
failing_source(void *ctx, uint32_t id, struct session_signed_prekey *out)
{
    (void)ctx;
    (void)id;
    (void)out;
    return RC_IO;
}

static void
test_failure_of_the_key_source_comes_through(void **state)
{
    struct session_prekey_source source;
    struct session_opened opened;
    struct sealed first;
    struct buf plain, next;
    struct peer a, b;

    (void)state;
    start(&a, &b, 0);
    assert_int_equal(peer_seal(&a, &first, bytes_of_str("first")), RC_OK);
    source = peer_source(&b);
    source.signed_prekey = failing_source;
    buf_init(&plain, SESSION_PLAIN_MAX);
    buf_init(&next, SESSION_RECORD_MAX);
    assert_int_equal(session_decrypt(b.engine, &plain, &next, &opened, &b.identity,
                                     bytes_of(NULL, 0), first.type, buf_bytes(&first.cipher), NULL,
                                     &source, NULL),
                     RC_IO);
    assert_int_equal(session_decrypt(b.engine, &plain, &next, &opened, &b.identity,
                                     bytes_of(NULL, 0), first.type, buf_bytes(&first.cipher), NULL,
                                     NULL, NULL),
                     RC_NOTFOUND);
    assert_int_equal(plain.len + next.len, 0);
    sealed_free(&first);
    peer_close(&a);
    peer_close(&b);
}

static void
test_identity_must_be_the_expected_one(void **state)
{
    struct sealed first, later;
    struct peer a, b;

    (void)state;
    start(&a, &b, 0);
    assert_int_equal(peer_seal(&a, &first, bytes_of_str("first")), RC_OK);
    assert_int_equal(try_open(&b, &first, b.identity.pub), RC_UNTRUSTED);
    assert_int_equal(try_open(&b, &first, a.identity.pub), RC_OK);
    peer_talk(&b, &a, "answer");
    assert_int_equal(peer_seal(&a, &later, bytes_of_str("later")), RC_OK);
    assert_int_equal(later.type, SESSION_WHISPER);
    assert_int_equal(try_open(&b, &later, b.identity.pub), RC_UNTRUSTED);
    assert_int_equal(try_open(&b, &later, a.identity.pub), RC_OK);
    sealed_free(&first);
    sealed_free(&later);
    peer_close(&a);
    peer_close(&b);
}

static void
test_untrusted_identity_is_told(void **state)
{
    struct session_prekey_source source;
    struct session_opened opened;
    struct sealed first;
    struct buf plain, next;
    struct peer a, b;

    (void)state;
    start(&a, &b, 0);
    assert_int_equal(peer_seal(&a, &first, bytes_of_str("first")), RC_OK);
    source = peer_source(&b);
    buf_init(&plain, SESSION_PLAIN_MAX);
    buf_init(&next, SESSION_RECORD_MAX);
    assert_int_equal(session_decrypt(b.engine, &plain, &next, &opened, &b.identity,
                                     bytes_of(NULL, 0), first.type, buf_bytes(&first.cipher),
                                     b.identity.pub, &source, NULL),
                     RC_UNTRUSTED);
    assert_memory_equal(opened.peer_identity, a.identity.pub, SESSION_PUBLIC_SIZE);
    assert_false(opened.used_one_time || opened.is_new_session);
    sealed_free(&first);
    peer_close(&a);
    peer_close(&b);
}

/* The header of a first message is not protected once a session stands: a header that names another
 * identity over an existing session must not make the caller believe it. */
static void
test_header_cannot_lend_another_identity(void **state)
{
    struct sealed second;
    struct peer a, b;
    uint8_t *at;

    (void)state;
    start(&a, &b, 0);
    peer_talk(&a, &b, "first");
    assert_int_equal(peer_seal(&a, &second, bytes_of_str("second")), RC_OK);
    assert_int_equal(second.type, SESSION_PREKEY);
    at = memmem(second.cipher.ptr, second.cipher.len, a.identity.pub, SESSION_PUBLIC_SIZE);
    assert_non_null(at);
    memcpy(at, b.identity.pub, SESSION_PUBLIC_SIZE);
    assert_int_equal(try_open(&b, &second, NULL), RC_AUTH);
    memcpy(at, a.identity.pub, SESSION_PUBLIC_SIZE);
    peer_expect(&b, &second, "second");
    sealed_free(&second);
    peer_close(&a);
    peer_close(&b);
}

static void
test_refusals(void **state)
{
    static uint8_t large[SESSION_MESSAGE_MAX + 1] = {0x33};
    struct sealed sealed;
    struct peer a, b;

    (void)state;
    peers_meet(&a, &b);
    buf_init(&sealed.cipher, sizeof(large));
    buf_put(&sealed.cipher, bytes_of(large, sizeof(large)));
    sealed.type = SESSION_WHISPER;
    assert_int_equal(try_open(&b, &sealed, NULL), RC_LIMIT);
    sealed_free(&sealed);
    assert_int_equal(peer_seal(&a, &sealed, bytes_of_str("x")), RC_OK);
    sealed.type = (enum session_type)4;
    assert_int_equal(try_open(&b, &sealed, NULL), RC_MALFORMED);
    sealed.type = SESSION_PREKEY;
    assert_int_equal(try_open(&b, &sealed, NULL), RC_MALFORMED);
    sealed.type = SESSION_WHISPER;
    buf_wipe(&b.record);
    buf_init(&b.record, SESSION_RECORD_MAX);
    assert_int_equal(try_open(&b, &sealed, NULL), RC_NO_SESSION);
    sealed_free(&sealed);
    peer_close(&a);
    peer_close(&b);
}

static void
test_i27_full_buffers_get_nothing(void **state)
{
    static const struct {
        size_t plain_max, record_max;
    } cases[] = {
        {3,                 SESSION_RECORD_MAX},
        {SESSION_PLAIN_MAX, 20                },
    };
    struct sealed sealed;
    struct peer a, b;

    (void)state;
    peers_meet(&a, &b);
    assert_int_equal(peer_seal(&a, &sealed, bytes_of_str("text")), RC_OK);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct session_opened opened;
        struct buf plain, next;

        buf_init(&plain, cases[i].plain_max);
        buf_init(&next, cases[i].record_max);
        assert_int_equal(session_decrypt(b.engine, &plain, &next, &opened, &b.identity,
                                         buf_bytes(&b.record), sealed.type,
                                         buf_bytes(&sealed.cipher), NULL, NULL, NULL),
                         RC_NOMEM);
        assert_int_equal(plain.len + next.len, 0);
        buf_free(&plain);
        buf_free(&next);
    }
    peer_expect(&b, &sealed, "text");
    sealed_free(&sealed);
    peer_close(&a);
    peer_close(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shuffled_run_opens_and_next_is_too_far),
        cmocka_unit_test(test_i27_duplicate_changes_nothing),
        cmocka_unit_test(test_i27_flipped_byte_changes_nothing),
        cmocka_unit_test(test_i27_flipped_byte_of_first_message),
        cmocka_unit_test(test_cut_short_anywhere_is_refused),
        cmocka_unit_test(test_version_byte),
        cmocka_unit_test(test_i26_used_one_time_prekey_is_reported),
        cmocka_unit_test(test_i26_spent_one_time_prekey_opens_nothing),
        cmocka_unit_test(test_failure_of_the_key_source_comes_through),
        cmocka_unit_test(test_identity_must_be_the_expected_one),
        cmocka_unit_test(test_untrusted_identity_is_told),
        cmocka_unit_test(test_header_cannot_lend_another_identity),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_i27_full_buffers_get_nothing),
    };

    return cmocka_run_group_tests_name("session/decrypt", tests, NULL, NULL);
}
