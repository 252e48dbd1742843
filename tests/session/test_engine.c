/* An engine is born only with our curve code in force, and with the system's protobuf runtime. */
#include "session/engine.h"

#include "peers.h"
#include "tap.h"

#include <protobuf-c/protobuf-c.h>

static void
test_curve_calls_go_through_ours(void **state)
{
    struct curve_calls before;
    struct peer a, b;
    struct session_bundle bundle;

    (void)state;
    peer_open(&a, 1);
    peer_open(&b, 2);
    bundle = peer_bundle(&b, 0);
    before = *curve_calls_borrow();
    assert_int_equal(peer_start(&a, &bundle), RC_OK);
    /* four agreements of X3DH, one of the first ratchet step, two key pairs, one signature checked
     */
    assert_int_equal(curve_calls_borrow()->multiply - before.multiply, 7);
    assert_int_equal(curve_calls_borrow()->verify - before.verify, 1);
    peer_close(&a);
    peer_close(&b);
}

static void
test_agreement_refuses_all_zero_secret(void **state)
{
    static const uint8_t small_order[33] = {0x05, 1};
    struct peer a;
    ec_public_key *pub = NULL;
    ec_private_key *priv = NULL;
    uint8_t *secret = NULL;

    (void)state;
    peer_open(&a, 1);
    assert_int_equal(curve_decode_point(&pub, small_order, 33, a.engine->context), 0);
    assert_int_equal(curve_decode_private_point(&priv, a.identity.priv, 32, a.engine->context), 0);
    assert_true(curve_calculate_agreement(&secret, pub, priv) < 0);
    SIGNAL_UNREF(pub);
    SIGNAL_UNREF(priv);
    peer_close(&a);
}

/* The session library carries runtime 1.1.1, which misreads proto3. */
static void
test_protobuf_runtime_is_the_systems(void **state)
{
    (void)state;
    assert_true(protobuf_c_version_number() >= 1003000);
}

static void
test_free_accepts_null(void **state)
{
    struct session_engine *engine = NULL;

    (void)state;
    session_engine_free(&engine);
    assert_null(engine);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_curve_calls_go_through_ours),
        cmocka_unit_test(test_agreement_refuses_all_zero_secret),
        cmocka_unit_test(test_protobuf_runtime_is_the_systems),
        cmocka_unit_test(test_free_accepts_null),
    };

    return cmocka_run_group_tests_name("session/engine", tests, NULL, NULL);
}
