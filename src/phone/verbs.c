/* verbs.c - what can be asked of the phone's socket: one function a verb, one table.
 *
 * Each turns a checked request into a call of phone.h, and its reply into an answer; nothing is
 * decided here. Those that answer with many lines are call_stream.c's. */
#include <string.h>

#include "base/e164.h"
#include "phone/call.h"

/* ---- replies of the phone ---- */

/* The commonest: done or not. */
static void
on_reply(void *ctx, enum rc rc, const char *text)
{
    struct call *call = ctx;

    call_answer(call, rc, text);
    call_release(call);
}

static void
on_sent(void *ctx, enum rc rc, const char *id, const char *text)
{
    struct call *call = ctx;

    if (call_begin(call, rc, text))
        jw_kv_str(&call->w, "id", id);
    call_end(call);
    call_release(call);
}

static void
on_verified(void *ctx, enum rc rc, const struct phone_verification *v, const char *text)
{
    struct call *call = ctx;
    char digits[E164_TEXT_SIZE];

    if (call_begin(call, rc, text)) {
        jw_kv_str(&call->w, "number", e164_write(digits, call->number));
        jw_kv_str(&call->w, "safety_number", v->digits);
        jw_kv_str(&call->w, "label", v->label);
        jw_kv_str(&call->w, "hosting", v->hosting);
        jw_kv_bool(&call->w, "blocked", v->is_blocked);
        if (v->changed_ms > 0)
            jw_kv_int(&call->w, "identity_changed_at", v->changed_ms / 1000);
    }
    call_end(call);
    call_release(call);
}

/* ---- verbs ---- */

static void
verb_ping(struct call *call)
{
    call_begin(call, RC_OK, NULL);
    jw_kv_str(&call->w, "program", "parley-phone");
    call_end(call);
}

static void
verb_register(struct call *call)
{
    struct phone_newcomer who = {.name = json_str(call->request, "profile"),
                                 .display_name = json_str(call->request, "name"),
                                 .number = call->number,
                                 .request_code =
                                     json_truthy(json_object_get(call->request, "request_code"))};
    struct profile *p = phone_profile(call_phone(call), who.name);
    struct profile_info info;

    if (call->number == 0) {
        call_answer(call, RC_INVAL, "a number is needed: digits with the country code");
        return;
    }
    if (p != NULL) {
        profile_info(p, &info);
        if (info.account == call->number && info.state == PROFILE_REGISTERED) {
            call_begin(call, RC_OK, NULL); /* asked again: nothing is left to do */
            jw_kv_bool(&call->w, "registered", true);
            call_end(call);
            return;
        }
    }
    call_hold(call);
    phone_register(call_phone(call), &who, on_reply, call);
}

static void
verb_confirm(struct call *call)
{
    struct profile *p = phone_profile(call_phone(call), json_str(call->request, "profile"));
    const char *code = json_str(call->request, "code");

    if (p == NULL || code == NULL) {
        call_answer(call, p == NULL ? RC_NOTFOUND : RC_INVAL,
                    p == NULL ? "no registration of this profile is under way"
                              : "a code is needed");
        return;
    }
    call_hold(call);
    phone_confirm(p, code, json_str(call->request, "pin"), on_reply, call);
}

static void
verb_reinstall(struct call *call)
{
    call_hold(call);
    phone_reinstall(call->profile, json_truthy(json_object_get(call->request, "request_code")),
                    on_reply, call);
}

static void
verb_unregister(struct call *call)
{
    call_hold(call);
    phone_unregister(call->profile, on_reply, call);
}

static void
verb_offline(struct call *call)
{
    call_hold(call);
    phone_offline(call->profile, true, on_reply, call);
}

static void
verb_online(struct call *call)
{
    call_hold(call);
    phone_offline(call->profile, false, on_reply, call);
}

static void
verb_send(struct call *call)
{
    const struct phone_text what = {.to = call->number,
                                    .body = json_str(call->request, "text"),
                                    .reply_to = json_str(call->request, "reply_to")};

    call_hold(call);
    phone_send_text(call->profile, &what, on_sent, call);
}

static void
verb_typing(struct call *call)
{
    phone_typing(call->profile, call->number,
                 json_truthy(json_object_get(call->request, "is_typing")));
    call_answer(call, RC_OK, NULL);
}

static void
verb_read(struct call *call)
{
    call_hold(call);
    phone_read_chat(call->profile, call->number, on_reply, call);
}

static void
verb_block(struct call *call)
{
    call_hold(call);
    phone_block(call->profile, call->number, true, on_reply, call);
}

static void
verb_unblock(struct call *call)
{
    call_hold(call);
    phone_block(call->profile, call->number, false, on_reply, call);
}

static void
verb_verify(struct call *call)
{
    call_hold(call);
    phone_verify(call->profile, call->number, on_verified, call);
}

static void
put_profile(void *ctx, struct profile *p)
{
    static const char *const states[] = {"new", "registered", "unregistered"};
    struct json_writer *w = ctx;
    struct profile_info info;
    char digits[E164_TEXT_SIZE];

    profile_info(p, &info);
    if (info.state == PROFILE_NEW)
        return;
    jw_object(w);
    jw_kv_str(w, "profile", info.name);
    jw_kv_str(w, "number", e164_write(digits, info.account));
    jw_kv_str(w, "name", info.display_name);
    jw_kv_str(w, "state", states[info.state]);
    jw_kv_bool(w, "connected", info.is_up);
    jw_kv_bool(w, "offline", info.is_offline);
    jw_object_end(w);
}

static void
verb_list(struct call *call)
{
    call_begin(call, RC_OK, NULL);
    jw_key(&call->w, "profiles");
    jw_array(&call->w);
    phone_each(call_phone(call), put_profile, &call->w);
    jw_array_end(&call->w);
    call_end(call);
}

static void
verb_shutdown(struct call *call)
{
    call_shut_down(call);
}

static const struct verb verbs[] = {
    {"ping",       NEEDS_NOTHING, verb_ping      },
    {"list",       NEEDS_NOTHING, verb_list      },
    {"register",   NEEDS_NOTHING, verb_register  },
    {"confirm",    NEEDS_NOTHING, verb_confirm   },
    {"reinstall",  NEEDS_PROFILE, verb_reinstall },
    {"unregister", NEEDS_PROFILE, verb_unregister},
    {"offline",    NEEDS_PROFILE, verb_offline   },
    {"online",     NEEDS_PROFILE, verb_online    },
    {"send",       NEEDS_BOTH,    verb_send      },
    {"typing",     NEEDS_BOTH,    verb_typing    },
    {"inbox",      NEEDS_PROFILE, call_inbox     },
    {"listen",     NEEDS_PROFILE, call_listen    },
    {"read",       NEEDS_BOTH,    verb_read      },
    {"block",      NEEDS_BOTH,    verb_block     },
    {"unblock",    NEEDS_BOTH,    verb_unblock   },
    {"verify",     NEEDS_BOTH,    verb_verify    },
    {"shutdown",   NEEDS_NOTHING, verb_shutdown  },
};

const struct verb *
verb_find(const char *name)
{
    for (size_t i = 0; name != NULL && i < ARRAY_LEN(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}
