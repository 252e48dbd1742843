/* admin_path.h - the address of an administration socket, however long its path is.
 *
 * A Unix address holds 107 characters; a data directory may be deeper. Then the folder is opened
 * and the address goes through /proc/self/fd. For admin.c and admin_ask.c only. */
#ifndef PARLEY_BASE_ADMIN_PATH_H
#define PARLEY_BASE_ADMIN_PATH_H

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

#endif
