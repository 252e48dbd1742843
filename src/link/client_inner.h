/* client_inner.h - what client.c, client_steps.c and client_talk.c know of each other. Private.
 *
 * client.c owns the link's life and its requests, client_steps.c the one place where its state
 * changes, client_talk.c what the channel and the login tell, which it turns into events. */
#ifndef PARLEY_LINK_CLIENT_INNER_H
#define PARLEY_LINK_CLIENT_INNER_H

#include "link/channel.h"
#include "link/client.h"
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

/* client_steps.c: the only way to another phase. Callees may free the link: look at is_freed. */
void link_handle(struct link *link, enum event event);

/* client_talk.c */
extern const struct channel_ops link_channel_ops;
/* Is this server key with this certificate the relay that the root vouches for? ctx: the link. */
enum rc link_check_server(void *ctx, const uint8_t server_static[32], struct bytes certificate,
                          struct err *err);
void link_send_login(struct link *link);

/* client.c */
uint64_t link_loop_ms(const struct link *link);
/* Enter a request and send it, whatever the phase. */
NODISCARD enum rc link_ask(struct link *link, Parley__Wire__Frame *frame, uint32_t timeout_ms,
                           request_fn *fn, void *ctx, struct err *err);

#endif
