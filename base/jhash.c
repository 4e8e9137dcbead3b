/* Java's String.hashCode of UTF-8 text. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/jhash.h"

enum { REPLACEMENT = 0xfffd };

static bool is_tail(uint8_t b)
{
    return (b & 0xc0) == 0x80;
}

/* Decodes one code point at s[0..len), len > 0. Returns the bytes used. */
static size_t decode_utf8(const uint8_t *s, size_t len, uint32_t *ret_point)
{
    uint8_t b = s[0];
    size_t need = b < 0x80 ? 1 : b >= 0xc2 && b < 0xe0 ? 2 : (b & 0xf0) == 0xe0 ? 3 : 4;
    if (need == 4 && (b < 0xf0 || b > 0xf4))
        need = 0;
    if (need == 1) {
        *ret_point = b;
        return 1;
    }
    *ret_point = REPLACEMENT;
    if (need == 0 || need > len)
        return 1;
    uint32_t point = b & (0x7fu >> need);
    for (size_t i = 1; i < need; i++) {
        if (!is_tail(s[i]))
            return 1;
        point = point << 6 | (s[i] & 0x3fu);
    }
    bool surrogate = point >= 0xd800 && point < 0xe000;
    bool overlong = (need == 3 && point < 0x800) || (need == 4 && point < 0x10000);
    if (surrogate || overlong || point > 0x10ffff)
        return 1;
    *ret_point = point;
    return need;
}

int32_t jhash(struct span utf8)
{
    uint32_t h = 0;
    for (size_t i = 0; i < utf8.len;) {
        uint32_t point;
        i += decode_utf8(utf8.ptr + i, utf8.len - i, &point);
        if (point >= 0x10000) {
            h = 31 * h + (0xd800 + ((point - 0x10000) >> 10));
            point = 0xdc00 + ((point - 0x10000) & 0x3ff);
        }
        h = 31 * h + point;
    }
    return (int32_t)h;
}
