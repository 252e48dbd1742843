/* buf.h - a growing byte buffer with a stated ceiling and a sticky failure.
 *
 * Appending past the ceiling or out of memory sets `failed` and appends nothing more; the writer
 * checks once at the end (buf_failed). Integers go out big-endian unless the name says otherwise.
 * Thread rule: one owner. */
#ifndef PARLEY_BASE_BUF_H
#define PARLEY_BASE_BUF_H

#include "base/attr.h"
#include "base/bytes.h"

struct buf {
    uint8_t *ptr; /* owned; NULL while empty */
    size_t len;
    size_t cap;
    size_t max; /* ceiling in bytes */
    bool failed;
};

/* In-place storage owned by the caller; allocates nothing yet. max_bytes is the ceiling. */
void buf_init(struct buf *buf, size_t max_bytes);
/* Clear the contents in memory and release them. Safe on a zeroed struct. */
void buf_wipe(struct buf *buf);
/* Release without clearing: for what is not secret. Safe on a zeroed struct. */
void buf_free(struct buf *buf);
/* Forget the contents, keep the allocation and the ceiling; clears `failed`. */
void buf_reset(struct buf *buf);

/* Append n bytes of room and return where they start (borrowed until the next append), or NULL. */
uint8_t *buf_extend(struct buf *buf, size_t n);
/* Make sure n more bytes fit without moving; false sets `failed`. */
bool buf_reserve(struct buf *buf, size_t n);
/* Drop n bytes from the front (n <= len). */
void buf_consume(struct buf *buf, size_t n);

void buf_put(struct buf *buf, struct bytes in);
void buf_put_str(struct buf *buf, const char *text);
void buf_put_char(struct buf *buf, char c);
void buf_put_u8(struct buf *buf, uint8_t v);
void buf_put_u16be(struct buf *buf, uint16_t v);
void buf_put_u24be(struct buf *buf, uint32_t v);
void buf_put_u32be(struct buf *buf, uint32_t v);
void buf_put_u64be(struct buf *buf, uint64_t v);
void buf_printf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);

static inline bool
buf_failed(const struct buf *buf)
{
    return buf->failed;
}
static inline struct bytes
buf_bytes(const struct buf *buf) /* borrowed until the next append, reset or free */
{
    return bytes_of(buf->ptr, buf->len);
}
/* The contents as a C string: a NUL is kept behind the last byte, not counted in len. "" if empty
 * or failed. Borrowed until the next append, reset or free. */
const char *buf_cstr(struct buf *buf);

#endif
