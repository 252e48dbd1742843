/* wamid.h - the Cloud dialect's message id: "wamid." and base64 over a tiny struct with the user's
 * number, the direction and the message id in upper-case hex.
 *
 * Both ends know it: the gateway gives it to the business, the phone prints it and accepts it.
 * Layout: 1C | 18 len digits | 15 02 | 00 | 11 (by the business) or 12 (by the user) | 18 20 key |
 * 00. Source: docs/protocol/content.md, "Public ids". Thread rule: pure. */
#ifndef PARLEY_CONTENT_WAMID_H
#define PARLEY_CONTENT_WAMID_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"

#define WAMID_SIZE 96u /* characters and the final NUL */

struct wamid {
    uint64_t user; /* E.164 digits of the user, whichever way the message went */
    bool is_from_business;
    uint8_t message_id[16];
};

/* Write text and NUL into out (WAMID_SIZE). Returns out. */
char *wamid_write(char *out, const struct wamid *id);
/* RC_MALFORMED for anything that is not exactly such an id. */
NODISCARD enum rc wamid_read(struct wamid *out, struct bytes text, struct err *err);

#endif
