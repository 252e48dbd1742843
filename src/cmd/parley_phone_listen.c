/* parley_phone_listen.c - `parley phone listen|inbox`: messages as they come, messages as they
 * were.
 *
 * A listener tells the daemon what it has printed, after it is printed: that moves the mark behind
 * which the next one begins. When the daemon goes away in between, it is found (or started) again
 * and goes on behind the last printed message. Source: docs/phone.md, "Listening". */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/parley_phone.h"

#define FOREVER_MS (INT64_C(1) << 50)
#define GOODBYE_MS 3000

static volatile int was_signalled; /* the one thing a handler may touch */

static void
on_signal(int number)
{
    was_signalled = number;
}

static void
watch_signals(void)
{
    const struct sigaction action = {.sa_handler = on_signal}; /* no restart: poll must end */

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

void
phone_cmd_print_message(const struct phone_cmd *cmd, const json_t *message)
{
    const char *direction = json_str(message, "direction"), *text = json_str(message, "text"),
               *type = json_str(message, "type"), *seconds = json_str(message, "timestamp"),
               *status = json_str(message, "status");
    bool is_in = direction != NULL && strcmp(direction, "in") == 0;
    time_t at = seconds == NULL ? 0 : (time_t)strtoll(seconds, NULL, 10);
    char when[32] = "";
    struct tm tm;

    if (cmd->is_json) {
        phone_cmd_print_json(message);
        return;
    }
    if (localtime_r(&at, &tm) != NULL)
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
    printf("%s  %s %-15s  ", when, is_in ? "from" : "to  ",
           json_str(message, is_in ? "from" : "to"));
    if (json_object_get(message, "context") != NULL)
        printf("(reply) ");
    if (text != NULL)
        printf("%s", text);
    else
        printf("[%s]", type == NULL ? "unsupported" : type);
    printf("  (%s)\n", status == NULL ? "" : status);
}

static void
print_event(const struct phone_cmd *cmd, const json_t *event)
{
    if (cmd->is_json)
        phone_cmd_print_json(event);
    else
        printf("%s %s\n", json_str(event, "from"),
               json_truthy(json_object_get(event, "is_typing")) ? "is typing" : "stopped typing");
}

/* ---- inbox ---- */

int
phone_cmd_inbox(struct phone_cmd *cmd)
{
    const char *number = phone_cmd_str(cmd, "number");
    struct err err = {0};
    json_t *line = NULL;
    bool is_over = false;
    enum rc rc;

    phone_cmd_begin(cmd, "inbox");
    if (number != NULL)
        jw_kv_str(&cmd->w, "number", number);
    rc = phone_cmd_send(cmd, &err);
    while (rc == RC_OK && !is_over) {
        const json_t *message;

        rc = phone_client_recv(&line, &cmd->client, phone_client_now_ms() + PHONE_ANSWER_MS, &err);
        if (rc != RC_OK)
            break;
        message = json_object_get(line, "message");
        is_over = message == NULL;
        if (is_over)
            rc = phone_cmd_answer_rc(line, &err);
        else
            phone_cmd_print_message(cmd, message);
        json_decref(line);
    }
    return rc == RC_OK ? CMD_OK : phone_cmd_fail(cmd, rc, err.text);
}

/* ---- listen ---- */

struct listening {
    struct phone_cmd *cmd;
    int64_t until_ms;
    int64_t printed, told; /* ords */
    int64_t n, count;      /* messages printed; how many are wanted, 0: no end */
};

static enum rc
tell_printed(struct listening *l, bool is_end, struct err *err)
{
    if (!is_end && l->printed == l->told)
        return RC_OK;
    phone_cmd_begin(l->cmd, NULL);
    if (l->printed != l->told)
        jw_kv_int(&l->cmd->w, "printed", l->printed);
    if (is_end)
        jw_kv_bool(&l->cmd->w, "end", true);
    l->told = l->printed;
    return phone_cmd_send(l->cmd, err);
}

static enum rc
take_line(struct listening *l, const json_t *line, struct err *err)
{
    const json_t *message = json_object_get(line, "message"),
                 *event = json_object_get(line, "event");
    int64_t ord = json_int(line, "ord", 0);

    if (message == NULL && event == NULL)
        return phone_cmd_answer_rc(line, err);
    if (event != NULL) {
        print_event(l->cmd, event);
    } else if (ord > l->printed) {
        phone_cmd_print_message(l->cmd, message);
        l->printed = ord;
        l->n++;
    }
    if (phone_client_has_line(&l->cmd->client) && (l->count == 0 || l->n < l->count))
        return RC_OK; /* more is here: one word for all of it */
    if (fflush(stdout) != 0)
        return err_set(err, RC_IO, "phone.listen", "the output is closed");
    return tell_printed(l, false, err);
}

static enum rc
listen_begin(struct listening *l, struct err *err)
{
    struct phone_cmd *cmd = l->cmd;

    phone_cmd_begin(cmd, "listen");
    jw_kv_bool(&cmd->w, "read", config_bool(cmd->config, "read"));
    jw_kv_bool(&cmd->w, "events", config_bool(cmd->config, "events"));
    if (l->printed > 0)
        jw_kv_int(&cmd->w, "after", l->printed);
    return phone_cmd_send(cmd, err);
}

/* Lines until the time is over (RC_TIMEOUT), a signal (RC_CLOSED with was_signalled), enough was
 * printed (RC_OK), or the daemon went (RC_CLOSED). */
static enum rc
listen_once(struct listening *l, struct err *err)
{
    enum rc rc = listen_begin(l, err);

    while (rc == RC_OK && (l->count == 0 || l->n < l->count)) {
        json_t *line;

        rc = phone_client_recv(&line, &l->cmd->client, l->until_ms, err);
        if (rc == RC_OK)
            rc = take_line(l, line, err);
        json_decref(line);
    }
    return rc;
}

/* The mark must be safe before another listener may begin. */
static void
say_goodbye(struct listening *l)
{
    int64_t until_ms = phone_client_now_ms() + GOODBYE_MS;
    bool is_over = false;
    json_t *line;

    l->cmd->client.stop = NULL;
    if (tell_printed(l, true, NULL) != RC_OK)
        return;
    while (!is_over && phone_client_recv(&line, &l->cmd->client, until_ms, NULL) == RC_OK) {
        is_over = json_object_get(line, "ok") != NULL;
        json_decref(line);
    }
}

int
phone_cmd_listen(struct phone_cmd *cmd)
{
    int64_t seconds = config_int(cmd->config, "timeout");
    struct listening l = {.cmd = cmd, .count = config_int(cmd->config, "count")};
    struct err err = {0};
    enum rc rc;

    l.until_ms = phone_client_now_ms() + (seconds > 0 ? seconds * 1000 : FOREVER_MS);
    watch_signals();
    cmd->client.stop = &was_signalled;
    for (;;) {
        rc = listen_once(&l, &err);
        if (rc != RC_CLOSED || was_signalled != 0 || phone_client_now_ms() >= l.until_ms)
            break;
        phone_client_close(&cmd->client);
        l.told = l.printed; /* the next conversation begins behind it */
        if ((rc = phone_client_open(&cmd->client, &cmd->home, &err)) != RC_OK)
            break;
    }
    if (rc == RC_OK || rc == RC_TIMEOUT || was_signalled != 0) {
        say_goodbye(&l);
        return l.n > 0 ? CMD_OK : CMD_TIMEOUT;
    }
    return phone_cmd_fail(cmd, rc, err.text);
}
