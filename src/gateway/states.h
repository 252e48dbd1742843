/* states.h - the life of an outgoing message as a table: which event leads where, and what is told.
 *
 *   accepted --sent--> sent --delivered--> delivered --read--> read        (I16, I17)
 *       \________________\______failed______> failed          one terminal state
 *
 * A receipt that overtakes the relay's answer first emits what it implies: read implies delivered,
 * delivered implies sent. A late receipt may turn failed(expired) into delivered (I15), nothing
 * else ever goes backwards. Pure. */
#ifndef PARLEY_GATEWAY_STATES_H
#define PARLEY_GATEWAY_STATES_H

#include <stdbool.h>
#include <stdint.h>

enum message_state {
    MESSAGE_ACCEPTED,
    MESSAGE_SENT,
    MESSAGE_DELIVERED,
    MESSAGE_READ,
    MESSAGE_FAILED,
    MESSAGE_EXPIRED, /* failed for its time: the one state that a late receipt corrects */
    MESSAGE_STATES
};
enum message_event { ON_SENT, ON_DELIVERED, ON_READ, ON_FAILED, ON_EXPIRED, MESSAGE_EVENTS };

#define TELL_SENT 1u
#define TELL_DELIVERED 2u
#define TELL_READ 4u
#define TELL_FAILED 8u

struct message_step {
    enum message_state next;
    uint32_t tell; /* TELL_… bits, told in this order; 0: nothing changes */
};

struct message_step message_step(enum message_state state, enum message_event event);

#endif
