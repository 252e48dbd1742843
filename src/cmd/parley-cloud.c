/* parley-cloud.c - the program: settings, then cloud/. Source: docs/operating.md. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "cloud/cloud.h"
#include "cmd/service.h"

#define HOST_SIZE 256u

static const struct config_row settings[] = {
    SERVICE_SETTINGS,
    {"node",                CONFIG_STR,    "main",           0,   0,      NULL,                 "this instance's name: one lease holder"  },
    {"listen",              CONFIG_STR,    "127.0.0.1:9400", 0,   0,      NULL,                 "HOST:PORT of the Graph API over HTTPS"   },
    {"http_listen",         CONFIG_STR,    NULL,             0,   0,      NULL,                 "HOST:PORT over plain HTTP, loopback only"},
    {"internal_listen",     CONFIG_STR,    "127.0.0.1:9408", 0,   0,      NULL,
      "HOST:PORT of the internal channel"                                                                                                  },
    {"ca_file",             CONFIG_PATH,   NULL,             0,   0,      NULL,                 "PEM file of the platform's CA"           },
    {"cert_file",           CONFIG_PATH,   NULL,             0,   0,      NULL,                 "PEM file of our certificate"             },
    {"key_file",            CONFIG_PATH,   NULL,             0,   0,      NULL,                 "PEM file of its key"                     },
    {"manager",             CONFIG_STR,    "127.0.0.1:9407", 0,   0,      NULL,                 "HOST:PORT of the manager"                },
    {"relay",               CONFIG_STR,    "127.0.0.1:9405", 0,   0,      NULL,                 "HOST:PORT of the relay"                  },
    {"relay_key",           CONFIG_STR,    NULL,             0,   0,      NULL,                 "base64 Ed25519: the relay's root"        },
    {"policy",              CONFIG_CHOICE, "strict",         0,   0,      "strict|observe|off", "rules of messaging"                      },
    {"allow_private_hosts", CONFIG_BOOL,   "off",            0,   0,      NULL,
      "webhooks may go to private addresses, over plain HTTP too"                                                                          },
    {"lease_ms",            CONFIG_INT,    "15000",          300, 600000, NULL,                 "life of a number's lease, milliseconds"  },
};

struct program {
    struct cloud *cloud;
    struct cloud_opt opt;
    char https[HOST_SIZE], http[HOST_SIZE], internal[HOST_SIZE], relay[HOST_SIZE], node[96];
};

static struct program program;

static void
on_fatal(void *ctx UNUSED, const struct err *err)
{
    /* Nothing may be acknowledged any more; a restart recovers what was (I4). */
    fprintf(stderr, "parley-cloud: the store failed: %s\n", err->text);
    _exit(1);
}

static void
on_ready(void *ctx)
{
    struct service *service = ctx;
    char listen[HOST_SIZE + 8];

    snprintf(listen, sizeof listen, "%s:%u", program.https, cloud_https_port(program.cloud));
    service_ready(service, listen);
}

static enum rc
read_hosts(struct service *service, struct cloud_opt *opt, struct err *err)
{
    const struct {
        const char *setting;
        char *host;
        struct cloud_listen *at;
    } listens[] = {
        {"listen",          program.https,    &opt->https   },
        {"http_listen",     program.http,     &opt->http    },
        {"internal_listen", program.internal, &opt->internal}
    };
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < ARRAY_LEN(listens); i++) {
        const char *text = config_str(service->config, listens[i].setting);

        if (text == NULL)
            continue;
        listens[i].at->host = listens[i].host;
        rc = service_listen_read(listens[i].host, HOST_SIZE, &listens[i].at->port,
                                 listens[i].setting, text, err);
    }
    if (rc == RC_OK && opt->http.host != NULL && strncmp(opt->http.host, "127.", 4) != 0 &&
        strcmp(opt->http.host, "::1") != 0 && strcmp(opt->http.host, "localhost") != 0)
        rc = err_set(err, RC_INVAL, "config", "http_listen is for loopback addresses only");
    opt->relay_host = program.relay;
    if (rc == RC_OK)
        rc = service_listen_read(program.relay, HOST_SIZE, &opt->relay_port, "relay",
                                 config_str(service->config, "relay"), err);
    return rc;
}

/* Another node takes ports that the kernel picks: the first has the configured ones. */
static void
name_node(struct service *service, struct cloud_opt *opt)
{
    snprintf(program.node, sizeof program.node, "%s", config_str(service->config, "node"));
    opt->node = program.node;
    if (config_origin(service->config, "node") == CONFIG_FLAG)
        opt->https.port = opt->http.port = opt->internal.port = 0;
}

static enum rc
start(struct service *service, struct err *err)
{
    struct cloud_opt *opt = &program.opt;
    struct config *config = service->config;
    enum rc rc = read_hosts(service, opt, err);

    if (rc == RC_OK)
        rc = service_key_read(opt->relay_root, "relay_key", config_str(config, "relay_key"), err);
    if (rc != RC_OK)
        return rc;
    name_node(service, opt);
    opt->loop = service->loop;
    opt->log = service->log;
    opt->clock = service->clock;
    opt->rng = rng_system();
    opt->data_dir = config_str(config, "data_dir");
    opt->ca_file = config_str(config, "ca_file");
    opt->cert_file = config_str(config, "cert_file");
    opt->key_file = config_str(config, "key_file");
    opt->manager = config_str(config, "manager");
    opt->policy = config_str(config, "policy");
    opt->allow_private_hosts = config_bool(config, "allow_private_hosts");
    opt->lease_ms = config_int(config, "lease_ms");
    opt->on_fatal = on_fatal;
    opt->on_ready = on_ready;
    opt->ctx = service;
    if (opt->ca_file == NULL || opt->cert_file == NULL || opt->key_file == NULL)
        return err_set(err, RC_INVAL, "config", "ca_file, cert_file and key_file are required");
    rc = cloud_open(&program.cloud, opt, err);
    service->state = program.cloud;
    return rc;
}

static void
on_closed(void *ctx)
{
    service_end(ctx);
}

static void
stop(struct service *service)
{
    cloud_close(&program.cloud, on_closed, service);
}

static void
on_due(void *ctx)
{
    service_due_done(ctx);
}

static void
run_due(struct service *service)
{
    cloud_run_due(program.cloud, on_due, service);
}

int
main(int argc, char **argv)
{
    const struct service_program about = {
        .name = "parley-cloud",
        .log_name = "cloud",
        .about = "the Cloud API: Graph dialect, sessions and webhooks of its numbers",
        .settings = settings,
        .n_settings = ARRAY_LEN(settings),
        .user = {"parley-cloud", 61004},
        .start = start,
        .stop = stop,
        .admin_rows = cloud_admin_rows,
        .n_admin_rows = cloud_admin_rows_n,
        .run_due = run_due,
    };

    return service_main(&about, argc, argv);
}
