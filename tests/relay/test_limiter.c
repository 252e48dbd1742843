/* test_limiter.c - counted windows, keys that do not meet, a table that never grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdbool.h>

#include "base/attr.h"
#include "crypto/prim.h"
#include "relay/limiter.h"

static const struct step_case {
    const char *name;
    uint32_t kind;
    uint64_t a, b;
    int64_t at_ms;
    bool want;
    uint32_t retry_s;
} steps[] = {
    {"first",                     1, 5, 6, 1000,  true,  0},
    {"second",                    1, 5, 6, 2000,  true,  0},
    {"third is one too many",     1, 5, 6, 3000,  false, 9},
    {"another b",                 1, 5, 7, 3000,  true,  0},
    {"another kind",              2, 5, 6, 3000,  true,  0},
    {"last moment of the window", 1, 5, 6, 10999, false, 1},
    {"the next window",           1, 5, 6, 11000, true,  0},
};

static void
test_windows(void **state)
{
    struct limiter *l;

    assert_int_equal(crypto_start(NULL), RC_OK);
    assert_int_equal(limiter_new(&l, 64, rng_system(), NULL), RC_OK);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        uint32_t retry_s = 99;
        bool got = limiter_take(l, steps[i].kind, steps[i].a, steps[i].b, 2, 10000, steps[i].at_ms,
                                &retry_s);

        if (got != steps[i].want || retry_s != steps[i].retry_s)
            fail_msg("%s: %d, %u s", steps[i].name, got, retry_s);
    }
    limiter_free(&l);
    assert_null(l);
}

/* A flood of keys makes it forget at most; a key in use right now is not the one forgotten. */
static void
test_flood(void **state)
{
    struct limiter *l;
    uint32_t n = 0;

    assert_int_equal(limiter_new(&l, 1024, rng_system(), NULL), RC_OK);
    for (uint64_t i = 0; i < 100000; i++) {
        assert_true(limiter_take(l, 1, i, 0, 1, 1000, (int64_t)i, NULL));
        n += limiter_take(l, 1, i, 0, 1, 1000, (int64_t)i, NULL);
    }
    assert_int_equal(n, 0);
    limiter_free(&l);
}

static void
test_text_keys(void **state)
{
    struct limiter *l, *other;

    assert_int_equal(limiter_new(&l, 8, rng_system(), NULL), RC_OK);
    assert_int_equal(limiter_new(&other, 8, rng_system(), NULL), RC_OK);
    assert_true(limiter_key(l, "192.0.2.1") == limiter_key(l, "192.0.2.1"));
    assert_true(limiter_key(l, "192.0.2.1") != limiter_key(l, "192.0.2.2"));
    assert_true(limiter_key(l, "192.0.2.1") != limiter_key(other, "192.0.2.1")); /* keyed */
    limiter_free(&l);
    limiter_free(&other);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_text_keys),
    };

    return cmocka_run_group_tests_name("relay/limiter", tests, NULL, NULL);
}
