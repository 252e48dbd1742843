/* graph.h - Graph calls that the manager answers: one table of routes, one answer each.
 *
 * The Cloud has checked the token and performed handshakes; here the right is checked and the
 * call is done, inside one transaction. Errors are Graph's envelope with its code and HTTP status.
 * Checks come before writes in every handler: a refusal after a write would keep the write.
 * Thread rule: on a store thread, inside run(). Source: docs/protocol/internal.md, section 3.3. */
#ifndef PARLEY_MANAGER_GRAPH_H
#define PARLEY_MANAGER_GRAPH_H

#include "base/json.h"
#include "http/http.h"
#include "manager/rights.h"

#define GRAPH_PATH_MAX 256u
#define GRAPH_PAGE_DEFAULT 25u
#define GRAPH_PAGE_MAX 100u

struct graph_call {
    struct work *w;
    const struct principal *p;
    enum http_method method;
    uint64_t node;        /* 0 where the path names no object */
    const json_t *params; /* borrowed; an object or NULL */
    const char *version;  /* "v24.0" */
    const char *origin;   /* "https://host:port", for links of pages; NULL: none are made */
    const char *path;     /* as called, without version */
    const char *trace_id;
    int status;
    struct buf *body; /* borrowed: the answer */
};

struct graph_request {
    const char *method, *path, *version, *origin, *trace_id;
    const json_t *params;
};

/* Answer a call. RC_OK whenever there is an answer, errors in the envelope included; otherwise the
 * store failed. *status and *body are the answer. */
NODISCARD enum rc graph_handle(int *status, struct buf *body, struct work *w,
                               const struct principal *p, const struct graph_request *req,
                               struct err *err);

/* The route table, row by row, so that a sweep can visit every route. false past the end. */
struct graph_route_row {
    enum http_method method;
    enum object_kind kind; /* OBJECT_NONE: the path names no object */
    const char *edge;      /* "" for the node itself */
    enum who who;
    uint32_t needs; /* enum permission bits, any of them; 0: none */
};
bool graph_route_at(struct graph_route_row *out, size_t i);

/* ---- for handlers ---- */

/* The refusals that handlers use: one row each in graph_error.c. */
enum graph_error {
    GRAPH_BAD_PARAM,     /* 100, text given */
    GRAPH_MISSING_PARAM, /* 100, text names the parameter */
    GRAPH_NO_OBJECT,     /* 100/33, GraphMethodException */
    GRAPH_NO_PERMISSION, /* 10 */
    GRAPH_NEEDS_APP,     /* 15: only with an app token */
    GRAPH_NEEDS_USER,    /* 200: not with an app token */
    GRAPH_UNKNOWN_PATH,  /* 2500 */
    GRAPH_NO_FIELD,      /* 100: nonexisting field */
    GRAPH_BAD_CURSOR,    /* 131059 */
    GRAPH_LIMIT,         /* 100 with the limit's text */
    GRAPH_ERRORS
};
/* Write the envelope into the answer and return RC_OK, so that refusing is one line. */
enum rc graph_refuse(struct graph_call *call, enum graph_error error, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* The envelope of a token that is refused (code 190 …). */
void graph_put_token_error(struct buf *body, int code, int subcode, const char *message,
                           const char *trace_id);
enum rc graph_success(struct graph_call *call); /* {"success":true} */
/* A string parameter, NULL if absent or of another kind. Borrowed from params. */
const char *graph_param(const struct graph_call *call, const char *name);

/* A documented field of a node. write NULL: documented, but nothing is known here, so the answer
 * leaves it out, as Graph does with fields that have no value. */
struct graph_field {
    const char *name;
    bool is_default;
    void (*write)(struct json_writer *jw, const char *name, const void *object);
};
/* The selection of a `fields` parameter, checked against a table. */
#define GRAPH_FIELDS_MAX 64u
struct graph_selection {
    const struct graph_field *field[GRAPH_FIELDS_MAX];
    struct bytes inner[GRAPH_FIELDS_MAX]; /* between braces; empty without */
    unsigned n;
};
/* text NULL or empty: the defaults. false: the name of the unknown field is in bad (64 bytes). */
bool graph_select(struct graph_selection *out, char bad[64], const struct graph_field *table,
                  size_t n_table, const char *text);
/* The selected members of an object, "id" last as Graph does. */
void graph_put_fields(struct json_writer *jw, const struct graph_selection *selection, uint64_t id,
                      const void *object);

/* One page of a list of n rows whose ids are in ids[]: the range [*from, *to) and, after the rows,
 * the paging member. Call page_open before the array and page_put after it. */
struct graph_page {
    unsigned from, to, n;
    const uint64_t *ids;
};
/* false: refused already. */
bool graph_page_open(struct graph_page *out, struct graph_call *call, const uint64_t *ids,
                     unsigned n);
void graph_page_put(struct json_writer *jw, const struct graph_page *page,
                    const struct graph_call *call);

/* ---- handlers, one file a node ---- */
NODISCARD enum rc graph_number_get(struct graph_call *call, struct err *err);
NODISCARD enum rc graph_number_post(struct graph_call *call, struct err *err);
NODISCARD enum rc graph_waba_get(struct graph_call *call, struct err *err);
NODISCARD enum rc graph_waba_numbers(struct graph_call *call, struct err *err);
NODISCARD enum rc graph_business_get(struct graph_call *call, struct err *err);
NODISCARD enum rc graph_business_wabas(struct graph_call *call, struct err *err);
NODISCARD enum rc graph_waba_apps_get(struct graph_call *call, struct err *err);
NODISCARD enum rc graph_waba_apps_post(struct graph_call *call, struct err *err);
NODISCARD enum rc graph_waba_apps_delete(struct graph_call *call, struct err *err);
NODISCARD enum rc graph_subscriptions_get(struct graph_call *call, struct err *err);
NODISCARD enum rc graph_subscriptions_post(struct graph_call *call, struct err *err);
NODISCARD enum rc graph_subscriptions_delete(struct graph_call *call, struct err *err);
NODISCARD enum rc graph_app_get(struct graph_call *call, struct err *err);
NODISCARD enum rc graph_debug_token(struct graph_call *call, struct err *err);
NODISCARD enum rc graph_me(struct graph_call *call, struct err *err);

/* The members of a number as a caller with these fields sees it; used by its own node and by lists.
 */
struct graph_number {
    const struct number *n;
    const struct business *business;
    char waba_override[URI_SIZE]; /* the caller's app on the number's WABA */
    char callback[URI_SIZE];      /* the caller's app */
};
extern const struct graph_field graph_number_fields[];
extern const size_t graph_number_fields_n;
NODISCARD enum rc graph_number_look(struct graph_number *out, struct graph_call *call,
                                    const struct number *n, const struct business *business,
                                    struct err *err);

#endif
