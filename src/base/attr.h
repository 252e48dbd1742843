/* attr.h - compiler attributes and two tiny macros that every floor uses. */
#ifndef PARLEY_BASE_ATTR_H
#define PARLEY_BASE_ATTR_H

/* The caller must look at the result. */
#define NODISCARD __attribute__((warn_unused_result))
/* printf-style checking: position of the format, position of the first argument. */
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
/* The object lives to be weighed by the compiler, not read (callbacks with fixed signatures). */
#define UNUSED __attribute__((unused))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
