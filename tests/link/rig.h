/* rig.h - a link, what it told its owner, and a relay of our own, on one loop. */
#ifndef PARLEY_TESTS_LINK_RIG_H
#define PARLEY_TESTS_LINK_RIG_H

#include "base/clock.h"
#include "fake_relay.h"
#include "link/client.h"
#include "loop_wait.h"

struct rig {
    struct loop *loop;
    struct clock *clock;
    struct channel_hub *hub;
    struct fake_relay relay;
    struct link *link;
    struct link_opt opt;
    bool is_registered; /* ops->login fills a login */
    /* what was told */
    unsigned states[LINK_UP + 1], pushes, keys, refused;
    uint64_t last_seq;
    uint8_t key[32];
    int64_t key_not_after_s;
    Parley__Wire__CloseReason close;
    Parley__Wire__Reason reason;
    unsigned answers[RC_COUNT];
    uint32_t window;
    /* what to do in a callback */
    enum { KEEP, FREE_ON_UP, FREE_ON_PUSH, FREE_ON_ANSWER, FREE_ON_REFUSED, RETRY_ON_CLOSED } act;
    uint64_t wanted;
};

/* Everything but the link: a test may change `opt` before rig_open. For cmocka. */
int rig_set_up(void **state);
int rig_tear_down(void **state);
void rig_open(struct rig *f);
/* A request that the relay answers if told so; the answer is counted in `answers`. */
enum rc rig_ask_ms(struct rig *f, uint32_t timeout_ms);

/* Run until this is true with `wanted` as given; the test fails when it does not become true. */
void rig_wait(struct rig *f, bool (*what)(void *ctx), uint64_t wanted);
bool rig_is_up(void *ctx);
bool rig_is_answered(void *ctx);
bool rig_is_pushed(void *ctx);
bool rig_is_down(void *ctx);
bool rig_is_refused(void *ctx);
bool rig_is_open(void *ctx);
bool rig_has_logins(void *ctx);
bool rig_is_gone(void *ctx);

#define RIG_TEST(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)

#endif
