/* harness.h - a pump with a real store, a real ring and a real receiver on loopback, and a fake
 * clock.
 *
 * The receiver records each request and answers as its path says: "/ok…" 200, "/s<code>…" that
 * status,
 * "/flip…" what `flip_status` says, "/hold…" never (until released), "/slow…" 1 byte a turn is not
 * needed: see raw sockets in the tests. */
#ifndef PARLEY_TESTS_HOOKS_HARNESS_H
#define PARLEY_TESTS_HOOKS_HARNESS_H

#include "net.h"

#include "hooks/hooks.h"
#include "http/server.h"

#define START_MS 1900000000000ll
#define SECOND 1000ll
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define SECRET "demo-app-secret"
#define CALLS_MAX 4096u
#define NO_SECRET_APP 99u

struct seen_call {
    int64_t at_ms; /* platform time */
    char path[64];
    char query[256];
    char event_id[40], sha1[64], sha256[80], agent[40], type[40];
    size_t len;
    uint8_t digest[32];
    char head[512]; /* first bytes of the body */
};

struct hooks_world {
    char dir[64];
    struct loop *loop;
    struct store *store;
    struct keyring *ring;
    struct clock *clock;
    struct hooks_pump *pump;
    struct http_server *receiver;
    struct seen_call *calls;
    uint32_t n_calls;
    int flip_status;
    struct http_request *held[256];
    uint32_t n_held;
    struct hooks_pump_opt opt;
    bool is_drained;
};

int hooks_setup(void **state);
int hooks_teardown(void **state);
/* Stop and start the pump over the same store, as a restarted program does. */
void hooks_restart(struct hooks_world *w);
void hooks_open_pump(struct hooks_world *w);
/* "http://127.0.0.1:<port><path>", valid until the next call but three. */
const char *hooks_url(struct hooks_world *w, const char *path);
/* Enqueue in a transaction of its own; fills event_id. */
void hooks_put(struct hooks_world *w, uint64_t account, const char *url, const char *body,
               uint8_t event_id[16]);
void hooks_put_as(struct hooks_world *w, const struct hooks_event *event, uint8_t event_id[16]);
/* Run until everything due has been tried. */
void hooks_drain(struct hooks_world *w);
void hooks_advance(struct hooks_world *w, int64_t ms); /* and drain */
/* Rows of an account in a state (0 pending, 1 parked). */
uint64_t hooks_count(struct hooks_world *w, uint64_t account, int parked);
uint32_t hooks_calls_to(const struct hooks_world *w, const char *path);
void hooks_release_held(struct hooks_world *w, int status);

#endif
