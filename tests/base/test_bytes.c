/* Tests of base/bytes: UTF-8 (RFC 3629 and its forbidden forms), comparing, wiping. */
#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "base/attr.h"

static const struct utf8_case {
    const char *name, *text;
    size_t len;
    bool is_good;
    size_t count;
} utf8_cases[] = {
    {"empty",              "",                                       0,  true,  0},
    {"ASCII",              "abc",                                    3,  true,  3},
    {"NUL inside",         "a\0b",                                   3,  true,  3},
    {"two bytes, first",   "\xc2\x80",                               2,  true,  1},
    {"three bytes, first", "\xe0\xa0\x80",                           3,  true,  1},
    {"before surrogates",  "\xed\x9f\xbf",                           3,  true,  1},
    {"after surrogates",   "\xee\x80\x80",                           3,  true,  1},
    {"four bytes, first",  "\xf0\x90\x80\x80",                       4,  true,  1},
    {"U+10FFFF",           "\xf4\x8f\xbf\xbf",                       4,  true,  1},
    {"mixed",              "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z", 11, true,  5},
    {"lone tail",          "\x80",                                   1,  false, 0},
    {"overlong slash",     "\xc0\xaf",                               2,  false, 0},
    {"overlong 0xc1",      "\xc1\xbf",                               2,  false, 0},
    {"overlong three",     "\xe0\x9f\xbf",                           3,  false, 0},
    {"overlong four",      "\xf0\x8f\xbf\xbf",                       4,  false, 0},
    {"first surrogate",    "\xed\xa0\x80",                           3,  false, 0},
    {"last surrogate",     "\xed\xbf\xbf",                           3,  false, 0},
    {"beyond U+10FFFF",    "\xf4\x90\x80\x80",                       4,  false, 0},
    {"five bytes",         "\xf8\x88\x80\x80\x80",                   5,  false, 0},
    {"0xff",               "\xff",                                   1,  false, 0},
    {"cut two",            "a\xc3",                                  2,  false, 0},
    {"cut three",          "\xe2\x82",                               2,  false, 0},
    {"cut four",           "\xf0\x9f\x98",                           3,  false, 0},
    {"tail missing",
     "\xe2\x82"
     "a",                                                            3,  false, 0},
    {"second bad",         "\xc3(",                                  2,  false, 0},
};

static void
test_utf8(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(utf8_cases); i++) {
        const struct utf8_case *c = &utf8_cases[i];
        struct bytes in = bytes_of(c->text, c->len);

        if (bytes_is_utf8(in) != c->is_good)
            fail_msg("%s", c->name);
        if (c->is_good && bytes_utf8_count(in) != c->count)
            fail_msg("%s: counted %zu", c->name, bytes_utf8_count(in));
    }
}

static void
test_equal(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"",       "",       true },
        {"a",      "a",      true },
        {"a",      "b",      false},
        {"ab",     "a",      false},
        {"secret", "secreT", false},
        {"Xecret", "secret", false},
        {NULL,     "",       true },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes a = bytes_of_str(cases[i].a), b = bytes_of_str(cases[i].b);

        assert_int_equal(bytes_equal(a, b), cases[i].same);
        assert_int_equal(bytes_equal_secret(a, b), cases[i].same);
    }
}

static void
test_wipe(void **state)
{
    char secret[8] = "secret", zero[8] = {0};

    bytes_wipe(secret, sizeof(secret));
    assert_memory_equal(secret, zero, sizeof(secret));
    bytes_wipe(NULL, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_wipe),
    };

    return cmocka_run_group_tests_name("base/bytes", tests, NULL, NULL);
}
