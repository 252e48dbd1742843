/* Starting from a bundle: what is refused, what an old session keeps, and both sides at once. */
#include "session/session.h"

#include "peers.h"
#include "tap.h"

/* Change one thing in a good bundle. */
static void
break_signature(struct session_bundle *b)
{
    b->signature[5] ^= 1;
}
static void
break_signed_key(struct session_bundle *b)
{
    b->signed_key[9] ^= 1;
}
static void
swap_identity(struct session_bundle *b)
{
    b->identity[9] ^= 1;
}
static void
break_key_type(struct session_bundle *b)
{
    b->identity[0] = 6;
}
static void
break_one_time_type(struct session_bundle *b)
{
    b->one_time[0] = 0;
}
static void
zero_identity(struct session_bundle *b)
{
    memset(b->identity + 1, 0, 32);
}
static void
zero_one_time(struct session_bundle *b)
{
    memset(b->one_time + 1, 0, 32);
}
static void
zero_signed_id(struct session_bundle *b)
{
    b->signed_id = 0;
}
static void
last_resort_id(struct session_bundle *b)
{
    b->one_time_id = SESSION_PREKEY_ID_MAX + 1;
}
static void
large_registration_id(struct session_bundle *b)
{
    b->registration_id = SESSION_REGISTRATION_ID_MAX + 1;
}

static const struct bundle_case {
    const char *name;
    void (*change)(struct session_bundle *b);
    enum rc want;
} cases[] = {
    {"signature is wrong",           break_signature,       RC_AUTH     },
    {"signed key is another",        break_signed_key,      RC_AUTH     },
    {"identity is another",          swap_identity,         RC_AUTH     },
    {"identity is of unknown kind",  break_key_type,        RC_MALFORMED},
    {"one-time key of unknown kind", break_one_time_type,   RC_MALFORMED},
    {"small-order identity",         zero_identity,         RC_AUTH     },
    {"small-order one-time key",     zero_one_time,         RC_MALFORMED},
    {"signed id 0",                  zero_signed_id,        RC_MALFORMED},
    {"one-time id out of range",     last_resort_id,        RC_MALFORMED},
    {"registration id too large",    large_registration_id, RC_MALFORMED},
};

static void
test_bad_bundles_are_refused(void **state)
{
    struct peer a, b;

    (void)state;
    peer_open(&a, 1);
    peer_open(&b, 2);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct session_bundle bundle = peer_bundle(&b, 0);
        enum rc rc;

        cases[i].change(&bundle);
        rc = peer_start(&a, &bundle);
        if (rc != cases[i].want)
            fail_msg("%s: %s", cases[i].name, rc_name(rc));
        assert_int_equal(a.record.len, 0);
    }
    peer_close(&a);
    peer_close(&b);
}

/* A signed prekey of small order under a good signature: the agreement comes out all zero. */
static void
test_all_zero_agreement_is_refused(void **state)
{
    static const uint8_t small_order[][32] = {{0}, {1}};
    struct peer a, b;

    (void)state;
    peer_open(&a, 1);
    peer_open(&b, 2);
    for (size_t i = 0; i < ARRAY_LEN(small_order); i++) {
        struct session_bundle bundle = peer_bundle(&b, -1);

        memcpy(bundle.signed_key + 1, small_order[i], 32);
        assert_int_equal(session_sign(b.engine, bundle.signature, &b.identity,
                                      bytes_of(bundle.signed_key, SESSION_PUBLIC_SIZE), NULL),
                         RC_OK);
        assert_int_equal(peer_start(&a, &bundle), RC_MALFORMED);
    }
    peer_close(&a);
    peer_close(&b);
}

static void
test_with_and_without_one_time_key(void **state)
{
    (void)state;
    for (int one_time = -1; one_time < 2; one_time++) {
        struct session_bundle bundle;
        struct sealed sealed;
        struct peer a, b;

        peer_open(&a, 1);
        peer_open(&b, 2);
        bundle = peer_bundle(&b, one_time);
        assert_int_equal(peer_start(&a, &bundle), RC_OK);
        assert_int_equal(peer_seal(&a, &sealed, bytes_of_str("first")), RC_OK);
        assert_int_equal(sealed.type, SESSION_PREKEY);
        peer_expect(&b, &sealed, "first");
        assert_true(b.opened.is_new_session);
        assert_int_equal(b.opened.used_one_time, one_time >= 0);
        assert_memory_equal(b.opened.peer_identity, a.identity.pub, SESSION_PUBLIC_SIZE);
        peer_talk(&b, &a, "second");
        assert_memory_equal(a.opened.peer_identity, b.identity.pub, SESSION_PUBLIC_SIZE);
        peer_talk(&a, &b, "third");
        assert_false(b.opened.is_new_session);
        sealed_free(&sealed);
        peer_close(&a);
        peer_close(&b);
    }
}

/* A new session archives the old one: what is still under way on it opens. */
static void
test_old_session_is_archived(void **state)
{
    struct session_bundle bundle;
    struct sealed late;
    struct peer a, b;

    (void)state;
    peers_meet(&a, &b);
    assert_int_equal(peer_seal(&b, &late, bytes_of_str("late")), RC_OK);
    bundle = peer_bundle(&b, 1);
    assert_int_equal(peer_start(&a, &bundle), RC_OK);
    peer_expect(&a, &late, "late");
    peer_talk(&a, &b, "on");
    peer_talk(&b, &a, "and on");
    sealed_free(&late);
    peer_close(&a);
    peer_close(&b);
}

/* Both sides start at once and their first messages cross. */
static void
test_crossing_first_messages_converge(void **state)
{
    struct session_bundle of_a, of_b;
    struct session_description described;
    struct sealed from_a, from_b;
    struct peer a, b;

    (void)state;
    peer_open(&a, 1);
    peer_open(&b, 2);
    of_a = peer_bundle(&a, 0);
    of_b = peer_bundle(&b, 0);
    assert_int_equal(peer_start(&a, &of_b), RC_OK);
    assert_int_equal(peer_start(&b, &of_a), RC_OK);
    assert_int_equal(peer_seal(&a, &from_a, bytes_of_str("from a")), RC_OK);
    assert_int_equal(peer_seal(&b, &from_b, bytes_of_str("from b")), RC_OK);
    peer_expect(&a, &from_b, "from b");
    peer_expect(&b, &from_a, "from a");
    peer_talk(&a, &b, "a again");
    peer_talk(&b, &a, "b again");
    /* one round trip later neither side sends the header of a first message any more */
    assert_int_equal(session_describe(a.engine, &described, buf_bytes(&a.record), NULL), RC_OK);
    assert_false(described.is_unanswered);
    for (int i = 0; i < 5; i++) {
        peer_talk(&a, &b, "ping");
        peer_talk(&b, &a, "pong");
    }
    assert_int_equal(session_describe(b.engine, &described, buf_bytes(&b.record), NULL), RC_OK);
    assert_false(described.is_unanswered);
    sealed_free(&from_a);
    sealed_free(&from_b);
    peer_close(&a);
    peer_close(&b);
}

static void
test_oversize_record_is_refused(void **state)
{
    static uint8_t large[SESSION_RECORD_MAX + 1];
    struct session_bundle bundle;
    struct buf out;
    struct peer a, b;

    (void)state;
    peer_open(&a, 1);
    peer_open(&b, 2);
    bundle = peer_bundle(&b, 0);
    buf_init(&out, SESSION_RECORD_MAX);
    assert_int_equal(
        session_start(a.engine, &out, &a.identity, bytes_of(large, sizeof(large)), &bundle, NULL),
        RC_LIMIT);
    assert_int_equal(out.len, 0);
    peer_close(&a);
    peer_close(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_bundles_are_refused),
        cmocka_unit_test(test_all_zero_agreement_is_refused),
        cmocka_unit_test(test_with_and_without_one_time_key),
        cmocka_unit_test(test_old_session_is_archived),
        cmocka_unit_test(test_crossing_first_messages_converge),
        cmocka_unit_test(test_oversize_record_is_refused),
    };

    return cmocka_run_group_tests_name("session/start", tests, NULL, NULL);
}
