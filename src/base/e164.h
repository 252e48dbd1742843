/* e164.h - telephone numbers as they name accounts: 7 to 15 digits, first not zero, kept in a
 * 64-bit integer. Never printed whole in a log: e164_masked gives the last two digits. */
#ifndef PARLEY_BASE_E164_H
#define PARLEY_BASE_E164_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define E164_DIGITS_MIN 7
#define E164_DIGITS_MAX 15
#define E164_TEXT_SIZE 16 /* digits and the final NUL */

/* Digits with an optional leading plus; spaces, '-', '.', '(' and ')' are skipped.
 * RC_MALFORMED otherwise, with text saying which rule. */
NODISCARD enum rc e164_read(uint64_t *out, struct bytes text, struct err *err);
/* Decimal digits without plus. out must hold E164_TEXT_SIZE. Returns out. */
char *e164_write(char *out, uint64_t number);
/* "…21" into out (needs 8 bytes, UTF-8). Returns out. */
char *e164_masked(char *out, uint64_t number);

#endif
