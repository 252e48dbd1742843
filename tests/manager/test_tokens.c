/* Tokens: what a check answers, how each kind of refusal reads, what is on the disk. */
#include "harness.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hex.h"
#include "crypto/prim.h"

static struct harness h;
static struct tenant t;

static int
setup(void **state)
{
    harness_start(&h, NULL);
    tenant_make(&t, &h, "Harbour Tea", "447700900123");
    return 0;
}

static int
teardown(void **state)
{
    tenant_free(&t);
    harness_stop(&h);
    return 0;
}

static int
check(json_t **out, const char *token)
{
    return harness_ask(&h, out, "parley-cloud", HTTP_POST, "/internal/v1/tokens/check",
                       fmt("{\"token\":\"%s\"}", token));
}

static void
test_principal_of_a_user_token(void **state)
{
    json_t *p, *assets;
    uint8_t hash[32];
    struct buf hex;

    assert_int_equal(check(&p, t.token), 200);
    sha256(hash, bytes_of_str(t.token));
    buf_init(&hex, 128);
    hex_put(&hex, bytes_of(hash, 32));
    assert_string_equal(json_str(p, "token_hash"), buf_cstr(&hex));
    buf_free(&hex);
    assert_string_equal(json_str(p, "kind"), "SYSTEM_USER");
    assert_string_equal(json_str(p, "app_id"), t.app);
    assert_string_equal(json_str(p, "business_id"), t.business);
    assert_int_equal(json_array_size(json_object_get(p, "scopes")), 2);
    assets = json_object_get(p, "assets");
    assert_string_equal(json_string_value(json_array_get(json_object_get(assets, "wabas"), 0)),
                        t.waba);
    assert_string_equal(json_str(json_array_get(json_object_get(assets, "numbers"), 0), "id"),
                        t.number);
    json_decref(p);
}

static void
test_principal_of_an_app_token(void **state)
{
    json_t *p;

    assert_int_equal(check(&p, t.app_token), 200);
    assert_string_equal(json_str(p, "kind"), "APP");
    assert_string_equal(json_str(p, "app_id"), t.app);
    assert_string_equal(json_str(p, "token_id"), "0");
    assert_int_equal(json_array_size(json_object_get(p, "scopes")), 0);
    json_decref(p);
}

static void
test_refusals(void **state)
{
    static const char *const texts[] = {"",           "EAA", "EAAnosuchtoken", "with space",
                                        "caf\\u00e9", "1|2", "999|secret",     "|"};
    json_t *answer;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_int_equal(check(&answer, texts[i]), 401);
        assert_int_equal(graph_code(answer), 190);
        json_decref(answer);
    }
    /* the right app with a wrong secret reads like an app that does not exist */
    assert_int_equal(check(&answer, fmt("%s|%s", t.app, "0123456789abcdef0123456789abcdef")), 401);
    assert_int_equal(graph_code(answer), 190);
    json_decref(answer);
    assert_int_equal(
        harness_ask(&h, NULL, "parley-cloud", HTTP_POST, "/internal/v1/tokens/check", "{}"), 400);
    assert_int_equal(harness_ask(&h, NULL, "parley-cloud", HTTP_POST, "/internal/v1/tokens/check",
                                 "{\"token\":"),
                     400);
}

static void
test_expired_revoked_and_orphaned(void **state)
{
    json_t *made, *answer;

    made = harness_post(&h, "parley-cli", "/internal/v1/tokens",
                        fmt("{\"app_id\":\"%s\",\"expires_in_s\":60}", t.app));
    assert_int_equal(check(NULL, json_str(made, "token")), 200);
    clock_fake_advance(h.clock, 61000);
    assert_int_equal(check(&answer, json_str(made, "token")), 401);
    assert_int_equal(graph_subcode(answer), 463);
    json_decref(answer);
    json_decref(made);

    assert_int_equal(harness_ask(&h, NULL, "parley-cli", HTTP_DELETE,
                                 fmt("/internal/v1/tokens/%s", t.token_id), NULL),
                     200);
    assert_int_equal(check(&answer, t.token), 401);
    assert_int_equal(graph_subcode(answer), 467);
    json_decref(answer);

    assert_int_equal(
        harness_ask(&h, NULL, "parley-cli", HTTP_DELETE, fmt("/internal/v1/apps/%s", t.app), NULL),
        200);
    assert_int_equal(check(&answer, t.token), 401);
    assert_int_equal(graph_subcode(answer), 458);
    json_decref(answer);
    assert_int_equal(check(&answer, t.app_token), 401);
    json_decref(answer);
}

static void
test_narrowed_token_sees_one_waba(void **state)
{
    json_t *waba, *made, *p, *assets;

    waba = harness_post(&h, "parley-cli", "/internal/v1/wabas",
                        fmt("{\"business_id\":\"%s\",\"name\":\"Second\"}", t.business));
    made =
        harness_post(&h, "parley-cli", "/internal/v1/tokens",
                     fmt("{\"app_id\":\"%s\",\"waba_ids\":[\"%s\"]}", t.app, json_str(waba, "id")));
    assert_int_equal(check(&p, json_str(made, "token")), 200);
    assets = json_object_get(p, "assets");
    assert_int_equal(json_array_size(json_object_get(assets, "wabas")), 1);
    assert_int_equal(json_array_size(json_object_get(assets, "numbers")), 0);
    assert_int_equal(
        harness_graph(&h, NULL, json_str(made, "token"), "GET", fmt("/%s", t.number), NULL), 400);
    assert_int_equal(harness_graph(&h, NULL, json_str(made, "token"), "GET",
                                   fmt("/%s", json_str(waba, "id")), NULL),
                     200);
    json_decref(p);
    json_decref(made);
    json_decref(waba);
}

static void
test_appsecret_proof(void **state)
{
    uint8_t mac[32];
    json_t *answer;
    struct buf hex;

    hmac_sha256(mac, bytes_of_str(t.secret), bytes_of_str(t.token));
    buf_init(&hex, 128);
    hex_put(&hex, bytes_of(mac, 32));
    assert_int_equal(
        harness_ask(&h, NULL, "parley-cloud", HTTP_POST, "/internal/v1/tokens/check",
                    fmt("{\"token\":\"%s\",\"appsecret_proof\":\"%s\"}", t.token, buf_cstr(&hex))),
        200);
    assert_int_equal(
        harness_ask(&h, &answer, "parley-cloud", HTTP_POST, "/internal/v1/tokens/check",
                    fmt("{\"token\":\"%s\",\"appsecret_proof\":\"%s\"}", t.token, "00")),
        400);
    assert_int_equal(graph_code(answer), 100);
    json_decref(answer);
    buf_free(&hex);
}

/* Whether any file of the manager's folder holds the text. */
static bool
is_on_disk(const char *text)
{
    char path[512];
    struct dirent *entry;
    bool found = false;
    DIR *dir;

    snprintf(path, sizeof(path), "%s/manager", h.dir);
    dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        struct buf raw;

        snprintf(path, sizeof(path), "%s/manager/%s", h.dir, entry->d_name);
        buf_init(&raw, 64u << 20);
        if (entry->d_name[0] != '.' && file_read(&raw, path, 64u << 20, NULL) == RC_OK &&
            raw.len > 0)
            found |= memmem(raw.ptr, raw.len, text, strlen(text)) != NULL;
        buf_free(&raw);
    }
    closedir(dir);
    return found;
}

static void
test_secrets_are_not_on_the_disk(void **state)
{
    json_t *body;

    assert_int_equal(harness_graph(&h, &body, t.app_token, "POST", fmt("/%s/subscriptions", t.app),
                                   "{\"object\":\"whatsapp_business_account\",\"callback_url\":"
                                   "\"https://hooks.example/wa\",\"verify_token\":"
                                   "\"canary-verify-5150\",\"fields\":\"messages\"}"),
                     200);
    json_decref(body);
    assert_true(is_on_disk("Harbour Tea")); /* the search finds what is in clear */
    assert_true(is_on_disk("hooks.example"));
    assert_false(is_on_disk(t.token));
    assert_false(is_on_disk(t.secret));
    assert_false(is_on_disk(json_str(t.answer, "verify_token")));
    assert_false(is_on_disk("canary-verify-5150"));
}

static void
test_secrets_and_numbers_are_not_in_the_log(void **state)
{
    const char *const canaries[] = {
        t.token,        t.secret,         json_str(t.answer, "verify_token"),
        "447700900123", "EAAwrongcanary", "canary-verify-5150"};
    struct buf text;
    char path[128];

    check(NULL, t.token);
    check(NULL, "EAAwrongcanary");
    harness_graph(&h, NULL, t.app_token, "POST", fmt("/%s/subscriptions", t.app),
                  "{\"object\":\"whatsapp_business_account\",\"callback_url\":"
                  "\"https://hooks.example/wa\",\"verify_token\":\"canary-verify-5150\","
                  "\"fields\":\"nonsense\"}");
    harness_ask(&h, NULL, "parley-cli", HTTP_POST, "/internal/v1/provision",
                "{\"name\":\"Other\",\"number\":\"447700900123\"}");
    harness_ask(&h, NULL, "parley-cli", HTTP_DELETE, fmt("/internal/v1/apps/%s", t.app), NULL);
    harness_restart(&h);
    snprintf(path, sizeof(path), "%s/log", h.dir);
    buf_init(&text, 16u << 20);
    assert_int_equal(file_read(&text, path, 16u << 20, NULL), RC_OK);
    assert_non_null(strstr(buf_cstr(&text), "store.migrated")); /* it is a log of this run */
    for (size_t i = 0; i < ARRAY_LEN(canaries); i++)
        assert_null(strstr(buf_cstr(&text), canaries[i]));
    buf_free(&text);
}

static void
test_tokens_survive_a_restart(void **state)
{
    harness_restart(&h);
    assert_int_equal(check(NULL, t.token), 200);
    assert_int_equal(check(NULL, t.app_token), 200);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_principal_of_a_user_token),
        CASE(test_principal_of_an_app_token),
        CASE(test_refusals),
        CASE(test_expired_revoked_and_orphaned),
        CASE(test_narrowed_token_sees_one_waba),
        CASE(test_appsecret_proof),
        CASE(test_secrets_are_not_on_the_disk),
        CASE(test_secrets_and_numbers_are_not_in_the_log),
        CASE(test_tokens_survive_a_restart),
    };

    return cmocka_run_group_tests_name("manager/tokens", tests, NULL, NULL);
}
