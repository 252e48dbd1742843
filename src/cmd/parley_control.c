/* parley_control.c - `parley ready` and `parley stop`: talk to the running supervisor's socket. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/admin.h"
#include "base/config.h"
#include "cmd/commands.h"
#include "cmd/data_dir.h"

#define ASK_MS 2000
#define POLL_MS 20

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOT_FOUND = 3, EXIT_TIMED_OUT = 5 };

static const struct config_row rows[] = {
    {"data_dir", CONFIG_PATH, NULL,  0, 0,    NULL, "folder of the platform" },
    {"wait",     CONFIG_INT,  "0",   0, 3600, NULL, "seconds to wait at most"},
    {"json",     CONFIG_BOOL, "off", 0, 0,    NULL, "answer in JSON"         },
};

static int64_t
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
pause_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

static int
load(struct config **config, char *socket_path, size_t size, int argc, char **argv,
     const char *help)
{
    const struct config_source source = {.argc = argc, .argv = argv};
    char dir[900];
    struct err err = {0};
    enum rc rc;

    if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
        puts(help);
        config_help(rows, ARRAY_LEN(rows), stdout);
        return EXIT_OK;
    }
    rc = config_load(config, rows, ARRAY_LEN(rows), &source, &err);
    if (rc == RC_OK)
        rc = data_dir_resolve(dir, sizeof dir, config_str(*config, "data_dir"), &err);
    if (rc != RC_OK) {
        fprintf(stderr, "parley: %s\n", err.text);
        return EXIT_USAGE;
    }
    snprintf(socket_path, size, "%s/parley.sock", dir);
    return -1;
}

/* 1 ready, 0 not yet, -1 nobody there */
static int
ask_ready(const char *socket_path)
{
    struct buf answer;
    enum rc rc;
    int state;

    buf_init(&answer, 4096);
    rc = admin_ask(&answer, socket_path, "ready", ASK_MS, NULL);
    state = rc != RC_OK ? -1 : strncmp(buf_cstr(&answer), "ready", 5) == 0;
    buf_free(&answer);
    return state;
}

int
parley_cmd_ready(int argc, char **argv)
{
    struct config *config = NULL;
    char path[1000];
    int code =
        load(&config, path, sizeof path, argc, argv,
             "Usage: parley ready [--wait SECONDS]\n\nExit 0 once the platform serves; 5 when "
             "it does not within the wait.\n\n  parley ready --wait 10\n");
    int64_t until;
    int state;

    if (code >= 0) {
        config_free(&config);
        return code;
    }
    until = now_ms() + config_int(config, "wait") * 1000;
    while ((state = ask_ready(path)) != 1 && now_ms() < until)
        pause_ms(POLL_MS);
    if (config_bool(config, "json"))
        printf("{\"ready\":%s}\n", state == 1 ? "true" : "false");
    else if (state != 1)
        fprintf(stderr, state == 0 ? "parley: the platform is still starting\n"
                                   : "parley: no platform runs here; start one with `parley up`\n");
    code = state == 1 ? EXIT_OK : config_int(config, "wait") > 0 ? EXIT_TIMED_OUT : EXIT_NOT_FOUND;
    config_free(&config);
    return code;
}

int
parley_cmd_stop(int argc, char **argv)
{
    struct config *config = NULL;
    char path[1000];
    int code =
        load(&config, path, sizeof path, argc, argv,
             "Usage: parley stop\n\nStops the platform that runs on the data folder and waits "
             "until it has ended.\n");
    struct buf answer;
    struct err err = {0};
    enum rc rc;

    if (code >= 0) {
        config_free(&config);
        return code;
    }
    buf_init(&answer, 4096);
    rc = admin_ask(&answer, path, "stop", ASK_MS, &err);
    if (rc == RC_OK)
        for (int64_t until = now_ms() + 5000; ask_ready(path) >= 0 && now_ms() < until;)
            pause_ms(POLL_MS);
    else
        fprintf(stderr, "parley: no platform runs here\n");
    buf_free(&answer);
    config_free(&config);
    return rc == RC_OK ? EXIT_OK : EXIT_NOT_FOUND;
}
