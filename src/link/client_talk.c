/* client_talk.c - what the relay tells a link: its certificate, the login's answer, frames, the
 * end.
 *
 * Owns the two lists of what is final. Turns everything into events for client_steps.c.
 * Source: docs/protocol/wire.md, sections 2 and 3. */
#include "crypto/cert.h"
#include "link/client_inner.h"

/* ---- login ---- */

/* Trying again would change nothing: a person or the owner has to act. */
static const Parley__Wire__Reason final_refusals[] = {
    PARLEY__WIRE__REASON__FENCED,
    PARLEY__WIRE__REASON__UNKNOWN_DEVICE,
    PARLEY__WIRE__REASON__BAD_CERTIFICATE,
};
static const Parley__Wire__CloseReason final_closes[] = {
    PARLEY__WIRE__CLOSE_REASON__CONNECTED_ELSEWHERE,
    PARLEY__WIRE__CLOSE_REASON__CLOSE_FENCED,
    PARLEY__WIRE__CLOSE_REASON__UNREGISTERED,
};

static bool
is_final_refusal(Parley__Wire__Reason reason)
{
    for (size_t i = 0; i < ARRAY_LEN(final_refusals); i++)
        if (final_refusals[i] == reason)
            return true;
    return false;
}

static bool
is_final_close(Parley__Wire__CloseReason reason)
{
    for (size_t i = 0; i < ARRAY_LEN(final_closes); i++)
        if (final_closes[i] == reason)
            return true;
    return false;
}

static void
give_up(struct link *link, Parley__Wire__CloseReason close, Parley__Wire__Reason reason,
        const char *text)
{
    link_handle(link, EV_REFUSED);
    if (!link->is_freed && link->phase == STOPPED && link->opt.ops->on_refused != NULL)
        link->opt.ops->on_refused(link->opt.ctx, link, close, reason, text);
}

static void
on_login_refused(struct link *link, const Parley__Wire__Refusal *refusal)
{
    err_set(&link->why, RC_DENIED, "link.login", "the relay refused the login: %s",
            wire_reason_name(refusal->reason));
    log_event(link->opt.log, LOG_WARN, "link.refused",
              LOG_STR("reason", wire_reason_name(refusal->reason)));
    if (is_final_refusal(refusal->reason)) {
        give_up(link, PARLEY__WIRE__CLOSE_REASON__CLOSE_UNSPECIFIED, refusal->reason,
                refusal->text);
        return;
    }
    link->retry_after_ms = refusal->retry_after_s > LINK_BACKOFF_MAX_MS / 1000
                               ? LINK_BACKOFF_MAX_MS
                               : refusal->retry_after_s * 1000;
    link_handle(link, EV_LOST);
}

static void
on_login_reply(void *ctx, enum rc rc, const Parley__Wire__Frame *reply)
{
    struct link *link = ctx;

    if (link->phase != LOGIN)
        return; /* the connection went first: that has been dealt with */
    if (rc == RC_OK && reply->body_case == PARLEY__WIRE__FRAME__BODY_LOGIN_OK) {
        link->why = (struct err){.rc = RC_OK};
        link->login_ok = reply->login_ok;
        link_handle(link, EV_ACCEPTED);
        link->login_ok = NULL;
    } else if (rc == RC_OK && reply->body_case == PARLEY__WIRE__FRAME__BODY_REFUSAL)
        on_login_refused(link, reply->refusal);
    else {
        err_set(&link->why, rc == RC_OK ? RC_PROTO : rc, "link.login", "the login got no answer");
        link_handle(link, EV_LOST);
    }
}

void
link_send_login(struct link *link)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;

    frame.body_case = PARLEY__WIRE__FRAME__BODY_LOGIN;
    frame.login = link->login;
    if (link_ask(link, &frame, WIRE_REQUEST_TIMEOUT_MS, on_login_reply, link, &link->why) != RC_OK)
        channel_close(link->channel, PARLEY__WIRE__CLOSE_REASON__BYE, NULL); /* its end follows */
}

/* ---- what the channel tells ---- */

enum rc
link_check_server(void *ctx, const uint8_t server_static[32], struct bytes certificate,
                  struct err *err)
{
    struct link *link = ctx;
    struct relay_cert cert;
    enum rc rc = relay_cert_read(&cert, certificate, link->opt.root_pub,
                                 clock_wall_ms(link->opt.clock) / 1000, err);

    if (rc != RC_OK)
        return rc;
    if (!bytes_equal_secret(bytes_of(cert.static_key, NOISE_KEY_SIZE),
                            bytes_of(server_static, NOISE_KEY_SIZE)))
        return err_set(err, RC_AUTH, "link.server", "the relay's certificate is for another key");
    link->cert_not_after_s = cert.not_after_s;
    return RC_OK;
}

static void
remember_server(struct link *link, const uint8_t key[32])
{
    if (link->tried_ik && !channel_fell_back(link->channel))
        return; /* the key we have is the key we met */
    link->opt.has_server_key = true;
    memcpy(link->opt.server_key, key, NOISE_KEY_SIZE);
    link->opt.server_key_not_after_s = link->cert_not_after_s;
    if (link->opt.ops->on_server_key != NULL)
        link->opt.ops->on_server_key(link->opt.ctx, key, link->cert_not_after_s);
}

static void
on_up(void *ctx, struct channel *channel)
{
    struct link *link = ctx;
    Parley__Wire__Login login = PARLEY__WIRE__LOGIN__INIT;
    bool is_named;

    remember_server(link, channel_remote_static(channel));
    is_named = !link->is_freed && link->opt.ops->login(link->opt.ctx, &login);
    if (link->channel != channel)
        return; /* the owner went offline meanwhile */
    link->login = &login;
    link_handle(link, is_named ? EV_NAMED : EV_NAMELESS);
    link->login = NULL;
}

static void
on_frame(void *ctx, struct channel *channel, const Parley__Wire__Frame *frame)
{
    struct link *link = ctx;
    struct request request;

    if (frame->request_id == 0) {
        if (link->phase == UP || link->phase == OPEN)
            link->opt.ops->on_push(link->opt.ctx, link, frame);
        return;
    }
    if (requests_take(&link->requests, frame->request_id, &request) && request.fn != NULL)
        request.fn(request.ctx, RC_OK, frame); /* a late answer finds nobody */
}

/* An IK attempt that a reachable relay did not finish: the cached key may be the reason. */
static void
doubt_server_key(struct link *link, enum channel_end how)
{
    if (link->phase == CONNECTING && link->tried_ik && how != CHANNEL_UNREACHABLE)
        link->opt.has_server_key = false;
}

static void
on_end(void *ctx, struct channel *channel, enum channel_end how, Parley__Wire__CloseReason reason,
       const struct err *err)
{
    struct link *link = ctx;

    link->channel = NULL;
    doubt_server_key(link, how);
    if (err->rc != RC_OK)
        link->why = *err;
    else
        err_set(&link->why, RC_CLOSED, "link.end", "the relay closed the connection (%d)",
                (int)reason);
    log_event(link->opt.log, how == CHANNEL_FAILED ? LOG_WARN : LOG_INFO, "link.end",
              LOG_STR("how", channel_end_name(how)), LOG_INT("reason", (int)reason),
              LOG_STR("why", link->why.text));
    if (how == CHANNEL_BYE && is_final_close(reason))
        give_up(link, reason, PARLEY__WIRE__REASON__REASON_UNSPECIFIED, "");
    else
        link_handle(link, EV_LOST);
}

const struct channel_ops link_channel_ops = {
    .on_up = on_up, .on_frame = on_frame, .on_end = on_end};
