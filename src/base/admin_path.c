/* admin_path.c - addresses of administration sockets (unix(7), "pathname sockets"). */
#include "base/admin_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
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
