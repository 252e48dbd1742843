/* service.c - see service.h. */
#include "cmd/service.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hex.h"
#include "crypto/prim.h"

#define ADMIN_ROWS_MAX 32u

/* ---- settings ---- */

static const char *
config_file(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--config=", 9) == 0)
            return argv[i] + 9;
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
            return argv[i + 1];
    }
    return getenv("PARLEY_CONFIG");
}

enum rc
service_listen_read(char *host, size_t size, uint16_t *port, const char *setting, const char *text,
                    struct err *err)
{
    const char *colon = text == NULL ? NULL : strrchr(text, ':');
    char *end = NULL;
    long n = colon == NULL ? -1 : strtol(colon + 1, &end, 10);
    size_t len = colon == NULL ? 0 : (size_t)(colon - text);

    if (len == 0 || len >= size || end == colon + 1 || *end != '\0' || n < 0 || n > 65535)
        return err_set(err, RC_INVAL, "config", "%s is HOST:PORT", setting);
    if (text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    memcpy(host, text, len);
    host[len] = '\0';
    *port = (uint16_t)n;
    return RC_OK;
}

enum rc
service_key_read(uint8_t out[32], const char *setting, const char *text, struct err *err)
{
    struct buf raw;
    enum rc rc = RC_INVAL;

    buf_init(&raw, 64);
    if (text != NULL)
        rc = base64_read(&raw, bytes_of_str(text), NULL);
    if (rc == RC_OK && raw.len == 32)
        memcpy(out, raw.ptr, 32);
    else
        rc = err_set(err, RC_INVAL, "config", "%s is 32 bytes in base64", setting);
    buf_free(&raw);
    return rc;
}

/* ---- administration ---- */

static void
show_config(struct admin_call *call, void *ctx)
{
    struct service *service = ctx;
    char *text = NULL, *save = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (out == NULL) {
        admin_done(call, RC_NOMEM, "out of memory");
        return;
    }
    config_show(service->config, out);
    fclose(out);
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
        admin_putf(call, "%s", line);
    free(text);
    admin_done(call, RC_OK, NULL);
}

static void
admin_stop(struct admin_call *call, void *ctx)
{
    admin_done(call, RC_OK, NULL);
    service_stop(ctx, 0);
}

static void
clock_now(struct admin_call *call, void *ctx)
{
    struct service *service = ctx;

    admin_putf(call, "unix_ms %lld", (long long)clock_unix_ms(service->clock));
    admin_putf(call, "offset_ms %lld", (long long)clock_offset_ms(service->clock));
    admin_done(call, RC_OK, NULL);
}

void
service_due_done(struct service *service)
{
    struct admin_call *call = service->clock_call;

    service->clock_call = NULL;
    if (call != NULL)
        admin_done(call, RC_OK, NULL);
}

static bool
may_move_clock(struct service *service, struct admin_call *call)
{
    if (!config_bool(service->config, "test_clock"))
        admin_done(call, RC_DENIED, "the test clock is off");
    else if (service->clock_call != NULL)
        admin_done(call, RC_BUSY, "the clock is being moved");
    else
        return true;
    return false;
}

static void
clock_moved(struct service *service, struct admin_call *call, enum rc rc, const struct err *err)
{
    if (rc != RC_OK) {
        admin_done(call, rc, err->text);
        return;
    }
    service->clock_call = call;
    if (service->program->run_due != NULL)
        service->program->run_due(service);
    else
        service_due_done(service);
}

/* The offset outlives the program: DIR/clock.offset. */
static const char *
offset_path(char *out, size_t size, const struct service *service)
{
    snprintf(out, size, "%s/clock.offset", config_str(service->config, "data_dir"));
    return out;
}

static enum rc
offset_save(const struct service *service, struct err *err)
{
    char path[1100], text[32];

    snprintf(text, sizeof text, "%lld\n", (long long)clock_offset_ms(service->clock));
    return file_replace(offset_path(path, sizeof path, service), bytes_of_str(text), 0600, err);
}

static enum rc
offset_load(struct service *service, struct err *err)
{
    struct buf text;
    char path[1100];
    enum rc rc = RC_OK;

    if (!config_bool(service->config, "test_clock"))
        return RC_OK;
    buf_init(&text, 64);
    if (file_read(&text, offset_path(path, sizeof path, service), 64, NULL) == RC_OK)
        rc = clock_set_offset_ms(service->clock, strtoll(buf_cstr(&text), NULL, 10), err);
    buf_free(&text);
    return rc;
}

static void
clock_set(struct admin_call *call, void *ctx)
{
    struct service *service = ctx;
    const char *text = admin_arg(call, 0);
    struct err err = {0};
    enum rc rc;

    if (!may_move_clock(service, call))
        return;
    rc = clock_set_offset_ms(service->clock, text == NULL ? -1 : strtoll(text, NULL, 10), &err);
    if (rc == RC_OK)
        rc = offset_save(service, &err);
    clock_moved(service, call, rc, &err);
}

static void
clock_hold(struct admin_call *call, void *ctx)
{
    struct service *service = ctx;
    const char *text = admin_arg(call, 0);
    struct err err = {0};

    if (!may_move_clock(service, call))
        return;
    clock_moved(service, call,
                clock_freeze_at(service->clock, text == NULL ? 0 : strtoll(text, NULL, 10), &err),
                &err);
}

static void
clock_go_on(struct admin_call *call, void *ctx)
{
    struct service *service = ctx;

    if (!may_move_clock(service, call))
        return;
    clock_resume(service->clock);
    admin_done(call, RC_OK, NULL);
}

static const struct admin_row own_rows[] = {
    {"show config",      "settings and where they come from",          show_config},
    {"clock now",        "platform time and its offset",               clock_now  },
    {"clock set-offset", "MS: shift platform time; answers when done", clock_set  },
    {"clock freeze",     "UNIX_MS: hold platform time",                clock_hold },
    {"clock resume",     "let platform time pass again",               clock_go_on},
    {"stop",             "end in order",                               admin_stop },
};

/* The socket hands one context to every row; the program's rows want the program's. */
static void
program_row(struct admin_call *call, void *ctx, unsigned i)
{
    struct service *service = ctx;

    service->program->admin_rows[i].fn(call, service->state);
}
#define BRIDGE(i)                                                                                  \
    static void bridge_##i(struct admin_call *call, void *ctx)                                     \
    {                                                                                              \
        program_row(call, ctx, i);                                                                 \
    }
BRIDGE(0)
BRIDGE(1)
BRIDGE(2)
BRIDGE(3)
BRIDGE(4)
BRIDGE(5)
BRIDGE(6)
BRIDGE(7)
static void (*const bridges[])(struct admin_call *call, void *ctx) = {
    bridge_0, bridge_1, bridge_2, bridge_3, bridge_4, bridge_5, bridge_6, bridge_7};

static enum rc
open_admin(struct service *service, struct admin_row *rows, struct err *err)
{
    const struct service_program *program = service->program;
    size_t n = 0;
    char path[1100];

    for (size_t i = 0; i < ARRAY_LEN(own_rows); i++)
        rows[n++] = own_rows[i];
    for (size_t i = 0; i < program->n_admin_rows && i < ARRAY_LEN(bridges); i++) {
        rows[n] = program->admin_rows[i];
        rows[n++].fn = bridges[i];
    }
    snprintf(path, sizeof path, "%s/admin.sock", config_str(service->config, "data_dir"));
    unlink(path); /* of a crashed run; the data folder's lock keeps two programs apart */
    return admin_open(&service->admin, service->loop, path, rows, n, service, err);
}

/* ---- life ---- */

static void
on_signal(uv_signal_t *handle, int signum UNUSED)
{
    service_stop(handle->data, 0);
}

void
service_stop(struct service *service, int status)
{
    if (service->is_stopping)
        return;
    service->is_stopping = true;
    service->status = status;
    log_event(service->log, LOG_INFO, "program.stop", LOG_INT("status", status));
    service->program->stop(service);
}

void
service_end(struct service *service)
{
    loop_stop(service->loop);
}

void
service_ready(struct service *service, const char *listen)
{
    process_say_ready(service->program->name, listen);
    log_event(service->log, LOG_INFO, "program.ready", LOG_STR("listen", listen));
}

static enum rc
load(struct service *service, int argc, char **argv, struct err *err)
{
    const struct service_program *program = service->program;
    const struct config_source source = {.argc = argc,
                                         .argv = argv,
                                         .file = config_file(argc, argv),
                                         .file_required = true,
                                         .allow_unknown_names = true};
    struct log_opt log = {.program = program->log_name, .fd = STDERR_FILENO};
    enum rc rc;

    rc = config_load(&service->config, program->settings, program->n_settings, &source, err);
    if (rc != RC_OK)
        return rc;
    if (config_str(service->config, "data_dir") == NULL)
        return err_set(err, RC_INVAL, "config", "--data-dir is required");
    log.json = strcmp(config_str(service->config, "log_format"), "json") == 0;
    log.file = config_str(service->config, "log_file");
    rc = log_level_read(&log.level, config_str(service->config, "log_level"), err);
    return rc == RC_OK ? log_open(&service->log, &log, err) : rc;
}

static enum rc
lock_down(struct service *service, struct err *err)
{
    const struct service_program *program = service->program;
    const char *dir = config_str(service->config, "data_dir");
    bool dropped;
    enum rc rc = crypto_start(err);

    if (rc == RC_OK && program->prepare != NULL)
        rc = program->prepare(service, err);
    if (rc == RC_OK)
        rc = process_harden(config_bool(service->config, "keep_dumpable"), err);
    if (rc == RC_OK)
        rc = process_drop(&dropped, &program->user, dir, err);
    if (rc == RC_OK)
        process_follow_parent();
    return rc;
}

static enum rc
run(struct service *service, struct err *err)
{
    static const int signums[] = {SIGTERM, SIGINT};
    struct admin_row rows[ADMIN_ROWS_MAX];
    enum rc rc = lock_down(service, err);

    if (rc == RC_OK)
        rc = loop_new(&service->loop, err);
    if (rc == RC_OK)
        rc = clock_new_system(&service->clock, err);
    if (rc == RC_OK)
        rc = offset_load(service, err);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < ARRAY_LEN(signums); i++) {
        uv_signal_init(loop_uv(service->loop), &service->signals[i]);
        service->signals[i].data = service;
        uv_signal_start(&service->signals[i], on_signal, signums[i]);
    }
    rc = service->program->start(service, err);
    if (rc == RC_OK)
        rc = open_admin(service, rows, err);
    if (rc == RC_OK)
        loop_run(service->loop);
    else if (service->state != NULL) {
        service->program->stop(service);
        loop_run(service->loop);
    }
    return rc;
}

int
service_main(const struct service_program *program, int argc, char **argv)
{
    struct service service = {.program = program, .state = program->state};
    struct err err = {0};
    enum rc rc;

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        printf("%s: %s\n\nSettings (flag --like-this, environment PARLEY_LIKE_THIS, file "
               "like_this):\n",
               program->name, program->about);
        config_help(program->settings, program->n_settings, stdout);
        return 0;
    }
    rc = load(&service, argc - 1, argv + 1, &err);
    if (rc != RC_OK) {
        fprintf(stderr, "%s: %s\n", program->name, err.text);
        service.status = 2;
    } else if ((rc = run(&service, &err)) != RC_OK) {
        log_event(service.log, LOG_ERROR, "program.failed", LOG_RC(&err));
        fprintf(stderr, "%s: %s\n", program->name, err.text);
        service.status = 1;
    }
    admin_free(&service.admin);
    loop_free(&service.loop);
    clock_free(&service.clock);
    log_close(&service.log);
    config_free(&service.config);
    return service.status;
}
