/* hex.c - hexadecimal and base64 (RFC 4648) in both directions.
 *
 * Decoding is strict: no white space, no stray padding, no bits that an encoder would have left
 * zero, so that one run of bytes has one text in each alphabet. */
#include "base/hex.h"

static const char lower_digits[] = "0123456789abcdef";
static const char upper_digits[] = "0123456789ABCDEF";
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void
put_hex(struct buf *out, struct bytes in, const char *digits)
{
    uint8_t *room = in.len > SIZE_MAX / 2 ? NULL : buf_extend(out, in.len * 2);

    for (size_t i = 0; room != NULL && i < in.len; i++) {
        room[2 * i] = (uint8_t)digits[in.ptr[i] >> 4];
        room[2 * i + 1] = (uint8_t)digits[in.ptr[i] & 15];
    }
}

void
hex_put(struct buf *out, struct bytes in)
{
    put_hex(out, in, lower_digits);
}

void
hex_put_upper(struct buf *out, struct bytes in)
{
    put_hex(out, in, upper_digits);
}

/* Value of one digit, -1 if it is none. */
static int
hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum rc
hex_read(uint8_t *out, size_t out_len, struct bytes text, struct err *err)
{
    if (text.len / 2 != out_len || text.len % 2 != 0)
        return err_set(err, RC_MALFORMED, "hex.read", "%zu characters, %zu bytes wanted", text.len,
                       out_len);
    for (size_t i = 0; i < out_len; i++) {
        int high = hex_value(text.ptr[2 * i]), low = hex_value(text.ptr[2 * i + 1]);

        if (high < 0 || low < 0)
            return err_set(err, RC_MALFORMED, "hex.read", "not a hexadecimal digit near %zu",
                           2 * i);
        out[i] = (uint8_t)(high << 4 | low);
    }
    return RC_OK;
}

static void
put_base64(struct buf *out, struct bytes in, const char *digits, bool padded)
{
    for (size_t i = 0; i < in.len && !buf_failed(out); i += 3) {
        size_t n = in.len - i < 3 ? in.len - i : 3;
        uint32_t v = (uint32_t)in.ptr[i] << 16;
        char group[4];

        if (n > 1)
            v |= (uint32_t)in.ptr[i + 1] << 8;
        if (n > 2)
            v |= in.ptr[i + 2];
        for (unsigned k = 0; k < 4; k++)
            group[k] = k > n ? '=' : digits[v >> (18 - 6 * k) & 63];
        buf_put(out, bytes_of(group, padded ? 4 : n + 1));
    }
}

void
base64_put(struct buf *out, struct bytes in)
{
    put_base64(out, in, base64_digits, true);
}

void
base64url_put(struct buf *out, struct bytes in)
{
    put_base64(out, in, base64url_digits, false);
}

/* Value of one digit of either alphabet, -1 if it is none. */
static int
base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return -1;
}

/* Digits without their padding; false if the padding does not fit the length. */
static bool
strip_padding(struct bytes *text)
{
    size_t pads = 0;

    while (pads < 2 && text->len > pads && text->ptr[text->len - 1 - pads] == '=')
        pads++;
    if (pads > 0 && text->len % 4 != 0)
        return false;
    text->len -= pads;
    return text->len % 4 != 1;
}

enum rc
base64_read(struct buf *out, struct bytes text, struct err *err)
{
    size_t start = out->len;
    uint32_t v = 0;
    unsigned bits = 0;

    if (!strip_padding(&text))
        return err_set(err, RC_MALFORMED, "base64.read", "length or padding is wrong");
    for (size_t i = 0; i < text.len; i++) {
        int digit = base64_value(text.ptr[i]);

        if (digit < 0) {
            out->len = start;
            return err_set(err, RC_MALFORMED, "base64.read", "not a base64 digit at %zu", i);
        }
        v = (v << 6 | (uint32_t)digit) & 0xffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            buf_put_u8(out, (uint8_t)(v >> bits));
        }
    }
    if ((v & ((1u << bits) - 1)) != 0) {
        out->len = start;
        return err_set(err, RC_MALFORMED, "base64.read", "bits are left over at the end");
    }
    if (buf_failed(out))
        return err_set(err, RC_NOMEM, "base64.read", "no room for the decoded bytes");
    return RC_OK;
}
