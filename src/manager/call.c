/* call.c - one request on the internal channel; see call.h. */
#include "manager/call.h"

#include <stdlib.h>

#include "manager/state.h"

static const struct program_row {
    const char *cn;
    enum program bit;
} programs[] = {
    {"parley-cloud",      PROGRAM_CLOUD     },
    {"parley-cli",        PROGRAM_CLI       },
    {"parley-supervisor", PROGRAM_SUPERVISOR},
    {"parley-manager",    PROGRAM_MANAGER   },
};

/* HTTP status of an rc; everything else is 500. */
static const int statuses[RC_COUNT] = {
    [RC_OK] = 200,     [RC_INVAL] = 400, [RC_MALFORMED] = 400, [RC_NOTFOUND] = 404,
    [RC_EXISTS] = 409, [RC_BUSY] = 503,  [RC_FULL] = 503,      [RC_AUTH] = 401,
    [RC_DENIED] = 403, [RC_LIMIT] = 429, [RC_CLOSED] = 503,    [RC_PROTO] = 409,
};

static const struct http_header json_header[] = {
    {"Content-Type",  "application/json"},
    {"Cache-Control", "no-store"        }
};

static void
reply_error(struct http_request *req, enum rc rc, const char *text)
{
    int status = rc < RC_COUNT && statuses[rc] != 0 ? statuses[rc] : 500;
    struct json_writer jw;
    struct buf body;

    buf_init(&body, 4096);
    jw_init(&jw, &body);
    jw_object(&jw);
    jw_key(&jw, "error");
    jw_object(&jw);
    jw_kv_str(&jw, "rc", rc_name(rc));
    jw_kv_str(&jw, "message", status >= 500 ? "the manager could not do this now" : text);
    jw_object_end(&jw);
    jw_object_end(&jw);
    http_reply(req, status, json_header, ARRAY_LEN(json_header), buf_bytes(&body));
    buf_free(&body);
}

static void
call_free(struct call *call)
{
    json_decref(call->body);
    buf_wipe(&call->out);
    buf_wipe(&call->events);
    free(call);
}

static enum rc
run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct call *call = (struct call *)job;
    const struct directory *dir = &call->manager->dir;
    struct work w = {
        .dir = dir, .tx = tx, .events = &call->events, .now_s = clock_unix_ms(dir->clock) / 1000};
    enum rc rc;

    buf_reset(&call->out);
    buf_reset(&call->events);
    call->status = 200;
    rc = call->route->handle(call, &w, err);
    if (rc == RC_OK && (buf_failed(&call->out) || buf_failed(&call->events)))
        rc = err_set(err, RC_LIMIT, "manager.call", "the answer is too long");
    return rc;
}

static void
answer(struct call *call, enum rc rc, const struct err *err)
{
    struct manager *m = call->manager;

    if (rc != RC_OK) {
        if (rc >= RC_COUNT || statuses[rc] == 0 || statuses[rc] >= 500)
            log_event(m->log, LOG_ERROR, "internal.failed", LOG_STR("route", call->route->path),
                      LOG_STR("error", err->text), LOG_STR("rc", rc_name(rc)));
        reply_error(call->req, rc, err->text);
    } else if (call->route->finish != NULL) {
        call->route->finish(call);
    } else {
        if (call->route->writes)
            hub_send(m->hub, buf_bytes(&call->events));
        http_reply(call->req, call->status, json_header, ARRAY_LEN(json_header),
                   buf_bytes(&call->out));
    }
}

static void
done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct call *call = (struct call *)job;
    struct manager *m = call->manager;

    if (!m->is_closing) /* otherwise the request went with its listener */
        answer(call, rc, err);
    call_free(call);
    manager_job_over(m);
}

/* Whether the path fits the pattern; "*" gives *id. */
static bool
path_fits(uint64_t *id, const char *pattern, const char *path)
{
    *id = 0;
    while (*pattern != '\0') {
        if (*pattern == '*') {
            size_t len = strcspn(path, "/");

            if (object_id_read(id, bytes_of(path, len), NULL) != RC_OK)
                return false;
            path += len;
            pattern++;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *path == '\0';
}

static const struct internal_route *
find_in(uint64_t *id, const struct internal_route *table, size_t n, enum http_method method,
        const char *path)
{
    for (size_t i = 0; i < n; i++) {
        if (table[i].method == method && path_fits(id, table[i].path, path))
            return &table[i];
    }
    return NULL;
}

static unsigned
program_of(const struct http_request *req)
{
    const char *cn = http_request_peer_name(req);

    for (size_t i = 0; cn != NULL && i < ARRAY_LEN(programs); i++) {
        if (strcmp(cn, programs[i].cn) == 0)
            return programs[i].bit;
    }
    return 0;
}

static enum rc
read_id_query(uint64_t *out, const struct http_request *req, const char *name, struct err *err)
{
    const char *text = http_request_query(req, name);

    *out = 0;
    return text == NULL || text[0] == '\0' ? RC_OK : object_id_read(out, bytes_of_str(text), err);
}

static enum rc
read_request(struct call *call, struct err *err)
{
    struct bytes body = http_request_body(call->req);
    const char *secrets = http_request_query(call->req, "with_secrets");
    enum rc rc;

    if ((rc = read_id_query(&call->business, call->req, "business_id", err)) != RC_OK ||
        (rc = read_id_query(&call->after, call->req, "after", err)) != RC_OK)
        return rc;
    call->with_secrets = secrets != NULL && strcmp(secrets, "1") == 0;
    if (body.len == 0)
        return RC_OK;
    if ((rc = json_read(&call->body, body, CALL_BODY_MAX, err)) != RC_OK)
        return rc;
    return json_is_object(call->body)
               ? RC_OK
               : err_set(err, RC_MALFORMED, "manager.call", "the body is not a JSON object");
}

void
call_accept(struct manager *m, struct http_request *req)
{
    enum http_method method = http_request_method(req);
    const char *path = http_request_path(req);
    unsigned program = program_of(req);
    const struct internal_route *route;
    struct call *call;
    struct err err = {0};
    uint64_t id;
    enum rc rc;

    if (program == 0) {
        reply_error(req, RC_DENIED, "this certificate names no program of the platform");
        return;
    }
    route = find_in(&id, cloud_routes, cloud_routes_n, method, path);
    if (route == NULL)
        route = find_in(&id, operator_routes, operator_routes_n, method, path);
    if (route == NULL || (route->programs & program) == 0) {
        reply_error(req, route == NULL ? RC_NOTFOUND : RC_DENIED,
                    route == NULL ? "no such route" : "this program may not call this route");
        return;
    }
    if (m->is_closing || (call = calloc(1, sizeof(*call))) == NULL) {
        reply_error(req, RC_CLOSED, "");
        return;
    }
    call->manager = m;
    call->req = req;
    call->route = route;
    call->id = id;
    buf_init(&call->out, CALL_ANSWER_MAX);
    buf_init(&call->events, EVENTS_MAX);
    if ((rc = read_request(call, &err)) != RC_OK) {
        reply_error(req, rc, err.text);
        call_free(call);
        return;
    }
    call->job = (struct store_job){
        .run = run, .done = done, .loop = m->loop, .grows = route->writes && method == HTTP_POST};
    m->in_flight++;
    if (route->writes && (route->is_read == NULL || !route->is_read(call)))
        store_submit(m->store, &call->job);
    else
        store_read(m->store, &call->job);
}
