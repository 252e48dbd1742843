/* e2e_job.c - a message's whole journey: accepted, sealed, relayed, opened by a phone, its receipt
 * sealed and relayed back, the webhook "delivered" at the business.
 *
 * One number, many phones in one daemon with one store, one webhook target; plain HTTP with
 * keep-alive, a text of 100 bytes, policy off. CPU is the sum over all programs of the platform;
 * generator and sink live here and are not in it. First every phone gets one message, so that
 * sessions exist; then a window of messages is kept under way, then 200 messages a second. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "device.h"
#include "echo.h"
#include "http/client.h"
#include "journeys.h"
#include "load.h"
#include "messages.h"
#include "phones.h"
#include "platform.h"
#include "sink.h"

#define FIRST_PHONE UINT64_C(15551000000)
#define CONNECTIONS 64u
#define PACED_CONNECTIONS 16u
#define WINDOW 512u /* messages under way */
#define PACE_PER_S 200.0
#define SETTLE_MS 20000u
#define ASK_MS 20000u
#define CPU_TARGET_MS 1.0
#define ACCEPT_P99_TARGET_MS 50.0

struct e2e {
    struct bench *bench;
    struct platform platform;
    struct echo echo;
    struct loop *loop;
    struct sink *sink;
    struct messages messages;
    struct journeys journeys;
    struct load *load;
    struct waits accepts;
    uint64_t sent, failed, limit; /* limit: of messages sent in this run; 0: none */
    int64_t until_us;
    struct http_client *client;
    bool is_asking;
    int status;
};

/* ---- traffic ---- */

static void
fill(void *ctx, struct buf *out)
{
    struct e2e *e = ctx;

    e->sent++;
    messages_put(&e->messages, out, FIRST_PHONE + e->messages.n % e->bench->phones);
}

static bool
may_send(void *ctx)
{
    struct e2e *e = ctx;

    return e->sent - e->journeys.n_delivered - e->failed < WINDOW &&
           (e->limit == 0 || e->sent < e->limit);
}

static void
on_answer(void *ctx, int status, struct bytes body, int64_t took_us)
{
    struct e2e *e = ctx;
    struct bytes id;

    waits_add(&e->accepts, took_us);
    if (status == 200 && quoted_after(&id, body, "\"messages\":[{\"id\":\""))
        journeys_sent(&e->journeys, id, now_us() - took_us);
    else
        e->failed++;
}

static void
on_status(void *ctx, struct bytes id, struct bytes status)
{
    struct e2e *e = ctx;

    if (bytes_equal(status, bytes_of_str("failed")))
        e->failed++;
    if (bytes_equal(status, bytes_of_str("delivered")) && journeys_delivered(&e->journeys, id) &&
        e->load != NULL)
        load_kick(e->load);
}

static bool
is_over(void *ctx)
{
    struct e2e *e = ctx;

    if (e->limit > 0 ? e->sent < e->limit : now_us() < e->until_us)
        return false;
    load_pause(e->load);
    return e->journeys.n_delivered + e->failed >= e->sent;
}

static const char *const programs[] = {"parley-cloud", "parley-relay", "parley-phone"};

struct figures {
    double n, per_s, cpu_ms, p50_ms, p99_ms, accept_p99_ms;
    double part_ms[ARRAY_LEN(programs)]; /* CPU of one program, first in seconds */
};

/* CPU so far, with the sign given, so that two calls leave the difference. */
static void
count_parts(const struct e2e *e, struct figures *out, double sign)
{
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        out->part_ms[i] += sign * cpu_s(platform_pid(&e->platform, programs[i])) * 1e3;
}

/* Send for so long, or so many; wait until all are delivered. */
static enum rc
run_load(struct e2e *e, struct figures *out, double per_s, double seconds, uint64_t limit,
         struct err *err)
{
    const struct load_opt opt = {.loop = e->loop,
                                 .port = platform_http_port(&e->platform),
                                 .connections = per_s > 0 ? PACED_CONNECTIONS : CONNECTIONS,
                                 .per_s = per_s,
                                 .fill = fill,
                                 .may_send = may_send,
                                 .on_answer = on_answer,
                                 .ctx = e};
    double cpu = platform_cpu_s(&e->platform);
    int64_t start_us = now_us();
    enum rc rc;

    *out = (struct figures){0};
    count_parts(e, out, -1);
    journeys_wipe(&e->journeys);
    waits_wipe(&e->accepts);
    e->sent = e->failed = 0;
    e->limit = limit;
    e->until_us = start_us + (int64_t)(seconds * 1e6);
    if ((rc = load_open(&e->load, &opt, err)) != RC_OK)
        return rc;
    load_go(e->load);
    rc = net_wait(e->loop, is_over, e, (unsigned)(seconds * 1000) + SETTLE_MS, err);
    if (rc != RC_OK || e->failed > 0 || load_failed(e->load) > 0)
        rc = err_set(err, rc == RC_OK ? RC_DENIED : rc, "bench.e2e",
                     "%llu sent, %llu delivered, %llu failed", (unsigned long long)e->sent,
                     (unsigned long long)e->journeys.n_delivered, (unsigned long long)e->failed);
    out->n = (double)e->journeys.n_delivered;
    count_parts(e, out, 1);
    out->per_s = out->n * 1e6 / (double)(now_us() - start_us);
    out->cpu_ms = (platform_cpu_s(&e->platform) - cpu) * 1e3 / out->n;
    out->p50_ms = waits_ms(&e->journeys.waits, 0.5);
    out->p99_ms = waits_ms(&e->journeys.waits, 0.99);
    out->accept_p99_ms = waits_ms(&e->accepts, 0.99);
    load_free(&e->load);
    return rc;
}

/* ---- subscribing ---- */

static void
on_asked(void *ctx, enum rc rc, int status, struct bytes body, const char *error_text)
{
    struct e2e *e = ctx;

    e->is_asking = false;
    e->status = rc == RC_OK ? status : 0;
}

static bool
is_asked(void *ctx)
{
    return !((struct e2e *)ctx)->is_asking;
}

static enum rc
post(struct e2e *e, const char *path, const char *token, struct bytes body, struct err *err)
{
    char url[256], bearer[768];
    const struct http_header headers[] = {
        {"Authorization", bearer            },
        {"Content-Type",  "application/json"},
    };
    struct http_call_opt call = {.method = HTTP_POST,
                                 .url = url,
                                 .headers = headers,
                                 .n_headers = ARRAY_LEN(headers),
                                 .body = body,
                                 .response_max = 65536,
                                 .on_done = on_asked,
                                 .ctx = e};
    enum rc rc;

    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", platform_http_port(&e->platform), path);
    snprintf(bearer, sizeof(bearer), "Bearer %s", token);
    e->is_asking = true;
    if ((rc = http_client_call(NULL, e->client, &call, err)) == RC_OK)
        rc = net_wait(e->loop, is_asked, e, ASK_MS, err);
    if (rc == RC_OK && e->status != 200)
        rc = err_set(err, RC_DENIED, "bench.e2e", "POST %s was answered %d", path, e->status);
    return rc;
}

static enum rc
subscribe(struct e2e *e, struct err *err)
{
    char app[64], secret[128], waba[64], token[512], path[128], app_token[256], url[64];
    struct json_writer w;
    struct buf body;
    enum rc rc;

    platform_env(&e->platform, "PARLEY_APP_ID", app, sizeof(app));
    platform_env(&e->platform, "PARLEY_APP_SECRET", secret, sizeof(secret));
    platform_env(&e->platform, "PARLEY_WABA_ID", waba, sizeof(waba));
    platform_env(&e->platform, "PARLEY_TOKEN", token, sizeof(token));
    snprintf(app_token, sizeof(app_token), "%s|%s", app, secret);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/hook", sink_port(e->sink));
    buf_init(&body, 4096);
    jw_init(&w, &body);
    jw_object(&w);
    jw_kv_str(&w, "object", "whatsapp_business_account");
    jw_kv_str(&w, "callback_url", url);
    jw_kv_str(&w, "verify_token", "bench");
    jw_kv_str(&w, "fields", "messages");
    jw_object_end(&w);
    snprintf(path, sizeof(path), "/v24.0/%s/subscriptions", app);
    rc = post(e, path, app_token, buf_bytes(&body), err);
    buf_free(&body);
    snprintf(path, sizeof(path), "/v24.0/%s/subscribed_apps", waba);
    return rc == RC_OK ? post(e, path, token, bytes_of_str("{}"), err) : rc;
}

/* ---- the reference ---- */

static bool
is_echo_over(void *ctx)
{
    struct e2e *e = ctx;

    if (now_us() < e->until_us)
        return false;
    load_pause(e->load);
    return load_under_way(e->load) == 0;
}

static void
on_echo(void *ctx, int status, struct bytes body, int64_t took_us)
{
    waits_add(&((struct e2e *)ctx)->accepts, took_us);
}

static enum rc
run_echo(struct e2e *e, struct figures *out, double per_s, double seconds, struct err *err)
{
    const struct load_opt opt = {.loop = e->loop,
                                 .port = e->echo.port,
                                 .connections = per_s > 0 ? PACED_CONNECTIONS : CONNECTIONS,
                                 .per_s = per_s,
                                 .fill = fill,
                                 .on_answer = on_echo,
                                 .ctx = e};
    double cpu = cpu_s(e->echo.pid);
    int64_t start_us = now_us();
    enum rc rc;

    waits_wipe(&e->accepts);
    e->until_us = start_us + (int64_t)(seconds * 1e6);
    if ((rc = load_open(&e->load, &opt, err)) != RC_OK)
        return rc;
    load_go(e->load);
    rc = net_wait(e->loop, is_echo_over, e, (unsigned)(seconds * 1000) + SETTLE_MS, err);
    out->n = (double)load_answered(e->load);
    out->per_s = out->n * 1e6 / (double)(now_us() - start_us);
    out->cpu_ms = (cpu_s(e->echo.pid) - cpu) * 1e3 / out->n;
    out->p50_ms = waits_ms(&e->accepts, 0.5);
    out->p99_ms = out->accept_p99_ms = waits_ms(&e->accepts, 0.99);
    load_free(&e->load);
    return rc;
}

/* ---- the job ---- */

struct all_series {
    struct series per_s, cpu_ms, p50_ms, p99_ms, accept_p99_ms;
    struct series part_ms[ARRAY_LEN(programs)];
};

static void
add_figures(struct all_series *to, const struct figures *f)
{
    series_add(&to->per_s, f->per_s);
    series_add(&to->cpu_ms, f->cpu_ms);
    series_add(&to->p50_ms, f->p50_ms);
    series_add(&to->p99_ms, f->p99_ms);
    series_add(&to->accept_p99_ms, f->accept_p99_ms);
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        series_add(&to->part_ms[i], f->part_ms[i] / f->n);
}

static enum rc
run_rounds(struct e2e *e, struct all_series s[2], double per_s, double seconds, struct err *err)
{
    unsigned rounds = e->bench->rounds;
    struct figures f;
    enum rc rc = RC_OK;

    for (unsigned round = 0; rc == RC_OK && round < rounds; round++) {
        if ((rc = run_echo(e, &f, per_s, seconds / (4.0 * rounds), err)) != RC_OK)
            break;
        add_figures(&s[1], &f);
        if ((rc = run_load(e, &f, per_s, seconds * 3 / (4.0 * rounds), 0, err)) == RC_OK)
            add_figures(&s[0], &f);
    }
    return rc;
}

static void
add_row(struct e2e *e, const char *figure, const char *unit, const struct series *ours,
        const struct series *theirs, double target)
{
    report_add(e->bench->report, &(struct row){.job = "e2e",
                                               .figure = figure,
                                               .unit = unit,
                                               .ours = series_median(ours),
                                               .reference = "bare echo, one request",
                                               .theirs = series_median(theirs),
                                               .bound = target > 0 ? BOUND_AT_MOST : BOUND_NONE,
                                               .target = target});
}

/* Whose CPU it is; no reference. */
static void
add_parts(struct e2e *e, const char *const figures[], const struct all_series *s)
{
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        report_add(e->bench->report, &(struct row){.job = "e2e",
                                                   .figure = figures[i],
                                                   .unit = "CPU-ms",
                                                   .ours = series_median(&s->part_ms[i])});
}

static void
add_rows(struct e2e *e, const struct figures *first, const struct all_series full[2],
         const struct all_series paced[2])
{
    static const char *const parts[] = {"  of it parley-cloud", "  of it parley-relay",
                                        "  of it parley-phone"};
    const struct series one = {.value = {first->cpu_ms}, .n = 1};

    add_row(e, "messages delivered", "/s", &full[0].per_s, &full[1].per_s, 0);
    add_row(e, "CPU of a message, all programs", "CPU-ms", &full[0].cpu_ms, &full[1].cpu_ms,
            CPU_TARGET_MS);
    add_parts(e, parts, &full[0]);
    add_row(e, "the same, first to a phone", "CPU-ms", &one, &full[1].cpu_ms, 0);
    add_row(e, "to delivered webhook, p50", "ms", &full[0].p50_ms, &full[1].p50_ms, 0);
    add_row(e, "to delivered webhook, p99", "ms", &full[0].p99_ms, &full[1].p99_ms, 0);
    add_row(e, "at 200/s: CPU of a message", "CPU-ms", &paced[0].cpu_ms, &paced[1].cpu_ms, 0);
    add_parts(e, parts, &paced[0]);
    add_row(e, "at 200/s: to webhook, p50", "ms", &paced[0].p50_ms, &paced[1].p50_ms, 0);
    add_row(e, "at 200/s: to webhook, p99", "ms", &paced[0].p99_ms, &paced[1].p99_ms, 0);
    add_row(e, "at 200/s: accept, p99", "ms", &paced[0].accept_p99_ms, &paced[1].accept_p99_ms,
            ACCEPT_P99_TARGET_MS);
}

static enum rc
prepare(struct e2e *e, struct err *err)
{
    struct sink_opt sink = {.on_status = on_status, .ctx = e};
    struct http_client_opt client = {.log = log_none()};
    double took_s;
    enum rc rc;

    if ((rc = echo_start(&e->echo, err)) != RC_OK ||
        (rc = platform_init(&e->platform, e->bench, "e2e", err)) != RC_OK ||
        (rc = platform_start(&e->platform, e->bench, &took_s, err)) != RC_OK ||
        (rc = loop_new(&e->loop, err)) != RC_OK)
        return rc;
    sink.loop = client.loop = e->loop;
    if ((rc = sink_open(&e->sink, &sink, err)) != RC_OK ||
        (rc = http_client_open(&e->client, &client, err)) != RC_OK ||
        (rc = subscribe(e, err)) != RC_OK)
        return rc;
    messages_init(&e->messages, &e->platform);
    return phones_register(&e->platform, FIRST_PHONE, e->bench->phones, err);
}

enum rc
bench_e2e(struct bench *bench, struct err *err)
{
    struct e2e *e = calloc(1, sizeof(*e));
    struct all_series full[2] = {0}, paced[2] = {0}; /* ours, the echo's */
    struct figures first = {0};
    enum rc rc;

    if (e == NULL)
        return err_set(err, RC_NOMEM, "bench.e2e", "no memory");
    e->bench = bench;
    rc = prepare(e, err);
    if (rc == RC_OK)
        rc = run_load(e, &first, 0, 0, bench->phones, err);
    if (rc == RC_OK)
        rc = run_rounds(e, full, 0, bench->seconds * 2 / 3, err);
    if (rc == RC_OK)
        rc = run_rounds(e, paced, PACE_PER_S, bench->seconds / 3, err);
    if (rc == RC_OK)
        add_rows(e, &first, full, paced);
    platform_wipe(&e->platform);
    echo_stop(&e->echo);
    load_free(&e->load);
    http_client_free(&e->client);
    sink_free(&e->sink);
    loop_free(&e->loop);
    journeys_wipe(&e->journeys);
    waits_wipe(&e->accepts);
    free(e);
    return rc;
}
