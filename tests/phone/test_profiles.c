/* test_profiles.c - how profiles come, go and come back, and what is said of a conversation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static enum rc
begin(struct person *p, const char *name, uint64_t number)
{
    struct answer a = {0};
    const struct phone_newcomer who = {.name = name, .number = number, .request_code = true};

    phone_register(p->phone, &who, answer_take, &a);
    return answer_wait(p, &a);
}

static void
test_wrong_code_then_right(void **state)
{
    struct town *t = *state;
    char code[8];

    assert_int_equal(person_ask_code(&t->ana), RC_OK);
    assert_int_equal(person_confirm(&t->ana, "000000"), RC_AUTH);
    rig_code(&t->rig, t->ana.number, code);
    assert_int_equal(person_confirm(&t->ana, code), RC_OK);
    person_wait_up(&t->ana);
}

static void
test_names_and_numbers_are_one_profile_each(void **state)
{
    struct town *t = *state;

    assert_int_equal(begin(&t->ana, "", 15557654321), RC_INVAL);
    assert_int_equal(begin(&t->ana, "../ana", 15557654321), RC_INVAL);
    assert_int_equal(begin(&t->ana, "ana", 15550000001), RC_OK);
    assert_int_equal(begin(&t->ana, "ana", 15557654321), RC_OK); /* the first was not finished */
    person_register(&t->ana);
    assert_int_equal(begin(&t->ana, "ana", 15557654321), RC_EXISTS);
    assert_int_equal(begin(&t->ana, "ana", 15550000001), RC_EXISTS);
    assert_int_equal(begin(&t->ana, "anne", 15557654321), RC_EXISTS);
}

static void
test_relay_out_of_reach(void **state)
{
    struct town *t = *state;

    rig_stop(&t->rig);
    assert_int_equal(begin(&t->ana, "ana", 15557654321), RC_IO);
    rig_start(&t->rig); /* on another port: the phone keeps its settings */
}

static void
test_registered_profile_survives_a_restart(void **state)
{
    struct town *t = *state;
    struct profile_info info;

    person_register(&t->ana);
    person_stop(&t->ana);
    person_start(&t->ana);
    assert_non_null(t->ana.profile);
    profile_info(t->ana.profile, &info);
    assert_string_equal(info.display_name, "ana");
    assert_int_equal(info.account, t->ana.number);
    person_wait_up(&t->ana);
}

static void
test_offline_survives_a_restart(void **state)
{
    struct town *t = *state;
    struct profile_info info;

    person_register(&t->ana);
    person_offline(&t->ana, true);
    person_stop(&t->ana);
    person_start(&t->ana);
    rig_pass_ms(&t->rig, 100);
    profile_info(t->ana.profile, &info);
    assert_true(info.is_offline);
    assert_false(info.is_up);
    person_offline(&t->ana, false);
}

static void
test_unregister_and_come_back(void **state)
{
    struct town *t = *state;
    struct answer a = {0}, sent;
    struct profile_info info;

    person_register(&t->ana);
    person_register(&t->ben);
    person_send(&t->ana, &t->ben, "hello");
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 1);
    phone_unregister(t->ben.profile, answer_take, &a);
    assert_int_equal(answer_wait(&t->ben, &a), RC_OK);
    assert_int_equal(person_sql(&t->ben, "SELECT COUNT(*) FROM end_device"), 0);
    assert_int_equal(person_sql(&t->ben, "SELECT COUNT(*) FROM end_prekey"), 0);
    assert_int_equal(person_send_reply(&t->ben, &t->ana, "gone", NULL, &sent), RC_PROTO);
    person_send(&t->ana, &t->ben, "still there?");
    person_wait_count(&t->ana, "\"status\":\"failed\"", 1);
    person_stop(&t->ben);
    person_start(&t->ben);
    profile_info(t->ben.profile, &info);
    assert_int_equal(info.state, PROFILE_UNREGISTERED);
    assert_int_equal(person_count(&t->ben, "hello"), 1);
    person_register(&t->ben);
    person_send(&t->ana, &t->ben, "welcome back");
    person_wait_count(&t->ben, "welcome back", 1);
    person_send(&t->ben, &t->ana, "thank you");
    person_wait_count(&t->ana, "thank you", 1);
}

static void
test_verify_is_the_same_number_on_both_sides(void **state)
{
    struct town *t = *state;
    struct person nobody = {.number = 15550000009};
    struct answer mine, theirs;

    person_register(&t->ana);
    person_register(&t->ben);
    mine = person_verify(&t->ana, &t->ben); /* before the first message: the relay's word */
    assert_int_equal(mine.rc, RC_OK);
    person_send(&t->ana, &t->ben, "hello");
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 1);
    theirs = person_verify(&t->ben, &t->ana); /* the other end wrote first */
    assert_int_equal(theirs.rc, RC_OK);
    assert_string_equal(mine.v.digits, theirs.v.digits);
    assert_int_equal(strlen(mine.v.digits), 71);
    assert_string_equal(theirs.v.hosting, "person");
    assert_string_equal(person_verify(&t->ana, &t->ben).v.digits, mine.v.digits);
    assert_int_equal(mine.v.changed_ms, 0);
    assert_int_equal(person_verify(&t->ana, &nobody).rc, RC_NOTFOUND);
    assert_int_equal(person_verify(&t->ana, &t->ana).rc, RC_INVAL);
}

static void
test_i37_reinstall_changes_the_number_and_keeps_the_history(void **state)
{
    struct town *t = *state;
    char before[80];
    struct answer a;

    person_register(&t->ana);
    person_register(&t->ben);
    person_send(&t->ana, &t->ben, "hello");
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 1);
    snprintf(before, sizeof before, "%s", person_verify(&t->ana, &t->ben).v.digits);
    assert_int_equal(person_reinstall(&t->ben), RC_OK);
    person_wait_up(&t->ben);
    assert_int_equal(person_count(&t->ben, "hello"), 1);
    /* Ana does not know yet: her device list is stale, the relay says so, she encrypts anew. */
    person_send(&t->ana, &t->ben, "after");
    person_wait_count(&t->ben, "after", 1);
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 2);
    a = person_verify(&t->ana, &t->ben);
    assert_string_not_equal(a.v.digits, before);
    assert_true(a.v.changed_ms > 0);
    person_send(&t->ben, &t->ana, "and back");
    person_wait_count(&t->ana, "and back", 1);
    assert_string_equal(person_verify(&t->ben, &t->ana).v.digits, a.v.digits);
}

/* The other way round: the one who came back writes first. */
static void
test_i37_new_identity_by_a_message(void **state)
{
    struct town *t = *state;

    person_register(&t->ana);
    person_register(&t->ben);
    person_send(&t->ana, &t->ben, "hello");
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 1);
    assert_int_equal(person_reinstall(&t->ben), RC_OK);
    person_wait_up(&t->ben);
    person_send(&t->ben, &t->ana, "it is me");
    person_wait_count(&t->ana, "it is me", 1);
    assert_true(person_verify(&t->ana, &t->ben).v.changed_ms > 0);
    person_send(&t->ana, &t->ben, "I see");
    person_wait_count(&t->ben, "I see", 1);
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 2);
}

/* What waited for the old installation comes back to its sender and goes out anew. */
static void
test_messages_that_waited_through_a_reinstall(void **state)
{
    struct town *t = *state;
    unsigned pending = 0;

    person_register(&t->ana);
    person_register(&t->ben);
    person_send(&t->ana, &t->ben, "hello");
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 1);
    person_offline(&t->ben, true);
    person_send_many(&t->ana, &t->ben, 0, 10, &pending);
    person_wait_zero(&t->ana, &pending);
    person_wait_count(&t->ana, "\"status\":\"sent\"", 10);
    assert_int_equal(person_reinstall(&t->ben), RC_OK);
    person_wait_up(&t->ben);
    rig_advance(&t->rig, 1000); /* the relay's sweep returns them */
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 11);
    assert_int_equal(person_check_order(&t->ben, "in"), 10);
}

static void
test_enrolment_that_is_not_finished_lapses(void **state)
{
    struct town *t = *state;
    struct answer a = {0};

    person_register(&t->ana);
    phone_reinstall(t->ana.profile, true, answer_take, &a);
    assert_int_equal(answer_wait(&t->ana, &a), RC_OK);
    person_stop(&t->ana); /* or ten minutes pass */
    person_start(&t->ana);
    person_wait_up(&t->ana); /* as before */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_wrong_code_then_right),
        CASE(test_names_and_numbers_are_one_profile_each),
        CASE(test_relay_out_of_reach),
        CASE(test_registered_profile_survives_a_restart),
        CASE(test_offline_survives_a_restart),
        CASE(test_unregister_and_come_back),
        CASE(test_verify_is_the_same_number_on_both_sides),
        CASE(test_i37_reinstall_changes_the_number_and_keeps_the_history),
        CASE(test_i37_new_identity_by_a_message),
        CASE(test_messages_that_waited_through_a_reinstall),
        CASE(test_enrolment_that_is_not_finished_lapses),
    };

    return cmocka_run_group_tests_name("phone/profiles", tests, NULL, NULL);
}
