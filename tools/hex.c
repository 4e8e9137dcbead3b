/* Prints bytes as `hexdump -C` does. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/hex.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 16 };

static void print_line(const uint8_t *bytes, size_t n, uint64_t pos)
{
    printf("%16" PRIx64 " ", pos);
    for (size_t i = 0; i < LINE_BYTES; i++) {
        const char *gap = i == LINE_BYTES / 2 ? "  " : " ";
        if (i < n)
            printf("%s%02x", gap, bytes[i]);
        else
            printf("%s  ", gap);
    }
    fputs("  |", stdout);
    for (size_t i = 0; i < n; i++)
        putchar(bytes[i] >= ' ' && bytes[i] < 0x7f ? bytes[i] : '.');
    puts("|");
}

void hex_print(struct span bytes, uint64_t pos)
{
    bool is_repeated = false;
    for (size_t i = 0; i < bytes.len; i += LINE_BYTES) {
        size_t n = bytes.len - i < LINE_BYTES ? bytes.len - i : LINE_BYTES;
        bool is_last = i + n == bytes.len;
        if (i > 0 && !is_last && memcmp(bytes.ptr + i - LINE_BYTES, bytes.ptr + i, n) == 0) {
            if (!is_repeated)
                puts("               *");
            is_repeated = true;
            continue;
        }
        is_repeated = false;
        print_line(bytes.ptr + i, n, pos + i);
    }
}
