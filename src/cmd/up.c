/* up.c - `parley up`: prepare, start everything, provision the demo once, say what is where, stay.
 *
 * Runs until SIGINT or SIGTERM, or until a program is hopeless. One instance a folder (DIR/lock).
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/admin.h"
#include "base/file.h"
#include "base/process.h"
#include "cmd/data_dir.h"
#include "cmd/commands.h"
#include "cmd/up.h"
#include "crypto/prim.h"

#define PORT_STEP_MS 50
#define PORT_STEPS 60u

static const struct config_row rows[] = {
    {"data_dir",            CONFIG_PATH,   NULL,        0,    0,         NULL,
     "folder of everything the platform keeps (default: /var/lib/parley as root, else "
     "~/.local/share/parley)"                                                                                                                         },
    {"demo",                CONFIG_BOOL,   "off",       0,    0,         NULL,
     "provision a demo business and a customer once; test clock on, private hosts allowed"                                                            },
    {"seed",                CONFIG_INT,    NULL,        0,    INT64_MAX, NULL,
     "make the demo's ids and secrets the same every time; loopback only"                                                                             },
    {"listen",              CONFIG_STR,    "127.0.0.1", 0,    0,         NULL,                          "address of the public listeners"             },
    {"base_port",           CONFIG_INT,    "9400",      1024, 65525,     NULL,                          "first of ten ports"                          },
    {"policy",              CONFIG_CHOICE, "strict",    0,    0,         "strict|observe|off",
     "what happens to messages that break a limit"                                                                                                    },
    {"test_clock",          CONFIG_BOOL,   "off",       0,    0,         NULL,                          "let `parley clock` move the platform's time" },
    {"allow_private_hosts", CONFIG_BOOL,   "off",       0,    0,         NULL,
     "webhooks may go to loopback and private addresses, over plain HTTP too"                                                                         },
    {"log_level",           CONFIG_CHOICE, "info",      0,    0,         "error|warn|info|debug|trace", "of every program"                            },
    {"log_format",          CONFIG_CHOICE, "text",      0,    0,         "text|json",                   "of every program"                            },
    {"json",                CONFIG_BOOL,   "off",       0,    0,         NULL,                          "print one JSON object instead of the summary"},
};

struct up {
    struct up_plan plan;
    struct loop *loop;
    struct log *log;
    struct up_children *children;
    struct admin *admin;
    uv_signal_t signals[2];
    struct loop_timer renew;
    bool is_stopping, is_announced;
    int status;
};

static void
usage(FILE *out)
{
    fprintf(out, "Usage: parley up [--demo] [--data-dir DIR] [--base-port N] [flags]\n\n"
                 "Runs the whole platform on this machine until Ctrl-C.\n\n"
                 "  parley up --demo                 a business, a number and a customer to try\n"
                 "  parley up --data-dir /srv/parley --listen 0.0.0.0\n\n"
                 "Flags (each also in the environment as PARLEY_…):\n");
    config_help(rows, ARRAY_LEN(rows), out);
}

/* ---- what it says ---- */

static void
print_env(struct up *up)
{
    char path[UP_PATH_MAX];
    struct buf env;

    buf_init(&env, 64 * 1024);
    if (file_read(&env, up_path(path, &up->plan, "demo.env"), 64 * 1024, NULL) == RC_OK)
        fwrite(env.ptr, 1, env.len, stdout);
    buf_wipe(&env);
}

static void
announce(struct up *up)
{
    if (up->is_announced)
        return;
    up->is_announced = true;
    if (up->plan.is_demo)
        print_env(up);
    if (up->plan.is_json) {
        printf("{\"ready\":true,\"pid\":%d}\n", (int)getpid());
    } else {
        printf("\n# Parley is up in %s. Ctrl-C stops it.\n", up->plan.dir);
        if (up->plan.is_demo)
            printf(
                "# Next, in another terminal:\n"
                "#   set -a; . %s/demo.env; set +a\n"
                "#   curl -s --cacert \"$PARLEY_CA_FILE\" -H \"Authorization: Bearer "
                "$PARLEY_TOKEN\" -H 'Content-Type: application/json' \\\n"
                "#     -d \"{\\\"messaging_product\\\":\\\"whatsapp\\\",\\\"to\\\":\\\""
                "$PARLEY_CUSTOMER_NUMBER\\\",\\\"type\\\":\\\"text\\\",\\\"text\\\":{\\\"body\\\":"
                "\\\"Hello\\\"}}\" \\\n"
                "#     \"$PARLEY_URL/$PARLEY_PHONE_NUMBER_ID/messages\"\n"
                "#   %s/parley phone inbox --profile \"$PARLEY_CUSTOMER_PROFILE\"\n",
                up->plan.dir, up->plan.bin);
    }
    fflush(stdout);
}

/* ---- events ---- */

static void
stop(struct up *up, int status)
{
    if (up->is_stopping)
        return;
    up->is_stopping = true;
    up->status = status;
    if (up->children == NULL)
        loop_stop(up->loop);
    else
        up_children_stop(up->children);
}

static void
on_provisioned(void *ctx, int status)
{
    struct up *up = ctx;

    if (status == 0) {
        announce(up);
        return;
    }
    fprintf(stderr, "parley up: provisioning the demo failed; see %s/log/provision.log\n",
            up->plan.dir);
    stop(up, 1);
}

static void
on_ready(void *ctx)
{
    struct up *up = ctx;
    char path[UP_PATH_MAX];
    struct err err = {0};

    if (!up->plan.is_demo || access(up_path(path, &up->plan, "demo.env"), F_OK) == 0) {
        announce(up);
        return;
    }
    if (up_children_provision(up->children, on_provisioned, up, &err) != RC_OK) {
        fprintf(stderr, "parley up: %s\n", err.text);
        stop(up, 1);
    }
}

static void
on_hopeless(void *ctx, const char *text)
{
    struct up *up = ctx;

    fprintf(stderr, "parley up: %s (%s)\n", text, up->plan.dir);
    stop(up, 1);
}

static void
on_stopped(void *ctx)
{
    struct up *up = ctx;

    loop_stop(up->loop);
}

static void
on_signal(uv_signal_t *handle, int signum UNUSED)
{
    stop(handle->data, 0);
}

/* Once a day: a relay certificate near its end is issued anew; the relay reads it at its next
 * start. */
static void
on_renew(struct loop_timer *timer)
{
    struct up *up = (struct up *)((char *)timer - offsetof(struct up, renew));
    struct err err = {0};
    bool renewed;

    if (up_files_renew(&up->plan, &renewed, &err) != RC_OK)
        log_event(up->log, LOG_ERROR, "up.renew_failed", LOG_RC(&err));
}

/* ---- administration ---- */

static void
put_line(void *ctx, const char *text)
{
    admin_putf(ctx, "%s", text);
}

static void
admin_show(struct admin_call *call, void *ctx)
{
    struct up *up = ctx;

    up_children_show(up->children, put_line, call);
    admin_done(call, RC_OK, NULL);
}

static void
admin_ready(struct admin_call *call, void *ctx)
{
    struct up *up = ctx;

    admin_putf(call,
               up->is_announced && up_children_all_ready(up->children) ? "ready" : "starting");
    admin_done(call, RC_OK, NULL);
}

static void
admin_stop(struct admin_call *call, void *ctx)
{
    admin_putf(call, "stopping");
    admin_done(call, RC_OK, NULL);
    stop(ctx, 0);
}

static const struct admin_row admin_rows[] = {
    {"show programs", "state, process id and restarts of each program", admin_show },
    {"ready",         "\"ready\" once everything serves",               admin_ready},
    {"stop",          "stop the platform",                              admin_stop },
};

/* ---- start ---- */

static enum rc
plan_dir(struct up_plan *plan, const char *given, struct err *err)
{
    char wanted[UP_PATH_MAX], *real = NULL;
    enum rc rc = data_dir_resolve(wanted, sizeof wanted, given, err);

    if (rc == RC_OK)
        rc = dir_make(wanted, 0711, err);
    if (rc == RC_OK && (real = realpath(wanted, NULL)) == NULL)
        rc = err_errno(err, RC_IO, "up.dir", errno, wanted);
    if (rc == RC_OK)
        snprintf(plan->dir, sizeof plan->dir, "%s", real);
    free(real);
    if (rc == RC_OK && strlen(plan->dir) > UP_PATH_MAX - 128)
        rc = err_set(err, RC_INVAL, "up.dir", "the path of the data folder is too long");
    return rc;
}

static enum rc
plan_bin(struct up_plan *plan, struct err *err)
{
    ssize_t n = readlink("/proc/self/exe", plan->bin, sizeof plan->bin - 1);
    char *slash;

    if (n < 0)
        return err_errno(err, RC_IO, "up.bin", errno, "/proc/self/exe");
    plan->bin[n] = '\0';
    if ((slash = strrchr(plan->bin, '/')) != NULL)
        *slash = '\0';
    return RC_OK;
}

static bool
is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "::1") == 0;
}

static enum rc
plan_make(struct up_plan *plan, const struct config *config, struct err *err)
{
    bool demo = config_bool(config, "demo");
    enum rc rc;

    plan->listen = config_str(config, "listen");
    plan->base_port = (uint16_t)config_int(config, "base_port");
    plan->is_demo = demo;
    plan->is_json = config_bool(config, "json");
    plan->policy = config_str(config, "policy");
    plan->log_level = config_str(config, "log_level");
    plan->log_format = config_str(config, "log_format");
    plan->seed = config_str(config, "seed");
    plan->has_test_clock = config_bool(config, "test_clock");
    plan->allow_private_hosts = config_bool(config, "allow_private_hosts");
    if (demo && config_origin(config, "test_clock") == CONFIG_DEFAULT)
        plan->has_test_clock = true;
    if (demo && config_origin(config, "allow_private_hosts") == CONFIG_DEFAULT)
        plan->allow_private_hosts = true;
    if (plan->seed != NULL && !is_loopback(plan->listen))
        return err_set(
            err, RC_INVAL, "up",
            "--seed fixes ids and demo secrets, so it goes with a loopback --listen only");
    if ((rc = plan_dir(plan, config_str(config, "data_dir"), err)) != RC_OK)
        return rc;
    return plan_bin(plan, err);
}

/* A group of our own, unless a terminal's foreground job is us already: so that the whole platform
 * can be signalled at once, and Ctrl-C still reaches it. */
static void
own_process_group(void)
{
    if (!(isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp()))
        (void)setpgid(0, 0);
}

/* A port that somebody else has is named here, rather than by a program's log. */
static enum rc
check_port(const struct up_plan *plan, uint16_t port, struct err *err)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, failed;

    if (fd < 0)
        return err_errno(err, RC_IO, "up.port", errno, "socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    failed = bind(fd, (const struct sockaddr *)&at, sizeof at) != 0 ? errno : 0;
    close(fd);
    if (failed == EADDRINUSE)
        return err_set(err, RC_BUSY, "up.port",
                       "port %u is in use; `--base-port N` moves all ten (now %u-%u)", port,
                       plan->base_port, plan->base_port + UP_PORTS - 1);
    return RC_OK;
}

static enum rc
check_ports(const struct up_plan *plan, struct err *err)
{
    static const enum up_port used[] = {UP_PORT_HTTPS, UP_PORT_HTTP, UP_PORT_RELAY, UP_PORT_MANAGER,
                                        UP_PORT_CLOUD_INTERNAL};
    const struct timespec pause = {.tv_nsec = PORT_STEP_MS * 1000000l};
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < ARRAY_LEN(used); i++) {
        uint16_t port = (uint16_t)(plan->base_port + used[i]);
        unsigned steps = PORT_STEPS;

        /* programs of a supervisor that was killed end a moment after it */
        while ((rc = check_port(plan, port, err)) == RC_BUSY && steps-- > 0)
            nanosleep(&pause, NULL);
    }
    return rc;
}

static enum rc
serve(struct up *up, struct err *err)
{
    static const int signums[] = {SIGINT, SIGTERM};
    const struct up_children_opt children = {.loop = up->loop,
                                             .log = up->log,
                                             .plan = &up->plan,
                                             .on_ready = on_ready,
                                             .on_hopeless = on_hopeless,
                                             .on_stopped = on_stopped,
                                             .ctx = up};
    char path[UP_PATH_MAX];
    enum rc rc;

    for (size_t i = 0; i < ARRAY_LEN(signums); i++) {
        uv_signal_init(loop_uv(up->loop), &up->signals[i]);
        up->signals[i].data = up;
        uv_signal_start(&up->signals[i], on_signal, signums[i]);
    }
    unlink(up_path(path, &up->plan, "parley.sock"));
    rc = admin_open(&up->admin, up->loop, path, admin_rows, ARRAY_LEN(admin_rows), up, err);
    if (rc != RC_OK)
        return rc;
    if ((rc = up_children_start(&up->children, &children, err)) != RC_OK)
        return rc;
    loop_timer_init(up->loop, &up->renew, on_renew);
    loop_timer_start(&up->renew, 24ull * 3600 * 1000, 24ull * 3600 * 1000);
    loop_run(up->loop);
    return RC_OK;
}

static void
say_about_users(const struct up_plan *plan)
{
    if (geteuid() != 0)
        fprintf(stderr,
                "parley up: not started as root: the programs share your user; their "
                "folders are not separated from each other (%s)\n",
                plan->dir);
}

int
parley_cmd_up(int argc, char **argv)
{
    const struct config_source source = {.argc = argc, .argv = argv};
    struct up up = {.status = 0};
    struct config *config = NULL;
    struct err err = {0};
    char lock[UP_PATH_MAX];
    int lock_fd = -1;
    char **rest;
    enum rc rc;

    if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
        usage(stdout);
        return 0;
    }
    rc = config_load(&config, rows, ARRAY_LEN(rows), &source, &err);
    if (rc == RC_OK && config_rest(config, &rest) > 0)
        rc = err_set(&err, RC_INVAL, "up", "unexpected argument \"%s\"", rest[0]);
    if (rc == RC_OK)
        rc = plan_make(&up.plan, config, &err);
    if (rc != RC_OK) {
        fprintf(stderr, "parley up: %s\n(parley up --help lists the flags)\n", err.text);
        config_free(&config);
        return 2;
    }
    own_process_group();
    signal(SIGPIPE, SIG_IGN);
    rc = file_lock(&lock_fd, up_path(lock, &up.plan, "lock"), &err);
    if (rc == RC_BUSY)
        err_set(&err, RC_BUSY, "up", "another `parley up` runs on %s", up.plan.dir);
    if (rc == RC_OK)
        rc = log_open(&up.log,
                      &(struct log_opt){.program = "up", .level = LOG_WARN, .fd = STDERR_FILENO},
                      &err);
    if (rc == RC_OK)
        rc = check_ports(&up.plan, &err);
    if (rc == RC_OK)
        rc = crypto_start(&err);
    if (rc == RC_OK)
        rc = up_files_prepare(&up.plan, &err);
    if (rc == RC_OK)
        rc = loop_new(&up.loop, &err);
    if (rc == RC_OK) {
        say_about_users(&up.plan);
        rc = serve(&up, &err);
    }
    if (rc != RC_OK) {
        fprintf(stderr, "parley up: %s\n", err.text);
        up.status = 1;
    }
    admin_free(&up.admin);
    loop_free(&up.loop);
    up_children_free(&up.children);
    log_close(&up.log);
    config_free(&config);
    if (lock_fd >= 0)
        close(lock_fd);
    return up.status;
}
