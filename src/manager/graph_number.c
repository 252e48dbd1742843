/* graph_number.c - the phone number node: its documented fields, its webhook override.
 *
 * A documented field whose value the platform does not know is left out; one that nobody documents
 * is refused with code 100. */
#include "manager/graph.h"

#include <stdio.h>
#include <time.h>

#include "base/e164.h"
#include "base/hex.h"
#include "http/url.h"

#define OVERRIDE_URI_MAX 200u /* characters, as documented for overrides */

static const struct number *
num(const void *object)
{
    return ((const struct graph_number *)object)->n;
}

/* Digits of the country calling code: 1 and 7 stand alone, these begin two-digit codes, all others
 * have three (ITU-T E.164 assigned codes). */
static size_t
country_code_len(const char *digits)
{
    static const char two[][3] = {"20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41",
                                  "43", "44", "45", "46", "47", "48", "49", "51", "52", "53", "54",
                                  "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66",
                                  "81", "82", "84", "86", "90", "91", "92", "93", "94", "95", "98"};

    if (digits[0] == '1' || digits[0] == '7')
        return 1;
    for (size_t i = 0; i < ARRAY_LEN(two); i++) {
        if (strncmp(digits, two[i], 2) == 0)
            return 2;
    }
    return 3;
}

/* "+1 555-012-3400" in North America, "+44 7700 900123" elsewhere: the last six digits together. */
static void
put_display_number(struct json_writer *jw, const char *name, const void *object)
{
    char digits[E164_TEXT_SIZE], text[32];
    const char *rest;
    size_t cc, len;

    e164_write(digits, num(object)->digits);
    cc = country_code_len(digits);
    rest = digits + cc;
    len = strlen(rest);
    if (digits[0] == '1' && len == 10)
        snprintf(text, sizeof(text), "+1 %.3s-%.3s-%s", rest, rest + 3, rest + 6);
    else if (len > 6)
        snprintf(text, sizeof(text), "+%.*s %.*s %s", (int)cc, digits, (int)(len - 6), rest,
                 rest + len - 6);
    else
        snprintf(text, sizeof(text), "+%.*s %s", (int)cc, digits, rest);
    jw_kv_str(jw, name, text);
}

static void
put_dial_code(struct json_writer *jw, const char *name, const void *object)
{
    char digits[E164_TEXT_SIZE];

    e164_write(digits, num(object)->digits);
    jw_kv_bytes(jw, name, bytes_of(digits, country_code_len(digits)));
}

static void
put_verified_name(struct json_writer *jw, const char *name, const void *object)
{
    jw_kv_str(jw, name, num(object)->display_name);
}

static void
put_code_status(struct json_writer *jw, const char *name, const void *object)
{
    jw_kv_str(jw, name, num(object)->is_verified ? "VERIFIED" : "NOT_VERIFIED");
}

static void
put_quality(struct json_writer *jw, const char *name, const void *object)
{
    jw_kv_str(jw, name, "UNKNOWN"); /* no signals are gathered yet */
}

static void
put_quality_score(struct json_writer *jw, const char *name, const void *object)
{
    jw_key(jw, name);
    jw_object(jw);
    jw_kv_str(jw, "score", "UNKNOWN");
    jw_object_end(jw);
}

static void
put_platform(struct json_writer *jw, const char *name, const void *object)
{
    const struct number *n = num(object);

    jw_kv_str(jw, name,
              !n->is_registered              ? "NOT_APPLICABLE"
              : n->hosting == HOSTING_ONPREM ? "ON_PREMISE"
                                             : "CLOUD_API");
}

static void
put_throughput(struct json_writer *jw, const char *name, const void *object)
{
    jw_key(jw, name);
    jw_object(jw);
    jw_kv_str(jw, "level", num(object)->is_registered ? "STANDARD" : "NOT_APPLICABLE");
    jw_object_end(jw);
}

static void
put_onboarded(struct json_writer *jw, const char *name, const void *object)
{
    time_t at = (time_t)num(object)->onboarded_s;
    struct tm tm;
    char text[40];

    if (at == 0 || gmtime_r(&at, &tm) == NULL)
        return;
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S+0000", &tm);
    jw_kv_str(jw, name, text);
}

static void
put_webhook(struct json_writer *jw, const char *name, const void *object)
{
    const struct graph_number *g = object;

    jw_key(jw, name);
    jw_object(jw);
    if (g->n->override_uri[0] != '\0')
        jw_kv_str(jw, "phone_number", g->n->override_uri);
    if (g->waba_override[0] != '\0')
        jw_kv_str(jw, "whatsapp_business_account", g->waba_override);
    if (g->callback[0] != '\0')
        jw_kv_str(jw, "application", g->callback);
    jw_object_end(jw);
}

static void
put_name_status(struct json_writer *jw, const char *name, const void *object)
{
    jw_kv_str(jw, name, "AVAILABLE_WITHOUT_REVIEW");
}

static void
put_status(struct json_writer *jw, const char *name, const void *object)
{
    const struct number *n = num(object);

    jw_kv_str(jw, name,
              n->is_registered      ? "CONNECTED"
              : n->onboarded_s != 0 ? "DISCONNECTED"
                                    : "PENDING");
}

static void
put_certificate(struct json_writer *jw, const char *name, const void *object)
{
    const struct number *n = num(object);
    struct buf text;

    buf_init(&text, 2 * sizeof(n->cert));
    base64_put(&text, bytes_of(n->cert, n->cert_len));
    jw_kv_bytes(jw, name, buf_bytes(&text));
    buf_free(&text);
}

static void
put_account_mode(struct json_writer *jw, const char *name, const void *object)
{
    jw_kv_str(jw, name, "LIVE");
}

static void
put_false(struct json_writer *jw, const char *name, const void *object)
{
    jw_kv_bool(jw, name, false);
}

static void
put_pin(struct json_writer *jw, const char *name, const void *object)
{
    jw_kv_bool(jw, name, num(object)->has_pin);
}

static void
put_tier(struct json_writer *jw, const char *name, const void *object)
{
    const struct business *b = ((const struct graph_number *)object)->business;
    char text[32];

    if (b->tier == 0)
        snprintf(text, sizeof(text), "TIER_UNLIMITED");
    else if (b->tier >= 1000)
        snprintf(text, sizeof(text), "TIER_%uK", b->tier / 1000);
    else
        snprintf(text, sizeof(text), "TIER_%u", b->tier);
    jw_kv_str(jw, name, text);
}

const struct graph_field graph_number_fields[] = {
    {"verified_name",                              true,  put_verified_name },
    {"code_verification_status",                   true,  put_code_status   },
    {"display_phone_number",                       true,  put_display_number},
    {"quality_rating",                             true,  put_quality       },
    {"platform_type",                              true,  put_platform      },
    {"throughput",                                 true,  put_throughput    },
    {"last_onboarded_time",                        true,  put_onboarded     },
    {"webhook_configuration",                      true,  put_webhook       },
    {"account_mode",                               false, put_account_mode  },
    {"certificate",                                false, put_certificate   },
    {"conversational_automation",                  false, NULL              },
    {"country_code",                               false, NULL              },
    {"country_dial_code",                          false, put_dial_code     },
    {"eligibility_for_api_business_global_search", false, NULL              },
    {"health_status",                              false, NULL              },
    {"host_platform",                              false, put_platform      },
    {"is_official_business_account",               false, put_false         },
    {"is_on_biz_app",                              false, put_false         },
    {"is_pin_enabled",                             false, put_pin           },
    {"is_preverified_number",                      false, put_false         },
    {"messaging_limit_tier",                       false, put_tier          },
    {"name_status",                                false, put_name_status   },
    {"new_certificate",                            false, NULL              },
    {"new_display_name",                           false, NULL              },
    {"new_name_status",                            false, NULL              },
    {"official_business_account",                  false, NULL              },
    {"quality_score",                              false, put_quality_score },
    {"search_visibility",                          false, NULL              },
    {"status",                                     false, put_status        },
    {"unified_cert_status",                        false, NULL              },
    {"username",                                   false, NULL              },
    {"whatsapp_business_manager_messaging_limit",  false, put_tier          },
};
const size_t graph_number_fields_n = ARRAY_LEN(graph_number_fields);

struct override_search {
    uint64_t app;
    struct graph_number *out;
};

static enum rc
take_override(void *ctx, uint64_t app, const char *override_uri, struct err *err)
{
    struct override_search *search = ctx;

    if (app == search->app)
        memcpy(search->out->waba_override, override_uri, strlen(override_uri) + 1);
    return RC_OK;
}

enum rc
graph_number_look(struct graph_number *out, struct graph_call *call, const struct number *n,
                  const struct business *business, struct err *err)
{
    struct override_search search = {.app = call->p->app, .out = out};
    struct app app;
    enum rc rc;

    memset(out, 0, sizeof(*out));
    out->n = n;
    out->business = business;
    if ((rc = app_load(&app, call->w, call->p->app, LIVE_ONLY, err)) != RC_OK)
        return rc;
    memcpy(out->callback, app.callback, sizeof(out->callback));
    app_wipe(&app);
    return waba_app_each(call->w, n->business, n->waba, take_override, &search, err);
}

enum rc
graph_number_get(struct graph_call *call, struct err *err)
{
    struct graph_selection selection;
    struct graph_number look;
    struct business business;
    struct json_writer jw;
    struct number n;
    char bad[64];
    enum rc rc;

    if (!graph_select(&selection, bad, graph_number_fields, graph_number_fields_n,
                      graph_param(call, "fields")))
        return graph_refuse(call, GRAPH_NO_FIELD,
                            "Tried accessing nonexisting field (%s) on node type "
                            "(WhatsAppBusinessPhoneNumber)",
                            bad);
    if ((rc = number_load(&n, call->w, call->node, LIVE_ONLY, err)) != RC_OK ||
        (rc = business_load(&business, call->w, n.business, LIVE_ONLY, err)) != RC_OK ||
        (rc = graph_number_look(&look, call, &n, &business, err)) != RC_OK)
        return rc;
    jw_init(&jw, call->body);
    graph_put_fields(&jw, &selection, n.id, &look);
    return RC_OK;
}

/* webhook_configuration may come as JSON, or as JSON text in a form field. */
static json_t *
read_configuration(const struct graph_call *call)
{
    const json_t *value = json_object_get(call->params, "webhook_configuration");
    json_t *parsed = NULL;

    if (json_is_object(value))
        return json_incref((json_t *)value);
    if (json_is_string(value) &&
        json_read(&parsed, bytes_of_str(json_string_value(value)), 4096, NULL) == RC_OK &&
        json_is_object(parsed))
        return parsed;
    json_decref(parsed);
    return NULL;
}

enum rc
graph_number_post(struct graph_call *call, struct err *err)
{
    json_t *configuration = read_configuration(call);
    const char *uri = json_str(configuration, "override_callback_uri");
    struct number n;
    struct url url;
    enum rc rc;

    if (uri == NULL)
        rc = graph_refuse(call, GRAPH_MISSING_PARAM,
                          "The parameter webhook_configuration[override_callback_uri] is "
                          "required");
    else if (uri[0] != '\0' &&
             (strlen(uri) > OVERRIDE_URI_MAX || url_read(&url, bytes_of_str(uri), NULL) != RC_OK))
        rc = graph_refuse(call, GRAPH_BAD_PARAM,
                          "override_callback_uri must be a URL of at most %u characters",
                          OVERRIDE_URI_MAX);
    else if (uri[0] != '\0' && json_str(configuration, "verify_token") == NULL)
        rc = graph_refuse(call, GRAPH_MISSING_PARAM, "The parameter verify_token is required");
    else if ((rc = number_load(&n, call->w, call->node, LIVE_ONLY, err)) == RC_OK &&
             (rc = number_set_override(call->w, &n, uri, err)) == RC_OK)
        rc = graph_success(call);
    json_decref(configuration);
    return rc;
}
