/* parley_cli.h - how commands talk to the running platform: blocking calls over mutual TLS.
 *
 * Reads DIR/etc/parley.conf for addresses and presents DIR/etc/cli.pem; a loop of its own runs
 * while a call waits. Source: docs/protocol/internal.md, section 5. Thread rule: one thread. */
#ifndef PARLEY_CMD_PARLEY_CLI_H
#define PARLEY_CMD_PARLEY_CLI_H

#include "base/config.h"
#include "base/err.h"
#include "base/json.h"
#include "http/http.h"

#define CLI_ANSWER_MAX (8u << 20)
#define CLI_CALL_TIMEOUT_MS 20000u

struct cli;

/* data_dir NULL: as data_dir.h says. RC_NOTFOUND: no platform was ever started there. */
NODISCARD enum rc cli_open(struct cli **out, const char *data_dir, struct err *err);
void cli_free(struct cli **cli);
const char *cli_dir(const struct cli *cli);
/* A setting of parley.conf, NULL if it is not there. */
const char *cli_setting(const struct cli *cli, const char *name);

enum cli_peer { CLI_MANAGER, CLI_CLOUD };
/* One call and its answer; *answer is the caller's (json_decref), NULL on failure. body NULL: none.
 * What the program refuses comes back as an rc with its own words in err. RC_IO: nothing answers.
 */
NODISCARD enum rc cli_ask(json_t **answer, struct cli *cli, enum cli_peer peer,
                          enum http_method method, const char *path, const json_t *body,
                          struct err *err);
/* Print a value: as one line of JSON, or for people. */
void cli_print(const json_t *value, bool as_json);

/* Register a number of the platform with the relay, if it is not yet: ask for a code, take it from
 * the relay's outbox (or as given in code), verify, register. pin NULL: no two-step PIN. RC_AUTH
 * with a text that says what to do when the code has to come from outside. */
NODISCARD enum rc cli_register_number(struct cli *cli, const char *number_id, const char *digits,
                                      const char *code, const char *pin, struct err *err);

#endif
