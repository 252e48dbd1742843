/* echo.c - see echo.h. */
#include "echo.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http/server.h"

static void
on_request(void *ctx, struct http_request *req)
{
    static const struct http_header headers[] = {
        {"Content-Type",         "application/json; charset=UTF-8"},
        {"facebook-api-version", "v24.0"                          },
    };
    static const char body[] =
        "{\"messaging_product\":\"whatsapp\",\"contacts\":[{\"input\":\"15557654321\",\"wa_id\":"
        "\"15557654321\"}],\"messages\":[{\"id\":\"wamid.HBgLMTU1NTc2NTQzMjEVAgARGBI5RDZGNDM0\"}]}";

    http_reply(req, 200, headers, ARRAY_LEN(headers), bytes_of_str(body));
}

/* The child: serve until killed; its port goes through the pipe once it listens. */
static void
serve(int out)
{
    struct http_server_opt opt = {
        .log = log_none(), .host = "127.0.0.1", .max_body = 65536, .on_request = on_request};
    struct http_server *server;
    uint16_t port;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (loop_new(&opt.loop, NULL) != RC_OK || http_server_open(&server, &opt, NULL) != RC_OK)
        _exit(1);
    port = http_server_port(server);
    if (write(out, &port, sizeof(port)) != sizeof(port))
        _exit(1);
    loop_run(opt.loop);
    _exit(0);
}

enum rc
echo_start(struct echo *echo, struct err *err)
{
    int ends[2];
    ssize_t n;

    *echo = (struct echo){0};
    if (pipe(ends) != 0)
        return err_errno(err, RC_IO, "bench.echo", errno, "pipe");
    if ((echo->pid = fork()) == 0)
        serve(ends[1]);
    close(ends[1]);
    n = read(ends[0], &echo->port, sizeof(echo->port));
    close(ends[0]);
    if (echo->pid > 0 && n == (ssize_t)sizeof(echo->port))
        return RC_OK;
    echo_stop(echo);
    return err_set(err, RC_IO, "bench.echo", "the echo server did not start");
}

void
echo_stop(struct echo *echo)
{
    if (echo->pid > 0) {
        kill(echo->pid, SIGKILL);
        waitpid(echo->pid, NULL, 0);
    }
    *echo = (struct echo){0};
}
