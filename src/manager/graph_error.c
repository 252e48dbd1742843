/* graph_error.c - refusals in Graph's envelope: one table row a kind; see graph.h. */
#include "manager/graph.h"

#include <stdarg.h>
#include <stdio.h>

#define OAUTH "OAuthException"
#define METHOD "GraphMethodException"

static const struct error_row {
    int status, code, subcode; /* subcode 0: none */
    const char *type;
    bool has_number; /* the message starts with "(#code) " */
} errors[GRAPH_ERRORS] = {
    [GRAPH_BAD_PARAM] = {400, 100,    0,  OAUTH,  true },
    [GRAPH_MISSING_PARAM] = {400, 100,    0,  OAUTH,  true },
    [GRAPH_NO_OBJECT] = {400, 100,    33, METHOD, false},
    [GRAPH_NO_PERMISSION] = {403, 10,     0,  OAUTH,  true },
    [GRAPH_NEEDS_APP] = {400, 15,     0,  OAUTH,  true },
    [GRAPH_NEEDS_USER] = {403, 200,    0,  OAUTH,  true },
    [GRAPH_UNKNOWN_PATH] = {400, 2500,   0,  OAUTH,  false},
    [GRAPH_NO_FIELD] = {400, 100,    0,  OAUTH,  true },
    [GRAPH_BAD_CURSOR] = {400, 131059, 0,  OAUTH,  true },
    [GRAPH_LIMIT] = {400, 100,    0,  OAUTH,  true },
};

static void
put_envelope(struct buf *body, const struct error_row *row, const char *message,
             const char *trace_id)
{
    struct json_writer jw;

    buf_reset(body);
    jw_init(&jw, body);
    jw_object(&jw);
    jw_key(&jw, "error");
    jw_object(&jw);
    jw_kv_str(&jw, "message", message);
    jw_kv_str(&jw, "type", row->type);
    jw_kv_int(&jw, "code", row->code);
    if (row->subcode != 0)
        jw_kv_int(&jw, "error_subcode", row->subcode);
    if (trace_id != NULL)
        jw_kv_str(&jw, "fbtrace_id", trace_id);
    jw_object_end(&jw);
    jw_object_end(&jw);
}

enum rc
graph_refuse(struct graph_call *call, enum graph_error error, const char *fmt, ...)
{
    const struct error_row *row = &errors[error];
    char message[512];
    int at = 0;
    va_list args;

    if (row->has_number)
        at = snprintf(message, sizeof(message), "(#%d) ", row->code);
    va_start(args, fmt);
    vsnprintf(message + at, sizeof(message) - (size_t)at, fmt, args);
    va_end(args);
    call->status = row->status;
    put_envelope(call->body, row, message, call->trace_id);
    return RC_OK;
}

void
graph_put_token_error(struct buf *body, int code, int subcode, const char *message,
                      const char *trace_id)
{
    const struct error_row row = {.code = code, .subcode = subcode, .type = OAUTH};

    put_envelope(body, &row, message, trace_id);
}

enum rc
graph_success(struct graph_call *call)
{
    struct json_writer jw;

    jw_init(&jw, call->body);
    jw_object(&jw);
    jw_kv_bool(&jw, "success", true);
    jw_object_end(&jw);
    return RC_OK;
}

const char *
graph_param(const struct graph_call *call, const char *name)
{
    return json_str(call->params, name);
}
