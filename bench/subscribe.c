/* subscribe.c - see subscribe.h. */
#include "subscribe.h"

#include <stdio.h>

#include "base/json.h"
#include "http/client.h"
#include "wait.h"

#define ANSWER_MS 20000u
#define VALUE_MAX 512u

struct asking {
    bool is_over;
    int status; /* 0: none came */
};

static void
on_done(void *ctx, enum rc rc, int status, struct bytes body, const char *error_text)
{
    struct asking *asking = ctx;

    asking->is_over = true;
    asking->status = rc == RC_OK ? status : 0;
}

static bool
is_over(void *ctx)
{
    return ((struct asking *)ctx)->is_over;
}

static enum rc
post(struct loop *loop, const char *url, const char *token, struct bytes body, struct err *err)
{
    char bearer[2 * VALUE_MAX + 16];
    const struct http_header headers[] = {
        {"Authorization", bearer            },
        {"Content-Type",  "application/json"},
    };
    const struct http_client_opt opt = {.loop = loop, .log = log_none()};
    struct http_client *client = NULL;
    struct asking asking = {.is_over = false};
    struct http_call_opt call = {.method = HTTP_POST,
                                 .url = url,
                                 .headers = headers,
                                 .n_headers = ARRAY_LEN(headers),
                                 .body = body,
                                 .response_max = 65536,
                                 .total_timeout_ms = ANSWER_MS,
                                 .on_done = on_done,
                                 .ctx = &asking};
    enum rc rc;

    snprintf(bearer, sizeof(bearer), "Bearer %s", token);
    if ((rc = http_client_open(&client, &opt, err)) == RC_OK &&
        (rc = http_client_call(NULL, client, &call, err)) == RC_OK)
        rc = wait_until(loop, is_over, &asking, 2 * ANSWER_MS, err);
    if (rc == RC_OK && asking.status != 200)
        rc = err_set(err, RC_DENIED, "bench.subscribe", "POST %s was answered %d", url,
                     asking.status);
    http_client_free(&client);
    return rc;
}

enum rc
subscribe(struct loop *loop, struct platform *platform, uint16_t sink_port, struct err *err)
{
    char app[64], secret[VALUE_MAX], waba[64], token[VALUE_MAX], url[256], here[64],
        app_token[2 * VALUE_MAX];
    unsigned port = platform_http_port(platform);
    struct json_writer w;
    struct buf body;
    enum rc rc;

    platform_env(platform, "PARLEY_APP_ID", app, sizeof(app));
    platform_env(platform, "PARLEY_APP_SECRET", secret, sizeof(secret));
    platform_env(platform, "PARLEY_WABA_ID", waba, sizeof(waba));
    platform_env(platform, "PARLEY_TOKEN", token, sizeof(token));
    snprintf(app_token, sizeof(app_token), "%s|%s", app, secret);
    snprintf(here, sizeof(here), "http://127.0.0.1:%u/hook", sink_port);
    buf_init(&body, 4096);
    jw_init(&w, &body);
    jw_object(&w);
    jw_kv_str(&w, "object", "whatsapp_business_account");
    jw_kv_str(&w, "callback_url", here);
    jw_kv_str(&w, "verify_token", "bench");
    jw_kv_str(&w, "fields", "messages");
    jw_object_end(&w);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/v24.0/%s/subscriptions", port, app);
    rc = post(loop, url, app_token, buf_bytes(&body), err);
    buf_free(&body);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/v24.0/%s/subscribed_apps", port, waba);
    return rc == RC_OK ? post(loop, url, token, bytes_of_str("{}"), err) : rc;
}
