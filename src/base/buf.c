/* buf.c - the growing byte buffer.
 *
 * Owns one allocation of cap + 1 bytes, so that buf_cstr() always has room for its NUL. Memory that
 * is left behind while growing is cleared, because a buffer may hold secrets. */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_CAP 64u

void
buf_init(struct buf *buf, size_t max_bytes)
{
    *buf = (struct buf){.max = max_bytes};
}

void
buf_free(struct buf *buf)
{
    free(buf->ptr);
    *buf = (struct buf){.max = buf->max};
}

void
buf_wipe(struct buf *buf)
{
    bytes_wipe(buf->ptr, buf->cap);
    buf_free(buf);
}

void
buf_reset(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

static bool
grow(struct buf *buf, size_t want)
{
    size_t cap = buf->cap == 0 ? FIRST_CAP : buf->cap;
    uint8_t *fresh;

    while (cap < want)
        cap = cap > buf->max / 2 ? buf->max : cap * 2;
    if (cap > buf->max)
        cap = buf->max;
    if (cap == SIZE_MAX || (fresh = malloc(cap + 1)) == NULL)
        return false;
    if (buf->len > 0)
        memcpy(fresh, buf->ptr, buf->len);
    bytes_wipe(buf->ptr, buf->cap);
    free(buf->ptr);
    buf->ptr = fresh;
    buf->cap = cap;
    return true;
}

bool
buf_reserve(struct buf *buf, size_t n)
{
    if (buf->failed)
        return false;
    /* a ceiling of 0 still owns its NUL: an empty append to it is fine */
    if (n > buf->max - buf->len || (buf->len + n > buf->cap && !grow(buf, buf->len + n)))
        buf->failed = true;
    return !buf->failed;
}

uint8_t *
buf_extend(struct buf *buf, size_t n)
{
    uint8_t *room;

    if (!buf_reserve(buf, n) || (buf->ptr == NULL && !grow(buf, n))) {
        buf->failed = true;
        return NULL;
    }
    room = buf->ptr + buf->len;
    buf->len += n;
    return room;
}

void
buf_consume(struct buf *buf, size_t n)
{
    assert(n <= buf->len);
    if (n == 0)
        return;
    memmove(buf->ptr, buf->ptr + n, buf->len - n);
    buf->len -= n;
}

void
buf_put(struct buf *buf, struct bytes in)
{
    uint8_t *room;

    if (in.len > 0 && (room = buf_extend(buf, in.len)) != NULL)
        memcpy(room, in.ptr, in.len);
}

void
buf_put_str(struct buf *buf, const char *text)
{
    buf_put(buf, bytes_of_str(text));
}

void
buf_put_char(struct buf *buf, char c)
{
    buf_put_u8(buf, (uint8_t)c);
}

/* The low n bytes of v, most significant first. */
static void
put_be(struct buf *buf, uint64_t v, size_t n)
{
    uint8_t *room = buf_extend(buf, n);

    if (room == NULL)
        return;
    for (size_t i = 0; i < n; i++)
        room[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

void
buf_put_u8(struct buf *buf, uint8_t v)
{
    put_be(buf, v, 1);
}

void
buf_put_u16be(struct buf *buf, uint16_t v)
{
    put_be(buf, v, 2);
}

void
buf_put_u24be(struct buf *buf, uint32_t v)
{
    assert(v < 1u << 24);
    put_be(buf, v, 3);
}

void
buf_put_u32be(struct buf *buf, uint32_t v)
{
    put_be(buf, v, 4);
}

void
buf_put_u64be(struct buf *buf, uint64_t v)
{
    put_be(buf, v, 8);
}

void
buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list args, again;
    int n;

    va_start(args, fmt);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, fmt, args);
    /* the final NUL lands on the byte behind cap that every allocation has */
    if (n < 0 || !buf_reserve(buf, (size_t)n))
        buf->failed = true;
    else if (n > 0) {
        vsnprintf((char *)buf->ptr + buf->len, (size_t)n + 1, fmt, again);
        buf->len += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

const char *
buf_cstr(struct buf *buf)
{
    if (buf->failed || buf->len == 0)
        return "";
    buf->ptr[buf->len] = '\0';
    return (const char *)buf->ptr;
}
