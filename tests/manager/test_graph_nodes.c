/* Nodes and edges: fields, lists and pages, subscriptions, debug_token. */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

static struct harness h;
static struct tenant a, b;

static int
setup(void **state)
{
    harness_start(&h, NULL);
    tenant_make(&a, &h, "Harbour Tea", "447700900123");
    tenant_make(&b, &h, "Orchid Desk", "15550123400");
    return 0;
}

static int
teardown(void **state)
{
    tenant_free(&a);
    tenant_free(&b);
    harness_stop(&h);
    return 0;
}

static json_t *
get(const struct tenant *t, const char *path, const char *params)
{
    json_t *body;
    int status = harness_graph(&h, &body, t->token, "GET", path, params);

    if (status != 200)
        fail_msg("%s: %d (%s)", path, status, json_str(json_object_get(body, "error"), "message"));
    return body;
}

static void
test_number_fields(void **state)
{
    json_t *body = get(&a, fmt("/%s", a.number), NULL);

    assert_string_equal(json_str(body, "id"), a.number);
    assert_string_equal(json_str(body, "verified_name"), "Harbour Tea");
    assert_string_equal(json_str(body, "display_phone_number"), "+44 7700 900123");
    assert_string_equal(json_str(body, "code_verification_status"), "NOT_VERIFIED");
    assert_string_equal(json_str(body, "platform_type"), "NOT_APPLICABLE");
    assert_null(json_object_get(body, "last_onboarded_time"));
    assert_null(json_object_get(body, "certificate"));
    json_decref(body);

    body = get(&b, fmt("/%s", b.number), "{\"fields\":\"display_phone_number,country_dial_code\"}");
    assert_string_equal(json_str(body, "display_phone_number"), "+1 555-012-3400");
    assert_string_equal(json_str(body, "country_dial_code"), "1");
    assert_int_equal(json_object_size(body), 3);
    json_decref(body);

    json_decref(harness_post(&h, "parley-cloud",
                             fmt("/internal/v1/numbers/%s/registered", a.number),
                             "{\"registered\":true}"));
    body = get(&a, fmt("/%s", a.number),
               "{\"fields\":\"status, certificate,last_onboarded_time,username,"
               "code_verification_status,quality_score{score},id\"}");
    assert_string_equal(json_str(body, "status"), "CONNECTED");
    assert_string_equal(json_str(body, "last_onboarded_time"), "2026-01-01T12:20:00+0000");
    assert_string_equal(json_str(body, "code_verification_status"), "VERIFIED");
    assert_true(strlen(json_str(body, "certificate")) > 100);
    assert_null(json_object_get(body, "username")); /* documented, but nothing known */
    json_decref(body);
}

static void
test_unknown_fields_are_refused(void **state)
{
    static const char *const fields[] = {
        "nonsense", "id,verified_namex", "status}", "id,phone_numbers.limit(5){id,name)",
        "a{b",      "\\u00e9",           "status)"};
    json_t *body;

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        assert_int_equal(harness_graph(&h, &body, a.token, "GET", fmt("/%s", a.number),
                                       fmt("{\"fields\":\"%s\"}", fields[i])),
                         400);
        assert_int_equal(graph_code(body), 100);
        json_decref(body);
    }
}

static void
test_waba_and_expansion(void **state)
{
    json_t *body = get(&a, fmt("/%s", a.waba), NULL), *numbers;

    assert_string_equal(json_str(body, "name"), "Harbour Tea");
    assert_non_null(json_str(body, "message_template_namespace"));
    json_decref(body);
    body = get(&a, fmt("/%s", a.waba),
               "{\"fields\":\"id,phone_numbers.limit(5){id,display_phone_number},"
               "owner_business_info\"}");
    numbers = json_object_get(json_object_get(body, "phone_numbers"), "data");
    assert_int_equal(json_array_size(numbers), 1);
    assert_int_equal(json_object_size(json_array_get(numbers, 0)), 2);
    assert_string_equal(json_str(json_object_get(body, "owner_business_info"), "id"), a.business);
    json_decref(body);
}

static void
test_pages_of_numbers(void **state)
{
    const json_t *cursors;
    json_t *body;
    char after[64];
    unsigned seen = 0;

    for (unsigned i = 0; i < 4; i++)
        json_decref(
            harness_post(&h, "parley-cli", "/internal/v1/numbers",
                         fmt("{\"waba_id\":\"%s\",\"number\":\"44770090020%u\"}", a.waba, i)));
    after[0] = '\0';
    for (unsigned page = 0; page < 3; page++) {
        body = get(&a, fmt("/%s/phone_numbers", a.waba),
                   fmt("{\"limit\":\"2\",\"after\":\"%s\"}", after));
        seen += (unsigned)json_array_size(json_object_get(body, "data"));
        cursors = json_object_get(json_object_get(body, "paging"), "cursors");
        strncpy(after, json_str(cursors, "after"), sizeof(after) - 1);
        json_decref(body);
    }
    assert_int_equal(seen, 5);
    body = get(&a, fmt("/%s/phone_numbers", a.waba), fmt("{\"after\":\"%s\"}", after));
    assert_int_equal(json_array_size(json_object_get(body, "data")), 0);
    assert_null(json_object_get(body, "paging"));
    json_decref(body);
    assert_int_equal(harness_graph(&h, &body, a.token, "GET", fmt("/%s/phone_numbers", a.waba),
                                   "{\"after\":\"!!\"}"),
                     400);
    assert_int_equal(graph_code(body), 131059);
    json_decref(body);
}

static int
subscribe(json_t **body, const char *params)
{
    return harness_graph(&h, body, a.app_token, "POST", fmt("/%s/subscriptions", a.app), params);
}

static void
test_subscriptions(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"object\":\"page\",\"callback_url\":\"https://x.example\",\"verify_token\":\"v\","
        "\"fields\":\"messages\"}",
        "{\"object\":\"whatsapp_business_account\",\"verify_token\":\"v\",\"fields\":\"messages\"}",
        "{\"object\":\"whatsapp_business_account\",\"callback_url\":\"ftp://x.example\","
        "\"verify_token\":\"v\",\"fields\":\"messages\"}",
        "{\"object\":\"whatsapp_business_account\",\"callback_url\":\"https://x.example\","
        "\"fields\":\"messages\"}",
        "{\"object\":\"whatsapp_business_account\",\"callback_url\":\"https://x.example\","
        "\"verify_token\":\"v\",\"fields\":\"messages,nonsense\"}",
        "{\"object\":\"whatsapp_business_account\",\"callback_url\":\"https://x.example\","
        "\"verify_token\":\"v\"}",
    };
    json_t *body, *row;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(subscribe(&body, bad[i]), 400);
        assert_int_equal(graph_code(body), 100);
        json_decref(body);
    }
    assert_int_equal(subscribe(NULL, "{\"object\":\"whatsapp_business_account\",\"callback_url\":"
                                     "\"https://x.example/wh?a=1\",\"verify_token\":\"v\","
                                     "\"fields\":\"[\\\"messages\\\",\\\"account_update\\\"]\","
                                     "\"include_values\":\"true\"}"),
                     200);
    harness_graph(&h, &body, a.app_token, "GET", fmt("/%s/subscriptions", a.app), NULL);
    row = json_array_get(json_object_get(body, "data"), 0);
    assert_string_equal(json_str(row, "callback_url"), "https://x.example/wh?a=1");
    assert_int_equal(json_array_size(json_object_get(row, "fields")), 2);
    assert_string_equal(json_str(json_array_get(json_object_get(row, "fields"), 0), "name"),
                        "messages");
    json_decref(body);

    harness_graph(&h, NULL, a.app_token, "DELETE", fmt("/%s/subscriptions", a.app),
                  "{\"object\":\"whatsapp_business_account\",\"fields\":\"account_update\"}");
    harness_graph(&h, &body, a.app_token, "GET", fmt("/%s/subscriptions", a.app), NULL);
    row = json_array_get(json_object_get(body, "data"), 0);
    assert_int_equal(json_array_size(json_object_get(row, "fields")), 1);
    json_decref(body);
    harness_graph(&h, NULL, a.app_token, "DELETE", fmt("/%s/subscriptions", a.app), NULL);
    harness_graph(&h, &body, a.app_token, "GET", fmt("/%s/subscriptions", a.app), NULL);
    assert_int_equal(json_array_size(json_object_get(body, "data")), 0);
    json_decref(body);
}

static void
test_subscribed_apps(void **state)
{
    json_t *body, *row;
    char *path = strdup(fmt("/%s/subscribed_apps", a.waba));

    assert_int_equal(harness_graph(&h, NULL, a.token, "POST", path,
                                   "{\"override_callback_uri\":\"https://o.example/wh\","
                                   "\"verify_token\":\"t\"}"),
                     200);
    body = get(&a, path, NULL);
    row = json_array_get(json_object_get(body, "data"), 0);
    assert_string_equal(json_str(row, "override_callback_uri"), "https://o.example/wh");
    assert_string_equal(json_str(json_object_get(row, "whatsapp_business_api_data"), "id"), a.app);
    json_decref(body);
    body = get(&a, fmt("/%s", a.number), "{\"fields\":\"webhook_configuration\"}");
    assert_string_equal(
        json_str(json_object_get(body, "webhook_configuration"), "whatsapp_business_account"),
        "https://o.example/wh");
    json_decref(body);

    assert_int_equal(harness_graph(&h, NULL, a.token, "POST", path, NULL), 200);
    body = get(&a, path, NULL);
    row = json_array_get(json_object_get(body, "data"), 0);
    assert_null(json_object_get(row, "override_callback_uri")); /* an empty call clears it */
    json_decref(body);

    assert_int_equal(harness_graph(&h, &body, a.token, "POST", path,
                                   "{\"override_callback_uri\":\"https://o.example/wh\"}"),
                     400);
    assert_int_equal(graph_code(body), 100);
    json_decref(body);
    assert_int_equal(harness_graph(&h, NULL, a.token, "DELETE", path, NULL), 200);
    body = get(&a, path, NULL);
    assert_int_equal(json_array_size(json_object_get(body, "data")), 0);
    json_decref(body);
    free(path);
}

static void
test_number_override(void **state)
{
    json_t *body;

    assert_int_equal(harness_graph(&h, NULL, a.token, "POST", fmt("/%s", a.number),
                                   "{\"webhook_configuration\":{\"override_callback_uri\":"
                                   "\"https://n.example/wh\",\"verify_token\":\"t\"}}"),
                     200);
    body = get(&a, fmt("/%s", a.number), "{\"fields\":\"webhook_configuration\"}");
    assert_string_equal(json_str(json_object_get(body, "webhook_configuration"), "phone_number"),
                        "https://n.example/wh");
    json_decref(body);
    assert_int_equal(harness_graph(&h, NULL, a.token, "POST", fmt("/%s", a.number),
                                   "{\"webhook_configuration\":"
                                   "\"{\\\"override_callback_uri\\\":\\\"\\\"}\"}"),
                     200);
    body = get(&a, fmt("/%s", a.number), "{\"fields\":\"webhook_configuration\"}");
    assert_null(json_str(json_object_get(body, "webhook_configuration"), "phone_number"));
    json_decref(body);
}

static void
test_debug_token_and_me(void **state)
{
    json_t *body, *data;
    char *missing = NULL, *foreign = NULL;

    harness_graph(&h, &body, a.app_token, "GET", "/debug_token",
                  fmt("{\"input_token\":\"%s\"}", a.token));
    data = json_object_get(body, "data");
    assert_true(json_is_true(json_object_get(data, "is_valid")));
    assert_string_equal(json_str(data, "app_id"), a.app);
    assert_string_equal(json_str(data, "type"), "SYSTEM_USER");
    assert_int_equal(json_array_size(json_object_get(data, "scopes")), 2);
    json_decref(body);

    /* I32: a token of another tenant reads like one that never was */
    harness_graph(&h, &body, a.app_token, "GET", "/debug_token",
                  fmt("{\"input_token\":\"%s\"}", b.token));
    foreign = json_dumps(body, JSON_SORT_KEYS);
    json_decref(body);
    harness_graph(&h, &body, a.app_token, "GET", "/debug_token",
                  "{\"input_token\":\"EAAneverwas\"}");
    missing = json_dumps(body, JSON_SORT_KEYS);
    json_decref(body);
    assert_string_equal(foreign, missing);
    free(foreign);
    free(missing);

    body = get(&a, "/me", NULL);
    assert_string_equal(json_str(body, "id"), json_str(a.answer, "user_id"));
    json_decref(body);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_number_fields),      CASE(test_unknown_fields_are_refused),
        CASE(test_waba_and_expansion), CASE(test_pages_of_numbers),
        CASE(test_subscriptions),      CASE(test_subscribed_apps),
        CASE(test_number_override),    CASE(test_debug_token_and_me),
    };

    return cmocka_run_group_tests_name("manager/graph_nodes", tests, NULL, NULL);
}
