/* reader.c - the sticky reader under every binary parser of the house. */
#include "base/reader.h"

struct reader
reader_over(struct bytes in)
{
    static const uint8_t nothing[1] = {0};
    const uint8_t *at = in.len == 0 ? nothing : in.ptr; /* never arithmetic on NULL */

    return (struct reader){.at = at, .end = at + in.len};
}

/* Step over n bytes and return where they start, or NULL and the failure that sticks. */
static const uint8_t *
step(struct reader *r, size_t n)
{
    const uint8_t *at = r->at;

    if (r->failed || n > (size_t)(r->end - r->at)) {
        r->failed = true;
        return NULL;
    }
    r->at += n;
    return at;
}

static uint64_t
read_be(struct reader *r, size_t n)
{
    const uint8_t *at = step(r, n);
    uint64_t v = 0;

    for (size_t i = 0; at != NULL && i < n; i++)
        v = v << 8 | at[i];
    return v;
}

uint8_t
reader_u8(struct reader *r)
{
    return (uint8_t)read_be(r, 1);
}

uint16_t
reader_u16be(struct reader *r)
{
    return (uint16_t)read_be(r, 2);
}

uint32_t
reader_u24be(struct reader *r)
{
    return (uint32_t)read_be(r, 3);
}

uint32_t
reader_u32be(struct reader *r)
{
    return (uint32_t)read_be(r, 4);
}

uint64_t
reader_u64be(struct reader *r)
{
    return read_be(r, 8);
}

struct bytes
reader_borrow(struct reader *r, size_t n)
{
    const uint8_t *at = step(r, n);

    return bytes_of(at, at == NULL ? 0 : n);
}

struct bytes
reader_rest(struct reader *r)
{
    return reader_borrow(r, reader_left(r));
}

size_t
reader_left(const struct reader *r)
{
    return r->failed ? 0 : (size_t)(r->end - r->at);
}

bool
reader_finished(const struct reader *r)
{
    return !r->failed && r->at == r->end;
}
