/* err.c - filling struct err, and the names of the codes.
 *
 * Owns nothing. Never takes content, tokens or full phone numbers: that is the caller's duty, since
 * the text ends up in logs and in answers. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[RC_COUNT] = {
    [RC_OK] = "ok",
    [RC_NOMEM] = "nomem",
    [RC_INVAL] = "inval",
    [RC_MALFORMED] = "malformed",
    [RC_NOTFOUND] = "notfound",
    [RC_EXISTS] = "exists",
    [RC_BUSY] = "busy",
    [RC_PROTO] = "proto",
    [RC_IO] = "io",
    [RC_FULL] = "full",
    [RC_AUTH] = "auth",
    [RC_DENIED] = "denied",
    [RC_FENCED] = "fenced",
    [RC_STALE] = "stale",
    [RC_LIMIT] = "limit",
    [RC_TIMEOUT] = "timeout",
    [RC_CLOSED] = "closed",
    [RC_DUPLICATE] = "duplicate",
    [RC_NO_SESSION] = "no_session",
    [RC_UNTRUSTED] = "untrusted",
};

enum rc
err_set(struct err *err, enum rc rc, const char *site, const char *fmt, ...)
{
    va_list args;

    if (err == NULL)
        return rc;
    err->rc = rc;
    err->site = site;
    va_start(args, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);
    return rc;
}

enum rc
err_errno(struct err *err, enum rc rc, const char *site, int errno_value, const char *what)
{
    char reason[80];

    /* the GNU form: the text may or may not be in our buffer */
    return err_set(err, rc, site, "%s: %s", what, strerror_r(errno_value, reason, sizeof(reason)));
}

const char *
rc_name(enum rc rc)
{
    return (unsigned)rc < RC_COUNT ? names[rc] : "unknown";
}
