/* commands.h - the words of `parley WORD …`: one function each, exit code returned.
 *
 * Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 not allowed, 5 timed out, 6 refused by
 * policy. */
#ifndef PARLEY_CMD_COMMANDS_H
#define PARLEY_CMD_COMMANDS_H

/* argv starts behind the word. */
int parley_cmd_up(int argc, char **argv);
int parley_cmd_ready(int argc, char **argv);
int parley_cmd_stop(int argc, char **argv);
int parley_cmd_clock(int argc, char **argv);
int parley_cmd_demo_provision(int argc, char **argv);
int parley_cmd_phone(int argc, char **argv);

#endif
