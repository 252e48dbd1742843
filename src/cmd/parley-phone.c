/* parley-phone.c - the program around people's phones: every profile of a data folder, kept
 * connected.
 *
 * Says that it is ready when the store is open and the socket listens; it does not wait for the
 * relay. Source: docs/phone.md, docs/operating.md. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "cmd/parley_phone_client.h"
#include "cmd/service.h"
#include "phone/server.h"

#define PATH_SIZE 1100u
#define TAKE_OVER_MS 3000
#define TAKE_OVER_STEP_MS 20

static const struct config_row settings[] = {
    SERVICE_SETTINGS,
    {"relay",         CONFIG_STR, NULL, 0, 0, NULL, "HOST:PORT of the relay"              },
    {"relay_key",     CONFIG_STR, NULL, 0, 0, NULL, "the relay's root key: base64 Ed25519"},
    {"authority_key", CONFIG_STR, NULL, 0, 0, NULL,
      "who signs number certificates: base64 Ed25519"                                      },
};

struct program {
    struct service *service;
    char relay_host[256];
    int lock_fd; /* held until the program ends */
    struct store *store;
    struct keyring *ring;
    struct phone *phone;
    struct phone_server *server;
    struct err fatal;
    struct loop_post fatal_post;
};

static struct program *
program_of(const struct service *service)
{
    return service->state;
}

/* The platform's folder is not ours: in it we have `phone`. */
static char *
path_in(char out[PATH_SIZE], const struct service *service, const char *name)
{
    snprintf(out, PATH_SIZE, "%s/%s", config_str(service->config, "data_dir"), name);
    return out;
}

static enum rc
prepare(struct service *service, struct err *err)
{
    return dir_make(config_str(service->config, "data_dir"), 0700, err);
}

/* ---- the store ---- */

static void
on_fatal_loop(struct loop_post *post)
{
    struct program *p = (struct program *)((char *)post - offsetof(struct program, fatal_post));

    log_event(p->service->log, LOG_ERROR, "phone.store_failed", LOG_RC(&p->fatal));
    /* What is not durable must never be said: nothing more is written or acknowledged (I4). */
    fprintf(stderr, "parley-phone: %s\n", p->fatal.text);
    _Exit(1);
}

static void
on_fatal(void *ctx, const struct err *err)
{
    struct program *p = ctx;

    p->fatal = *err;
    p->fatal_post.fn = on_fatal_loop;
    loop_post(p->service->loop, &p->fatal_post);
}

static void
pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* One program has the folder: two would move the same sessions on. A daemon that a command started
 * earlier makes room for the supervisor's. */
static enum rc
take_lock(struct program *p, struct err *err)
{
    struct service *service = p->service;
    char path[PATH_SIZE], socket_path[PATH_SIZE];
    bool may_take_over = config_str(service->config, "config") != NULL;

    path_in(path, service, "lock");
    for (int waited_ms = 0;; waited_ms += TAKE_OVER_STEP_MS) {
        enum rc rc = file_lock(&p->lock_fd, path, err);

        if (rc == RC_BUSY && (!may_take_over || waited_ms >= TAKE_OVER_MS))
            return err_set(err, RC_BUSY, "phone.start", "another parley-phone has this folder");
        if (rc != RC_BUSY)
            return rc;
        if (waited_ms == 0)
            phone_client_shut_down(path_in(socket_path, service, "daemon.sock"));
        pause_ms(TAKE_OVER_STEP_MS);
    }
}

static enum rc
open_store(struct program *p, struct err *err)
{
    char path[PATH_SIZE];
    const struct store_opt opt = {.path = path_in(path, p->service, "phone.db"),
                                  .parts = phone_parts,
                                  .n_parts = phone_parts_n,
                                  .log = p->service->log,
                                  .on_fatal = on_fatal,
                                  .ctx = p};

    return store_open(&p->store, &opt, err);
}

static enum rc
open_ring(struct program *p, struct err *err)
{
    char ring[PATH_SIZE], master[PATH_SIZE];
    const struct keyring_opt opt = {.ring_path = path_in(ring, p->service, "keyring"),
                                    .master_path = path_in(master, p->service, "master.key"),
                                    .rng = rng_system()};

    return keyring_open(&p->ring, &opt, err);
}

/* ---- life ---- */

static void
on_shutdown(void *ctx)
{
    service_stop(ctx, 0);
}

static enum rc
open_server(struct program *p, struct err *err)
{
    char path[PATH_SIZE], listen[PATH_SIZE + 8];
    const struct phone_server_opt opt = {.loop = p->service->loop,
                                         .log = p->service->log,
                                         .path = path_in(path, p->service, "daemon.sock"),
                                         .phone = p->phone,
                                         .on_shutdown = on_shutdown,
                                         .ctx = p->service};
    enum rc rc = phone_server_open(&p->server, &opt, err);

    if (rc != RC_OK)
        return rc;
    snprintf(listen, sizeof listen, "unix:%s", path);
    service_ready(p->service, listen);
    return RC_OK;
}

static enum rc
start(struct service *service, struct err *err)
{
    struct program *p = program_of(service);
    const char *authority = config_str(service->config, "authority_key");
    struct phone_opt opt = {.loop = service->loop,
                            .clock = service->clock,
                            .rng = rng_system(),
                            .log = service->log,
                            .relay_host = p->relay_host,
                            .has_authority = authority != NULL,
                            .may_shift_clock = config_bool(service->config, "test_clock")};
    enum rc rc;

    p->service = service;
    rc = service_listen_read(p->relay_host, sizeof p->relay_host, &opt.relay_port, "relay",
                             config_str(service->config, "relay"), err);
    if (rc == RC_OK)
        rc = service_key_read(opt.relay_root, "relay_key", config_str(service->config, "relay_key"),
                              err);
    if (rc == RC_OK && authority != NULL)
        rc = service_key_read(opt.authority, "authority_key", authority, err);
    if (rc == RC_OK)
        rc = take_lock(p, err);
    if (rc == RC_OK)
        rc = open_store(p, err);
    if (rc == RC_OK)
        rc = open_ring(p, err);
    if (rc != RC_OK)
        return rc;
    opt.store = p->store;
    opt.ring = p->ring;
    if ((rc = phone_open(&p->phone, &opt, err)) != RC_OK)
        return rc;
    return open_server(p, err);
}

static void
on_closed(void *ctx)
{
    struct service *service = ctx;
    struct program *p = program_of(service);

    store_free(&p->store);
    keyring_free(&p->ring);
    service_end(service);
}

static void
stop(struct service *service)
{
    struct program *p = program_of(service);

    phone_server_free(&p->server);
    phone_close(&p->phone, on_closed, service);
}

static void
on_due(void *ctx)
{
    service_due_done(ctx);
}

static void
run_due(struct service *service)
{
    struct program *p = program_of(service);

    if (p->phone == NULL)
        service_due_done(service);
    else
        phone_run_due(p->phone, on_due, service);
}

/* ---- administration ---- */

static void
show_profile(void *ctx, struct profile *profile)
{
    static const char *const states[] = {"new", "registered", "unregistered"};
    struct profile_info info;

    profile_info(profile, &info);
    admin_putf(ctx, "%s state=%s offline=%d", info.name, states[info.state], info.is_offline);
}

static void
show_link(void *ctx, struct profile *profile)
{
    struct profile_info info;

    profile_info(profile, &info);
    admin_putf(ctx,
               "%s up=%d published=%" PRIu64 " received=%" PRIu64 " duplicates=%" PRIu64
               " undecryptable=%" PRIu64 " in_flight=%" PRIu64,
               info.name, info.is_up, info.published, info.received, info.duplicates,
               info.undecryptable, info.in_flight);
}

static void
show_each(struct admin_call *call, struct program *p, void (*fn)(void *ctx, struct profile *p))
{
    if (p->phone == NULL) {
        admin_done(call, RC_CLOSED, "the phone is ending");
        return;
    }
    phone_each(p->phone, fn, call);
    admin_done(call, RC_OK, NULL);
}

static void
show_profiles(struct admin_call *call, void *ctx)
{
    show_each(call, ctx, show_profile);
}

static void
show_links(struct admin_call *call, void *ctx)
{
    show_each(call, ctx, show_link);
}

static void
show_store(struct admin_call *call, void *ctx)
{
    struct program *p = ctx;
    struct store_stats s;

    if (p->store == NULL) {
        admin_done(call, RC_CLOSED, "the phone is ending");
        return;
    }
    store_stats(p->store, &s);
    admin_putf(call, "jobs=%" PRIu64 " commits=%" PRIu64 " reruns=%" PRIu64, s.jobs, s.commits,
               s.reruns);
    admin_putf(call, "refused_full=%" PRIu64 " waiting=%" PRIu64 " oldest_wait_us=%" PRId64,
               s.refused_full, s.waiting, s.oldest_wait_us);
    admin_done(call, RC_OK, NULL);
}

static const struct admin_row admin_rows[] = {
    {"show profiles", "whose phones these are",                      show_profiles},
    {"show links",    "connections to the relay, and what they did", show_links   },
    {"show store",    "jobs, commits, waiting",                      show_store   },
};

/* PARLEY_DATA_DIR names the platform's folder and demo.env's other variables its relay; our own
 * settings are flags or a file. */
static int
settle_environment(int argc, char **argv, char **args, char *dir)
{
    const char *platform = getenv("PARLEY_DATA_DIR");
    bool has_config = false, has_dir = false;
    static char flag[] = "--data-dir";
    int n = 0;

    for (; n < argc; n++) {
        args[n] = argv[n];
        has_config = has_config || strncmp(argv[n], "--config", 8) == 0;
        has_dir = has_dir || strncmp(argv[n], "--data-dir", 10) == 0;
    }
    if (platform != NULL && !has_config && !has_dir) {
        snprintf(dir, PATH_SIZE, "%.1000s/phone", platform);
        args[n++] = flag;
        args[n++] = dir;
    }
    unsetenv("PARLEY_DATA_DIR");
    if (has_config) {
        unsetenv("PARLEY_RELAY");
        unsetenv("PARLEY_RELAY_KEY");
    }
    args[n] = NULL;
    return n;
}

int
main(int argc, char **argv)
{
    struct program state = {0};
    const struct service_program program = {
        .name = "parley-phone",
        .log_name = "phone",
        .about = "people's phones: keys, messages, receipts",
        .settings = settings,
        .n_settings = ARRAY_LEN(settings),
        .user = {"parley-phone", 61003},
        .state = &state,
        .prepare = prepare,
        .start = start,
        .stop = stop,
        .admin_rows = admin_rows,
        .n_admin_rows = ARRAY_LEN(admin_rows),
        .run_due = run_due,
    };
    char **args = calloc((size_t)argc + 3, sizeof *args), dir[PATH_SIZE];
    int status;

    if (args == NULL)
        return 1;
    argc = settle_environment(argc, argv, args, dir);
    status = service_main(&program, argc, args);
    free(args);
    return status;
}
