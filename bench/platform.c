/* platform.c - see platform.h. */
#include "platform.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "measure.h"

#define ENV_MAX (64u * 1024)
#define PORTS 10u
#define HTTP_OFFSET 1u
#define TRIES 100u
#define NAME_MAX_LEN 15u /* of a process, as the kernel keeps it */

/* ---- ports ---- */

/* A listener on this port, or on one that the kernel picks; *port says which. -1: taken. */
static int
try_port(uint16_t *port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, 1) == 0 &&
        getsockname(fd, (struct sockaddr *)&at, &len) == 0) {
        *port = ntohs(at.sin_port);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Ten free ports in a row, from one that the kernel picked. */
static uint16_t
free_ports(void)
{
    for (unsigned i = 0; i < TRIES; i++) {
        int fds[PORTS];
        uint16_t base = 0;
        unsigned n = 0;

        for (; n < PORTS; n++) {
            uint16_t port = n == 0 ? 0 : (uint16_t)(base + n);

            if ((fds[n] = try_port(&port)) < 0)
                break;
            base = n == 0 ? port : base;
        }
        for (unsigned k = 0; k < n; k++)
            close(fds[k]);
        if (n == PORTS && base < 65525)
            return base;
    }
    return 0;
}

/* ---- life ---- */

enum rc
platform_init(struct platform *p, const struct bench *bench, const char *name, struct err *err)
{
    *p = (struct platform){0};
    buf_init(&p->env, ENV_MAX);
    snprintf(p->dir, sizeof(p->dir), "%s/%s", bench->folder, name);
    snprintf(p->log, sizeof(p->log), "%s/%s.log", bench->folder, name);
    if ((p->base_port = free_ports()) == 0)
        return err_set(err, RC_BUSY, "bench.platform", "no ten free ports in a row");
    return RC_OK;
}

enum rc
platform_start(struct platform *p, const struct bench *bench, double *took_s, struct err *err)
{
    char program[BENCH_PATH_MAX + 16], base_port[16], path[BENCH_PATH_MAX + 64];
    char *argv[] = {program,
                    (char[]){"up"},
                    (char[]){"--demo"},
                    (char[]){"--json"},
                    (char[]){"--policy"},
                    (char[]){"off"},
                    (char[]){"--data-dir"},
                    p->dir,
                    (char[]){"--base-port"},
                    base_port,
                    NULL};
    int64_t start_us = now_us();
    enum rc rc;

    snprintf(program, sizeof(program), "%s/parley", bench->bin);
    snprintf(base_port, sizeof(base_port), "%u", p->base_port);
    if ((rc = child_start(&p->up, argv, p->log, err)) == RC_OK)
        rc = child_wait_ready(&p->up, err);
    *took_s = (double)(now_us() - start_us) / 1e6;
    if (rc != RC_OK)
        return err_set(err, rc, "bench.platform", "`parley up` did not come up; see %s", p->log);
    p->n_pids = process_family(p->pid, PLATFORM_PROGRAMS_MAX, p->up.pid);
    snprintf(path, sizeof(path), "%s/demo.env", p->dir);
    buf_reset(&p->env);
    return file_read(&p->env, path, ENV_MAX - 1, err);
}

void
platform_stop(struct platform *p)
{
    for (size_t i = 0; i < p->n_pids; i++)
        kill(p->pid[i], SIGCONT); /* a job may have halted one */
    child_stop(&p->up);
    p->n_pids = 0;
}

void
platform_wipe(struct platform *p)
{
    platform_stop(p);
    buf_wipe(&p->env);
}

/* ---- questions ---- */

char *
platform_env(struct platform *p, const char *key, char *out, size_t size)
{
    const char *line = buf_cstr(&p->env);
    size_t n = strlen(key);

    out[0] = '\0';
    for (; line != NULL && *line != '\0'; line = strchr(line, '\n'), line += line != NULL) {
        if (strncmp(line, key, n) != 0 || line[n] != '=')
            continue;
        line += n + 1;
        if (*line == '\'')
            line++;
        n = strcspn(line, "'\n");
        snprintf(out, size, "%.*s", (int)n, line);
        break;
    }
    return out;
}

pid_t
platform_pid(const struct platform *p, const char *program)
{
    for (size_t i = 0; i < p->n_pids; i++) {
        char path[64], name[32] = "";
        FILE *in;

        snprintf(path, sizeof(path), "/proc/%d/comm", (int)p->pid[i]);
        if ((in = fopen(path, "re")) == NULL)
            continue;
        if (fscanf(in, "%31s", name) != 1)
            name[0] = '\0';
        fclose(in);
        if (strncmp(name, program, NAME_MAX_LEN) == 0)
            return p->pid[i];
    }
    return 0;
}

double
platform_cpu_s(const struct platform *p)
{
    double sum = 0;

    for (size_t i = 0; i < p->n_pids; i++)
        sum += cpu_s(p->pid[i]);
    return sum;
}

double
platform_pss_mib(const struct platform *p)
{
    double sum = 0;

    for (size_t i = 0; i < p->n_pids; i++) {
        double one = pss_mib(p->pid[i]);

        if (one == 0)
            return 0; /* a sum that leaves one out would flatter */
        sum += one;
    }
    return sum;
}

uint16_t
platform_http_port(const struct platform *p)
{
    return (uint16_t)(p->base_port + HTTP_OFFSET);
}
