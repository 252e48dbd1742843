/* The route table: who may, isolation of tenants on every row, answers to unknown paths. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/graph.h"

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

static const char *
object_of(const struct tenant *t, enum object_kind kind)
{
    switch (kind) {
    case OBJECT_BUSINESS:
        return t->business;
    case OBJECT_WABA:
        return t->waba;
    case OBJECT_NUMBER:
        return t->number;
    default:
        return t->app;
    }
}

/* An id of the kind that nobody has. */
static const char *
missing_of(enum object_kind kind)
{
    return fmt("%d%013d", (int)kind, 1);
}

/* Parameters that pass every route's own checks. */
static const char all_params[] =
    "{\"object\":\"whatsapp_business_account\",\"callback_url\":\"https://a.example/wh\","
    "\"verify_token\":\"v\",\"fields\":\"messages\",\"override_callback_uri\":"
    "\"https://a.example/o\",\"webhook_configuration\":{\"override_callback_uri\":"
    "\"https://a.example/n\",\"verify_token\":\"v\"}}";

static void
same_but_for_the_id(const json_t *x, const char *x_id, const json_t *y, const char *y_id)
{
    char *xs = json_dumps(x, JSON_COMPACT | JSON_SORT_KEYS);
    char *ys = json_dumps(y, JSON_COMPACT | JSON_SORT_KEYS);
    char *at;

    assert_int_equal(strlen(x_id), strlen(y_id));
    while ((at = strstr(xs, x_id)) != NULL)
        memset(at, '#', strlen(x_id));
    while ((at = strstr(ys, y_id)) != NULL)
        memset(at, '#', strlen(y_id));
    assert_string_equal(xs, ys);
    free(xs);
    free(ys);
}

/* Every route with an object × every kind of token: B's object answers A exactly as a missing one.
 */
static void
test_i32_foreign_is_as_missing_on_every_route(void **state)
{
    json_t *made = harness_post(&h, "parley-cli", "/internal/v1/tokens",
                                fmt("{\"app_id\":\"%s\",\"scopes\":[\"business_management\","
                                    "\"whatsapp_business_management\","
                                    "\"whatsapp_business_messaging\"]}",
                                    a.app));
    const char *const tokens[] = {json_str(made, "token"), a.token, a.app_token};
    struct graph_route_row row;
    unsigned n = 0;

    for (size_t i = 0; graph_route_at(&row, i); i++) {
        const char *foreign = object_of(&b, row.kind), *missing = missing_of(row.kind);

        if (row.kind == OBJECT_NONE)
            continue;
        for (size_t k = 0; k < ARRAY_LEN(tokens); k++) {
            const char *method = http_method_name(row.method);
            json_t *x, *y;
            int xs, ys;

            xs = harness_graph(&h, &x, tokens[k], method, fmt("/%s/%s", foreign, row.edge),
                               all_params);
            ys = harness_graph(&h, &y, tokens[k], method, fmt("/%s/%s", missing, row.edge),
                               all_params);
            assert_int_equal(xs, ys);
            assert_true(xs >= 400);
            same_but_for_the_id(x, foreign, y, missing);
            json_decref(x);
            json_decref(y);
            n++;
        }
    }
    assert_true(n >= 30);
    json_decref(made);
}

/* The same routes on the principal's own objects do work: the sweep above compares something real.
 */
static void
test_own_objects_answer_on_every_route(void **state)
{
    json_t *made = harness_post(&h, "parley-cli", "/internal/v1/tokens",
                                fmt("{\"app_id\":\"%s\",\"scopes\":[\"business_management\","
                                    "\"whatsapp_business_management\"]}",
                                    a.app));
    struct graph_route_row row;

    for (size_t i = 0; graph_route_at(&row, i); i++) {
        const char *token = row.who == WHO_APP ? a.app_token : json_str(made, "token");
        const char *params = row.method == HTTP_POST ? all_params : NULL;
        json_t *body;
        int status;

        if (row.kind == OBJECT_NONE)
            continue;
        status = harness_graph(&h, &body, token, http_method_name(row.method),
                               fmt("/%s/%s", object_of(&a, row.kind), row.edge), params);
        if (status != 200)
            fail_msg("%s %s: %d", http_method_name(row.method), row.edge, status);
        json_decref(body);
    }
    json_decref(made);
}

/* A token without the row's permission is refused with 10, on own objects too. */
static void
test_permissions(void **state)
{
    static const struct {
        const char *scope;
        uint32_t bit;
    } scopes[] = {
        {"whatsapp_business_messaging",  PERM_MESSAGING },
        {"whatsapp_business_management", PERM_MANAGEMENT},
        {"business_management",          PERM_BUSINESS  }
    };
    struct graph_route_row row;

    for (size_t s = 0; s < ARRAY_LEN(scopes); s++) {
        json_t *made =
            harness_post(&h, "parley-cli", "/internal/v1/tokens",
                         fmt("{\"app_id\":\"%s\",\"scopes\":[\"%s\"]}", a.app, scopes[s].scope));

        for (size_t i = 0; graph_route_at(&row, i); i++) {
            json_t *body;

            if (row.kind == OBJECT_NONE || row.needs == 0 || (row.needs & scopes[s].bit) != 0)
                continue;
            assert_int_equal(harness_graph(&h, &body, json_str(made, "token"),
                                           http_method_name(row.method),
                                           fmt("/%s/%s", object_of(&a, row.kind), row.edge), NULL),
                             403);
            assert_int_equal(graph_code(body), 10);
            json_decref(body);
        }
        json_decref(made);
    }
}

static void
test_kind_of_token(void **state)
{
    json_t *body;

    assert_int_equal(
        harness_graph(&h, &body, a.token, "GET", fmt("/%s/subscriptions", a.app), NULL), 400);
    assert_int_equal(graph_code(body), 15);
    json_decref(body);
    assert_int_equal(harness_graph(&h, &body, a.app_token, "GET", fmt("/%s", a.waba), NULL), 403);
    assert_int_equal(graph_code(body), 200);
    json_decref(body);
}

static void
test_unknown_paths(void **state)
{
    static const struct {
        const char *method, *path;
        int code, subcode;
    } cases[] = {
        {"GET",    "/",                    2500, 0 },
        {"GET",    "/nonsense",            2500, 0 },
        {"GET",    "/123",                 100,  33},
        {"GET",    "/9223372036854775807", 100,  33},
        {"GET",    "/9223372036854775808", 2500, 0 },
        {"GET",    "/150000000000001/x",   100,  33},
        {"GET",    "/a/b/c",               2500, 0 },
        {"DELETE", "/me",                  100,  33},
        {"PUT",    "/me",                  100,  33},
    };
    json_t *body;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(harness_graph(&h, &body, a.token, cases[i].method, cases[i].path, NULL),
                         400);
        if (graph_code(body) != cases[i].code || graph_subcode(body) != cases[i].subcode)
            fail_msg("%s %s: %d/%d", cases[i].method, cases[i].path, graph_code(body),
                     graph_subcode(body));
        assert_string_equal(json_str(json_object_get(body, "error"), "fbtrace_id"), "AbQtrace");
        json_decref(body);
    }
    assert_int_equal(harness_graph(&h, &body, a.token, "GET", fmt("/%s/nonsense", a.waba), NULL),
                     400);
    assert_int_equal(graph_code(body), 2500);
    json_decref(body);
    assert_int_equal(harness_graph(&h, NULL, a.token, "GET", fmt("/%s/", a.waba), NULL), 200);
}

static void
test_revoked_principal_is_refused_though_named(void **state)
{
    json_t *answer;

    harness_ask(&h, NULL, "parley-cli", HTTP_DELETE, fmt("/internal/v1/tokens/%s", a.token_id),
                NULL);
    answer = harness_post(&h, "parley-cloud", "/internal/v1/graph",
                          fmt("{\"method\":\"GET\",\"path\":\"/me\",\"principal\":{\"kind\":"
                              "\"SYSTEM_USER\",\"token_id\":\"%s\"}}",
                              a.token_id));
    assert_int_equal(json_int(answer, "status", 0), 401);
    assert_int_equal(graph_code(json_object_get(answer, "body")), 190);
    json_decref(answer);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_i32_foreign_is_as_missing_on_every_route),
        CASE(test_own_objects_answer_on_every_route),
        CASE(test_permissions),
        CASE(test_kind_of_token),
        CASE(test_unknown_paths),
        CASE(test_revoked_principal_is_refused_though_named),
    };

    return cmocka_run_group_tests_name("manager/graph_routes", tests, NULL, NULL);
}
