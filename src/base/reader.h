/* reader.h - read fields from a run of bytes; the first failure sticks.
 *
 * After a failure every read gives zero or an empty run, so a parser reads all its fields and asks
 * reader_finished() once: that covers "too short" and "left over". Borrowed runs point into the
 * input. */
#ifndef PARLEY_BASE_READER_H
#define PARLEY_BASE_READER_H

#include "base/bytes.h"

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

struct reader reader_over(struct bytes in);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16be(struct reader *r);
uint32_t reader_u24be(struct reader *r);
uint32_t reader_u32be(struct reader *r);
uint64_t reader_u64be(struct reader *r);
/* Next n bytes, borrowed from the input; an empty run and a failure if fewer are left. */
struct bytes reader_borrow(struct reader *r, size_t n);
/* Everything that is left, borrowed from the input; may be empty. */
struct bytes reader_rest(struct reader *r);
size_t reader_left(const struct reader *r);
/* True when nothing failed and nothing is left. */
bool reader_finished(const struct reader *r);

#endif
