/* Keys of a device: ranges, wrapping ids, pairs that belong together, signatures of both sign bits.
 */
#include "session/session.h"

#include "peers.h"
#include "tap.h"

#include "crypto/prim.h"

static void
assert_pair(const uint8_t pub[SESSION_PUBLIC_SIZE], const uint8_t priv[SESSION_PRIVATE_SIZE])
{
    uint8_t want[32];

    x25519_public(want, priv);
    assert_int_equal(pub[0], 5);
    assert_memory_equal(pub + 1, want, sizeof(want));
}

static void
test_identity_is_in_range(void **state)
{
    struct peer p;

    (void)state;
    peer_open(&p, 5);
    for (int i = 0; i < 50; i++) {
        struct session_identity identity;

        assert_int_equal(session_identity_make(p.engine, &identity, NULL), RC_OK);
        assert_pair(identity.pub, identity.priv);
        assert_in_range(identity.registration_id, 1, SESSION_REGISTRATION_ID_MAX);
    }
    peer_close(&p);
}

static const struct wrap_case {
    uint32_t first, want[3];
} wraps[] = {
    {1,                         {1, 2, 3}                                            },
    {SESSION_PREKEY_ID_MAX - 1, {SESSION_PREKEY_ID_MAX - 1, SESSION_PREKEY_ID_MAX, 1}},
    {SESSION_PREKEY_ID_MAX,     {SESSION_PREKEY_ID_MAX, 1, 2}                        },
};

static void
test_prekey_ids_wrap(void **state)
{
    struct peer p;

    (void)state;
    peer_open(&p, 5);
    for (size_t i = 0; i < ARRAY_LEN(wraps); i++) {
        struct session_prekey keys[3];

        assert_int_equal(session_prekeys_make(p.engine, keys, 3, wraps[i].first, NULL), RC_OK);
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(keys[k].id, wraps[i].want[k]);
            assert_pair(keys[k].pub, keys[k].priv);
        }
    }
    peer_close(&p);
}

static void
test_ids_out_of_range_are_refused(void **state)
{
    static const uint32_t bad[] = {0, SESSION_PREKEY_ID_MAX + 1, UINT32_MAX};
    struct session_signed_prekey own;
    struct session_prekey key;
    struct peer p;

    (void)state;
    peer_open(&p, 5);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(session_prekeys_make(p.engine, &key, 1, bad[i], NULL), RC_INVAL);
        assert_int_equal(session_signed_prekey_make(p.engine, &own, &p.identity, bad[i], 0, NULL),
                         RC_INVAL);
    }
    peer_close(&p);
}

/* Half of all identities have an Edwards point of negative sign; both kinds must sign and verify.
 */
static void
test_signatures_of_both_sign_bits(void **state)
{
    unsigned seen[2] = {0, 0};
    struct peer p;

    (void)state;
    peer_open(&p, 5);
    for (int i = 0; i < 200 && (seen[0] < 4 || seen[1] < 4); i++) {
        struct session_identity identity;
        struct session_signed_prekey own;

        assert_int_equal(session_identity_make(p.engine, &identity, NULL), RC_OK);
        assert_int_equal(session_signed_prekey_make(p.engine, &own, &identity, 1, 7, NULL), RC_OK);
        assert_pair(own.pair.pub, own.pair.priv);
        assert_int_equal(curve_verify(own.signature, identity.pub + 1,
                                      bytes_of(own.pair.pub, SESSION_PUBLIC_SIZE)),
                         RC_OK);
        seen[own.signature[63] >> 7]++;
        own.signature[10] ^= 1;
        assert_int_equal(curve_verify(own.signature, identity.pub + 1,
                                      bytes_of(own.pair.pub, SESSION_PUBLIC_SIZE)),
                         RC_AUTH);
    }
    assert_true(seen[0] >= 4 && seen[1] >= 4);
    peer_close(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity_is_in_range),
        cmocka_unit_test(test_prekey_ids_wrap),
        cmocka_unit_test(test_ids_out_of_range_are_refused),
        cmocka_unit_test(test_signatures_of_both_sign_bits),
    };

    return cmocka_run_group_tests_name("session/keys", tests, NULL, NULL);
}
