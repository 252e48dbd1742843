/* bytes.c - comparing secrets, checking UTF-8 (RFC 3629), wiping. */
#include "base/bytes.h"

bool
bytes_equal_secret(struct bytes a, struct bytes b)
{
    volatile uint8_t difference = 0;

    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        difference = (uint8_t)(difference | (a.ptr[i] ^ b.ptr[i]));
    return difference == 0;
}

/* Length of the well-formed sequence at p (RFC 3629, section 4), 0 if there is none. */
static size_t
sequence_len(const uint8_t *p, size_t left)
{
    size_t n;
    uint8_t low = 0x80, high = 0xbf; /* allowed range of the second byte */

    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        n = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        n = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        n = 4;
    else
        return 0; /* a stray tail byte, an overlong start, or beyond U+10FFFF */
    if (left < n)
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0; /* shorter forms exist */
    else if (p[0] == 0xed)
        high = 0x9f; /* surrogates */
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return n;
}

bool
bytes_is_utf8(struct bytes in)
{
    for (size_t at = 0; at < in.len;) {
        size_t n = sequence_len(in.ptr + at, in.len - at);

        if (n == 0)
            return false;
        at += n;
    }
    return true;
}

size_t
bytes_utf8_count(struct bytes in)
{
    size_t count = 0;

    for (size_t i = 0; i < in.len; i++)
        count += (in.ptr[i] & 0xc0) != 0x80; /* every byte that is not a tail starts one */
    return count;
}

void
bytes_wipe(void *ptr, size_t len)
{
    if (len > 0)
        explicit_bzero(ptr, len);
}
