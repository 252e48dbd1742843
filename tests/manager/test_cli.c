/* The administration commands: what they print, their exit codes, registering a number.
 *
 * The manager and a listener in the Cloud's place run on a thread; the commands block on this one.
 */
#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cmd/parley_cmds.h"
#include "crypto/ca.h"
#include "http/server.h"

static struct harness h;
static struct http_server *cloud;
static pthread_t thread;
static char output[1 << 16]; /* what the last command printed */

/* ---- in the Cloud's place: only what the commands need of it ---- */

static struct {
    atomic_int requested, verified, registered,
        unknown_for; /* unknown_for: 404s before the number is known */
    char pin[32];
} seen;

static void
append_outbox(const char *digits, const char *code)
{
    char path[128];
    FILE *out;

    snprintf(path, sizeof(path), "%s/relay/outbox", h.dir);
    out = fopen(path, "a");
    fprintf(out, "{\"number\":\"%s\",\"code\":\"%s\",\"method\":\"SMS\"}\n", digits, code);
    fclose(out);
}

static void
cloud_request(void *ctx, struct http_request *req)
{
    const char *path = http_request_path(req), *verb = strrchr(path, '/') + 1;
    json_t *body = NULL;
    int status = 200;

    if (http_request_body(req).len > 0)
        (void)!json_read(&body, http_request_body(req), 4096, NULL);
    if (seen.unknown_for > 0) {
        seen.unknown_for--;
        status = 404;
    } else if (strcmp(verb, "request_code") == 0) {
        seen.requested++;
        append_outbox("15550009999", "000000"); /* somebody else's */
        append_outbox("447700900123", "246813");
    } else if (strcmp(verb, "verify_code") == 0) {
        seen.verified++;
        status = json_str(body, "code") != NULL && strcmp(json_str(body, "code"), "246813") == 0
                     ? 200
                     : 400;
    } else if (strcmp(verb, "register") == 0) {
        seen.registered++;
        snprintf(seen.pin, sizeof(seen.pin), "%s",
                 json_str(body, "pin") == NULL ? "" : json_str(body, "pin"));
    }
    json_decref(body);
    http_reply(req, status, NULL, 0, bytes_of_str("{\"success\":true}"));
}

/* ---- the thread ---- */

static uv_async_t stop_async;

static void
on_stop(uv_async_t *async)
{
    loop_stop(h.loop);
}

static void *
serve(void *ctx)
{
    loop_run(h.loop);
    return NULL;
}

static void
copy_file(const char *from, const char *to)
{
    char source[160], target[160];
    struct buf text;

    snprintf(source, sizeof(source), "%s/%s", h.dir, from);
    snprintf(target, sizeof(target), "%s/%s", h.dir, to);
    buf_init(&text, CA_PEM_MAX);
    assert_int_equal(file_read(&text, source, CA_PEM_MAX - 1, NULL), RC_OK);
    assert_int_equal(file_replace(target, buf_bytes(&text), 0600, NULL), RC_OK);
    buf_free(&text);
}

static void
open_cloud(void)
{
    struct buf ca, cert, key;
    char path[160];

    buf_init(&ca, CA_PEM_MAX);
    buf_init(&cert, CA_PEM_MAX);
    buf_init(&key, CA_PEM_MAX);
    snprintf(path, sizeof(path), "%s/ca.pem", h.dir);
    assert_int_equal(file_read(&ca, path, CA_PEM_MAX - 1, NULL), RC_OK);
    snprintf(path, sizeof(path), "%s/parley-manager.pem", h.dir);
    assert_int_equal(file_read(&cert, path, CA_PEM_MAX - 1, NULL), RC_OK);
    snprintf(path, sizeof(path), "%s/parley-manager.key", h.dir);
    assert_int_equal(file_read(&key, path, CA_PEM_MAX - 1, NULL), RC_OK);
    assert_int_equal(http_server_open(&cloud,
                                      &(struct http_server_opt){.loop = h.loop,
                                                                .log = log_none(),
                                                                .host = "127.0.0.1",
                                                                .cert_pem = buf_cstr(&cert),
                                                                .key_pem = buf_cstr(&key),
                                                                .client_ca_pem = buf_cstr(&ca),
                                                                .max_body = 4096,
                                                                .on_request = cloud_request},
                                      NULL),
                     RC_OK);
    buf_free(&ca);
    buf_free(&cert);
    buf_free(&key);
}

static int
setup(void **state)
{
    char path[160];
    const char *conf;

    harness_start(&h, NULL);
    memset(&seen, 0, sizeof(seen));
    open_cloud();
    snprintf(path, sizeof(path), "%s/etc", h.dir);
    assert_int_equal(dir_make(path, 0700, NULL), RC_OK);
    snprintf(path, sizeof(path), "%s/relay", h.dir);
    assert_int_equal(dir_make(path, 0700, NULL), RC_OK);
    json_decref(harness_get(&h, "parley-cli", "/internal/v1/status")); /* makes its certificate */
    copy_file("parley-cli.pem", "etc/cli.pem");
    copy_file("parley-cli.key", "etc/cli.key");
    conf = fmt("manager_listen = 127.0.0.1:%u\ncloud_internal_listen = 127.0.0.1:%u\n"
               "cloud_url = https://localhost:9400\nrelay_listen = 127.0.0.1:9405\n"
               "of_another_program = 1\n",
               manager_port(h.manager), http_server_port(cloud));
    snprintf(path, sizeof(path), "%s/etc/parley.conf", h.dir);
    assert_int_equal(file_replace(path, bytes_of_str(conf), 0600, NULL), RC_OK);
    setenv("PARLEY_DATA_DIR", h.dir, 1);
    append_outbox("447700900123", "111111"); /* an old code: must never be taken */
    uv_async_init(loop_uv(h.loop), &stop_async, on_stop);
    return pthread_create(&thread, NULL, serve, NULL);
}

static int
teardown(void **state)
{
    uv_async_send(&stop_async);
    pthread_join(thread, NULL);
    uv_close((uv_handle_t *)&stop_async, NULL);
    http_server_free(&cloud);
    harness_stop(&h);
    return 0;
}

/* Run a command as the shell would; what it prints is in output. */
static int
run(int (*command)(int argc, char **argv), const char *line)
{
    char text[512], path[160], *argv[32], *save = NULL;
    int argc = 0, code, saved;
    struct buf printed;

    snprintf(text, sizeof(text), "%s", line);
    for (char *word = strtok_r(text, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    argv[argc] = NULL;
    snprintf(path, sizeof(path), "%s/stdout", h.dir);
    fflush(stdout);
    saved = dup(STDOUT_FILENO);
    assert_non_null(freopen(path, "w", stdout));
    code = command(argc, argv);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    buf_init(&printed, sizeof(output) - 1);
    assert_int_equal(file_read(&printed, path, sizeof(output) - 1, NULL), RC_OK);
    snprintf(output, sizeof(output), "%s", buf_cstr(&printed));
    buf_free(&printed);
    return code;
}

static json_t *
printed_object(void)
{
    json_t *object;

    assert_int_equal(json_read(&object, bytes_of_str(output), sizeof(output), NULL), RC_OK);
    return object;
}

static void
test_business_add_registers_and_prints_the_environment(void **state)
{
    static const char *const keys[] = {"PARLEY_URL",          "PARLEY_CA_FILE",
                                       "PARLEY_TOKEN",        "PARLEY_BUSINESS_ID",
                                       "PARLEY_WABA_ID",      "PARLEY_PHONE_NUMBER_ID",
                                       "PARLEY_APP_ID",       "PARLEY_APP_SECRET",
                                       "PARLEY_VERIFY_TOKEN", "PARLEY_RELAY"};
    json_t *env;

    seen.unknown_for = 2; /* the push stream is slower than we are */
    assert_int_equal(
        run(parley_cmd_business, "add --name Harbour --number 447700900123 --pin 135790 --json"),
        CMD_OK);
    env = printed_object();
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_non_null(json_str(env, keys[i]));
    assert_string_equal(json_str(env, "PARLEY_BUSINESS_NUMBER"), "447700900123");
    json_decref(env);
    assert_int_equal(seen.requested, 1);
    assert_int_equal(seen.verified, 1);
    assert_int_equal(seen.registered, 1);
    assert_string_equal(seen.pin, "135790");
}

static void
test_objects_from_create_to_revoke(void **state)
{
    char business[32], waba[32], app[32], token[32];
    json_t *object;

    assert_int_equal(run(parley_cmd_business, "create --name Orchid --json"), CMD_OK);
    object = printed_object();
    snprintf(business, sizeof(business), "%s", json_str(object, "id"));
    json_decref(object);
    assert_int_equal(run(parley_cmd_waba, fmt("create --business-id %s --name W --json", business)),
                     CMD_OK);
    object = printed_object();
    snprintf(waba, sizeof(waba), "%s", json_str(object, "id"));
    json_decref(object);
    assert_int_equal(run(parley_cmd_app, fmt("create --business-id %s --name A --json", business)),
                     CMD_OK);
    object = printed_object();
    snprintf(app, sizeof(app), "%s", json_str(object, "id"));
    json_decref(object);
    assert_int_equal(
        run(parley_cmd_token, fmt("create --app-id %s --scopes whatsapp_business_messaging "
                                  "--waba-id %s --expires-in 60 --json",
                                  app, waba)),
        CMD_OK);
    object = printed_object();
    snprintf(token, sizeof(token), "%s", json_str(object, "id"));
    assert_int_equal(json_array_size(json_object_get(object, "scopes")), 1);
    assert_int_equal(json_array_size(json_object_get(object, "waba_ids")), 1);
    json_decref(object);
    assert_int_equal(
        run(parley_cmd_number, fmt("add --waba-id %s --number 447700900123 --json", waba)), CMD_OK);
    assert_int_equal(seen.registered, 1);
    assert_int_equal(run(parley_cmd_number, fmt("list --business-id %s", business)), CMD_OK);
    assert_non_null(strstr(output, "447700900123"));
    assert_int_equal(run(parley_cmd_token, fmt("revoke %s", token)), CMD_OK);
    assert_int_equal(run(parley_cmd_token, fmt("show %s --json", token)), CMD_OK);
    assert_non_null(strstr(output, "\"is_revoked\":true"));
    assert_int_equal(run(parley_cmd_business, fmt("revoke %s", business)), CMD_OK);
    assert_int_equal(run(parley_cmd_business, fmt("revoke %s", business)), CMD_NOTFOUND);
}

static void
test_exit_codes(void **state)
{
    static const struct {
        int (*command)(int argc, char **argv);
        const char *line;
        int code;
    } cases[] = {
        {parley_cmd_business, "",                                                 CMD_USAGE   },
        {parley_cmd_business, "dance",                                            CMD_USAGE   },
        {parley_cmd_business, "list --nonsense",                                  CMD_USAGE   },
        {parley_cmd_business, "create",                                           CMD_USAGE   },
        {parley_cmd_business, "add --name X --number 12",                         CMD_USAGE   },
        {parley_cmd_business, "show",                                             CMD_USAGE   },
        {parley_cmd_business, "show abc",                                         CMD_USAGE   },
        {parley_cmd_business, "show 100000000000001",                             CMD_NOTFOUND},
        {parley_cmd_token,    "revoke 180000000000001",                           CMD_NOTFOUND},
        {parley_cmd_waba,     "create --business-id 100000000000001 --name W",    CMD_NOTFOUND},
        {parley_cmd_business, "add --name X --number 447700900123 --code 999999", CMD_USAGE   },
        {parley_cmd_business, "--help",                                           CMD_OK      },
        {parley_cmd_business, "list --data-dir /nonexistent",                     CMD_NOTFOUND},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int code = run(cases[i].command, cases[i].line);

        if (code != cases[i].code)
            fail_msg("%s: %d", cases[i].line, code);
    }
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_business_add_registers_and_prints_the_environment),
        CASE(test_objects_from_create_to_revoke),
        CASE(test_exit_codes),
    };

    return cmocka_run_group_tests_name("manager/cli", tests, NULL, NULL);
}
