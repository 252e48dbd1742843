/* test_directory.c - the manager's stream becomes the directory: lines, snapshots, isolation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cloud/directory.h"

#define BUSINESS "100000000000001"
#define WABA "110000000000001"
#define NUMBER "120000000000001"
#define APP "130000000000001"
#define ACCOUNT UINT64_C(4930111111)

#define APP_LINE                                                                                   \
    "{\"event\":\"app\",\"id\":\"" APP "\",\"business_id\":\"" BUSINESS                            \
    "\",\"name\":\"a\",\"secret\":\"s1\",\"verify_token\":\"v\",\"subscription\":{"                \
    "\"callback_url\":\"https://app.test/hook\",\"verify_token\":\"v\",\"version\":\"v24.0\","     \
    "\"include_values\":true,\"fields\":[\"account_update\",\"messages\"]}}"
#define WABA_LINE                                                                                  \
    "{\"event\":\"waba\",\"id\":\"" WABA "\",\"business_id\":\"" BUSINESS                          \
    "\",\"name\":\"w\",\"apps\":[{\"app_id\":\"" APP "\",\"override_callback_uri\":null}]}"
#define NUMBER_LINE                                                                                \
    "{\"event\":\"number\",\"id\":\"" NUMBER "\",\"digits\":\"4930111111\",\"display_name\":"      \
    "\"Bakery\",\"waba_id\":\"" WABA "\",\"business_id\":\"" BUSINESS                              \
    "\",\"hosting\":\"cloud\",\"certificate\":\"aGVsbG8=\",\"is_verified\":true,"                  \
    "\"is_registered\":false,\"override_callback_uri\":null}"
#define BEGIN "{\"event\":\"snapshot_begin\",\"authority\":\"\",\"time\":1}"
#define END "{\"event\":\"snapshot_end\"}"

struct told {
    char text[512]; /* "+4930111111 cloud;", "-4930111111;" */
};

static void
on_number(void *ctx, uint64_t account, bool is_cloud_hosted)
{
    struct told *told = ctx;
    size_t at = strlen(told->text);

    snprintf(told->text + at, sizeof told->text - at, "+%llu %s;", (unsigned long long)account,
             is_cloud_hosted ? "cloud" : "other");
}

static void
on_number_removed(void *ctx, uint64_t account)
{
    struct told *told = ctx;
    size_t at = strlen(told->text);

    snprintf(told->text + at, sizeof told->text - at, "-%llu;", (unsigned long long)account);
}

static struct directory *
make(struct told *told)
{
    const struct directory_events events = {
        .on_number = on_number, .on_number_removed = on_number_removed, .ctx = told};
    struct directory *dir;

    told->text[0] = '\0';
    assert_int_equal(directory_new(&dir, &events, NULL), RC_OK);
    return dir;
}

static enum rc
apply(struct directory *dir, const char *text)
{
    json_t *line;
    enum rc rc;

    assert_int_equal(json_read(&line, bytes_of_str(text), 1 << 20, NULL), RC_OK);
    rc = directory_apply(dir, line, NULL);
    json_decref(line);
    return rc;
}

static void
fill(struct directory *dir)
{
    static const char *const lines[] = {BEGIN, APP_LINE, WABA_LINE, NUMBER_LINE, END};

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_int_equal(apply(dir, lines[i]), RC_OK);
}

static void
test_a_snapshot_fills_it(void **state)
{
    struct told told;
    struct directory *dir = make(&told);
    struct directory_number number;
    struct directory_targets targets;
    struct buf certificate;
    char secret[129];

    assert_false(directory_is_loaded(dir));
    fill(dir);
    assert_true(directory_is_loaded(dir));
    assert_string_equal(told.text, "+4930111111 cloud;");
    assert_true(directory_number_by_account(dir, ACCOUNT, &number));
    assert_int_equal(number.id, 120000000000001);
    assert_int_equal(number.waba_id, 110000000000001);
    assert_int_equal(number.business_id, 100000000000001);
    assert_false(number.is_registered);
    assert_true(directory_number_by_id(dir, number.id, &number));
    assert_int_equal(number.account, ACCOUNT);
    buf_init(&certificate, 64);
    assert_true(directory_certificate(dir, ACCOUNT, &certificate));
    assert_memory_equal(certificate.ptr, "hello", 5);
    buf_free(&certificate);
    assert_true(directory_app_secret(dir, 130000000000001, secret));
    assert_string_equal(secret, "s1");
    assert_true(directory_targets(dir, ACCOUNT, "messages", &targets));
    assert_int_equal(targets.n, 1);
    assert_int_equal(targets.target[0].app, 130000000000001);
    assert_int_equal(targets.target[0].version_major, 24);
    assert_string_equal(targets.target[0].url, "https://app.test/hook");
    directory_free(&dir);
}

/* Which URL is told, and whether any. Each case is one changed line after the snapshot. */
static const struct target_case {
    const char *name, *line, *field, *url; /* url NULL: nobody is told */
} target_cases[] = {
    {"the app's own",          "{\"event\":\"heartbeat\",\"time\":1}",                 "messages",       "https://app.test/hook"},
    {"a field not subscribed", "{\"event\":\"heartbeat\",\"time\":1}",                 "message",        NULL                   },
    {"part of a field's name", "{\"event\":\"heartbeat\",\"time\":1}",                 "account",        NULL                   },
    {"another field",          "{\"event\":\"heartbeat\",\"time\":1}",                 "account_update",
     "https://app.test/hook"                                                                                                    },
    {"the WABA's override",
     "{\"event\":\"waba\",\"id\":\"" WABA "\",\"apps\":[{\"app_id\":\"" APP
     "\",\"override_callback_uri\":\"https://waba.test/\"}]}",                         "messages",       "https://waba.test/"   },
    {"the number's override",
     "{\"event\":\"number\",\"id\":\"" NUMBER "\",\"digits\":\"4930111111\",\"waba_id\":\"" WABA
     "\",\"hosting\":\"cloud\",\"override_callback_uri\":\"https://number.test/\"}",   "messages",       "https://number.test/" },
    {"the app unsubscribed",
     "{\"event\":\"app\",\"id\":\"" APP "\",\"secret\":\"s1\",\"subscription\":null}", "messages",
     NULL                                                                                                                       },
    {"the app left the WABA",  "{\"event\":\"waba\",\"id\":\"" WABA "\",\"apps\":[]}", "messages",
     NULL                                                                                                                       },
    {"the app is gone",        "{\"event\":\"app_removed\",\"id\":\"" APP "\"}",       "messages",       NULL                   },
    {"the WABA is gone",       "{\"event\":\"waba_removed\",\"id\":\"" WABA "\"}",     "messages",       NULL                   },
};

static void
test_targets_follow_the_lines(void **state)
{
    for (size_t i = 0; i < sizeof target_cases / sizeof target_cases[0]; i++) {
        const struct target_case *c = &target_cases[i];
        struct directory_targets targets;
        struct told told;
        struct directory *dir = make(&told);

        fill(dir);
        assert_int_equal(apply(dir, c->line), RC_OK);
        assert_true(directory_targets(dir, ACCOUNT, c->field, &targets));
        if (targets.n != (c->url != NULL) ||
            (c->url != NULL && strcmp(targets.target[0].url, c->url) != 0))
            fail_msg("%s: %zu targets, %s", c->name, targets.n,
                     targets.n == 0 ? "" : targets.target[0].url);
        directory_free(&dir);
    }
}

static void
test_a_new_snapshot_replaces_all(void **state)
{
    struct told told;
    struct directory *dir = make(&told);
    struct directory_targets targets;
    struct directory_number number;
    char secret[129];

    fill(dir);
    told.text[0] = '\0';
    assert_int_equal(apply(dir, BEGIN), RC_OK);
    assert_true(directory_number_by_account(dir, ACCOUNT, &number)); /* until it ends */
    assert_int_equal(apply(dir, END), RC_OK);
    assert_string_equal(told.text, "-4930111111;");
    assert_false(directory_number_by_account(dir, ACCOUNT, &number));
    assert_false(directory_number_by_id(dir, 120000000000001, &number));
    assert_false(directory_targets(dir, ACCOUNT, "messages", &targets));
    assert_false(directory_app_secret(dir, 130000000000001, secret));
    directory_free(&dir);
}

/* A snapshot that broke off, and a whole one after it. */
static void
test_a_broken_snapshot_removes_nothing(void **state)
{
    struct told told;
    struct directory *dir = make(&told);
    struct directory_number number;

    fill(dir);
    assert_int_equal(apply(dir, BEGIN), RC_OK);
    told.text[0] = '\0';
    fill(dir);
    assert_string_equal(told.text, "+4930111111 cloud;");
    assert_true(directory_number_by_account(dir, ACCOUNT, &number));
    directory_free(&dir);
}

#define SAME_DIGITS                                                                                \
    "{\"event\":\"number\",\"id\":\"120000000000002\",\"digits\":\"4930111111\",\"waba_id\":"      \
    "\"" WABA "\",\"hosting\":\"cloud\"}"

/* The digits come back under another id before the old id is said to be gone. */
static void
test_digits_that_moved_are_not_gone(void **state)
{
    struct told told;
    struct directory *dir = make(&told);
    struct directory_number number;

    fill(dir);
    assert_int_equal(apply(dir, SAME_DIGITS), RC_OK);
    told.text[0] = '\0';
    assert_int_equal(apply(dir, "{\"event\":\"number_removed\",\"id\":\"" NUMBER "\"}"), RC_OK);
    assert_string_equal(told.text, "");
    assert_true(directory_number_by_account(dir, ACCOUNT, &number));
    assert_int_equal(number.id, 120000000000002);
    assert_int_equal(apply(dir, "{\"event\":\"number_removed\",\"id\":\"120000000000002\"}"),
                     RC_OK);
    assert_string_equal(told.text, "-4930111111;");
    directory_free(&dir);
}

/* Two businesses: what one changes does not touch the other's targets (I32). */
static void
test_i32_businesses_do_not_touch_each_other(void **state)
{
    static const char *const others[] = {
        "{\"event\":\"app\",\"id\":\"130000000000009\",\"secret\":\"s9\",\"subscription\":{"
        "\"callback_url\":\"https://other.test/\",\"version\":\"v23.0\",\"fields\":[\"messages\"]}"
        "}",
        "{\"event\":\"waba\",\"id\":\"110000000000009\",\"apps\":[{\"app_id\":\"130000000000009\"}]"
        "}",
        "{\"event\":\"number\",\"id\":\"120000000000009\",\"digits\":\"4930999999\",\"waba_id\":"
        "\"110000000000009\",\"business_id\":\"100000000000009\",\"hosting\":\"cloud\"}",
    };
    struct told told;
    struct directory *dir = make(&told);
    struct directory_targets targets;
    struct buf certificate;

    fill(dir);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(apply(dir, others[i]), RC_OK);
    assert_true(directory_targets(dir, 4930999999, "messages", &targets));
    assert_int_equal(targets.n, 1);
    assert_string_equal(targets.target[0].url, "https://other.test/");
    assert_true(directory_targets(dir, ACCOUNT, "messages", &targets));
    assert_int_equal(targets.n, 1);
    assert_string_equal(targets.target[0].url, "https://app.test/hook");
    buf_init(&certificate, 64);
    assert_false(directory_certificate(dir, 4930999999, &certificate));
    buf_free(&certificate);
    assert_int_equal(apply(dir, "{\"event\":\"app_removed\",\"id\":\"130000000000009\"}"), RC_OK);
    assert_true(directory_targets(dir, ACCOUNT, "messages", &targets));
    assert_int_equal(targets.n, 1);
    directory_free(&dir);
}

static void
test_lines_that_are_not_as_documented(void **state)
{
    static const struct {
        const char *line;
        enum rc want;
    } cases[] = {
        {"{}",                                                                                   RC_MALFORMED},
        {"{\"event\":7}",                                                                        RC_MALFORMED},
        {"{\"event\":\"app\",\"id\":\"" APP "\"}",                                               RC_MALFORMED},
        {"{\"event\":\"app\",\"secret\":\"x\"}",                                                 RC_MALFORMED},
        {"{\"event\":\"waba\",\"id\":\"x\"}",                                                    RC_MALFORMED},
        {"{\"event\":\"number\",\"id\":\"" NUMBER "\",\"digits\":\"12\",\"hosting\":\"cloud\"}",
         RC_MALFORMED                                                                                        },
        {"{\"event\":\"number\",\"id\":\"" NUMBER "\",\"digits\":\"4930111111\"}",               RC_MALFORMED},
        {"{\"event\":\"number_removed\",\"id\":\"129999999999999\"}",                            RC_OK       },
        {"{\"event\":\"something_new\",\"id\":\"1\"}",                                           RC_OK       },
    };
    struct told told;
    struct directory *dir = make(&told);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (apply(dir, cases[i].line) != cases[i].want)
            fail_msg("%s", cases[i].line);
    assert_string_equal(told.text, "");
    directory_free(&dir);
}

/* A URL that does not fit is no URL: half of it might be somebody's. */
static void
test_a_url_that_does_not_fit_is_dropped(void **state)
{
    char line[3 * DIRECTORY_URL_MAX], url[DIRECTORY_URL_MAX + 1];
    struct told told;
    struct directory *dir = make(&told);
    struct directory_targets targets;

    fill(dir);
    memset(url, 'a', sizeof url - 1);
    memcpy(url, "https://a.test/", 15);
    url[sizeof url - 1] = '\0';
    snprintf(line, sizeof line,
             "{\"event\":\"app\",\"id\":\"" APP "\",\"secret\":\"s\",\"subscription\":{"
             "\"callback_url\":\"%s\",\"version\":\"v24.0\",\"fields\":[\"messages\"]}}",
             url);
    assert_int_equal(apply(dir, line), RC_OK);
    assert_true(directory_targets(dir, ACCOUNT, "messages", &targets));
    assert_int_equal(targets.n, 0);
    directory_free(&dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_snapshot_fills_it),
        cmocka_unit_test(test_targets_follow_the_lines),
        cmocka_unit_test(test_a_new_snapshot_replaces_all),
        cmocka_unit_test(test_a_broken_snapshot_removes_nothing),
        cmocka_unit_test(test_digits_that_moved_are_not_gone),
        cmocka_unit_test(test_i32_businesses_do_not_touch_each_other),
        cmocka_unit_test(test_lines_that_are_not_as_documented),
        cmocka_unit_test(test_a_url_that_does_not_fit_is_dropped),
    };

    return cmocka_run_group_tests_name("cloud/directory", tests, NULL, NULL);
}
