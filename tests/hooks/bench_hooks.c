/* bench_hooks.c - events a second from the transaction to the receiver's 200 and out of the store,
 * and their CPU, on a real file; the receiver is a child with bare sockets.
 *
 *     bench_hooks [events]
 * "with enqueuing": jobs of one event each keep coming, as a gateway makes them, at most 512 ahead.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crypto/prim.h"
#include "hooks/hooks.h"

#define AHEAD 512u
#define PEERS_MAX 200u

static double
cpu_s(void)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    return (double)use.ru_utime.tv_sec + (double)use.ru_stime.tv_sec +
           ((double)use.ru_utime.tv_usec + (double)use.ru_stime.tv_usec) / 1e6;
}

static double
wall_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Child: answer whatever comes with 200; requests end with the body's last character, '}'. */
static void
answer(int listener)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    struct pollfd fds[PEERS_MAX] = {
        {.fd = listener, .events = POLLIN}
    };
    unsigned n = 1;
    char room[16384];
    int one = 1;

    while (poll(fds, n, -1) > 0) {
        for (unsigned i = 1; i < n; i++) {
            ssize_t got = fds[i].revents == 0 ? 0 : read(fds[i].fd, room, sizeof(room));

            if (got > 0 && room[got - 1] == '}' && write(fds[i].fd, reply, sizeof(reply) - 1) < 0)
                exit(0);
        }
        if (fds[0].revents != 0 && n < PEERS_MAX) {
            fds[n] = (struct pollfd){.fd = accept(listener, NULL, NULL), .events = POLLIN};
            setsockopt(fds[n++].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        }
    }
}

struct bench;
struct event_job {
    struct store_job job;
    struct bench *bench;
};

struct bench {
    struct loop *loop;
    struct store *store;
    struct hooks_pump *pump;
    struct clock *clock;
    char url[64], body[600];
    unsigned n_left, n_out;
    struct event_job jobs[AHEAD];
};

static enum rc
event_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct bench *b = ((struct event_job *)(void *)job)->bench;
    struct hooks_event event = {.account = 15550123400u,
                                .app = 1,
                                .url = b->url,
                                .body = bytes_of_str(b->body),
                                .now_ms = clock_unix_ms(b->clock)};
    uint8_t id[16];

    return hooks_enqueue(b->pump, tx, &event, id, err);
}

static void
event_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct bench *b = ((struct event_job *)(void *)job)->bench;

    if (rc != RC_OK)
        exit(1);
    b->n_out--;
    if (b->n_left > 0) {
        b->n_left--;
        b->n_out++;
        store_submit(b->store, job);
    }
}

static bool
secret_of(void *ctx, uint64_t app, char out[129])
{
    strcpy(out, "demo-app-secret");
    return true;
}

static void
run(struct bench *b, unsigned n, const char *what)
{
    struct hooks_stats before, now;
    double cpu = cpu_s(), wall = wall_s();

    hooks_pump_stats(b->pump, &before);
    b->n_left = n;
    for (unsigned i = 0; i < AHEAD && b->n_left > 0; i++) {
        b->jobs[i].job = (struct store_job){.run = event_run, .done = event_done, .loop = b->loop};
        b->jobs[i].bench = b;
        b->n_left--;
        b->n_out++;
        store_submit(b->store, &b->jobs[i].job);
    }
    do {
        uv_run(loop_uv(b->loop), UV_RUN_ONCE);
        hooks_pump_stats(b->pump, &now);
    } while (now.delivered - before.delivered < n || now.waiting > 0);
    cpu = cpu_s() - cpu;
    wall = wall_s() - wall;
    printf("%s: %.0f events/s, %.1f us CPU each (all threads)\n", what, n / wall, cpu / n * 1e6);
}

int
main(int argc, char **argv)
{
    static struct bench b;
    static const struct store_part *const parts[] = {&hooks_part};
    unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 20000;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    char dir[] = "/tmp/parley-bench-XXXXXX", path[64], ring_path[64], master[64];
    struct keyring *ring;
    pid_t child;

    signal(SIGPIPE, SIG_IGN);
    if (bind(listener, (struct sockaddr *)&addr, len) != 0 || listen(listener, 128) != 0 ||
        mkdtemp(dir) == NULL)
        return 1;
    getsockname(listener, (struct sockaddr *)&addr, &len);
    if ((child = fork()) == 0)
        answer(listener);
    snprintf(path, sizeof(path), "%s/store.db", dir);
    snprintf(ring_path, sizeof(ring_path), "%s/ring", dir);
    snprintf(master, sizeof(master), "%s/master", dir);
    snprintf(b.url, sizeof(b.url), "http://127.0.0.1:%u/hook", ntohs(addr.sin_port));
    memset(b.body, 'x', 498);
    b.body[498] = '}';
    if (crypto_start(NULL) != RC_OK || loop_new(&b.loop, NULL) != RC_OK ||
        clock_new_system(&b.clock, NULL) != RC_OK ||
        keyring_open(&ring,
                     &(struct keyring_opt){
                         .ring_path = ring_path, .master_path = master, .rng = rng_system()},
                     NULL) != RC_OK ||
        store_open(
            &b.store,
            &(struct store_opt){.path = path, .parts = parts, .n_parts = 1, .log = log_none()},
            NULL) != RC_OK ||
        hooks_pump_open(&b.pump,
                        &(struct hooks_pump_opt){.loop = b.loop,
                                                 .store = b.store,
                                                 .ring = ring,
                                                 .clock = b.clock,
                                                 .rng = rng_system(),
                                                 .log = log_none(),
                                                 .allow_private_hosts = true,
                                                 .secret_of = secret_of},
                        NULL) != RC_OK)
        return 1;
    run(&b, n, "with enqueuing");
    hooks_pump_free(&b.pump);
    store_free(&b.store);
    loop_free(&b.loop);
    keyring_free(&ring);
    clock_free(&b.clock);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    fflush(stdout);
    return execlp("rm", "rm", "-r", dir, (char *)NULL);
}
