/* parley_cli.c - blocking calls to the manager and the Cloud over mutual TLS; see parley_cli.h. */
#include "cmd/parley_cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/loop.h"
#include "http/client.h"
#include "cmd/data_dir.h"
#include "cmd/parley_cmds.h"

static const struct config_row settings[] = {
    {"manager_listen",        CONFIG_STR, NULL, 0, 0, NULL, "manager's internal HOST:PORT"},
    {"cloud_internal_listen", CONFIG_STR, NULL, 0, 0, NULL, "Cloud's internal HOST:PORT"  },
    {"cloud_url",             CONFIG_STR, NULL, 0, 0, NULL, "Cloud API over HTTPS"        },
    {"cloud_http_url",        CONFIG_STR, NULL, 0, 0, NULL, "Cloud API on loopback"       },
    {"relay_listen",          CONFIG_STR, NULL, 0, 0, NULL, "relay's HOST:PORT"           },
    {"relay_key",             CONFIG_STR, NULL, 0, 0, NULL, "relay's root key, base64"    },
};

struct cli {
    char dir[2048];
    struct config *config;
    struct loop *loop;
    struct http_client *client;
};

static const struct exit_row {
    enum rc rc;
    int code;
} exits[] = {
    {RC_OK,       CMD_OK      },
    {RC_INVAL,    CMD_USAGE   },
    {RC_NOTFOUND, CMD_NOTFOUND},
    {RC_AUTH,     CMD_DENIED  },
    {RC_DENIED,   CMD_DENIED  },
    {RC_TIMEOUT,  CMD_TIMEOUT },
    {RC_LIMIT,    CMD_REFUSED },
};

int
cmd_exit_of(enum rc rc)
{
    for (size_t i = 0; i < ARRAY_LEN(exits); i++) {
        if (exits[i].rc == rc)
            return exits[i].code;
    }
    return CMD_FAILED;
}

static enum rc
open_client(struct cli *c, struct err *err)
{
    char ca[2100], cert[2100], key[2100];

    snprintf(ca, sizeof(ca), "%s/ca.pem", c->dir);
    snprintf(cert, sizeof(cert), "%s/etc/cli.pem", c->dir);
    snprintf(key, sizeof(key), "%s/etc/cli.key", c->dir);
    if (access(key, R_OK) != 0)
        return err_set(err, RC_DENIED, "cli", "%s cannot be read: only its owner and root may",
                       key);
    return http_client_open(
        &c->client,
        &(struct http_client_opt){
            .loop = c->loop, .log = log_none(), .ca_file = ca, .cert_file = cert, .key_file = key},
        err);
}

enum rc
cli_open(struct cli **out, const char *data_dir, struct err *err)
{
    struct cli *c = calloc(1, sizeof(*c));
    struct config_source source = {.file_required = true, .allow_unknown_names = true};
    char path[2100];
    enum rc rc;

    *out = c;
    if (c == NULL)
        return err_set(err, RC_NOMEM, "cli", "no memory");
    if ((rc = data_dir_resolve(c->dir, sizeof(c->dir), data_dir, err)) != RC_OK) {
        cli_free(out);
        return rc;
    }
    snprintf(path, sizeof(path), "%s/etc/parley.conf", c->dir);
    source.file = path;
    rc = config_load(&c->config, settings, ARRAY_LEN(settings), &source, err);
    if (rc == RC_NOTFOUND)
        rc = err_set(err, RC_NOTFOUND, "cli", "no platform in %.150s: start it with `parley up`",
                     c->dir);
    if (rc == RC_OK)
        rc = loop_new(&c->loop, err);
    if (rc == RC_OK)
        rc = open_client(c, err);
    if (rc != RC_OK)
        cli_free(out);
    return rc;
}

void
cli_free(struct cli **cli)
{
    struct cli *c = *cli;

    *cli = NULL;
    if (c == NULL)
        return;
    http_client_free(&c->client);
    loop_free(&c->loop);
    config_free(&c->config);
    free(c);
}

const char *
cli_dir(const struct cli *cli)
{
    return cli->dir;
}

const char *
cli_setting(const struct cli *cli, const char *name)
{
    return config_str(cli->config, name);
}

/* ---- one call ---- */

struct waiting {
    struct loop *loop;
    json_t *answer;
    enum rc rc;
    int status;
    struct err err;
};

static void
answered(void *ctx, enum rc rc, int status, struct bytes body, const char *error_text)
{
    struct waiting *wait = ctx;

    wait->rc = rc;
    wait->status = status;
    if (rc != RC_OK)
        err_set(&wait->err, rc, "cli", "%s", error_text == NULL ? "the call failed" : error_text);
    else if (body.len > 0 && json_read(&wait->answer, body, CLI_ANSWER_MAX, &wait->err) != RC_OK)
        wait->rc = wait->err.rc;
    loop_stop(wait->loop);
}

static enum rc
rc_of_status(int status)
{
    static const struct {
        int status;
        enum rc rc;
    } rows[] = {
        {400, RC_INVAL   },
        {401, RC_AUTH    },
        {403, RC_DENIED  },
        {404, RC_NOTFOUND},
        {409, RC_EXISTS  },
        {429, RC_LIMIT   },
        {503, RC_BUSY    }
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].status == status)
            return rows[i].rc;
    }
    return status >= 200 && status < 300 ? RC_OK : RC_IO;
}

static enum rc
judge(json_t **answer, struct waiting *wait, enum cli_peer peer, struct err *err)
{
    const char *who = peer == CLI_MANAGER ? "the manager" : "the Cloud";
    const json_t *error = json_object_get(wait->answer, "error");
    enum rc rc = wait->rc == RC_OK ? rc_of_status(wait->status) : wait->rc;

    if (wait->rc == RC_TIMEOUT)
        return err_set(err, RC_TIMEOUT, "cli", "%s did not answer in time", who);
    if (wait->rc != RC_OK)
        return err_set(err, rc, "cli", "%s cannot be asked (%.100s): is `parley up` running?", who,
                       wait->err.text);
    if (rc != RC_OK)
        return err_set(err, rc, "cli", "%s",
                       error != NULL && json_str(error, "message") != NULL
                           ? json_str(error, "message")
                           : http_status_text(wait->status));
    *answer = wait->answer;
    wait->answer = NULL;
    return RC_OK;
}

enum rc
cli_ask(json_t **answer, struct cli *cli, enum cli_peer peer, enum http_method method,
        const char *path, const json_t *body, struct err *err)
{
    static const struct http_header headers[] = {
        {"Content-Type", "application/json"}
    };
    const char *address =
        cli_setting(cli, peer == CLI_MANAGER ? "manager_listen" : "cloud_internal_listen");
    struct waiting wait = {.loop = cli->loop};
    struct json_writer jw;
    struct buf url, text;
    enum rc rc;

    *answer = NULL;
    if (address == NULL)
        return err_set(err, RC_INVAL, "cli", "parley.conf lacks an address");
    buf_init(&url, 4096);
    buf_init(&text, CLI_ANSWER_MAX);
    buf_put_str(&url, "https://");
    buf_put_str(&url, address);
    buf_put_str(&url, path);
    if (body != NULL) {
        jw_init(&jw, &text);
        jw_value(&jw, body);
    }
    rc = http_client_call(NULL, cli->client,
                          &(struct http_call_opt){.method = method,
                                                  .url = buf_cstr(&url),
                                                  .headers = headers,
                                                  .n_headers = body == NULL ? 0 : 1,
                                                  .body = buf_bytes(&text),
                                                  .total_timeout_ms = CLI_CALL_TIMEOUT_MS,
                                                  .response_max = CLI_ANSWER_MAX,
                                                  .on_done = answered,
                                                  .ctx = &wait},
                          err);
    if (rc == RC_OK) {
        loop_run(cli->loop);
        rc = judge(answer, &wait, peer, err);
    }
    json_decref(wait.answer);
    buf_wipe(&text);
    buf_free(&url);
    return rc;
}

/* ---- printing ---- */

static void
print_json(const json_t *value)
{
    struct json_writer jw;
    struct buf line;

    buf_init(&line, CLI_ANSWER_MAX);
    jw_init(&jw, &line);
    jw_value(&jw, value);
    printf("%s\n", buf_cstr(&line));
    buf_wipe(&line);
}

static void
print_member(const char *key, const json_t *value)
{
    struct json_writer jw;
    struct buf text;

    if (json_is_string(value)) {
        printf("%-18s %s\n", key, json_string_value(value));
        return;
    }
    buf_init(&text, CLI_ANSWER_MAX);
    jw_init(&jw, &text);
    jw_value(&jw, value);
    printf("%-18s %s\n", key, buf_cstr(&text));
    buf_wipe(&text);
}

/* One line a row: id, and what people know the object by. */
static void
print_row(const json_t *row)
{
    static const char *const titles[] = {"name", "number", "display_name", "kind"};

    printf("%s", json_str(row, "id") == NULL ? "-" : json_str(row, "id"));
    for (size_t i = 0; i < ARRAY_LEN(titles); i++) {
        if (json_str(row, titles[i]) != NULL)
            printf("  %s", json_str(row, titles[i]));
    }
    if (json_is_true(json_object_get(row, "is_revoked")))
        printf("  (revoked)");
    printf("\n");
}

void
cli_print(const json_t *value, bool as_json)
{
    const json_t *data = json_object_get(value, "data");
    const char *key;
    json_t *member;
    size_t i;

    if (json_is_array(data)) { /* a list: one object a line */
        json_array_foreach(data, i, member)
        {
            if (as_json)
                print_json(member);
            else
                print_row(member);
        }
    } else if (as_json) {
        print_json(value);
    } else {
        json_object_foreach((json_t *)value, key, member) print_member(key, member);
    }
}
