/* tap.h - cmocka with the headers that it wants before it. */
#ifndef PARLEY_TESTS_SESSION_TAP_H
#define PARLEY_TESTS_SESSION_TAP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>

#include <cmocka.h>

#endif
