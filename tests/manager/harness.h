/* harness.h - a manager in the test's own process, with real certificates and a real listener.
 *
 * One loop serves the manager and the clients; a call runs it until its answer is there, or fails
 * the test after a limit. Time is a fake clock. */
#ifndef PARLEY_TESTS_MANAGER_HARNESS_H
#define PARLEY_TESTS_MANAGER_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "http/http.h"
#include "manager/manager.h"

#define HARNESS_NOW_MS INT64_C(1767270000000)

struct harness {
    char dir[64]; /* temporary; removed at the end */
    struct loop *loop;
    struct log *log; /* everything, into dir/log */
    int null_fd;     /* where its other copy goes */
    struct clock *clock;
    struct manager *manager;
    char seed[32]; /* "" for none */
    bool has_seed;
    struct http_client *clients[8];
    const char *client_names[8];
};

/* seed NULL: none. */
void harness_start(struct harness *h, const char *seed);
void harness_stop(struct harness *h);
/* Close the manager and open it again on the same folder. */
void harness_restart(struct harness *h);

/* Call a route as the program whose certificate says CN `cn`; the status, and the answer in *out
 * (json_decref; NULL when the body is no JSON). body: JSON text or NULL. */
int harness_ask(struct harness *h, json_t **out, const char *cn, enum http_method method,
                const char *path, const char *body);
/* The same for a call that must succeed. */
json_t *harness_get(struct harness *h, const char *cn, const char *path);
json_t *harness_post(struct harness *h, const char *cn, const char *path, const char *body);
/* Start a call and let nobody wait for it. */
void harness_fire(struct harness *h, const char *cn, enum http_method method, const char *path,
                  const char *body);

/* A Graph call with the principal that tokens/check gives for `token`: its status and body. */
int harness_graph(struct harness *h, json_t **out, const char *token, const char *method,
                  const char *path, const char *params);
/* code and subcode of a Graph error; 0 when there is none. */
int graph_code(const json_t *body);
int graph_subcode(const json_t *body);

/* Provision; what the answer says (borrowed from *answer). */
struct tenant {
    json_t *answer;
    const char *business, *waba, *number, *app, *secret, *token, *token_id;
    char app_token[128];
};
void tenant_make(struct tenant *t, struct harness *h, const char *name, const char *digits);
void tenant_free(struct tenant *t);

/* The push stream, line by line. */
struct listener {
    struct harness *h;
    struct buf text; /* everything received */
    size_t read;     /* behind the last line taken */
    bool is_over;
    struct http_call *call;
};
void listener_open(struct listener *l, struct harness *h, const char *cn);
void listener_close(struct listener *l);
/* The next line; fails the test if none comes. */
json_t *listener_next(struct listener *l);
/* The next line whose event is this. */
json_t *listener_find(struct listener *l, const char *event);

/* Build JSON text in a ring of 32 static buffers, by printf. For test requests only. */
const char *fmt(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
