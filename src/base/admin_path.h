/* admin_path.h - the address of an administration socket, however long its path is.
 *
 * A Unix address holds 107 characters; a data directory may be deeper. Then the folder is opened
 * and the address goes through /proc/self/fd. For admin.c, and for the other local sockets that
 * programs open beside it. */
#ifndef PARLEY_BASE_ADMIN_PATH_H
#define PARLEY_BASE_ADMIN_PATH_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/err.h"

struct admin_path {
    struct sockaddr_un address; /* good until admin_path_close */
    int folder_fd;              /* owned; -1: the path fits */
};

/* RC_NOTFOUND if the folder is not there, RC_INVAL if the last part alone is too long. */
NODISCARD enum rc admin_path_open(struct admin_path *at, const char *path, struct err *err);
void admin_path_close(struct admin_path *at);

/* A bound, not yet listening socket of mode 0600; the caller owns *fd. A path left by a dead
 * program is taken over; RC_BUSY where a live one answers. */
NODISCARD enum rc admin_path_listen(int *fd, const char *path, struct err *err);
/* Is the other end of an accepted connection ours or root's (SO_PEERCRED)? */
bool admin_path_peer_is_allowed(int fd);

#endif
