/* pair.h - two registered people who can talk, for the endpoint's tests: tests/phone/town.h tells
 * the rest. */
#ifndef PARLEY_TESTS_ENDPOINT_PAIR_H
#define PARLEY_TESTS_ENDPOINT_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* after those */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../phone/town.h"

struct pair {
    struct rig rig;
    struct person ana, ben;
};

static inline int
pair_set_up(void **state)
{
    struct pair *t = calloc(1, sizeof *t);

    rig_init(&t->rig);
    rig_start(&t->rig);
    person_init(&t->ana, &t->rig, "ana", 15557654321);
    person_init(&t->ben, &t->rig, "ben", 15550123400);
    person_register(&t->ana);
    person_register(&t->ben);
    *state = t;
    return 0;
}

static inline int
pair_tear_down(void **state)
{
    struct pair *t = *state;

    person_wipe(&t->ana);
    person_wipe(&t->ben);
    rig_wipe(&t->rig);
    free(t);
    return 0;
}

/* Both have written to each other: a session with an answered chain on both ends. */
static inline void
pair_greet(struct pair *t)
{
    person_send(&t->ana, &t->ben, "hello");
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 1);
    person_send(&t->ben, &t->ana, "hello yourself");
    person_wait_count(&t->ben, "\"status\":\"delivered\"", 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, pair_set_up, pair_tear_down)

#endif
