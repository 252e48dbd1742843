/* parley-relay.c - the program: settings, keys from files, lock down, run the loop.
 *
 * Reads its certificate and keys before it gives up root, listens, and only then says that it is
 * ready. Source: docs/protocol/relay.md, docs/operating.md. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/admin.h"
#include "base/config.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/process.h"
#include "crypto/prim.h"
#include "relay/relay.h"

#define CERT_MAX 2048u

static const struct process_user user = {"parley-relay", 61001};

static const struct config_row settings[] = {
    {"config",        CONFIG_PATH,   NULL,             0, 0,               NULL,                          "configuration file"                         },
    {"data_dir",      CONFIG_PATH,   NULL,             0, 0,               NULL,                          "our folder: store, keys, outbox, admin.sock"},
    {"listen",        CONFIG_STR,    "127.0.0.1:9405", 0, 0,               NULL,                          "HOST:PORT for Noise; port 0: any free"      },
    {"loops",         CONFIG_INT,    "0",              0, RELAY_LOOPS_MAX, NULL,                          "event loops; 0: one per core"               },
    {"cert_file",     CONFIG_PATH,   NULL,             0, 0,               NULL,                          "our certificate, signed by the root"        },
    {"key_file",      CONFIG_PATH,   NULL,             0, 0,               NULL,
     "our Noise key, 32 bytes; default DATA_DIR/noise.key"                                                                                             },
    {"authority_key", CONFIG_STR,    NULL,             0, 0,               NULL,
     "base64 Ed25519 of the authority: number certificates"                                                                                            },
    {"code_command",  CONFIG_STR,    NULL,             0, 0,               NULL,                          "sends codes: one JSON line on its input"    },
    {"test_clock",    CONFIG_BOOL,   "off",            0, 0,               NULL,                          "allow the clock to be shifted"              },
    {"log_level",     CONFIG_CHOICE, "info",           0, 0,               "error|warn|info|debug|trace", "what is logged"                             },
    {"log_format",    CONFIG_CHOICE, "text",           0, 0,               "text|json",                   "how it is logged"                           },
    {"log_file",      CONFIG_PATH,   NULL,             0, 0,               NULL,                          "file that logs are also written to"         },
    {"keep_dumpable", CONFIG_BOOL,   "off",            0, 0,               NULL,                          "let a debugger or strace attach"            },
    {"make_key",      CONFIG_PATH,   NULL,             0, 0,               NULL,
     "make this key file if absent, print its public, end"                                                                                             },
};

struct program {
    struct config *config;
    struct log *log;
    struct loop *loop;
    struct clock *clock;
    struct relay *relay;
    struct admin *admin;
    struct relay_console console;
    uv_signal_t on_term, on_int;
    char host[256];
    uint16_t port;
};

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

    if (rc != RC_OK || config_str(p->config, "make_key") != NULL)
        return rc;
    if (config_str(p->config, "data_dir") == NULL)
        return err_set(err, RC_INVAL, "config", "--data-dir is required");
    if (config_str(p->config, "cert_file") == NULL)
        return err_set(err, RC_INVAL, "config", "--cert-file is required");
    return read_listen(p, err);
}

static enum rc
open_log(struct program *p, struct err *err)
{
    struct log_opt opt = {.program = "relay",
                          .json = strcmp(config_str(p->config, "log_format"), "json") == 0,
                          .fd = STDERR_FILENO,
                          .file = config_str(p->config, "log_file")};
    enum rc rc = log_level_read(&opt.level, config_str(p->config, "log_level"), err);

    return rc == RC_OK ? log_open(&p->log, &opt, err) : rc;
}

static enum rc
read_authority(struct relay_opt *opt, const struct program *p, struct err *err)
{
    const char *text = config_str(p->config, "authority_key");
    struct buf raw;
    enum rc rc;

    if (text == NULL)
        return RC_OK; /* then nobody can register as a business */
    buf_init(&raw, 64);
    rc = base64_read(&raw, bytes_of_str(text), err);
    if (rc == RC_OK && raw.len != sizeof(opt->authority))
        rc = err_set(err, RC_INVAL, "config", "authority_key is not 32 bytes in base64");
    if (rc == RC_OK) {
        memcpy(opt->authority, raw.ptr, sizeof(opt->authority));
        opt->has_authority = true;
    }
    buf_free(&raw);
    return rc;
}

/* What only root, or the owner of these files, can read. */
static enum rc
read_keys(struct relay_opt *opt, struct buf *cert, const struct program *p, struct err *err)
{
    const char *dir = config_str(p->config, "data_dir"), *key = config_str(p->config, "key_file");
    char path[4096];
    enum rc rc;

    if ((rc = dir_make(dir, 0700, err)) != RC_OK ||
        (rc = file_read(cert, config_str(p->config, "cert_file"), CERT_MAX, err)) != RC_OK ||
        (rc = read_authority(opt, p, err)) != RC_OK)
        return rc;
    snprintf(path, sizeof(path), "%s/noise.key", dir);
    if ((rc = relay_key_file(opt->key.priv, key == NULL ? path : key, opt->rng, err)) != RC_OK)
        return rc;
    x25519_public(opt->key.pub, opt->key.priv);
    snprintf(path, sizeof(path), "%s/code.key", dir);
    return relay_key_file(opt->code_key, path, opt->rng, err);
}

static void
on_signal(uv_signal_t *signal, int number)
{
    loop_stop(((struct program *)signal->data)->loop);
}

static void
on_stop(void *ctx)
{
    loop_stop(((struct program *)ctx)->loop);
}

static enum rc
watch_signals(struct program *p, struct err *err)
{
    uv_signal_init(loop_uv(p->loop), &p->on_term);
    uv_signal_init(loop_uv(p->loop), &p->on_int);
    p->on_term.data = p->on_int.data = p;
    if (uv_signal_start(&p->on_term, on_signal, SIGTERM) != 0 ||
        uv_signal_start(&p->on_int, on_signal, SIGINT) != 0)
        return err_set(err, RC_IO, "relay.start", "signals cannot be watched");
    return RC_OK;
}

static enum rc
open_admin(struct program *p, struct err *err)
{
    char path[4200];

    p->console = (struct relay_console){.relay = p->relay,
                                        .config = p->config,
                                        .has_test_clock = config_bool(p->config, "test_clock"),
                                        .stop = on_stop,
                                        .ctx = p};
    snprintf(path, sizeof(path), "%s/admin.sock", config_str(p->config, "data_dir"));
    return admin_open(&p->admin, p->loop, path, relay_admin_rows, relay_admin_rows_n, &p->console,
                      err);
}

/* Everything from the first file to the open listener; root is given up in between. */
static enum rc
start(struct program *p, struct err *err)
{
    struct relay_opt opt = {.data_dir = config_str(p->config, "data_dir"),
                            .host = p->host,
                            .port = p->port,
                            .loops = (unsigned)config_int(p->config, "loops"),
                            .code_command = config_str(p->config, "code_command"),
                            .rng = rng_system(),
                            .log = p->log};
    struct buf cert;
    bool dropped;
    enum rc rc;

    buf_init(&cert, CERT_MAX);
    if ((rc = crypto_start(err)) != RC_OK || (rc = read_keys(&opt, &cert, p, err)) != RC_OK ||
        (rc = process_harden(config_bool(p->config, "keep_dumpable"), err)) != RC_OK ||
        (rc = process_drop(&dropped, &user, opt.data_dir, err)) != RC_OK)
        goto out;
    process_follow_parent();
    if ((rc = loop_new(&p->loop, err)) != RC_OK || (rc = watch_signals(p, err)) != RC_OK ||
        (rc = clock_new_system(&p->clock, err)) != RC_OK)
        goto out;
    opt.certificate = buf_bytes(&cert);
    opt.clock = p->clock;
    opt.loop = p->loop;
    if ((rc = relay_open(&p->relay, &opt, err)) == RC_OK)
        rc = open_admin(p, err);
out:
    bytes_wipe(&opt.key, sizeof(opt.key));
    bytes_wipe(opt.code_key, sizeof(opt.code_key));
    buf_free(&cert);
    return rc;
}

static void
say_ready(const struct program *p)
{
    char listen[300];

    snprintf(listen, sizeof(listen), "%s:%u", p->host, relay_port(p->relay));
    process_say_ready("parley-relay", listen);
    log_event(p->log, LOG_INFO, "relay.ready", LOG_STR("listen", listen));
}

static enum rc
make_key(const struct program *p, struct err *err)
{
    struct noise_keypair key;
    struct buf text;
    enum rc rc;

    if ((rc = crypto_start(err)) != RC_OK ||
        (rc = relay_key_file(key.priv, config_str(p->config, "make_key"), rng_system(), err)) !=
            RC_OK)
        return rc;
    x25519_public(key.pub, key.priv);
    buf_init(&text, 128);
    base64_put(&text, bytes_of(key.pub, sizeof(key.pub)));
    puts(buf_cstr(&text));
    buf_free(&text);
    bytes_wipe(&key, sizeof(key));
    return RC_OK;
}

static void
finish(struct program *p)
{
    if (p->loop != NULL) {
        admin_free(&p->admin);
        relay_free(&p->relay);
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
        puts("parley-relay: accounts, prekeys, queues of sealed envelopes.\n\nSettings:");
        config_help(settings, ARRAY_LEN(settings), stdout);
        return 0;
    }
    if ((rc = read_settings(&p, argc - 1, argv + 1, &err)) != RC_OK ||
        (rc = open_log(&p, &err)) != RC_OK) {
        fprintf(stderr, "parley-relay: %s\n", err.text);
        finish(&p);
        return 2;
    }
    if (config_str(p.config, "make_key") != NULL) {
        rc = make_key(&p, &err);
    } else if ((rc = start(&p, &err)) == RC_OK) {
        say_ready(&p);
        loop_run(p.loop);
        log_event(p.log, LOG_INFO, "relay.end");
    }
    if (rc != RC_OK)
        fprintf(stderr, "parley-relay: %s\n", err.text);
    finish(&p);
    return rc == RC_OK ? 0 : 1;
}
