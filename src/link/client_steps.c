/* client_steps.c - the states of a link: one table, one function that changes the state.
 *
 * Owns what happens on the way from one phase to the next: dialing, waiting, hanging up. Must never
 * look into a frame. The phase is set before the action runs, since an action ends requests whose
 * owners may ask for the next step at once. Source: docs/protocol/wire.md, section 2. */
#include "link/backoff.h"
#include "link/client_inner.h"

static const char *const phase_names[PHASES] = {
    [STOPPED] = "stopped", [WAITING] = "waiting", [CONNECTING] = "connecting",
    [OPEN] = "open",       [LOGIN] = "login",     [UP] = "up"};
static const char *const event_names[EVENTS] = {
    [EV_RETRY] = "retry",       [EV_OFFLINE] = "offline", [EV_TIMER] = "timer",
    [EV_NAMELESS] = "nameless", [EV_NAMED] = "named",     [EV_ACCEPTED] = "accepted",
    [EV_LOST] = "lost",         [EV_REFUSED] = "refused"};

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
    if (link->up_ms != 0 && link_loop_ms(link) - link->up_ms >= LINK_STABLE_MS)
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
                 .check_server = link_check_server,
                 .ctx = link},
        .ops = &link_channel_ops,
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
    link->up_ms = link_loop_ms(link);
}

struct step {
    enum phase next;
    void (*act)(struct link *link); /* NULL: this event is not legal here */
};

static const struct step steps[PHASES][EVENTS] = {
    [STOPPED][EV_RETRY] = {CONNECTING, dial           },
    [STOPPED][EV_OFFLINE] = {STOPPED,    nothing        },
    [WAITING][EV_RETRY] = {CONNECTING, redial         },
    [WAITING][EV_OFFLINE] = {STOPPED,    hang_up        },
    [WAITING][EV_TIMER] = {CONNECTING, dial           },
    [CONNECTING][EV_RETRY] = {CONNECTING, redial         },
    [CONNECTING][EV_OFFLINE] = {STOPPED,    hang_up        },
    [CONNECTING][EV_TIMER] = {CONNECTING, dial           },
    [CONNECTING][EV_NAMELESS] = {OPEN,       mark_up        },
    [CONNECTING][EV_NAMED] = {LOGIN,      link_send_login},
    [CONNECTING][EV_LOST] = {WAITING,    wait_a_while   },
    [CONNECTING][EV_REFUSED] = {STOPPED,    hang_up        },
    [OPEN][EV_RETRY] = {CONNECTING, redial         },
    [OPEN][EV_OFFLINE] = {STOPPED,    hang_up        },
    [OPEN][EV_LOST] = {WAITING,    wait_a_while   },
    [OPEN][EV_REFUSED] = {STOPPED,    hang_up        },
    [LOGIN][EV_RETRY] = {CONNECTING, redial         },
    [LOGIN][EV_OFFLINE] = {STOPPED,    hang_up        },
    [LOGIN][EV_ACCEPTED] = {UP,         mark_up        },
    [LOGIN][EV_LOST] = {WAITING,    wait_a_while   },
    [LOGIN][EV_REFUSED] = {STOPPED,    hang_up        },
    [UP][EV_RETRY] = {CONNECTING, redial         },
    [UP][EV_OFFLINE] = {STOPPED,    hang_up        },
    [UP][EV_LOST] = {WAITING,    wait_a_while   },
    [UP][EV_REFUSED] = {STOPPED,    hang_up        },
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

void
link_handle(struct link *link, enum event event)
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
