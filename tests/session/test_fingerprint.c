/* The safety number: both sides read the same, any change shows. */
#include "session/session.h"

#include "peers.h"
#include "tap.h"

static const char ana[] = "15557654321";
static const char shop[] = "15550123400";

static void
test_both_sides_read_the_same(void **state)
{
    char of_a[61], of_b[61];
    struct peer a, b;

    (void)state;
    peer_open(&a, 1);
    peer_open(&b, 2);
    assert_int_equal(
        session_safety_number(a.engine, of_a, a.identity.pub, ana, b.identity.pub, shop, NULL),
        RC_OK);
    assert_int_equal(
        session_safety_number(b.engine, of_b, b.identity.pub, shop, a.identity.pub, ana, NULL),
        RC_OK);
    assert_string_equal(of_a, of_b);
    assert_int_equal(strspn(of_a, "0123456789"), 60);
    peer_close(&a);
    peer_close(&b);
}

static void
test_another_key_or_number_shows(void **state)
{
    char base[61], other_key[61], other_number[61];
    struct peer a, b, eve;

    (void)state;
    peer_open(&a, 1);
    peer_open(&b, 2);
    peer_open(&eve, 3);
    assert_int_equal(
        session_safety_number(a.engine, base, a.identity.pub, ana, b.identity.pub, shop, NULL),
        RC_OK);
    assert_int_equal(session_safety_number(a.engine, other_key, a.identity.pub, ana,
                                           eve.identity.pub, shop, NULL),
                     RC_OK);
    assert_int_equal(session_safety_number(a.engine, other_number, a.identity.pub, ana,
                                           b.identity.pub, "15550123401", NULL),
                     RC_OK);
    assert_string_not_equal(base, other_key);
    assert_string_not_equal(base, other_number);
    peer_close(&a);
    peer_close(&b);
    peer_close(&eve);
}

static void
test_refusals(void **state)
{
    static const uint8_t bad_key[SESSION_PUBLIC_SIZE] = {4};
    char out[61];
    struct peer a;

    (void)state;
    peer_open(&a, 1);
    assert_int_equal(
        session_safety_number(a.engine, out, a.identity.pub, "", a.identity.pub, shop, NULL),
        RC_INVAL);
    assert_int_equal(session_safety_number(a.engine, out, a.identity.pub, ana, a.identity.pub,
                                           "123456789012345678901234567890123", NULL),
                     RC_INVAL);
    assert_int_equal(session_safety_number(a.engine, out, a.identity.pub, ana, bad_key, shop, NULL),
                     RC_MALFORMED);
    assert_string_equal(out, "");
    peer_close(&a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_sides_read_the_same),
        cmocka_unit_test(test_another_key_or_number_shows),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests_name("session/fingerprint", tests, NULL, NULL);
}
