/* bytes.h - a borrowed run of bytes, and comparing them.
 *
 * struct bytes never owns. Whoever hands one out says until when it is valid. */
#ifndef PARLEY_BASE_BYTES_H
#define PARLEY_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *ptr;
    size_t len;
};

static inline struct bytes
bytes_of(const void *ptr, size_t len)
{
    return (struct bytes){.ptr = ptr, .len = len};
}

/* The characters of a C string without the final NUL. NULL gives an empty run. */
static inline struct bytes
bytes_of_str(const char *text)
{
    return bytes_of(text, text == NULL ? 0 : strlen(text));
}

static inline bool
bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Compare without telling by time where they differ. Lengths are not secret. */
bool bytes_equal_secret(struct bytes a, struct bytes b);

/* True if every byte of the run is part of well-formed UTF-8 (no overlong forms, no surrogates). */
bool bytes_is_utf8(struct bytes in);

/* Number of Unicode code points in well-formed UTF-8. */
size_t bytes_utf8_count(struct bytes in);

/* Overwrite in a way that the compiler keeps. */
void bytes_wipe(void *ptr, size_t len);

#endif
