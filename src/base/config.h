/* config.h - settings from a table: one row is one setting. Precedence: flag, environment
 * (PARLEY_…), file, default; where each value came from is kept and can be shown.
 *
 * File format: "name = value" lines, '#' comments. Flag --base-port, environment PARLEY_BASE_PORT
 * and file name base_port are the same setting. Thread rule: read-only after config_load. */
#ifndef PARLEY_BASE_CONFIG_H
#define PARLEY_BASE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum config_kind { CONFIG_STR, CONFIG_INT, CONFIG_BOOL /* on|off */, CONFIG_CHOICE, CONFIG_PATH };

struct config_row {
    const char *name; /* "base_port" */
    enum config_kind kind;
    const char *fallback; /* default as text; NULL: none, unset */
    int64_t min, max;     /* CONFIG_INT only */
    const char *choices;  /* CONFIG_CHOICE: "strict|observe|off" */
    const char *help;     /* one line, with unit */
};

enum config_origin { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENV, CONFIG_FLAG, CONFIG_UNSET };

struct config;

/* rows is borrowed for the config's life. argv entries that are not settings of the table are left
 * in order as rest arguments (config_rest). "--flag value" and "--flag=value" both work; a
 * CONFIG_BOOL flag alone means on. `--` ends flags. file may be NULL, or name a file that may be
 * absent when file_required is false. Errors: RC_INVAL with a text that names the setting, the
 * value's origin and what is allowed. */
struct config_source {
    int argc;
    char **argv; /* without the program's name; borrowed for the config's life */
    const char *file;
    bool file_required;
    bool allow_unknown_flags; /* leave unknown --flags in rest instead of failing */
    bool allow_unknown_names; /* skip settings of other programs in the file instead of failing */
};
NODISCARD enum rc config_load(struct config **out, const struct config_row *rows, size_t n_rows,
                              const struct config_source *source, struct err *err);
void config_free(struct config **config);

const char *config_str(const struct config *config, const char *name); /* NULL if unset */
int64_t config_int(const struct config *config, const char *name);
bool config_bool(const struct config *config, const char *name);
enum config_origin config_origin(const struct config *config, const char *name);
/* Arguments that were not settings. */
int config_rest(const struct config *config, char ***argv);
/* "name = value    # origin" a line. Values of rows whose help starts with "secret" are not shown.
 */
void config_show(const struct config *config, FILE *out);
/* The table as help text. */
void config_help(const struct config_row *rows, size_t n_rows, FILE *out);

#endif
