/* rig_program.c - the program parley-relay on the rig's folder, in a process of its own. */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/json.h"

static void
write_key_files(struct rig *rig)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/noise.key", rig->data);
    if (access(path, F_OK) == 0)
        return;
    assert_int_equal(file_replace(path, bytes_of(rig->opt.key.priv, 32), 0400, NULL), RC_OK);
    snprintf(path, sizeof(path), "%s/relay.cert", rig->dir);
    assert_int_equal(file_replace(path, buf_bytes(&rig->certificate), 0644, NULL), RC_OK);
}

static void
run_program(const struct rig *rig, const char *program, unsigned n_descriptors, int out)
{
    char data[128], cert[128], authority[128];
    struct buf text;
    struct rlimit limit = {n_descriptors, n_descriptors};

    buf_init(&text, 128);
    base64_put(&text, bytes_of(rig->opt.authority, 32));
    snprintf(data, sizeof(data), "--data-dir=%s", rig->data);
    snprintf(cert, sizeof(cert), "--cert-file=%s/relay.cert", rig->dir);
    snprintf(authority, sizeof(authority), "--authority-key=%s", buf_cstr(&text));
    dup2(out, STDOUT_FILENO);
    if (n_descriptors != 0)
        setrlimit(RLIMIT_NOFILE, &limit);
    if (rig->inject != NULL)
        execlp("strace", "strace", "-f", "-qq", "-o", "/dev/null", "-e", rig->inject, program, data,
               cert, authority, "--listen=127.0.0.1:0", "--test-clock=on", "--keep-dumpable=on",
               "--log-level=error", "--loops=2", (char *)NULL);
    else
        execl(program, program, data, cert, authority, "--listen=127.0.0.1:0", "--test-clock=on",
              "--keep-dumpable=on", "--log-level=warn", "--loops=2", (char *)NULL);
    _exit(127);
}

/* {"program":"parley-relay","ready":true,"listen":"127.0.0.1:4711"} */
static uint16_t
read_ready(int fd)
{
    char line[512];
    size_t n = 0;
    const char *listen;
    json_t *object;
    uint16_t port;

    while (n < sizeof(line) && read(fd, line + n, 1) == 1 && line[n] != '\n')
        n++;
    assert_true(n > 0);
    assert_int_equal(json_read(&object, bytes_of(line, n), sizeof(line), NULL), RC_OK);
    listen = json_str(object, "listen");
    assert_non_null(listen);
    port = (uint16_t)atoi(strrchr(listen, ':') + 1);
    json_decref(object);
    return port;
}

bool
rig_spawn(struct rig *rig, unsigned n_descriptors)
{
    const char *program = getenv("PARLEY_RELAY_PROGRAM");
    int fds[2];

    if (program == NULL || access(program, X_OK) != 0)
        return false;
    write_key_files(rig);
    assert_int_equal(pipe(fds), 0);
    rig->child = fork();
    assert_true(rig->child >= 0);
    if (rig->child == 0) {
        close(fds[0]);
        run_program(rig, program, n_descriptors, fds[1]);
    }
    close(fds[1]);
    rig->port = read_ready(fds[0]);
    close(fds[0]);
    return true;
}

int
rig_kill(struct rig *rig, int signal)
{
    int status = 0;

    assert_true(rig->child > 0);
    assert_int_equal(kill(rig->child, signal), 0);
    assert_int_equal(waitpid(rig->child, &status, 0), rig->child);
    rig->child = 0;
    return status;
}

void
rig_admin(struct rig *rig, const char *line, struct buf *out)
{
    char path[128];
    struct err err;

    snprintf(path, sizeof(path), "%s/admin.sock", rig->data);
    buf_init(out, 65536);
    if (admin_ask(out, path, line, RIG_WAIT_MS, &err) != RC_OK)
        fail_msg("%s: %s", line, err.text);
}
