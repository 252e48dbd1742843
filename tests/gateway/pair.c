/* pair.c - see pair.h. */
#include "pair.h"

int
pair_prepare(void **state)
{
    struct pair *p = calloc(1, sizeof *p);

    net_init(&p->net);
    net_start(&p->net);
    proxy_start(&p->biz_wire, p->net.loop, p->net.port);
    proxy_start(&p->anna_wire, p->net.loop, p->net.port);
    biz_init(&p->biz, &p->net, BAKERY);
    person_init(&p->anna, &p->net, ANNA);
    p->biz.port = p->biz_wire.port;
    p->anna.port = p->anna_wire.port;
    *state = p;
    return 0;
}

void
pair_start(struct pair *p)
{
    biz_start(&p->biz);
    person_start(&p->anna);
    biz_register(&p->biz);
    person_register(&p->anna);
}

int
pair_ready(void **state)
{
    pair_prepare(state);
    pair_start(*state);
    return 0;
}

int
pair_tear_down(void **state)
{
    struct pair *p = *state;

    biz_wipe(&p->biz);
    person_wipe(&p->anna);
    proxy_stop(&p->biz_wire);
    proxy_stop(&p->anna_wire);
    net_wipe(&p->net);
    free(p);
    return 0;
}

void
pair_acquaint(struct pair *p)
{
    uint8_t id[16];

    assert_int_equal(biz_say(&p->biz, ANNA, "hello", id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
    assert_int_equal(person_say(&p->anna, BAKERY, "hello", NULL), RC_OK);
    person_wait_events(&p->anna, EVENT_RECEIPT, 1);
}

void
assert_shown(struct person *person, const char *text)
{
    char *shown = person_shown(person);

    assert_string_equal(shown, text);
    free(shown);
}
