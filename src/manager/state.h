/* state.h - the manager's inside, shared by manager.c and call.c. Internal to src/manager. */
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
};

#endif
