/* parley_phone_register.c - `parley phone register|reinstall`: a number, its code, fresh keys.
 *
 * The code comes from the flag, from the demo's outbox (DIR/relay/outbox, one JSON object a line,
 * the last one of the number counts), or from whoever sits in front of us. Source: docs/phone.md.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/e164.h"
#include "base/file.h"
#include "cmd/parley_phone.h"

#define OUTBOX_MAX (16u << 20)
#define CODE_SIZE 32u
#define OUTBOX_STEPS 100 /* 10 s for the code to be sent */
#define STEP_MS 100

static bool
take_code(char out[CODE_SIZE], struct bytes line, uint64_t number)
{
    const char *digits, *code;
    uint64_t theirs = 0;
    json_t *entry;
    bool is_ours;

    if (json_read(&entry, line, 65536, NULL) != RC_OK)
        return false;
    digits = json_str(entry, "number");
    code = json_str(entry, "code");
    is_ours = digits != NULL && code != NULL && strlen(code) < CODE_SIZE &&
              e164_read(&theirs, bytes_of_str(digits), NULL) == RC_OK && theirs == number;
    if (is_ours)
        strcpy(out, code);
    json_decref(entry);
    return is_ours;
}

/* The last code for the number behind `from`; *size is where the outbox ends now. */
static bool
outbox_find(char out[CODE_SIZE], const struct phone_cmd *cmd, uint64_t number, size_t from,
            size_t *size, struct err *err)
{
    char path[PHONE_PATH_SIZE];
    struct buf text;
    bool found = false;

    *size = 0;
    snprintf(path, sizeof path, "%s/relay/outbox", cmd->home.dir);
    buf_init(&text, OUTBOX_MAX);
    if (file_read(&text, path, OUTBOX_MAX, err) == RC_OK) {
        *size = text.len;
        for (size_t at = from; at < text.len;) {
            const uint8_t *end = memchr(text.ptr + at, '\n', text.len - at);
            size_t len = end == NULL ? text.len - at : (size_t)(end - text.ptr) - at;

            found = take_code(out, bytes_of(text.ptr + at, len), number) || found;
            at += len + 1;
        }
    }
    buf_wipe(&text);
    return found;
}

static enum rc
code_from_outbox(char out[CODE_SIZE], const struct phone_cmd *cmd, uint64_t number, size_t from,
                 struct err *err)
{
    struct err why = {0};
    size_t size;

    for (int i = 0; i < OUTBOX_STEPS; i++) {
        if (outbox_find(out, cmd, number, from, &size, &why))
            return RC_OK;
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000l}, NULL);
    }
    return err_set(err, RC_NOTFOUND, "phone.code", "no code for this number in the outbox%s%.100s",
                   why.text[0] == '\0' ? "" : ": ", why.text);
}

static enum rc
code_from_person(char out[CODE_SIZE], struct err *err)
{
    size_t len;

    if (isatty(STDIN_FILENO))
        fputs("Code: ", stderr);
    if (fgets(out, CODE_SIZE, stdin) == NULL)
        return err_set(err, RC_INVAL, "phone.code",
                       "a code was sent to the number: run this again with --code CODE");
    len = strcspn(out, " \r\n");
    out[len] = '\0';
    return RC_OK;
}

/* Ask for a code (or only announce that there is one). True: nothing is left to do. */
static enum rc
begin(struct phone_cmd *cmd, bool request_code, bool *is_registered, struct err *err)
{
    const char *number = phone_cmd_str(cmd, "number"), *name = phone_cmd_str(cmd, "name");
    json_t *answer;
    enum rc rc;

    phone_cmd_begin(cmd, cmd->word);
    if (number != NULL)
        jw_kv_str(&cmd->w, "number", number);
    if (name != NULL)
        jw_kv_str(&cmd->w, "name", name);
    jw_kv_bool(&cmd->w, "request_code", request_code);
    rc = phone_cmd_ask(&answer, cmd, err);
    *is_registered = rc == RC_OK && json_truthy(json_object_get(answer, "registered"));
    json_decref(answer);
    return rc;
}

static enum rc
confirm(struct phone_cmd *cmd, const char *code, struct err *err)
{
    const char *pin = phone_cmd_str(cmd, "pin");
    json_t *answer;
    enum rc rc;

    phone_cmd_begin(cmd, "confirm");
    jw_kv_str(&cmd->w, "code", code);
    if (pin != NULL)
        jw_kv_str(&cmd->w, "pin", pin);
    rc = phone_cmd_ask(&answer, cmd, err);
    json_decref(answer);
    return rc;
}

/* The profile's number: given, or known to the daemon. */
static enum rc
number_of(struct phone_cmd *cmd, uint64_t *number, struct err *err)
{
    const char *given = phone_cmd_str(cmd, "number"), *name, *digits;
    json_t *answer, *p;
    size_t i;
    enum rc rc;

    *number = 0;
    if (given != NULL)
        return e164_read(number, bytes_of_str(given), err);
    phone_cmd_begin(cmd, "list");
    if ((rc = phone_cmd_ask(&answer, cmd, err)) != RC_OK)
        return rc;
    json_array_foreach(json_object_get(answer, "profiles"), i, p)
    {
        name = json_str(p, "profile");
        digits = json_str(p, "number");
        if (name != NULL && digits != NULL && strcmp(name, cmd->profile) == 0)
            rc = e164_read(number, bytes_of_str(digits), err);
    }
    json_decref(answer);
    if (*number == 0 && rc == RC_OK)
        rc = err_set(err, RC_NOTFOUND, "phone", "there is no such profile; register it first");
    return rc;
}

static void
tell(const struct phone_cmd *cmd, uint64_t number)
{
    char digits[E164_TEXT_SIZE];
    struct json_writer w;
    struct buf out;

    e164_write(digits, number);
    if (!cmd->is_json) {
        printf("%s is registered as %s\n", digits, cmd->profile);
        return;
    }
    buf_init(&out, 1024);
    jw_init(&w, &out);
    jw_object(&w);
    jw_kv_str(&w, "profile", cmd->profile);
    jw_kv_str(&w, "number", digits);
    jw_kv_str(&w, "state", "registered");
    jw_object_end(&w);
    puts(buf_cstr(&out));
    buf_free(&out);
}

int
phone_cmd_register(struct phone_cmd *cmd)
{
    const char *given = phone_cmd_str(cmd, "code");
    bool is_from_outbox = config_bool(cmd->config, "code_from_outbox"), is_registered = false;
    char code[CODE_SIZE] = "";
    size_t outbox_end = 0;
    struct err err = {0};
    uint64_t number;
    enum rc rc;

    if (strcmp(cmd->word, "register") == 0 && phone_cmd_str(cmd, "number") == NULL)
        return phone_cmd_fail(cmd, RC_INVAL, "--number is needed");
    rc = number_of(cmd, &number, &err);
    if (rc == RC_OK && is_from_outbox)
        (void)outbox_find(code, cmd, number, SIZE_MAX, &outbox_end, NULL);
    if (rc == RC_OK)
        rc = begin(cmd, given == NULL, &is_registered, &err);
    if (rc == RC_OK && !is_registered && given != NULL)
        snprintf(code, sizeof code, "%s", given);
    else if (rc == RC_OK && !is_registered && is_from_outbox)
        rc = code_from_outbox(code, cmd, number, outbox_end, &err);
    else if (rc == RC_OK && !is_registered)
        rc = code_from_person(code, &err);
    if (rc == RC_OK && !is_registered)
        rc = confirm(cmd, code, &err);
    bytes_wipe(code, sizeof code);
    if (rc != RC_OK)
        return phone_cmd_fail(cmd, rc, err.text);
    tell(cmd, number);
    return CMD_OK;
}
