/* client.c - a device's standing connection to the relay.
 *
 * Owns one channel at a time, two timers and the requests in flight. Every change of state goes
 * through handle() and its table; what the relay's ends mean is a table, too. The memory is
 * released when both timers are closed, so a callback may free the link. Source:
 * docs/protocol/wire.md, "Connecting". */
#include "link/client.h"

#include <assert.h>
#include <stdlib.h>

#include "crypto/cert.h"
#include "link/backoff.h"
#include "link/channel.h"
#include "link/requests.h"

enum phase {
    STOPPED,    /* until link_retry() */
    WAITING,    /* the wake timer runs */
    CONNECTING, /* name, TCP, handshake */
    OPEN,       /* channel up, not registered yet */
    LOGIN,      /* login sent */
    UP,         /* logged in */
    PHASES
};

enum event {
    EV_RETRY,    /* the owner wants a fresh connection now */
    EV_OFFLINE,  /* the owner wants none */
    EV_TIMER,    /* the wait is over */
    EV_NAMELESS, /* channel up, no login to make */
    EV_NAMED,    /* channel up, login ready */
    EV_ACCEPTED, /* login answered with LoginOk */
    EV_LOST,     /* ended or failed in a way that may pass */
    EV_REFUSED,  /* ended for good */
    EVENTS
};

struct link {
    struct link_opt opt;
    char *host;              /* owned */
    struct channel *channel; /* NULL while there is none */
    struct requests requests;
    struct loop_timer wake, deadlines;
    int64_t armed_ms; /* when `deadlines` fires; INT64_MAX: not armed */
    enum phase phase;
    enum link_state announced;
    unsigned failures;        /* attempts since the last stable connection */
    uint64_t up_ms;           /* loop time at which OPEN or UP began; 0: not since the last end */
    uint32_t retry_after_ms;  /* the relay's hint for the next wait */
    int64_t cert_not_after_s; /* of the certificate that was checked last */
    bool tried_ik;            /* on the channel that is open */
    bool is_freed;
    unsigned open_timers;
    struct err why;
    Parley__Wire__Login *login;            /* borrowed while EV_NAMED is handled */
    const Parley__Wire__LoginOk *login_ok; /* borrowed while EV_ACCEPTED is handled */
};

static const char *const phase_names[PHASES] = {
    [STOPPED] = "stopped", [WAITING] = "waiting", [CONNECTING] = "connecting",
    [OPEN] = "open",       [LOGIN] = "login",     [UP] = "up"};
static const char *const event_names[EVENTS] = {
    [EV_RETRY] = "retry",       [EV_OFFLINE] = "offline", [EV_TIMER] = "timer",
    [EV_NAMELESS] = "nameless", [EV_NAMED] = "named",     [EV_ACCEPTED] = "accepted",
    [EV_LOST] = "lost",         [EV_REFUSED] = "refused"};

static void handle(struct link *link, enum event event);

static uint64_t
loop_ms(const struct link *link)
{
    return uv_now(loop_uv(channel_hub_loop(link->opt.hub)));
}

/* ---- what a step does ---- */

static void
nothing(struct link *link)
{
}

/* Nobody can answer any more. Callees may start a new attempt, or free the link. */
static void
fail_requests(struct link *link)
{
    struct request request;

    while (requests_take_any(&link->requests, &request))
        if (request.fn != NULL)
            request.fn(request.ctx, RC_CLOSED, NULL);
}

static void
let_go(struct link *link)
{
    loop_timer_stop(&link->wake);
    channel_abandon(&link->channel, PARLEY__WIRE__CLOSE_REASON__BYE);
}

static void
hang_up(struct link *link)
{
    let_go(link);
    link->failures = 0;
    link->up_ms = 0;
    fail_requests(link);
}

static void
wait_a_while(struct link *link)
{
    uint32_t ms;

    let_go(link);
    if (link->up_ms != 0 && loop_ms(link) - link->up_ms >= LINK_STABLE_MS)
        link->failures = 0;
    link->up_ms = 0;
    ms = backoff_ms(LINK_BACKOFF_FIRST_MS, LINK_BACKOFF_MAX_MS, link->failures, link->opt.rng);
    if (ms < link->retry_after_ms)
        ms = link->retry_after_ms;
    link->retry_after_ms = 0;
    link->failures++;
    loop_timer_start(&link->wake, ms, 0);
    fail_requests(link);
}

static enum rc check_server(void *ctx, const uint8_t server_static[32], struct bytes certificate,
                            struct err *err);
static const struct channel_ops channel_ops;

static bool
may_use_server_key(const struct link *link)
{
    return link->opt.has_server_key &&
           clock_wall_ms(link->opt.clock) / 1000 < link->opt.server_key_not_after_s;
}

static void
dial(struct link *link)
{
    struct channel_opt opt = {
        .hub = link->opt.hub,
        .pipe = {.local_static = &link->opt.noise,
                 .rng = link->opt.rng,
                 .check_server = check_server,
                 .ctx = link},
        .ops = &channel_ops,
        .ctx = link,
    };

    loop_timer_stop(&link->wake);
    link->tried_ik = may_use_server_key(link);
    if (link->tried_ik)
        opt.pipe.known_server = link->opt.server_key;
    if (channel_connect(&link->channel, link->host, link->opt.port, &opt, &link->why) != RC_OK)
        loop_timer_start(&link->wake, LINK_BACKOFF_MAX_MS, 0); /* out of memory or descriptors */
}

static void
redial(struct link *link)
{
    let_go(link);
    link->failures = 0;
    link->up_ms = 0;
    dial(link);
    fail_requests(link);
}

static void
mark_up(struct link *link)
{
    link->up_ms = loop_ms(link);
}

static void send_login(struct link *link);

/* ---- the table ---- */

struct step {
    enum phase next;
    void (*act)(struct link *link); /* NULL: this event is not legal here */
};

static const struct step steps[PHASES][EVENTS] = {
    [STOPPED] = {[EV_RETRY] = {CONNECTING, dial},   [EV_OFFLINE] = {STOPPED, nothing}},
    [WAITING] = { [EV_RETRY] = {CONNECTING, redial},
                 [EV_OFFLINE] = {STOPPED, hang_up},
                 [EV_TIMER] = {CONNECTING, dial}},
    [CONNECTING] = {    [EV_RETRY] = {CONNECTING, redial},
                 [EV_OFFLINE] = {STOPPED, hang_up},
                 [EV_TIMER] = {CONNECTING, dial},
                 [EV_NAMELESS] = {OPEN, mark_up},
                 [EV_NAMED] = {LOGIN, send_login},
                 [EV_LOST] = {WAITING, wait_a_while},
                 [EV_REFUSED] = {STOPPED, hang_up}},
    [OPEN] = {                                    [EV_RETRY] = {CONNECTING, redial},
                 [EV_OFFLINE] = {STOPPED, hang_up},
                 [EV_LOST] = {WAITING, wait_a_while},
                 [EV_REFUSED] = {STOPPED, hang_up}},
    [LOGIN] = {                                    [EV_RETRY] = {CONNECTING, redial},
                 [EV_OFFLINE] = {STOPPED, hang_up},
                 [EV_ACCEPTED] = {UP, mark_up},
                 [EV_LOST] = {WAITING, wait_a_while},
                 [EV_REFUSED] = {STOPPED, hang_up}},
    [UP] = {                                          [EV_RETRY] = {CONNECTING, redial},
                 [EV_OFFLINE] = {STOPPED, hang_up},
                 [EV_LOST] = {WAITING, wait_a_while},
                 [EV_REFUSED] = {STOPPED, hang_up}},
};

static void
announce(struct link *link)
{
    enum link_state state = link_state(link);

    if (link->is_freed || state == link->announced)
        return; /* or a callee has moved on, and announced that */
    link->announced = state;
    if (link->opt.ops->on_state != NULL)
        link->opt.ops->on_state(link->opt.ctx, link, state,
                                state == LINK_UP ? link->login_ok : NULL);
}

static void
handle(struct link *link, enum event event)
{
    const struct step *step = &steps[link->phase][event];

    if (step->act == NULL) {
        log_event(link->opt.log, LOG_WARN, "link.event", LOG_STR("event", event_names[event]),
                  LOG_STR("while", phase_names[link->phase]));
        return;
    }
    log_event(link->opt.log, LOG_DEBUG, "link.step", LOG_STR("event", event_names[event]),
              LOG_STR("from", phase_names[link->phase]), LOG_STR("to", phase_names[step->next]));
    link->phase = step->next;
    step->act(link);
    announce(link);
}

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
    handle(link, EV_REFUSED);
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
    handle(link, EV_LOST);
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
        handle(link, EV_ACCEPTED);
        link->login_ok = NULL;
    } else if (rc == RC_OK && reply->body_case == PARLEY__WIRE__FRAME__BODY_REFUSAL)
        on_login_refused(link, reply->refusal);
    else {
        err_set(&link->why, rc == RC_OK ? RC_PROTO : rc, "link.login", "the login got no answer");
        handle(link, EV_LOST);
    }
}

static enum rc ask(struct link *link, Parley__Wire__Frame *frame, uint32_t timeout_ms,
                   request_fn *fn, void *ctx, struct err *err);

static void
send_login(struct link *link)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;

    frame.body_case = PARLEY__WIRE__FRAME__BODY_LOGIN;
    frame.login = link->login;
    if (ask(link, &frame, WIRE_REQUEST_TIMEOUT_MS, on_login_reply, link, &link->why) != RC_OK)
        channel_close(link->channel, PARLEY__WIRE__CLOSE_REASON__BYE, NULL); /* its end follows */
}

/* ---- what the channel tells ---- */

static enum rc
check_server(void *ctx, const uint8_t server_static[32], struct bytes certificate, struct err *err)
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
    handle(link, is_named ? EV_NAMED : EV_NAMELESS);
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
        handle(link, EV_LOST);
}

static const struct channel_ops channel_ops = {
    .on_up = on_up, .on_frame = on_frame, .on_end = on_end};

/* ---- requests ---- */

static void
arm_deadlines(struct link *link)
{
    int64_t next = link->requests.next_deadline_ms, now = (int64_t)loop_ms(link);

    if (next >= link->armed_ms)
        return; /* it fires earlier than needed, and then looks again */
    link->armed_ms = next;
    loop_timer_start(&link->deadlines, next > now ? (uint64_t)(next - now) : 0, 0);
}

static void
on_deadlines(struct loop_timer *timer)
{
    struct link *link = (struct link *)((char *)timer - offsetof(struct link, deadlines));
    struct request request;

    link->armed_ms = INT64_MAX;
    while (requests_take_due(&link->requests, (int64_t)loop_ms(link), &request))
        if (request.fn != NULL)
            request.fn(request.ctx, RC_TIMEOUT, NULL);
    if (!link->is_freed)
        arm_deadlines(link);
}

static enum rc
ask(struct link *link, Parley__Wire__Frame *frame, uint32_t timeout_ms, request_fn *fn, void *ctx,
    struct err *err)
{
    int64_t deadline_ms = (int64_t)loop_ms(link) + timeout_ms;
    struct request taken;
    enum rc rc;

    if ((rc = requests_add(&link->requests, &frame->request_id, fn, ctx, deadline_ms, err)) !=
        RC_OK)
        return rc;
    if ((rc = channel_send(link->channel, frame, err)) != RC_OK) {
        requests_take(&link->requests, frame->request_id, &taken);
        return rc;
    }
    arm_deadlines(link);
    return RC_OK;
}

enum rc
link_request(struct link *link, Parley__Wire__Frame *frame, uint32_t timeout_ms, request_fn *fn,
             void *ctx, struct err *err)
{
    if (link->channel == NULL || (link->phase != OPEN && link->phase != UP))
        return err_set(err, RC_CLOSED, "link.request", "not connected to the relay");
    return ask(link, frame, timeout_ms, fn, ctx, err);
}

enum rc
link_push(struct link *link, Parley__Wire__Frame *frame, struct err *err)
{
    if (link->channel == NULL || (link->phase != OPEN && link->phase != UP))
        return err_set(err, RC_CLOSED, "link.push", "not connected to the relay");
    frame->request_id = 0;
    return channel_send(link->channel, frame, err);
}

/* ---- life ---- */

static void
on_wake(struct loop_timer *timer)
{
    struct link *link = (struct link *)((char *)timer - offsetof(struct link, wake));

    handle(link, EV_TIMER);
}

enum rc
link_open(struct link **out, const struct link_opt *opt, struct err *err)
{
    struct link *link = calloc(1, sizeof(*link));

    *out = NULL;
    if (link == NULL || (link->host = strdup(opt->host)) == NULL) {
        free(link);
        return err_set(err, RC_NOMEM, "link.open", "out of memory");
    }
    link->opt = *opt;
    link->opt.host = link->host;
    link->phase = WAITING;
    link->announced = LINK_DOWN;
    link->armed_ms = INT64_MAX;
    requests_init(&link->requests, LINK_REQUESTS_MAX);
    loop_timer_init(channel_hub_loop(opt->hub), &link->wake, on_wake);
    loop_timer_init(channel_hub_loop(opt->hub), &link->deadlines, on_deadlines);
    link->open_timers = 2;
    loop_timer_start(&link->wake, 0, 0); /* no callback from inside */
    *out = link;
    return RC_OK;
}

static void
release_if_last(struct link *link)
{
    if (--link->open_timers > 0)
        return;
    requests_wipe(&link->requests);
    free(link->host);
    bytes_wipe(&link->opt.noise, sizeof(link->opt.noise));
    free(link);
}

static void
on_wake_closed(struct loop_timer *timer)
{
    release_if_last((struct link *)((char *)timer - offsetof(struct link, wake)));
}

static void
on_deadlines_closed(struct loop_timer *timer)
{
    release_if_last((struct link *)((char *)timer - offsetof(struct link, deadlines)));
}

void
link_free(struct link **link)
{
    struct link *l = *link;

    if (l == NULL)
        return;
    *link = NULL;
    l->is_freed = true;
    handle(l, EV_OFFLINE);
    loop_timer_close(&l->wake, on_wake_closed);
    loop_timer_close(&l->deadlines, on_deadlines_closed);
}

void
link_retry(struct link *link)
{
    if (!link->is_freed)
        handle(link, EV_RETRY);
}

void
link_offline(struct link *link)
{
    if (!link->is_freed)
        handle(link, EV_OFFLINE);
}

enum link_state
link_state(const struct link *link)
{
    static const enum link_state shown[PHASES] = {
        [STOPPED] = LINK_DOWN, [WAITING] = LINK_DOWN, [CONNECTING] = LINK_CONNECTING,
        [OPEN] = LINK_OPEN,    [LOGIN] = LINK_LOGIN,  [UP] = LINK_UP};

    return shown[link->phase];
}

const char *
link_state_name(enum link_state state)
{
    static const char *const names[] = {[LINK_DOWN] = "down",
                                        [LINK_CONNECTING] = "connecting",
                                        [LINK_OPEN] = "open",
                                        [LINK_LOGIN] = "login",
                                        [LINK_UP] = "up"};

    return names[state];
}

const struct err *
link_why(const struct link *link)
{
    return &link->why;
}

const uint8_t *
link_hash(const struct link *link)
{
    return link->channel != NULL && channel_is_up(link->channel) ? channel_hash(link->channel)
                                                                 : NULL;
}
