/* child.h - programs that the bench starts, waits for and ends.
 *
 * A child that serves prints one JSON line with "ready":true on its standard output; the line is
 * kept. Children end with the bench. Thread rule: one thread; children are started from it. */
#ifndef PARLEY_BENCH_CHILD_H
#define PARLEY_BENCH_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

#define CHILD_LINE_MAX 4096u
#define CHILD_READY_MS 60000 /* far above what a start takes on a busy machine */

struct child {
    pid_t pid; /* 0: not running */
    int out;   /* read end of its standard output */
    char ready[CHILD_LINE_MAX];
};

/* argv[0] is a path. Standard error goes to log_path. */
NODISCARD enum rc child_start(struct child *child, char *const argv[], const char *log_path,
                              struct err *err);
/* Read its output until the ready line. RC_TIMEOUT; RC_CLOSED when it ended first. */
NODISCARD enum rc child_wait_ready(struct child *child, struct err *err);
/* The port behind "listen":"HOST:PORT" in the ready line; 0: none. */
uint16_t child_port(const struct child *child);
/* SIGTERM, then SIGKILL after a while; waits for its end. Not running: nothing. */
void child_stop(struct child *child);
/* Run to the end; its standard output is appended to *out (NULL: thrown away). RC_IO unless it
 * exits with 0. */
NODISCARD enum rc child_run(struct buf *out, char *const argv[], const char *log_path,
                            struct err *err);
/* rm -r */
void folder_remove(const char *path);

#endif
