/* phones.c - see phones.h. */
#include "phones.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/admin_path.h"
#include "base/json.h"

#define LINE_MAX_BYTES 4096u

struct talk {
    int fd;
    FILE *in;     /* answers */
    FILE *outbox; /* where the relay of a demo leaves its codes; read on from where we stood */
};

static enum rc
talk_open(struct talk *talk, const struct platform *platform, struct err *err)
{
    char path[BENCH_PATH_MAX + 64];
    struct admin_path at;
    enum rc rc;

    *talk = (struct talk){.fd = -1};
    snprintf(path, sizeof(path), "%s/relay/outbox", platform->dir);
    if ((talk->outbox = fopen(path, "re")) == NULL)
        return err_errno(err, RC_IO, "bench.phones", errno, path);
    snprintf(path, sizeof(path), "%s/phone/daemon.sock", platform->dir);
    if ((rc = admin_path_open(&at, path, err)) != RC_OK)
        return rc;
    talk->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (talk->fd < 0 ||
        connect(talk->fd, (struct sockaddr *)&at.address, sizeof(at.address)) != 0 ||
        (talk->in = fdopen(dup(talk->fd), "r")) == NULL)
        rc = err_errno(err, RC_IO, "bench.phones", errno, path);
    admin_path_close(&at);
    return rc;
}

static void
talk_close(struct talk *talk)
{
    if (talk->in != NULL)
        fclose(talk->in);
    if (talk->outbox != NULL)
        fclose(talk->outbox);
    if (talk->fd >= 0)
        close(talk->fd);
}

/* One request, one answer, which must be ok. */
static enum rc
ask(struct talk *talk, const struct buf *request, struct err *err)
{
    char line[LINE_MAX_BYTES];
    json_t *answer = NULL;
    enum rc rc;

    if (write(talk->fd, request->ptr, request->len) != (ssize_t)request->len ||
        fgets(line, sizeof(line), talk->in) == NULL)
        return err_set(err, RC_IO, "bench.phones", "the phone daemon hung up");
    rc = json_read(&answer, bytes_of_str(line), sizeof(line), err);
    if (rc == RC_OK && !json_truthy(json_object_get(answer, "ok")))
        rc = err_set(err, RC_DENIED, "bench.phones", "the phone daemon says: %s",
                     json_str(answer, "error"));
    json_decref(answer);
    return rc;
}

static void
begin(struct json_writer *w, struct buf *out, const char *verb, const char *profile)
{
    buf_init(out, LINE_MAX_BYTES);
    jw_init(w, out);
    jw_object(w);
    jw_kv_str(w, "verb", verb);
    jw_kv_str(w, "profile", profile);
}

static enum rc
finish(struct talk *talk, struct json_writer *w, struct buf *out, struct err *err)
{
    enum rc rc;

    jw_object_end(w);
    buf_put_char(out, '\n');
    rc = ask(talk, out, err);
    buf_free(out);
    return rc;
}

/* The newest code of this number among the lines that came since the last look. */
static enum rc
read_code(struct talk *talk, uint64_t number, char code[16], struct err *err)
{
    char line[LINE_MAX_BYTES], digits[24];

    snprintf(digits, sizeof(digits), "%" PRIu64, number);
    code[0] = '\0';
    clearerr(talk->outbox);
    while (fgets(line, sizeof(line), talk->outbox) != NULL) {
        json_t *object;

        if (json_read(&object, bytes_of_str(line), sizeof(line), NULL) != RC_OK)
            continue;
        if (json_str(object, "number") != NULL && strcmp(json_str(object, "number"), digits) == 0)
            snprintf(code, 16, "%s", json_str(object, "code"));
        json_decref(object);
    }
    return code[0] != '\0' ? RC_OK
                           : err_set(err, RC_NOTFOUND, "bench.phones", "no code in the outbox");
}

static enum rc
register_one(struct talk *talk, const char *profile, uint64_t number, struct err *err)
{
    struct json_writer w;
    struct buf out;
    char code[16];
    enum rc rc;

    begin(&w, &out, "register", profile);
    jw_kv_u64_str(&w, "number", number);
    jw_kv_str(&w, "name", profile);
    jw_kv_bool(&w, "request_code", true);
    if ((rc = finish(talk, &w, &out, err)) != RC_OK ||
        (rc = read_code(talk, number, code, err)) != RC_OK)
        return rc;
    begin(&w, &out, "confirm", profile);
    jw_kv_str(&w, "code", code);
    return finish(talk, &w, &out, err);
}

enum rc
phones_register(struct platform *platform, uint64_t first, unsigned n, struct err *err)
{
    struct talk talk;
    enum rc rc = talk_open(&talk, platform, err);

    for (unsigned i = 0; rc == RC_OK && i < n; i++) {
        char profile[32];

        snprintf(profile, sizeof(profile), "bench%u", i);
        rc = register_one(&talk, profile, first + i, err);
    }
    talk_close(&talk);
    return rc;
}
