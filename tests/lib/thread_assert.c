/* A failed assertion on a thread of a test.
 *
 * Without a process for each test Check goes on with the next one by a jump to where it began this
 * one: from another thread that would be onto the main thread's stack, in use, and whatever crashed
 * then would hide what failed. So such an assertion tells what failed and ends the program. The
 * linker puts this in front of Check's (--wrap). */
/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TEXT_BYTES = 4096 };

void __real__ck_assert_failed(const char *file, int line, const char *expr, const char *fmt, ...)
    __attribute__((noreturn));
void __wrap__ck_assert_failed(const char *file, int line, const char *expr, const char *fmt, ...)
    __attribute__((noreturn));

void __wrap__ck_assert_failed(const char *file, int line, const char *expr, const char *fmt, ...)
{
    char text[TEXT_BYTES] = "";
    va_list args;
    va_start(args, fmt);
    if (fmt)
        (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (gettid() == getpid())
        __real__ck_assert_failed(file, line, expr, fmt ? "%s" : NULL, text);
    (void)fprintf(stderr, "%s:%d: on a thread of the test: %s %s\n", file, line, expr, text);
    abort();
}
