/* sink.c - see sink.h. */
#include "sink.h"

#include <stdlib.h>

#include "http/server.h"

#define BODY_MAX (256u * 1024)

struct sink {
    struct sink_opt opt;
    struct http_server *server;
};

bool
quoted_after(struct bytes *out, struct bytes in, const char *mark)
{
    const uint8_t *at = in.len == 0 ? NULL : memmem(in.ptr, in.len, mark, strlen(mark)), *end;

    if (at == NULL)
        return false;
    at += strlen(mark);
    end = memchr(at, '"', in.len - (size_t)(at - in.ptr));
    if (end == NULL)
        return false;
    *out = bytes_of(at, (size_t)(end - at));
    return true;
}

static void
on_request(void *ctx, struct http_request *req)
{
    struct sink *sink = ctx;
    const char *challenge = http_request_query(req, "hub.challenge");
    struct bytes body = http_request_body(req), id, status;

    if (quoted_after(&id, body, "\"statuses\":[{\"id\":\"") &&
        quoted_after(&status, body, "\"status\":\""))
        sink->opt.on_status(sink->opt.ctx, id, status);
    http_reply(req, 200, NULL, 0, bytes_of_str(challenge == NULL ? "" : challenge));
}

enum rc
sink_open(struct sink **out, const struct sink_opt *opt, struct err *err)
{
    struct sink *sink = calloc(1, sizeof(*sink));
    const struct http_server_opt server = {.loop = opt->loop,
                                           .log = log_none(),
                                           .host = "127.0.0.1",
                                           .max_body = BODY_MAX,
                                           .on_request = on_request,
                                           .ctx = sink};
    enum rc rc;

    *out = NULL;
    if (sink == NULL)
        return err_set(err, RC_NOMEM, "bench.sink", "no memory");
    sink->opt = *opt;
    if ((rc = http_server_open(&sink->server, &server, err)) == RC_OK)
        *out = sink;
    else
        free(sink);
    return rc;
}

void
sink_free(struct sink **sink)
{
    if (*sink == NULL)
        return;
    http_server_free(&(*sink)->server);
    free(*sink);
    *sink = NULL;
}

uint16_t
sink_port(const struct sink *sink)
{
    return http_server_port(sink->server);
}
