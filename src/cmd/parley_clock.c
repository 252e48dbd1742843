/* parley_clock.c - `parley clock`: one time for every program of a platform that has a test clock.
 *
 * The offset goes to each program's administration socket; each does what became due before it
 * answers. Two rounds: what one program's due work sends to another is done in the second. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/admin.h"
#include "base/config.h"
#include "cmd/commands.h"
#include "cmd/data_dir.h"
#include "cmd/parley_cmds.h"

#define ASK_MS 60000
#define ROUNDS 2
#define DAYS_MAX 3660

static const char *const programs[] = {"relay", "manager", "cloud", "phone"};

static const struct config_row rows[] = {
    {"data_dir", CONFIG_PATH, NULL,  0, 0, NULL, "folder of the platform"},
    {"json",     CONFIG_BOOL, "off", 0, 0, NULL, "answer in JSON"        },
};

struct clock_cli {
    char dir[900];
    bool is_json;
};

struct reading {
    int64_t unix_ms, offset_ms;
};

static enum rc
ask(struct buf *out, const struct clock_cli *cli, const char *program, const char *line,
    struct err *err)
{
    char path[1000];

    snprintf(path, sizeof path, "%s/%s/admin.sock", cli->dir, program);
    return admin_ask(out, path, line, ASK_MS, err);
}

static enum rc
read_clock(struct reading *out, const struct clock_cli *cli, struct err *err)
{
    const char *at;
    struct buf answer;
    enum rc rc;

    *out = (struct reading){0};
    buf_init(&answer, 4096);
    rc = ask(&answer, cli, programs[0], "clock now", err);
    if (rc == RC_OK && (at = strstr(buf_cstr(&answer), "unix_ms ")) != NULL)
        out->unix_ms = strtoll(at + 8, NULL, 10);
    if (rc == RC_OK && (at = strstr(buf_cstr(&answer), "offset_ms ")) != NULL)
        out->offset_ms = strtoll(at + 10, NULL, 10);
    buf_free(&answer);
    return rc;
}

static enum rc
tell_all(const struct clock_cli *cli, unsigned rounds, const char *line, struct err *err)
{
    enum rc rc = RC_OK;

    for (unsigned round = 0; round < rounds; round++)
        for (size_t i = 0; rc == RC_OK && i < ARRAY_LEN(programs); i++) {
            struct buf answer;

            buf_init(&answer, 4096);
            rc = ask(&answer, cli, programs[i], line, err);
            buf_free(&answer);
        }
    return rc;
}

static void
say(const struct clock_cli *cli, const struct reading *now)
{
    time_t s = (time_t)(now->unix_ms / 1000);
    char text[40];
    struct tm tm;

    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&s, &tm));
    if (cli->is_json)
        printf("{\"unix_ms\":%" PRId64 ",\"time\":\"%s\",\"offset_ms\":%" PRId64 "}\n",
               now->unix_ms, text, now->offset_ms);
    else
        printf("%s (%" PRId64 " s ahead of the wall clock)\n", text, now->offset_ms / 1000);
}

/* "90s", "5m", "23h59m", "31d" in milliseconds; -1 for anything else. */
static int64_t
read_duration(const char *text)
{
    static const struct unit {
        char letter;
        int64_t ms;
    } units[] = {
        {'d', 86400000},
        {'h', 3600000 },
        {'m', 60000   },
        {'s', 1000    }
    };
    int64_t total = 0;

    if (text == NULL || *text == '\0')
        return -1;
    while (*text != '\0') {
        char *end;
        long n = strtol(text, &end, 10);
        size_t u = 0;

        while (u < ARRAY_LEN(units) && units[u].letter != *end)
            u++;
        if (end == text || n < 0 || n > 1000000 || u == ARRAY_LEN(units))
            return -1;
        total += n * units[u].ms;
        text = end + 1;
    }
    return total <= DAYS_MAX * 86400000ll ? total : -1;
}

static enum rc
do_now(const struct clock_cli *cli, const char *arg UNUSED, struct err *err)
{
    struct reading now;
    enum rc rc = read_clock(&now, cli, err);

    if (rc == RC_OK)
        say(cli, &now);
    return rc;
}

static enum rc
do_freeze(const struct clock_cli *cli, const char *arg UNUSED, struct err *err)
{
    struct reading now;
    char line[64];
    enum rc rc = read_clock(&now, cli, err);

    snprintf(line, sizeof line, "clock freeze %" PRId64, now.unix_ms + 1000);
    if (rc == RC_OK)
        rc = tell_all(cli, 1, line, err);
    return rc == RC_OK ? do_now(cli, NULL, err) : rc;
}

static enum rc
do_advance(const struct clock_cli *cli, const char *arg, struct err *err)
{
    int64_t by_ms = read_duration(arg);
    struct reading before, after;
    char line[64];
    enum rc rc;

    if (by_ms < 0)
        return err_set(err, RC_INVAL, "clock", "advance takes 90s, 5m, 23h59m or 31d");
    if ((rc = read_clock(&before, cli, err)) != RC_OK)
        return rc;
    snprintf(line, sizeof line, "clock set-offset %" PRId64, before.offset_ms + by_ms);
    if ((rc = tell_all(cli, ROUNDS, line, err)) != RC_OK ||
        (rc = read_clock(&after, cli, err)) != RC_OK)
        return rc;
    if (after.unix_ms < before.unix_ms + by_ms) { /* frozen: hold a later moment */
        snprintf(line, sizeof line, "clock freeze %" PRId64, before.unix_ms + by_ms);
        rc = tell_all(cli, ROUNDS, line, err);
    }
    return rc == RC_OK ? do_now(cli, NULL, err) : rc;
}

static enum rc
do_resume(const struct clock_cli *cli, const char *arg UNUSED, struct err *err)
{
    enum rc rc = tell_all(cli, 1, "clock resume", err);

    return rc == RC_OK ? do_now(cli, NULL, err) : rc;
}

static const struct verb {
    const char *word;
    enum rc (*run)(const struct clock_cli *cli, const char *arg, struct err *err);
} verbs[] = {
    {"now",     do_now    },
    {"freeze",  do_freeze },
    {"advance", do_advance},
    {"resume",  do_resume },
};

static int
usage(FILE *out)
{
    fputs("Usage: parley clock now|freeze|advance DURATION|resume [--data-dir DIR] [--json]\n\n"
          "Moves the time of a platform that was started with --test-clock (the demo is), in all "
          "its\n"
          "programs at once, and returns when everything that became due has been done.\n\n"
          "  parley clock advance 23h59m\n  parley clock advance 31d\n",
          out);
    return out == stdout ? CMD_OK : CMD_USAGE;
}

int
parley_cmd_clock(int argc, char **argv)
{
    const struct config_source source = {.argc = argc, .argv = argv};
    struct config *config = NULL;
    struct clock_cli cli;
    struct err err = {0};
    char **rest = NULL;
    enum rc rc;
    int n;

    if (argc > 0 && strcmp(argv[0], "--help") == 0)
        return usage(stdout);
    rc = config_load(&config, rows, ARRAY_LEN(rows), &source, &err);
    if (rc == RC_OK)
        rc = data_dir_resolve(cli.dir, sizeof cli.dir, config_str(config, "data_dir"), &err);
    n = rc == RC_OK ? config_rest(config, &rest) : 0;
    cli.is_json = rc == RC_OK && config_bool(config, "json");
    for (size_t i = 0; rc == RC_OK && n > 0 && i < ARRAY_LEN(verbs); i++)
        if (strcmp(verbs[i].word, rest[0]) == 0) {
            rc = verbs[i].run(&cli, n > 1 ? rest[1] : NULL, &err);
            config_free(&config);
            if (rc != RC_OK)
                fprintf(stderr, "parley clock: %s\n", err.text);
            return rc == RC_INVAL ? CMD_USAGE : cmd_exit_of(rc);
        }
    config_free(&config);
    if (rc != RC_OK)
        fprintf(stderr, "parley clock: %s\n", err.text);
    return usage(stderr);
}
