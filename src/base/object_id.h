/* object_id.h - the ids of the platform's objects: businesses, WABAs, numbers, apps, tokens, media.
 *
 * An id is a decimal number of 15 digits, so it is below 2^53 and survives clients that keep it in
 * a double. The two leading digits say what kind of object it names; dispatch of a Graph path
 * therefore needs no look-up. Ids from outside may be anything up to 2^63-1: they parse, and have
 * no kind. Source: docs/protocol/internal.md, section 2. Thread rule: pure. */
#ifndef PARLEY_BASE_OBJECT_ID_H
#define PARLEY_BASE_OBJECT_ID_H

#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/rng.h"

#define OBJECT_ID_DIGITS 15
#define OBJECT_ID_TEXT_SIZE 20 /* the longest id accepted, 19 digits, and the final NUL */

/* The value is the id's two leading digits. Never renumber: ids are stored by others. */
enum object_kind {
    OBJECT_NONE = 0,
    OBJECT_BUSINESS = 10,
    OBJECT_WABA = 11,
    OBJECT_NUMBER = 12,
    OBJECT_APP = 13,
    OBJECT_SYSTEM_USER = 14,
    OBJECT_TEMPLATE = 15,
    OBJECT_MEDIA = 16,
    OBJECT_CATALOG = 17,
    OBJECT_TOKEN = 18,
    OBJECT_FLOW = 19,
    OBJECT_GROUP = 20,
    OBJECT_UPLOAD = 21,
    OBJECT_KIND_END = 22
};

/* A fresh id of the kind: 13 uniform digits behind the two. The caller checks that it is unused. */
uint64_t object_id_make(enum object_kind kind, struct rng rng);
/* What the id names; OBJECT_NONE for ids that this platform does not give out. */
enum object_kind object_id_kind(uint64_t id);
/* Decimal digits, no sign, no leading zero, 1 … 2^63-1. *out is 0 on failure.
 * Errors: RC_MALFORMED. */
NODISCARD enum rc object_id_read(uint64_t *out, struct bytes text, struct err *err);
/* Decimal digits into out (OBJECT_ID_TEXT_SIZE bytes). Returns out. */
char *object_id_write(char *out, uint64_t id);
/* "phone number", for logs and messages. Static string. */
const char *object_kind_name(enum object_kind kind);

#endif
