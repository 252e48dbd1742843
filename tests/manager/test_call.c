/* The internal channel: the program × route table, unknown programs, operator routes. */
#include "harness.h"

#include <string.h>

#include "http/client.h"
#include "manager/call.h"

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

/* Every row × every program: refused exactly when the row lacks the program. */
static void
test_table_of_programs(void **state)
{
    static const struct {
        const char *cn;
        unsigned bit;
    } programs[] = {
        {"parley-cloud",      PROGRAM_CLOUD     },
        {"parley-cli",        PROGRAM_CLI       },
        {"parley-supervisor", PROGRAM_SUPERVISOR},
        {"parley-relay",      0                 },
        {"somebody",          0                 }
    };
    const struct internal_route *tables[] = {cloud_routes, operator_routes};
    const size_t sizes[] = {cloud_routes_n, operator_routes_n};

    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < sizes[k]; i++)
            for (size_t p = 0; p < ARRAY_LEN(programs); p++) {
                const struct internal_route *route = &tables[k][i];
                const char *star = strchr(route->path, '*');
                int status;

                if (route->finish != NULL && (route->programs & programs[p].bit) != 0)
                    continue; /* the stream: never ends */
                status = harness_ask(&h, NULL, programs[p].cn, route->method,
                                     star == NULL ? route->path
                                                  : fmt("%.*s%s%s", (int)(star - route->path),
                                                        route->path, "999000000000001", star + 1),
                                     route->method == HTTP_POST ? "{}" : NULL);
                if ((status == 403) != ((route->programs & programs[p].bit) == 0))
                    fail_msg("%s %s: %d", programs[p].cn, route->path, status);
            }
}

static void
test_unknown_routes(void **state)
{
    assert_int_equal(harness_ask(&h, NULL, "parley-cli", HTTP_GET, "/", NULL), 404);
    assert_int_equal(
        harness_ask(&h, NULL, "parley-cli", HTTP_GET, "/internal/v1/businesses/x", NULL), 404);
    assert_int_equal(harness_ask(&h, NULL, "parley-cli", HTTP_PUT, "/internal/v1/status", "{}"),
                     404);
    assert_int_equal(
        harness_ask(&h, NULL, "parley-cli", HTTP_GET, "/internal/v1/businesses?after=x", NULL),
        400);
}

static void
test_operator_life_of_objects(void **state)
{
    json_t *b, *w, *n, *a, *k, *list;

    b = harness_post(&h, "parley-cli", "/internal/v1/businesses", "{\"name\":\"Orchid\"}");
    w = harness_post(&h, "parley-cli", "/internal/v1/wabas",
                     fmt("{\"business_id\":\"%s\",\"name\":\"Desk\"}", json_str(b, "id")));
    n = harness_post(
        &h, "parley-cli", "/internal/v1/numbers",
        fmt("{\"waba_id\":\"%s\",\"number\":\"15550123400\",\"display_name\":\"Desk\"}",
            json_str(w, "id")));
    a = harness_post(&h, "parley-cli", "/internal/v1/apps",
                     fmt("{\"business_id\":\"%s\",\"name\":\"App\",\"waba_id\":\"%s\"}",
                         json_str(b, "id"), json_str(w, "id")));
    k = harness_post(&h, "parley-cli", "/internal/v1/tokens",
                     fmt("{\"app_id\":\"%s\"}", json_str(a, "id")));
    assert_non_null(json_str(a, "secret"));
    assert_true(strncmp(json_str(k, "token"), "EAA", 3) == 0);

    list =
        harness_get(&h, "parley-cli", fmt("/internal/v1/tokens?business_id=%s", json_str(b, "id")));
    assert_int_equal(json_array_size(json_object_get(list, "data")), 1);
    assert_null(json_str(json_array_get(json_object_get(list, "data"), 0), "token"));
    json_decref(list);
    list = harness_get(&h, "parley-cli", fmt("/internal/v1/apps/%s", json_str(a, "id")));
    assert_null(json_str(list, "secret"));
    json_decref(list);
    list = harness_get(&h, "parley-cli",
                       fmt("/internal/v1/apps/%s?with_secrets=1", json_str(a, "id")));
    assert_string_equal(json_str(list, "secret"), json_str(a, "secret"));
    json_decref(list);

    /* the same digits again, in another business, and after a revocation */
    assert_int_equal(harness_ask(&h, NULL, "parley-cli", HTTP_POST, "/internal/v1/numbers",
                                 fmt("{\"waba_id\":\"%s\",\"number\":\"15550123400\"}", t.waba)),
                     409);
    assert_int_equal(harness_ask(&h, NULL, "parley-cli", HTTP_DELETE,
                                 fmt("/internal/v1/numbers/%s", json_str(n, "id")), NULL),
                     200);
    assert_int_equal(harness_ask(&h, NULL, "parley-cli", HTTP_DELETE,
                                 fmt("/internal/v1/numbers/%s", json_str(n, "id")), NULL),
                     404);
    list = harness_get(&h, "parley-cli", fmt("/internal/v1/numbers/%s", json_str(n, "id")));
    assert_true(json_is_true(json_object_get(list, "is_revoked")));
    json_decref(list);
    assert_int_equal(
        harness_graph(&h, NULL, json_str(k, "token"), "GET", fmt("/%s", json_str(n, "id")), NULL),
        400);
    assert_int_equal(harness_ask(&h, NULL, "parley-cli", HTTP_POST, "/internal/v1/numbers",
                                 fmt("{\"waba_id\":\"%s\",\"number\":\"15550123400\"}", t.waba)),
                     200);
    json_decref(b);
    json_decref(w);
    json_decref(n);
    json_decref(a);
    json_decref(k);
}

static void
test_foreign_waba_is_refused_for_apps_and_tokens(void **state)
{
    json_t *b = harness_post(&h, "parley-cli", "/internal/v1/businesses", "{\"name\":\"Orchid\"}");

    assert_int_equal(harness_ask(&h, NULL, "parley-cli", HTTP_POST, "/internal/v1/apps",
                                 fmt("{\"business_id\":\"%s\",\"name\":\"App\",\"waba_id\":\"%s\"}",
                                     json_str(b, "id"), t.waba)),
                     404);
    json_decref(b);
}

/* Closing with calls at every stage: what was committed is there afterwards, nothing else is
 * harmed. */
static void
test_closing_with_calls_in_flight(void **state)
{
    json_t *status;
    int64_t made;

    for (unsigned turns = 0; turns < 12; turns++) {
        for (unsigned i = 0; i < 8; i++)
            harness_fire(&h, "parley-cli", HTTP_POST, "/internal/v1/businesses",
                         "{\"name\":\"In flight\"}");
        for (uint64_t end = uv_hrtime() + turns * 3000000ull; uv_hrtime() < end;)
            loop_poll(h.loop); /* a little further each time */
        harness_restart(&h);
    }
    status = harness_get(&h, "parley-cli", "/internal/v1/status");
    made = json_int(status, "businesses", 0);
    assert_true(made >= 1 && made <= 1 + 12 * 8);
    json_decref(status);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_table_of_programs),
        CASE(test_unknown_routes),
        CASE(test_operator_life_of_objects),
        CASE(test_foreign_waba_is_refused_for_apps_and_tokens),
        CASE(test_closing_with_calls_in_flight),
    };

    return cmocka_run_group_tests_name("manager/call", tests, NULL, NULL);
}
