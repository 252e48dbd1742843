/* process.c - what a program does to itself before its first untrusted byte.
 *
 * Changing the user clears two things in the kernel: the parent-death signal (so
 * process_follow_parent comes after process_drop) and the dumpable flag (kept as it was).
 * Source: docs/operating.md, "Users and limits"; prctl(2), credentials(7). */
#include "base/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"

#define OWN_DEPTH_MAX 16u /* our folders are shallow: deeper is not ours */
#define READY_MAX_BYTES 1024u

static enum rc
set_limit(int which, rlim_t soft, rlim_t hard, struct err *err)
{
    struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};

    if (setrlimit(which, &limit) != 0)
        return err_errno(err, RC_IO, "process.harden", errno, "setrlimit");
    return RC_OK;
}

enum rc
process_harden(bool keep_dumpable, struct err *err)
{
    struct rlimit files;
    enum rc rc;

    umask(077);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return err_errno(err, RC_IO, "process.harden", errno, "signal");
    if ((rc = set_limit(RLIMIT_CORE, 0, 0, err)) != RC_OK)
        return rc;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return err_errno(err, RC_IO, "process.harden", errno, "getrlimit");
    if ((rc = set_limit(RLIMIT_NOFILE, files.rlim_max, files.rlim_max, err)) != RC_OK)
        return rc;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        (!keep_dumpable && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0))
        return err_errno(err, RC_IO, "process.harden", errno, "prctl");
    return RC_OK;
}

static enum rc give_folder(int dir_fd, uid_t uid, gid_t gid, unsigned depth, struct err *err);

/* Hard links are left alone: a user could have made one to a file of somebody else. */
static enum rc
give_entry(int dir_fd, const char *name, uid_t uid, gid_t gid, unsigned depth, struct err *err)
{
    struct stat st;
    int fd;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? RC_OK : err_errno(err, RC_IO, "process.drop", errno, "stat");
    if (S_ISDIR(st.st_mode)) {
        fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return err_errno(err, RC_IO, "process.drop", errno, "cannot open a folder");
        return give_folder(fd, uid, gid, depth + 1, err);
    }
    if ((st.st_uid == uid && st.st_gid == gid) || st.st_nlink > 1)
        return RC_OK;
    if (fchownat(dir_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) != 0)
        return err_errno(err, RC_IO, "process.drop", errno, "cannot give a file away");
    return RC_OK;
}

/* Takes dir_fd. Every step goes through open descriptors, so that no link can lead us elsewhere. */
static enum rc
give_folder(int dir_fd, uid_t uid, gid_t gid, unsigned depth, struct err *err)
{
    DIR *dir = depth > OWN_DEPTH_MAX ? NULL : fdopendir(dir_fd);
    enum rc rc = RC_OK;
    struct dirent *entry;

    if (dir == NULL) {
        close(dir_fd);
        return err_set(err, RC_IO, "process.drop", "cannot list a folder");
    }
    while (rc == RC_OK && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = give_entry(dirfd(dir), entry->d_name, uid, gid, depth, err);
    }
    if (rc == RC_OK && fchown(dirfd(dir), uid, gid) != 0)
        rc = err_errno(err, RC_IO, "process.drop", errno, "cannot give the folder away");
    closedir(dir);
    return rc;
}

static void
find_user(uid_t *uid, gid_t *gid, const struct process_user *user)
{
    struct passwd entry, *found = NULL;
    char room[4096];

    if (getpwnam_r(user->name, &entry, room, sizeof(room), &found) == 0 && found != NULL) {
        *uid = found->pw_uid;
        *gid = found->pw_gid;
    } else {
        *uid = user->fallback;
        *gid = user->fallback;
    }
}

/* Groups, bounding set, then the user; the order matters, each step needs what the next drops. */
static enum rc
become(uid_t uid, gid_t gid, struct err *err)
{
    if (setgroups(0, NULL) != 0)
        return err_errno(err, RC_IO, "process.drop", errno, "setgroups");
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
        prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* what this kernel does not know cannot be held */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        return err_errno(err, RC_IO, "process.drop", errno, "cannot become another user");
    if (setresuid(0, 0, 0) == 0 || geteuid() != uid || getegid() != gid)
        return err_set(err, RC_IO, "process.drop", "the way back to root is still open");
    return RC_OK;
}

enum rc
process_drop(bool *dropped, const struct process_user *user, const char *own_dir, struct err *err)
{
    int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    uid_t uid;
    gid_t gid;
    enum rc rc;
    int fd;

    *dropped = false;
    if (geteuid() != 0)
        return RC_OK;
    find_user(&uid, &gid, user);
    if (uid == 0 || gid == 0)
        return err_set(err, RC_INVAL, "process.drop", "%s is root", user->name);
    if ((fd = open(own_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
        return err_errno(err, RC_IO, "process.drop", errno, own_dir);
    if ((rc = give_folder(fd, uid, gid, 0, err)) != RC_OK || (rc = become(uid, gid, err)) != RC_OK)
        return rc;
    if (dumpable == 1)
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    *dropped = true;
    return RC_OK;
}

/* The pid that the supervisor told us, or the parent as it is now. */
static pid_t
expected_parent(void)
{
    const char *text = getenv("PARLEY_SUPERVISOR_PID");

    return text == NULL ? getppid() : (pid_t)strtol(text, NULL, 10);
}

void
process_follow_parent(void)
{
    pid_t parent = expected_parent();

    prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    if (getppid() != parent) /* died before the line above took effect */
        raise(SIGTERM);
}

void
process_say_ready(const char *program, const char *listen)
{
    struct buf line;
    struct json_writer w;

    buf_init(&line, READY_MAX_BYTES);
    jw_init(&w, &line);
    jw_object(&w);
    jw_kv_str(&w, "program", program);
    jw_kv_bool(&w, "ready", true);
    jw_kv_str(&w, "listen", listen);
    jw_object_end(&w);
    buf_put_char(&line, '\n');
    fwrite(line.ptr, 1, line.len, stdout);
    fflush(stdout);
    buf_free(&line);
}
