/* parley_objects.h - one administration command being run: its flags, its noun, its answer.
 * Internal to cmd/. */
#ifndef PARLEY_CMD_PARLEY_OBJECTS_H
#define PARLEY_CMD_PARLEY_OBJECTS_H

#include "base/config.h"
#include "cmd/parley_cli.h"

struct command {
    struct cli *cli;
    struct config *config;
    const struct noun *noun;
    const char *id; /* behind the verb; NULL */
    json_t *answer; /* what is printed */
};

struct noun {
    const char *name, *plural;
    const char *usage;
    enum rc (*create)(struct command *cmd, struct err *err);
    bool lists_by_business;
};

/* A flag's value or NULL. */
const char *command_flag(const struct command *cmd, const char *name);
/* RC_INVAL with a text that names the flag when it is missing. */
NODISCARD enum rc command_need(const struct command *cmd, const char *name, struct err *err);
/* Get /internal/v1/PLURAL/ID into cmd->answer. query: "" or "?…". */
NODISCARD enum rc command_show(struct command *cmd, const char *plural, const char *id,
                               const char *query, struct err *err);

/* What `create` does for each noun (parley_create.c): cmd->answer is what was made. */
NODISCARD enum rc create_business(struct command *cmd, struct err *err);
NODISCARD enum rc create_waba(struct command *cmd, struct err *err);
NODISCARD enum rc create_number(struct command *cmd, struct err *err);
NODISCARD enum rc create_app(struct command *cmd, struct err *err);
NODISCARD enum rc create_token(struct command *cmd, struct err *err);

#endif
