/* test_publish.c - messages through a real relay: accepted, delivered, acknowledged, refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "rig.h"

struct pair {
    struct rig rig;
    struct device ana, shop;
};

static int
set_up(void **state)
{
    struct pair *p = calloc(1, sizeof(*p));

    rig_init(&p->rig);
    rig_start(&p->rig);
    device_init(&p->ana, &p->rig, 15557654321);
    device_init(&p->shop, &p->rig, 15550123400);
    p->shop.is_business = true;
    device_register(&p->ana, 10);
    device_register(&p->shop, 10);
    *state = p;
    return 0;
}

static int
tear_down(void **state)
{
    struct pair *p = *state;

    device_wipe(&p->ana);
    device_wipe(&p->shop);
    rig_wipe(&p->rig);
    free(p);
    return 0;
}

static void
test_there_and_back(void **state)
{
    struct pair *p = *state;
    struct message hello = {.to = &p->shop, .number = 1}, answer = {.to = &p->ana, .number = 2};

    p->ana.acks = p->shop.acks = true;
    device_come(&p->ana);
    device_come(&p->shop);
    assert_int_equal(device_publish_wait(&p->ana, &hello), OK);
    device_wait_deliveries(&p->shop, 1);
    assert_int_equal(p->shop.deliveries[0].sender, p->ana.number);
    assert_int_equal(p->shop.deliveries[0].lane, lane_of_peer(p->ana.number));
    assert_int_equal(p->shop.deliveries[0].number, 1);
    assert_memory_equal(p->shop.deliveries[0].id, hello.id, MESSAGE_ID_BYTES);
    answer.category = PARLEY__WIRE__CATEGORY__UTILITY;
    assert_int_equal(device_publish_wait(&p->shop, &answer), OK);
    device_wait_deliveries(&p->ana, 1);
    assert_int_equal(p->ana.deliveries[0].number, 2);
    assert_int_equal(p->ana.deliveries[0].seq, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_there_and_back, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("relay/publish", tests, NULL, NULL);
}
