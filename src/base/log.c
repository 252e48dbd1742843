/* log.c - one event, one line, one write(2) a target.
 *
 * Owns the log file's descriptor. Never reads a clock that somebody shifted: a log line carries the
 * machine's own time. Values are escaped so that no value can start a new line or a new field. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/e164.h"
#include "base/hex.h"
#include "base/json.h"

#define LINE_MAX_BYTES 8192u
#define VALUE_MAX_BYTES 2048u
#define HEX_SHOWN_BYTES 16u

struct log {
    const char *program;
    _Atomic int level;
    bool json;
    bool is_silent;
    int fd, file_fd; /* -1: none */
};

static const char *const level_names[LOG_LEVELS] = {"error", "warn", "info", "debug", "trace"};

static const struct log silent_log = {.is_silent = true, .level = -1, .fd = -1, .file_fd = -1};

enum rc
log_open(struct log **out, const struct log_opt *opt, struct err *err)
{
    struct log *log = calloc(1, sizeof(*log));

    *out = NULL;
    if (log == NULL)
        return err_set(err, RC_NOMEM, "log.open", "out of memory");
    log->program = opt->program;
    atomic_init(&log->level, (int)opt->level);
    log->json = opt->json;
    log->fd = opt->fd;
    log->file_fd = -1;
    if (opt->file != NULL) {
        log->file_fd =
            open(opt->file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (log->file_fd < 0) {
            free(log);
            return err_errno(err, RC_IO, "log.open", errno, "cannot open the log file");
        }
    }
    *out = log;
    return RC_OK;
}

void
log_close(struct log **log)
{
    if (*log == NULL)
        return;
    if ((*log)->file_fd >= 0)
        close((*log)->file_fd);
    free(*log);
    *log = NULL;
}

struct log *
log_none(void)
{
    return (struct log *)&silent_log; /* const in truth: log_set_level leaves it alone */
}

bool
log_on(const struct log *log, enum log_level level)
{
    return log != NULL && !log->is_silent && (int)level <= atomic_load(&log->level);
}

void
log_set_level(struct log *log, enum log_level level)
{
    if (!log->is_silent)
        atomic_store(&log->level, (int)level);
}

enum rc
log_level_read(enum log_level *out, const char *text, struct err *err)
{
    for (unsigned i = 0; i < LOG_LEVELS; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return RC_OK;
        }
    }
    *out = LOG_INFO;
    return err_set(err, RC_INVAL, "log.level", "a log level is error, warn, info, debug or trace");
}

static void
put_time(struct buf *line)
{
    struct timespec now;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    buf_printf(line, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", tm.tm_year + 1900, tm.tm_mon + 1,
               tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, now.tv_nsec / 1000000);
}

/* What a field's value reads as, before escaping. */
static void
put_value(struct buf *out, const struct log_field *f)
{
    char masked[8];

    switch (f->kind) {
    case LOGF_STR:
        buf_put_str(out, f->v.str == NULL ? "-" : f->v.str);
        break;
    case LOGF_INT:
        buf_printf(out, "%" PRId64, f->v.i);
        break;
    case LOGF_UINT:
        buf_printf(out, "%" PRIu64, f->v.u);
        break;
    case LOGF_HEX:
        hex_put(out, bytes_of(f->v.hex.ptr,
                              f->v.hex.len < HEX_SHOWN_BYTES ? f->v.hex.len : HEX_SHOWN_BYTES));
        break;
    case LOGF_NUM:
        buf_put_str(out, e164_masked(masked, f->v.u));
        break;
    case LOGF_BOOL:
        buf_put_str(out, f->v.b ? "true" : "false");
        break;
    }
    if (buf_failed(out)) {
        buf_reset(out);
        buf_put_str(out, "(too-long)");
    }
}

static bool
needs_quotes(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] <= ' ' || value.ptr[i] == 0x7f || value.ptr[i] == '"' ||
            value.ptr[i] == '\\' || value.ptr[i] == '=')
            return true;
    }
    return value.len == 0 || !bytes_is_utf8(value);
}

static void
put_quoted(struct buf *line, struct bytes value)
{
    bool is_utf8 = bytes_is_utf8(value);

    buf_put_char(line, '"');
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];

        if (c == '"' || c == '\\')
            buf_printf(line, "\\%c", c);
        else if (c == '\n')
            buf_put_str(line, "\\n");
        else if (c < ' ' || c == 0x7f || (c > 0x7f && !is_utf8))
            buf_printf(line, "\\x%02x", c);
        else
            buf_put_u8(line, c);
    }
    buf_put_char(line, '"');
}

static void
put_text_line(struct buf *line, const struct log *log, enum log_level level, const char *event,
              const struct log_field *fields, size_t n)
{
    struct buf value;

    buf_init(&value, VALUE_MAX_BYTES);
    put_time(line);
    buf_printf(line, " %s %s %s", level_names[level], log->program, event);
    for (size_t i = 0; i < n; i++) {
        buf_reset(&value);
        put_value(&value, &fields[i]);
        buf_printf(line, " %s=", fields[i].name);
        if (needs_quotes(buf_bytes(&value)))
            put_quoted(line, buf_bytes(&value));
        else
            buf_put(line, buf_bytes(&value));
    }
    buf_free(&value);
}

static void
put_json_line(struct buf *line, const struct log *log, enum log_level level, const char *event,
              const struct log_field *fields, size_t n)
{
    struct buf value;
    struct json_writer w;

    buf_init(&value, VALUE_MAX_BYTES);
    put_time(&value);
    jw_init(&w, line);
    jw_object(&w);
    jw_kv_bytes(&w, "t", buf_bytes(&value));
    jw_kv_str(&w, "level", level_names[level]);
    jw_kv_str(&w, "program", log->program);
    jw_kv_str(&w, "event", event);
    for (size_t i = 0; i < n; i++) {
        jw_key(&w, fields[i].name);
        buf_reset(&value);
        put_value(&value, &fields[i]);
        if (fields[i].kind == LOGF_INT || fields[i].kind == LOGF_UINT ||
            fields[i].kind == LOGF_BOOL)
            jw_raw(&w, buf_bytes(&value));
        else
            jw_str_bytes(&w, buf_bytes(&value));
    }
    jw_object_end(&w);
    buf_free(&value);
}

/* A line that cannot be written is lost: logging must never stop the work. */
static void
write_line(int fd, struct bytes line)
{
    ssize_t n;

    if (fd < 0)
        return;
    do
        n = write(fd, line.ptr, line.len);
    while (n < 0 && errno == EINTR);
}

void
log_write(struct log *log, enum log_level level, const char *event, const struct log_field *fields,
          size_t n)
{
    int errno_before = errno; /* logging between a failed call and its report changes nothing */
    struct buf line;

    if (!log_on(log, level))
        return;
    buf_init(&line, LINE_MAX_BYTES);
    (log->json ? put_json_line : put_text_line)(&line, log, level, event, fields, n);
    if (buf_failed(&line)) { /* too long: say at least that it happened */
        buf_reset(&line);
        (log->json ? put_json_line : put_text_line)(&line, log, level, event, NULL, 0);
    }
    buf_put_char(&line, '\n');
    write_line(log->fd, buf_bytes(&line));
    write_line(log->file_fd, buf_bytes(&line));
    buf_free(&line);
    errno = errno_before;
}
