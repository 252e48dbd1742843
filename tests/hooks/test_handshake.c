/* test_handshake.c - is the owner of the URL willing? */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct answer {
    bool is_here;
    enum rc rc;
    char text[200];
};

static void
on_answer(void *ctx, enum rc rc, const char *text)
{
    struct answer *a = ctx;

    a->is_here = true;
    a->rc = rc;
    snprintf(a->text, sizeof(a->text), "%s", text);
}

static void
ask(struct hooks_world *w, const char *url, const char *token, struct answer *answer)
{
    *answer = (struct answer){0};
    hooks_handshake(w->pump, url, token, on_answer, answer);
    assert_false(answer->is_here);
    net_wait(w->loop, &answer->is_here);
}

static void
test_the_question_is_appended_and_unsigned(void **state)
{
    struct hooks_world *w = *state;
    struct answer answer;
    struct seen_call *c = &w->calls[0];
    char want[256];
    long challenge;

    ask(w, hooks_url(w, "/ok"), "orchid-handshake", &answer);
    assert_int_equal(answer.rc, RC_OK);
    assert_int_equal(sscanf(c->query, "hub.mode=subscribe;hub.challenge=%ld;", &challenge), 1);
    assert_true(challenge > 0 && challenge <= INT32_MAX);
    snprintf(want, sizeof(want),
             "hub.mode=subscribe;hub.challenge=%ld;hub.verify_token=orchid-handshake;", challenge);
    assert_string_equal(c->query, want);
    assert_string_equal(c->sha256, "");
    assert_string_equal(c->sha1, "");

    ask(w, hooks_url(w, "/ok?a=b"), "t &=+", &answer); /* a query goes on, a token is escaped */
    assert_int_equal(answer.rc, RC_OK);
    assert_memory_equal(w->calls[1].query, "a=b;hub.mode=subscribe;", 23);
    assert_non_null(strstr(w->calls[1].query, "hub.verify_token=t &=+;"));
    assert_string_not_equal(strstr(w->calls[0].query, "hub.challenge"),
                            strstr(w->calls[1].query, "hub.challenge"));
}

static const struct refusal {
    const char *path;
    enum rc want;
    const char *text; /* begins with */
} refusals[] = {
    {"/wrong", RC_DENIED, "the callback's answer is not the challenge"},
    {"/s403",  RC_DENIED, "the callback answered with status 403"     },
    {"/s201",  RC_DENIED, "the callback answered with status 201"     },
    {"/s302",  RC_DENIED, "the callback answered with status 302"     },
};

static void
test_i23_anything_but_200_with_the_challenge_is_no(void **state)
{
    struct hooks_world *w = *state;
    struct answer answer;

    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        ask(w, hooks_url(w, refusals[i].path), "t", &answer);
        assert_int_equal(answer.rc, refusals[i].want);
        assert_string_equal(answer.text, refusals[i].text);
    }
    ask(w, "http://127.0.0.1:1/", "t", &answer);
    assert_int_equal(answer.rc, RC_IO);
    ask(w, "gopher://x/", "t", &answer);
    assert_int_equal(answer.rc, RC_MALFORMED);
    assert_int_not_equal(answer.text[0], '\0');
}

static void
test_i23_the_filter_stands_before_handshakes_and_events(void **state)
{
    struct hooks_world *w = *state;
    struct answer answer;
    char https[128];

    hooks_pump_free(&w->pump);
    w->opt.allow_private_hosts = false;
    hooks_open_pump(w);
    ask(w, hooks_url(w, "/ok"), "t", &answer);
    assert_int_equal(answer.rc, RC_DENIED); /* plain HTTP */
    snprintf(https, sizeof(https), "https://localhost:%u/", http_server_port(w->receiver));
    ask(w, https, "t", &answer);
    assert_int_equal(answer.rc, RC_DENIED); /* loopback */
    assert_string_equal(answer.text, "the host is not at a public address");
    hooks_put(w, 1, hooks_url(w, "/ok"), "x", NULL);
    hooks_put(w, 1, https, "x", NULL);
    hooks_put(w, 1, "https://name.invalid/", "x", NULL);
    hooks_drain(w);
    assert_int_equal(http_server_connections(w->receiver), 0);
    assert_int_equal(hooks_count(w, 1, 0), 3); /* to be tried again: the platform may change */
}

static void
test_ending_while_a_handshake_waits(void **state)
{
    struct hooks_world *w = *state;
    struct answer answer = {0};

    hooks_handshake(w->pump, hooks_url(w, "/hold"), "t", on_answer, &answer);
    while (w->n_held == 0)
        uv_run(loop_uv(w->loop), UV_RUN_ONCE);
    hooks_pump_free(&w->pump);
    hooks_release_held(w, 200);
    assert_false(answer.is_here); /* whoever asked is gone too */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, hooks_setup, hooks_teardown)
        T(test_the_question_is_appended_and_unsigned),
        T(test_i23_anything_but_200_with_the_challenge_is_no),
        T(test_i23_the_filter_stands_before_handshakes_and_events),
        T(test_ending_while_a_handshake_waits),
    };

    signal(SIGPIPE, SIG_IGN); /* as every program does */
    return cmocka_run_group_tests_name("hooks/handshake", tests, NULL, NULL);
}
