/* parley-manager.c - the program around the manager: businesses, numbers, apps, tokens, rights.
 *
 * Reads its certificate and key before it gives up root, listens, and only then says that it is
 * ready. Never holds a message. Source: docs/operating.md, docs/protocol/internal.md. */
#include <inttypes.h>
#include <stdio.h>

#include "base/file.h"
#include "base/hex.h"
#include "cmd/service.h"
#include "crypto/ca.h"
#include "manager/manager.h"

static const struct config_row settings[] = {
    SERVICE_SETTINGS,
    {"listen",         CONFIG_STR,  "127.0.0.1:9407", 0, 0, NULL, "HOST:PORT; port 0: any free"                      },
    {"ca_file",        CONFIG_PATH, NULL,             0, 0, NULL, "PEM file of the platform's CA"                    },
    {"cert_file",      CONFIG_PATH, NULL,             0, 0, NULL, "PEM file of our certificate"                      },
    {"key_file",       CONFIG_PATH, NULL,             0, 0, NULL, "PEM file of its key"                              },
    {"operator_name",  CONFIG_STR,  "Parley",         0, 0, NULL, "who runs the platform, in certificates"           },
    {"seed",           CONFIG_STR,  NULL,             0, 0, NULL, "secret: fixes ids, tokens and secrets; tests only"},
    {"show_authority", CONFIG_BOOL, "off",            0, 0, NULL, "print the authority's public key, end"            },
};

struct program {
    struct manager *manager;
    struct buf ca, cert, key; /* PEM, read while still root */
};

static struct program *
program_of(const struct service *service)
{
    return service->state;
}

static enum rc
read_pem(struct buf *out, const struct service *service, const char *setting, struct err *err)
{
    const char *path = config_str(service->config, setting);

    buf_init(out, CA_PEM_MAX);
    if (path == NULL)
        return err_set(err, RC_INVAL, "config", "%s is required", setting);
    return file_read(out, path, CA_PEM_MAX - 1, err);
}

static enum rc
prepare(struct service *service, struct err *err)
{
    struct program *p = program_of(service);
    enum rc rc = dir_make(config_str(service->config, "data_dir"), 0700, err);

    if (rc != RC_OK || config_bool(service->config, "show_authority"))
        return rc;
    if ((rc = read_pem(&p->ca, service, "ca_file", err)) != RC_OK ||
        (rc = read_pem(&p->cert, service, "cert_file", err)) != RC_OK)
        return rc;
    return read_pem(&p->key, service, "key_file", err);
}

static enum rc
show_authority(struct service *service, struct err *err)
{
    uint8_t seed[32], pub[32];
    struct buf text;
    enum rc rc =
        manager_authority(seed, pub, config_str(service->config, "data_dir"), rng_system(), err);

    bytes_wipe(seed, sizeof(seed));
    if (rc != RC_OK)
        return rc;
    buf_init(&text, 128);
    base64_put(&text, bytes_of(pub, sizeof(pub)));
    puts(buf_cstr(&text));
    buf_free(&text);
    service_stop(service, 0);
    return RC_OK;
}

static enum rc
start(struct service *service, struct err *err)
{
    struct program *p = program_of(service);
    struct manager_opt opt = {.loop = service->loop,
                              .log = service->log,
                              .clock = service->clock,
                              .rng = rng_system(),
                              .dir = config_str(service->config, "data_dir"),
                              .seed = config_str(service->config, "seed"),
                              .operator_name = config_str(service->config, "operator_name")};
    char host[256], listen[300];
    enum rc rc;

    if (config_bool(service->config, "show_authority"))
        return show_authority(service, err);
    rc = service_listen_read(host, sizeof(host), &opt.port, "listen",
                             config_str(service->config, "listen"), err);
    if (rc != RC_OK)
        return rc;
    opt.host = host;
    opt.ca_pem = buf_cstr(&p->ca);
    opt.cert_pem = buf_cstr(&p->cert);
    opt.key_pem = buf_cstr(&p->key);
    rc = manager_open(&p->manager, &opt, err);
    buf_wipe(&p->key);
    if (rc != RC_OK)
        return rc;
    snprintf(listen, sizeof(listen), "%s:%u", host, manager_port(p->manager));
    service_ready(service, listen);
    return RC_OK;
}

static void
closed(void *ctx)
{
    service_end(ctx);
}

static void
stop(struct service *service)
{
    manager_close(&program_of(service)->manager, closed, service);
}

static void
due_done(void *ctx)
{
    service_due_done(ctx);
}

static void
run_due(struct service *service)
{
    manager_renew(program_of(service)->manager, due_done, service);
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
    struct manager *manager = ((struct program *)ctx)->manager;

    if (manager == NULL)
        admin_done(call, RC_CLOSED, "the manager is ending");
    else
        manager_count(manager, counted, call);
}

static const struct admin_row admin_rows[] = {
    {"show counts",  "live businesses, WABAs, numbers, apps, tokens",  show_counts},
    {"show streams", "receivers of the push stream, in the last line", show_counts},
};

int
main(int argc, char **argv)
{
    struct program state = {0};
    const struct service_program program = {
        .name = "parley-manager",
        .log_name = "manager",
        .about = "businesses, numbers, apps, tokens, and who may do what",
        .settings = settings,
        .n_settings = ARRAY_LEN(settings),
        .user = {"parley-manager", 61002},
        .state = &state,
        .prepare = prepare,
        .start = start,
        .stop = stop,
        .admin_rows = admin_rows,
        .n_admin_rows = ARRAY_LEN(admin_rows),
        .run_due = run_due,
    };
    int status = service_main(&program, argc, argv);

    buf_wipe(&state.key); /* where it ended before stop() */
    buf_free(&state.cert);
    buf_free(&state.ca);
    return status;
}
