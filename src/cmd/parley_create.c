/* parley_create.c - making objects from the command line: one function a noun.
 *
 * `business add` and `number add` also register the number with the relay; both may be repeated
 * until they succeed. Source: docs/operating.md, "Administration". */
#include "cmd/parley_objects.h"

#include <stdio.h>

static void
put(json_t *body, const struct command *cmd, const char *key, const char *name)
{
    if (command_flag(cmd, name) != NULL)
        json_object_set_new(body, key, json_string(command_flag(cmd, name)));
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

    if ((rc = command_need(cmd, "name", err)) != RC_OK ||
        (rc = command_need(cmd, "number", err)) != RC_OK)
        return rc;
    body = json_object();
    put(body, cmd, "name", "name");
    put(body, cmd, "number", "number");
    put(body, cmd, "hosting", "hosting");
    if (command_flag(cmd, "scopes") != NULL)
        json_object_set_new(body, "scopes", split(command_flag(cmd, "scopes")));
    rc = cli_ask(&made, cmd->cli, CLI_MANAGER, HTTP_POST, "/internal/v1/provision", body, err);
    json_decref(body);
    if (rc == RC_OK && !json_is_true(json_object_get(made, "is_registered")) &&
        strcmp(command_flag(cmd, "hosting"), "cloud") == 0)
        rc = cli_register_number(cmd->cli, json_str(made, "phone_number_id"),
                                 json_str(made, "number"), command_flag(cmd, "code"),
                                 command_flag(cmd, "pin"), err);
    if (rc == RC_OK)
        cmd->answer = env_object(cmd, made);
    json_decref(made);
    return rc;
}

enum rc
create_business(struct command *cmd, struct err *err)
{
    json_t *body;
    enum rc rc;

    if (command_flag(cmd, "number") != NULL)
        return business_add(cmd, err);
    if ((rc = command_need(cmd, "name", err)) != RC_OK)
        return rc;
    body = json_object();
    put(body, cmd, "name", "name");
    return post(cmd, body, err);
}

/* ---- waba, app, token ---- */

enum rc
create_waba(struct command *cmd, struct err *err)
{
    json_t *body;
    enum rc rc;

    if ((rc = command_need(cmd, "business_id", err)) != RC_OK ||
        (rc = command_need(cmd, "name", err)) != RC_OK)
        return rc;
    body = json_object();
    put(body, cmd, "business_id", "business_id");
    put(body, cmd, "name", "name");
    return post(cmd, body, err);
}

enum rc
create_app(struct command *cmd, struct err *err)
{
    json_t *body;
    enum rc rc;

    if ((rc = command_need(cmd, "business_id", err)) != RC_OK ||
        (rc = command_need(cmd, "name", err)) != RC_OK)
        return rc;
    body = json_object();
    put(body, cmd, "business_id", "business_id");
    put(body, cmd, "waba_id", "waba_id");
    put(body, cmd, "name", "name");
    return post(cmd, body, err);
}

enum rc
create_token(struct command *cmd, struct err *err)
{
    bool narrows = config_origin(cmd->config, "waba_id") == CONFIG_FLAG;
    json_t *body;
    enum rc rc;

    if ((rc = command_need(cmd, "app_id", err)) != RC_OK)
        return rc;
    body = json_object();
    put(body, cmd, "app_id", "app_id");
    put(body, cmd, "user_id", "user_id");
    json_object_set_new(body, "scopes", split(command_flag(cmd, "scopes")));
    json_object_set_new(body, "expires_in_s", json_integer(config_int(cmd->config, "expires_in")));
    if (narrows) /* the environment's WABA is a default for other commands, not a restriction */
        json_object_set_new(body, "waba_ids", split(command_flag(cmd, "waba_id")));
    return post(cmd, body, err);
}

/* ---- number ---- */

/* The platform's number with these digits in the WABA's business: for a second run of `number add`.
 */
static enum rc
find_number(struct command *cmd, const char *digits, struct err *err)
{
    json_t *list = NULL, *row;
    char path[256];
    size_t i;
    enum rc rc = command_show(cmd, "wabas", command_flag(cmd, "waba_id"), "", err);

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

enum rc
create_number(struct command *cmd, struct err *err)
{
    const char *digits;
    json_t *body;
    char id[32];
    enum rc rc;

    if ((rc = command_need(cmd, "waba_id", err)) != RC_OK ||
        (rc = command_need(cmd, "number", err)) != RC_OK)
        return rc;
    body = json_object();
    put(body, cmd, "waba_id", "waba_id");
    put(body, cmd, "number", "number");
    put(body, cmd, "display_name", "name");
    put(body, cmd, "hosting", "hosting");
    rc = post(cmd, body, err);
    digits = command_flag(cmd, "number") + (command_flag(cmd, "number")[0] == '+');
    if (rc == RC_EXISTS)
        rc = find_number(cmd, digits, err);
    if (rc != RC_OK || json_is_true(json_object_get(cmd->answer, "is_registered")) ||
        strcmp(json_str(cmd->answer, "hosting"), "cloud") != 0)
        return rc;
    snprintf(id, sizeof(id), "%s", json_str(cmd->answer, "id"));
    rc = cli_register_number(cmd->cli, id, json_str(cmd->answer, "number"),
                             command_flag(cmd, "code"), command_flag(cmd, "pin"), err);
    json_decref(cmd->answer);
    cmd->answer = NULL;
    return rc == RC_OK ? command_show(cmd, "numbers", id, "", err) : rc;
}
