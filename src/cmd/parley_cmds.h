/* parley_cmds.h - the commands of `parley` and their exit codes; the dispatcher is parley.c.
 *
 * Each function takes the arguments behind the command's name and returns the program's exit code.
 * Data goes to standard output, everything else to standard error.
 * Source: docs/operating.md, "Administration". */
#ifndef PARLEY_CMD_PARLEY_CMDS_H
#define PARLEY_CMD_PARLEY_CMDS_H

#include "base/err.h"

enum cmd_exit {
    CMD_OK = 0,
    CMD_FAILED = 1,
    CMD_USAGE = 2,
    CMD_NOTFOUND = 3,
    CMD_DENIED = 4,
    CMD_TIMEOUT = 5,
    CMD_REFUSED = 6, /* by policy or a limit */
};
/* The exit code that says what an rc means to a script. */
int cmd_exit_of(enum rc rc);

int parley_cmd_business(int argc, char **argv);
int parley_cmd_waba(int argc, char **argv);
int parley_cmd_number(int argc, char **argv);
int parley_cmd_app(int argc, char **argv);
int parley_cmd_token(int argc, char **argv);

#endif
