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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_text_both_ways, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("phone/messages", tests, NULL, NULL);
}
