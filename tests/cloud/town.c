/* town.c - see town.h. */
#include "town.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "content/wamid.h"
#include "crypto/ca.h"

/* ---- certificates ---- */

static void
put_file(const char *path, const struct buf *text)
{
    assert_int_equal(file_replace(path, buf_bytes(text), 0600, NULL), RC_OK);
}

static void
make_certificates(struct town *t)
{
    static const char *const programs[] = {"parley-manager", "parley-cloud", "parley-cli"};
    static const char *const names[] = {"localhost", "127.0.0.1"};
    struct buf root, root_key;

    buf_init(&root, CA_PEM_MAX);
    buf_init(&root_key, CA_PEM_MAX);
    assert_int_equal(ca_make(&root, &root_key, "Test", time(NULL), NULL), RC_OK);
    snprintf(t->ca, sizeof t->ca, "%s/ca.pem", t->net.dir);
    put_file(t->ca, &root);
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        const struct ca_leaf leaf = {.common_name = programs[i],
                                     .names = names,
                                     .n_names = 2,
                                     .is_server = true,
                                     .is_client = true,
                                     .now_unix_s = time(NULL)};
        char path[160];
        struct buf cert, key;

        buf_init(&cert, CA_PEM_MAX);
        buf_init(&key, CA_PEM_MAX);
        assert_int_equal(ca_issue(&cert, &key, buf_bytes(&root), buf_bytes(&root_key), &leaf, NULL),
                         RC_OK);
        snprintf(path, sizeof path, "%s/%s.pem", t->net.dir, programs[i]);
        put_file(path, &cert);
        snprintf(path, sizeof path, "%s/%s.key", t->net.dir, programs[i]);
        put_file(path, &key);
        buf_free(&cert);
        buf_wipe(&key);
    }
    buf_free(&root);
    buf_wipe(&root_key);
}

static const char *
path_of(const struct town *t, char out[160], const char *name)
{
    snprintf(out, 160, "%s/%s", t->net.dir, name);
    return out;
}

/* ---- the manager and the Cloud ---- */

static void
read_pem(const struct town *t, struct buf *out, const char *name)
{
    char path[160];

    buf_init(out, CA_PEM_MAX);
    assert_int_equal(file_read(out, path_of(t, path, name), CA_PEM_MAX - 1, NULL), RC_OK);
}

void
town_open_manager(struct town *t)
{
    char dir[160];
    struct buf ca, cert, key;
    struct manager_opt opt = {.loop = t->net.loop,
                              .log = t->net.log,
                              .clock = t->net.clock,
                              .rng = rng_system(),
                              .dir = path_of(t, dir, "manager"),
                              .host = "127.0.0.1"};
    struct err err = {0};

    read_pem(t, &ca, "ca.pem");
    read_pem(t, &cert, "parley-manager.pem");
    read_pem(t, &key, "parley-manager.key");
    opt.ca_pem = buf_cstr(&ca);
    opt.cert_pem = buf_cstr(&cert);
    opt.key_pem = buf_cstr(&key);
    if (manager_open(&t->manager, &opt, &err) != RC_OK)
        fail_msg("%s: %s", err.site, err.text);
    buf_free(&ca);
    buf_free(&cert);
    buf_wipe(&key);
}

static void
on_ready(void *ctx)
{
    ((struct town *)ctx)->is_ready = true;
}

static bool
is_ready(void *ctx)
{
    return ((struct town *)ctx)->is_ready;
}

void
town_open_cloud(struct town *t)
{
    char manager[32], dir[160], cert[160], key[160];
    struct cloud_opt opt = {
        .loop = t->net.loop,
        .log = t->net.log,
        .clock = t->net.clock,
        .rng = rng_system(),
        .data_dir = path_of(t, dir, "cloud"),
        .node = "node-a",
        .http = {"127.0.0.1", 0},
        .internal = {"127.0.0.1", 0},
        .ca_file = t->ca,
        .cert_file = path_of(t, cert, "parley-cloud.pem"),
        .key_file = path_of(t, key, "parley-cloud.key"),
        .manager = manager,
        .relay_host = "127.0.0.1",
        .relay_port = t->net.port,
        .policy = "off",
        .allow_private_hosts = true,
        .on_ready = on_ready,
        .ctx = t
    };
    struct err err = {0};

    snprintf(manager, sizeof manager, "127.0.0.1:%u", manager_port(t->manager));
    memcpy(opt.relay_root, t->net.root_pub, 32);
    snprintf(t->cert_dir, sizeof t->cert_dir, "%s", t->net.dir);
    t->is_ready = false;
    if (cloud_open(&t->cloud, &opt, &err) != RC_OK)
        fail_msg("%s: %s", err.site, err.text);
    assert_true(net_wait(&t->net, is_ready, t));
}

static void
on_closed(void *ctx)
{
    ((struct town *)ctx)->is_closed = true;
}

static bool
is_closed(void *ctx)
{
    return ((struct town *)ctx)->is_closed;
}

void
town_close_cloud(struct town *t)
{
    t->is_closed = false;
    cloud_close(&t->cloud, on_closed, t);
    assert_true(net_wait(&t->net, is_closed, t));
}

/* ---- the business's server ---- */

static void
on_hook(void *ctx, struct http_request *req)
{
    struct town *t = ctx;
    struct hook *hook = &t->hooks[t->n_hooks];
    const char *challenge = http_request_query(req, "hub.challenge");
    struct bytes body = http_request_body(req);
    const char *signature = http_request_header(req, "X-Hub-Signature-256");
    const char *event_id = http_request_header(req, "X-Parley-Event-Id");

    if (challenge != NULL) {
        http_reply(req, 200, NULL, 0, bytes_of_str(challenge));
        return;
    }
    assert_in_range(t->n_hooks, 0, HOOKS_MAX - 1);
    snprintf(hook->path, sizeof hook->path, "%s", http_request_path(req));
    snprintf(hook->signature, sizeof hook->signature, "%s", signature == NULL ? "" : signature);
    snprintf(hook->event_id, sizeof hook->event_id, "%s", event_id == NULL ? "" : event_id);
    snprintf(hook->text, sizeof hook->text, "%.*s", (int)body.len, (const char *)body.ptr);
    assert_int_equal(json_read(&hook->body, body, 1 << 20, NULL), RC_OK);
    t->n_hooks++;
    http_reply(req, t->receiver_status, NULL, 0, bytes_of(NULL, 0));
}

/* ---- start and stop ---- */

void
town_start(struct town *t)
{
    struct http_client_opt tool = {0}, web = {0};
    struct http_server_opt receiver = {
        .host = "127.0.0.1", .max_body = 1 << 20, .on_request = on_hook, .ctx = t};
    char path[160], cert[160], key[160];
    uint8_t seed[32];
    struct err err = {0};

    memset(t, 0, sizeof *t);
    t->receiver_status = 200;
    net_init(&t->net);
    make_certificates(t);
    assert_int_equal(mkdir(path_of(t, path, "cloud"), 0700), 0);
    assert_int_equal(mkdir(path_of(t, path, "manager"), 0700), 0);
    assert_int_equal(manager_authority(seed, t->net.authority_pub, path, rng_system(), &err),
                     RC_OK);
    memcpy(t->net.relay_opt.authority, t->net.authority_pub, 32);
    net_start(&t->net);
    tool.loop = web.loop = receiver.loop = t->net.loop;
    tool.log = web.log = receiver.log = t->net.log;
    tool.ca_file = t->ca;
    tool.cert_file = path_of(t, cert, "parley-cli.pem");
    tool.key_file = path_of(t, key, "parley-cli.key");
    assert_int_equal(http_client_open(&t->tool, &tool, &err), RC_OK);
    assert_int_equal(http_client_open(&t->web, &web, &err), RC_OK);
    assert_int_equal(http_server_open(&t->receiver, &receiver, &err), RC_OK);
    town_open_manager(t);
    town_open_cloud(t);
}

void
town_stop(struct town *t)
{
    if (t->cloud != NULL)
        town_close_cloud(t);
    http_client_free(&t->tool);
    http_client_free(&t->web);
    http_server_free(&t->receiver);
    manager_free(&t->manager);
    for (size_t i = 0; i < t->n_hooks; i++)
        json_decref(t->hooks[i].body);
    net_wipe(&t->net);
}

/* ---- calls ---- */

struct waiting {
    bool is_done;
    enum rc rc;
    int status;
    json_t *answer;
};

static void
answered(void *ctx, enum rc rc, int status, struct bytes body, const char *text)
{
    struct waiting *w = ctx;

    w->is_done = true;
    w->rc = rc;
    w->status = status;
    if (rc == RC_OK && body.len > 0)
        (void)!json_read(&w->answer, body, 1 << 22, NULL);
}

static bool
is_done(void *ctx)
{
    return ((struct waiting *)ctx)->is_done;
}

static int
call(struct town *t, struct http_client *client, json_t **out, struct http_call_opt *opt)
{
    struct waiting w = {.is_done = false};

    opt->response_max = 1 << 22;
    opt->on_done = answered;
    opt->ctx = &w;
    assert_int_equal(http_client_call(NULL, client, opt, NULL), RC_OK);
    assert_true(net_wait(&t->net, is_done, &w));
    assert_int_equal(w.rc, RC_OK);
    if (out != NULL)
        *out = w.answer;
    else
        json_decref(w.answer);
    return w.status;
}

static int
graph(struct town *t, json_t **out, enum http_method method, const char *path, const char *token,
      const char *body, const char *key)
{
    char url[512], authorization[600];
    struct http_header headers[3] = {
        {"Content-Type", "application/json"}
    };
    struct http_call_opt opt = {.method = method,
                                .url = url,
                                .headers = headers,
                                .n_headers = 1,
                                .body = bytes_of_str(body)};

    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", cloud_http_port(t->cloud), path);
    if (token != NULL) {
        snprintf(authorization, sizeof authorization, "Bearer %s", token);
        headers[opt.n_headers++] = (struct http_header){"Authorization", authorization};
    }
    if (key != NULL)
        headers[opt.n_headers++] = (struct http_header){"Idempotency-Key", key};
    return call(t, t->web, out, &opt);
}

int
town_graph(struct town *t, json_t **out, enum http_method method, const char *path,
           const char *token, const char *body)
{
    return graph(t, out, method, path, token, body, NULL);
}

int
town_graph_keyed(struct town *t, json_t **out, const char *path, const char *token,
                 const char *body, const char *key)
{
    return graph(t, out, HTTP_POST, path, token, body, key);
}

static void
on_fired(void *ctx, enum rc rc, int status, struct bytes body, const char *text)
{
    ++*(unsigned *)ctx;
}

void
town_fire(struct town *t, const char *path, const char *token, const char *body, unsigned *done)
{
    char url[512], authorization[600];
    struct http_header headers[] = {
        {"Content-Type",  "application/json"},
        {"Authorization", authorization     }
    };
    struct http_call_opt opt = {.method = HTTP_POST,
                                .url = url,
                                .headers = headers,
                                .n_headers = 2,
                                .body = bytes_of_str(body),
                                .response_max = 1 << 20,
                                .on_done = on_fired,
                                .ctx = done};

    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", cloud_http_port(t->cloud), path);
    snprintf(authorization, sizeof authorization, "Bearer %s", token);
    assert_int_equal(http_client_call(NULL, t->web, &opt, NULL), RC_OK);
}

static int
tool_call(struct town *t, uint16_t port, json_t **out, enum http_method method, const char *path,
          const char *body)
{
    static const struct http_header json = {"Content-Type", "application/json"};
    char url[512];
    struct http_call_opt opt = {
        .method = method, .url = url, .headers = &json, .n_headers = 1, .body = bytes_of_str(body)};

    snprintf(url, sizeof url, "https://127.0.0.1:%u%s", port, path);
    return call(t, t->tool, out, &opt);
}

int
town_manage(struct town *t, json_t **out, enum http_method method, const char *path,
            const char *body)
{
    return tool_call(t, manager_port(t->manager), out, method, path, body);
}

/* ---- a business ---- */

static void
take(char *out, size_t size, const json_t *answer, const char *name)
{
    assert_non_null(json_str(answer, name));
    snprintf(out, size, "%s", json_str(answer, name));
}

static void
tool_must(struct town *t, const char *path, const char *body)
{
    json_t *answer;

    if (tool_call(t, cloud_internal_port(t->cloud), &answer, HTTP_POST, path, body) != 200)
        fail_msg("%s: %s", path, json_str(json_object_get(answer, "error"), "message"));
    json_decref(answer);
}

static void
register_number(struct town *t, struct shop *shop)
{
    char path[128], body[64], code[8];
    int status = 404;

    snprintf(path, sizeof path, "/internal/v1/numbers/%s/request_code", shop->number);
    for (unsigned i = 0; i < 200 && status != 200; i++) { /* until the stream has brought it */
        status = tool_call(t, cloud_internal_port(t->cloud), NULL, HTTP_POST, path, "{}");
        if (status != 200)
            net_pass_ms(&t->net, 25);
    }
    assert_int_equal(status, 200);
    net_code(&t->net, shop->digits, code);
    snprintf(path, sizeof path, "/internal/v1/numbers/%s/verify_code", shop->number);
    snprintf(body, sizeof body, "{\"code\":\"%s\"}", code);
    tool_must(t, path, body);
    snprintf(path, sizeof path, "/internal/v1/numbers/%s/register", shop->number);
    tool_must(t, path, "{\"pin\":\"123456\"}");
}

static void
subscribe(struct town *t, struct shop *shop, const char *path)
{
    char graph_path[64], body[512];
    json_t *answer;

    snprintf(graph_path, sizeof graph_path, "/v24.0/%s/subscriptions", shop->app);
    snprintf(body, sizeof body,
             "{\"object\":\"whatsapp_business_account\",\"callback_url\":\"http://127.0.0.1:%u%s\","
             "\"verify_token\":\"shared-word\",\"fields\":[\"messages\"]}",
             http_server_port(t->receiver), path);
    if (town_graph(t, &answer, HTTP_POST, graph_path, shop->app_token, body) != 200)
        fail_msg("%s", json_str(json_object_get(answer, "error"), "message"));
    json_decref(answer);
}

void
shop_open(struct shop *shop, struct town *t, const char *name, uint64_t digits, const char *path)
{
    char body[256];
    json_t *answer;

    memset(shop, 0, sizeof *shop);
    shop->digits = digits;
    snprintf(body, sizeof body, "{\"name\":\"%s\",\"number\":\"%llu\",\"hosting\":\"cloud\"}", name,
             (unsigned long long)digits);
    assert_int_equal(town_manage(t, &answer, HTTP_POST, "/internal/v1/provision", body), 200);
    take(shop->business, sizeof shop->business, answer, "business_id");
    take(shop->waba, sizeof shop->waba, answer, "waba_id");
    take(shop->number, sizeof shop->number, answer, "phone_number_id");
    take(shop->app, sizeof shop->app, answer, "app_id");
    take(shop->secret, sizeof shop->secret, answer, "app_secret");
    take(shop->token, sizeof shop->token, answer, "token");
    snprintf(shop->app_token, sizeof shop->app_token, "%s|%s", shop->app, shop->secret);
    json_decref(answer);
    register_number(t, shop);
    if (path != NULL)
        subscribe(t, shop, path);
}

void
town_say(struct town *t, const struct shop *shop, uint64_t to, const char *text, char *wamid)
{
    char path[64], body[512];
    unsigned tries = 0;
    json_t *answer;
    int status;

    snprintf(path, sizeof path, "/v24.0/%s/messages", shop->number);
    snprintf(body, sizeof body,
             "{\"messaging_product\":\"whatsapp\",\"to\":\"%llu\",\"text\":{\"body\":\"%s\"}}",
             (unsigned long long)to, text);
    while ((status = town_graph(t, &answer, HTTP_POST, path, shop->token, body)) == 503) {
        json_decref(answer); /* just started */
        assert_in_range(tries++, 0, 400);
        net_pass_ms(&t->net, 10);
    }
    if (status != 200)
        fail_msg("%d: %s", status, json_str(json_object_get(answer, "error"), "message"));
    snprintf(wamid, WAMID_SIZE, "%s",
             json_str(json_array_get(json_object_get(answer, "messages"), 0), "id"));
    json_decref(answer);
}

/* ---- webhooks that came ---- */

const json_t *
hook_value(const struct hook *hook, const char *kind)
{
    const json_t *entry = json_array_get(json_object_get(hook->body, "entry"), 0);
    const json_t *change = json_array_get(json_object_get(entry, "changes"), 0);

    return json_array_get(json_object_get(json_object_get(change, "value"), kind), 0);
}

struct hook_wait {
    struct town *t;
    size_t n;
    const char *kind, *path, *id, *word;
    const struct hook *found;
};

static bool
has_hooks(void *ctx)
{
    struct hook_wait *w = ctx;

    return w->t->n_hooks >= w->n;
}

void
town_wait_hooks(struct town *t, size_t n)
{
    struct hook_wait w = {.t = t, .n = n};

    if (!net_wait(&t->net, has_hooks, &w))
        fail_msg("%zu webhooks instead of %zu", t->n_hooks, n);
}

static bool
has_status(void *ctx)
{
    struct hook_wait *w = ctx;

    for (size_t i = 0; i < w->t->n_hooks && w->found == NULL; i++) {
        const json_t *status = hook_value(&w->t->hooks[i], "statuses");

        if (status != NULL && strcmp(json_str(status, "id"), w->id) == 0 &&
            strcmp(json_str(status, "status"), w->word) == 0)
            w->found = &w->t->hooks[i];
    }
    return w->found != NULL;
}

const struct hook *
town_wait_status(struct town *t, const char *wamid, const char *status)
{
    struct hook_wait w = {.t = t, .id = wamid, .word = status};

    if (!net_wait(&t->net, has_status, &w))
        fail_msg("no status %s", status);
    return w.found;
}

static bool
has_message(void *ctx)
{
    struct hook_wait *w = ctx;

    for (size_t i = 0; i < w->t->n_hooks && w->found == NULL; i++) {
        const json_t *message = hook_value(&w->t->hooks[i], "messages");
        const char *text = json_str(json_object_get(message, "text"), "body");

        if (text != NULL && strcmp(text, w->word) == 0 && strcmp(w->t->hooks[i].path, w->path) == 0)
            w->found = &w->t->hooks[i];
    }
    return w->found != NULL;
}

const struct hook *
town_wait_message(struct town *t, const char *path, const char *text)
{
    struct hook_wait w = {.t = t, .path = path, .word = text};

    if (!net_wait(&t->net, has_message, &w))
        fail_msg("no message \"%s\" at %s", text, path);
    return w.found;
}
