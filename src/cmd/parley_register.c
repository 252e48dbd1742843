/* parley_register.c - registering a business number from the command line.
 *
 * The same road that a phone takes: the relay sends a code, in the demo into its outbox file, and
 * the code proves the number. The outbox is read from where it ended before the request, so an old
 * code is never taken. Source: docs/protocol/internal.md, sections 4 and 5. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "cmd/parley_cli.h"

#define OUTBOX_MAX (16u << 20)
#define STEP_MS 100u    /* between two looks */
#define KNOWN_STEPS 50u /* 5 s for the number to reach the Cloud */
#define CODE_STEPS 100u /* 10 s for the code to be sent */

static void
pause_step(void)
{
    nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000l}, NULL);
}

static enum rc
ask_number(struct cli *cli, const char *id, const char *verb, const json_t *body, struct err *err)
{
    char path[256];
    json_t *answer;
    enum rc rc;

    snprintf(path, sizeof(path), "/internal/v1/numbers/%s/%s", id, verb);
    rc = cli_ask(&answer, cli, CLI_CLOUD, HTTP_POST, path, body, err);
    json_decref(answer);
    return rc;
}

/* The line's code if the line is for this number. */
static bool
take_code(char out[32], struct bytes line, const char *digits)
{
    json_t *entry, *number;
    const char *code;
    char text[32] = "";
    bool is_ours;

    if (json_read(&entry, line, 65536, NULL) != RC_OK)
        return false;
    number = json_object_get(entry, "number");
    code = json_str(entry, "code");
    if (json_is_integer(number))
        snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(number));
    else if (json_is_string(number))
        snprintf(text, sizeof(text), "%s", json_string_value(number));
    is_ours = strcmp(text[0] == '+' ? text + 1 : text, digits) == 0 && code != NULL;
    if (is_ours)
        snprintf(out, 32, "%s", code);
    json_decref(entry);
    return is_ours;
}

static size_t
outbox_size(const char *path)
{
    struct buf text;
    size_t size;

    buf_init(&text, OUTBOX_MAX);
    size = file_read(&text, path, OUTBOX_MAX, NULL) == RC_OK ? text.len : 0;
    buf_wipe(&text);
    return size;
}

/* The last code for the number behind `from`. */
static bool
find_code(char out[32], const char *path, size_t from, const char *digits)
{
    struct buf text;
    bool found = false;

    buf_init(&text, OUTBOX_MAX);
    if (file_read(&text, path, OUTBOX_MAX, NULL) == RC_OK) {
        while (from < text.len) {
            const uint8_t *at = text.ptr + from;
            const uint8_t *end = memchr(at, '\n', text.len - from);

            if (end == NULL)
                break; /* being written */
            found |= take_code(out, bytes_of(at, (size_t)(end - at)), digits);
            from += (size_t)(end - at) + 1;
        }
    }
    buf_wipe(&text);
    return found;
}

static enum rc
request_code(struct cli *cli, const char *id, struct err *err)
{
    enum rc rc = RC_NOTFOUND;

    /* not known there yet, or known and its lease not taken yet */
    for (unsigned i = 0; i < KNOWN_STEPS && (rc == RC_NOTFOUND || rc == RC_BUSY); i++) {
        if (i > 0)
            pause_step();
        rc = ask_number(cli, id, "request_code", NULL, err);
    }
    return rc;
}

static enum rc
code_from_outbox(char out[32], struct cli *cli, const char *id, const char *digits, struct err *err)
{
    char path[2100];
    size_t from;
    enum rc rc;

    snprintf(path, sizeof(path), "%s/relay/outbox", cli_dir(cli));
    from = outbox_size(path);
    if ((rc = request_code(cli, id, err)) != RC_OK)
        return rc;
    if (access(path, R_OK) != 0)
        return err_set(err, RC_AUTH, "register",
                       "a code was sent to the number: run the command again with --code CODE");
    for (unsigned i = 0; i < CODE_STEPS; i++) {
        if (find_code(out, path, from, digits))
            return RC_OK;
        pause_step();
    }
    return err_set(err, RC_TIMEOUT, "register", "no code arrived in the relay's outbox");
}

enum rc
cli_register_number(struct cli *cli, const char *number_id, const char *digits, const char *code,
                    const char *pin, struct err *err)
{
    json_t *body = NULL;
    char from_outbox[32];
    enum rc rc;

    if (code == NULL) {
        if ((rc = code_from_outbox(from_outbox, cli, number_id, digits, err)) != RC_OK)
            return rc;
        code = from_outbox;
    }
    if ((body = json_pack("{s:s}", "code", code)) == NULL)
        return err_set(err, RC_INVAL, "register", "the code is not text");
    rc = ask_number(cli, number_id, "verify_code", body, err);
    json_decref(body);
    if (rc != RC_OK)
        return rc;
    body = pin == NULL ? json_object() : json_pack("{s:s}", "pin", pin);
    rc = ask_number(cli, number_id, "register", body, err);
    json_decref(body);
    return rc;
}
