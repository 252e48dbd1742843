/* parley_objects.c - `parley business|waba|number|app|token`: one table of nouns, four verbs.
 *
 * Flags are settings of a table, so each has a twin in the environment: with demo.env in the
 * environment --business-id, --waba-id and --app-id need not be given.
 * Source: docs/operating.md, "Administration". */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "http/url.h"
#include "cmd/parley_cmds.h"
#include "cmd/parley_objects.h"

static const struct config_row flags[] = {
    {"data_dir",    CONFIG_PATH,   NULL,    0, 0,                         NULL,           "the platform's folder"                    },
    {"json",        CONFIG_BOOL,   "off",   0, 0,                         NULL,           "one JSON object a line"                   },
    {"name",        CONFIG_STR,    NULL,    0, 0,                         NULL,           "name for people"                          },
    {"number",      CONFIG_STR,    NULL,    0, 0,                         NULL,           "phone number, E.164 digits"               },
    {"hosting",     CONFIG_CHOICE, "cloud", 0, 0,                         "cloud|onprem", "who runs the number's gateway"            },
    {"code",        CONFIG_STR,    NULL,    0, 0,                         NULL,           "verification code, where no outbox has it"},
    {"pin",         CONFIG_STR,    NULL,    0, 0,                         NULL,           "secret: two-step PIN, six digits"         },
    {"business_id", CONFIG_STR,    NULL,    0, 0,                         NULL,           "id of a business"                         },
    {"waba_id",     CONFIG_STR,    NULL,    0, 0,                         NULL,           "id of a WABA; for tokens a comma list"    },
    {"app_id",      CONFIG_STR,    NULL,    0, 0,                         NULL,           "id of an app"                             },
    {"user_id",     CONFIG_STR,    NULL,    0, 0,                         NULL,           "id of a system user; default the first"   },
    {"scopes",      CONFIG_STR,    NULL,    0, 0,                         NULL,
     "comma list of permissions; default both WhatsApp ones"                                                                         },
    {"expires_in",  CONFIG_INT,    "0",     0, INT64_C(10) * 366 * 86400, NULL,           "seconds; 0: never"                        },
    {"secrets",     CONFIG_BOOL,   "off",   0, 0,                         NULL,           "app show: with secret and verify token"   },
    {"help",        CONFIG_BOOL,   "off",   0, 0,                         NULL,           "this text"                                },
};

const char *
command_flag(const struct command *cmd, const char *name)
{
    return config_str(cmd->config, name);
}

enum rc
command_need(const struct command *cmd, const char *name, struct err *err)
{
    char text[64];

    if (command_flag(cmd, name) != NULL && command_flag(cmd, name)[0] != '\0')
        return RC_OK;
    snprintf(text, sizeof(text), "%s", name);
    for (char *c = text; *c != '\0'; c++)
        *c = *c == '_' ? '-' : *c;
    return err_set(err, RC_INVAL, "cli", "--%s is needed", text);
}

enum rc
command_show(struct command *cmd, const char *plural, const char *id, const char *query,
             struct err *err)
{
    char path[256];

    snprintf(path, sizeof(path), "/internal/v1/%s/%.40s%s", plural, id, query);
    return cli_ask(&cmd->answer, cmd->cli, CLI_MANAGER, HTTP_GET, path, NULL, err);
}

/* ---- verbs ---- */

static enum rc
verb_create(struct command *cmd, struct err *err)
{
    return cmd->noun->create(cmd, err);
}

static enum rc
verb_list(struct command *cmd, struct err *err)
{
    struct buf path;
    enum rc rc;

    if (cmd->noun->lists_by_business && (rc = command_need(cmd, "business_id", err)) != RC_OK)
        return rc;
    buf_init(&path, 512);
    buf_printf(&path, "/internal/v1/%s", cmd->noun->plural);
    if (cmd->noun->lists_by_business) {
        buf_put_str(&path, "?business_id=");
        url_put_escaped(&path, bytes_of_str(command_flag(cmd, "business_id")));
    }
    rc = cli_ask(&cmd->answer, cmd->cli, CLI_MANAGER, HTTP_GET, buf_cstr(&path), NULL, err);
    buf_free(&path);
    return rc;
}

static enum rc
need_id(const struct command *cmd, struct err *err)
{
    if (cmd->id == NULL || strspn(cmd->id, "0123456789") != strlen(cmd->id))
        return err_set(err, RC_INVAL, "cli", "say which %s: its id, decimal digits",
                       cmd->noun->name);
    return RC_OK;
}

static enum rc
verb_show(struct command *cmd, struct err *err)
{
    enum rc rc = need_id(cmd, err);

    return rc == RC_OK
               ? command_show(cmd, cmd->noun->plural, cmd->id,
                              config_bool(cmd->config, "secrets") ? "?with_secrets=1" : "", err)
               : rc;
}

static enum rc
verb_revoke(struct command *cmd, struct err *err)
{
    char path[256];
    enum rc rc = need_id(cmd, err);

    if (rc != RC_OK)
        return rc;
    snprintf(path, sizeof(path), "/internal/v1/%s/%.40s", cmd->noun->plural, cmd->id);
    return cli_ask(&cmd->answer, cmd->cli, CLI_MANAGER, HTTP_DELETE, path, NULL, err);
}

static const struct verb {
    const char *name;
    enum rc (*run)(struct command *cmd, struct err *err);
} verbs[] = {
    {"create", verb_create},
    {"add",    verb_create},
    {"list",   verb_list  },
    {"show",   verb_show  },
    {"revoke", verb_revoke},
};

static const struct noun business = {
    .name = "business",
    .plural = "businesses",
    .usage =
        "parley business add --name NAME --number DIGITS   all in one: WABA, number, app, token\n"
        "parley business create --name NAME                only the business\n"
        "parley business list | show ID | revoke ID\n\n"
        "Examples:\n"
        "  parley business add --name \"Harbour Tea\" --number 447700900123 --json\n"
        "  parley business list\n",
    .create = create_business,
};
static const struct noun waba = {
    .name = "waba",
    .plural = "wabas",
    .usage = "parley waba create --business-id ID --name NAME\n"
             "parley waba list --business-id ID\n"
             "parley waba show ID | revoke ID\n\n"
             "Example:\n"
             "  parley waba create --business-id 104405519283746 --name \"Harbour Tea UK\"\n",
    .create = create_waba,
    .lists_by_business = true,
};
static const struct noun number = {
    .name = "number",
    .plural = "numbers",
    .usage = "parley number add --waba-id ID --number DIGITS [--name DISPLAY] [--pin PIN] [--code "
             "CODE]\n"
             "parley number list --business-id ID\n"
             "parley number show ID | revoke ID\n\n"
             "Example:\n"
             "  parley number add --waba-id 112200451876310 --number 447700900124 --json\n",
    .create = create_number,
    .lists_by_business = true,
};
static const struct noun app = {
    .name = "app",
    .plural = "apps",
    .usage = "parley app create --business-id ID --name NAME [--waba-id ID]\n"
             "parley app list --business-id ID\n"
             "parley app show ID [--secrets] | revoke ID\n\n"
             "Example:\n"
             "  parley app create --business-id 104405519283746 --name \"Harbour Desk\" --json\n",
    .create = create_app,
    .lists_by_business = true,
};
static const struct noun token = {
    .name = "token",
    .plural = "tokens",
    .usage =
        "parley token create --app-id ID [--scopes A,B] [--expires-in SECONDS] [--waba-id ID,ID]\n"
        "parley token list --business-id ID\n"
        "parley token show ID | revoke ID\n\n"
        "Example:\n"
        "  parley token create --app-id 135501928374650 --expires-in 86400 --json\n",
    .create = create_token,
    .lists_by_business = true,
};

/* ---- running ---- */

static int
usage(const struct noun *noun, int code)
{
    FILE *out = code == CMD_OK ? stdout : stderr;

    fprintf(out, "%s\nFlags:\n", noun->usage);
    config_help(flags, ARRAY_LEN(flags), out);
    return code;
}

static enum rc
run_verb(struct command *cmd, const struct verb *verb, struct err *err)
{
    enum rc rc = cli_open(&cmd->cli, command_flag(cmd, "data_dir"), err);

    if (rc == RC_OK)
        rc = verb->run(cmd, err);
    if (rc == RC_OK)
        cli_print(cmd->answer, config_bool(cmd->config, "json"));
    json_decref(cmd->answer);
    cli_free(&cmd->cli);
    return rc;
}

static const struct verb *
find_verb(const char *name)
{
    for (size_t i = 0; name != NULL && i < ARRAY_LEN(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

static int
run_noun(const struct noun *noun, int argc, char **argv)
{
    const struct config_source source = {.argc = argc, .argv = argv};
    struct command cmd = {.noun = noun};
    const struct verb *verb;
    struct err err = {0};
    char **rest;
    int n_rest, code;
    enum rc rc = config_load(&cmd.config, flags, ARRAY_LEN(flags), &source, &err);

    if (rc != RC_OK) {
        fprintf(stderr, "parley %s: %s\n", noun->name, err.text);
        return CMD_USAGE;
    }
    n_rest = config_rest(cmd.config, &rest);
    verb = find_verb(n_rest > 0 ? rest[0] : NULL);
    cmd.id = n_rest > 1 ? rest[1] : NULL;
    if (config_bool(cmd.config, "help") || verb == NULL || n_rest > 2) {
        code = usage(noun, config_bool(cmd.config, "help") ? CMD_OK : CMD_USAGE);
    } else {
        rc = run_verb(&cmd, verb, &err);
        if (rc != RC_OK)
            fprintf(stderr, "parley %s %s: %s\n", noun->name, verb->name, err.text);
        code = cmd_exit_of(rc);
    }
    config_free(&cmd.config);
    return code;
}

int
parley_cmd_business(int argc, char **argv)
{
    return run_noun(&business, argc, argv);
}

int
parley_cmd_waba(int argc, char **argv)
{
    return run_noun(&waba, argc, argv);
}

int
parley_cmd_number(int argc, char **argv)
{
    return run_noun(&number, argc, argv);
}

int
parley_cmd_app(int argc, char **argv)
{
    return run_noun(&app, argc, argv);
}

int
parley_cmd_token(int argc, char **argv)
{
    return run_noun(&token, argc, argv);
}
