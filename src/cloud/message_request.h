/* message_request.h - the body of POST /{phone-number-id}/messages, checked and turned into a
 * payload.
 *
 * Pure: parameters in, a message or one refusal out; no store, no socket, so that a table of cases
 * and a fuzzer can drive it. Kinds of messages are rows of one table in message_request.c. Source:
 * docs/cloud-api.md, "Sending". */
#ifndef PARLEY_CLOUD_MESSAGE_REQUEST_H
#define PARLEY_CLOUD_MESSAGE_REQUEST_H

#include <jansson.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "cloud/graph_code.h"
#include "content/content.h"

/* Why not, in the dialect's words. */
struct refusal {
    enum graph_code code;
    char text[400];
};

enum message_action { MESSAGE_SEND, MESSAGE_MARK_READ };

struct message_request {
    enum message_action action;
    uint64_t to;         /* recipient's digits */
    const char *input;   /* `to` as it came */
    struct bytes opaque; /* biz_opaque_callback_data; empty if none */
    Parley__Content__Payload payload;
    /* MESSAGE_MARK_READ */
    uint8_t read_id[16];
    bool with_typing;
    /* what payload points to */
    Parley__Content__Context context;
    Parley__Content__Text text;
    uint8_t quoted_id[16];
};

/* Read params (a JSON object; members that hold JSON text are parsed in place) for the number
 * `account`. False: *refusal says why. *out borrows from params and the arena. */
bool message_request_read(struct message_request *out, json_t *params, uint64_t account,
                          struct arena *arena, struct refusal *refusal);

/* A member that must be an object, or JSON text of one (some clients send that). Borrowed. */
const json_t *json_member_object(json_t *params, const char *name);

#endif
