/* bench_http.c - what one request costs our server and one call costs our client, in CPU of this
 * process alone: the other side is a child with bare sockets.
 *
 *     bench_http [seconds]
 * The server answers each request from a timer 1 ms later, as if a commit lay between. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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
#include <unistd.h>

#include "http/client.h"
#include "http/server.h"

#define PEERS 64u
#define HELD_MAX 4096u

static const char request[] =
    "POST /v24.0/200300400500601/messages HTTP/1.1\r\nHost: 127.0.0.1:9401\r\n"
    "Authorization: Bearer EAAdemoToken0001EAAdemoToken0001EAAdemoToken0001\r\n"
    "Content-Type: application/json\r\nAccept: */*\r\nContent-Length: 125\r\n\r\n"
    "{\"messaging_product\":\"whatsapp\",\"to\":\"15557654321\",\"type\":\"text\",\"text\":"
    "{\"body\":\"hello, this is a text of normal size\"}}     ";

static double
cpu_s(void)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    return (double)use.ru_utime.tv_sec + (double)use.ru_stime.tv_sec +
           ((double)use.ru_utime.tv_usec + (double)use.ru_stime.tv_usec) / 1e6;
}

/* ---- the server ---- */

struct bench {
    struct loop *loop;
    struct loop_timer tick, stop;
    struct http_request *held[HELD_MAX];
    unsigned n_held;
    uint64_t n_done;
    struct http_client *client;
    struct http_call_opt call;
    bool is_over;
};

static void
on_request(void *ctx, struct http_request *req)
{
    struct bench *b = ctx;

    b->held[b->n_held++] = req;
}

static void
on_tick(struct loop_timer *timer)
{
    static const struct http_header headers[] = {
        {"Content-Type",         "application/json; charset=UTF-8"},
        {"facebook-api-version", "v24.0"                          },
        {"x-fb-trace-id",        "AbCdEfGhIjK"                    },
        {"cache-control",        "private, no-cache, no-store"    },
    };
    struct bench *b = (void *)((char *)timer - offsetof(struct bench, tick));

    for (unsigned i = 0; i < b->n_held; i++)
        http_reply(b->held[i], 200, headers, 4,
                   bytes_of_str("{\"messaging_product\":\"whatsapp\",\"contacts\":[{\"input\":"
                                "\"15557654321\",\"wa_id\":\"15557654321\"}],\"messages\":[{"
                                "\"id\":\"wamid.HBgLMTU1NTc2NTQzMjEVAgARGBI5RDZGN\"}]}"));
    b->n_done += b->n_held;
    b->n_held = 0;
}

static void
on_stop(struct loop_timer *timer)
{
    struct bench *b = (void *)((char *)timer - offsetof(struct bench, stop));

    b->is_over = true;
    loop_stop(b->loop);
}

static int
connect_to(uint16_t port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
        exit(1);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

/* Child: PEERS connections, one request outstanding on each. */
static void
generate(uint16_t port)
{
    struct pollfd peers[PEERS];
    char room[4096];

    for (unsigned i = 0; i < PEERS; i++) {
        peers[i] = (struct pollfd){.fd = connect_to(port), .events = POLLIN};
        if (write(peers[i].fd, request, sizeof(request) - 1) < 0)
            exit(1);
    }
    while (poll(peers, PEERS, -1) > 0)
        for (unsigned i = 0; i < PEERS; i++)
            if (peers[i].revents != 0 && (read(peers[i].fd, room, sizeof(room)) <= 0 ||
                                          write(peers[i].fd, request, sizeof(request) - 1) < 0))
                exit(0);
}

static void
bench_server(struct bench *b, unsigned seconds)
{
    struct http_server *server;
    double before;
    pid_t child;

    if (http_server_open(&server,
                         &(struct http_server_opt){.loop = b->loop,
                                                   .log = log_none(),
                                                   .host = "127.0.0.1",
                                                   .max_body = 65536,
                                                   .on_request = on_request,
                                                   .ctx = b},
                         NULL) != RC_OK)
        exit(1);
    if ((child = fork()) == 0)
        generate(http_server_port(server));
    loop_timer_start(&b->tick, 1, 1);
    loop_timer_start(&b->stop, seconds * 1000u, 0);
    before = cpu_s();
    loop_run(b->loop);
    printf("server: %.0f requests/s, %.1f us CPU each (suspended, answered from a 1 ms batch)\n",
           (double)b->n_done / seconds, (cpu_s() - before) / (double)b->n_done * 1e6);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    loop_timer_stop(&b->tick);
    on_tick(&b->tick);
    http_server_free(&server);
}

/* ---- the client ---- */

/* Child: answer whatever comes with 200; requests end with the body's last character, '}'. */
static void
answer(int listener)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    struct pollfd fds[PEERS + 8] = {
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
        if (fds[0].revents != 0 && n < PEERS + 8) {
            fds[n] = (struct pollfd){.fd = accept(listener, NULL, NULL), .events = POLLIN};
            setsockopt(fds[n++].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        }
    }
}

static void
on_done(void *ctx, enum rc rc, int status, struct bytes body, const char *error_text)
{
    struct bench *b = ctx;

    if (rc == RC_OK && status == 200)
        b->n_done++;
    else if (!b->is_over)
        fprintf(stderr, "%s %d %s\n", rc_name(rc), status, error_text);
    if (!b->is_over && http_client_call(NULL, b->client, &b->call, NULL) != RC_OK)
        exit(1);
}

static void
bench_client(struct bench *b, unsigned seconds)
{
    static char body[500];
    static const struct http_header headers[] = {
        {"Content-Type",        "application/json"                                },
        {"User-Agent",          "facebookexternalua"                              },
        {"X-Hub-Signature",     "sha1=468d391fb06d9dfd60c8062c5d961eeb437062c8"   },
        {"X-Hub-Signature-256",
         "sha256=071de82f24ab74d78f1fcfbb0f336ddc8a9b85d9c36a79550f88c09dd5b87ead"},
        {"X-Parley-Event-Id",   "00112233445566778899aabbccddeeff"                },
    };
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    char url[64];
    double before;
    pid_t child;

    if (bind(listener, (struct sockaddr *)&addr, len) != 0 || listen(listener, 128) != 0)
        exit(1);
    getsockname(listener, (struct sockaddr *)&addr, &len);
    if ((child = fork()) == 0)
        answer(listener);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/hook", ntohs(addr.sin_port));
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '}';
    b->n_done = 0;
    b->is_over = false;
    b->call = (struct http_call_opt){.method = HTTP_POST,
                                     .url = url,
                                     .headers = headers,
                                     .n_headers = 5,
                                     .body = bytes_of(body, sizeof(body)),
                                     .connect_to = "127.0.0.1",
                                     .response_max = 65536,
                                     .on_done = on_done,
                                     .ctx = b};
    if (http_client_open(&b->client, &(struct http_client_opt){.loop = b->loop, .log = log_none()},
                         NULL) != RC_OK)
        exit(1);
    for (unsigned i = 0; i < 8; i++)
        if (http_client_call(NULL, b->client, &b->call, NULL) != RC_OK)
            exit(1);
    loop_timer_start(&b->stop, seconds * 1000u, 0);
    before = cpu_s();
    loop_run(b->loop);
    printf("client: %.0f POST/s, %.1f us CPU each (8 kept connections)\n",
           (double)b->n_done / seconds, (cpu_s() - before) / (double)b->n_done * 1e6);
    http_client_free(&b->client);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(listener);
}

int
main(int argc, char **argv)
{
    static struct bench bench;
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 3;

    signal(SIGPIPE, SIG_IGN);
    if (loop_new(&bench.loop, NULL) != RC_OK)
        return 1;
    loop_timer_init(bench.loop, &bench.tick, on_tick);
    loop_timer_init(bench.loop, &bench.stop, on_stop);
    bench_server(&bench, seconds);
    bench_client(&bench, seconds);
    loop_free(&bench.loop);
    return 0;
}
