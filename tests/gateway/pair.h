/* pair.h - the usual scene: a relay, a bakery and Anna, each behind a wire that can be cut. */
#ifndef PARLEY_TESTS_GATEWAY_PAIR_H
#define PARLEY_TESTS_GATEWAY_PAIR_H

#include <stdlib.h>

#include "gateway/states.h"
#include "net.h"
#include "proxy.h"

#define BAKERY UINT64_C(4930111111)
#define ANNA UINT64_C(4915222222)
#define DAY_MS (24ll * 3600 * 1000)

struct pair {
    struct net net;
    struct proxy biz_wire, anna_wire;
    struct biz biz;
    struct person anna;
};

/* For cmocka. Prepared: nothing runs but the relay and the wires; ready: both are registered. */
int pair_prepare(void **state);
int pair_ready(void **state);
int pair_tear_down(void **state);
void pair_start(struct pair *p);
/* Both have said something that arrived: sessions are at hand both ways. */
void pair_acquaint(struct pair *p);
/* What Anna was shown is exactly this. */
void assert_shown(struct person *person, const char *text);

#define PAIR_TEST(test) cmocka_unit_test_setup_teardown(test, pair_ready, pair_tear_down)
#define PREPARED_TEST(test) cmocka_unit_test_setup_teardown(test, pair_prepare, pair_tear_down)

#endif
