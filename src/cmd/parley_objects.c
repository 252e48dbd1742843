/* parley_objects.c - `parley business|waba|number|app|token`: one table of nouns, four verbs.
 *
 * Flags are settings of a table, so each has a twin in the environment: with demo.env in the
 * environment --business-id, --waba-id and --app-id need not be given.
 * Source: docs/operating.md, "Administration". */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "http/url.h"
#include "cmd/parley_cli.h"
#include "cmd/parley_cmds.h"

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

struct command {
    struct cli *cli;
    struct config *config;
    const struct noun *noun;
    const char *id; /* behind the verb; NULL */
    json_t *answer; /* what is printed */
};

struct noun {
    const char *name, *plural;
    const char *usage;
    enum rc (*create)(struct command *cmd, struct err *err);
    bool lists_by_business;
};

static const char *
flag(const struct command *cmd, const char *name)
{
    return config_str(cmd->config, name);
}

static enum rc
need(const struct command *cmd, const char *name, struct err *err)
{
    char text[64];
    size_t i;

    if (flag(cmd, name) != NULL && flag(cmd, name)[0] != '\0')
        return RC_OK;
    for (i = 0; name[i] != '\0' && i < sizeof(text) - 1; i++)
        text[i] = name[i] == '_' ? '-' : name[i];
    text[i] = '\0';
    return err_set(err, RC_INVAL, "cli", "--%s is needed", text);
}

static void
put(json_t *body, const struct command *cmd, const char *key, const char *name)
{
    if (flag(cmd, name) != NULL)
        json_object_set_new(body, key, json_string(flag(cmd, name)));
}

static json_t *
split(const char *list)
{
    json_t *array = json_array();

    while (list != NULL && *list != '\0') {
        size_t len = strcspn(list, ",");

        if (len > 0)
            json_array_append_new(array, json_stringn(list, len));
        list += len + (list[len] == ',');
    }
    return array;
}

static enum rc
post(struct command *cmd, json_t *body, struct err *err)
{
    char path[128];
    enum rc rc;

    snprintf(path, sizeof(path), "/internal/v1/%s", cmd->noun->plural);
    rc = cli_ask(&cmd->answer, cmd->cli, CLI_MANAGER, HTTP_POST, path, body, err);
    json_decref(body);
    return rc;
}

/* ---- business ---- */

static void
put_key(json_t *out, const char *key, const char *value)
{
    if (value != NULL)
        json_object_set_new(out, key, json_string(value));
}

/* What `business add` prints: demo.env's keys, from the manager's answer and parley.conf. */
static json_t *
env_object(const struct command *cmd, const json_t *made)
{
    static const char *const rows[][2] = {
        {"PARLEY_TOKEN",           "token"          },
        {"PARLEY_BUSINESS_ID",     "business_id"    },
        {"PARLEY_WABA_ID",         "waba_id"        },
        {"PARLEY_PHONE_NUMBER_ID", "phone_number_id"},
        {"PARLEY_APP_ID",          "app_id"         },
        {"PARLEY_APP_SECRET",      "app_secret"     },
        {"PARLEY_VERIFY_TOKEN",    "verify_token"   },
        {"PARLEY_BUSINESS_NUMBER", "number"         },
    };
    json_t *out = json_object();
    char ca[2100];

    snprintf(ca, sizeof(ca), "%s/ca.pem", cli_dir(cmd->cli));
    put_key(out, "PARLEY_URL", cli_setting(cmd->cli, "cloud_url"));
    put_key(out, "PARLEY_HTTP_URL", cli_setting(cmd->cli, "cloud_http_url"));
    put_key(out, "PARLEY_CA_FILE", ca);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        put_key(out, rows[i][0], json_str(made, rows[i][1]));
    put_key(out, "PARLEY_RELAY", cli_setting(cmd->cli, "relay_listen"));
    put_key(out, "PARLEY_RELAY_KEY", cli_setting(cmd->cli, "relay_key"));
    return out;
}

static enum rc
business_add(struct command *cmd, struct err *err)
{
    json_t *body, *made = NULL;
    enum rc rc;

    if ((rc = need(cmd, "name", err)) != RC_OK || (rc = need(cmd, "number", err)) != RC_OK)
        return rc;
    body = json_object();
    put(body, cmd, "name", "name");
    put(body, cmd, "number", "number");
    put(body, cmd, "hosting", "hosting");
    if (flag(cmd, "scopes") != NULL)
        json_object_set_new(body, "scopes", split(flag(cmd, "scopes")));
    rc = cli_ask(&made, cmd->cli, CLI_MANAGER, HTTP_POST, "/internal/v1/provision", body, err);
    json_decref(body);
    if (rc == RC_OK && !json_is_true(json_object_get(made, "is_registered")) &&
        strcmp(flag(cmd, "hosting"), "cloud") == 0)
        rc =
            cli_register_number(cmd->cli, json_str(made, "phone_number_id"),
                                json_str(made, "number"), flag(cmd, "code"), flag(cmd, "pin"), err);
    if (rc == RC_OK)
        cmd->answer = env_object(cmd, made);
    json_decref(made);
    return rc;
}

static enum rc
business_create(struct command *cmd, struct err *err)
{
    json_t *body;
    enum rc rc;

    if (flag(cmd, "number") != NULL)
        return business_add(cmd, err);
    if ((rc = need(cmd, "name", err)) != RC_OK)
        return rc;
    body = json_object();
    put(body, cmd, "name", "name");
    return post(cmd, body, err);
}

/* ---- waba, app, token ---- */

static enum rc
waba_create(struct command *cmd, struct err *err)
{
    json_t *body;
    enum rc rc;

    if ((rc = need(cmd, "business_id", err)) != RC_OK || (rc = need(cmd, "name", err)) != RC_OK)
        return rc;
    body = json_object();
    put(body, cmd, "business_id", "business_id");
    put(body, cmd, "name", "name");
    return post(cmd, body, err);
}

static enum rc
app_create(struct command *cmd, struct err *err)
{
    json_t *body;
    enum rc rc;

    if ((rc = need(cmd, "business_id", err)) != RC_OK || (rc = need(cmd, "name", err)) != RC_OK)
        return rc;
    body = json_object();
    put(body, cmd, "business_id", "business_id");
    put(body, cmd, "waba_id", "waba_id");
    put(body, cmd, "name", "name");
    return post(cmd, body, err);
}

static enum rc
token_create(struct command *cmd, struct err *err)
{
    bool narrows = config_origin(cmd->config, "waba_id") == CONFIG_FLAG;
    json_t *body;
    enum rc rc;

    if ((rc = need(cmd, "app_id", err)) != RC_OK)
        return rc;
    body = json_object();
    put(body, cmd, "app_id", "app_id");
    put(body, cmd, "user_id", "user_id");
    json_object_set_new(body, "scopes", split(flag(cmd, "scopes")));
    json_object_set_new(body, "expires_in_s", json_integer(config_int(cmd->config, "expires_in")));
    if (narrows) /* the environment's WABA is a default for other commands, not a restriction */
        json_object_set_new(body, "waba_ids", split(flag(cmd, "waba_id")));
    return post(cmd, body, err);
}

/* ---- number ---- */

static enum rc
show(struct command *cmd, const char *plural, const char *id, const char *query, struct err *err)
{
    char path[256];

    snprintf(path, sizeof(path), "/internal/v1/%s/%.40s%s", plural, id, query);
    return cli_ask(&cmd->answer, cmd->cli, CLI_MANAGER, HTTP_GET, path, NULL, err);
}

/* The platform's number with these digits in the WABA's business: for a second run of `number add`.
 */
static enum rc
find_number(struct command *cmd, const char *digits, struct err *err)
{
    json_t *list = NULL, *row;
    char path[256];
    size_t i;
    enum rc rc = show(cmd, "wabas", flag(cmd, "waba_id"), "", err);

    if (rc != RC_OK)
        return rc;
    snprintf(path, sizeof(path), "/internal/v1/numbers?business_id=%s",
             json_str(cmd->answer, "business_id"));
    json_decref(cmd->answer);
    cmd->answer = NULL;
    rc = cli_ask(&list, cmd->cli, CLI_MANAGER, HTTP_GET, path, NULL, err);
    json_array_foreach(json_object_get(list, "data"), i, row)
    {
        if (!json_is_true(json_object_get(row, "is_revoked")) &&
            strcmp(json_str(row, "number"), digits) == 0)
            cmd->answer = json_incref(row);
    }
    json_decref(list);
    if (rc == RC_OK && cmd->answer == NULL)
        rc = err_set(err, RC_EXISTS, "cli", "this number belongs to another business");
    return rc;
}

static enum rc
number_add(struct command *cmd, struct err *err)
{
    const char *digits;
    json_t *body;
    char id[32];
    enum rc rc;

    if ((rc = need(cmd, "waba_id", err)) != RC_OK || (rc = need(cmd, "number", err)) != RC_OK)
        return rc;
    body = json_object();
    put(body, cmd, "waba_id", "waba_id");
    put(body, cmd, "number", "number");
    put(body, cmd, "display_name", "name");
    put(body, cmd, "hosting", "hosting");
    rc = post(cmd, body, err);
    digits = flag(cmd, "number") + (flag(cmd, "number")[0] == '+');
    if (rc == RC_EXISTS)
        rc = find_number(cmd, digits, err);
    if (rc != RC_OK || json_is_true(json_object_get(cmd->answer, "is_registered")) ||
        strcmp(json_str(cmd->answer, "hosting"), "cloud") != 0)
        return rc;
    snprintf(id, sizeof(id), "%s", json_str(cmd->answer, "id"));
    rc = cli_register_number(cmd->cli, id, json_str(cmd->answer, "number"), flag(cmd, "code"),
                             flag(cmd, "pin"), err);
    json_decref(cmd->answer);
    cmd->answer = NULL;
    return rc == RC_OK ? show(cmd, "numbers", id, "", err) : rc;
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

    if (cmd->noun->lists_by_business && (rc = need(cmd, "business_id", err)) != RC_OK)
        return rc;
    buf_init(&path, 512);
    buf_printf(&path, "/internal/v1/%s", cmd->noun->plural);
    if (cmd->noun->lists_by_business) {
        buf_put_str(&path, "?business_id=");
        url_put_escaped(&path, bytes_of_str(flag(cmd, "business_id")));
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

    return rc == RC_OK ? show(cmd, cmd->noun->plural, cmd->id,
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
    .create = business_create,
};
static const struct noun waba = {
    .name = "waba",
    .plural = "wabas",
    .usage = "parley waba create --business-id ID --name NAME\n"
             "parley waba list --business-id ID\n"
             "parley waba show ID | revoke ID\n\n"
             "Example:\n"
             "  parley waba create --business-id 104405519283746 --name \"Harbour Tea UK\"\n",
    .create = waba_create,
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
    .create = number_add,
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
    .create = app_create,
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
    .create = token_create,
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
    enum rc rc = cli_open(&cmd->cli, flag(cmd, "data_dir"), err);

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
