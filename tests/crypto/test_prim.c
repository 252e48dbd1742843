/* Tests of crypto/prim: password hashes. */
#include "crypto/prim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void
test_prim_start_twice(void **state)
{
    assert_int_equal(crypto_start(NULL), RC_OK);
    assert_int_equal(crypto_start(NULL), RC_OK);
}

static void
test_prim_passwords(void **state)
{
    char one[128], two[128];

    assert_int_equal(password_hash(one, bytes_of_str("123456"), NULL), RC_OK);
    assert_int_equal(password_hash(two, bytes_of_str("123456"), NULL), RC_OK);
    assert_memory_equal(one, "$argon2id$", 10);
    assert_string_not_equal(one, two); /* salted */
    assert_int_equal(password_verify(one, bytes_of_str("123456")), RC_OK);
    assert_int_equal(password_verify(one, bytes_of_str("123457")), RC_AUTH);
    assert_int_equal(password_verify(one, bytes_of_str("")), RC_AUTH);
    one[40] = one[40] == 'A' ? 'B' : 'A';
    assert_int_equal(password_verify(one, bytes_of_str("123456")), RC_AUTH);
}

static void
test_prim_stored_password_of_any_bytes(void **state)
{
    char stored[128];

    memset(stored, 'x', sizeof(stored)); /* no end */
    assert_int_equal(password_verify(stored, bytes_of_str("123456")), RC_AUTH);
    memset(stored, 0, sizeof(stored));
    assert_int_equal(password_verify(stored, bytes_of_str("123456")), RC_AUTH);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prim_start_twice),
        cmocka_unit_test(test_prim_passwords),
        cmocka_unit_test(test_prim_stored_password_of_any_bytes),
    };

    return cmocka_run_group_tests_name("crypto/prim", tests, NULL, NULL);
}
