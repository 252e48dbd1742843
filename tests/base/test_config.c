/* Tests of base/config: precedence and origins, every kind of row, refusals that name the setting.
 */
#include "base/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const struct config_row rows[] = {
    {"base_port", CONFIG_INT,    "9400",   1, 65526, NULL,                 "first port"     },
    {"policy",    CONFIG_CHOICE, "strict", 0, 0,     "strict|observe|off", "business rules" },
    {"demo",      CONFIG_BOOL,   "off",    0, 0,     NULL,                 "demo data"      },
    {"data_dir",  CONFIG_PATH,   NULL,     0, 0,     NULL,                 "where data live"},
    {"pin",       CONFIG_STR,    "1234",   0, 0,     NULL,                 "secret: a PIN"  },
};

#define WORDS(...) ((const char *[]){__VA_ARGS__, NULL})

static struct config_source
source_of(const char *const *argv)
{
    struct config_source source = {.argv = (char **)argv}; /* only read */

    while (argv[source.argc] != NULL)
        source.argc++;
    return source;
}

static enum rc
load(struct config **out, struct config_source source, struct err *err)
{
    return config_load(out, rows, ARRAY_LEN(rows), &source, err);
}

/* A file with that text; the caller unlinks it. */
static char *
make_file(const char *text)
{
    static char path[64];
    int fd;

    strcpy(path, "/tmp/parley-config-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void
test_defaults(void **state)
{
    struct config *c;

    assert_int_equal(load(&c, (struct config_source){0}, NULL), RC_OK);
    assert_int_equal(config_int(c, "base_port"), 9400);
    assert_string_equal(config_str(c, "base_port"), "9400");
    assert_string_equal(config_str(c, "policy"), "strict");
    assert_false(config_bool(c, "demo"));
    assert_null(config_str(c, "data_dir"));
    assert_int_equal(config_origin(c, "base_port"), CONFIG_DEFAULT);
    assert_int_equal(config_origin(c, "data_dir"), CONFIG_UNSET);
    config_free(&c);
    config_free(&c);
}

static void
test_precedence_flag_environment_file_default(void **state)
{
    struct config_source source = source_of(WORDS("--base-port", "1"));
    struct config *c;

    source.file = make_file("# comment\n\n base_port = 3 # mine\npolicy=off\n"
                            "pin = \"a # b\"\ndata_dir = /x\n");
    setenv("PARLEY_BASE_PORT", "2", 1);
    setenv("PARLEY_POLICY", "observe", 1);
    assert_int_equal(load(&c, source, NULL), RC_OK);
    assert_int_equal(config_int(c, "base_port"), 1);
    assert_int_equal(config_origin(c, "base_port"), CONFIG_FLAG);
    assert_string_equal(config_str(c, "policy"), "observe");
    assert_int_equal(config_origin(c, "policy"), CONFIG_ENV);
    assert_string_equal(config_str(c, "data_dir"), "/x");
    assert_int_equal(config_origin(c, "data_dir"), CONFIG_FILE);
    assert_string_equal(config_str(c, "pin"), "a # b");
    assert_int_equal(config_origin(c, "demo"), CONFIG_DEFAULT);
    config_free(&c);
    source.argc = 0;
    assert_int_equal(load(&c, source, NULL), RC_OK);
    assert_int_equal(config_int(c, "base_port"), 2);
    config_free(&c);
    unsetenv("PARLEY_BASE_PORT");
    unsetenv("PARLEY_POLICY");
    assert_int_equal(load(&c, source, NULL), RC_OK);
    assert_int_equal(config_int(c, "base_port"), 3);
    config_free(&c);
    unlink(source.file);
}

static void
test_settings_of_other_programs_in_the_file(void **state)
{
    struct config_source source = source_of(WORDS("x"));
    struct config *c;

    source.file = make_file("of_another_program = 1\nbase_port = 3\n");
    assert_int_equal(load(&c, source, NULL), RC_INVAL);
    source.allow_unknown_names = true;
    assert_int_equal(load(&c, source, NULL), RC_OK);
    assert_int_equal(config_int(c, "base_port"), 3);
    config_free(&c);
    unlink(source.file);
}

static void
test_flags_and_rest(void **state)
{
    struct config *c;
    char **rest;

    assert_int_equal(load(&c,
                          source_of(WORDS("up", "--demo", "--policy=off", "x", "--base-port=7",
                                          "-v", "--", "--demo", "--nonsense")),
                          NULL),
                     RC_OK);
    assert_true(config_bool(c, "demo"));
    assert_string_equal(config_str(c, "policy"), "off");
    assert_int_equal(config_int(c, "base_port"), 7);
    assert_int_equal(config_rest(c, &rest), 5);
    assert_string_equal(rest[0], "up");
    assert_string_equal(rest[1], "x");
    assert_string_equal(rest[2], "-v");
    assert_string_equal(rest[3], "--demo");
    assert_string_equal(rest[4], "--nonsense");
    config_free(&c);
    assert_int_equal(load(&c, source_of(WORDS("--demo", "off", "--demo", "on", "next")), NULL),
                     RC_OK);
    assert_true(config_bool(c, "demo"));
    assert_int_equal(config_rest(c, &rest), 1);
    config_free(&c);
}

static void
test_unknown_flags_may_pass(void **state)
{
    struct config_source source = source_of(WORDS("--text", "hi", "--demo", "--", "--x"));
    struct config *c;
    char **rest;

    source.allow_unknown_flags = true;
    assert_int_equal(load(&c, source, NULL), RC_OK);
    assert_int_equal(config_rest(c, &rest), 4);
    assert_string_equal(rest[0], "--text");
    assert_string_equal(rest[1], "hi");
    assert_string_equal(rest[2], "--");
    assert_string_equal(rest[3], "--x");
    assert_true(config_bool(c, "demo"));
    config_free(&c);
}

static const struct {
    const char *name;
    const char *argv[4];
    const char *must_name; /* in the text */
} bad_flags[] = {
    {"unknown",          {"--nonsense"},                                              "nonsense"          },
    {"underscore",       {"--base_port", "1"},                                        "base_port"         },
    {"no value",         {"--base-port"},                                             "base_port"         },
    {"below",            {"--base-port", "0"},                                        "65526"             },
    {"above",            {"--base-port", "65527"},                                    "base_port"         },
    {"no number",        {"--base-port", "12x"},                                      "flag"              },
    {"blank first",      {"--base-port", " 12"},                                      "base_port"         },
    {"empty number",     {"--base-port="},                                            "base_port"         },
    {"overflow",         {"--base-port", "99999999999999999999"},                     "base_port"         },
    {"no choice",        {"--policy", "of"},                                          "strict|observe|off"},
    {"empty choice",     {"--policy="},                                               "policy"            },
    {"list of choices",  {"--policy=strict|observe"},                                 "policy"            },
    {"bool",             {"--demo=yes"},                                              "on or off"         },
    {"empty path",       {"--data-dir="},                                             "data_dir"          },
    {"only dashes",      {"--=x"},                                                    "no such"           },
    {"name without end",
     {"--base-port-and-a-very-long-tail-that-fits-into-no-table-of-settings-at-all"},
     "no such"                                                                                            },
};

static void
test_bad_flags(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bad_flags); i++) {
        struct config *c = (struct config *)&c;
        struct err err;

        if (load(&c, source_of(bad_flags[i].argv), &err) != RC_INVAL)
            fail_msg("%s was taken", bad_flags[i].name);
        assert_null(c);
        if (strstr(err.text, bad_flags[i].must_name) == NULL)
            fail_msg("%s: %s", bad_flags[i].name, err.text);
    }
}

static const char *const bad_files[] = {
    "nonsense = 1\n",
    "base_port\n",
    "= 5\n",
    "base_port = x\n",
    "base_port = 1\nbase_port = 1\n",
    "policy = strict,off\n",
    "demo = 1",
    "\xff\xfe",
};

static void
test_bad_files(void **state)
{
    struct config_source source = {.file_required = true};
    struct config *c;
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(bad_files); i++) {
        source.file = make_file(bad_files[i]);
        if (load(&c, source, &err) != RC_INVAL || strstr(err.text, "file") == NULL)
            fail_msg("%s", bad_files[i]);
        unlink(source.file);
    }
    source.file = "/nowhere/at/all";
    assert_int_equal(load(&c, source, &err), RC_NOTFOUND);
    source.file_required = false;
    assert_int_equal(load(&c, source, &err), RC_OK);
    config_free(&c);
}

static void
test_bad_environment_names_its_origin(void **state)
{
    struct config *c;
    struct err err;

    setenv("PARLEY_BASE_PORT", "many", 1);
    assert_int_equal(load(&c, (struct config_source){0}, &err), RC_INVAL);
    assert_non_null(strstr(err.text, "environment"));
    assert_null(strstr(err.text, "many"));
    unsetenv("PARLEY_BASE_PORT");
}

static void
test_show_tells_origins_and_no_secrets(void **state)
{
    struct config *c;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_int_equal(load(&c, source_of(WORDS("--pin", "98765", "--demo")), NULL), RC_OK);
    config_show(c, out);
    config_help(rows, ARRAY_LEN(rows), out);
    fclose(out);
    assert_non_null(strstr(text, "base_port = 9400    # default\n"));
    assert_non_null(strstr(text, "demo = on    # flag\n"));
    assert_non_null(strstr(text, "data_dir =     # unset\n"));
    assert_non_null(strstr(text, "--policy strict|observe|off\n"));
    assert_null(strstr(text, "98765"));
    assert_null(strstr(text, "1234"));
    free(text);
    config_free(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_precedence_flag_environment_file_default),
        cmocka_unit_test(test_settings_of_other_programs_in_the_file),
        cmocka_unit_test(test_flags_and_rest),
        cmocka_unit_test(test_unknown_flags_may_pass),
        cmocka_unit_test(test_bad_flags),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_bad_environment_names_its_origin),
        cmocka_unit_test(test_show_tells_origins_and_no_secrets),
    };

    return cmocka_run_group_tests_name("base/config", tests, NULL, NULL);
}
