/* code_sender.h - how a verification code leaves the relay: the operator's command, or the outbox.
 *
 * The command is run by /bin/sh and reads one line of JSON on its standard input; without a command
 * the same line is appended to DIR/relay/outbox (0600). Codes are never logged.
 * Thread rule: the loop given; fn is called there once, never from inside.
 * Source: docs/protocol/registration.md, "The code". */
#ifndef PARLEY_RELAY_CODE_SENDER_H
#define PARLEY_RELAY_CODE_SENDER_H

#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"

#define CODE_DIGITS 6
#define CODE_COMMAND_MS 10000u /* a command that takes longer is killed */

struct code_message {
    const char *command;  /* NULL: the outbox; borrowed until fn */
    const char *data_dir; /* borrowed until fn */
    uint64_t number;
    char code[CODE_DIGITS + 1];
    char method[9], language[17];
    int64_t at_ms;
};

/* message is copied. Errors (fn is not called): RC_NOMEM, RC_IO. */
NODISCARD enum rc code_send(struct loop *loop, const struct code_message *message,
                            void (*fn)(void *ctx, enum rc rc), void *ctx, struct err *err);

#endif
