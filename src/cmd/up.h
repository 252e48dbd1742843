/* up.h - `parley up`: one platform on one machine. Internal to cmd/. */
#ifndef PARLEY_CMD_UP_H
#define PARLEY_CMD_UP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"

#define UP_PATH_MAX 1024u

/* What was asked for, resolved once. */
struct up_plan {
    char dir[UP_PATH_MAX]; /* absolute */
    char bin[UP_PATH_MAX]; /* folder of our own program: the others are beside it */
    const char *listen;    /* host for the public listeners */
    uint16_t base_port;
    bool is_demo, has_test_clock, allow_private_hosts, is_json;
    const char *policy, *log_level, *log_format, *seed; /* seed NULL: none */
    bool has_users;         /* root, and the folder can be reached by other users */
    uint8_t relay_root[32]; /* Ed25519 public key of the relay's root */
    uint8_t authority[32];  /* Ed25519 public key of the platform's authority */
};

/* Offsets from the base port. */
enum up_port {
    UP_PORT_HTTPS = 0,
    UP_PORT_HTTP = 1,
    UP_PORT_RELAY = 5,
    UP_PORT_MANAGER = 7,
    UP_PORT_CLOUD_INTERNAL = 8,
    UP_PORTS = 10
};

/* dir + "/" + name into out (UP_PATH_MAX). Returns out; an overlong path is cut and fails to open.
 */
char *up_path(char *out, const struct up_plan *plan, const char *name);

/* up_files.c: folders, certificates, keys, configuration files. Idempotent: what exists and is
 * still good stays. Blocking: before the loop runs. */
NODISCARD enum rc up_files_prepare(struct up_plan *plan, struct err *err);
/* The relay's certificate is past 60 of its 90 days: issue it anew. *renewed tells. */
NODISCARD enum rc up_files_renew(struct up_plan *plan, bool *renewed, struct err *err);

/* up_children.c: the programs, in one process group, restarted when they crash. */
struct up_children;
struct up_children_opt {
    struct loop *loop;
    struct log *log;
    const struct up_plan *plan;
    /* Every program has said that it is ready (again after a restart: not called again). */
    void (*on_ready)(void *ctx);
    /* A program could not be started, or crashed too often: text says which and where to look. */
    void (*on_hopeless)(void *ctx, const char *text);
    /* All have ended after up_children_stop(). */
    void (*on_stopped)(void *ctx);
    void *ctx;
};
NODISCARD enum rc up_children_start(struct up_children **out, const struct up_children_opt *opt,
                                    struct err *err);
/* SIGTERM to all; SIGKILL to what is left after two seconds. */
void up_children_stop(struct up_children *children);
void up_children_free(struct up_children **children);
bool up_children_all_ready(const struct up_children *children);
/* "relay pid 123 up 12 s restarts 0" a line. */
void up_children_show(const struct up_children *children, void (*line)(void *ctx, const char *text),
                      void *ctx);
/* Run `parley demo-provision` once; on_done with its exit status. */
NODISCARD enum rc up_children_provision(struct up_children *children,
                                        void (*on_done)(void *ctx, int status), void *ctx,
                                        struct err *err);

#endif
