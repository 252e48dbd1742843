/* test_messages.c - two people, a real relay: texts both ways, receipts, replies, waiting, blocks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "town.h"

struct town {
    struct rig rig;
    struct person ana, ben;
};

static int
set_up(void **state)
{
    struct town *t = calloc(1, sizeof *t);

    rig_init(&t->rig);
    rig_start(&t->rig);
    person_init(&t->ana, &t->rig, "ana", 15557654321);
    person_init(&t->ben, &t->rig, "ben", 15550123400);
    person_register(&t->ana);
    person_register(&t->ben);
    *state = t;
    return 0;
}

static int
tear_down(void **state)
{
    struct town *t = *state;

    person_wipe(&t->ana);
    person_wipe(&t->ben);
    rig_wipe(&t->rig);
    free(t);
    return 0;
}

static void
test_text_both_ways(void **state)
{
    struct town *t = *state;

    person_send(&t->ana, &t->ben, "hello");
    person_wait_count(&t->ben, "\"text\":\"hello\"", 1);
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 1);
    person_send(&t->ben, &t->ana, "hello yourself");
    person_wait_count(&t->ana, "\"text\":\"hello yourself\"", 1);
    person_wait_count(&t->ben, "\"status\":\"delivered\"", 1);
}

static void
test_i16_delivered_and_read_only_by_receipt(void **state)
{
    struct town *t = *state;
    struct answer a = {0};

    person_offline(&t->ben, true);
    person_send(&t->ana, &t->ben, "hello");
    person_wait_count(&t->ana, "\"status\":\"sent\"", 1); /* the relay has it: no more than that */
    person_offline(&t->ben, false);
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 1);
    phone_read_chat(t->ben.profile, t->ana.number, answer_take, &a);
    assert_int_equal(answer_wait(&t->ben, &a), RC_OK);
    person_wait_count(&t->ana, "\"status\":\"read\"", 1);
    person_wait_count(&t->ben, "\"status\":\"read\"", 1);
    /* nothing is kept for a resend, nothing waits */
    assert_int_equal(person_sql(&t->ana, "SELECT COUNT(*) FROM end_out"), 0);
}

static void
test_reply_names_what_it_answers(void **state)
{
    struct town *t = *state;
    struct answer a;
    char want[400], first[300];

    snprintf(first, sizeof first, "%s", person_send(&t->ana, &t->ben, "question"));
    person_wait_count(&t->ben, "question", 1);
    assert_int_equal(person_send_reply(&t->ben, &t->ana, "answer", first, &a), RC_OK);
    snprintf(want, sizeof want,
             "\"text\":\"answer\",\"context\":{\"id\":\"%s\",\"from\":\"15557654321\"}", first);
    person_wait_count(&t->ana, want, 1);
    person_wait_count(&t->ben, want, 1);
    assert_int_equal(person_send_reply(&t->ben, &t->ana, "what", "wamid.x", &a), RC_NOTFOUND);
    first[40] = first[40] == 'A' ? 'B' : 'A'; /* another message's id */
    assert_int_equal(person_send_reply(&t->ben, &t->ana, "what", first, &a), RC_NOTFOUND);
    assert_int_equal(person_count(&t->ben, "\"text\":\"what\""), 0);
}

static void
test_refused_texts(void **state)
{
    struct town *t = *state;
    char *long_text = malloc(4098);
    const struct {
        const char *text;
        enum rc want;
    } cases[] = {
        {"",            RC_INVAL},
        {"\xff\xfe",    RC_INVAL},
        {long_text,     RC_INVAL},
        {long_text + 1, RC_OK   },
    };
    struct answer a;

    memset(long_text, 'x', 4097);
    long_text[4097] = '\0';
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(person_send_reply(&t->ana, &t->ben, cases[i].text, NULL, &a),
                         cases[i].want);
    assert_int_equal(person_send_reply(&t->ana, &t->ana, "me", NULL, &a), RC_INVAL);
    person_wait_count(&t->ben, "\"direction\":\"in\"", 1);
    free(long_text);
}

static void
test_i12_order_is_kept_through_waiting(void **state)
{
    struct town *t = *state;
    unsigned pending = 0;

    person_offline(&t->ana, true); /* waits here first, without a session */
    person_send_many(&t->ana, &t->ben, 0, 60, &pending);
    person_wait_zero(&t->ana, &pending);
    assert_int_equal(person_count(&t->ana, "\"status\":\"pending\""), 60);
    person_offline(&t->ben, true); /* then at the relay */
    person_offline(&t->ana, false);
    person_wait_count(&t->ana, "\"status\":\"sent\"", 60);
    person_send_many(&t->ana, &t->ben, 60, 60, &pending);
    person_wait_zero(&t->ana, &pending);
    person_offline(&t->ben, false);
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 120);
    assert_int_equal(person_check_order(&t->ben, "in"), 120);
    assert_int_equal(person_check_order(&t->ana, "out"), 120);
}

static void
test_i10_i11_everything_survives_restarts_and_is_shown_once(void **state)
{
    struct town *t = *state;
    unsigned pending = 0;

    for (unsigned round = 0; round < 6; round++) {
        person_send_many(&t->ana, &t->ben, round * 20, 20, &pending);
        person_wait_zero(&t->ana, &pending);
        switch (round % 3) { /* in the middle of whatever is under way */
        case 0:
            person_stop(&t->ben);
            person_start(&t->ben);
            break;
        case 1:
            person_stop(&t->ana);
            person_start(&t->ana);
            break;
        default:
            rig_stop(&t->rig);
            t->rig.opt.port = t->rig.port;
            rig_start(&t->rig);
            break;
        }
    }
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 120);
    assert_int_equal(person_check_order(&t->ben, "in"), 120);
    assert_int_equal(person_sql(&t->ben, "SELECT COUNT(*) FROM phone_msg"), 120);
}

/* An ack that was lost: the relay hands the same envelopes out again. */
static void
test_i11_redelivered_is_shown_once(void **state)
{
    struct town *t = *state;
    struct profile_info info;
    char path[128];
    unsigned pending = 0;

    person_send(&t->ana, &t->ben, "first");
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 1);
    person_offline(&t->ben, true);
    person_send_many(&t->ana, &t->ben, 0, 5, &pending);
    person_wait_zero(&t->ana, &pending);
    person_wait_count(&t->ana, "\"status\":\"sent\"", 5);
    sql_exec(relay_db(&t->rig), "CREATE TABLE kept AS SELECT * FROM envelope");
    person_offline(&t->ben, false);
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 6);
    person_stop(&t->ben);
    rig_stop(&t->rig);
    sql_exec(relay_db(&t->rig), "INSERT OR REPLACE INTO envelope SELECT * FROM kept;"
                                "UPDATE lane SET acked_seq = 0 WHERE account = 15550123400");
    t->rig.opt.port = t->rig.port;
    rig_start(&t->rig);
    person_start(&t->ben);
    person_wait_up(&t->ben);
    snprintf(path, sizeof path, "%s/phone.db", t->ben.dir);
    for (int i = 0; i < 400; i++) {
        profile_info(t->ben.profile, &info);
        if (info.duplicates >= 5)
            break;
        rig_pass_ms(&t->rig, 5);
    }
    assert_int_equal(info.duplicates, 5);
    assert_int_equal(person_check_order(&t->ben, "in"), 5);
    assert_int_equal(person_sql(&t->ben, "SELECT COUNT(*) FROM phone_msg"), 6);
}

static void
test_blocked_is_not_shown_and_not_receipted(void **state)
{
    struct town *t = *state;
    struct answer a = {0}, b = {0};

    person_send(&t->ana, &t->ben, "before");
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 1);
    phone_block(t->ben.profile, t->ana.number, true, answer_take, &a);
    assert_int_equal(answer_wait(&t->ben, &a), RC_OK);
    person_send(&t->ana, &t->ben, "unwanted");
    person_wait_count(&t->ana, "\"status\":\"sent\"", 1);
    person_stop(&t->ben); /* the list outlives the program */
    person_start(&t->ben);
    person_send(&t->ana, &t->ben, "unwanted too");
    person_wait_count(&t->ana, "\"status\":\"sent\"", 2);
    sql_wait(&t->rig, relay_db(&t->rig), "SELECT COUNT(*) FROM envelope WHERE state = 0",
             0); /* it took them */
    assert_int_equal(person_count(&t->ben, "unwanted"), 0);
    phone_block(t->ben.profile, t->ana.number, false, answer_take, &b);
    assert_int_equal(answer_wait(&t->ben, &b), RC_OK);
    person_send(&t->ana, &t->ben, "after");
    person_wait_count(&t->ben, "after", 1);
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 2);
    assert_int_equal(person_count(&t->ana, "\"status\":\"sent\""), 2); /* never receipted */
    assert_int_equal(person_count(&t->ben, "unwanted"), 0);
}

static void
test_nobody_there_is_failed(void **state)
{
    struct town *t = *state;
    struct person nobody = {.number = 15550123499};

    person_send(&t->ana, &nobody, "hello?");
    person_wait_count(&t->ana, "\"status\":\"failed\"", 1);
}

static void
test_i33_no_plaintext_at_rest_or_in_logs(void **state)
{
    struct town *t = *state;
    const struct person *people[] = {&t->ana, &t->ben};
    char command[400];

    person_send(&t->ana, &t->ben, "canary-7f3a91");
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 1);
    person_stop(&t->ana);
    person_stop(&t->ben);
    for (size_t i = 0; i < 2; i++) {
        snprintf(command, sizeof command,
                 "grep -rlaF -e canary-7f3a91 -e 15550123400 '%s' >/dev/null", people[i]->dir);
        assert_int_not_equal(system(command), 0);
    }
    snprintf(command, sizeof command, "grep -rlaF canary-7f3a91 '%s' >/dev/null", t->rig.dir);
    assert_int_not_equal(system(command), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_text_both_ways),
        CASE(test_i16_delivered_and_read_only_by_receipt),
        CASE(test_reply_names_what_it_answers),
        CASE(test_refused_texts),
        CASE(test_i12_order_is_kept_through_waiting),
        CASE(test_i10_i11_everything_survives_restarts_and_is_shown_once),
        CASE(test_i11_redelivered_is_shown_once),
        CASE(test_blocked_is_not_shown_and_not_receipted),
        CASE(test_nobody_there_is_failed),
        CASE(test_i33_no_plaintext_at_rest_or_in_logs),
    };

    return cmocka_run_group_tests_name("phone/messages", tests, NULL, NULL);
}
