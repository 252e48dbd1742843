/* rig.c - the folder, the relay in it, time, and looking into its store. */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"

static void
make_certificate(struct rig *rig)
{
    struct relay_cert cert = {.host = "localhost", .not_after_s = INT64_C(4000000000)};

    rng_fill(rng_system(), rig->opt.key.priv, 32);
    x25519_public(rig->opt.key.pub, rig->opt.key.priv);
    memcpy(cert.static_key, rig->opt.key.pub, 32);
    buf_init(&rig->certificate, 4096);
    assert_int_equal(relay_cert_issue(&cert, rig->root_seed, &rig->certificate, NULL), RC_OK);
}

void
rig_init(struct rig *rig)
{
    struct channel_hub_opt hub = {.log = log_none()};

    memset(rig, 0, sizeof(*rig));
    signal(SIGPIPE, SIG_IGN); /* as process_harden() does for the program */
    assert_int_equal(crypto_start(NULL), RC_OK);
    strcpy(rig->dir, "/tmp/parley-relay-XXXXXX");
    assert_non_null(mkdtemp(rig->dir));
    assert_int_equal(chmod(rig->dir, 0755), 0); /* the program gives up root */
    snprintf(rig->data, sizeof(rig->data), "%s/relay", rig->dir);
    assert_int_equal(dir_make(rig->data, 0700, NULL), RC_OK);
    assert_int_equal(loop_new(&rig->loop, NULL), RC_OK);
    hub.loop = rig->loop;
    assert_int_equal(channel_hub_open(&rig->hub, &hub, NULL), RC_OK);
    assert_int_equal(clock_new_system(&rig->clock, NULL), RC_OK);
    ed25519_keypair(rig->root_seed, rig->root_pub, rng_system());
    ed25519_keypair(rig->authority_seed, rig->opt.authority, rng_system());
    make_certificate(rig);
    relay_limits_default(&rig->limits);
    rng_fill(rng_system(), rig->opt.code_key, 32);
    rig->opt.data_dir = rig->data;
    rig->opt.host = "127.0.0.1";
    rig->opt.loops = 2;
    rig->opt.has_authority = true;
    rig->opt.limits = &rig->limits;
    rig->opt.clock = rig->clock;
    rig->opt.rng = rng_system();
    rig->opt.log = log_none();
    rig->opt.loop = rig->loop;
    rig->opt.certificate = buf_bytes(&rig->certificate);
}

void
rig_start(struct rig *rig)
{
    struct err err = {0};

    if (relay_open(&rig->relay, &rig->opt, &err) != RC_OK)
        fail_msg("%s: %s", err.site, err.text);
    rig->port = relay_port(rig->relay);
}

void
rig_stop(struct rig *rig)
{
    relay_free(&rig->relay);
}

void
rig_restart(struct rig *rig)
{
    rig_stop(rig);
    rig_start(rig);
}

void
rig_wipe(struct rig *rig)
{
    char command[128];

    rig_stop(rig);
    if (rig->child > 0)
        (void)rig_kill(rig, SIGKILL);
    channel_hub_free(&rig->hub);
    loop_free(&rig->loop);
    clock_free(&rig->clock);
    buf_free(&rig->certificate);
    snprintf(command, sizeof(command), "rm -rf '%s'", rig->dir);
    assert_int_equal(system(command), 0);
}

static void
on_limit(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static bool
turn(struct rig *rig, bool (*is_done)(void *ctx), void *ctx, unsigned limit_ms)
{
    static const uint64_t poll_ms = 20; /* what other threads change wakes this loop no other way */
    uv_timer_t limit, wake;
    bool is_late = false, woken, is_true;

    uv_timer_init(loop_uv(rig->loop), &limit);
    uv_timer_init(loop_uv(rig->loop), &wake);
    limit.data = &is_late;
    wake.data = &woken;
    uv_update_time(loop_uv(rig->loop));
    uv_timer_start(&limit, on_limit, limit_ms, 0);
    uv_timer_start(&wake, on_limit, poll_ms, poll_ms);
    while (!(is_true = is_done(ctx)) && !is_late)
        uv_run(loop_uv(rig->loop), UV_RUN_ONCE);
    uv_close((uv_handle_t *)&limit, NULL);
    uv_close((uv_handle_t *)&wake, NULL);
    loop_poll(rig->loop);
    return is_true;
}

bool
rig_wait(struct rig *rig, bool (*is_done)(void *ctx), void *ctx)
{
    return turn(rig, is_done, ctx, RIG_WAIT_MS);
}

static bool
never(void *ctx)
{
    return false;
}

void
rig_pass_ms(struct rig *rig, unsigned ms)
{
    (void)turn(rig, never, NULL, ms);
}

struct sweep_wait {
    bool is_done;
    enum rc rc;
};

static void
swept(void *ctx, enum rc rc)
{
    struct sweep_wait *w = ctx;

    w->is_done = true;
    w->rc = rc;
}

static bool
is_swept(void *ctx)
{
    return ((struct sweep_wait *)ctx)->is_done;
}

void
rig_advance(struct rig *rig, int64_t ms)
{
    struct sweep_wait w = {.is_done = false};

    assert_int_equal(clock_set_offset_ms(rig->clock, clock_offset_ms(rig->clock) + ms, NULL),
                     RC_OK);
    relay_sweep(rig->relay, swept, &w);
    assert_true(rig_wait(rig, is_swept, &w));
    assert_int_equal(w.rc, RC_OK);
}

int64_t
rig_sql(struct rig *rig, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    char path[128];
    int64_t value;

    snprintf(path, sizeof(path), "%s/relay.db", rig->data);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return value;
}

void
rig_exec(struct rig *rig, const char *sql)
{
    sqlite3 *db;
    char path[128];

    snprintf(path, sizeof(path), "%s/relay.db", rig->data);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

void
rig_code(struct rig *rig, uint64_t number, char out[8])
{
    char path[128], want[32];
    struct buf text;
    char *save = NULL;

    out[0] = '\0';
    snprintf(path, sizeof(path), "%s/outbox", rig->data);
    snprintf(want, sizeof(want), "%llu", (unsigned long long)number);
    buf_init(&text, 1024 * 1024);
    if (file_read(&text, path, 1024 * 1024 - 1, NULL) == RC_OK) {
        (void)buf_cstr(&text);
        for (char *line = strtok_r((char *)text.ptr, "\n", &save); line != NULL;
             line = strtok_r(NULL, "\n", &save)) {
            json_t *object;

            assert_int_equal(json_read(&object, bytes_of_str(line), 4096, NULL), RC_OK);
            if (strcmp(json_str(object, "number"), want) == 0)
                snprintf(out, 8, "%s", json_str(object, "code"));
            json_decref(object);
        }
    }
    buf_free(&text);
}
