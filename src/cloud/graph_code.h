/* graph_code.h - the refusals of the Graph dialect that the Cloud gives itself; one row each in
 * reply.c. */
#ifndef PARLEY_CLOUD_GRAPH_CODE_H
#define PARLEY_CLOUD_GRAPH_CODE_H

enum graph_code {
    G_OAUTH_REQUIRED, /* 104: no token */
    G_BAD_TOKEN,      /* 190 */
    G_NO_PERMISSION,  /* 10 */
    G_ACCESS_DENIED,  /* 131005 on the messaging edge */
    G_NO_OBJECT,      /* 100/33 */
    G_UNKNOWN_PATH,   /* 2500 */
    G_BAD_PARAM,      /* 100 */
    G_CONFLICT,       /* 100, HTTP 409 */
    G_MISSING,        /* 131008 */
    G_BAD_VALUE,      /* 131009 */
    G_SELF,           /* 131021 */
    G_UNSUPPORTED,    /* 131051 */
    G_NOT_REGISTERED, /* 133010 */
    G_PIN_MISMATCH,   /* 133005 */
    G_NOT_VERIFIED,   /* 133006 */
    G_REGISTER_LIMIT, /* 133016 */
    G_CODE_WRONG,     /* 136025 */
    G_UNAVAILABLE,    /* 2, transient */
    G_UNKNOWN,        /* 1 */
    G_TOO_LARGE,      /* 100, HTTP 413 */
    G_HOOK_REFUSED,   /* 2200: the callback did not answer the handshake */
    GRAPH_CODES
};

#endif
