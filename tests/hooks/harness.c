/* harness.c - see harness.h. */
#include "harness.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/prim.h"

enum { SQL_COUNT };
static const char *const look_statements[] = {
    [SQL_COUNT] = "SELECT COUNT(*) FROM hook WHERE account = ?1 AND state = ?2",
};
static const struct store_part look_part = {
    .name = "look", .statements = look_statements, .n_statements = 1};

/* ---- the receiver ---- */

static void
copy_header(char *out, size_t size, const struct http_request *req, const char *name)
{
    const char *value = http_request_header(req, name);

    snprintf(out, size, "%s", value == NULL ? "" : value);
}

static void
record(struct hooks_world *w, const struct http_request *req)
{
    struct seen_call *c = &w->calls[w->n_calls++ % CALLS_MAX];
    struct bytes body = http_request_body(req);
    const char *name, *value;

    memset(c, 0, sizeof(*c));
    c->at_ms = clock_unix_ms(w->clock);
    snprintf(c->path, sizeof(c->path), "%s", http_request_path(req));
    for (unsigned i = 0; http_request_query_at(req, i, &name, &value); i++)
        snprintf(c->query + strlen(c->query), sizeof(c->query) - strlen(c->query), "%s=%s;", name,
                 value);
    copy_header(c->event_id, sizeof(c->event_id), req, "X-Parley-Event-Id");
    copy_header(c->sha1, sizeof(c->sha1), req, "X-Hub-Signature");
    copy_header(c->sha256, sizeof(c->sha256), req, "X-Hub-Signature-256");
    copy_header(c->agent, sizeof(c->agent), req, "User-Agent");
    copy_header(c->type, sizeof(c->type), req, "Content-Type");
    c->len = body.len;
    sha256(c->digest, body);
    snprintf(c->head, sizeof(c->head), "%.*s", (int)body.len, (const char *)body.ptr);
}

static void
on_request(void *ctx, struct http_request *req)
{
    struct hooks_world *w = ctx;
    const char *path = http_request_path(req);
    const char *challenge = http_request_query(req, "hub.challenge");
    struct http_header location = {"Location", "/ok/else"};
    int status = 200;

    record(w, req);
    if (strncmp(path, "/hold", 5) == 0) {
        w->held[w->n_held++] = req;
        return;
    }
    if (strncmp(path, "/flip", 5) == 0)
        status = w->flip_status;
    else if (strncmp(path, "/s", 2) == 0)
        status = atoi(path + 2);
    http_reply(req, status, &location, status >= 300 && status < 400,
               strncmp(path, "/wrong", 6) == 0 ? bytes_of_str("1") : bytes_of_str(challenge));
}

void
hooks_release_held(struct hooks_world *w, int status)
{
    for (uint32_t i = 0; i < w->n_held; i++)
        http_reply(w->held[i], status, NULL, 0, bytes_of(NULL, 0));
    w->n_held = 0;
}

/* ---- life ---- */

static bool
secret_of(void *ctx, uint64_t app, char out[129])
{
    if (app == NO_SECRET_APP)
        return false;
    snprintf(out, 129, "%s", SECRET);
    return true;
}

void
hooks_open_pump(struct hooks_world *w)
{
    assert_int_equal(hooks_pump_open(&w->pump, &w->opt, NULL), RC_OK);
}

static void
open_store(struct hooks_world *w)
{
    static const struct store_part *const parts[] = {&hooks_part, &look_part};
    char path[96];

    snprintf(path, sizeof(path), "%s/store.db", w->dir);
    assert_int_equal(store_open(&w->store,
                                &(struct store_opt){
                                    .path = path, .parts = parts, .n_parts = 2, .log = log_none()},
                                NULL),
                     RC_OK);
    w->opt.store = w->store;
}

int
hooks_setup(void **state)
{
    struct hooks_world *w = test_calloc(1, sizeof(*w));
    char ring[96], master[96];

    assert_int_equal(crypto_start(NULL), RC_OK);
    w->calls = test_calloc(CALLS_MAX, sizeof(*w->calls));
    snprintf(w->dir, sizeof(w->dir), "/tmp/parley-hooks-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(ring, sizeof(ring), "%s/ring", w->dir);
    snprintf(master, sizeof(master), "%s/master", w->dir);
    assert_int_equal(loop_new(&w->loop, NULL), RC_OK);
    assert_int_equal(clock_new_fake(&w->clock, START_MS, 0, NULL), RC_OK);
    assert_int_equal(
        keyring_open(
            &w->ring,
            &(struct keyring_opt){.ring_path = ring, .master_path = master, .rng = rng_system()},
            NULL),
        RC_OK);
    assert_int_equal(http_server_open(&w->receiver,
                                      &(struct http_server_opt){.loop = w->loop,
                                                                .log = log_none(),
                                                                .host = "127.0.0.1",
                                                                .max_body = 8u << 20,
                                                                .on_request = on_request,
                                                                .ctx = w},
                                      NULL),
                     RC_OK);
    w->opt = (struct hooks_pump_opt){.loop = w->loop,
                                     .ring = w->ring,
                                     .clock = w->clock,
                                     .rng = rng_system(),
                                     .log = log_none(),
                                     .allow_private_hosts = true,
                                     .secret_of = secret_of,
                                     .ctx = w};
    open_store(w);
    hooks_open_pump(w);
    *state = w;
    return 0;
}

static void
remove_dir(const char *dir)
{
    DIR *d = opendir(dir);
    char path[512];

    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        unlink(path);
    }
    if (d != NULL)
        closedir(d);
    rmdir(dir);
}

int
hooks_teardown(void **state)
{
    struct hooks_world *w = *state;

    hooks_pump_free(&w->pump);
    http_server_free(&w->receiver);
    store_free(&w->store);
    loop_free(&w->loop);
    keyring_free(&w->ring);
    clock_free(&w->clock);
    remove_dir(w->dir);
    test_free(w->calls);
    test_free(w);
    return 0;
}

void
hooks_restart(struct hooks_world *w)
{
    hooks_pump_free(&w->pump);
    store_free(&w->store);
    open_store(w);
    hooks_open_pump(w);
}

/* ---- doing things ---- */

const char *
hooks_url(struct hooks_world *w, const char *path)
{
    static char urls[4][256];
    static unsigned turn;
    char *out = urls[turn++ % 4];

    snprintf(out, sizeof(urls[0]), "http://127.0.0.1:%u%s", http_server_port(w->receiver), path);
    return out;
}

struct put {
    struct hooks_world *w;
    const struct hooks_event *event;
    uint8_t *event_id;
};

static enum rc
put_run(void *ctx, struct store_tx *tx, struct err *err)
{
    struct put *put = ctx;

    return hooks_enqueue(put->w->pump, tx, put->event, put->event_id, err);
}

void
hooks_put_as(struct hooks_world *w, const struct hooks_event *event, uint8_t event_id[16])
{
    uint8_t unused[16];
    struct put put = {w, event, event_id == NULL ? unused : event_id};

    assert_int_equal(store_do(w->store, put_run, &put, NULL), RC_OK);
}

void
hooks_put(struct hooks_world *w, uint64_t account, const char *url, const char *body,
          uint8_t event_id[16])
{
    struct hooks_event event = {.account = account,
                                .app = 7,
                                .profile = HOOKS_CLOUD,
                                .url = url,
                                .body = bytes_of_str(body),
                                .now_ms = clock_unix_ms(w->clock)};

    hooks_put_as(w, &event, event_id);
}

static void
on_drained(void *ctx)
{
    ((struct hooks_world *)ctx)->is_drained = true;
}

void
hooks_drain(struct hooks_world *w)
{
    w->is_drained = false;
    hooks_pump_drain(w->pump, on_drained, w);
    net_wait(w->loop, &w->is_drained);
}

void
hooks_advance(struct hooks_world *w, int64_t ms)
{
    clock_fake_advance(w->clock, ms);
    hooks_drain(w);
}

/* ---- looking ---- */

struct look {
    uint64_t account;
    int parked;
    uint64_t count;
};

static enum rc
look_run(void *ctx, struct store_tx *tx, struct err *err)
{
    struct look *look = ctx;
    struct store_rows rows;

    store_query(&rows, tx, &look_part, SQL_COUNT, ST_ARGS(ST_I(look->account), ST_I(look->parked)));
    look->count = (uint64_t)store_col_int(&rows, 0);
    store_rows_end(&rows);
    return rows.rc;
}

uint64_t
hooks_count(struct hooks_world *w, uint64_t account, int parked)
{
    struct look look = {account, parked, 0};

    assert_int_equal(store_do(w->store, look_run, &look, NULL), RC_OK);
    return look.count;
}

uint32_t
hooks_calls_to(const struct hooks_world *w, const char *path)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < w->n_calls && i < CALLS_MAX; i++)
        n += strcmp(w->calls[i].path, path) == 0;
    return n;
}
