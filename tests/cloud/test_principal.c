/* test_principal.c - the cache of tokens: how long it believes, and what empties it.
 *
 * The manager's link is replaced (linked with --wrap): answers come when the test says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/json.h"
#include "cloud/principal.h"
#include "crypto/prim.h"

/* ---- the manager, by hand ---- */

static struct {
    bool is_up;
    int64_t silent_ms;
    unsigned asked;
    manager_reply_fn *fn; /* of the call under way */
    void *ctx;
    char body[4096];
} manager;

void __wrap_manager_link_post(struct manager_link *link, const char *path, struct bytes body,
                              manager_reply_fn *fn, void *ctx);
bool __wrap_manager_link_is_up(const struct manager_link *link);
int64_t __wrap_manager_link_silent_ms(const struct manager_link *link);

void
__wrap_manager_link_post(struct manager_link *link, const char *path, struct bytes body,
                         manager_reply_fn *fn, void *ctx)
{
    assert_string_equal(path, "/internal/v1/tokens/check");
    assert_null(manager.fn);
    manager.asked++;
    manager.fn = fn;
    manager.ctx = ctx;
    snprintf(manager.body, sizeof manager.body, "%.*s", (int)body.len, (const char *)body.ptr);
}

bool
__wrap_manager_link_is_up(const struct manager_link *link)
{
    return manager.is_up;
}

int64_t
__wrap_manager_link_silent_ms(const struct manager_link *link)
{
    return manager.silent_ms;
}

#define GOOD                                                                                       \
    "{\"token_id\":\"180000000000001\",\"kind\":\"SYSTEM_USER\",\"app_id\":\"130000000000001\","   \
    "\"business_id\":\"100000000000001\",\"scopes\":[\"whatsapp_business_messaging\",\"other\"],"  \
    "\"expires_at\":0,\"assets\":{\"wabas\":[],\"numbers\":[{\"id\":\"120000000000001\"}]}}"

static void
answer(enum rc rc, int status, const char *text)
{
    manager_reply_fn *fn = manager.fn;
    json_t *body = NULL;

    assert_non_null(fn);
    manager.fn = NULL;
    if (text != NULL)
        assert_int_equal(json_read(&body, bytes_of_str(text), 1 << 16, NULL), RC_OK);
    fn(manager.ctx, rc, status, body);
    json_decref(body);
}

/* ---- who asks ---- */

struct world {
    struct clock *clock;
    struct principals *cache;
};

static struct {
    unsigned calls;
    bool is_granted;
    int status;
    bool has_error;
    struct principal principal;
} got;

static void
on_principal(void *ctx, const struct principal *principal, int status, const json_t *error)
{
    got.calls++;
    got.is_granted = principal != NULL;
    got.status = status;
    got.has_error = error != NULL;
    if (principal != NULL)
        got.principal = *principal;
}

static void
check(struct world *w, const char *token, const char *proof)
{
    memset(&got, 0, sizeof got);
    principals_check(w->cache, token, proof, on_principal, NULL);
}

/* The token is answered from the cache, without a question. */
static bool
is_cached(struct world *w, const char *token)
{
    unsigned asked = manager.asked;

    check(w, token, NULL);
    if (manager.asked == asked) {
        assert_int_equal(got.calls, 1);
        return true;
    }
    answer(RC_IO, 0, NULL);
    return false;
}

static void
learn(struct world *w, const char *token)
{
    check(w, token, NULL);
    assert_int_equal(got.calls, 0);
    answer(RC_OK, 200, GOOD);
    assert_int_equal(got.calls, 1);
    assert_true(got.is_granted);
}

static int
set_up(void **state)
{
    static struct world w;

    memset(&manager, 0, sizeof manager);
    manager.is_up = true;
    assert_int_equal(clock_new_fake(&w.clock, INT64_C(1767270000000), 1000, NULL), RC_OK);
    assert_int_equal(principals_new(&w.cache, NULL, w.clock, NULL), RC_OK);
    *state = &w;
    return 0;
}

static int
tear_down(void **state)
{
    struct world *w = *state;

    principals_free(&w->cache);
    clock_free(&w->clock);
    return 0;
}

static void
test_an_answer_is_kept_for_a_minute(void **state)
{
    struct world *w = *state;

    learn(w, "EAAtoken");
    assert_non_null(strstr(manager.body, "\"token\":\"EAAtoken\""));
    assert_int_equal(got.principal.business_id, 100000000000001);
    assert_int_equal(got.principal.scopes, SCOPE_MESSAGING);
    assert_true(principal_has_number(&got.principal, 120000000000001));
    assert_false(principal_has_number(&got.principal, 120000000000002));
    clock_fake_advance(w->clock, PRINCIPAL_FRESH_MS - 1);
    assert_true(is_cached(w, "EAAtoken"));
    assert_false(is_cached(w, "EAAtokem"));
    clock_fake_advance(w->clock, 1);
    assert_false(is_cached(w, "EAAtoken"));
}

static void
test_refusals_are_passed_on_and_not_kept(void **state)
{
    struct world *w = *state;

    check(w, "bad", NULL);
    answer(RC_OK, 401, "{\"error\":{\"code\":190}}");
    assert_false(got.is_granted);
    assert_int_equal(got.status, 401);
    assert_true(got.has_error);
    assert_false(is_cached(w, "bad"));
}

static void
test_without_an_answer_it_is_unavailable(void **state)
{
    struct world *w = *state;

    check(w, "any", NULL);
    answer(RC_IO, 0, NULL);
    assert_false(got.is_granted);
    assert_false(got.has_error);
    check(w, "any", NULL);
    answer(RC_OK, 500, "{\"error\":{}}");
    assert_false(got.is_granted);
    assert_false(got.has_error);
}

/* The manager is away: what is known serves for five minutes, whatever its age, and no longer. */
static void
test_five_minutes_without_the_manager(void **state)
{
    struct world *w = *state;

    learn(w, "t");
    manager.is_up = false;
    manager.silent_ms = PRINCIPAL_STALE_MS - 1;
    clock_fake_advance(w->clock, PRINCIPAL_STALE_MS - 1);
    assert_true(is_cached(w, "t"));
    manager.silent_ms = PRINCIPAL_STALE_MS;
    assert_false(is_cached(w, "t"));
}

static void
test_never_past_its_own_end(void **state)
{
    struct world *w = *state;

    check(w, "t", NULL);
    answer(RC_OK, 200,
           "{\"kind\":\"SYSTEM_USER\",\"business_id\":\"100000000000001\","
           "\"expires_at\":1767270010}");
    clock_fake_advance(w->clock, 9000);
    assert_true(is_cached(w, "t"));
    clock_fake_advance(w->clock, 1000);
    assert_false(is_cached(w, "t"));
}

static void
hash_of(const char *token, char out[65])
{
    uint8_t hash[SHA256_SIZE];
    struct buf hex;

    sha256(hash, bytes_of_str(token));
    buf_init(&hex, 65);
    hex_put(&hex, bytes_of(hash, sizeof hash));
    memcpy(out, hex.ptr, 64);
    out[64] = '\0';
    buf_free(&hex);
}

static void
test_revocation_empties_it(void **state)
{
    struct world *w = *state;
    char hash[65];

    learn(w, "a");
    learn(w, "b");
    hash_of("a", hash);
    principals_drop(w->cache, hash, 0);
    assert_false(is_cached(w, "a"));
    assert_true(is_cached(w, "b"));
    principals_drop(w->cache, NULL, 100000000000002); /* another business */
    assert_true(is_cached(w, "b"));
    principals_drop(w->cache, NULL, 100000000000001);
    assert_false(is_cached(w, "b"));
    learn(w, "b");
    principals_drop(w->cache, NULL, 0);
    assert_false(is_cached(w, "b"));
}

/* The answer was made before the revocation and comes after it. */
static void
test_revocation_while_the_answer_is_under_way(void **state)
{
    struct world *w = *state;
    char hash[65];

    hash_of("t", hash);
    check(w, "t", NULL);
    principals_drop(w->cache, hash, 0);
    answer(RC_OK, 200, GOOD);
    assert_true(got.is_granted); /* this once */
    assert_false(is_cached(w, "t"));
}

/* A proof is the caller's claim to know the app's secret: checked every time. */
static void
test_calls_with_a_proof_are_always_asked(void **state)
{
    struct world *w = *state;

    learn(w, "t");
    check(w, "t", "proof");
    assert_non_null(strstr(manager.body, "\"appsecret_proof\":\"proof\""));
    answer(RC_OK, 400, "{\"error\":{\"code\":100}}");
    assert_false(got.is_granted);
    check(w, "u", "proof");
    answer(RC_OK, 200, GOOD);
    assert_true(got.is_granted);
    assert_false(is_cached(w, "u"));
}

static void
test_it_has_a_ceiling(void **state)
{
    struct world *w = *state;
    char token[32];

    for (unsigned i = 0; i <= PRINCIPALS_MAX; i++) {
        snprintf(token, sizeof token, "t%u", i);
        learn(w, token);
    }
    assert_true(is_cached(w, token));
    assert_true(is_cached(w, "t1"));
    assert_false(is_cached(w, "t0")); /* the oldest made room */
}

#define CACHE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CACHE_TEST(test_an_answer_is_kept_for_a_minute),
        CACHE_TEST(test_refusals_are_passed_on_and_not_kept),
        CACHE_TEST(test_without_an_answer_it_is_unavailable),
        CACHE_TEST(test_five_minutes_without_the_manager),
        CACHE_TEST(test_never_past_its_own_end),
        CACHE_TEST(test_revocation_empties_it),
        CACHE_TEST(test_revocation_while_the_answer_is_under_way),
        CACHE_TEST(test_calls_with_a_proof_are_always_asked),
        CACHE_TEST(test_it_has_a_ceiling),
    };

    return cmocka_run_group_tests_name("cloud/principal", tests, NULL, NULL);
}
