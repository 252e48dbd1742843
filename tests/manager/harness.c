/* harness.c - a manager in the test's own process; see harness.h. */
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "crypto/ca.h"
#include "crypto/prim.h"
#include "http/client.h"

#define WAIT_MS 15000u

const char *
fmt(const char *format, ...)
{
    static char texts[32][4096];
    static unsigned turn;
    char *text = texts[turn++ % 32];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(texts[0]), format, args);
    va_end(args);
    return text;
}

/* ---- waiting ---- */

struct guard {
    struct loop_timer timer;
    bool is_due;
};

static void
guard_due(struct loop_timer *timer)
{
    ((struct guard *)timer)->is_due = true;
}

static void
guard_closed(struct loop_timer *timer)
{
    free(timer);
}

/* Run the loop until *flag or the limit; false at the limit. */
static bool
run_until(struct harness *h, const bool *flag)
{
    struct guard *guard = calloc(1, sizeof(*guard));
    bool is_due;

    loop_timer_init(h->loop, &guard->timer, guard_due);
    loop_timer_start(&guard->timer, WAIT_MS, 0);
    while (!*flag && !guard->is_due)
        uv_run(loop_uv(h->loop), UV_RUN_ONCE);
    is_due = guard->is_due;
    loop_timer_close(&guard->timer, guard_closed);
    return !is_due;
}

/* ---- certificates ---- */

static void
put_file(const struct harness *h, const char *name, struct buf *text)
{
    char path[160];
    struct err err;

    snprintf(path, sizeof(path), "%s/%s", h->dir, name);
    if (file_replace(path, buf_bytes(text), 0600, &err) != RC_OK)
        fail_msg("%s", err.text);
}

static void
get_file(const struct harness *h, const char *name, struct buf *out)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/%s", h->dir, name);
    buf_init(out, CA_PEM_MAX);
    assert_int_equal(file_read(out, path, CA_PEM_MAX - 1, NULL), RC_OK);
}

static void
make_leaf(const struct harness *h, const char *cn)
{
    static const char *const names[] = {"localhost", "127.0.0.1"};
    const struct ca_leaf leaf = {.common_name = cn,
                                 .names = names,
                                 .n_names = 2,
                                 .is_server = true,
                                 .is_client = true,
                                 .now_unix_s = time(NULL)};
    struct buf ca_cert, ca_key, cert, key;

    get_file(h, "ca.pem", &ca_cert);
    get_file(h, "ca.key", &ca_key);
    buf_init(&cert, CA_PEM_MAX);
    buf_init(&key, CA_PEM_MAX);
    assert_int_equal(ca_issue(&cert, &key, buf_bytes(&ca_cert), buf_bytes(&ca_key), &leaf, NULL),
                     RC_OK);
    put_file(h, fmt("%s.pem", cn), &cert);
    put_file(h, fmt("%s.key", cn), &key);
    buf_free(&cert);
    buf_free(&key);
    buf_free(&ca_cert);
    buf_free(&ca_key);
}

static struct http_client *
client_of(struct harness *h, const char *cn)
{
    struct http_client_opt opt = {.loop = h->loop, .log = log_none()};
    char ca[160], cert[160], key[160];
    size_t i;

    for (i = 0; i < 8 && h->client_names[i] != NULL; i++) {
        if (strcmp(h->client_names[i], cn) == 0)
            return h->clients[i];
    }
    assert_true(i < 8);
    make_leaf(h, cn);
    snprintf(ca, sizeof(ca), "%s/ca.pem", h->dir);
    snprintf(cert, sizeof(cert), "%s/%s.pem", h->dir, cn);
    snprintf(key, sizeof(key), "%s/%s.key", h->dir, cn);
    opt.ca_file = ca;
    opt.cert_file = cert;
    opt.key_file = key;
    assert_int_equal(http_client_open(&h->clients[i], &opt, NULL), RC_OK);
    h->client_names[i] = cn;
    return h->clients[i];
}

/* ---- start and stop ---- */

static void
open_manager(struct harness *h)
{
    struct buf ca, cert, key;
    struct manager_opt opt = {.loop = h->loop,
                              .log = h->log,
                              .clock = h->clock,
                              .rng = rng_system(),
                              .host = "127.0.0.1",
                              .seed = h->has_seed ? h->seed : NULL};
    char dir[128];
    struct err err = {0};

    snprintf(dir, sizeof(dir), "%s/manager", h->dir);
    opt.dir = dir;
    get_file(h, "ca.pem", &ca);
    get_file(h, "parley-manager.pem", &cert);
    get_file(h, "parley-manager.key", &key);
    opt.ca_pem = buf_cstr(&ca);
    opt.cert_pem = buf_cstr(&cert);
    opt.key_pem = buf_cstr(&key);
    if (manager_open(&h->manager, &opt, &err) != RC_OK)
        fail_msg("%s", err.text);
    buf_free(&ca);
    buf_free(&cert);
    buf_free(&key);
}

void
harness_start(struct harness *h, const char *seed)
{
    struct buf cert, key;
    char dir[128];

    memset(h, 0, sizeof(*h));
    snprintf(h->dir, sizeof(h->dir), "/tmp/parley-manager-XXXXXX");
    assert_non_null(mkdtemp(h->dir));
    if (seed != NULL) {
        snprintf(h->seed, sizeof(h->seed), "%s", seed);
        h->has_seed = true;
    }
    snprintf(dir, sizeof(dir), "%s/manager", h->dir);
    assert_int_equal(dir_make(dir, 0700, NULL), RC_OK);
    assert_int_equal(crypto_start(NULL), RC_OK);
    snprintf(dir, sizeof(dir), "%s/log", h->dir);
    h->null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_int_equal(
        log_open(&h->log,
                 &(struct log_opt){
                     .program = "manager", .level = LOG_TRACE, .fd = h->null_fd, .file = dir},
                 NULL),
        RC_OK);
    assert_int_equal(loop_new(&h->loop, NULL), RC_OK);
    assert_int_equal(clock_new_fake(&h->clock, HARNESS_NOW_MS, 1000, NULL), RC_OK);
    buf_init(&cert, CA_PEM_MAX);
    buf_init(&key, CA_PEM_MAX);
    assert_int_equal(ca_make(&cert, &key, "Parley test CA", time(NULL), NULL), RC_OK);
    put_file(h, "ca.pem", &cert);
    put_file(h, "ca.key", &key);
    buf_free(&cert);
    buf_free(&key);
    make_leaf(h, "parley-manager");
    open_manager(h);
}

static void
close_clients(struct harness *h)
{
    for (size_t i = 0; i < 8; i++) {
        http_client_free(&h->clients[i]);
        h->client_names[i] = NULL;
    }
}

void
harness_restart(struct harness *h)
{
    close_clients(h);
    manager_free(&h->manager);
    open_manager(h);
}

void
harness_stop(struct harness *h)
{
    char command[128];

    close_clients(h);
    manager_free(&h->manager);
    loop_free(&h->loop);
    clock_free(&h->clock);
    log_close(&h->log);
    close(h->null_fd);
    snprintf(command, sizeof(command), "rm -rf %s", h->dir);
    assert_int_equal(system(command), 0);
}

/* ---- calls ---- */

struct waiting {
    bool is_done;
    enum rc rc;
    int status;
    json_t *answer;
    char error[128];
};

static void
answered(void *ctx, enum rc rc, int status, struct bytes body, const char *error_text)
{
    struct waiting *wait = ctx;

    wait->is_done = true;
    wait->rc = rc;
    wait->status = status;
    snprintf(wait->error, sizeof(wait->error), "%s", error_text == NULL ? "" : error_text);
    if (rc == RC_OK && body.len > 0)
        (void)!json_read(&wait->answer, body, 8u << 20, NULL);
}

static void
nobody_waits(void *ctx, enum rc rc, int status, struct bytes body, const char *error_text)
{
}

void
harness_fire(struct harness *h, const char *cn, enum http_method method, const char *path,
             const char *body)
{
    char url[512];

    snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", manager_port(h->manager), path);
    assert_int_equal(http_client_call(NULL, client_of(h, cn),
                                      &(struct http_call_opt){.method = method,
                                                              .url = url,
                                                              .body = bytes_of_str(body),
                                                              .response_max = 1u << 20,
                                                              .on_done = nobody_waits},
                                      NULL),
                     RC_OK);
}

int
harness_ask(struct harness *h, json_t **out, const char *cn, enum http_method method,
            const char *path, const char *body)
{
    struct waiting wait = {0};
    char url[512];

    snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", manager_port(h->manager), path);
    assert_int_equal(http_client_call(NULL, client_of(h, cn),
                                      &(struct http_call_opt){.method = method,
                                                              .url = url,
                                                              .body = bytes_of_str(body),
                                                              .response_max = 8u << 20,
                                                              .on_done = answered,
                                                              .ctx = &wait},
                                      NULL),
                     RC_OK);
    if (!run_until(h, &wait.is_done))
        fail_msg("%s: no answer", path);
    if (wait.rc != RC_OK)
        fail_msg("%s: %s", path, wait.error);
    if (out != NULL)
        *out = wait.answer;
    else
        json_decref(wait.answer);
    return wait.status;
}

json_t *
harness_get(struct harness *h, const char *cn, const char *path)
{
    json_t *answer;

    assert_int_equal(harness_ask(h, &answer, cn, HTTP_GET, path, NULL), 200);
    assert_non_null(answer);
    return answer;
}

json_t *
harness_post(struct harness *h, const char *cn, const char *path, const char *body)
{
    json_t *answer;
    int status = harness_ask(h, &answer, cn, HTTP_POST, path, body);

    if (status != 200)
        fail_msg("%s: status %d %s", path, status,
                 json_str(json_object_get(answer, "error"), "message"));
    assert_non_null(answer);
    return answer;
}

static char *
to_text(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);

    assert_non_null(text);
    return text;
}

int
harness_graph(struct harness *h, json_t **out, const char *token, const char *method,
              const char *path, const char *params)
{
    json_t *principal, *request, *answer, *parsed = NULL;
    char *text;
    int status;

    principal = harness_post(h, "parley-cloud", "/internal/v1/tokens/check",
                             fmt("{\"token\":\"%s\"}", token));
    if (params != NULL)
        assert_int_equal(json_read(&parsed, bytes_of_str(params), 65536, NULL), RC_OK);
    request = json_pack("{s:s, s:s, s:s, s:o, s:o, s:s}", "method", method, "path", path, "version",
                        "v24.0", "params", parsed == NULL ? json_object() : parsed, "principal",
                        principal, "trace_id", "AbQtrace");
    text = to_text(request);
    answer = harness_post(h, "parley-cloud", "/internal/v1/graph", text);
    status = (int)json_int(answer, "status", 0);
    if (out != NULL)
        *out = json_incref(json_object_get(answer, "body"));
    free(text);
    json_decref(request);
    json_decref(answer);
    return status;
}

int
graph_code(const json_t *body)
{
    return (int)json_int(json_object_get(body, "error"), "code", 0);
}

int
graph_subcode(const json_t *body)
{
    return (int)json_int(json_object_get(body, "error"), "error_subcode", 0);
}

void
tenant_make(struct tenant *t, struct harness *h, const char *name, const char *digits)
{
    t->answer = harness_post(h, "parley-cli", "/internal/v1/provision",
                             fmt("{\"name\":\"%s\",\"number\":\"%s\"}", name, digits));
    t->business = json_str(t->answer, "business_id");
    t->waba = json_str(t->answer, "waba_id");
    t->number = json_str(t->answer, "phone_number_id");
    t->app = json_str(t->answer, "app_id");
    t->secret = json_str(t->answer, "app_secret");
    t->token = json_str(t->answer, "token");
    t->token_id = json_str(t->answer, "token_id");
    assert_non_null(t->token);
    snprintf(t->app_token, sizeof(t->app_token), "%s|%s", t->app, t->secret);
}

void
tenant_free(struct tenant *t)
{
    json_decref(t->answer);
    memset(t, 0, sizeof(*t));
}

/* ---- the push stream ---- */

static void
stream_data(void *ctx, struct bytes data)
{
    buf_put(&((struct listener *)ctx)->text, data);
}

static void
stream_over(void *ctx, enum rc rc, int status, struct bytes body, const char *error_text)
{
    ((struct listener *)ctx)->is_over = true;
}

void
listener_open(struct listener *l, struct harness *h, const char *cn)
{
    char url[128];

    memset(l, 0, sizeof(*l));
    l->h = h;
    buf_init(&l->text, 4u << 20);
    snprintf(url, sizeof(url), "https://127.0.0.1:%u/internal/v1/events", manager_port(h->manager));
    assert_int_equal(http_client_call(&l->call, client_of(h, cn),
                                      &(struct http_call_opt){.method = HTTP_GET,
                                                              .url = url,
                                                              .total_timeout_ms = UINT32_MAX,
                                                              .on_data = stream_data,
                                                              .on_done = stream_over,
                                                              .ctx = l},
                                      NULL),
                     RC_OK);
}

void
listener_close(struct listener *l)
{
    if (!l->is_over)
        http_call_cancel(l->call);
    if (!run_until(l->h, &l->is_over))
        fail_msg("the stream does not end");
    buf_free(&l->text);
}

json_t *
listener_next(struct listener *l)
{
    time_t limit = time(NULL) + WAIT_MS / 1000;
    const uint8_t *end;
    json_t *line;

    for (;;) {
        end = l->read < l->text.len ? memchr(l->text.ptr + l->read, '\n', l->text.len - l->read)
                                    : NULL;
        if (end != NULL)
            break;
        if (l->is_over || time(NULL) > limit)
            fail_msg("no further line on the stream");
        loop_poll(l->h->loop);
    }
    assert_int_equal(
        json_read(&line, bytes_of(l->text.ptr + l->read, (size_t)(end - l->text.ptr) - l->read),
                  1u << 20, NULL),
        RC_OK);
    l->read = (size_t)(end - l->text.ptr) + 1;
    return line;
}

json_t *
listener_find(struct listener *l, const char *event)
{
    for (;;) {
        json_t *line = listener_next(l);

        if (strcmp(json_str(line, "event"), event) == 0)
            return line;
        json_decref(line);
    }
}
