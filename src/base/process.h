/* process.h - what every program does before its first untrusted byte: no core dumps, no ptrace,
 * another user, a bounded number of descriptors; and how it says that it is ready.
 *
 * Source: docs/operating.md, "Users and limits". */
#ifndef PARLEY_BASE_PROCESS_H
#define PARLEY_BASE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct process_user {
    const char *name;  /* "parley-relay": taken when it exists */
    uint32_t fallback; /* fixed numeric uid and gid otherwise */
};

/* RLIMIT_CORE 0, PR_SET_DUMPABLE 0, PR_SET_NO_NEW_PRIVS, RLIMIT_NOFILE to its hard limit, SIGPIPE
 * ignored, umask 077. Dumpable stays on when keep_dumpable (sanitizer and strace runs). */
NODISCARD enum rc process_harden(bool keep_dumpable, struct err *err);
/* As root: give own_dir (and what is in it) to the user, drop every group and capability, become
 * the user. Not root: nothing, *dropped false. */
NODISCARD enum rc process_drop(bool *dropped, const struct process_user *user, const char *own_dir,
                               struct err *err);
/* End with the parent: PR_SET_PDEATHSIG SIGTERM, checked against an already dead parent. Call it
 * after process_drop, which clears it in the kernel. A supervisor that sets PARLEY_SUPERVISOR_PID
 * to its own pid in the child's environment makes the check exact. The signal follows the thread
 * that forked: a supervisor starts its programs from its main thread. */
void process_follow_parent(void);
/* Print one JSON line {"program":…,"ready":true,"listen":"HOST:PORT"} on standard output. */
void process_say_ready(const char *program, const char *listen);

#endif
