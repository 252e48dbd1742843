/* test_receiving.c - U1 under bad luck: damaged ciphertexts, prekeys that were used, kinds that
 * nobody knows. */
#include "pair.h"

static void
test_i26_private_half_goes_with_the_session(void **state)
{
    struct pair *t = *state;
    int64_t before = person_sql(&t->ben, "SELECT COUNT(*) FROM end_prekey");

    person_send(&t->ana, &t->ben, "hello");
    person_send(&t->ana, &t->ben, "hello again"); /* still a first message, of the same session */
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 2);
    assert_int_equal(person_sql(&t->ben, "SELECT COUNT(*) FROM end_prekey"), before - 1);
}

/* Damaged, and of a kind that is not asked for again: every byte of our state stays. */
static void
test_i27_a_message_that_does_not_open_changes_nothing(void **state)
{
    struct pair *t = *state;
    struct profile_info info;
    char path[128];
    int64_t version;

    pair_greet(t);
    person_stop(&t->ben); /* settled */
    person_start(&t->ben);
    person_wait_up(&t->ben);
    person_offline(&t->ana, true);
    person_send(&t->ben, &t->ana, "for a receipt later");
    person_wait_count(&t->ben, "\"status\":\"sent\"", 1);
    person_offline(&t->ben, true);
    person_offline(&t->ana, false); /* her receipt waits at the relay */
    person_wait_count(&t->ana, "for a receipt later", 1);
    sql_wait(&t->rig, relay_db(&t->rig),
             "SELECT COUNT(*) FROM envelope WHERE state = 0 AND account = 15550123400", 1);
    relay_corrupt(&t->rig, t->ben.number, 0);
    version = person_sql(&t->ben, "SELECT SUM(version) FROM end_device");
    snprintf(path, sizeof path, "%s/phone.db", t->ben.dir);
    sql_exec(path, "CREATE TABLE kept AS SELECT peer, record, unanswered FROM end_device");
    person_offline(&t->ben, false);
    sql_wait(&t->rig, relay_db(&t->rig),
             "SELECT COUNT(*) FROM envelope WHERE state = 0 AND account = 15550123400", 0);
    profile_info(t->ben.profile, &info);
    assert_int_equal(info.undecryptable, 1);
    assert_int_equal(person_sql(&t->ben, "SELECT SUM(version) FROM end_device"), version);
    assert_int_equal(person_sql(&t->ben, "SELECT COUNT(*) FROM end_device JOIN kept USING (peer)"
                                         " WHERE end_device.record = kept.record"
                                         " AND end_device.unanswered = kept.unanswered"),
                     1);
    /* and the session goes on */
    person_send(&t->ana, &t->ben, "goes on");
    person_wait_count(&t->ben, "goes on", 1);
}

/* One poisoned envelope: the others arrive, it is asked for again and shown once. */
static void
test_i13_a_damaged_message_is_sent_again(void **state)
{
    static const unsigned damaged[][2] = {
        {0, 0},
        {2, 2},
        {4, 4},
        {1, 3}
    };
    struct pair *t = *state;
    unsigned pending = 0, sent = 0;

    pair_greet(t);
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        char want[32];

        person_offline(&t->ben, true);
        person_send_many(&t->ana, &t->ben, sent, 5, &pending);
        person_wait_zero(&t->ana, &pending);
        person_wait_count(&t->ana, "\"status\":\"sent\"", 5);
        relay_corrupt(&t->rig, t->ben.number, damaged[i][0]);
        if (damaged[i][1] != damaged[i][0])
            relay_corrupt(&t->rig, t->ben.number, damaged[i][1]);
        person_offline(&t->ben, false);
        sent += 5;
        person_wait_count(&t->ana, "\"status\":\"delivered\"", 1 + sent);
        for (unsigned k = 0; k < sent; k++) {
            snprintf(want, sizeof want, "\"text %u\"", k);
            assert_int_equal(person_count(&t->ben, want), 1);
        }
    }
}

/* The first messages of a session, damaged all: nothing is known of the sender yet. */
static void
test_i13_damaged_first_messages(void **state)
{
    struct pair *t = *state;
    unsigned pending = 0;

    person_offline(&t->ben, true);
    person_send_many(&t->ana, &t->ben, 0, 3, &pending);
    person_wait_zero(&t->ana, &pending);
    person_wait_count(&t->ana, "\"status\":\"sent\"", 3);
    for (unsigned i = 0; i < 3; i++)
        relay_corrupt(&t->rig, t->ben.number, i);
    person_offline(&t->ben, false);
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 3);
    assert_int_equal(person_count(&t->ben, "\"text\":\"text "), 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_i26_private_half_goes_with_the_session),
        CASE(test_i27_a_message_that_does_not_open_changes_nothing),
        CASE(test_i13_a_damaged_message_is_sent_again),
        CASE(test_i13_damaged_first_messages),
    };

    return cmocka_run_group_tests_name("endpoint/receiving", tests, NULL, NULL);
}
