/* Fuzzer of base/hex and base/e164: one run of bytes has one text in each alphabet, so what was
 * read is printed as it came. */
#include "base/hex.h"

#include <stdlib.h>

#include "base/e164.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_base64(struct bytes in)
{
    struct buf raw, text;

    buf_init(&raw, in.len + 1);
    buf_init(&text, 2 * in.len + 8);
    if (base64_read(&raw, in, NULL) == RC_OK) {
        bool has_url = memchr(in.ptr, '-', in.len) || memchr(in.ptr, '_', in.len);
        bool has_standard = memchr(in.ptr, '+', in.len) || memchr(in.ptr, '/', in.len);

        if (!has_url) {
            base64_put(&text, buf_bytes(&raw));
            if (text.len < in.len || memcmp(text.ptr, in.ptr, in.len) != 0)
                abort();
        } else if (!has_standard && in.ptr[in.len - 1] != '=') {
            base64url_put(&text, buf_bytes(&raw));
            if (!bytes_equal(buf_bytes(&text), in))
                abort();
        }
    } else if (raw.len != 0) {
        abort();
    }
    buf_free(&raw);
    buf_free(&text);
}

static void
try_number(struct bytes in)
{
    char text[E164_TEXT_SIZE];
    uint64_t number, again;

    if (e164_read(&number, in, NULL) == RC_OK &&
        (e164_read(&again, bytes_of_str(e164_write(text, number)), NULL) != RC_OK ||
         again != number))
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t raw[8];

    if (size == 0)
        return 0;
    try_base64(bytes_of(data, size));
    try_number(bytes_of(data, size));
    if (hex_read(raw, sizeof(raw), bytes_of(data, size), NULL) == RC_OK && size != 16)
        abort();
    return 0;
}
