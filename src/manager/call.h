/* call.h - one request on the internal channel, from HTTP to a store job and back.
 *
 * A route's handler runs on a store thread inside a transaction and fills the answer; after the
 * commit the answer is sent and the change's event lines go to the hub. A handler that returns an
 * error has its writes undone and is answered from its rc. Handlers set every output anew, since a
 * batch may be run again. Internal to src/manager. Source: docs/protocol/internal.md. */
#ifndef PARLEY_MANAGER_CALL_H
#define PARLEY_MANAGER_CALL_H

#include "base/json.h"
#include "http/server.h"
#include "manager/events.h"
#include "manager/objects.h"

#define CALL_BODY_MAX (1u << 20)
#define CALL_ANSWER_MAX (4u << 20)

struct manager;

/* Programs of the platform, as bits of a route's row; the name is the certificate's CN. */
enum program {
    PROGRAM_CLOUD = 1 << 0,
    PROGRAM_CLI = 1 << 1,
    PROGRAM_SUPERVISOR = 1 << 2,
    PROGRAM_MANAGER = 1 << 3,
};
#define PROGRAM_OPERATORS (PROGRAM_CLI | PROGRAM_SUPERVISOR)

struct call;

struct internal_route {
    enum http_method method;
    const char *path; /* "*" stands for one id */
    unsigned programs;
    bool writes; /* runs on the writer thread … */
    bool (*is_read)(
        const struct call *call); /* … unless this says that the call only reads; or NULL */
    enum rc (*handle)(struct call *call, struct work *w, struct err *err);
    /* After the commit, instead of the plain answer. NULL: answer with status and out. */
    void (*finish)(struct call *call);
};

struct call {
    struct store_job job; /* first: the store hands it back */
    struct manager *manager;
    struct http_request *req;
    const struct internal_route *route;
    uint64_t id;       /* of the path's "*" */
    json_t *body;      /* an object, or NULL without a body */
    uint64_t business; /* query arguments of lists */
    uint64_t after;
    bool with_secrets;
    int status;     /* the answer */
    struct buf out; /* may hold secrets: wiped */
    struct buf events;
};

/* Route tables, one a file; manager.c walks them in order. */
extern const struct internal_route cloud_routes[]; /* what the Cloud calls */
extern const size_t cloud_routes_n;
extern const struct internal_route operator_routes[]; /* what command line and supervisor call */
extern const size_t operator_routes_n;

/* Take a request: find its route, check the program, parse, run, answer. */
void call_accept(struct manager *m, struct http_request *req);

#endif
