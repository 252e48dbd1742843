/* log.h - one event, one line, named fields; never content, tokens or full phone numbers.
 *
 * Text form:  2026-01-02T03:04:05.678Z info relay link.up device=…01:1 lanes=32
 * JSON form:  {"t":"…","level":"info","program":"relay","event":"link.up","device":"…01:1"}
 * Numbers of people go through LOG_NUM, which prints the last two digits only.
 * Thread rule: log_event may be called from any thread. */
#ifndef PARLEY_BASE_LOG_H
#define PARLEY_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE, LOG_LEVELS };

enum log_kind { LOGF_STR, LOGF_INT, LOGF_UINT, LOGF_HEX, LOGF_NUM, LOGF_BOOL };
struct log_field {
    const char *name;
    enum log_kind kind;
    union {
        const char *str;
        int64_t i;
        uint64_t u;
        struct bytes hex; /* printed as hex, at most 16 bytes */
        bool b;
    } v;
};

#define LOG_STR(n, x) ((struct log_field){.name = (n), .kind = LOGF_STR, .v.str = (x)})
#define LOG_INT(n, x) ((struct log_field){.name = (n), .kind = LOGF_INT, .v.i = (x)})
#define LOG_UINT(n, x) ((struct log_field){.name = (n), .kind = LOGF_UINT, .v.u = (x)})
#define LOG_HEX(n, x) ((struct log_field){.name = (n), .kind = LOGF_HEX, .v.hex = (x)})
#define LOG_NUM(n, x) ((struct log_field){.name = (n), .kind = LOGF_NUM, .v.u = (x)})
#define LOG_FLAG(n, x) ((struct log_field){.name = (n), .kind = LOGF_BOOL, .v.b = (x)})
/* rc and text of an err, as two fields' worth in one */
#define LOG_RC(e) LOG_STR("error", (e)->text), LOG_STR("rc", rc_name((e)->rc))

struct log;
struct log_opt {
    const char *program; /* static: "relay" */
    enum log_level level;
    bool json;
    int fd;           /* borrowed; 2 for standard error */
    const char *file; /* also append here, NULL for none; opened with mode 0600 */
};

NODISCARD enum rc log_open(struct log **out, const struct log_opt *opt, struct err *err);
void log_close(struct log **log);
/* A log that keeps nothing: for tests and benchmarks. Never freed. */
struct log *log_none(void);
bool log_on(const struct log *log, enum log_level level);
void log_set_level(struct log *log, enum log_level level);
/* "error" … "trace" to a level; RC_INVAL otherwise. */
NODISCARD enum rc log_level_read(enum log_level *out, const char *text, struct err *err);
void log_write(struct log *log, enum log_level level, const char *event,
               const struct log_field *fields, size_t n);

/* log_event(log, LOG_INFO, "link.up", LOG_NUM("account", a), LOG_UINT("lanes", 32)); */
#define log_event(log, level, event, ...)                                                          \
    do {                                                                                           \
        if (log_on((log), (level))) {                                                              \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                  \
            log_write((log), (level), (event), log_fields_, ARRAY_LEN(log_fields_));               \
        }                                                                                          \
    } while (0)

#endif
