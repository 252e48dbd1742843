/* states.c - see states.h: the whole table, nothing else. A missing row changes nothing. */
#include "gateway/states.h"

static const struct message_step steps[MESSAGE_STATES][MESSAGE_EVENTS] = {
    [MESSAGE_ACCEPTED][ON_SENT] = {MESSAGE_SENT,      TELL_SENT                             },
    [MESSAGE_ACCEPTED][ON_DELIVERED] = {MESSAGE_DELIVERED, TELL_SENT | TELL_DELIVERED            },
    [MESSAGE_ACCEPTED][ON_READ] = {MESSAGE_READ,      TELL_SENT | TELL_DELIVERED | TELL_READ},
    [MESSAGE_ACCEPTED][ON_FAILED] = {MESSAGE_FAILED,    TELL_FAILED                           },
    [MESSAGE_ACCEPTED][ON_EXPIRED] = {MESSAGE_EXPIRED,   TELL_FAILED                           },
    [MESSAGE_SENT][ON_DELIVERED] = {MESSAGE_DELIVERED, TELL_DELIVERED                        },
    [MESSAGE_SENT][ON_READ] = {MESSAGE_READ,      TELL_DELIVERED | TELL_READ            },
    [MESSAGE_SENT][ON_FAILED] = {MESSAGE_FAILED,    TELL_FAILED                           },
    [MESSAGE_SENT][ON_EXPIRED] = {MESSAGE_EXPIRED,   TELL_FAILED                           },
    [MESSAGE_DELIVERED][ON_READ] = {MESSAGE_READ,      TELL_READ                             },
    [MESSAGE_EXPIRED][ON_DELIVERED] = {MESSAGE_DELIVERED, TELL_DELIVERED                        },
    [MESSAGE_EXPIRED][ON_READ] = {MESSAGE_READ,      TELL_DELIVERED | TELL_READ            },
};

struct message_step
message_step(enum message_state state, enum message_event event)
{
    struct message_step step = steps[state][event];

    if (step.tell == 0)
        step.next = state;
    return step;
}
