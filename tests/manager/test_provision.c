/* Provisioning: everything at once, the same again on a repeat, the same everywhere for a seed. */
#include "harness.h"

#include <string.h>

static const char *const stable[] = {"business_id", "waba_id",      "phone_number_id", "app_id",
                                     "app_secret",  "verify_token", "user_id"};

#define REQUEST "{\"name\":\"Harbour Tea\",\"number\":\"+44 7700 900123\"}"
#define PATH "/internal/v1/provision"

static void
test_repeat_gives_the_same(void **state)
{
    struct harness h;
    json_t *first, *again, *status;

    harness_start(&h, NULL);
    first = harness_post(&h, "parley-cli", PATH, REQUEST);
    assert_true(json_is_true(json_object_get(first, "created")));
    again = harness_post(&h, "parley-supervisor", PATH, REQUEST);
    assert_true(json_is_false(json_object_get(again, "created")));
    for (size_t i = 0; i < ARRAY_LEN(stable); i++)
        assert_string_equal(json_str(first, stable[i]), json_str(again, stable[i]));
    assert_string_not_equal(json_str(first, "token"), json_str(again, "token"));
    json_decref(again);
    again = harness_post(&h, "parley-cli", PATH,
                         "{\"name\":\"Harbour Tea\",\"number\":\"447700900123\","
                         "\"with_token\":false}");
    assert_null(json_object_get(again, "token"));
    json_decref(again);
    json_decref(first);
    status = harness_get(&h, "parley-cli", "/internal/v1/status");
    assert_int_equal(json_int(status, "businesses", 0), 1);
    assert_int_equal(json_int(status, "numbers", 0), 1);
    assert_int_equal(json_int(status, "tokens", 0), 2);
    json_decref(status);
    harness_stop(&h);
}

static void
test_refusals_leave_nothing(void **state)
{
    static const struct {
        const char *body;
        int status;
    } cases[] = {
        {"{}",                                                                400},
        {"{\"name\":\"X\"}",                                                  400},
        {"{\"number\":\"447700900123\"}",                                     400},
        {"{\"name\":\"X\",\"number\":\"12\"}",                                400},
        {"{\"name\":\"X\",\"number\":\"abc\"}",                               400},
        {"{\"name\":\"a\\nb\",\"number\":\"447700900124\"}",                  400},
        {"{\"name\":\"X\",\"number\":\"447700900124\",\"hosting\":\"moon\"}", 400},
        {"{\"name\":\"X\",\"number\":\"447700900124\",\"scopes\":[\"all\"]}", 400},
        {"{\"name\":\"Other\",\"number\":\"447700900123\"}",                  409},
        {"[]",                                                                400},
    };
    struct harness h;
    json_t *status;

    harness_start(&h, NULL);
    json_decref(harness_post(&h, "parley-cli", PATH, REQUEST));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int got = harness_ask(&h, NULL, "parley-cli", HTTP_POST, PATH, cases[i].body);

        if (got != cases[i].status)
            fail_msg("%s: %d", cases[i].body, got);
    }
    status = harness_get(&h, "parley-cli", "/internal/v1/status");
    assert_int_equal(json_int(status, "businesses", 0), 1);
    assert_int_equal(json_int(status, "apps", 0), 1);
    json_decref(status);
    harness_stop(&h);
}

static json_t *
provision_with(const char *seed, const char *other_first)
{
    struct harness h;
    json_t *made, *again;

    harness_start(&h, seed);
    if (other_first != NULL)
        json_decref(harness_post(&h, "parley-cli", PATH, other_first));
    made = harness_post(&h, "parley-cli", PATH, REQUEST);
    again = harness_post(&h, "parley-cli", PATH, REQUEST);
    assert_string_equal(json_str(made, "token"), json_str(again, "token"));
    json_decref(again);
    harness_stop(&h);
    return made;
}

static void
test_seed_fixes_ids_and_secrets(void **state)
{
    json_t *x = provision_with("42", NULL);
    json_t *y = provision_with("42", "{\"name\":\"First\",\"number\":\"15550001111\"}");
    json_t *z = provision_with("43", NULL);

    for (size_t i = 0; i < ARRAY_LEN(stable); i++) {
        assert_string_equal(json_str(x, stable[i]), json_str(y, stable[i]));
        assert_string_not_equal(json_str(x, stable[i]), json_str(z, stable[i]));
    }
    assert_string_equal(json_str(x, "token"), json_str(y, "token"));
    assert_string_not_equal(json_str(x, "token"), json_str(z, "token"));
    json_decref(x);
    json_decref(y);
    json_decref(z);
}

static void
test_seed_never_fixes_the_authority(void **state)
{
    uint8_t seed[32], a[32], b[32];
    struct harness h;
    char dir[128];

    harness_start(&h, "42");
    snprintf(dir, sizeof(dir), "%s/manager", h.dir);
    assert_int_equal(manager_authority(seed, a, dir, rng_system(), NULL), RC_OK);
    harness_stop(&h);
    harness_start(&h, "42");
    snprintf(dir, sizeof(dir), "%s/manager", h.dir);
    assert_int_equal(manager_authority(seed, b, dir, rng_system(), NULL), RC_OK);
    assert_memory_not_equal(a, b, 32);
    assert_int_equal(manager_authority(seed, a, dir, rng_system(), NULL), RC_OK);
    assert_memory_equal(a, b, 32); /* and it stays what it is */
    harness_stop(&h);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repeat_gives_the_same),
        cmocka_unit_test(test_refusals_leave_nothing),
        cmocka_unit_test(test_seed_fixes_ids_and_secrets),
        cmocka_unit_test(test_seed_never_fixes_the_authority),
    };

    return cmocka_run_group_tests_name("manager/provision", tests, NULL, NULL);
}
