/* server.c - requests of the phone's socket: read, checked against verbs.c's table, answered.
 *
 * A request names a verb and, for most, a profile. Each gets exactly one answer with "ok", after
 * the lines of those that stream. Must never decide anything: that is phone.h's. Source:
 * docs/phone.md, "The daemon's socket". */
#include "phone/server.h"

#include <stdlib.h>

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

void
call_shut_down(struct call *call)
{
    struct phone_server *server = call->server;

    call_answer(call, RC_OK, NULL);
    if (server->opt.on_shutdown != NULL)
        server->opt.on_shutdown(server->opt.ctx);
}

/* ---- lines in ---- */

/* Fill what the verb needs; what is missing becomes the answer. */
static bool
is_complete(struct call *call, const struct verb *verb)
{
    const char *number = json_str(call->request, "number");
    struct profile_info info = {.state = PROFILE_NEW};
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
    const struct verb *verb = verb_find(json_str(request, "verb"));

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
