/* admin.h - the local administration socket every program has: a line in, lines out.
 *
 * A request is one line of words ("show queues", "clock set-offset 86400000"). The answer is lines
 * and ends with a line "." ; an error is one line "error TEXT" and then ".". The socket is a Unix
 * socket of mode 0600; peers of another user than ours or root are refused (SO_PEERCRED).
 * Thread rule: belongs to its loop. */
#ifndef PARLEY_BASE_ADMIN_H
#define PARLEY_BASE_ADMIN_H

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"

#define ADMIN_WORDS_MAX 8

struct admin;
struct admin_call; /* one request in flight */

struct admin_row {
    const char *words; /* "show queues": matched word by word, the rest are arguments */
    const char *help;  /* one line */
    /* Answer now by admin_put… and admin_done, or keep the call and finish later. */
    void (*fn)(struct admin_call *call, void *ctx);
};

NODISCARD enum rc admin_open(struct admin **out, struct loop *loop, const char *path,
                             const struct admin_row *rows, size_t n_rows, void *ctx,
                             struct err *err);
void admin_free(struct admin **admin);

/* Arguments after the matched words; NULL past the end. Borrowed until admin_done. */
const char *admin_arg(const struct admin_call *call, unsigned i);
void admin_putf(struct admin_call *call, const char *fmt, ...) PRINTF_LIKE(2, 3); /* adds \n */
/* End the answer; rc != RC_OK sends "error TEXT". The call is gone afterwards. */
void admin_done(struct admin_call *call, enum rc rc, const char *text);

/* The client's side, blocking: send one line, append the answer's lines (without the final ".") to
 * *out. RC_NOTFOUND: no program listens there. RC_DENIED: the program answered "error". */
NODISCARD enum rc admin_ask(struct buf *out, const char *path, const char *line, int timeout_ms,
                            struct err *err);

#endif
