/* Bytes for people. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mem/amount.h"

#include <inttypes.h>
#include <stdio.h>

const char *amount_text(char buf[AMOUNT_BYTES], uint64_t bytes)
{
    static const char units[] = "BKMGTPE";
    size_t unit = 0;
    uint64_t rest = 0;
    while (bytes >= 1024) {
        rest = bytes % 1024;
        bytes /= 1024;
        unit++;
    }
    if (unit == 0)
        (void)snprintf(buf, AMOUNT_BYTES, "%" PRIu64, bytes);
    else
        (void)snprintf(buf, AMOUNT_BYTES, "%" PRIu64 ".%" PRIu64 "%c", bytes, rest * 10 / 1024,
                       units[unit]);
    return buf;
}
