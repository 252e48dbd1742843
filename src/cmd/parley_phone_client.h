/* parley_phone_client.h - the command line's end of the phone daemon's socket: connect, start the
 * daemon where none runs, lines of JSON in both directions. Internal to cmd/.
 *
 * Blocking. Source: docs/phone.md, "The daemon's socket". */
#ifndef PARLEY_CMD_PARLEY_PHONE_CLIENT_H
#define PARLEY_CMD_PARLEY_PHONE_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

#define PHONE_PATH_SIZE 1100u

struct phone_client {
    int fd; /* -1: not connected */
    struct buf in;
    const volatile int *stop; /* set by a signal: waiting ends with RC_CLOSED; or NULL */
};

/* What is needed to start a daemon. */
struct phone_home {
    char dir[PHONE_PATH_SIZE - 40];                /* the platform's folder; ours is in it */
    const char *relay, *relay_key, *authority_key; /* NULL: not known */
};

int64_t phone_client_now_ms(void);
/* Connect; start the daemon if none answers (and no supervisor is about to). RC_NOTFOUND: no
 * relay is known; RC_DENIED: the daemon is another user's. */
NODISCARD enum rc phone_client_open(struct phone_client *client, const struct phone_home *home,
                                    struct err *err);
void phone_client_close(struct phone_client *client);
/* One line: the writer's finished object. */
NODISCARD enum rc phone_client_send(struct phone_client *client, struct bytes json,
                                    struct err *err);
/* The next line; *out is the caller's (json_decref). RC_TIMEOUT, RC_CLOSED. */
NODISCARD enum rc phone_client_recv(json_t **out, struct phone_client *client, int64_t until_ms,
                                    struct err *err);
/* Is a further line here already? */
bool phone_client_has_line(const struct phone_client *client);
/* Ask the daemon on this socket to end; nothing if there is none. */
void phone_client_shut_down(const char *socket_path);

#endif
