/* Large bodies that tell their number. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_NUMBERED_BODY_H
#define TESTS_LIB_NUMBERED_BODY_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

enum { NUMBERED_BODY_DIGITS = 6 };

/* Fills `buf` with the body of number `i`, of size - 1 bytes, and returns it. */
static inline const char *numbered_body_make(char *buf, size_t size, int i)
{
    memset(buf, 'b', size - 1);
    buf[size - 1] = '\0';
    buf[snprintf(buf, size, "%0*d", NUMBERED_BODY_DIGITS, i)] = 'b';
    return buf;
}

static inline int numbered_body_number(struct span body)
{
    char digits[NUMBERED_BODY_DIGITS + 1] = {0};
    memcpy(digits, body.ptr, NUMBERED_BODY_DIGITS);
    return atoi(digits);
}

#endif
