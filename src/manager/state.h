/* state.h - the manager's inside, shared by its files. Internal to src/manager. */
#ifndef PARLEY_MANAGER_STATE_H
#define PARLEY_MANAGER_STATE_H

#include "http/server.h"
#include "manager/events.h"
#include "manager/objects.h"

struct manager {
    struct loop *loop;
    struct log *log;
    struct store *store;
    struct http_server *server;
    struct hub *hub;
    struct directory dir;
    struct keyring *ring;
    char *seed, *operator_name; /* owned; dir points at them */
    struct loop_timer renew_timer;
    unsigned in_flight; /* jobs whose done() is still to come */
    bool is_closing;
    void (*on_closed)(void *ctx); /* once, at the very end; or NULL */
    void *on_closed_ctx;
};

/* The last done() of a job has run: in_flight is one less. Releases everything when that was the
 * last one of a closing manager; the caller must not touch *m afterwards. */
void manager_job_over(struct manager *m);

#endif
