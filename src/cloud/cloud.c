/* cloud.c - the Cloud as a whole: what is opened in which order, and how it ends.
 *
 * Order: lock of the node's name, key ring, store, directory and manager, webhook pump, gateway,
 * then the listeners: nothing untrusted is read before everything that answers it exists. */
#include "cloud/cloud.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/e164.h"
#include "base/file.h"
#include "base/object_id.h"
#include "cloud/call.h"

#define PATH_SIZE 1024u
#define PEM_MAX 65536u
#define DUE_MS 60000u
#define REPORT_MS 2000u

/* ---- what the parts tell us ---- */

static void
check_ready(struct cloud *cloud)
{
    if (cloud->is_ready || !directory_is_loaded(cloud->directory))
        return;
    cloud->is_ready = true;
    if (cloud->opt.on_ready != NULL)
        cloud->opt.on_ready(cloud->opt.ctx);
}

static void
on_manager_event(void *ctx, const json_t *line)
{
    struct cloud *cloud = ctx;
    const char *event = json_str(line, "event");
    struct err err = {0};
    uint64_t business = 0;

    if (event == NULL || cloud->is_closing)
        return;
    if (strcmp(event, "token_revoked") == 0) {
        principals_drop(cloud->principals, json_str(line, "token_hash"), 0);
    } else if (strcmp(event, "principals_stale") == 0) {
        (void)!object_id_read(&business, bytes_of_str(json_str(line, "business_id")), NULL);
        principals_drop(cloud->principals, NULL, business);
    } else if (directory_apply(cloud->directory, line, &err) != RC_OK) {
        log_event(cloud->opt.log, LOG_ERROR, "cloud.bad_event", LOG_RC(&err));
    }
    check_ready(cloud);
}

static void
on_manager_stream(void *ctx, bool is_up)
{
    struct cloud *cloud = ctx;

    if (is_up) {
        principals_drop(cloud->principals, NULL, 0); /* a revocation may have been missed */
        numbers_report_all(cloud);
    }
}

/* Only now: the apps' secrets came with the snapshot that named the number, and no other node sends
 * for it any more. */
static void
on_lease(void *ctx, uint64_t account)
{
    hooks_pump_look(((struct cloud *)ctx)->pump, account);
}

static bool
on_certificate(void *ctx, uint64_t account, struct buf *out)
{
    return directory_certificate(((struct cloud *)ctx)->directory, account, out);
}

static bool
on_secret(void *ctx, uint64_t app, char out[129])
{
    return directory_app_secret(((struct cloud *)ctx)->directory, app, out);
}

static const struct gateway_ops gateway_callbacks = {.on_inbound = webhook_inbound,
                                                     .on_status = webhook_status,
                                                     .on_number_state = numbers_on_state,
                                                     .on_lease = on_lease,
                                                     .certificate = on_certificate};

static void
on_due(struct loop_timer *timer)
{
    struct cloud *cloud = (struct cloud *)((char *)timer - offsetof(struct cloud, due));

    numbers_report_all(cloud);
}

/* ---- opening ---- */

static char *
path_in(char *out, const struct cloud *cloud, const char *name)
{
    snprintf(out, PATH_SIZE, "%s/%s", cloud->opt.data_dir, name);
    return out;
}

static enum rc
open_storage(struct cloud *cloud, struct err *err)
{
    const struct store_part **parts = cloud->parts; /* the store goes on looking at them */
    char lock[PATH_SIZE], db[PATH_SIZE], ring[PATH_SIZE], master[PATH_SIZE], name[128];
    struct store_opt opt = {.backend = STORE_SQLITE,
                            .path = path_in(db, cloud, "cloud.db"),
                            .parts = parts,
                            .commit_delay_us = STORE_COMMIT_DELAY_US,
                            .log = cloud->opt.log,
                            .on_fatal = cloud->opt.on_fatal,
                            .ctx = cloud->opt.ctx};
    enum rc rc;

    assert(gateway_parts_n < ARRAY_LEN(cloud->parts));
    for (size_t i = 0; i < gateway_parts_n; i++)
        parts[opt.n_parts++] = gateway_parts[i];
    parts[opt.n_parts++] = &hooks_part;
    snprintf(name, sizeof name, "node-%s.lock", cloud->opt.node);
    rc = file_lock(&cloud->lock_fd, path_in(lock, cloud, name), err);
    if (rc == RC_BUSY)
        return err_set(err, RC_BUSY, "cloud", "another parley-cloud runs as node \"%s\" here",
                       cloud->opt.node);
    if (rc == RC_OK)
        rc = keyring_open(&cloud->ring,
                          &(struct keyring_opt){.ring_path = path_in(ring, cloud, "keyring"),
                                                .master_path = path_in(master, cloud, "master.key"),
                                                .rng = cloud->opt.rng},
                          err);
    return rc == RC_OK ? store_open(&cloud->store, &opt, err) : rc;
}

static enum rc
open_trust(struct cloud *cloud, struct err *err)
{
    const struct directory_events events = {
        .on_number = numbers_on_directory, .on_number_removed = numbers_on_removed, .ctx = cloud};
    const struct manager_link_opt manager = {.loop = cloud->opt.loop,
                                             .log = cloud->opt.log,
                                             .clock = cloud->opt.clock,
                                             .address = cloud->opt.manager,
                                             .ca_file = cloud->opt.ca_file,
                                             .cert_file = cloud->opt.cert_file,
                                             .key_file = cloud->opt.key_file,
                                             .on_event = on_manager_event,
                                             .on_stream = on_manager_stream,
                                             .ctx = cloud};
    enum rc rc = directory_new(&cloud->directory, &events, err);

    if (rc == RC_OK)
        rc = manager_link_open(&cloud->manager, &manager, err);
    if (rc == RC_OK)
        rc = principals_new(&cloud->principals, cloud->manager, cloud->opt.clock, err);
    return rc;
}

static enum rc
open_gateway(struct cloud *cloud, struct err *err)
{
    struct gateway_opt gateway = {.loop = cloud->opt.loop,
                                  .store = cloud->store,
                                  .ring = cloud->ring,
                                  .clock = cloud->opt.clock,
                                  .rng = cloud->opt.rng,
                                  .log = cloud->opt.log,
                                  .relay_host = cloud->opt.relay_host,
                                  .relay_port = cloud->opt.relay_port,
                                  .client_name = "parley-cloud/0.1",
                                  .ops = &gateway_callbacks,
                                  .ctx = cloud,
                                  .node = cloud->opt.node,
                                  .lease_ms = cloud->opt.lease_ms};
    const struct hooks_pump_opt pump = {.loop = cloud->opt.loop,
                                        .store = cloud->store,
                                        .ring = cloud->ring,
                                        .clock = cloud->opt.clock,
                                        .rng = cloud->opt.rng,
                                        .log = cloud->opt.log,
                                        .ca_file = cloud->opt.ca_file,
                                        .allow_private_hosts = cloud->opt.allow_private_hosts,
                                        .waits_for_accounts = true,
                                        .secret_of = on_secret,
                                        .ctx = cloud};
    enum rc rc;

    memcpy(gateway.relay_root, cloud->opt.relay_root, sizeof gateway.relay_root);
    rc = hooks_pump_open(&cloud->pump, &pump, err); /* first: the gateway's jobs enqueue into it */
    return rc == RC_OK ? gateway_open(&cloud->gateway, &gateway, err) : rc;
}

/* Everything a listener needs, read once. */
struct pems {
    struct buf ca, cert, key;
};

static enum rc
listen_on(struct cloud *cloud, struct http_server **server, const struct cloud_listen *at,
          struct pems *tls, bool with_client_certs,
          void (*on_request)(void *ctx, struct http_request *req), struct err *err)
{
    struct http_server_opt opt = {.loop = cloud->opt.loop,
                                  .log = cloud->opt.log,
                                  .host = at->host,
                                  .port = at->port,
                                  .max_body = CLOUD_BODY_MAX,
                                  .on_request = on_request,
                                  .on_refuse = reply_refused,
                                  .ctx = cloud};

    if (at->host == NULL)
        return RC_OK;
    if (tls != NULL) {
        opt.cert_pem = buf_cstr(&tls->cert);
        opt.key_pem = buf_cstr(&tls->key);
    }
    if (with_client_certs)
        opt.client_ca_pem = buf_cstr(&tls->ca);
    return http_server_open(server, &opt, err);
}

static enum rc
open_listeners(struct cloud *cloud, struct err *err)
{
    struct pems pems;
    enum rc rc;

    buf_init(&pems.ca, PEM_MAX);
    buf_init(&pems.cert, PEM_MAX);
    buf_init(&pems.key, PEM_MAX);
    rc = file_read(&pems.ca, cloud->opt.ca_file, PEM_MAX, err);
    if (rc == RC_OK)
        rc = file_read(&pems.cert, cloud->opt.cert_file, PEM_MAX, err);
    if (rc == RC_OK)
        rc = file_read(&pems.key, cloud->opt.key_file, PEM_MAX, err);
    if (rc == RC_OK)
        rc = listen_on(cloud, &cloud->internal, &cloud->opt.internal, &pems, true, internal_handle,
                       err);
    if (rc == RC_OK)
        rc = listen_on(cloud, &cloud->https, &cloud->opt.https, &pems, false, routes_handle, err);
    if (rc == RC_OK)
        rc = listen_on(cloud, &cloud->http, &cloud->opt.http, NULL, false, routes_handle, err);
    buf_free(&pems.ca);
    buf_free(&pems.cert);
    buf_wipe(&pems.key);
    return rc;
}

enum rc
cloud_open(struct cloud **out, const struct cloud_opt *opt, struct err *err)
{
    struct cloud *cloud = calloc(1, sizeof *cloud);
    enum rc rc;

    *out = NULL;
    if (cloud == NULL)
        return err_set(err, RC_NOMEM, "cloud.open", "cloud");
    cloud->opt = *opt;
    cloud->lock_fd = -1;
    loop_timer_init(opt->loop, &cloud->due, on_due);
    *out = cloud; /* closed by the caller whatever fails below */
    rc = open_storage(cloud, err);
    if (rc == RC_OK)
        rc = open_gateway(cloud, err);
    if (rc == RC_OK)
        rc = open_trust(cloud, err);
    if (rc == RC_OK)
        rc = open_listeners(cloud, err);
    if (rc == RC_OK)
        loop_timer_start(&cloud->due, REPORT_MS, REPORT_MS);
    return rc;
}

/* ---- closing ---- */

static void
on_due_closed(struct loop_timer *timer)
{
    struct cloud *cloud = (struct cloud *)((char *)timer - offsetof(struct cloud, due));
    void (*fn)(void *ctx) = cloud->on_closed;
    void *ctx = cloud->closed_ctx;

    free(cloud);
    if (fn != NULL)
        fn(ctx);
}

static void
on_gateway_closed(void *ctx)
{
    struct cloud *cloud = ctx;

    hooks_pump_free(&cloud->pump);
    manager_link_free(&cloud->manager); /* its calls end, and look at the principals once more */
    principals_free(&cloud->principals);
    numbers_free(cloud);
    http_server_free(&cloud->https); /* last of those that requests wait for */
    http_server_free(&cloud->http);
    http_server_free(&cloud->internal);
    store_free(&cloud->store);
    directory_free(&cloud->directory);
    keyring_free(&cloud->ring);
    if (cloud->lock_fd >= 0)
        close(cloud->lock_fd);
    loop_timer_stop(&cloud->due);
    loop_timer_close(&cloud->due, on_due_closed);
}

void
cloud_close(struct cloud **out, void (*on_closed)(void *ctx), void *ctx)
{
    struct cloud *cloud = *out;

    *out = NULL;
    if (cloud == NULL) {
        if (on_closed != NULL)
            on_closed(ctx);
        return;
    }
    cloud->is_closing = true; /* new requests are refused; those under way get their answer */
    cloud->on_closed = on_closed;
    cloud->closed_ctx = ctx;
    gateway_close(&cloud->gateway, on_gateway_closed, cloud);
}

/* ---- readings ---- */

uint16_t
cloud_https_port(const struct cloud *cloud)
{
    return cloud->https == NULL ? 0 : http_server_port(cloud->https);
}

uint16_t
cloud_http_port(const struct cloud *cloud)
{
    return cloud->http == NULL ? 0 : http_server_port(cloud->http);
}

uint16_t
cloud_internal_port(const struct cloud *cloud)
{
    return cloud->internal == NULL ? 0 : http_server_port(cloud->internal);
}

/* ---- what is due: numbers, then webhooks ---- */

struct due_run {
    struct cloud *cloud;
    void (*fn)(void *ctx);
    void *ctx;
};

static void
on_hooks_drained(void *ctx)
{
    struct due_run *run = ctx;

    run->fn(run->ctx);
    free(run);
}

static void
on_gateway_due(void *ctx)
{
    struct due_run *run = ctx;

    hooks_pump_drain(run->cloud->pump, on_hooks_drained, run);
}

void
cloud_run_due(struct cloud *cloud, void (*fn)(void *ctx), void *ctx)
{
    struct due_run *run = malloc(sizeof *run);

    if (run == NULL) {
        fn(ctx);
        return;
    }
    *run = (struct due_run){.cloud = cloud, .fn = fn, .ctx = ctx};
    gateway_run_due(cloud->gateway, on_gateway_due, run);
}

/* ---- administration ---- */

static void
show_number(void *ctx, uint64_t account)
{
    struct admin_call *call = ((void **)ctx)[0];
    struct cloud *cloud = ((void **)ctx)[1];
    struct gateway_number_info info;
    char masked[16];

    if (gateway_number_info(cloud->gateway, account, &info))
        admin_putf(call, "number=%s ours=%d registered=%d up=%d", e164_masked(masked, account),
                   info.is_ours, info.is_registered, info.is_up);
}

static void
admin_numbers(struct admin_call *call, void *ctx)
{
    void *both[] = {call, ctx};

    gateway_each_number(((struct cloud *)ctx)->gateway, show_number, both);
    admin_done(call, RC_OK, NULL);
}

static void
admin_hooks(struct admin_call *call, void *ctx)
{
    struct hooks_stats stats;

    hooks_pump_stats(((struct cloud *)ctx)->pump, &stats);
    admin_putf(call, "delivered=%llu failed_attempts=%llu parked=%llu waiting=%llu in_flight=%u",
               (unsigned long long)stats.delivered, (unsigned long long)stats.failed_attempts,
               (unsigned long long)stats.parked, (unsigned long long)stats.waiting,
               stats.in_flight);
    admin_done(call, RC_OK, NULL);
}

static void
admin_store(struct admin_call *call, void *ctx)
{
    struct store_stats stats;

    store_stats(((struct cloud *)ctx)->store, &stats);
    admin_putf(call, "jobs=%llu commits=%llu reruns=%llu refused_full=%llu waiting=%llu",
               (unsigned long long)stats.jobs, (unsigned long long)stats.commits,
               (unsigned long long)stats.reruns, (unsigned long long)stats.refused_full,
               (unsigned long long)stats.waiting);
    admin_done(call, RC_OK, NULL);
}

const struct admin_row cloud_admin_rows[] = {
    {"show numbers", "numbers served here and their connections", admin_numbers},
    {"show hooks",   "webhooks delivered, waiting and parked",    admin_hooks  },
    {"show store",   "jobs and commits of the store",             admin_store  },
};
const size_t cloud_admin_rows_n = ARRAY_LEN(cloud_admin_rows);
