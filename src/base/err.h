/* err.h - how a call says that it failed: a short closed list for code, one struct for people.
 *
 * Code branches on enum rc and never on err.text. err.text is for a person: it says what was wrong
 * and, where it can, what to do next. It never carries content, tokens or full phone numbers. */
#ifndef PARLEY_BASE_ERR_H
#define PARLEY_BASE_ERR_H

#include "base/attr.h"

enum rc {
    RC_OK = 0,
    RC_NOMEM,      /* allocation failed, or an arena or buffer reached its ceiling */
    RC_INVAL,      /* an argument that a correct caller would not pass, or a bad setting */
    RC_MALFORMED,  /* bytes from outside do not parse */
    RC_NOTFOUND,   /* no such thing */
    RC_EXISTS,     /* there is one already */
    RC_BUSY,       /* in use now; later may work */
    RC_PROTO,      /* well-formed, but not legal in this state */
    RC_IO,         /* the operating system or the peer's socket failed */
    RC_FULL,       /* disk or queue full: refused before anything was accepted */
    RC_AUTH,       /* who are you: signature, tag, token or code is wrong */
    RC_DENIED,     /* known, but not allowed */
    RC_FENCED,     /* another instance holds this now (lower epoch) */
    RC_STALE,      /* the caller acts on an old view (device list, row version) */
    RC_LIMIT,      /* a rate or size limit refuses this */
    RC_TIMEOUT,    /* it took too long */
    RC_CLOSED,     /* the connection or module is shutting down */
    RC_DUPLICATE,  /* seen before: already done */
    RC_NO_SESSION, /* no end-to-end session with this device */
    RC_UNTRUSTED,  /* an identity key differs from the one known */
    RC_COUNT
};

struct err {
    enum rc rc;
    const char *site; /* static string, "module.step" */
    char text[200];   /* for people; never a secret, never parsed */
};

/* Fill err (NULL allowed) and return rc, so that failing is one line. */
enum rc err_set(struct err *err, enum rc rc, const char *site, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Like err_set, with ": strerror(errno_value)" appended. */
enum rc err_errno(struct err *err, enum rc rc, const char *site, int errno_value, const char *what);

/* The lower-case name of a code ("malformed"), for logs. Static string. */
const char *rc_name(enum rc rc);

#endif
