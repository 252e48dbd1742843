/* admin_path.c - addresses of administration sockets (unix(7), "pathname sockets"). */
#include "base/admin_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum rc
through_folder(struct admin_path *at, const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    size_t room = sizeof(at->address.sun_path);
    char folder[PATH_MAX];

    if (slash == NULL || (size_t)(slash - path) >= sizeof(folder))
        return err_set(err, RC_INVAL, "admin.path", "the socket's name is too long");
    snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
    at->folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (at->folder_fd < 0)
        return err_errno(err, errno == ENOENT ? RC_NOTFOUND : RC_IO, "admin.path", errno, folder);
    if ((size_t)snprintf(at->address.sun_path, room, "/proc/self/fd/%d%s", at->folder_fd, slash) >=
        room) {
        admin_path_close(at);
        return err_set(err, RC_INVAL, "admin.path", "the socket's name is too long");
    }
    return RC_OK;
}

enum rc
admin_path_open(struct admin_path *at, const char *path, struct err *err)
{
    *at = (struct admin_path){.address.sun_family = AF_UNIX, .folder_fd = -1};
    if (strlen(path) >= sizeof(at->address.sun_path))
        return through_folder(at, path, err);
    memcpy(at->address.sun_path, path, strlen(path) + 1);
    return RC_OK;
}

void
admin_path_close(struct admin_path *at)
{
    if (at->folder_fd >= 0)
        close(at->folder_fd);
    at->folder_fd = -1;
}

enum rc
admin_path_listen(int *out, const char *path, struct err *err)
{
    struct admin_path at;
    enum rc rc;
    int fd;

    *out = -1;
    if ((rc = admin_path_open(&at, path, err)) != RC_OK)
        return rc;
    if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0) {
        rc = err_errno(err, RC_IO, "admin.open", errno, "socket");
        goto out;
    }
    if (connect(fd, (struct sockaddr *)&at.address, sizeof(at.address)) == 0 || errno == EAGAIN) {
        rc = err_set(err, RC_BUSY, "admin.open", "another program answers on this socket");
        goto out;
    }
    if (errno == ECONNREFUSED)
        unlink(path);
    /* the mode of an unbound socket becomes the mode of its name: no moment of openness */
    if (fchmod(fd, 0600) != 0 ||
        bind(fd, (struct sockaddr *)&at.address, sizeof(at.address)) != 0 || chmod(path, 0600) != 0)
        rc = err_errno(err, RC_IO, "admin.open", errno, path);
out:
    if (rc != RC_OK && fd >= 0)
        close(fd);
    else
        *out = fd;
    admin_path_close(&at);
    return rc;
}

bool
admin_path_peer_is_allowed(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}
