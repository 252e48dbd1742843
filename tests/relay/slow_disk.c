/* slow_disk.c - linked into a test's copy of the program: every write to the disk takes a while.
 *
 * A killed process loses only what it has not yet written, so the moment between an acknowledgement
 * that comes too early and the writes behind it has to be long enough to be hit. Stands before the
 * C library's pwrite64, which SQLite calls. */
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define WRITE_US 300

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at);

ssize_t
pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    usleep(WRITE_US);
    return syscall(SYS_pwrite64, fd, data, len, at);
}
