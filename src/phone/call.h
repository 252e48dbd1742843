/* call.h - one request of the phone's socket under way. Internal to phone/; see server.c. */
#ifndef PARLEY_PHONE_CALL_H
#define PARLEY_PHONE_CALL_H

#include <jansson.h>

#include "base/json.h"
#include "phone/lines.h"
#include "phone/server.h"

struct call {
    struct phone_server *server;
    struct lines_client *client; /* NULL: it went away */
    const json_t *request;       /* borrowed while the verb's fn runs */
    struct profile *profile;     /* of verbs that name one */
    uint64_t number;             /* "number" or "to", where given */
    struct json_writer w;        /* the answer under construction */
    struct buf out;
    uint32_t waits; /* replies that still point here; freed at 0 once ended */
    bool is_ended;
    /* of a verb that goes on: a further line, room to send again, the end of the connection */
    void (*on_line)(struct call *call, const json_t *line);
    void (*on_drained)(struct call *call);
    void (*on_gone)(struct call *call);
    /* inbox and listen */
    struct phone_watch watch;
    uint64_t after, acked;
    bool is_listening, with_read, with_events, is_paging, has_news, is_ending;
    uint64_t only; /* number of a conversation, or 0 */
};

struct phone *call_phone(const struct call *call);
/* The answer: {"ok":true … or {"ok":false,"rc":…,"error":…}. begin leaves the object open for
 * more members when it is true; end sends it and ends the call. */
bool call_begin(struct call *call, enum rc rc, const char *text);
void call_end(struct call *call);
/* Both, with nothing more to say. */
void call_answer(struct call *call, enum rc rc, const char *text);
/* The connection is gone and nothing else will end the call. */
void call_drop(struct call *call);
/* A reply will come later / has come. hold before the question, release at the end of its fn. */
void call_hold(struct call *call);
void call_release(struct call *call);

/* Answer, then ask the program to end. */
void call_shut_down(struct call *call);

/* verbs.c */
enum needs { NEEDS_NOTHING = 0, NEEDS_PROFILE = 1, NEEDS_NUMBER = 2, NEEDS_BOTH = 3 };
struct verb {
    const char *name;
    enum needs needs;
    void (*fn)(struct call *call);
};
const struct verb *verb_find(const char *name); /* NULL: there is none */

/* call_stream.c: the verbs that answer with many lines */
void call_inbox(struct call *call);
void call_listen(struct call *call);

#endif
