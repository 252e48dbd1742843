/* lines.h - a local socket that speaks in lines: requests in, as many lines out as the answer
 * needs.
 *
 * base/admin.h is for short questions of an operator; this one carries messages and answers that go
 * on. A Unix socket of mode 0600; other users than ours and root are refused. What a client has not
 * read yet is bounded by its owner, who asks lines_unsent before giving more. Thread rule: one
 * loop.
 */
#ifndef PARLEY_PHONE_LINES_H
#define PARLEY_PHONE_LINES_H

#include <stddef.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/loop.h"

#define LINES_IN_MAX (256u * 1024)          /* bytes of one request */
#define LINES_UNSENT_MAX (8u * 1024 * 1024) /* a client that lets this much lie is cut off */
#define LINES_CLIENTS_MAX 256u

struct lines;        /* the listener */
struct lines_client; /* one connection; gone after on_gone */

struct lines_ops {
    /* A whole line without its end. May be called again only after lines_next. */
    void (*on_line)(void *ctx, struct lines_client *client, struct bytes line);
    /* Everything given so far has left us. May be NULL. */
    void (*on_drained)(void *ctx, struct lines_client *client);
    /* The connection is over; the client's data is the owner's to release. */
    void (*on_gone)(void *ctx, struct lines_client *client);
};

NODISCARD enum rc lines_open(struct lines **out, struct loop *loop, const char *path,
                             const struct lines_ops *ops, void *ctx, struct err *err);
/* Ends every connection (on_gone), takes the socket away. *lines may be NULL; NULL afterwards. */
void lines_free(struct lines **lines);

/* The owner's pointer; NULL at first. */
void *lines_data(const struct lines_client *client);
void lines_set_data(struct lines_client *client, void *data);
/* Ready for the next line; it may come from inside. */
void lines_next(struct lines_client *client);
/* Send (copied). */
void lines_send(struct lines_client *client, struct bytes in);
size_t lines_unsent(const struct lines_client *client);

#endif
