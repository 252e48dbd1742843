/* server.h - the phone's own socket: what the command line (and the browser phone) ask of it.
 *
 * One JSON object a line in both directions; the verbs are in docs/phone.md, "The daemon's socket".
 * Owns nothing of the phone. Thread rule: the phone's loop. */
#ifndef PARLEY_PHONE_SERVER_H
#define PARLEY_PHONE_SERVER_H

#include "phone/phone.h"

struct phone_server;

struct phone_server_opt {
    struct loop *loop;
    struct log *log;
    const char *path;               /* of the socket */
    struct phone *phone;            /* borrowed; outlives the server */
    void (*on_shutdown)(void *ctx); /* somebody who may asks us to end */
    void *ctx;
};

NODISCARD enum rc phone_server_open(struct phone_server **out, const struct phone_server_opt *opt,
                                    struct err *err);
/* Ends every conversation; answers that are still due go nowhere. Before phone_close. */
void phone_server_free(struct phone_server **server);

#endif
