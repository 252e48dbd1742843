/* Tests of base/log: both forms, escaping, levels, and that numbers are masked. */
#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/json.h"

struct fixture {
    int ends[2];
    char line[16384];
};

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    return pipe2(f->ends, O_NONBLOCK);
}

static int
teardown(void **state)
{
    struct fixture *f = *state;

    close(f->ends[0]);
    close(f->ends[1]);
    free(f);
    return 0;
}

/* What has been written, "" if nothing. */
static const char *
written(struct fixture *f)
{
    ssize_t n = read(f->ends[0], f->line, sizeof(f->line) - 1);

    f->line[n < 0 ? 0 : n] = '\0';
    return f->line;
}

static struct log *
open_log(struct fixture *f, enum log_level level, bool json)
{
    struct log *log;
    struct log_opt opt = {.program = "relay", .level = level, .json = json, .fd = f->ends[1]};

    assert_int_equal(log_open(&log, &opt, NULL), RC_OK);
    return log;
}

static void
test_text_line(void **state)
{
    static const uint8_t id[20] = {0xab, 0xcd, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    struct fixture *f = *state;
    struct log *log = open_log(f, LOG_INFO, false);
    const char *line;

    log_event(log, LOG_INFO, "link.up", LOG_NUM("account", 15557654321), LOG_UINT("lanes", 32),
              LOG_INT("skew_ms", -4), LOG_STR("name", "plain"), LOG_FLAG("is_new", true),
              LOG_HEX("id", bytes_of(id, sizeof(id))));
    line = written(f);
    assert_int_equal(strspn(line, "0123456789-:.TZ"), 24);
    assert_string_equal(line + 24, " info relay link.up account=\xe2\x80\xa6"
                                   "21 lanes=32 skew_ms=-4 "
                                   "name=plain is_new=true id=abcd0102030405060708090a0b0c0d0e\n");
    assert_null(strstr(line, "5557654"));
    log_close(&log);
}

static const struct {
    const char *value, *want;
} escapes[] = {
    {"plain",             "plain"                 },
    {"two words",         "\"two words\""         },
    {"",                  "\"\""                  },
    {"a=b",               "\"a=b\""               },
    {"say \"hi\"\\",      "\"say \\\"hi\\\"\\\\\""},
    {"line\nbreak",       "\"line\\nbreak\""      },
    {"\x1b[31m",          "\"\\x1b[31m\""         },
    {"bad \xff utf8",     "\"bad \\xff utf8\""    },
    {"\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9"     },
    {NULL,                "-"                     },
};

static void
test_values_cannot_forge_lines_or_fields(void **state)
{
    struct fixture *f = *state;
    struct log *log = open_log(f, LOG_INFO, false);

    for (size_t i = 0; i < ARRAY_LEN(escapes); i++) {
        char want[100];
        const char *line;

        log_event(log, LOG_WARN, "e", LOG_STR("v", escapes[i].value), LOG_INT("after", 1));
        line = written(f);
        snprintf(want, sizeof(want), " warn relay e v=%s after=1\n", escapes[i].want);
        assert_string_equal(line + 24, want);
    }
    log_close(&log);
}

static void
test_json_line(void **state)
{
    struct fixture *f = *state;
    struct log *log = open_log(f, LOG_INFO, true);
    struct err err;
    json_t *o;

    err_set(&err, RC_BUSY, "x", "line\none");
    log_event(log, LOG_ERROR, "store.commit", LOG_RC(&err), LOG_UINT("rows", 3),
              LOG_FLAG("ok", false));
    written(f);
    assert_ptr_equal(strchr(f->line, '\n'), f->line + strlen(f->line) - 1);
    assert_int_equal(json_read(&o, bytes_of_str(f->line), 4096, NULL), RC_OK);
    assert_string_equal(json_str(o, "level"), "error");
    assert_string_equal(json_str(o, "program"), "relay");
    assert_string_equal(json_str(o, "event"), "store.commit");
    assert_string_equal(json_str(o, "error"), "line\none");
    assert_string_equal(json_str(o, "rc"), "busy");
    assert_int_equal(json_int(o, "rows", 0), 3);
    assert_true(json_is_false(json_object_get(o, "ok")));
    json_decref(o);
    log_close(&log);
}

static void
test_levels(void **state)
{
    struct fixture *f = *state;
    struct log *log = open_log(f, LOG_WARN, false);
    enum log_level level;

    log_event(log, LOG_INFO, "quiet", LOG_INT("x", 1));
    assert_string_equal(written(f), "");
    log_set_level(log, LOG_TRACE);
    log_event(log, LOG_TRACE, "loud", LOG_INT("x", 1));
    assert_non_null(strstr(written(f), " trace relay loud x=1\n"));
    assert_int_equal(log_level_read(&level, "debug", NULL), RC_OK);
    assert_int_equal(level, LOG_DEBUG);
    assert_int_equal(log_level_read(&level, "DEBUG", NULL), RC_INVAL);
    assert_int_equal(log_level_read(&level, "", NULL), RC_INVAL);
    log_close(&log);
}

static void
test_none_keeps_nothing(void **state)
{
    log_set_level(log_none(), LOG_TRACE);
    assert_false(log_on(log_none(), LOG_ERROR));
    assert_false(log_on(NULL, LOG_ERROR));
    log_event(log_none(), LOG_ERROR, "x", LOG_INT("y", 1));
}

static void
test_too_much_to_say_still_names_its_event(void **state)
{
    struct fixture *f = *state;
    struct log *log = open_log(f, LOG_INFO, false);
    char big[2500], half[2001];

    memset(big, 'x', sizeof(big));
    big[sizeof(big) - 1] = '\0';
    memset(half, 'y', sizeof(half));
    half[sizeof(half) - 1] = '\0';
    log_event(log, LOG_INFO, "value", LOG_STR("v", big), LOG_INT("after", 1));
    assert_string_equal(written(f) + 24, " info relay value v=(too-long) after=1\n");
    log_event(log, LOG_INFO, "line", LOG_STR("a", half), LOG_STR("b", half), LOG_STR("c", half),
              LOG_STR("d", half), LOG_STR("e", half));
    assert_string_equal(written(f) + 24, " info relay line\n");
    log_close(&log);
}

static void
test_file_is_appended_and_private(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/parley-log-XXXXXX";
    int fd = mkstemp(path);
    struct log_opt opt = {.program = "relay", .level = LOG_INFO, .fd = -1, .file = path};
    struct stat st;
    struct log *log;

    assert_true(fd >= 0);
    for (int i = 0; i < 2; i++) {
        unlink(i == 0 ? path : "");
        assert_int_equal(log_open(&log, &opt, NULL), RC_OK);
        log_event(log, LOG_INFO, "a", LOG_INT("i", i));
        log_close(&log);
    }
    close(fd);
    fd = open(path, O_RDONLY);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    f->line[read(fd, f->line, sizeof(f->line) - 1)] = '\0';
    assert_non_null(strstr(f->line, "i=0\n"));
    assert_non_null(strstr(f->line, "i=1\n"));
    close(fd);
    unlink(path);
    opt.file = "/nowhere/at/all";
    assert_int_equal(log_open(&log, &opt, NULL), RC_IO);
    assert_null(log);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_text_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values_cannot_forge_lines_or_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
        cmocka_unit_test(test_none_keeps_nothing),
        cmocka_unit_test_setup_teardown(test_too_much_to_say_still_names_its_event, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_file_is_appended_and_private, setup, teardown),
    };

    return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
