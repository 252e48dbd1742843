/* check.h - the bounds of a payload, the same on the way out and on the way in. Private to
 * src/content/. */
#ifndef PARLEY_CONTENT_CHECK_H
#define PARLEY_CONTENT_CHECK_H

#include "content/content.h"

/* Sizes of ids, texts and lists; every string well-formed UTF-8. Does not look at the version.
 * Errors: RC_MALFORMED, RC_LIMIT. */
NODISCARD enum rc check_payload(const Parley__Content__Payload *payload, struct err *err);

/* What `len` bytes grow to with padding: always at least one byte more. */
size_t pad_size(size_t len);
/* Append 0x80 and zeros behind the `len` bytes at the end of the buffer. */
void pad_append(struct buf *buf, size_t len);
/* The bytes before the padding. RC_MALFORMED where there is no 0x80. */
NODISCARD enum rc pad_strip(struct bytes *out, struct bytes padded, struct err *err);

#endif
