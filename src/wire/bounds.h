/* bounds.h - what each field of wire.proto may hold, beyond what the schema language can say.
 *
 * One table: sizes of ids, keys and signatures, lengths of texts, counts, ranges of numbers.
 * Private to src/wire and its tests. Source: docs/protocol/wire.md. Thread rule: pure. */
#ifndef PARLEY_WIRE_BOUNDS_H
#define PARLEY_WIRE_BOUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/attr.h"
#include "base/err.h"

/* min and max count bytes (bytes, strings), elements (repeated) or values (numbers, enums); a
 * submessage has 1..1 where it must be there. */
struct wire_bound {
    size_t offset; /* of the field in its struct; unique within a message */
    uint64_t min, max;
    bool may_be_empty; /* length 0 is legal below min as well */
};
struct wire_bounds {
    const ProtobufCMessageDescriptor *message;
    const struct wire_bound *rows;
    size_t n;
};

/* The table, for tests that walk it. */
extern const struct wire_bounds wire_bounds_table[];
extern const size_t wire_bounds_count;

/* Check a message and all it contains, however deep: the table, UTF-8 of every string, and the few
 * rules that span fields. RC_MALFORMED. */
NODISCARD enum rc wire_bounds_check(const ProtobufCMessage *message, struct err *err);

#endif
