/* test_states.c - the table of message states, whole: every state against every event (I17). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "gateway/states.h"

static const char *const state_names[] = {"accepted", "sent",   "delivered",
                                          "read",     "failed", "expired"};
static const char *const event_names[] = {"sent", "delivered", "read", "failed", "expired"};

/* next state and what is told ("s", "d", "r", "f"), "" for nothing: the contract, written out */
static const struct expected {
    enum message_state next;
    const char *told;
} expected[MESSAGE_STATES][MESSAGE_EVENTS] = {
    [MESSAGE_ACCEPTED] = {{MESSAGE_SENT, "s"},
                          {MESSAGE_DELIVERED, "sd"},
                          {MESSAGE_READ, "sdr"},
                          {MESSAGE_FAILED, "f"},
                          {MESSAGE_EXPIRED, "f"} },
    [MESSAGE_SENT] = {{MESSAGE_SENT, ""},
                          {MESSAGE_DELIVERED, "d"},
                          {MESSAGE_READ, "dr"},
                          {MESSAGE_FAILED, "f"},
                          {MESSAGE_EXPIRED, "f"} },
    [MESSAGE_DELIVERED] = {{MESSAGE_DELIVERED, ""},
                          {MESSAGE_DELIVERED, ""},
                          {MESSAGE_READ, "r"},
                          {MESSAGE_DELIVERED, ""},
                          {MESSAGE_DELIVERED, ""}},
    [MESSAGE_READ] = {{MESSAGE_READ, ""},
                          {MESSAGE_READ, ""},
                          {MESSAGE_READ, ""},
                          {MESSAGE_READ, ""},
                          {MESSAGE_READ, ""}     },
    [MESSAGE_FAILED] = {{MESSAGE_FAILED, ""},
                          {MESSAGE_FAILED, ""},
                          {MESSAGE_FAILED, ""},
                          {MESSAGE_FAILED, ""},
                          {MESSAGE_FAILED, ""}   },
    [MESSAGE_EXPIRED] = {{MESSAGE_EXPIRED, ""},
                          {MESSAGE_DELIVERED, "d"},
                          {MESSAGE_READ, "dr"},
                          {MESSAGE_EXPIRED, ""},
                          {MESSAGE_EXPIRED, ""}  },
};

static uint32_t
bits_of(const char *told)
{
    uint32_t bits = 0;

    for (; *told != '\0'; told++)
        bits |= *told == 's'   ? TELL_SENT
                : *told == 'd' ? TELL_DELIVERED
                : *told == 'r' ? TELL_READ
                               : TELL_FAILED;
    return bits;
}

static void
test_i17_every_state_and_event(void **state)
{
    for (int s = 0; s < MESSAGE_STATES; s++)
        for (int e = 0; e < MESSAGE_EVENTS; e++) {
            const struct expected *want = &expected[s][e];
            struct message_step got = message_step((enum message_state)s, (enum message_event)e);

            if (got.next != want->next || got.tell != bits_of(want->told))
                fail_msg("%s while %s: %s, told %x", event_names[e], state_names[s],
                         state_names[got.next], got.tell);
        }
}

/* Walk every sequence of events up to a length: each kind is told at most once, in rank order, and
 * after a terminal state nothing comes but the one correction of I15. */
#define DEPTH 6

struct walk {
    enum message_state at;
    uint32_t told; /* bits so far */
};

static void
check_step(struct walk *w, enum message_event event)
{
    struct message_step step = message_step(w->at, event);

    assert_int_equal(w->told & step.tell, 0); /* once */
    if ((step.tell & TELL_SENT) != 0)
        assert_int_equal(w->told, 0);
    if ((step.tell & TELL_DELIVERED) != 0) /* after sent, or correcting an expiry */
        assert_true(((w->told | step.tell) & TELL_SENT) != 0 || w->at == MESSAGE_EXPIRED);
    if ((step.tell & TELL_READ) != 0) /* read implies delivered (I16) */
        assert_true(((w->told | step.tell) & TELL_DELIVERED) != 0);
    if ((w->told & TELL_FAILED) != 0 && step.tell != 0)
        assert_true(w->at == MESSAGE_EXPIRED || (w->told & TELL_DELIVERED) != 0);
    if ((w->told & (TELL_DELIVERED | TELL_READ)) != 0)
        assert_int_equal(step.tell & TELL_FAILED, 0); /* no failed after delivered */
    w->told |= step.tell;
    w->at = step.next;
}

static void
walk_all(struct walk w, unsigned depth)
{
    if (depth == 0)
        return;
    for (int e = 0; e < MESSAGE_EVENTS; e++) {
        struct walk next = w;

        check_step(&next, (enum message_event)e);
        walk_all(next, depth - 1);
    }
}

static void
test_i17_never_backwards_over_all_sequences(void **state)
{
    walk_all((struct walk){.at = MESSAGE_ACCEPTED}, DEPTH);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_i17_every_state_and_event),
        cmocka_unit_test(test_i17_never_backwards_over_all_sequences),
    };

    return cmocka_run_group_tests_name("gateway/states", tests, NULL, NULL);
}
