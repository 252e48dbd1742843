/* e164.c - telephone numbers: read, written, masked (ITU-T E.164: at most 15 digits). */
#include "base/e164.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum rc
e164_read(uint64_t *out, struct bytes text, struct err *err)
{
    uint64_t number = 0;
    unsigned digits = 0;

    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c >= '0' && c <= '9') {
            if (digits == 0 && c == '0')
                return err_set(err, RC_MALFORMED, "e164", "a number does not start with 0");
            if (++digits > E164_DIGITS_MAX)
                return err_set(err, RC_MALFORMED, "e164", "more than %d digits", E164_DIGITS_MAX);
            number = number * 10 + (uint64_t)(c - '0');
        } else if (c == '+') {
            if (i != 0)
                return err_set(err, RC_MALFORMED, "e164", "a plus is allowed at the start only");
        } else if (c == '\0' || strchr(" -.()", c) == NULL) {
            return err_set(err, RC_MALFORMED, "e164", "a character that is not a digit");
        }
    }
    if (digits < E164_DIGITS_MIN)
        return err_set(err, RC_MALFORMED, "e164", "fewer than %d digits", E164_DIGITS_MIN);
    *out = number;
    return RC_OK;
}

char *
e164_write(char *out, uint64_t number)
{
    /* more digits than a number has would be a bug upstream: cut, never overrun */
    snprintf(out, E164_TEXT_SIZE, "%" PRIu64, number);
    return out;
}

char *
e164_masked(char *out, uint64_t number)
{
    snprintf(out, 8, "\xe2\x80\xa6%02u", (unsigned)(number % 100));
    return out;
}
