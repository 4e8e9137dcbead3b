/* Bytes for people: a power of 1024 with one digit behind the point. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_MEM_AMOUNT_H
#define TOOLS_MEM_AMOUNT_H

#include <stdint.h>

enum { AMOUNT_BYTES = 16 };

/* "12.3M"; at most four characters stand before the point. Returns `buf`. */
const char *amount_text(char buf[AMOUNT_BYTES], uint64_t bytes);

#endif
