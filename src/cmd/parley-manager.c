/* parley-manager.c - the program: settings, keys from files, lock down, run the loop.
 *
 * Reads its certificate and key before it gives up root, listens, and only then says that it is
 * ready. Holds businesses, numbers, apps and tokens; never a message.
 * Source: docs/operating.md, docs/protocol/internal.md. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/admin.h"
#include "base/config.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/process.h"
#include "crypto/ca.h"
#include "crypto/prim.h"
#include "manager/manager.h"

static const struct process_user user = {"parley-manager", 61002};

static const struct config_row settings[] = {
    {"config",          CONFIG_PATH,   NULL,             0, 0,                NULL,                          "configuration file"                               },
    {"data_dir",        CONFIG_PATH,   NULL,             0, 0,                NULL,                          "the manager's own folder"                         },
    {"listen",          CONFIG_STR,    "127.0.0.1:9407", 0, 0,                NULL,                          "HOST:PORT; port 0: any free"                      },
    {"ca_file",         CONFIG_PATH,   NULL,             0, 0,                NULL,                          "PEM file of the platform's CA"                    },
    {"cert_file",       CONFIG_PATH,   NULL,             0, 0,                NULL,                          "PEM file of our certificate"                      },
    {"key_file",        CONFIG_PATH,   NULL,             0, 0,                NULL,                          "PEM file of its key"                              },
    {"operator_name",   CONFIG_STR,    "Parley",         0, 0,                NULL,                          "who runs the platform, in certificates"           },
    {"seed",            CONFIG_STR,    NULL,             0, 0,                NULL,                          "secret: fixes ids, tokens and secrets; tests only"},
    {"test_clock",      CONFIG_BOOL,   "off",            0, 0,                NULL,                          "allow the clock to be set"                        },
    {"clock_offset_ms", CONFIG_INT,    "0",              0, INT64_C(1) << 45, NULL,                          "test clock at start"                              },
    {"demo",            CONFIG_BOOL,   "off",            0, 0,                NULL,                          "part of a demo platform"                          },
    {"log_level",       CONFIG_CHOICE, "info",           0, 0,                "error|warn|info|debug|trace", "what is logged"                                   },
    {"log_format",      CONFIG_CHOICE, "text",           0, 0,                "text|json",                   "how it is logged"                                 },
    {"log_file",        CONFIG_PATH,   NULL,             0, 0,                NULL,                          "file that logs are also written to"               },
    {"keep_dumpable",   CONFIG_BOOL,   "off",            0, 0,                NULL,                          "let a debugger or strace attach"                  },
    {"show_authority",  CONFIG_BOOL,   "off",            0, 0,                NULL,                          "print the authority's public key, end"            },
};

struct program {
    struct config *config;
    struct log *log;
    struct loop *loop;
    struct clock *clock;
    struct manager *manager;
    struct admin *admin;
    uv_signal_t on_term, on_int;
    char dir[4096];
    char host[256];
    uint16_t port;
};

/* ---- administration socket ---- */

static void
line_of_config(struct admin_call *call, struct config *config)
{
    char *text = NULL, *at, *save = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (out == NULL) {
        admin_done(call, RC_NOMEM, "no memory");
        return;
    }
    config_show(config, out);
    fclose(out);
    for (at = strtok_r(text, "\n", &save); at != NULL; at = strtok_r(NULL, "\n", &save))
        admin_putf(call, "%s", at);
    free(text);
    admin_done(call, RC_OK, NULL);
}

static void
show_config(struct admin_call *call, void *ctx)
{
    line_of_config(call, ((struct program *)ctx)->config);
}

static void
counted(void *ctx, const struct manager_counts *counts)
{
    struct admin_call *call = ctx;

    if (counts == NULL) {
        admin_done(call, RC_IO, "the store could not be read");
        return;
    }
    admin_putf(call, "businesses %" PRIu64, counts->businesses);
    admin_putf(call, "wabas %" PRIu64, counts->wabas);
    admin_putf(call, "numbers %" PRIu64, counts->numbers);
    admin_putf(call, "apps %" PRIu64, counts->apps);
    admin_putf(call, "tokens %" PRIu64, counts->tokens);
    admin_putf(call, "streams %u", counts->streams);
    admin_done(call, RC_OK, NULL);
}

static void
show_counts(struct admin_call *call, void *ctx)
{
    manager_count(((struct program *)ctx)->manager, counted, call);
}

static bool
clock_is_ours(struct admin_call *call, const struct program *p)
{
    if (!config_bool(p->config, "test_clock")) {
        admin_done(call, RC_DENIED, "the test clock is off");
        return false;
    }
    return true;
}

static void
clock_drained(void *ctx)
{
    admin_done(ctx, RC_OK, NULL);
}

static bool
read_ms(int64_t *out, const char *text)
{
    char *end = NULL;

    *out = text == NULL ? 0 : strtoll(text, &end, 10);
    return text != NULL && end != text && *end == '\0';
}

static void
clock_set_offset(struct admin_call *call, void *ctx)
{
    struct program *p = ctx;
    struct err err = {0};
    int64_t offset_ms;

    if (!clock_is_ours(call, p))
        return;
    if (!read_ms(&offset_ms, admin_arg(call, 0)))
        admin_done(call, RC_INVAL, "clock set-offset MILLISECONDS");
    else if (clock_set_offset_ms(p->clock, offset_ms, &err) != RC_OK)
        admin_done(call, err.rc, err.text);
    else
        manager_renew(p->manager, clock_drained, call);
}

static void
clock_freeze(struct admin_call *call, void *ctx)
{
    struct program *p = ctx;
    struct err err = {0};
    int64_t unix_ms;

    if (!clock_is_ours(call, p))
        return;
    if (!read_ms(&unix_ms, admin_arg(call, 0)))
        admin_done(call, RC_INVAL, "clock freeze UNIX_MILLISECONDS");
    else if (clock_freeze_at(p->clock, unix_ms, &err) != RC_OK)
        admin_done(call, err.rc, err.text);
    else
        manager_renew(p->manager, clock_drained, call);
}

static void
clock_resume_now(struct admin_call *call, void *ctx)
{
    struct program *p = ctx;

    if (!clock_is_ours(call, p))
        return;
    clock_resume(p->clock);
    admin_done(call, RC_OK, NULL);
}

static void
clock_now(struct admin_call *call, void *ctx)
{
    struct program *p = ctx;

    admin_putf(call, "unix_ms %" PRId64, clock_unix_ms(p->clock));
    admin_putf(call, "offset_ms %" PRId64, clock_offset_ms(p->clock));
    admin_done(call, RC_OK, NULL);
}

static void
show_streams(struct admin_call *call, void *ctx)
{
    show_counts(call, ctx);
}

static const struct admin_row admin_rows[] = {
    {"show config",      "settings and where they come from",             show_config     },
    {"show counts",      "live businesses, WABAs, numbers, apps, tokens", show_counts     },
    {"show streams",     "receivers of the push stream, last line",       show_streams    },
    {"clock now",        "platform time and offset",                      clock_now       },
    {"clock set-offset", "MS: shift platform time; answers when done",    clock_set_offset},
    {"clock freeze",     "UNIX_MS: hold platform time",                   clock_freeze    },
    {"clock resume",     "let platform time pass again",                  clock_resume_now},
};

/* ---- start and end ---- */

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

static enum rc
read_listen(struct program *p, struct err *err)
{
    const char *text = config_str(p->config, "listen");
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    long port = colon == NULL ? -1 : strtol(colon + 1, &end, 10);

    if (colon == NULL || colon == text || (size_t)(colon - text) >= sizeof(p->host) ||
        end == colon + 1 || *end != '\0' || port < 0 || port > 65535)
        return err_set(err, RC_INVAL, "config", "listen is HOST:PORT");
    memcpy(p->host, text, (size_t)(colon - text));
    p->host[colon - text] = '\0';
    p->port = (uint16_t)port;
    return RC_OK;
}

static enum rc
read_settings(struct program *p, int argc, char **argv, struct err *err)
{
    const struct config_source source = {.argc = argc,
                                         .argv = argv,
                                         .file = config_file(argc, argv),
                                         .file_required = true,
                                         .allow_unknown_names = true};
    enum rc rc = config_load(&p->config, settings, ARRAY_LEN(settings), &source, err);

    if (rc != RC_OK)
        return rc;
    if (config_str(p->config, "data_dir") == NULL)
        return err_set(err, RC_INVAL, "config", "--data-dir is required");
    snprintf(p->dir, sizeof(p->dir), "%s", config_str(p->config, "data_dir"));
    return read_listen(p, err);
}

static enum rc
open_log(struct program *p, struct err *err)
{
    struct log_opt opt = {.program = "manager",
                          .json = strcmp(config_str(p->config, "log_format"), "json") == 0,
                          .fd = STDERR_FILENO,
                          .file = config_str(p->config, "log_file")};
    enum rc rc = log_level_read(&opt.level, config_str(p->config, "log_level"), err);

    return rc == RC_OK ? log_open(&p->log, &opt, err) : rc;
}

static enum rc
read_pem(struct buf *out, const struct program *p, const char *setting, struct err *err)
{
    const char *path = config_str(p->config, setting);

    buf_init(out, CA_PEM_MAX);
    if (path == NULL)
        return err_set(err, RC_INVAL, "config", "%s is required", setting);
    return file_read(out, path, CA_PEM_MAX - 1, err);
}

static void
stop(uv_signal_t *signal, int number)
{
    loop_stop(((struct program *)signal->data)->loop);
}

static enum rc
watch_signals(struct program *p, struct err *err)
{
    uv_signal_init(loop_uv(p->loop), &p->on_term);
    uv_signal_init(loop_uv(p->loop), &p->on_int);
    p->on_term.data = p->on_int.data = p;
    if (uv_signal_start(&p->on_term, stop, SIGTERM) != 0 ||
        uv_signal_start(&p->on_int, stop, SIGINT) != 0)
        return err_set(err, RC_IO, "manager.start", "signals cannot be watched");
    return RC_OK;
}

/* Everything from the first read file to the open listener; root is given up in between. */
static enum rc
start(struct program *p, struct err *err)
{
    struct buf ca, cert, key;
    char admin_path[4200];
    bool dropped;
    enum rc rc;

    buf_init(&ca, CA_PEM_MAX);
    buf_init(&cert, CA_PEM_MAX);
    buf_init(&key, CA_PEM_MAX);
    if ((rc = dir_make(p->dir, 0700, err)) != RC_OK ||
        (rc = read_pem(&ca, p, "ca_file", err)) != RC_OK ||
        (rc = read_pem(&cert, p, "cert_file", err)) != RC_OK ||
        (rc = read_pem(&key, p, "key_file", err)) != RC_OK ||
        (rc = process_harden(config_bool(p->config, "keep_dumpable"), err)) != RC_OK ||
        (rc = process_drop(&dropped, &user, p->dir, err)) != RC_OK)
        goto out;
    process_follow_parent();
    if ((rc = crypto_start(err)) != RC_OK || (rc = loop_new(&p->loop, err)) != RC_OK ||
        (rc = watch_signals(p, err)) != RC_OK || (rc = clock_new_system(&p->clock, err)) != RC_OK)
        goto out;
    if (config_bool(p->config, "test_clock") &&
        (rc = clock_set_offset_ms(p->clock, config_int(p->config, "clock_offset_ms"), err)) !=
            RC_OK)
        goto out;
    rc =
        manager_open(&p->manager,
                     &(struct manager_opt){.loop = p->loop,
                                           .log = p->log,
                                           .clock = p->clock,
                                           .rng = rng_system(),
                                           .dir = p->dir,
                                           .host = p->host,
                                           .port = p->port,
                                           .ca_pem = buf_cstr(&ca),
                                           .cert_pem = buf_cstr(&cert),
                                           .key_pem = buf_cstr(&key),
                                           .seed = config_str(p->config, "seed"),
                                           .operator_name = config_str(p->config, "operator_name")},
                     err);
    if (rc != RC_OK)
        goto out;
    snprintf(admin_path, sizeof(admin_path), "%s/admin.sock", p->dir);
    rc = admin_open(&p->admin, p->loop, admin_path, admin_rows, ARRAY_LEN(admin_rows), p, err);
out:
    buf_wipe(&key);
    buf_free(&cert);
    buf_free(&ca);
    return rc;
}

static void
say_ready(const struct program *p)
{
    char listen[300];

    snprintf(listen, sizeof(listen), "%s:%u", p->host, manager_port(p->manager));
    process_say_ready("parley-manager", listen);
    log_event(p->log, LOG_INFO, "manager.ready", LOG_STR("listen", listen));
}

static enum rc
show_authority(const struct program *p, struct err *err)
{
    uint8_t seed[32], pub[32];
    struct buf text;
    bool dropped;
    enum rc rc;

    if ((rc = crypto_start(err)) != RC_OK || (rc = dir_make(p->dir, 0700, err)) != RC_OK ||
        (rc = process_drop(&dropped, &user, p->dir, err)) != RC_OK ||
        (rc = manager_authority(seed, pub, p->dir, rng_system(), err)) != RC_OK)
        return rc;
    bytes_wipe(seed, sizeof(seed));
    buf_init(&text, 128);
    base64_put(&text, bytes_of(pub, sizeof(pub)));
    puts(buf_cstr(&text));
    buf_free(&text);
    return RC_OK;
}

static void
finish(struct program *p)
{
    if (p->loop != NULL) {
        admin_free(&p->admin);
        manager_free(&p->manager);
    }
    loop_free(&p->loop);
    clock_free(&p->clock);
    log_close(&p->log);
    config_free(&p->config);
}

int
main(int argc, char **argv)
{
    struct program p = {0};
    struct err err = {0};
    enum rc rc;

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        puts("parley-manager: businesses, numbers, apps, tokens and who may do what.\n\nSettings:");
        config_help(settings, ARRAY_LEN(settings), stdout);
        return 0;
    }
    if ((rc = read_settings(&p, argc - 1, argv + 1, &err)) != RC_OK ||
        (rc = open_log(&p, &err)) != RC_OK) {
        fprintf(stderr, "parley-manager: %s\n", err.text);
        finish(&p);
        return 2;
    }
    if (config_bool(p.config, "show_authority")) {
        rc = show_authority(&p, &err);
    } else if ((rc = start(&p, &err)) == RC_OK) {
        say_ready(&p);
        loop_run(p.loop);
        log_event(p.log, LOG_INFO, "manager.end");
    }
    if (rc != RC_OK)
        fprintf(stderr, "parley-manager: %s\n", err.text);
    finish(&p);
    return rc == RC_OK ? 0 : 1;
}
