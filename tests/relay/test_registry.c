/* test_registry.c - routes: found, taken over, given back, in any order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/attr.h"
#include "relay/registry.h"

static struct worker *const here = (struct worker *)0x1000; /* never looked into */

static struct route
route_of(uint64_t login)
{
    return (struct route){.worker = here, .slot = 1, .turn = 2, .login = login};
}

static void
test_claim_find_release(void **state)
{
    struct registry *r;
    struct route mine = route_of(1), old, found;

    assert_int_equal(registry_new(&r, NULL), RC_OK);
    assert_false(registry_find(r, &found, 15557654321, 1, 0));
    assert_int_equal(registry_claim(r, &old, 15557654321, 1, 0, &mine), RC_OK);
    assert_null(old.worker);
    assert_true(registry_find(r, &found, 15557654321, 1, 0));
    assert_int_equal(found.login, 1);
    assert_false(registry_find(r, &found, 15557654321, 1, 1));
    assert_false(registry_find(r, &found, 15557654321, 2, 0));
    registry_release(r, 15557654321, 1, 0, 1);
    assert_false(registry_find(r, &found, 15557654321, 1, 0));
    registry_free(&r);
    assert_null(r);
}

/* Logins become known in another order than they were decided: the later decision holds. */
static void
test_i31_later_login_holds(void **state)
{
    static const uint64_t orders[][3] = {
        {1, 2, 3},
        {3, 2, 1},
        {2, 3, 1},
        {1, 3, 2}
    };

    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        struct registry *r;
        struct route old, found;
        uint64_t highest = 0;

        assert_int_equal(registry_new(&r, NULL), RC_OK);
        for (size_t k = 0; k < 3; k++) {
            struct route mine = route_of(orders[i][k]);
            enum rc rc = registry_claim(r, &old, 7000000, 1, 31, &mine);

            assert_int_equal(rc, orders[i][k] > highest ? RC_OK : RC_STALE);
            assert_int_equal(old.login, highest);
            highest = orders[i][k] > highest ? orders[i][k] : highest;
        }
        registry_release(r, 7000000, 1, 31, 1); /* who lost it cannot give it back */
        registry_release(r, 7000000, 1, 31, 2);
        assert_true(registry_find(r, &found, 7000000, 1, 31));
        assert_int_equal(found.login, 3);
        registry_free(&r);
    }
}

static void
test_many(void **state)
{
    enum { N = 50000 };
    struct registry *r;
    struct route old, found;

    assert_int_equal(registry_new(&r, NULL), RC_OK);
    for (uint64_t i = 0; i < N; i++) {
        struct route mine = route_of(i + 1);

        assert_int_equal(registry_claim(r, &old, 15550000000 + i, 1, i % 32, &mine), RC_OK);
    }
    for (uint64_t i = 0; i < N; i += 2)
        registry_release(r, 15550000000 + i, 1, i % 32, i + 1);
    for (uint64_t i = 0; i < N; i++) {
        assert_int_equal(registry_find(r, &found, 15550000000 + i, 1, i % 32), i % 2);
        if (i % 2 == 1)
            assert_int_equal(found.login, i + 1);
    }
    registry_free(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claim_find_release),
        cmocka_unit_test(test_i31_later_login_holds),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests_name("relay/registry", tests, NULL, NULL);
}
