/* Tests of base/e164. */
#include "base/e164.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct {
    const char *text;
    enum rc want;
    uint64_t number;
} cases[] = {
    {"15550123400",                                              RC_OK,        15550123400    },
    {"+15550123400",                                             RC_OK,        15550123400    },
    {"+1 (555) 012-34.00",                                       RC_OK,        15550123400    },
    {"1234567",                                                  RC_OK,        1234567        },
    {"999999999999999",                                          RC_OK,        999999999999999},
    {"",                                                         RC_MALFORMED, 0              },
    {"+",                                                        RC_MALFORMED, 0              },
    {"123456",                                                   RC_MALFORMED, 0              },
    {"1234567890123456",                                         RC_MALFORMED, 0              },
    {"01234567",                                                 RC_MALFORMED, 0              },
    {"+0123456789",                                              RC_MALFORMED, 0              },
    {"1+5550123400",                                             RC_MALFORMED, 0              },
    {"++15550123400",                                            RC_MALFORMED, 0              },
    {" +15550123400",                                            RC_MALFORMED, 0              },
    {"1555012340x",                                              RC_MALFORMED, 0              },
    {"1555\t0123400",                                            RC_MALFORMED, 0              },
    {"\xd9\xa1\xd9\xa2\xd9\xa3\xd9\xa4\xd9\xa5\xd9\xa6\xd9\xa7", RC_MALFORMED,
     0                                                                                        }, /* Arabic digits */
    {"18446744073709551616",                                     RC_MALFORMED, 0              },
};

static void
test_read(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t number = 77;
        enum rc rc = e164_read(&number, bytes_of_str(cases[i].text), NULL);

        if (rc != cases[i].want || number != cases[i].number)
            fail_msg("\"%s\": %s", cases[i].text, rc_name(rc));
    }
}

static void
test_nul_is_no_separator(void **state)
{
    uint64_t number;

    assert_int_equal(e164_read(&number,
                               bytes_of("1555\0"
                                        "0123400",
                                        12),
                               NULL),
                     RC_MALFORMED);
}

static void
test_errors_do_not_repeat_the_number(void **state)
{
    uint64_t number;
    struct err err;

    assert_int_equal(e164_read(&number, bytes_of_str("15550123400x"), &err), RC_MALFORMED);
    assert_null(strstr(err.text, "1555"));
}

static void
test_write_and_mask(void **state)
{
    char text[E164_TEXT_SIZE], masked[8];

    assert_string_equal(e164_write(text, 999999999999999), "999999999999999");
    assert_string_equal(e164_write(text, 1234567), "1234567");
    assert_string_equal(e164_masked(masked, 15557654321), "\xe2\x80\xa6"
                                                          "21");
    assert_string_equal(e164_masked(masked, 15557654305), "\xe2\x80\xa6"
                                                          "05");
    assert_int_equal(strlen(e164_write(text, UINT64_MAX)), E164_TEXT_SIZE - 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_nul_is_no_separator),
        cmocka_unit_test(test_errors_do_not_repeat_the_number),
        cmocka_unit_test(test_write_and_mask),
    };

    return cmocka_run_group_tests_name("base/e164", tests, NULL, NULL);
}
