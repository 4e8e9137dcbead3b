/* Java's String.hashCode of UTF-8 text. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/jhash.h"

enum { REPLACEMENT = 0xfffd };

/* Bytes of the sequence that `lead` opens; 0 when it opens none. */
static size_t sequence_len(uint8_t lead)
{
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* Decodes one code point at s[0..len), len > 0. Returns the bytes used. A malformed sequence is one
 * U+FFFD for as much of it as could still have become valid; a surrogate is one for its three
 * bytes. */
static size_t decode_utf8(const uint8_t *s, size_t len, uint32_t *ret_point)
{
    uint8_t lead = s[0];
    size_t need = sequence_len(lead);
    *ret_point = need == 1 ? lead : REPLACEMENT;
    if (need < 2)
        return 1;
    uint8_t lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80; /* below: overlong */
    uint8_t highest = lead == 0xf4 ? 0x8f : 0xbf;                      /* above: past U+10FFFF */
    uint32_t point = lead & (0x7fu >> need);
    for (size_t i = 1; i < need; i++) {
        if (i == len || s[i] < lowest || s[i] > highest)
            return i;
        point = point << 6 | (s[i] & 0x3fu);
        lowest = 0x80;
        highest = 0xbf;
    }
    if (point < 0xd800 || point > 0xdfff)
        *ret_point = point;
    return need;
}

/* Four at a time while all are ASCII: each then waits for one product instead of four. */
static uint32_t hash_ascii(uint32_t h, struct span text, size_t *ret_used)
{
    enum { P1 = 31, P2 = P1 * P1, P3 = P2 * P1, P4 = P3 * P1 };
    size_t i = 0;
    for (; text.len - i >= 4; i += 4) {
        const uint8_t *c = text.ptr + i;
        if ((c[0] | c[1] | c[2] | c[3]) >= 0x80)
            break;
        h = P4 * h + ((uint32_t)P3 * c[0] + (uint32_t)P2 * c[1] + (uint32_t)P1 * c[2] + c[3]);
    }
    *ret_used = i;
    return h;
}

int32_t jhash_more(int32_t before, struct span utf8)
{
    size_t n_ascii;
    uint32_t h = hash_ascii((uint32_t)before, utf8, &n_ascii);
    for (size_t i = n_ascii; i < utf8.len;) {
        if (utf8.ptr[i] < 0x80) {
            h = 31 * h + utf8.ptr[i++];
            continue;
        }
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

int32_t jhash(struct span utf8)
{
    return jhash_more(0, utf8);
}
