/* test_pump.c - events from a transaction to the receiver: once, again, in time, after a restart,
 * and past receivers that misbehave. */
#include "harness.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACCOUNT 15550123400u

static void
event_id_text(char out[33], const uint8_t event_id[16])
{
    for (unsigned i = 0; i < 16; i++)
        snprintf(out + 2 * i, 3, "%02x", event_id[i]);
}

static void
test_an_event_arrives_with_its_headers_and_leaves_the_store(void **state)
{
    struct hooks_world *w = *state;
    uint8_t event_id[16];
    char text[33];
    struct hooks_stats stats;

    hooks_put(w, ACCOUNT, hooks_url(w, "/ok/?key=a"), "{\"a\":1}", event_id);
    hooks_drain(w);
    event_id_text(text, event_id);
    assert_int_equal(w->n_calls, 1);
    assert_string_equal(w->calls[0].path, "/ok/");
    assert_string_equal(w->calls[0].query, "key=a;");
    assert_string_equal(w->calls[0].event_id, text);
    assert_string_equal(w->calls[0].agent, "facebookexternalua");
    assert_string_equal(w->calls[0].type, "application/json");
    assert_string_equal(w->calls[0].head, "{\"a\":1}");
    assert_int_equal(hooks_count(w, ACCOUNT, 0), 0);
    hooks_pump_stats(w->pump, &stats);
    assert_int_equal(stats.delivered, 1);
    assert_int_equal(stats.waiting, 0);
}

/* The example of docs/protocol/webhook.md: fixed secret, fixed body. */
static void
test_i21_signatures_cover_the_exact_bytes(void **state)
{
    static const char body[] =
        "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"300400500600701\","
        "\"changes\":[{\"value\":{\"messaging_product\":\"whatsapp\",\"metadata\":"
        "{\"display_phone_number\":\"15550123400\",\"phone_number_id\":\"200300400500601\"},"
        "\"contacts\":[{\"profile\":{\"name\":\"Zo\\u00eb\"},\"wa_id\":\"15557654321\"}]},"
        "\"field\":\"messages\"}]}]}";
    struct hooks_world *w = *state;
    struct hooks_event unsigned_event = {.account = ACCOUNT,
                                         .profile = HOOKS_ONPREM,
                                         .url = hooks_url(w, "/ok"),
                                         .body = bytes_of_str(body),
                                         .now_ms = START_MS};

    hooks_put(w, ACCOUNT, hooks_url(w, "/ok"), body, NULL);
    hooks_drain(w);
    assert_int_equal(w->calls[0].len, 300);
    assert_string_equal(w->calls[0].sha1, "sha1=468d391fb06d9dfd60c8062c5d961eeb437062c8");
    assert_string_equal(w->calls[0].sha256,
                        "sha256=071de82f24ab74d78f1fcfbb0f336ddc8a9b85d9c36a79550"
                        "f88c09dd5b87ead");
    hooks_put_as(w, &unsigned_event, NULL); /* no app, no signature */
    hooks_drain(w);
    assert_int_equal(w->n_calls, 2);
    assert_string_equal(w->calls[1].sha1, "");
    assert_string_equal(w->calls[1].sha256, "");
}

/* ---- what is committed is sent, what is undone is not ---- */

struct undone {
    struct store_job job;
    struct hooks_world *w;
    const char *url;
    bool fails, is_done;
};

static enum rc
undone_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct undone *u = (void *)job;
    struct hooks_event event = {.account = ACCOUNT,
                                .url = u->url,
                                .body = bytes_of_str(u->fails ? "undone" : "kept"),
                                .now_ms = START_MS};
    uint8_t event_id[16];
    enum rc rc = hooks_enqueue(u->w->pump, tx, &event, event_id, err);

    if (rc == RC_OK && u->fails)
        rc = err_set(err, RC_DENIED, "test", "changed my mind");
    return rc;
}

static void
undone_done(struct store_job *job, enum rc rc, const struct err *err)
{
    ((struct undone *)(void *)job)->is_done = true;
}

static void
test_i20_nothing_is_sent_of_a_transaction_that_was_undone(void **state)
{
    struct hooks_world *w = *state;
    struct undone jobs[60];

    for (unsigned i = 0; i < ARRAY_LEN(jobs); i++) {
        jobs[i] = (struct undone){
            .job = {.run = undone_run, .done = undone_done, .loop = w->loop},
            .w = w,
            .url = i % 2 == 0 ? hooks_url(w, "/ok/a") : hooks_url(w, "/ok/b"),
            .fails = i % 3 == 1
        };
        jobs[i].url = strdup(jobs[i].url);
        store_submit(w->store, &jobs[i].job);
    }
    for (unsigned i = 0; i < ARRAY_LEN(jobs); i++)
        net_wait(w->loop, &jobs[i].is_done);
    hooks_drain(w);
    assert_int_equal(w->n_calls, 40);
    for (uint32_t i = 0; i < w->n_calls; i++) {
        assert_string_equal(w->calls[i].head, "kept");
        for (uint32_t k = 0; k < i; k++) /* and each once */
            assert_string_not_equal(w->calls[i].event_id, w->calls[k].event_id);
    }
    assert_int_equal(hooks_count(w, ACCOUNT, 0), 0);
    for (unsigned i = 0; i < ARRAY_LEN(jobs); i++)
        free((void *)(uintptr_t)jobs[i].url);
}

/* Nobody drains, nobody pokes: the pump notices by itself. */
static bool
has_three_calls(void *ctx)
{
    return ((struct hooks_world *)ctx)->n_calls >= 3;
}

static void
test_the_pump_finds_new_rows_by_itself(void **state)
{
    struct hooks_world *w = *state;

    for (unsigned i = 0; i < 3; i++)
        hooks_put(w, ACCOUNT + i, hooks_url(w, "/ok"), "x", NULL);
    net_wait_for(w->loop, has_three_calls, w);
}

/* ---- the schedule ---- */

static void
test_i21_every_attempt_is_byte_identical(void **state)
{
    struct hooks_world *w = *state;

    w->flip_status = 500;
    hooks_put(w, ACCOUNT, hooks_url(w, "/flip"), "{\"text\":\"h\\u00e9\"}", NULL);
    hooks_drain(w);
    hooks_advance(w, 15 * SECOND);
    hooks_advance(w, MINUTE);
    hooks_restart(w); /* also across a restart */
    w->flip_status = 200;
    hooks_advance(w, 5 * MINUTE);
    assert_int_equal(w->n_calls, 5);
    for (unsigned i = 1; i < 5; i++) {
        assert_memory_equal(w->calls[i].digest, w->calls[0].digest, 32);
        assert_string_equal(w->calls[i].event_id, w->calls[0].event_id);
        assert_string_equal(w->calls[i].sha256, w->calls[0].sha256);
        assert_string_equal(w->calls[i].sha1, w->calls[0].sha1);
    }
    assert_int_equal(hooks_count(w, ACCOUNT, 0), 0);
}

/* A standby node on the same store: what an account left waits until the node speaks for it. */
static void
test_i20_a_pump_that_waits_for_accounts_reads_them_when_told(void **state)
{
    struct hooks_world *w = *state;

    w->flip_status = 500;
    for (unsigned i = 0; i < 2; i++)
        hooks_put(w, ACCOUNT + i, hooks_url(w, "/flip"), "waiting", NULL);
    hooks_drain(w);
    w->opt.waits_for_accounts = true;
    hooks_restart(w);
    w->flip_status = 200;
    w->n_calls = 0;
    hooks_advance(w, HOUR);
    assert_int_equal(w->n_calls, 0);
    assert_int_equal(hooks_count(w, ACCOUNT, 0), 1);
    hooks_pump_look(w->pump, ACCOUNT);
    hooks_drain(w);
    assert_int_equal(w->n_calls, 1);
    assert_int_equal(hooks_count(w, ACCOUNT, 0), 0);
    assert_int_equal(hooks_count(w, ACCOUNT + 1, 0), 1);
}

static void
test_i20_attempts_follow_the_schedule_for_seven_days(void **state)
{
    static const int64_t due_s[] = {0, 0, 15, 75, 375, 1275, 4875, 12075, 19275};
    struct hooks_world *w = *state;
    struct hooks_stats stats;

    hooks_put(w, ACCOUNT, hooks_url(w, "/s503"), "x", NULL);
    hooks_drain(w);
    for (int minutes = 0; minutes < 6 * 60; minutes++)
        for (int k = 0; k < 12; k++)
            hooks_advance(w, 5 * SECOND);
    assert_int_equal(w->n_calls, ARRAY_LEN(due_s));
    for (unsigned i = 0; i < w->n_calls; i++) { /* a tenth earlier at most, never later */
        int64_t at_s = (w->calls[i].at_ms - START_MS) / 1000;

        assert_true(at_s <= due_s[i] + 5);
        assert_true(at_s >= due_s[i] * 9 / 10 - 5);
    }
    for (int hours = 0; hours < 7 * 24 - 9; hours++)
        hooks_advance(w, HOUR);
    assert_int_equal(hooks_count(w, ACCOUNT, 0), 1);
    assert_true(w->n_calls > 80 && w->n_calls < 200);
    for (int hours = 0; hours < 12; hours++)
        hooks_advance(w, HOUR);
    assert_int_equal(hooks_count(w, ACCOUNT, 0), 0);
    assert_int_equal(hooks_count(w, ACCOUNT, 1), 1);
    hooks_pump_stats(w->pump, &stats);
    assert_int_equal(stats.parked, 1);
}

static void
note_count(void *ctx, uint64_t count)
{
    *(uint64_t *)ctx = count;
}

static bool
has_count(void *ctx)
{
    return *(uint64_t *)ctx != UINT64_MAX;
}

static uint64_t
replay(struct hooks_world *w, uint64_t account)
{
    uint64_t count = UINT64_MAX;

    hooks_pump_replay(w->pump, account, note_count, &count);
    net_wait_for(w->loop, has_count, &count);
    return count;
}

static void
test_i20_parked_events_are_replayable_until_day_thirty(void **state)
{
    struct hooks_world *w = *state;
    uint32_t before;

    w->flip_status = 404;
    hooks_put(w, ACCOUNT, hooks_url(w, "/flip"), "first", NULL);
    hooks_put(w, ACCOUNT + 1, hooks_url(w, "/flip"), "second", NULL);
    hooks_drain(w);
    hooks_advance(w, 8 * DAY);
    hooks_advance(w, 1);
    assert_int_equal(hooks_count(w, ACCOUNT, 1) + hooks_count(w, ACCOUNT + 1, 1), 2);
    hooks_advance(w, 20 * DAY);
    w->flip_status = 200;
    before = w->n_calls;
    assert_int_equal(replay(w, ACCOUNT + 1), 1);
    hooks_drain(w);
    assert_int_equal(w->n_calls, before + 1);
    assert_string_equal(w->calls[before].head, "second");
    assert_int_equal(replay(w, ACCOUNT + 1), 0);
    hooks_advance(w, 3 * DAY);
    assert_int_equal(hooks_count(w, ACCOUNT, 1), 0); /* day 31: gone */
    assert_int_equal(replay(w, 0), 0);
}

static const struct taken_case {
    enum hooks_profile profile;
    const char *path;
    bool is_taken;
} taken_cases[] = {
    {HOOKS_CLOUD,  "/s200", true },
    {HOOKS_CLOUD,  "/s202", true },
    {HOOKS_CLOUD,  "/s204", true },
    {HOOKS_CLOUD,  "/s301", false},
    {HOOKS_CLOUD,  "/s404", false},
    {HOOKS_ONPREM, "/s200", true },
    {HOOKS_ONPREM, "/s202", false},
    {HOOKS_D360,   "/s200", true },
    {HOOKS_D360,   "/s201", false},
    {HOOKS_D360,   "/s500", false},
};

static void
test_i23_what_counts_as_taken(void **state)
{
    struct hooks_world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(taken_cases); i++) {
        const struct taken_case *c = &taken_cases[i];
        struct hooks_event event = {.account = ACCOUNT + i,
                                    .profile = c->profile,
                                    .url = hooks_url(w, c->path),
                                    .body = bytes_of_str("x"),
                                    .now_ms = START_MS};

        hooks_put_as(w, &event, NULL);
        hooks_drain(w);
        if (hooks_count(w, ACCOUNT + i, 0) != !c->is_taken)
            fail_msg("%s by profile %d", c->path, c->profile);
    }
    assert_int_equal(hooks_calls_to(w, "/ok/else"), 0); /* nobody followed the redirect */
}

static void
test_onprem_gives_up_after_a_day(void **state)
{
    struct hooks_world *w = *state;
    struct hooks_event event = {.account = ACCOUNT,
                                .profile = HOOKS_ONPREM,
                                .url = hooks_url(w, "/s500"),
                                .body = bytes_of_str("x"),
                                .now_ms = START_MS};

    hooks_put_as(w, &event, NULL);
    hooks_drain(w);
    assert_int_equal(w->n_calls, 1);
    hooks_advance(w, 3 * SECOND);
    assert_int_equal(w->n_calls, 2);
    hooks_advance(w, 5 * SECOND); /* 6 s, less a tenth */
    assert_int_equal(w->n_calls, 2);
    hooks_advance(w, SECOND);
    assert_int_equal(w->n_calls, 3);
    for (int i = 0; i < 25 * 4; i++)
        hooks_advance(w, 15 * MINUTE);
    assert_int_equal(hooks_count(w, ACCOUNT, 1), 1);
}

static void
test_events_without_a_secret_are_parked(void **state)
{
    struct hooks_world *w = *state;
    struct hooks_event event = {.account = ACCOUNT,
                                .app = NO_SECRET_APP,
                                .url = hooks_url(w, "/ok"),
                                .body = bytes_of_str("x"),
                                .now_ms = START_MS};

    hooks_put_as(w, &event, NULL);
    hooks_drain(w);
    assert_int_equal(w->n_calls, 0);
    assert_int_equal(hooks_count(w, ACCOUNT, 1), 1);
}

/* ---- restarts ---- */

static bool
holds_eight(void *ctx)
{
    return ((struct hooks_world *)ctx)->n_held == 8;
}

static void
test_i20_a_restart_in_the_middle_loses_nothing(void **state)
{
    struct hooks_world *w = *state;
    char body[16];
    uint32_t seen[100] = {0};

    for (unsigned i = 0; i < 100; i++) {
        snprintf(body, sizeof(body), "%u", i);
        hooks_put(w, ACCOUNT + i % 3, hooks_url(w, "/hold"), body, NULL);
    }
    net_wait_for(w->loop, holds_eight, w); /* the target's share, no more */
    hooks_restart(w);
    hooks_release_held(w, 200); /* to nobody: the answers are lost */
    for (unsigned n = 0; n < 200 && hooks_count(w, ACCOUNT, 0) + hooks_count(w, ACCOUNT + 1, 0) +
                                            hooks_count(w, ACCOUNT + 2, 0) >
                                        0;) {
        loop_poll(w->loop);
        if (w->n_held > 0) {
            hooks_release_held(w, 200);
            n++;
        }
    }
    hooks_drain(w);
    for (uint32_t i = 0; i < w->n_calls; i++)
        seen[atoi(w->calls[i].head)]++;
    for (unsigned i = 0; i < 100; i++)
        assert_true(seen[i] >= 1);
    assert_true(w->n_calls <= 108);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, hooks_setup, hooks_teardown)
        T(test_an_event_arrives_with_its_headers_and_leaves_the_store),
        T(test_i21_signatures_cover_the_exact_bytes),
        T(test_i20_nothing_is_sent_of_a_transaction_that_was_undone),
        T(test_the_pump_finds_new_rows_by_itself),
        T(test_i21_every_attempt_is_byte_identical),
        T(test_i20_a_pump_that_waits_for_accounts_reads_them_when_told),
        T(test_i20_attempts_follow_the_schedule_for_seven_days),
        T(test_i20_parked_events_are_replayable_until_day_thirty),
        T(test_i23_what_counts_as_taken),
        T(test_onprem_gives_up_after_a_day),
        T(test_events_without_a_secret_are_parked),
        T(test_i20_a_restart_in_the_middle_loses_nothing),
    };

    signal(SIGPIPE, SIG_IGN); /* as every program does */
    return cmocka_run_group_tests_name("hooks/pump", tests, NULL, NULL);
}
