/* up_children.c - the programs of a platform as children: started, watched, started again, stopped.
 *
 * Each writes its log to DIR/log/NAME.log and one JSON line on standard output when it serves. A
 * crash is answered by a restart after a growing pause; five crashes within a minute are hopeless.
 * Children see no PARLEY_ settings: theirs come from the files that the supervisor wrote.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/up.h"

#define RESTART_FIRST_MS 100u
#define RESTART_MAX_MS 5000u
#define HOPELESS_CRASHES 5u
#define HOPELESS_WINDOW_MS 60000u
#define KILL_AFTER_MS 2000u
#define READY_LINE_MAX 512u
#define ARGS_MAX 8u
#define SUPERVISOR_SIZE 48u

static const struct program {
    const char *name;   /* relay */
    const char *binary; /* parley-relay */
} programs[] = {
    {"manager", "parley-manager"},
    {"relay",   "parley-relay"  },
    {"cloud",   "parley-cloud"  },
    {"phone",   "parley-phone"  },
};

struct child {
    struct up_children *all;
    const struct program *program;
    uv_process_t process;
    uv_pipe_t out;
    char line[READY_LINE_MAX];
    size_t line_len;
    bool is_running, is_ready;
    uint32_t restarts, crashes;
    uint64_t first_crash_ms, started_ms, pause_ms;
    struct loop_timer restart;
};

struct up_children {
    struct up_children_opt opt;
    struct child child[ARRAY_LEN(programs)];
    struct loop_timer kill_timer;
    bool is_stopping, was_ready;
    char **env;
    char supervisor[SUPERVISOR_SIZE];
    struct child provision;
    void (*on_provisioned)(void *ctx, int status);
    void *provision_ctx;
};

extern char **environ;

static void child_spawn(struct child *child);

/* ---- environment ---- */

static char **
env_for_children(char *supervisor)
{
    size_t n = 0, kept = 0;
    char **env;

    while (environ[n] != NULL)
        n++;
    env = calloc(n + 2, sizeof *env);
    snprintf(supervisor, SUPERVISOR_SIZE, "PARLEY_SUPERVISOR_PID=%d", (int)getpid());
    for (size_t i = 0; env != NULL && i < n; i++)
        if (strncmp(environ[i], "PARLEY_", 7) != 0)
            env[kept++] = environ[i];
    if (env != NULL)
        env[kept] = supervisor; /* so that a child knows at once when we are gone */
    return env;
}

/* ---- readiness ---- */

bool
up_children_all_ready(const struct up_children *children)
{
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        if (!children->child[i].is_ready)
            return false;
    return true;
}

static void
check_ready(struct up_children *all)
{
    if (all->was_ready || !up_children_all_ready(all))
        return;
    all->was_ready = true;
    all->opt.on_ready(all->opt.ctx);
}

static void
on_line(struct child *child)
{
    if (child->program == NULL || strstr(child->line, "\"ready\":true") == NULL)
        return;
    child->is_ready = true;
    log_event(child->all->opt.log, LOG_INFO, "up.ready", LOG_STR("program", child->program->name));
    check_ready(child->all);
}

static void
on_alloc(uv_handle_t *handle UNUSED, size_t suggested UNUSED, uv_buf_t *buf)
{
    static char scratch[1024]; /* one loop, one thread: consumed before the next read */

    *buf = uv_buf_init(scratch, sizeof scratch);
}

static void
on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct child *child = stream->data;

    if (n < 0) {
        uv_close((uv_handle_t *)stream, NULL);
        return;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (buf->base[i] == '\n') {
            child->line[child->line_len] = '\0';
            on_line(child);
            child->line_len = 0;
        } else if (child->line_len + 1 < sizeof child->line) {
            child->line[child->line_len++] = buf->base[i];
        }
    }
}

/* ---- ends ---- */

static bool
is_any_running(const struct up_children *all)
{
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        if (all->child[i].is_running)
            return true;
    return all->provision.is_running;
}

static void
on_restart(struct loop_timer *timer)
{
    struct child *child = (struct child *)((char *)timer - offsetof(struct child, restart));

    if (!child->all->is_stopping)
        child_spawn(child);
}

static void
on_crash(struct child *child, int64_t status, int signal)
{
    struct up_children *all = child->all;
    uint64_t now_ms = uv_now(loop_uv(all->opt.loop));
    char text[200];

    log_event(all->opt.log, LOG_WARN, "up.ended", LOG_STR("program", child->program->name),
              LOG_INT("status", status), LOG_INT("signal", signal));
    if (now_ms - child->first_crash_ms > HOPELESS_WINDOW_MS) {
        child->first_crash_ms = now_ms;
        child->crashes = 0;
        child->pause_ms = RESTART_FIRST_MS;
    }
    /* Killed from outside says nothing about the program; its own exit does. */
    if (signal == 0 && ++child->crashes >= HOPELESS_CRASHES) {
        snprintf(text, sizeof text, "%s ended %u times within a minute; see log/%s.log",
                 child->program->binary, child->crashes, child->program->name);
        all->opt.on_hopeless(all->opt.ctx, text);
        return;
    }
    child->restarts++;
    loop_timer_start(&child->restart, signal != 0 ? RESTART_FIRST_MS : child->pause_ms, 0);
    child->pause_ms = child->pause_ms * 2 < RESTART_MAX_MS ? child->pause_ms * 2 : RESTART_MAX_MS;
}

static void
on_exit_child(uv_process_t *process, int64_t status, int signal)
{
    struct child *child = process->data;
    struct up_children *all = child->all;

    child->is_running = false;
    child->is_ready = false;
    uv_close((uv_handle_t *)process, NULL);
    if (all->is_stopping) {
        if (!is_any_running(all))
            all->opt.on_stopped(all->opt.ctx);
    } else if (child->program == NULL) {
        all->on_provisioned(all->provision_ctx, signal != 0 ? 128 + signal : (int)status);
    } else {
        on_crash(child, status, signal);
    }
}

/* ---- starting ---- */

static int
open_log(const struct up_plan *plan, const char *name)
{
    char path[UP_PATH_MAX], file[64];

    snprintf(file, sizeof file, "log/%s.log", name);
    return open(up_path(path, plan, file), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static enum rc
spawn(struct child *child, const char *name, char **args, struct err *err)
{
    struct up_children *all = child->all;
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE                        },
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&child->out},
        {.flags = UV_INHERIT_FD                                         }
    };
    uv_process_options_t opt = {.exit_cb = on_exit_child,
                                .file = args[0],
                                .args = args,
                                .env = all->env,
                                .stdio_count = 3,
                                .stdio = stdio};
    int fd = open_log(all->opt.plan, name), status;

    if (fd < 0)
        return err_errno(err, RC_IO, "up.spawn", errno, "log file");
    stdio[2].data.fd = fd;
    uv_pipe_init(loop_uv(all->opt.loop), &child->out, 0);
    child->out.data = child;
    child->process.data = child;
    child->line_len = 0;
    status = uv_spawn(loop_uv(all->opt.loop), &child->process, &opt);
    close(fd);
    if (status != 0) {
        uv_close((uv_handle_t *)&child->out, NULL);
        uv_close((uv_handle_t *)&child->process, NULL);
        return err_set(err, RC_IO, "up.spawn", "%s: %s", args[0], uv_strerror(status));
    }
    child->is_running = true;
    child->started_ms = uv_now(loop_uv(all->opt.loop));
    uv_read_start((uv_stream_t *)&child->out, on_alloc, on_output);
    return RC_OK;
}

static void
child_spawn(struct child *child)
{
    const struct up_plan *plan = child->all->opt.plan;
    char binary[UP_PATH_MAX], conf[UP_PATH_MAX], name[64], flag[] = "--config";
    char *args[ARGS_MAX] = {binary, flag, conf, NULL};
    struct err err = {0};

    snprintf(binary, sizeof binary, "%.900s/%s", plan->bin, child->program->binary);
    snprintf(name, sizeof name, "etc/%s.conf", child->program->binary);
    up_path(conf, plan, name);
    if (spawn(child, child->program->name, args, &err) != RC_OK)
        child->all->opt.on_hopeless(child->all->opt.ctx, err.text);
}

enum rc
up_children_start(struct up_children **out, const struct up_children_opt *opt, struct err *err)
{
    struct up_children *all = calloc(1, sizeof *all);

    *out = NULL;
    if (all == NULL || (all->env = env_for_children(all->supervisor)) == NULL) {
        free(all);
        return err_set(err, RC_NOMEM, "up.children", "children");
    }
    all->opt = *opt;
    *out = all;
    for (size_t i = 0; i < ARRAY_LEN(programs) && !all->is_stopping; i++) {
        struct child *child = &all->child[i];

        child->all = all;
        child->program = &programs[i];
        child->pause_ms = RESTART_FIRST_MS;
        loop_timer_init(opt->loop, &child->restart, on_restart);
        child_spawn(child);
    }
    return RC_OK;
}

enum rc
up_children_provision(struct up_children *all, void (*on_done)(void *ctx, int status), void *ctx,
                      struct err *err)
{
    const struct up_plan *plan = all->opt.plan;
    char binary[UP_PATH_MAX], dir[UP_PATH_MAX], seed[80] = "", word[] = "demo-provision",
                                                flag[] = "--data-dir", seed_flag[] = "--seed";
    char *args[ARGS_MAX] = {binary, word, flag, dir, NULL};

    snprintf(binary, sizeof binary, "%.900s/parley", plan->bin);
    snprintf(dir, sizeof dir, "%s", plan->dir);
    if (plan->seed != NULL) {
        snprintf(seed, sizeof seed, "%s", plan->seed);
        args[4] = seed_flag;
        args[5] = seed;
    }
    all->on_provisioned = on_done;
    all->provision_ctx = ctx;
    all->provision.all = all;
    return spawn(&all->provision, "provision", args, err);
}

/* ---- stopping ---- */

static void
signal_all(struct up_children *all, int signal)
{
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        if (all->child[i].is_running)
            uv_process_kill(&all->child[i].process, signal);
    if (all->provision.is_running)
        uv_process_kill(&all->provision.process, signal);
}

static void
on_kill(struct loop_timer *timer)
{
    signal_all((struct up_children *)((char *)timer - offsetof(struct up_children, kill_timer)),
               SIGKILL);
}

void
up_children_stop(struct up_children *all)
{
    if (all->is_stopping)
        return;
    all->is_stopping = true;
    loop_timer_init(all->opt.loop, &all->kill_timer, on_kill);
    loop_timer_start(&all->kill_timer, KILL_AFTER_MS, 0);
    signal_all(all, SIGTERM);
    if (!is_any_running(all))
        all->opt.on_stopped(all->opt.ctx);
}

void
up_children_free(struct up_children **children)
{
    if (*children == NULL)
        return;
    free((*children)->env);
    free(*children);
    *children = NULL;
}

void
up_children_show(const struct up_children *all, void (*line)(void *ctx, const char *text),
                 void *ctx)
{
    uint64_t now_ms = uv_now(loop_uv(all->opt.loop));
    char text[160];

    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        const struct child *child = &all->child[i];

        snprintf(text, sizeof text, "%s pid=%d state=%s up_s=%llu restarts=%u",
                 child->program->name, child->is_running ? child->process.pid : 0,
                 child->is_ready     ? "ready"
                 : child->is_running ? "starting"
                                     : "down",
                 (unsigned long long)((now_ms - child->started_ms) / 1000), child->restarts);
        line(ctx, text);
    }
}
