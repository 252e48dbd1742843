/* numbers.c - the numbers this Cloud serves: added and removed with the directory, registered on
 * request, reported to the manager until it has heard.
 *
 * The same handlers answer the Graph routes and the internal channel. Source:
 * docs/protocol/internal.md, 4. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/object_id.h"
#include "cloud/call.h"

#define REPORT_RETRY_MS 2000
#define PIN_DIGITS 6u

/* ---- reports ---- */

struct report { /* one a number: what the manager has to hear of it */
    struct report *next;
    struct cloud *cloud;
    uint64_t number_id;
    bool is_verified, is_registered, is_deregistered, has_pin;
    bool is_in_flight;
    bool is_changed; /* since it was sent */
};

static void report_send(struct report *report);

static void
report_remove(struct report *report)
{
    struct report **at = &report->cloud->reports;

    while (*at != report)
        at = &(*at)->next;
    *at = report->next;
    free(report);
}

static void
on_reported(void *ctx, enum rc rc, int status, const json_t *body UNUSED)
{
    struct report *report = ctx;

    report->is_in_flight = false;
    if (report->is_changed && rc == RC_OK)
        report_send(report);
    else if (rc == RC_OK && (status == 200 || status == 404))
        report_remove(report); /* heard, or the number is gone */
    /* otherwise numbers_report_all() tries again, from the Cloud's timer */
}

static void
report_send(struct report *report)
{
    char path[96], id[OBJECT_ID_TEXT_SIZE];
    struct json_writer w;
    struct buf body;

    if (report->is_in_flight)
        return;
    snprintf(path, sizeof path, "/internal/v1/numbers/%s/registered",
             object_id_write(id, report->number_id));
    buf_init(&body, 256);
    jw_init(&w, &body);
    jw_object(&w);
    if (report->is_verified)
        jw_kv_bool(&w, "verified", true);
    if (report->is_registered || report->is_deregistered)
        jw_kv_bool(&w, "registered", report->is_registered);
    if (report->has_pin)
        jw_kv_bool(&w, "pin_set", true);
    jw_object_end(&w);
    report->is_in_flight = true;
    report->is_changed = false;
    manager_link_post(report->cloud->manager, path, buf_bytes(&body), on_reported, report);
    buf_free(&body);
}

static void
report_add(struct cloud *cloud, const struct report *what)
{
    struct report *report = cloud->reports;

    while (report != NULL && report->number_id != what->number_id)
        report = report->next;
    if (report == NULL) {
        if ((report = calloc(1, sizeof *report)) == NULL)
            return; /* the number's own connection will report it again: numbers_on_state */
        report->cloud = cloud;
        report->number_id = what->number_id;
        report->next = cloud->reports;
        cloud->reports = report;
    }
    report->is_verified = report->is_verified || what->is_verified;
    report->has_pin = report->has_pin || what->has_pin;
    if (what->is_registered || what->is_deregistered) { /* the latest counts */
        report->is_registered = what->is_registered;
        report->is_deregistered = what->is_deregistered;
    }
    report->is_changed = true;
    report_send(report);
}

void
numbers_report_all(struct cloud *cloud)
{
    for (struct report *r = cloud->reports, *next; r != NULL; r = next) {
        next = r->next;
        report_send(r);
    }
}

void
numbers_free(struct cloud *cloud)
{
    for (struct report *r = cloud->reports, *next; r != NULL; r = next) {
        next = r->next;
        free(r);
    }
    cloud->reports = NULL;
}

/* ---- with the directory ---- */

void
numbers_on_directory(void *ctx, uint64_t account, bool is_cloud_hosted)
{
    struct cloud *cloud = ctx;
    struct err err = {0};

    if (!is_cloud_hosted) {
        gateway_number_remove(cloud->gateway, account);
        return;
    }
    if (gateway_number_add(cloud->gateway, account, &err) != RC_OK)
        log_event(cloud->opt.log, LOG_ERROR, "cloud.number_failed", LOG_NUM("number", account),
                  LOG_RC(&err));
}

void
numbers_on_state(void *ctx, uint64_t account, bool is_up)
{
    struct cloud *cloud = ctx;
    struct directory_number number;

    /* Connected, and the manager has not heard: a report was lost with a crash. */
    if (is_up && directory_number_by_account(cloud->directory, account, &number) &&
        !number.is_registered)
        report_add(cloud, &(struct report){
                              .number_id = number.id, .is_verified = true, .is_registered = true});
}

void
numbers_on_removed(void *ctx, uint64_t account)
{
    struct cloud *cloud = ctx;

    gateway_number_remove(cloud->gateway, account);
}

/* ---- registration ---- */

static void
fail_refused(struct call *call, enum gateway_refusal refusal, const char *text)
{
    static const enum graph_code codes[] = {
        [GATEWAY_REFUSED_UNREACHABLE] = G_UNAVAILABLE,
        [GATEWAY_REFUSED_RATE] = G_REGISTER_LIMIT,
        [GATEWAY_REFUSED_CODE] = G_CODE_WRONG,
        [GATEWAY_REFUSED_TICKET] = G_NOT_VERIFIED,
        [GATEWAY_REFUSED_PIN] = G_PIN_MISMATCH,
        [GATEWAY_REFUSED_CERTIFICATE] = G_NOT_REGISTERED,
        [GATEWAY_REFUSED_OTHER] = G_BAD_PARAM,
    };

    call_fail(call, codes[refusal], "%s", text == NULL ? "" : text);
}

/* The number of the call, or an answer that there is none. */
static bool
number_of(struct call *call, struct directory_number *number)
{
    if (directory_number_by_id(call->cloud->directory, call->node, number))
        return true;
    call_fail(call, G_NO_OBJECT, "Object with ID '%llu' does not exist",
              (unsigned long long)call->node);
    return false;
}

static void
on_code_requested(void *ctx, enum gateway_refusal refusal, const char *text)
{
    if (refusal != GATEWAY_REFUSED_NOT)
        fail_refused(ctx, refusal, text);
    else
        call_success(ctx);
}

void
number_request_code_handle(struct call *call)
{
    const char *method = json_str(call->params, "code_method");
    const char *language = json_str(call->params, "language");
    struct directory_number number;

    if (!number_of(call, &number))
        return;
    if (method == NULL || strcasecmp(method, "SMS") == 0)
        method = "sms";
    else if (strcasecmp(method, "VOICE") == 0)
        method = "voice";
    else {
        call_fail(call, G_BAD_PARAM, "(#100) Param code_method must be one of {SMS, VOICE}");
        return;
    }
    gateway_request_code(call->cloud->gateway, number.account, method,
                         language == NULL ? "en_US" : language, on_code_requested, call);
}

static void
on_code_verified(void *ctx, enum gateway_refusal refusal, const char *text)
{
    struct call *call = ctx;

    if (refusal != GATEWAY_REFUSED_NOT) {
        fail_refused(call, refusal, text);
        return;
    }
    report_add(call->cloud, &(struct report){.number_id = call->node, .is_verified = true});
    call_success(call);
}

void
number_verify_code_handle(struct call *call)
{
    const json_t *value = json_object_get(call->params, "code");
    const char *given = json_string_value(value);
    struct directory_number number;
    char code[16];
    size_t n = 0;

    if (!number_of(call, &number))
        return;
    if (json_is_integer(value))
        given = arena_printf(call->arena, "%06lld", (long long)json_integer_value(value));
    for (; given != NULL && *given != '\0' && n + 1 < sizeof code; given++)
        if (*given != '-' && *given != ' ')
            code[n++] = *given;
    code[n] = '\0';
    if (n == 0) {
        call_fail(call, G_BAD_PARAM, "(#100) The parameter code is required.");
        return;
    }
    gateway_verify_code(call->cloud->gateway, number.account, code, on_code_verified, call);
}

static void
on_registered(void *ctx, enum gateway_refusal refusal, const char *text)
{
    struct call *call = ctx;

    if (refusal != GATEWAY_REFUSED_NOT) {
        fail_refused(call, refusal, text);
        return;
    }
    report_add(call->cloud, &(struct report){.number_id = call->node,
                                             .is_verified = true,
                                             .is_registered = true,
                                             .has_pin = json_str(call->params, "pin") != NULL});
    call_success(call);
}

static bool
is_pin(const char *pin)
{
    return strlen(pin) == PIN_DIGITS && strspn(pin, "0123456789") == PIN_DIGITS;
}

void
number_register_handle(struct call *call)
{
    const char *pin = json_str(call->params, "pin");
    struct directory_number number;

    if (!number_of(call, &number))
        return;
    if (pin != NULL && !is_pin(pin)) {
        call_fail(call, G_BAD_PARAM, "(#100) Param pin must be 6 digits.");
        return;
    }
    gateway_register(call->cloud->gateway, number.account, pin, on_registered, call);
}

static void
on_deregistered(void *ctx, enum gateway_refusal refusal, const char *text)
{
    struct call *call = ctx;

    if (refusal != GATEWAY_REFUSED_NOT) {
        fail_refused(call, refusal, text);
        return;
    }
    report_add(call->cloud, &(struct report){.number_id = call->node, .is_deregistered = true});
    call_success(call);
}

void
number_deregister_handle(struct call *call)
{
    struct directory_number number;

    if (number_of(call, &number))
        gateway_deregister(call->cloud->gateway, number.account, on_deregistered, call);
}
