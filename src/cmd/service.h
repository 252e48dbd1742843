/* service.h - what every serving program does the same way: settings, log, lock down, loop,
 * signals, administration socket. A program fills a struct service_program and calls service_main.
 */
#ifndef PARLEY_CMD_SERVICE_H
#define PARLEY_CMD_SERVICE_H

#include "base/admin.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/process.h"

struct service;

struct service_program {
    const char *name;                  /* "parley-cloud" */
    const char *log_name;              /* "cloud" */
    const char *about;                 /* one line for --help */
    const struct config_row *settings; /* must hold the rows of SERVICE_SETTINGS */
    size_t n_settings;
    struct process_user user;
    void *state; /* the program's own, at service->state from the beginning; or NULL */
    /* Before root is given up: read what only root can read. May be NULL. */
    enum rc (*prepare)(struct service *service, struct err *err);
    /* Open everything; service_ready() is called now or later. */
    enum rc (*start)(struct service *service, struct err *err);
    /* Close everything, then call service_end(). */
    void (*stop)(struct service *service);
    const struct admin_row *admin_rows; /* beside "show config" and "stop"; ctx: *state */
    size_t n_admin_rows;
    /* Test clock moved: do what is due, then service_due_done(). May be NULL. */
    void (*run_due)(struct service *service);
};

struct service {
    const struct service_program *program;
    struct config *config;
    struct log *log;
    struct loop *loop;
    struct clock *clock;
    void *state; /* the program's own */
    int status;  /* exit code */
    /* service.c's own */
    struct admin *admin;
    struct admin_call *clock_call;
    uv_signal_t signals[2];
    bool is_stopping;
};

#define SERVICE_SETTINGS                                                                             \
    {"config", CONFIG_PATH, NULL, 0, 0, NULL, "configuration file"},                                 \
        {"data_dir", CONFIG_PATH, NULL, 0, 0, NULL, "folder of our own"},                            \
        {"test_clock", CONFIG_BOOL, "off", 0, 0, NULL, "allow the clock to be shifted"},             \
        {"log_level", CONFIG_CHOICE, "info", 0, 0, "error|warn|info|debug|trace", "what is logged"}, \
        {"log_format", CONFIG_CHOICE, "text", 0, 0, "text|json", "how it is logged"},                \
        {"log_file", CONFIG_PATH, NULL, 0, 0, NULL, "file that logs are also written to"},           \
    {                                                                                                \
        "keep_dumpable", CONFIG_BOOL, "off", 0, 0, NULL, "let a debugger or strace attach"           \
    }

int service_main(const struct service_program *program, int argc, char **argv);
/* Say that we serve. listen: "HOST:PORT". */
void service_ready(struct service *service, const char *listen);
/* Ask for the orderly end (signal, admin, failure with status). On the loop. */
void service_stop(struct service *service, int status);
/* The program has closed everything. */
void service_end(struct service *service);
void service_due_done(struct service *service);

/* "HOST:PORT" or "[V6]:PORT" cut apart into host (size bytes). RC_INVAL names the setting. */
NODISCARD enum rc service_listen_read(char *host, size_t size, uint16_t *port, const char *setting,
                                      const char *text, struct err *err);
/* base64 of exactly 32 bytes. */
NODISCARD enum rc service_key_read(uint8_t out[32], const char *setting, const char *text,
                                   struct err *err);

#endif
