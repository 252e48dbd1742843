/* hex.h - hexadecimal and base64 text for bytes. */
#ifndef PARLEY_BASE_HEX_H
#define PARLEY_BASE_HEX_H

#include "base/bytes.h"
#include "base/buf.h"
#include "base/err.h"

/* Append lower-case (or upper-case) hexadecimal. */
void hex_put(struct buf *out, struct bytes in);
void hex_put_upper(struct buf *out, struct bytes in);
/* Decode exactly out_len bytes from 2*out_len characters of either case. RC_MALFORMED otherwise. */
NODISCARD enum rc hex_read(uint8_t *out, size_t out_len, struct bytes text, struct err *err);

/* RFC 4648 base64 with padding; base64url without padding. */
void base64_put(struct buf *out, struct bytes in);
void base64url_put(struct buf *out, struct bytes in);
/* Append the decoded bytes. Standard or url alphabet, padding optional, no white space.
 * RC_MALFORMED on anything else. */
NODISCARD enum rc base64_read(struct buf *out, struct bytes text, struct err *err);

#endif
