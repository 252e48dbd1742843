/* config.c - settings from a table: reading them from flags, environment and file, and checking
 * them against their rows.
 *
 * Owns copies of all values. Refuses what it does not know, naming the setting and where the value
 * came from; the value itself is not repeated, since it may be a secret. */
#include "base/config.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/file.h"

#define FILE_MAX_BYTES (64u * 1024)
#define NAME_MAX_BYTES 64u

struct value {
    char *text; /* owned; NULL: unset */
    int64_t number;
    enum config_origin origin;
};

struct config {
    const struct config_row *rows;
    size_t n_rows;
    struct value *values; /* one a row */
    char **rest;          /* the array is owned, the words are borrowed from argv */
    int n_rest;
};

static const char *const origin_names[] = {
    [CONFIG_DEFAULT] = "default", [CONFIG_FILE] = "file",   [CONFIG_ENV] = "environment",
    [CONFIG_FLAG] = "flag",       [CONFIG_UNSET] = "unset",
};

static const struct config_row *
row_of(const struct config *config, struct bytes name)
{
    for (size_t i = 0; i < config->n_rows; i++) {
        if (bytes_equal(bytes_of_str(config->rows[i].name), name))
            return &config->rows[i];
    }
    return NULL;
}

static struct value *
value_of(const struct config *config, const struct config_row *row)
{
    return &config->values[row - config->rows];
}

static const struct value *
value_named(const struct config *config, const char *name)
{
    const struct config_row *row = row_of(config, bytes_of_str(name));

    assert(row != NULL); /* asking for a setting that is in no table is a bug */
    return value_of(config, row);
}

/* True if text is one of the words of "a|b|c". */
static bool
is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);

    if (strchr(text, '|') != NULL)
        return false;
    for (const char *at = choices; at != NULL; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL) {
        if (strncmp(at, text, len) == 0 && (at[len] == '|' || at[len] == '\0') && len > 0)
            return true;
    }
    return false;
}

static bool
parse_int(int64_t *out, const char *text)
{
    char *end;
    long long v;

    errno = 0;
    v = strtoll(text, &end, 10);
    *out = v;
    return errno == 0 && end != text && *end == '\0' && !isspace((unsigned char)text[0]);
}

/* Check text against its row; *number gets what it means. */
static enum rc
check(int64_t *number, const struct config_row *row, const char *text, enum config_origin origin,
      struct err *err)
{
    const char *from = origin_names[origin];

    *number = 0;
    switch (row->kind) {
    case CONFIG_INT:
        if (!parse_int(number, text) || *number < row->min || *number > row->max)
            return err_set(err, RC_INVAL, "config",
                           "%s (%s): a whole number from %" PRId64 " to %" PRId64 " is wanted",
                           row->name, from, row->min, row->max);
        return RC_OK;
    case CONFIG_BOOL:
        *number = strcmp(text, "on") == 0;
        if (*number == 0 && strcmp(text, "off") != 0)
            return err_set(err, RC_INVAL, "config", "%s (%s): on or off is wanted", row->name,
                           from);
        return RC_OK;
    case CONFIG_CHOICE:
        if (!is_choice(row->choices, text))
            return err_set(err, RC_INVAL, "config", "%s (%s): one of %s is wanted", row->name, from,
                           row->choices);
        return RC_OK;
    case CONFIG_PATH:
        if (*text == '\0')
            return err_set(err, RC_INVAL, "config", "%s (%s): a path is wanted", row->name, from);
        return RC_OK;
    case CONFIG_STR:
        return RC_OK;
    }
    return RC_OK;
}

/* Later calls win: origins are read from the weakest to the strongest. */
static enum rc
set_value(struct config *config, const struct config_row *row, struct bytes in,
          enum config_origin origin, struct err *err)
{
    struct value *value = value_of(config, row);
    char *text;
    enum rc rc;

    if (in.len > 0 && memchr(in.ptr, '\0', in.len) != NULL)
        return err_set(err, RC_INVAL, "config", "%s (%s): holds a NUL", row->name,
                       origin_names[origin]);
    if ((text = strndup(in.len == 0 ? "" : (const char *)in.ptr, in.len)) == NULL)
        return err_set(err, RC_NOMEM, "config", "out of memory");
    if ((rc = check(&value->number, row, text, origin, err)) != RC_OK) {
        free(text);
        return rc;
    }
    free(value->text);
    value->text = text;
    value->origin = origin;
    return RC_OK;
}

static enum rc
read_defaults(struct config *config, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < config->n_rows; i++) {
        const struct config_row *row = &config->rows[i];

        if (row->fallback != NULL)
            rc = set_value(config, row, bytes_of_str(row->fallback), CONFIG_DEFAULT, err);
        else
            config->values[i].origin = CONFIG_UNSET;
    }
    return rc;
}

static struct bytes
trim(struct bytes in)
{
    while (in.len > 0 && isspace(in.ptr[0]))
        in = bytes_of(in.ptr + 1, in.len - 1);
    while (in.len > 0 && isspace(in.ptr[in.len - 1]))
        in.len--;
    return in;
}

/* A value up to a comment ('#' after a blank), or whatever stands between two double quotes. */
static struct bytes
value_part(struct bytes in)
{
    in = trim(in);
    if (in.len >= 2 && in.ptr[0] == '"') {
        const uint8_t *end = memchr(in.ptr + 1, '"', in.len - 1);

        if (end != NULL)
            return bytes_of(in.ptr + 1, (size_t)(end - in.ptr - 1));
    }
    for (size_t i = 0; i < in.len; i++) {
        if (in.ptr[i] == '#' && (i == 0 || isspace(in.ptr[i - 1])))
            return trim(bytes_of(in.ptr, i));
    }
    return in;
}

static enum rc
read_line(struct config *config, const struct config_source *source, struct bytes line,
          unsigned line_no, struct err *err)
{
    const struct config_row *row;
    const uint8_t *equals;

    line = trim(line);
    if (line.len == 0 || line.ptr[0] == '#')
        return RC_OK;
    if ((equals = memchr(line.ptr, '=', line.len)) == NULL)
        return err_set(err, RC_INVAL, "config", "file, line %u: \"name = value\" is wanted",
                       line_no);
    row = row_of(config, trim(bytes_of(line.ptr, (size_t)(equals - line.ptr))));
    if (row == NULL && source->allow_unknown_names)
        return RC_OK;
    if (row == NULL)
        return err_set(err, RC_INVAL, "config", "file, line %u: no such setting", line_no);
    if (value_of(config, row)->origin == CONFIG_FILE)
        return err_set(err, RC_INVAL, "config", "%s (file): set again on line %u", row->name,
                       line_no);
    line = bytes_of(equals + 1, line.len - (size_t)(equals + 1 - line.ptr));
    return set_value(config, row, value_part(line), CONFIG_FILE, err);
}

static enum rc
read_file(struct config *config, const struct config_source *source, struct err *err)
{
    struct buf text;
    unsigned line_no = 0;
    enum rc rc;

    if (source->file == NULL)
        return RC_OK;
    buf_init(&text, FILE_MAX_BYTES);
    rc = file_read(&text, source->file, FILE_MAX_BYTES, err);
    if (rc == RC_NOTFOUND && !source->file_required)
        rc = RC_OK;
    for (size_t at = 0; rc == RC_OK && at < text.len;) {
        const uint8_t *line = text.ptr + at;
        const uint8_t *end = memchr(line, '\n', text.len - at);
        size_t len = end == NULL ? text.len - at : (size_t)(end - line);

        rc = read_line(config, source, bytes_of(line, len), ++line_no, err);
        at += len + 1;
    }
    buf_wipe(&text);
    return rc;
}

static enum rc
read_environment(struct config *config, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < config->n_rows; i++) {
        const struct config_row *row = &config->rows[i];
        char name[NAME_MAX_BYTES];
        const char *text;

        snprintf(name, sizeof(name), "PARLEY_%s", row->name);
        for (char *c = name; *c != '\0'; c++)
            *c = (char)toupper((unsigned char)*c);
        if ((text = getenv(name)) != NULL)
            rc = set_value(config, row, bytes_of_str(text), CONFIG_ENV, err);
    }
    return rc;
}

/* The row that "--base-port" or "--base-port=…" names, or NULL. */
static const struct config_row *
row_of_flag(const struct config *config, const char *arg)
{
    size_t len = strcspn(arg, "=") - 2;
    char name[NAME_MAX_BYTES];

    if (len >= sizeof(name))
        return NULL;
    for (size_t i = 0; i < len; i++) {
        if (arg[2 + i] == '_')
            return NULL; /* one spelling for flags */
        name[i] = arg[2 + i] == '-' ? '_' : arg[2 + i];
    }
    return row_of(config, bytes_of(name, len));
}

static bool
is_switch_word(const char *arg)
{
    return arg != NULL && (strcmp(arg, "on") == 0 || strcmp(arg, "off") == 0);
}

/* Read the flag at argv[*at]; *at moves on to its value where that is a word of its own. */
static enum rc
read_flag(struct config *config, const struct config_row *row, const struct config_source *source,
          int *at, struct err *err)
{
    const char *equals = strchr(source->argv[*at], '=');
    const char *next = *at + 1 < source->argc ? source->argv[*at + 1] : NULL;
    const char *text;

    if (equals != NULL) {
        text = equals + 1;
    } else if (row->kind == CONFIG_BOOL && !is_switch_word(next)) {
        text = "on";
    } else if (next != NULL) {
        text = next;
        ++*at;
    } else {
        return err_set(err, RC_INVAL, "config", "%s (flag): a value is wanted", row->name);
    }
    return set_value(config, row, bytes_of_str(text), CONFIG_FLAG, err);
}

static enum rc
read_flags(struct config *config, const struct config_source *source, struct err *err)
{
    bool in_flags = true;

    for (int i = 0; i < source->argc; i++) {
        char *arg = source->argv[i];
        const struct config_row *row = NULL;
        enum rc rc;

        if (in_flags && strcmp(arg, "--") == 0) {
            in_flags = false;
            if (!source->allow_unknown_flags)
                continue; /* otherwise the next reader of the rest needs to see it */
        } else if (in_flags && strncmp(arg, "--", 2) == 0) {
            row = row_of_flag(config, arg);
            if (row == NULL && !source->allow_unknown_flags)
                return err_set(err, RC_INVAL, "config", "no such flag: %.*s",
                               (int)strcspn(arg, "="), arg);
        }
        if (row == NULL)
            config->rest[config->n_rest++] = arg;
        else if ((rc = read_flag(config, row, source, &i, err)) != RC_OK)
            return rc;
    }
    return RC_OK;
}

enum rc
config_load(struct config **out, const struct config_row *rows, size_t n_rows,
            const struct config_source *source, struct err *err)
{
    struct config *config = calloc(1, sizeof(*config));
    enum rc rc;

    *out = NULL;
    if (config == NULL)
        return err_set(err, RC_NOMEM, "config", "out of memory");
    config->rows = rows;
    config->n_rows = n_rows;
    config->values = calloc(n_rows + 1, sizeof(*config->values));
    config->rest = calloc((size_t)source->argc + 1, sizeof(*config->rest));
    if (config->values == NULL || config->rest == NULL)
        rc = err_set(err, RC_NOMEM, "config", "out of memory");
    else if ((rc = read_defaults(config, err)) == RC_OK &&
             (rc = read_file(config, source, err)) == RC_OK &&
             (rc = read_environment(config, err)) == RC_OK)
        rc = read_flags(config, source, err);
    if (rc != RC_OK)
        config_free(&config);
    *out = config;
    return rc;
}

void
config_free(struct config **config)
{
    struct config *c = *config;

    if (c == NULL)
        return;
    for (size_t i = 0; c->values != NULL && i < c->n_rows; i++) {
        if (c->values[i].text != NULL)
            bytes_wipe(c->values[i].text, strlen(c->values[i].text));
        free(c->values[i].text);
    }
    free(c->values);
    free(c->rest);
    free(c);
    *config = NULL;
}

const char *
config_str(const struct config *config, const char *name)
{
    return value_named(config, name)->text;
}

int64_t
config_int(const struct config *config, const char *name)
{
    return value_named(config, name)->number;
}

bool
config_bool(const struct config *config, const char *name)
{
    return value_named(config, name)->number != 0;
}

enum config_origin
config_origin(const struct config *config, const char *name)
{
    return value_named(config, name)->origin;
}

int
config_rest(const struct config *config, char ***argv)
{
    *argv = config->rest;
    return config->n_rest;
}

static bool
is_secret(const struct config_row *row)
{
    return strncmp(row->help, "secret", 6) == 0;
}

void
config_show(const struct config *config, FILE *out)
{
    for (size_t i = 0; i < config->n_rows; i++) {
        const struct config_row *row = &config->rows[i];
        const struct value *value = &config->values[i];
        const char *text = value->text == NULL ? "" : is_secret(row) ? "(not shown)" : value->text;

        fprintf(out, "%s = %s    # %s\n", row->name, text, origin_names[value->origin]);
    }
}

static void
print_flag(const struct config_row *row, FILE *out)
{
    static const char *const wants[] = {
        [CONFIG_STR] = " TEXT", [CONFIG_INT] = " N",     [CONFIG_BOOL] = " [on|off]",
        [CONFIG_CHOICE] = " ",  [CONFIG_PATH] = " PATH",
    };
    char flag[NAME_MAX_BYTES];

    snprintf(flag, sizeof(flag), "%s", row->name);
    for (char *c = flag; *c != '\0'; c++)
        *c = *c == '_' ? '-' : *c;
    fprintf(out, "  --%s%s%s\n", flag, wants[row->kind],
            row->kind == CONFIG_CHOICE ? row->choices : "");
}

void
config_help(const struct config_row *rows, size_t n_rows, FILE *out)
{
    for (size_t i = 0; i < n_rows; i++) {
        print_flag(&rows[i], out);
        fprintf(out, "        %s", rows[i].help);
        if (rows[i].fallback != NULL && *rows[i].fallback != '\0' && !is_secret(&rows[i]))
            fprintf(out, " (default %s)", rows[i].fallback);
        fputc('\n', out);
    }
}
