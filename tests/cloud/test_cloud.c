/* test_cloud.c - the Cloud as its clients see it, with everything behind it in this process. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hex.h"
#include "content/wamid.h"
#include "town.h"

#define BAKERY UINT64_C(4930111111)
#define FLORIST UINT64_C(4930222222)
#define ANNA UINT64_C(4915222222)

struct scene {
    struct town town;
    struct shop bakery;
    struct person anna;
};

static int
set_up(void **state)
{
    struct scene *s = calloc(1, sizeof *s);

    town_start(&s->town);
    shop_open(&s->bakery, &s->town, "Bakery", BAKERY, "/bakery");
    person_init(&s->anna, &s->town.net, ANNA);
    person_start(&s->anna);
    person_register(&s->anna);
    *state = s;
    return 0;
}

static int
tear_down(void **state)
{
    struct scene *s = *state;

    person_wipe(&s->anna);
    town_stop(&s->town);
    free(s);
    return 0;
}

static void
assert_signed(const struct hook *hook, const char *secret)
{
    uint8_t mac[SHA256_SIZE];
    char want[80] = "sha256=";
    struct buf hex;

    hmac_sha256(mac, bytes_of_str(secret), bytes_of_str(hook->text));
    buf_init(&hex, 65);
    hex_put(&hex, bytes_of(mac, sizeof mac));
    snprintf(want + 7, sizeof want - 7, "%.*s", (int)hex.len, (const char *)hex.ptr);
    buf_free(&hex);
    assert_string_equal(hook->signature, want);
}

static void
test_a_message_and_its_statuses(void **state)
{
    struct scene *s = *state;
    struct town *t = &s->town;
    char wamid[WAMID_SIZE];
    struct wamid id;

    town_say(t, &s->bakery, ANNA, "fresh bread", wamid);
    assert_signed(town_wait_status(t, wamid, "sent"), s->bakery.secret);
    assert_signed(town_wait_status(t, wamid, "delivered"), s->bakery.secret);
    assert_int_equal(wamid_read(&id, bytes_of_str(wamid), NULL), RC_OK);
    assert_true(id.is_from_business);
    assert_int_equal(id.user, ANNA);
    assert_int_equal(person_read(&s->anna, BAKERY, id.message_id), RC_OK);
    town_wait_status(t, wamid, "read");
    assert_int_equal(t->n_hooks, 3);
    assert_int_equal(events_count(s->anna.place.store, ANNA, EVENT_MESSAGE, id.message_id), 1);
}

static void
test_an_incoming_message_is_marked_as_read(void **state)
{
    struct scene *s = *state;
    struct town *t = &s->town;
    const struct hook *hook;
    char path[64], body[256];

    assert_int_equal(person_say(&s->anna, BAKERY, "two rolls", NULL), RC_OK);
    hook = town_wait_message(t, "/bakery", "two rolls");
    assert_signed(hook, s->bakery.secret);
    assert_string_equal(json_str(hook_value(hook, "contacts"), "wa_id"), "4915222222");
    person_wait_events(&s->anna, EVENT_RECEIPT, 1);
    snprintf(path, sizeof path, "/%s/messages", s->bakery.number);
    snprintf(body, sizeof body,
             "{\"messaging_product\":\"whatsapp\",\"status\":\"read\",\"message_id\":\"%s\"}",
             json_str(hook_value(hook, "messages"), "id"));
    assert_int_equal(town_graph(t, NULL, HTTP_POST, path, s->bakery.token, body), 200);
    person_wait_events(&s->anna, EVENT_RECEIPT, 2);
}

#define SAY "{\"messaging_product\":\"whatsapp\",\"to\":\"4915222222\",\"text\":{\"body\":\"hi\"}}"

static void
test_i2_idempotency_key_over_http(void **state)
{
    struct scene *s = *state;
    struct town *t = &s->town;
    char path[64];
    json_t *first, *again;

    snprintf(path, sizeof path, "/v24.0/%s/messages", s->bakery.number);
    assert_int_equal(town_graph_keyed(t, &first, path, s->bakery.token, SAY, "k"), 200);
    assert_int_equal(town_graph_keyed(t, &again, path, s->bakery.token, SAY, "k"), 200);
    assert_true(json_equal(first, again));
    json_decref(first);
    json_decref(again);
    assert_int_equal(
        town_graph_keyed(t, &again, path, s->bakery.token,
                         "{\"messaging_product\":\"whatsapp\",\"to\":\"4915222222\",\"text\":{"
                         "\"body\":\"ho\"}}",
                         "k"),
        409);
    assert_int_equal(json_int(json_object_get(again, "error"), "code", 0), 100);
    json_decref(again);
    person_wait_events(&s->anna, EVENT_MESSAGE, 1);
    net_pass_ms(&t->net, 100);
    assert_int_equal(events_count(s->anna.place.store, ANNA, EVENT_MESSAGE, NULL), 1);
}

static int
ask(struct town *t, json_t **error, enum http_method method, const char *id, const char *edge,
    const char *token, const char *body)
{
    char path[128];
    json_t *answer;
    int status;

    snprintf(path, sizeof path, "/v24.0/%s%s", id, edge);
    status = town_graph(t, &answer, method, path, token, body);
    *error = json_deep_copy(json_object_get(answer, "error"));
    json_object_del(*error, "fbtrace_id");
    json_decref(answer);
    return status;
}

/* The florist asks for the bakery's things and for things that there are not: the same answers. */
static void
test_i32_another_business_is_as_good_as_none(void **state)
{
    static const struct {
        enum http_method method;
        const char *edge, *body;
    } calls[] = {
        {HTTP_POST, "/messages",     SAY                             },
        {HTTP_POST, "/register",     "{\"pin\":\"123456\"}"          },
        {HTTP_POST, "/deregister",   "{}"                            },
        {HTTP_POST, "/request_code", "{\"code_method\":\"SMS\"}"     },
        {HTTP_POST, "/verify_code",  "{\"code\":\"123456\"}"         },
        {HTTP_GET,  "",              NULL                            },
        {HTTP_POST, "",              "{\"webhook_configuration\":{}}"},
    };
    static const char missing[] = "129999999999999";
    struct scene *s = *state;
    struct town *t = &s->town;
    struct shop florist;

    shop_open(&florist, t, "Florist", FLORIST, "/florist");
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        json_t *theirs, *none;
        const char *text;
        char *at;
        int a = ask(t, &theirs, calls[i].method, s->bakery.number, calls[i].edge, florist.token,
                    calls[i].body);
        int b =
            ask(t, &none, calls[i].method, missing, calls[i].edge, florist.token, calls[i].body);

        assert_int_equal(a, b);
        assert_true(a >= 400);
        assert_int_equal(json_int(theirs, "code", 0), json_int(none, "code", -1));
        /* the id alone may differ */
        text = json_str(theirs, "message");
        if ((at = strstr(text, s->bakery.number)) != NULL)
            memcpy(at, missing, 15);
        assert_string_equal(text, json_str(none, "message"));
        json_decref(theirs);
        json_decref(none);
    }
    /* and what happens to the bakery is not told to the florist */
    assert_int_equal(person_say(&s->anna, BAKERY, "for the bakery", NULL), RC_OK);
    assert_int_equal(person_say(&s->anna, FLORIST, "for the florist", NULL), RC_OK);
    town_wait_message(t, "/bakery", "for the bakery");
    town_wait_message(t, "/florist", "for the florist");
    for (size_t i = 0; i < t->n_hooks; i++) {
        bool is_bakery = strstr(t->hooks[i].text, s->bakery.number) != NULL;

        assert_string_equal(t->hooks[i].path, is_bakery ? "/bakery" : "/florist");
        assert_signed(&t->hooks[i], is_bakery ? s->bakery.secret : florist.secret);
    }
}

static void
test_tokens_that_do_not_serve(void **state)
{
    struct scene *s = *state;
    struct town *t = &s->town;
    char path[64], long_token[600];
    struct {
        const char *token;
        int status, code;
    } cases[] = {
        {NULL,                401, 104},
        {"",                  401, 190},
        {"EAAnonsense",       401, 190},
        {long_token,          401, 190},
        {s->bakery.app_token, 400, 100}, /* an app has no numbers */
    };

    memset(long_token, 'x', sizeof long_token - 1);
    long_token[sizeof long_token - 1] = '\0';
    snprintf(path, sizeof path, "/v24.0/%s/messages", s->bakery.number);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_t *answer;

        assert_int_equal(town_graph(t, &answer, HTTP_POST, path, cases[i].token, SAY),
                         cases[i].status);
        assert_int_equal(json_int(json_object_get(answer, "error"), "code", 0), cases[i].code);
        assert_non_null(json_str(json_object_get(answer, "error"), "fbtrace_id"));
        json_decref(answer);
    }
}

struct gone {
    struct scene *s;
    const char *path;
};

static bool
is_refused(void *ctx)
{
    struct gone *g = ctx;

    return town_graph(&g->s->town, NULL, HTTP_POST, g->path, g->s->bakery.token, SAY) == 401;
}

/* The cache would have kept it for a minute. */
static void
test_a_revoked_token_is_refused_at_once(void **state)
{
    struct scene *s = *state;
    struct town *t = &s->town;
    char path[64], list[96];
    json_t *answer;
    struct gone g = {s, path};

    snprintf(path, sizeof path, "/v24.0/%s/messages", s->bakery.number);
    assert_int_equal(town_graph(t, NULL, HTTP_POST, path, s->bakery.token, SAY), 200);
    snprintf(list, sizeof list, "/internal/v1/tokens?business_id=%s", s->bakery.business);
    assert_int_equal(town_manage(t, &answer, HTTP_GET, list, NULL), 200);
    snprintf(list, sizeof list, "/internal/v1/tokens/%s",
             json_str(json_array_get(json_object_get(answer, "data"), 0), "id"));
    json_decref(answer);
    assert_int_equal(town_manage(t, NULL, HTTP_DELETE, list, NULL), 200);
    assert_true(net_wait(&t->net, is_refused, &g));
}

static void
test_bodies_and_paths_that_are_refused(void **state)
{
    struct scene *s = *state;
    static const struct {
        const char *before, *after, *body; /* of the number's id */
        int status, code;
    } cases[] = {
        {"/v24.0/", "/messages",  "{",                                                            400, 100   },
        {"/v24.0/", "/messages",  "[]",                                                           400, 100   },
        {"/v24.0/", "/messages",  "{}",                                                           400, 100   },
        {"/v24.0/", "/messages",  "{\"a\":1,\"a\":2}",                                            400, 100   },
        {"/v24.0/", "/messages/", SAY,                                                            200, 0     },
        {"/",       "/messages",  SAY,                                                            200, 0     },
        {"/v24.0/", "/message",   SAY,                                                            400, 0     },
        {"/v24.0/", "/register",  "{\"pin\":\"12\"}",                                             400, 100   },
        {"/v24.0/", "/messages",
         "{\"messaging_product\":\"whatsapp\",\"to\":\"4930111111\",\"text\":{\"body\":\"hi\"}}", 400, 131021},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char path[128];
        json_t *answer;
        int status;

        snprintf(path, sizeof path, "%s%s%s", cases[i].before, s->bakery.number, cases[i].after);
        status = town_graph(&s->town, &answer, HTTP_POST, path, s->bakery.token, cases[i].body);
        if (status != cases[i].status)
            fail_msg("%s %s: %d", path, cases[i].body, status);
        if (cases[i].code != 0)
            assert_int_equal(json_int(json_object_get(answer, "error"), "code", 0), cases[i].code);
        json_decref(answer);
    }
}

/* A business that is down: nothing is lost over a restart of the Cloud, and the bodies are the
 * same (I19-I21). */
static void
test_i21_webhooks_outlive_a_restart(void **state)
{
    struct scene *s = *state;
    struct town *t = &s->town;
    char wamid[WAMID_SIZE];
    size_t before;

    t->receiver_status = 500;
    town_say(t, &s->bakery, ANNA, "while down", wamid);
    town_wait_status(t, wamid, "sent");
    town_wait_status(t, wamid, "delivered");
    town_close_cloud(t);
    before = t->n_hooks;
    t->receiver_status = 200;
    town_open_cloud(t);
    net_shift(&t->net, 3600 * 1000); /* past the pause before the next attempt */
    town_wait_hooks(t, before + 2);
    for (size_t i = before; i < t->n_hooks; i++) {
        bool is_known = false;

        for (size_t k = 0; k < before; k++)
            is_known = is_known || (strcmp(t->hooks[i].event_id, t->hooks[k].event_id) == 0 &&
                                    strcmp(t->hooks[i].text, t->hooks[k].text) == 0);
        assert_true(is_known);
        assert_signed(&t->hooks[i], s->bakery.secret);
    }
    town_say(t, &s->bakery, ANNA, "up again", wamid);
    town_wait_status(t, wamid, "delivered");
}

struct fired {
    unsigned want, done;
};

static bool
all_done(void *ctx)
{
    struct fired *f = ctx;

    return f->done == f->want;
}

/* The end comes at any moment of many calls: each gets an answer or a closed connection, and what
 * was answered 200 is there afterwards. */
static void
test_closing_with_calls_at_every_stage(void **state)
{
    struct scene *s = *state;
    struct town *t = &s->town;
    char messages[64], node[64];

    snprintf(messages, sizeof messages, "/v24.0/%s/messages", s->bakery.number);
    snprintf(node, sizeof node, "/v24.0/%s", s->bakery.number);
    for (unsigned round = 0; round < 6; round++) {
        struct fired f = {.want = 24};

        for (unsigned i = 0; i < f.want; i++)
            town_fire(t, i % 3 == 2 ? node : messages, i % 4 == 3 ? "EAAother" : s->bakery.token,
                      i % 3 == 2 ? "{\"webhook_configuration\":{}}" : SAY, &f.done);
        net_pass_ms(&t->net, round * 4);
        town_close_cloud(t);
        assert_true(net_wait(&t->net, all_done, &f));
        town_open_cloud(t);
    }
}

/* The manager restarts: the stream comes back, a number that went meanwhile is not served. */
static void
test_the_manager_restarts(void **state)
{
    struct scene *s = *state;
    struct town *t = &s->town;
    char wamid[WAMID_SIZE];

    town_say(t, &s->bakery, ANNA, "before", wamid);
    town_wait_status(t, wamid, "delivered");
    manager_free(&t->manager);
    town_say(t, &s->bakery, ANNA, "without", wamid); /* from the cache */
    town_wait_status(t, wamid, "delivered");
    town_open_manager(t); /* on another port: this Cloud keeps asking at the old one */
    town_close_cloud(t);
    town_open_cloud(t);
    town_say(t, &s->bakery, ANNA, "after", wamid);
    town_wait_status(t, wamid, "delivered");
}

#define TOWN_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TOWN_TEST(test_a_message_and_its_statuses),
        TOWN_TEST(test_an_incoming_message_is_marked_as_read),
        TOWN_TEST(test_i2_idempotency_key_over_http),
        TOWN_TEST(test_i32_another_business_is_as_good_as_none),
        TOWN_TEST(test_tokens_that_do_not_serve),
        TOWN_TEST(test_a_revoked_token_is_refused_at_once),
        TOWN_TEST(test_bodies_and_paths_that_are_refused),
        TOWN_TEST(test_i21_webhooks_outlive_a_restart),
        TOWN_TEST(test_closing_with_calls_at_every_stage),
        TOWN_TEST(test_the_manager_restarts),
    };

    return cmocka_run_group_tests_name("cloud/cloud", tests, NULL, NULL);
}
