/* parley_phone.h - what the files of `parley phone …` share. Internal to cmd/. */
#ifndef PARLEY_CMD_PARLEY_PHONE_H
#define PARLEY_CMD_PARLEY_PHONE_H

#include "base/config.h"
#include "cmd/parley_cmds.h"
#include "cmd/parley_phone_client.h"

#define PHONE_ANSWER_MS 30000

/* One command under way. */
struct phone_cmd {
    const char *word; /* "send" */
    struct config *config;
    struct phone_home home;
    const char *profile; /* NULL: none named */
    bool is_json;
    struct phone_client client;
    /* the request or line under construction */
    struct buf line;
    struct json_writer w;
};

const char *phone_cmd_str(const struct phone_cmd *cmd, const char *setting); /* NULL if unset */
/* Say what went wrong; the exit code that goes with it. */
int phone_cmd_fail(const struct phone_cmd *cmd, enum rc rc, const char *text);
/* {"verb":…,"profile":…: more members may follow, then phone_cmd_send. */
void phone_cmd_begin(struct phone_cmd *cmd, const char *verb);
NODISCARD enum rc phone_cmd_send(struct phone_cmd *cmd, struct err *err);
/* Send it and wait for the one answer (the caller's, json_decref); refusals become an rc. */
NODISCARD enum rc phone_cmd_ask(json_t **answer, struct phone_cmd *cmd, struct err *err);
/* rc and text of an answer line. */
enum rc phone_cmd_answer_rc(const json_t *answer, struct err *err);
/* One JSON object, or nothing where it is for people. */
void phone_cmd_print_json(const json_t *value);

int phone_cmd_register(struct phone_cmd *cmd); /* register and reinstall */
int phone_cmd_listen(struct phone_cmd *cmd);
int phone_cmd_inbox(struct phone_cmd *cmd);
void phone_cmd_print_message(const struct phone_cmd *cmd, const json_t *message);

#endif
