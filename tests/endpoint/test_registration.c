/* test_registration.c - crashes on the way to a registration, and registering anew. */
#include "pair.h"

static void
test_crash_before_the_answer_was_kept(void **state)
{
    struct pair *t = *state;
    char path[128];

    /* as a kill between the relay's commit and ours leaves it */
    person_stop(&t->ana);
    snprintf(path, sizeof path, "%s/phone.db", t->ana.dir);
    sql_exec(path, "UPDATE end_self SET state = 0, generation = 0");
    person_start(&t->ana);
    person_wait_up(&t->ana);
    pair_greet(t);
    assert_int_equal(person_sql(&t->ana, "SELECT state FROM end_self"), 1);
    assert_true(person_sql(&t->ana, "SELECT generation FROM end_self") > 0);
}

static bool
is_unregistered(void *ctx)
{
    struct profile_info info;

    profile_info(((struct person *)ctx)->profile, &info);
    return info.state == PROFILE_UNREGISTERED;
}

/* Somebody else proved the number: this installation is told so, and can come back by the code. */
static void
test_number_registered_elsewhere(void **state)
{
    struct pair *t = *state;
    struct device other;

    pair_greet(t);
    device_init(&other, &t->rig, t->ana.number);
    device_register(&other, 5);
    assert_true(rig_wait(&t->rig, is_unregistered, &t->ana));
    device_wipe(&other);
    person_register(&t->ana);
    person_send(&t->ben, &t->ana, "who is there?");
    person_wait_count(&t->ana, "who is there?", 1);
}

static void
test_registering_anew_many_times(void **state)
{
    struct pair *t = *state;
    char text[32];

    for (unsigned i = 0; i < 5; i++) {
        snprintf(text, sizeof text, "round %u", i);
        person_send(&t->ana, &t->ben, text);
        person_wait_count(&t->ana, "\"status\":\"delivered\"", 2 * i + 1);
        assert_int_equal(person_reinstall(i % 2 == 0 ? &t->ana : &t->ben), RC_OK);
        person_wait_up(i % 2 == 0 ? &t->ana : &t->ben);
        snprintf(text, sizeof text, "answer %u", i);
        person_send(&t->ben, &t->ana, text);
        person_wait_count(&t->ana, text, 1);
        person_send(&t->ana, &t->ben, "and more");
        person_wait_count(&t->ana, "\"status\":\"delivered\"", 2 * i + 2);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_crash_before_the_answer_was_kept),
        CASE(test_number_registered_elsewhere),
        CASE(test_registering_anew_many_times),
    };

    return cmocka_run_group_tests_name("endpoint/registration", tests, NULL, NULL);
}
