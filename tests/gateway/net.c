/* net.c - the relay, the loop and the folders; see net.h. */
#include "net.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"

/* ---- the network ---- */

static void
make_certificate(struct net *net)
{
    struct relay_cert cert = {.host = "localhost", .not_after_s = INT64_C(4000000000)};

    x25519_keypair(net->relay_opt.key.priv, net->relay_opt.key.pub, rng_system());
    memcpy(cert.static_key, net->relay_opt.key.pub, 32);
    buf_init(&net->certificate, CERT_SIZE_MAX);
    assert_int_equal(relay_cert_issue(&cert, net->root_seed, &net->certificate, NULL), RC_OK);
}

static struct log *
log_of_environment(void)
{
    const char *level = getenv("PARLEY_TEST_LOG");
    struct log_opt opt = {.program = "test", .fd = 2};
    struct log *log = NULL;

    if (level == NULL)
        return log_none();
    assert_int_equal(log_level_read(&opt.level, level, NULL), RC_OK);
    assert_int_equal(log_open(&log, &opt, NULL), RC_OK);
    return log;
}

void
net_init(struct net *net)
{
    struct relay_opt *opt = &net->relay_opt;

    memset(net, 0, sizeof(*net));
    assert_int_equal(crypto_start(NULL), RC_OK);
    strcpy(net->dir, "/tmp/parley-net-XXXXXX");
    assert_non_null(mkdtemp(net->dir));
    net->log = log_of_environment();
    assert_int_equal(loop_new(&net->loop, NULL), RC_OK);
    assert_int_equal(clock_new_system(&net->clock, NULL), RC_OK);
    ed25519_keypair(net->root_seed, net->root_pub, rng_system());
    ed25519_keypair(net->authority_seed, net->authority_pub, rng_system());
    make_certificate(net);
    relay_limits_default(&net->limits);
    net->limits.fetches_per_hour = net->limits.fetches_per_day = 1000;
    net->limits.codes_per_number = 1000;
    memcpy(opt->authority, net->authority_pub, sizeof opt->authority);
    rng_fill(rng_system(), opt->code_key, 32);
    opt->data_dir = net->dir;
    opt->host = "127.0.0.1";
    opt->loops = 1;
    opt->has_authority = true;
    opt->limits = &net->limits;
    opt->clock = net->clock;
    opt->rng = rng_system();
    opt->log = net->log;
    opt->loop = net->loop;
    opt->certificate = buf_bytes(&net->certificate);
}

void
net_start_relay(struct net *net)
{
    struct err err = {.rc = RC_OK};

    net->relay_opt.port = net->port;
    if (relay_open(&net->relay, &net->relay_opt, &err) != RC_OK)
        fail_msg("%s: %s", err.site, err.text);
    net->port = relay_port(net->relay);
}

void
net_stop_relay(struct net *net)
{
    relay_free(&net->relay);
}

void
net_start(struct net *net)
{
    net_start_relay(net);
}

void
net_wipe(struct net *net)
{
    char command[128];

    net_stop_relay(net);
    loop_free(&net->loop);
    clock_free(&net->clock);
    buf_free(&net->certificate);
    if (net->log != log_none())
        log_close(&net->log);
    snprintf(command, sizeof(command), "rm -rf '%s'", net->dir);
    assert_int_equal(system(command), 0);
}

static void
on_timer(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void
on_timer_closed(uv_handle_t *handle)
{
    handle->data = NULL;
}

static bool
turn(struct net *net, bool (*is_done)(void *ctx), void *ctx, unsigned limit_ms)
{
    static const uint64_t look_ms = 10; /* what stores commit wakes this loop no other way */
    uv_timer_t limit, wake;
    bool is_late = false, woken, is_true;

    uv_timer_init(loop_uv(net->loop), &limit);
    uv_timer_init(loop_uv(net->loop), &wake);
    limit.data = &is_late;
    wake.data = &woken;
    uv_update_time(loop_uv(net->loop));
    uv_timer_start(&limit, on_timer, limit_ms, 0);
    uv_timer_start(&wake, on_timer, look_ms, look_ms);
    while (!(is_true = is_done(ctx)) && !is_late)
        uv_run(loop_uv(net->loop), UV_RUN_ONCE);
    uv_close((uv_handle_t *)&limit, on_timer_closed);
    uv_close((uv_handle_t *)&wake, on_timer_closed);
    while (limit.data != NULL || wake.data != NULL) /* before their memory goes */
        loop_poll(net->loop);
    return is_true;
}

bool
net_wait(struct net *net, bool (*is_done)(void *ctx), void *ctx)
{
    return turn(net, is_done, ctx, NET_WAIT_MS);
}

static bool
never(void *ctx)
{
    return false;
}

void
net_pass_ms(struct net *net, unsigned ms)
{
    (void)turn(net, never, NULL, ms);
}

void
net_shift(struct net *net, int64_t ms)
{
    assert_int_equal(clock_set_offset_ms(net->clock, clock_offset_ms(net->clock) + ms, NULL),
                     RC_OK);
}

void
net_code(struct net *net, uint64_t number, char out[8])
{
    char path[96], want[32];
    struct buf text;
    char *save = NULL;

    out[0] = '\0';
    snprintf(path, sizeof(path), "%s/outbox", net->dir);
    snprintf(want, sizeof(want), "%llu", (unsigned long long)number);
    buf_init(&text, 1024 * 1024);
    assert_int_equal(file_read(&text, path, 1024 * 1024 - 1, NULL), RC_OK);
    (void)buf_cstr(&text);
    for (char *line = strtok_r((char *)text.ptr, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        json_t *object;

        assert_int_equal(json_read(&object, bytes_of_str(line), 4096, NULL), RC_OK);
        if (strcmp(json_str(object, "number"), want) == 0)
            snprintf(out, 8, "%s", json_str(object, "code"));
        json_decref(object);
    }
    buf_free(&text);
}

int64_t
sql_int(const char *path, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    int64_t value;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return value;
}

void
sql_exec(const char *path, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* ---- a party's folder ---- */

void
place_init(struct place *place, struct net *net, const char *name)
{
    *place = (struct place){.net = net};
    snprintf(place->dir, sizeof place->dir, "%s/%s", net->dir, name);
    snprintf(place->db, sizeof place->db, "%s/store.db", place->dir);
    snprintf(place->ring_path, sizeof place->ring_path, "%s/keyring", place->dir);
    snprintf(place->master_path, sizeof place->master_path, "%s/master.key", place->dir);
    assert_int_equal(mkdir(place->dir, 0700), 0);
}

static void
on_fatal(void *ctx, const struct err *err)
{
    struct place *place = ctx;

    __atomic_store_n(&place->has_failed, true, __ATOMIC_SEQ_CST);
}

void
place_open(struct place *place)
{
    struct store_opt opt = {.path = place->db,
                            .parts = place->parts,
                            .log = place->net->log,
                            .on_fatal = on_fatal,
                            .ctx = place};
    struct keyring_opt ring = {
        .ring_path = place->ring_path, .master_path = place->master_path, .rng = rng_system()};
    struct err err = {.rc = RC_OK};
    enum rc rc;

    place->has_failed = false;
    place->parts[0] = &events_part;
    for (opt.n_parts = 1; opt.n_parts < 1 + gateway_parts_n; opt.n_parts++)
        place->parts[opt.n_parts] = gateway_parts[opt.n_parts - 1];
    rc = place->backend == NULL
             ? store_open(&place->store, &opt, &err)
             : store_open_with(&place->store, &opt, place->backend, place->backend_ctx, &err);
    if (rc == RC_OK)
        rc = keyring_open(&place->ring, &ring, &err);
    if (rc != RC_OK)
        fail_msg("%s: %s", err.site, err.text);
}

void
place_close(struct place *place)
{
    store_free(&place->store);
    loop_poll(place->net->loop); /* what it posted */
    keyring_free(&place->ring);
}

static void
copy_store(const struct place *place, const char *from, const char *to)
{
    char command[512];

    snprintf(command, sizeof command,
             "cd '%s' && rm -f store.%s store.%s-wal store.%s-shm && cp store.%s store.%s",
             place->dir, to, to, to, from, to);
    assert_int_equal(system(command), 0);
}

void
place_save(struct place *place)
{
    assert_null(place->store);
    copy_store(place, "db", "saved");
}

void
place_restore(struct place *place)
{
    assert_null(place->store);
    copy_store(place, "saved", "db");
}
