/* Tests of base/json_read: what is refused, and that error texts quote nothing. */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MAX 200

static const struct {
    const char *name, *text;
    enum rc want;
} cases[] = {
    {"object",             "{\"a\":1}",                                          RC_OK       },
    {"bare string",        "\"x\"",                                              RC_OK       },
    {"bare number",        " 7 ",                                                RC_OK       },
    {"brackets in string", "\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"", RC_OK       },
    {"escaped quote",      "\"\\\"[\"",                                          RC_OK       },
    {"surrogate pair",     "\"\\ud83d\\ude00\"",                                 RC_OK       },
    {"nothing",            "",                                                   RC_MALFORMED},
    {"blank",              "  ",                                                 RC_MALFORMED},
    {"same key twice",     "{\"a\":1,\"a\":2}",                                  RC_MALFORMED},
    {"same key, escaped",  "{\"a\":1,\"\\u0061\":2}",                            RC_MALFORMED},
    {"NUL in a string",    "\"a\\u0000b\"",                                      RC_MALFORMED},
    {"NUL in a key",       "{\"a\\u0000b\":1}",                                  RC_MALFORMED},
    {"lone surrogate",     "\"\\ud83d\"",                                        RC_MALFORMED},
    {"bad UTF-8",          "\"\xc3\"",                                           RC_MALFORMED},
    {"overlong UTF-8",     "\"\xc0\xaf\"",                                       RC_MALFORMED},
    {"control character",  "\"a\nb\"",                                           RC_MALFORMED},
    {"something behind",   "{} {}",                                              RC_MALFORMED},
    {"trailing comma",     "[1,]",                                               RC_MALFORMED},
    {"single quotes",      "{'a':1}",                                            RC_MALFORMED},
    {"comment",            "{/*x*/}",                                            RC_MALFORMED},
    {"leading zero",       "01",                                                 RC_MALFORMED},
    {"NaN",                "NaN",                                                RC_MALFORMED},
    {"integer too big",    "99999999999999999999",                               RC_MALFORMED},
    {"real too big",       "1e999",                                              RC_MALFORMED},
    {"not closed",         "{\"a\":[1,2",                                        RC_MALFORMED},
    {"closed too often",   "]]]]",                                               RC_MALFORMED},
};

static void
test_cases(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        json_t *out = (json_t *)&err;
        enum rc rc = json_read(&out, bytes_of_str(cases[i].text), MAX, &err);

        if (rc != cases[i].want)
            fail_msg("%s: %s", cases[i].name, rc_name(rc));
        assert_int_equal(out != NULL, rc == RC_OK);
        json_decref(out);
    }
}

static void
test_raw_nul_is_refused(void **state)
{
    json_t *out;

    assert_int_equal(json_read(&out, bytes_of("{}\0", 3), MAX, NULL), RC_MALFORMED);
    assert_int_equal(json_read(&out, bytes_of("\"a\0\"", 4), MAX, NULL), RC_MALFORMED);
    assert_int_equal(json_read(&out, bytes_of(NULL, 0), MAX, NULL), RC_MALFORMED);
}

static void
test_depth_and_size_are_capped(void **state)
{
    char text[2 * JSON_DEPTH_MAX + 8];
    json_t *out;

    for (unsigned depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 2; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(json_read(&out, bytes_of(text, 2 * depth), MAX, NULL),
                         depth <= JSON_DEPTH_MAX ? RC_OK : RC_LIMIT);
        json_decref(out);
    }
    assert_int_equal(json_read(&out, bytes_of_str("[1,2]"), 5, NULL), RC_OK);
    json_decref(out);
    assert_int_equal(json_read(&out, bytes_of_str("[1,2]"), 4, NULL), RC_LIMIT);
    assert_null(out);
}

static void
test_errors_say_where_and_quote_nothing(void **state)
{
    struct err err;
    json_t *out;

    assert_int_equal(json_read(&out, bytes_of_str("{\n\"a\": whisper}"), MAX, &err), RC_MALFORMED);
    assert_non_null(strstr(err.text, "line 2"));
    assert_null(strstr(err.text, "whisper"));
}

static void
test_lookups_bear_anything(void **state)
{
    json_t *o;

    assert_int_equal(
        json_read(&o, bytes_of_str("{\"s\":\"x\",\"i\":5,\"r\":1.5,\"n\":null}"), MAX, NULL),
        RC_OK);
    assert_string_equal(json_str(o, "s"), "x");
    assert_null(json_str(o, "i"));
    assert_null(json_str(o, "gone"));
    assert_null(json_str(NULL, "s"));
    assert_null(json_str(json_object_get(o, "s"), "s"));
    assert_int_equal(json_int(o, "i", 9), 5);
    assert_int_equal(json_int(o, "s", 9), 9);
    assert_int_equal(json_int(o, "r", 9), 9);
    assert_int_equal(json_int(NULL, "i", 9), 9);
    json_decref(o);
}

static void
test_truthy(void **state)
{
    static const struct {
        const char *text;
        bool want;
    } words[] = {
        {"true",     true },
        {"1",        true },
        {"\"1\"",    true },
        {"\"true\"", true },
        {"false",    false},
        {"0",        false},
        {"2",        false},
        {"\"yes\"",  false},
        {"\"\"",     false},
        {"null",     false},
        {"[]",       false},
        {"1.0",      false},
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        json_t *v;

        assert_int_equal(json_read(&v, bytes_of_str(words[i].text), MAX, NULL), RC_OK);
        if (json_truthy(v) != words[i].want)
            fail_msg("%s", words[i].text);
        json_decref(v);
    }
    assert_false(json_truthy(NULL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_raw_nul_is_refused),
        cmocka_unit_test(test_depth_and_size_are_capped),
        cmocka_unit_test(test_errors_say_where_and_quote_nothing),
        cmocka_unit_test(test_lookups_bear_anything),
        cmocka_unit_test(test_truthy),
    };

    return cmocka_run_group_tests_name("base/json_read", tests, NULL, NULL);
}
