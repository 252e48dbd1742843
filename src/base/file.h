/* file.h - whole files: read with a ceiling, replaced in one durable step. */
#ifndef PARLEY_BASE_FILE_H
#define PARLEY_BASE_FILE_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* Append the file's bytes to *out (RC_NOTFOUND, RC_LIMIT if larger than max_bytes, RC_IO). */
NODISCARD enum rc file_read(struct buf *out, const char *path, size_t max_bytes, struct err *err);
/* Write to path.tmp, fsync, rename, fsync the folder. mode such as 0600. */
NODISCARD enum rc file_replace(const char *path, struct bytes in, mode_t mode, struct err *err);
/* mkdir -p with the given mode for the last folder (0755 above). Existing is fine. */
NODISCARD enum rc dir_make(const char *path, mode_t mode, struct err *err);
/* Take an exclusive advisory lock on path (created 0600). *fd stays open for as long as the lock is
 * wanted. RC_BUSY if another process holds it. */
NODISCARD enum rc file_lock(int *fd, const char *path, struct err *err);
/* Free bytes of the file system that holds path. */
NODISCARD enum rc disk_free(uint64_t *bytes, const char *path, struct err *err);

#endif
