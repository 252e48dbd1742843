/* parley_demo.c - `parley demo-provision`: what `parley up --demo` does once, when everything
 * serves.
 *
 * A business with a Cloud number, a customer with a phone, a first message from the customer, and
 * DIR/demo.env, written in one step at the end. It uses the public commands and nothing else: what
 * works here works for a person. Every step can be repeated. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/config.h"
#include "base/file.h"
#include "base/json.h"
#include "cmd/commands.h"
#include "cmd/data_dir.h"

#define PATH_SIZE 1024u
#define OUTPUT_MAX 65536u
#define ARGS_MAX 24u

#define BUSINESS_NAME "Parley Demo"
#define BUSINESS_NUMBER "15550123400"
#define CUSTOMER_NAME "Mina"
#define CUSTOMER_NUMBER "15557654321"
#define CUSTOMER_PROFILE "customer"

static const struct config_row rows[] = {
    {"data_dir", CONFIG_PATH, NULL, 0, 0, NULL, "folder of the platform"},
    {"seed",     CONFIG_STR,  NULL, 0, 0, NULL, "as given to parley up" },
};

/* Run our own program with these words; its standard output is appended to *out. Exit code. */
static int
run_self(struct buf *out, const char *dir, const char *const words[])
{
    char self[PATH_SIZE], data[] = "--data-dir", *argv[ARGS_MAX + 4];
    int fds[2], status = 1;
    size_t n = 0;
    ssize_t got;
    pid_t pid;

    got = readlink("/proc/self/exe", self, sizeof self - 1);
    if (got < 0 || pipe(fds) != 0)
        return 1;
    self[got] = '\0';
    argv[n++] = self;
    for (size_t i = 0; words[i] != NULL && n < ARGS_MAX; i++)
        argv[n++] = (char *)(uintptr_t)words[i];
    argv[n++] = data;
    argv[n++] = (char *)(uintptr_t)dir;
    argv[n] = NULL;
    if ((pid = fork()) == 0) {
        dup2(fds[1], STDOUT_FILENO);
        close(fds[0]);
        close(fds[1]);
        execv(self, argv);
        _exit(127);
    }
    close(fds[1]);
    for (char chunk[1024]; pid > 0 && (got = read(fds[0], chunk, sizeof chunk)) != 0;)
        if (got > 0)
            buf_put(out, bytes_of(chunk, (size_t)got));
        else if (errno != EINTR)
            break;
    close(fds[0]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return 1;
    return WEXITSTATUS(status);
}

static enum rc
step(struct buf *out, const char *dir, const char *what, const char *const words[], struct err *err)
{
    int code;

    buf_reset(out);
    code = run_self(out, dir, words);
    if (code != 0)
        return err_set(err, RC_IO, "demo", "%s failed with exit code %d", what, code);
    return RC_OK;
}

/* ---- demo.env ---- */

/* Shell syntax: single quotes, with a quote inside as '\''. */
static void
put_line(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, "%s='", key);
    for (; *value != '\0'; value++)
        if (*value == '\'')
            buf_put_str(out, "'\\''");
        else
            buf_put_char(out, *value);
    buf_put_str(out, "'\n");
}

static enum rc
write_env(const char *dir, const json_t *business, struct err *err)
{
    char path[PATH_SIZE], ca[PATH_SIZE];
    const char *key;
    json_t *value;
    struct buf out;
    enum rc rc;

    buf_init(&out, OUTPUT_MAX);
    json_object_foreach((json_t *)(uintptr_t)business, key, value)
    {
        if (strncmp(key, "PARLEY_", 7) == 0 && json_is_string(value) &&
            strcmp(key, "PARLEY_CA_FILE") != 0)
            put_line(&out, key, json_string_value(value));
    }
    snprintf(ca, sizeof ca, "%s/ca.pem", dir);
    put_line(&out, "PARLEY_CA_FILE", ca);
    put_line(&out, "PARLEY_DATA_DIR", dir);
    put_line(&out, "PARLEY_CUSTOMER_NUMBER", CUSTOMER_NUMBER);
    put_line(&out, "PARLEY_CUSTOMER_PROFILE", CUSTOMER_PROFILE);
    snprintf(path, sizeof path, "%s/demo.env", dir);
    rc = file_replace(path, buf_bytes(&out), 0600, err);
    buf_wipe(&out);
    return rc;
}

/* ---- the steps ---- */

static enum rc
provision(const char *dir, struct err *err)
{
    static const char *const add_business[] = {"business", "add",           "--name", BUSINESS_NAME,
                                               "--number", BUSINESS_NUMBER, "--json", NULL};
    static const char *const add_customer[] = {
        "phone",         "register", "--profile",   CUSTOMER_PROFILE, "--number",
        CUSTOMER_NUMBER, "--name",   CUSTOMER_NAME, "--code",         NULL};
    static const char *const greet[] = {"phone",          "send",   "--profile",
                                        CUSTOMER_PROFILE, "--to",   BUSINESS_NUMBER,
                                        "--text",         "Hello!", NULL};
    json_t *business = NULL;
    struct buf out;
    enum rc rc;

    buf_init(&out, OUTPUT_MAX);
    rc = step(&out, dir, "adding the business", add_business, err);
    if (rc == RC_OK)
        rc = json_read(&business, buf_bytes(&out), OUTPUT_MAX, err);
    if (rc == RC_OK)
        rc = step(&out, dir, "registering the customer's phone", add_customer, err);
    if (rc == RC_OK)
        rc = step(&out, dir, "the customer's first message", greet, err);
    if (rc == RC_OK)
        rc = write_env(dir, business, err);
    json_decref(business);
    buf_wipe(&out);
    return rc;
}

int
parley_cmd_demo_provision(int argc, char **argv)
{
    const struct config_source source = {.argc = argc, .argv = argv};
    struct config *config = NULL;
    struct err err = {0};
    char dir[PATH_SIZE];
    enum rc rc;

    rc = config_load(&config, rows, ARRAY_LEN(rows), &source, &err);
    if (rc == RC_OK)
        rc = data_dir_resolve(dir, sizeof dir, config_str(config, "data_dir"), &err);
    if (rc == RC_OK)
        rc = provision(dir, &err);
    if (rc != RC_OK)
        fprintf(stderr, "parley demo-provision: %s\n", err.text);
    config_free(&config);
    return rc == RC_OK ? 0 : 1;
}
