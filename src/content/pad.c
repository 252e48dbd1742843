/* pad.c - padding that hides how long a payload is.
 *
 * 0x80, then zeros, up to the next multiple of 64 bytes, of 256 above 1 KiB: an empty text and a
 * short template look alike to the relay. Stripping accepts any amount of zeros, so that a later
 * version may pad more. Source: docs/protocol/content.md. */
#include "content/check.h"

#define FINE_STEP 64u
#define FINE_UP_TO 1024u
#define COARSE_STEP 256u
#define MARK 0x80u

static size_t
round_up(size_t n, size_t step)
{
    return (n + step - 1) / step * step;
}

size_t
pad_size(size_t len)
{
    size_t fine = round_up(len + 1, FINE_STEP);

    return fine <= FINE_UP_TO ? fine : round_up(len + 1, COARSE_STEP);
}

void
pad_append(struct buf *buf, size_t len)
{
    size_t n = pad_size(len) - len;
    uint8_t *at = buf_extend(buf, n);

    if (at == NULL)
        return;
    memset(at, 0, n);
    at[0] = MARK;
}

enum rc
pad_strip(struct bytes *out, struct bytes padded, struct err *err)
{
    size_t n = padded.len;

    *out = (struct bytes){0};
    while (n > 0 && padded.ptr[n - 1] == 0)
        n--;
    if (n == 0 || padded.ptr[n - 1] != MARK)
        return err_set(err, RC_MALFORMED, "content.pad", "no padding mark");
    *out = bytes_of(padded.ptr, n - 1);
    return RC_OK;
}
