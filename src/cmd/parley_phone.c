/* parley_phone.c - `parley phone …`: a person's phone on the command line.
 *
 * Each command is one conversation with the phone daemon, which is started where none runs. Data
 * goes to standard output, one JSON object a line with --json. Source: docs/phone.md. */
#include "cmd/parley_phone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/commands.h"
#include "cmd/data_dir.h"

#define ARGV_MAX 256
#define LINE_BYTES (256u * 1024)

static const struct config_row settings[] = {
    {"data_dir",         CONFIG_PATH, NULL,  0, 0,          NULL, "folder of the platform"                       },
    {"profile",          CONFIG_STR,  NULL,  0, 0,          NULL, "whose phone; default $PARLEY_CUSTOMER_PROFILE"},
    {"json",             CONFIG_BOOL, "off", 0, 0,          NULL, "one JSON object a line"                       },
    {"relay",            CONFIG_STR,  NULL,  0, 0,          NULL, "HOST:PORT of the relay, to start a daemon"    },
    {"relay_key",        CONFIG_STR,  NULL,  0, 0,          NULL, "the relay's root key: base64 Ed25519"         },
    {"authority_key",    CONFIG_STR,  NULL,  0, 0,          NULL,
     "who signs number certificates: base64 Ed25519"                                                             },
    {"number",           CONFIG_STR,  NULL,  0, 0,          NULL, "a telephone number with its country code"     },
    {"to",               CONFIG_STR,  NULL,  0, 0,          NULL, "the number a message goes to"                 },
    {"name",             CONFIG_STR,  NULL,  0, 0,          NULL, "the name that others see"                     },
    {"text",             CONFIG_STR,  NULL,  0, 0,          NULL, "the text of a message"                        },
    {"reply_to",         CONFIG_STR,  NULL,  0, 0,          NULL, "id of the message that is answered"           },
    {"code",             CONFIG_STR,  NULL,  0, 0,          NULL,
     "secret: the verification code; alone: from the "
     "demo's outbox"                                                                                             },
    {"code_from_outbox", CONFIG_BOOL, "off", 0, 0,          NULL, "what --code alone means"                      },
    {"pin",              CONFIG_STR,  NULL,  0, 0,          NULL, "secret: the two-step PIN, six digits"         },
    {"read",             CONFIG_BOOL, "off", 0, 0,          NULL, "send read receipts for what is printed"       },
    {"events",           CONFIG_BOOL, "off", 0, 0,          NULL, "also print that somebody types"               },
    {"timeout",          CONFIG_INT,  "0",   0, 864000,     NULL, "seconds in all; 0: until a signal"            },
    {"count",            CONFIG_INT,  "0",   0, 1000000000, NULL, "end after so many messages; 0: no end"        },
    {"stop",             CONFIG_BOOL, "off", 0, 0,          NULL, "typing: no longer"                            },
};

/* Kinds that this version cannot send yet, by the flag that asks for them. */
static const char *const later[] = {
    "--image",      "--document", "--audio",   "--voice",  "--video",        "--sticker",
    "--caption",    "--location", "--contact", "--react",  "--button-reply", "--list-reply",
    "--flow-reply", "--order",    "--enquiry", "--delete", "--edit",         "--unsupported",
};

/* ---- shared ---- */

const char *
phone_cmd_str(const struct phone_cmd *cmd, const char *setting)
{
    return config_str(cmd->config, setting);
}

int
phone_cmd_fail(const struct phone_cmd *cmd, enum rc rc, const char *text)
{
    fprintf(stderr, "parley phone %s: %s\n", cmd->word, text);
    return cmd_exit_of(rc);
}

void
phone_cmd_begin(struct phone_cmd *cmd, const char *verb)
{
    buf_reset(&cmd->line);
    jw_init(&cmd->w, &cmd->line);
    jw_object(&cmd->w);
    if (verb != NULL)
        jw_kv_str(&cmd->w, "verb", verb);
    if (verb != NULL && cmd->profile != NULL)
        jw_kv_str(&cmd->w, "profile", cmd->profile);
}

enum rc
phone_cmd_send(struct phone_cmd *cmd, struct err *err)
{
    jw_object_end(&cmd->w);
    if (buf_failed(&cmd->line))
        return err_set(err, RC_LIMIT, "phone", "the request is too long");
    return phone_client_send(&cmd->client, buf_bytes(&cmd->line), err);
}

enum rc
phone_cmd_answer_rc(const json_t *answer, struct err *err)
{
    const char *name = json_str(answer, "rc"), *text = json_str(answer, "error");
    enum rc rc = RC_IO;

    if (json_truthy(json_object_get(answer, "ok")))
        return RC_OK;
    for (int i = 0; name != NULL && i < RC_COUNT; i++)
        if (strcmp(rc_name((enum rc)i), name) == 0)
            rc = (enum rc)i;
    return err_set(err, rc, "phone", "%s", text == NULL ? "the daemon refused" : text);
}

enum rc
phone_cmd_ask(json_t **answer, struct phone_cmd *cmd, struct err *err)
{
    enum rc rc = phone_cmd_send(cmd, err);

    *answer = NULL;
    if (rc == RC_OK)
        rc = phone_client_recv(answer, &cmd->client, phone_client_now_ms() + PHONE_ANSWER_MS, err);
    if (rc == RC_OK && (rc = phone_cmd_answer_rc(*answer, err)) != RC_OK) {
        json_decref(*answer);
        *answer = NULL;
    }
    return rc;
}

void
phone_cmd_print_json(const json_t *value)
{
    struct json_writer w;
    struct buf out;

    buf_init(&out, 4u * 1024 * 1024);
    jw_init(&w, &out);
    jw_value(&w, value);
    buf_put_char(&out, '\n');
    fwrite(out.ptr, 1, out.len, stdout);
    buf_wipe(&out);
}

/* ---- the small commands: one question, one answer ---- */

static const char *
other_number(const struct phone_cmd *cmd)
{
    const char *number = phone_cmd_str(cmd, "number");

    return number != NULL ? number : phone_cmd_str(cmd, "to");
}

static void
print_safety(const json_t *answer)
{
    const char *digits = json_str(answer, "safety_number"), *changed = "";
    int64_t at = json_int(answer, "identity_changed_at", 0);

    if (at > 0)
        changed = "Their security code has changed: compare it anew.\n";
    printf("%s\n%.35s\n%s\n%s", json_str(answer, "label"), digits,
           strlen(digits) > 36 ? digits + 36 : "", changed);
}

static void
print_profiles(const json_t *answer)
{
    size_t i;
    json_t *p;

    json_array_foreach(json_object_get(answer, "profiles"), i, p)
        printf("%-16s %-15s %s%s  %s\n", json_str(p, "profile"), json_str(p, "number"),
               json_str(p, "state"),
               json_truthy(json_object_get(p, "offline"))     ? ", offline"
               : json_truthy(json_object_get(p, "connected")) ? ", connected"
                                                              : "",
               json_str(p, "name"));
}

static void
print_answer(const struct phone_cmd *cmd, json_t *answer)
{
    const json_t *profiles = json_object_get(answer, "profiles");
    size_t i;
    json_t *p;

    json_object_del(answer, "ok");
    if (cmd->is_json && profiles != NULL) {
        json_array_foreach(profiles, i, p) phone_cmd_print_json(p);
    } else if (cmd->is_json) {
        phone_cmd_print_json(answer);
    } else if (profiles != NULL) {
        print_profiles(answer);
    } else if (json_str(answer, "safety_number") != NULL) {
        print_safety(answer);
    } else if (json_str(answer, "id") != NULL) {
        puts(json_str(answer, "id"));
    }
}

static int
ask_and_print(struct phone_cmd *cmd)
{
    struct err err = {0};
    json_t *answer;
    enum rc rc = phone_cmd_ask(&answer, cmd, &err);

    if (rc != RC_OK)
        return phone_cmd_fail(cmd, rc, err.text);
    print_answer(cmd, answer);
    json_decref(answer);
    return CMD_OK;
}

static int
cmd_plain(struct phone_cmd *cmd)
{
    phone_cmd_begin(cmd, cmd->word);
    return ask_and_print(cmd);
}

static int
cmd_with_number(struct phone_cmd *cmd)
{
    const char *number = other_number(cmd);

    if (number == NULL)
        return phone_cmd_fail(cmd, RC_INVAL, "--number is needed");
    phone_cmd_begin(cmd, cmd->word);
    jw_kv_str(&cmd->w, "number", number);
    return ask_and_print(cmd);
}

static int
cmd_send(struct phone_cmd *cmd)
{
    const char *to = other_number(cmd), *text = phone_cmd_str(cmd, "text"),
               *reply_to = phone_cmd_str(cmd, "reply_to");

    if (to == NULL || text == NULL)
        return phone_cmd_fail(cmd, RC_INVAL, "--to and --text are needed");
    phone_cmd_begin(cmd, "send");
    jw_kv_str(&cmd->w, "number", to);
    jw_kv_str(&cmd->w, "text", text);
    if (reply_to != NULL)
        jw_kv_str(&cmd->w, "reply_to", reply_to);
    return ask_and_print(cmd);
}

static int
cmd_typing(struct phone_cmd *cmd)
{
    const char *to = other_number(cmd);

    if (to == NULL)
        return phone_cmd_fail(cmd, RC_INVAL, "--to is needed");
    phone_cmd_begin(cmd, "typing");
    jw_kv_str(&cmd->w, "number", to);
    jw_kv_bool(&cmd->w, "is_typing", !config_bool(cmd->config, "stop"));
    return ask_and_print(cmd);
}

static int
cmd_later(struct phone_cmd *cmd)
{
    fprintf(stderr, "parley phone %s: not available yet in this version\n", cmd->word);
    return CMD_FAILED;
}

/* ---- the table ---- */

static const struct subcommand {
    const char *word;
    int (*run)(struct phone_cmd *cmd);
    bool needs_profile;
    const char *help, *example; /* help NULL: not for people */
} subcommands[] = {
    {"register",      phone_cmd_register, true,  "register a number; asks for the code it is sent",
     "--profile ana --number 15557654321 --name \"Ana\" [--code [CODE]] [--pin PIN]"                                                               },
    {"send",          cmd_send,           true,  "send a message; prints its id",
     "--profile ana --to 15550123400 --text \"hello\" [--reply-to ID]"                                                                             },
    {"listen",        phone_cmd_listen,   true,  "print messages that no listen printed, and new ones",
     "--profile ana [--read] [--timeout 30] [--count N] [--events]"                                                                                },
    {"inbox",         phone_cmd_inbox,    true,  "the history in both directions",
     "--profile ana [--number 15550123400]"                                                                                                        },
    {"read",          cmd_with_number,    true,  "open a chat: what came in it is read now",
     "--profile ana --number 15550123400"                                                                                                          },
    {"typing",        cmd_typing,         true,  "show that you type",                                    "--profile ana --to 15550123400 [--stop]"},
    {"block",         cmd_with_number,    true,  "block a number",                                        "--profile ana --number 15550123400"     },
    {"unblock",       cmd_with_number,    true,  "hear from it again",                                    "--profile ana --number 15550123400"     },
    {"verify",        cmd_with_number,    true,  "the 60 digits to compare, and how private the chat is",
     "--profile ana --number 15550123400"                                                                                                          },
    {"offline",       cmd_plain,          true,  "stay away from the relay; messages wait",               "--profile ana"                          },
    {"online",        cmd_plain,          true,  "come back",                                             "--profile ana"                          },
    {"unregister",    cmd_plain,          true,  "leave the network; the history stays",                  "--profile ana"                          },
    {"reinstall",     phone_cmd_register, true,  "as a new installation: other keys, same history",
     "--profile ana [--code [CODE]] [--pin PIN]"                                                                                                   },
    {"list",          cmd_plain,          false, "the profiles of this folder",                           ""                                       },
    {"shutdown",      cmd_plain,          false, "end the daemon",                                        ""                                       },
    {"report",        cmd_later,          true,  NULL,                                                    ""                                       },
    {"change-number", cmd_later,          true,  NULL,                                                    ""                                       },
    {"marketing",     cmd_later,          true,  NULL,                                                    ""                                       },
};

static void
usage(FILE *out)
{
    fputs("Usage: parley phone COMMAND --profile NAME [flags]\n\n", out);
    for (size_t i = 0; i < ARRAY_LEN(subcommands); i++)
        if (subcommands[i].help != NULL)
            fprintf(out, "  %-11s %s\n", subcommands[i].word, subcommands[i].help);
    fputs("\nparley phone COMMAND --help shows an example. --json prints one JSON object a line.\n"
          "Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 not allowed, 5 timed out, 6 "
          "refused.\n",
          out);
}

static int
help(const struct subcommand *sub)
{
    printf("parley phone %s: %s\n\nExample:\n  parley phone %s %s\n\nFlags (also PARLEY_… in the "
           "environment):\n",
           sub->word, sub->help == NULL ? "not available yet" : sub->help, sub->word, sub->example);
    config_help(settings, ARRAY_LEN(settings), stdout);
    return CMD_OK;
}

/* `--code` without a value means the demo's outbox. */
static int
settle_code(int argc, char **argv, char **out)
{
    static char from_outbox[] = "--code-from-outbox";
    int n = 0;

    for (int i = 0; i < argc && n < ARGV_MAX; i++) {
        bool is_alone =
            strcmp(argv[i], "--code") == 0 && (i + 1 == argc || strncmp(argv[i + 1], "--", 2) == 0);

        out[n++] = is_alone ? from_outbox : argv[i];
    }
    return n;
}

/* Two readings: the folder decides which file the rest may come from. */
static enum rc
load(struct phone_cmd *cmd, int argc, char **argv, struct err *err)
{
    struct config_source source = {.argc = argc, .argv = argv, .allow_unknown_names = true};
    struct config *first = NULL;
    char path[PHONE_PATH_SIZE];
    char **rest;
    enum rc rc = config_load(&first, settings, ARRAY_LEN(settings), &source, err);

    if (rc == RC_OK && config_rest(first, &rest) > 0)
        rc = err_set(err, RC_INVAL, "phone", "what is \"%.60s\"?", rest[0]);
    if (rc == RC_OK)
        rc = data_dir_resolve(cmd->home.dir, sizeof cmd->home.dir, config_str(first, "data_dir"),
                              err);
    config_free(&first);
    if (rc != RC_OK)
        return rc;
    snprintf(path, sizeof path, "%s/etc/parley-phone.conf", cmd->home.dir);
    source.file = path;
    rc = config_load(&cmd->config, settings, ARRAY_LEN(settings), &source, err);
    if (rc != RC_OK) { /* not ours to read: a daemon that runs is enough */
        source.file = NULL;
        rc = config_load(&cmd->config, settings, ARRAY_LEN(settings), &source, err);
    }
    if (rc != RC_OK)
        return rc;
    cmd->home.relay = phone_cmd_str(cmd, "relay");
    cmd->home.relay_key = phone_cmd_str(cmd, "relay_key");
    cmd->home.authority_key = phone_cmd_str(cmd, "authority_key");
    cmd->is_json = config_bool(cmd->config, "json");
    cmd->profile = phone_cmd_str(cmd, "profile");
    if (cmd->profile == NULL)
        cmd->profile = getenv("PARLEY_CUSTOMER_PROFILE");
    return RC_OK;
}

static int
run(const struct subcommand *sub, int argc, char **argv)
{
    struct phone_cmd cmd = {.word = sub->word, .client.fd = -1};
    struct err err = {0};
    int status;
    enum rc rc;

    buf_init(&cmd.line, LINE_BYTES);
    rc = load(&cmd, argc, argv, &err);
    if (rc == RC_OK && sub->needs_profile && cmd.profile == NULL)
        rc = err_set(&err, RC_INVAL, "phone", "--profile is needed");
    if (rc == RC_OK && sub->run != cmd_later)
        rc = phone_client_open(&cmd.client, &cmd.home, &err);
    status = rc == RC_OK ? sub->run(&cmd) : phone_cmd_fail(&cmd, rc, err.text);
    if (fflush(stdout) != 0 && status == CMD_OK)
        status = CMD_FAILED;
    phone_client_close(&cmd.client);
    buf_wipe(&cmd.line);
    config_free(&cmd.config);
    return status;
}

/* A flag of a kind that is still to come. */
static const char *
find_later(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        for (size_t k = 0; k < ARRAY_LEN(later); k++)
            if (strncmp(argv[i], later[k], strlen(later[k])) == 0 &&
                (argv[i][strlen(later[k])] == '\0' || argv[i][strlen(later[k])] == '='))
                return later[k];
    return NULL;
}

int
parley_cmd_phone(int argc, char **argv)
{
    const char *word = argc > 0 ? argv[0] : "", *kind;
    char *args[ARGV_MAX + 1];

    if (strcmp(word, "--help") == 0 || strcmp(word, "help") == 0) {
        usage(stdout);
        return CMD_OK;
    }
    for (size_t i = 0; i < ARRAY_LEN(subcommands); i++) {
        if (strcmp(subcommands[i].word, word) != 0)
            continue;
        for (int a = 1; a < argc; a++)
            if (strcmp(argv[a], "--help") == 0)
                return help(&subcommands[i]);
        if ((kind = find_later(argc - 1, argv + 1)) != NULL) {
            fprintf(stderr, "parley phone %s: %s is not available yet in this version\n", word,
                    kind);
            return CMD_FAILED;
        }
        return run(&subcommands[i], settle_code(argc - 1, argv + 1, args), args);
    }
    if (word[0] != '\0')
        fprintf(stderr, "parley phone: there is no command \"%.60s\"\n\n", word);
    usage(stderr);
    return CMD_USAGE;
}
