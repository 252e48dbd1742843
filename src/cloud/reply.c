/* reply.c - every answer leaves here: headers that clients look at, and the error envelope.
 *
 * Every status >= 400 carries {"error":{…}} with a code: clients read it blindly. One row of
 * `codes` is one refusal: code, subcode, HTTP status, type, title. Source: docs/cloud-api.md,
 * "Errors". */
#include <stdarg.h>
#include <stdio.h>

#include "base/hex.h"
#include "cloud/call.h"

#define HEADERS_MAX 16u

static const struct code_row {
    int code, subcode, http;
    const char *title; /* of WhatsApp codes: "(#code) title"; NULL: the details are the message */
    bool is_transient;
    bool is_graph; /* GraphMethodException */
} codes[GRAPH_CODES] = {
    [G_OAUTH_REQUIRED] = {.code = 104,                                                .http = 401                                     },
    [G_BAD_TOKEN] = {.code = 190,                                                .http = 401                                     },
    [G_NO_PERMISSION] = {.code = 10,                                                 .http = 403                                     },
    [G_ACCESS_DENIED] = {.code = 131005,                                             .http = 403,                                      .title = "Access denied"},
    [G_NO_OBJECT] = {.code = 100,                                                          .subcode = 33,                                                                                                .http = 400, .is_graph = true},
    [G_UNKNOWN_PATH] = {.code = 2500,                                               .http = 400},
    [G_BAD_PARAM] = {.code = 100,                                               .http = 400                                     },
    [G_CONFLICT] = {.code = 100,                                                .http = 409                                      },
    [G_MISSING] = {.code = 131008,                                                .http = 400,                                      .title = "Required parameter is missing"},
    [G_BAD_VALUE] = {.code = 131009,                                             .http = 400,                                   .title = "Parameter value is not valid"},
    [G_SELF] = {.code = 131021,                                                          .http = 400,                                                                                             .title = "Recipient cannot be sender"},
    [G_UNSUPPORTED] = {.code = 131051,                   .http = 400,                                 .title = "Unsupported message type"},
    [G_NOT_REGISTERED] = {.code = 133010,.http = 400,.title = "Phone number not registered"},
    [G_PIN_MISMATCH] = {.code = 133005,                                             .http = 400,                                                                .title = "Two step verification PIN mismatch"},
    [G_NOT_VERIFIED] = {.code = 133006,
                          .http = 400,
                          .title = "Phone number re-verification needed"},
    [G_REGISTER_LIMIT] = {.code = 133016,
                          .http = 400,
                          .title = "Account register deregister rate limit exceeded"},
    [G_CODE_WRONG] = {.code = 136025,   .http = 400,.title = "Verify code error"},
    [G_UNAVAILABLE] = {.code = 2,                                             .http = 503,                                                                                                  .is_transient = true},
    [G_UNKNOWN] = {.code = 1,                                                          .http = 500                                                                                            },
    [G_TOO_LARGE] = {.code = 100, .http = 413                                                },
    [G_HOOK_REFUSED] = {.code = 2200,                                             .http = 400                                                                                                                          },
};

void
trace_make(struct cloud *cloud, char out[20])
{
    uint8_t random[12];
    struct buf text;

    buf_init(&text, 32);
    rng_fill(cloud->opt.rng, random, sizeof random);
    buf_put_char(&text, 'A');
    base64url_put(&text, bytes_of(random, sizeof random));
    snprintf(out, 20, "%s", buf_cstr(&text));
    buf_free(&text);
}

/* ---- headers ---- */

static void
reply(struct call *call, int status, const char *authenticate, struct bytes json)
{
    struct http_header headers[HEADERS_MAX] = {
        {"Content-Type",                "application/json; charset=UTF-8"          },
        {"facebook-api-version",        call->version                              },
        {"x-fb-trace-id",               call->trace                                },
        {"x-fb-request-id",             call->trace                                },
        {"x-fb-rev",                    "1"                                        },
        {"access-control-allow-origin", "*"                                        },
        {"cache-control",
         status < 400 ? "private, no-cache, no-store, must-revalidate" : "no-store"},
        {"pragma",                      "no-cache"                                 },
        {"expires",                     "Sat, 01 Jan 2000 00:00:00 GMT"            },
    };
    size_t n = 9;

    if (http_request_is_tls(call->req))
        headers[n++] = (struct http_header){"strict-transport-security", "max-age=15552000"};
    if (authenticate != NULL)
        headers[n++] = (struct http_header){"www-authenticate", authenticate};
    json_decref(call->params);
    http_reply(call->req, status, headers, n, json);
}

void
call_reply(struct call *call, int status, struct bytes json)
{
    reply(call, status, NULL, json);
}

void
call_success(struct call *call)
{
    call_reply(call, 200, bytes_of_str("{\"success\":true}"));
}

/* ---- errors ---- */

static void
put_error(struct buf *out, const struct code_row *row, const char *details, const char *trace)
{
    struct json_writer w;
    char message[1024];

    if (row->title != NULL)
        snprintf(message, sizeof message, "(#%d) %s", row->code, row->title);
    else
        snprintf(message, sizeof message, "%s", details);
    jw_init(&w, out);
    jw_object(&w);
    jw_key(&w, "error");
    jw_object(&w);
    jw_kv_str(&w, "message", message);
    jw_kv_str(&w, "type", row->is_graph ? "GraphMethodException" : "OAuthException");
    jw_kv_int(&w, "code", row->code);
    if (row->title != NULL) {
        jw_key(&w, "error_data");
        jw_object(&w);
        jw_kv_str(&w, "messaging_product", "whatsapp");
        jw_kv_str(&w, "details", details);
        jw_object_end(&w);
    }
    if (row->subcode != 0)
        jw_kv_int(&w, "error_subcode", row->subcode);
    if (row->is_transient)
        jw_kv_bool(&w, "is_transient", true);
    jw_kv_str(&w, "fbtrace_id", trace);
    jw_object_end(&w);
    jw_object_end(&w);
}

static const char *
authenticate_text(struct call *call, int code, const char *kind)
{
    return arena_printf(call->arena, "OAuth \"Facebook Platform\" \"%s\" \"(#%d)\"",
                        code == 190 ? "invalid_token" : kind, code);
}

void
call_fail(struct call *call, enum graph_code code, const char *fmt, ...)
{
    const struct code_row *row = &codes[code];
    char details[900];
    struct buf body;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(details, sizeof details, fmt, ap);
    va_end(ap);
    buf_init(&body, 16 * 1024);
    put_error(&body, row, details, call->trace);
    reply(call, row->http, authenticate_text(call, row->code, "invalid_request"), buf_bytes(&body));
    buf_free(&body);
}

void
call_fail_with(struct call *call, int status, const json_t *error)
{
    json_t *copy = json_deep_copy(error);
    struct json_writer w;
    struct buf body;

    if (copy == NULL) {
        call_fail(call, G_UNAVAILABLE, "The service is temporarily unavailable. Please retry.");
        return;
    }
    json_object_set_new(copy, "fbtrace_id", json_string(call->trace));
    buf_init(&body, 64 * 1024);
    jw_init(&w, &body);
    jw_object(&w);
    jw_key(&w, "error");
    jw_value(&w, copy);
    jw_object_end(&w);
    reply(call, status, authenticate_text(call, (int)json_int(error, "code", 1), "invalid_request"),
          buf_bytes(&body));
    buf_free(&body);
    json_decref(copy);
}

const char *
reply_refused(void *ctx, int status, struct buf *body)
{
    const struct code_row row = {.code = status == 413 ? 100 : 1, .http = status};
    const char *text = status == 413   ? "The request is too large."
                       : status == 431 ? "The request's headers are too large."
                                       : "The request could not be understood.";
    char trace[20];

    trace_make(ctx, trace);
    put_error(body, &row, text, trace);
    return "application/json; charset=UTF-8";
}
