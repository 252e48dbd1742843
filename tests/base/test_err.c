/* Tests of base/err: every code has a name of its own, texts are cut and never overrun. */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void
test_every_code_has_its_own_name(void **state)
{
    for (int a = 0; a < RC_COUNT; a++) {
        assert_non_null(rc_name((enum rc)a));
        for (int b = 0; b < a; b++)
            assert_string_not_equal(rc_name((enum rc)a), rc_name((enum rc)b));
    }
    assert_string_equal(rc_name(RC_COUNT), "unknown");
    assert_string_equal(rc_name((enum rc) - 1), "unknown");
}

static void
test_set_fills_and_returns(void **state)
{
    struct err err = {0};

    assert_int_equal(err_set(&err, RC_STALE, "a.b", "row %d", 7), RC_STALE);
    assert_int_equal(err.rc, RC_STALE);
    assert_string_equal(err.site, "a.b");
    assert_string_equal(err.text, "row 7");
    assert_int_equal(err_set(NULL, RC_IO, "a.b", "nobody listens"), RC_IO);
}

static void
test_long_text_is_cut(void **state)
{
    struct err err;
    char text[400];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(err_set(&err, RC_IO, "a", "%s", text), RC_IO);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

static void
test_errno_is_explained(void **state)
{
    struct err err;

    assert_int_equal(err_errno(&err, RC_IO, "a", ENOENT, "door"), RC_IO);
    assert_string_equal(err.text, "door: No such file or directory");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_has_its_own_name),
        cmocka_unit_test(test_set_fills_and_returns),
        cmocka_unit_test(test_long_text_is_cut),
        cmocka_unit_test(test_errno_is_explained),
    };

    return cmocka_run_group_tests_name("base/err", tests, NULL, NULL);
}
