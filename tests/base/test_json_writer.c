/* Tests of base/json_writer: the exact bytes, since webhooks are signed over them. */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct {
    const char *name, *text;
    size_t len;
    const char *want;
} strings[] = {
    {"plain",          "a/b ~",                    5, "\"a/b ~\""                  },
    {"empty",          "",                         0, "\"\""                       },
    {"short escapes",  "\"\\\b\f\n\r\t",           7, "\"\\\"\\\\\\b\\f\\n\\r\\t\""},
    {"control",        "\x01\x1f\x7f",             3, "\"\\u0001\\u001f\\u007f\""  },
    {"NUL",            "a\0b",                     3, "\"a\\u0000b\""              },
    {"two bytes",      "\xc3\xa9",                 2, "\"\\u00e9\""                },
    {"lower-case hex", "\xe2\x82\xac\xea\xaf\x8d", 6, "\"\\u20ac\\uabcd\""         },
    {"U+FFFF",         "\xef\xbf\xbf",             3, "\"\\uffff\""                },
    {"first pair",     "\xf0\x90\x80\x80",         4, "\"\\ud800\\udc00\""         },
    {"emoji",          "\xf0\x9f\x98\x80",         4, "\"\\ud83d\\ude00\""         },
    {"last pair",      "\xf4\x8f\xbf\xbf",         4, "\"\\udbff\\udfff\""         },
    {"emoji in text",  "a\xf0\x9f\x98\x80z",       6, "\"a\\ud83d\\ude00z\""       },
    {"not UTF-8",
     "a\xff"
     "b",                                          3, "\"a\\ufffdb\""              },
    {"cut sequence",   "\xe2\x82",                 2, "\"\\ufffd\\ufffd\""         },
    {"raw surrogate",  "\xed\xa0\x80",             3, "\"\\ufffd\\ufffd\\ufffd\""  },
};

static void
test_strings(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
        struct json_writer w;
        struct buf buf;

        buf_init(&buf, 1000);
        jw_init(&w, &buf);
        jw_str_bytes(&w, bytes_of(strings[i].text, strings[i].len));
        if (strcmp(buf_cstr(&buf), strings[i].want) != 0)
            fail_msg("%s: %s", strings[i].name, buf_cstr(&buf));
        buf_free(&buf);
    }
}

static void
test_structure(void **state)
{
    struct json_writer w;
    struct buf buf;

    buf_init(&buf, 1000);
    jw_init(&w, &buf);
    jw_object(&w);
    jw_kv_str(&w, "a", "x");
    jw_kv_str(&w, "b", NULL);
    jw_key(&w, "c");
    jw_array(&w);
    jw_int(&w, INT64_MIN);
    jw_object(&w);
    jw_object_end(&w);
    jw_array(&w);
    jw_array_end(&w);
    jw_raw(&w, bytes_of_str("{\"r\":1}"));
    jw_array_end(&w);
    jw_kv_int(&w, "d", INT64_MAX);
    jw_kv_u64_str(&w, "e", UINT64_MAX);
    jw_kv_bool(&w, "f", true);
    jw_kv_bool(&w, "g", false);
    jw_kv_bytes(&w, "k\xc3\xa9", bytes_of("y", 1));
    jw_object_end(&w);
    assert_string_equal(buf_cstr(&buf),
                        "{\"a\":\"x\",\"b\":null,\"c\":[-9223372036854775808,{},[],{\"r\":1}],"
                        "\"d\":9223372036854775807,\"e\":\"18446744073709551615\","
                        "\"f\":true,\"g\":false,\"k\\u00e9\":\"y\"}");
    buf_free(&buf);
}

static void
test_reals(void **state)
{
    static const struct {
        double v;
        const char *want;
    } reals[] = {
        {0.1,       "0.1"                },
        {1,         "1.0"                },
        {-2.5,      "-2.5"               },
        {1e300,     "1e+300"             },
        {52.520008, "52.520008"          },
        {1.0 / 3,   "0.3333333333333333" },
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 0.0, "null"               },
        {0.0 / 0.0, "null"               },
    };

    for (size_t i = 0; i < ARRAY_LEN(reals); i++) {
        struct json_writer w;
        struct buf buf;

        buf_init(&buf, 100);
        jw_init(&w, &buf);
        jw_real(&w, reals[i].v);
        assert_string_equal(buf_cstr(&buf), reals[i].want);
        buf_free(&buf);
    }
}

static void
test_value_is_printed_our_way(void **state)
{
    static const char in[] =
        "{ \"z\" : [1, -2.5, true, false, null, \"\xf0\x9f\x98\x80/\"], \"a\": {} }";
    struct json_writer w;
    struct buf buf;
    json_t *value;

    assert_int_equal(json_read(&value, bytes_of_str(in), 1000, NULL), RC_OK);
    buf_init(&buf, 1000);
    jw_init(&w, &buf);
    jw_array(&w);
    jw_value(&w, value);
    jw_value(&w, NULL);
    jw_array_end(&w);
    assert_string_equal(buf_cstr(&buf),
                        "[{\"z\":[1,-2.5,true,false,null,\"\\ud83d\\ude00/\"],\"a\":{}},null]");
    json_decref(value);
    buf_free(&buf);
}

/* Every ceiling short of the whole output fails, and says so. */
static void
test_overflow_sticks(void **state)
{
    for (size_t max = 0; max < 12; max++) {
        struct json_writer w;
        struct buf buf;

        buf_init(&buf, max);
        jw_init(&w, &buf);
        jw_object(&w);
        jw_kv_str(&w, "a", "12345");
        jw_object_end(&w); /* {"a":"12345"} is 13 bytes */
        assert_true(buf_failed(&buf));
        buf_free(&buf);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),         cmocka_unit_test(test_structure),
        cmocka_unit_test(test_reals),           cmocka_unit_test(test_value_is_printed_our_way),
        cmocka_unit_test(test_overflow_sticks),
    };

    return cmocka_run_group_tests_name("base/json_writer", tests, NULL, NULL);
}
