/* server.c - requests of the phone's socket: read, checked against a table, handed to phone.h.
 *
 * A request names a verb and, for most, a profile. Each gets exactly one answer with "ok", after
 * the lines of those that stream. Must never decide anything: that is phone.h's. Source:
 * docs/phone.md, "The daemon's socket". */
#include "phone/server.h"

#include <stdlib.h>
#include <string.h>

#include "base/e164.h"
#include "phone/call.h"

#define ANSWER_MAX (4u * 1024 * 1024) /* the list of PHONE_PROFILES_MAX profiles */

struct phone_server {
    struct phone_server_opt opt;
    struct lines *lines;
    uint32_t calls; /* alive; the server's memory stays until 0 */
    bool is_closed;
};

/* ---- a call's life ---- */

static void
server_release(struct phone_server *server)
{
    if (server->calls == 0 && server->is_closed)
        free(server);
}

static void
call_free(struct call *call)
{
    struct phone_server *server = call->server;

    phone_watch_end(&call->watch);
    buf_wipe(&call->out);
    free(call);
    server->calls--;
    server_release(server);
}

struct phone *
call_phone(const struct call *call)
{
    return call->server->opt.phone;
}

void
call_hold(struct call *call)
{
    call->waits++;
}

void
call_release(struct call *call)
{
    if (--call->waits == 0 && call->is_ended)
        call_free(call);
}

bool
call_begin(struct call *call, enum rc rc, const char *text)
{
    buf_reset(&call->out);
    jw_init(&call->w, &call->out);
    jw_object(&call->w);
    jw_kv_bool(&call->w, "ok", rc == RC_OK);
    if (rc != RC_OK) {
        jw_kv_str(&call->w, "rc", rc_name(rc));
        jw_kv_str(&call->w, "error", text == NULL || text[0] == '\0' ? rc_name(rc) : text);
    }
    return rc == RC_OK;
}

void
call_end(struct call *call)
{
    struct lines_client *client = call->client;

    jw_object_end(&call->w);
    buf_put_char(&call->out, '\n');
    if (buf_failed(&call->out)) {
        call_begin(call, RC_LIMIT, "the answer is too long");
        jw_object_end(&call->w);
        buf_put_char(&call->out, '\n');
    }
    call->is_ended = true;
    call->client = NULL;
    phone_watch_end(&call->watch);
    if (client != NULL) {
        lines_set_data(client, NULL);
        lines_send(client, buf_bytes(&call->out));
    }
    if (call->waits == 0)
        call_free(call);
    if (client != NULL)
        lines_next(client);
}

void
call_drop(struct call *call)
{
    call->is_ended = true;
    if (call->waits == 0)
        call_free(call);
}

void
call_answer(struct call *call, enum rc rc, const char *text)
{
    call_begin(call, rc, text);
    call_end(call);
}

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
    struct phone_server *server = call->server;

    call_answer(call, RC_OK, NULL);
    if (server->opt.on_shutdown != NULL)
        server->opt.on_shutdown(server->opt.ctx);
}

enum needs { NEEDS_NOTHING = 0, NEEDS_PROFILE = 1, NEEDS_NUMBER = 2, NEEDS_BOTH = 3 };

static const struct verb {
    const char *name;
    enum needs needs;
    void (*fn)(struct call *call);
} verbs[] = {
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

/* ---- lines in ---- */

static const struct verb *
find_verb(const char *name)
{
    for (size_t i = 0; name != NULL && i < ARRAY_LEN(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

/* Fill what the verb needs; what is missing becomes the answer. */
static bool
is_complete(struct call *call, const struct verb *verb)
{
    const char *number = json_str(call->request, "number");
    struct profile_info info;
    struct err err = {0};

    if (number == NULL)
        number = json_str(call->request, "to");

    if (verb == NULL) {
        call_answer(call, RC_INVAL, "there is no such verb");
        return false;
    }
    if (number != NULL && e164_read(&call->number, bytes_of_str(number), &err) != RC_OK) {
        call_answer(call, RC_INVAL, err.text);
        return false;
    }
    if ((verb->needs & NEEDS_NUMBER) != 0 && call->number == 0) {
        call_answer(call, RC_INVAL, "a number is needed: digits with the country code");
        return false;
    }
    if ((verb->needs & NEEDS_PROFILE) == 0)
        return true;
    call->profile = phone_profile(call_phone(call), json_str(call->request, "profile"));
    if (call->profile != NULL)
        profile_info(call->profile, &info);
    if (call->profile == NULL || info.state == PROFILE_NEW) {
        call_answer(call, RC_NOTFOUND, "there is no such profile; `list` shows them");
        return false;
    }
    return true;
}

static void
call_start(struct phone_server *server, struct lines_client *client, const json_t *request)
{
    struct call *call = calloc(1, sizeof *call);
    const struct verb *verb = find_verb(json_str(request, "verb"));

    if (call == NULL)
        return; /* the client gives up */
    call->server = server;
    call->client = client;
    call->request = request;
    buf_init(&call->out, ANSWER_MAX);
    server->calls++;
    lines_set_data(client, call);
    call_hold(call);
    if (is_complete(call, verb))
        verb->fn(call);
    call->request = NULL;
    call_release(call);
}

static void
on_line(void *ctx, struct lines_client *client, struct bytes line)
{
    struct phone_server *server = ctx;
    struct call *call = lines_data(client);
    struct err err = {0};
    json_t *request;

    if (json_read(&request, line, LINES_IN_MAX, &err) != RC_OK)
        request = json_object(); /* no verb: refused as such */
    if (call == NULL)
        call_start(server, client, request);
    else if (call->on_line != NULL)
        call->on_line(call, request);
    json_decref(request);
}

static void
on_drained(void *ctx UNUSED, struct lines_client *client)
{
    struct call *call = lines_data(client);

    if (call != NULL && call->on_drained != NULL)
        call->on_drained(call);
}

static void
on_gone(void *ctx UNUSED, struct lines_client *client)
{
    struct call *call = lines_data(client);

    if (call == NULL)
        return;
    lines_set_data(client, NULL);
    call->client = NULL;
    phone_watch_end(&call->watch);
    if (call->on_gone != NULL)
        call->on_gone(call);
}

static const struct lines_ops ops = {
    .on_line = on_line, .on_drained = on_drained, .on_gone = on_gone};

enum rc
phone_server_open(struct phone_server **out, const struct phone_server_opt *opt, struct err *err)
{
    struct phone_server *server = calloc(1, sizeof *server);
    enum rc rc;

    *out = NULL;
    if (server == NULL)
        return err_set(err, RC_NOMEM, "phone.server", "out of memory");
    server->opt = *opt;
    if ((rc = lines_open(&server->lines, opt->loop, opt->path, &ops, server, err)) != RC_OK) {
        free(server);
        return rc;
    }
    *out = server;
    return RC_OK;
}

void
phone_server_free(struct phone_server **out)
{
    struct phone_server *server = *out;

    *out = NULL;
    if (server == NULL)
        return;
    server->is_closed = true;
    server->calls++; /* the last call ends while we still look at the clients */
    lines_free(&server->lines);
    server->calls--;
    server_release(server);
}
