/* key_file.c - a secret of 32 bytes in a file of its own, 0400. */
#include "base/file.h"
#include "relay/relay.h"

enum rc
relay_key_file(uint8_t out[32], const char *path, struct rng rng, struct err *err)
{
    struct buf raw;
    enum rc rc;

    buf_init(&raw, 64);
    rc = file_read(&raw, path, 64, err);
    if (rc == RC_OK && raw.len != 32)
        rc = err_set(err, RC_MALFORMED, "relay.key", "%s is not a key of 32 bytes", path);
    if (rc == RC_OK)
        memcpy(out, raw.ptr, 32);
    buf_wipe(&raw);
    if (rc != RC_NOTFOUND)
        return rc;
    rng_fill(rng, out, 32);
    return file_replace(path, bytes_of(out, 32), 0400, err);
}
