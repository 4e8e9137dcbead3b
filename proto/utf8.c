/* Checking UTF-8, a word at a time over ASCII. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/utf8.h"

#include "proto/proto.h"

/* The first byte of a character decides how many follow and what the second one may be: long forms
 * (E0, F0), surrogates (ED) and what lies over U+10FFFF (F4) are excluded by its bounds. */
static bool begin_character(struct utf8 *u, uint8_t first)
{
    if (first < 0xc2 || first > 0xf4)
        return false;
    u->n_missing = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    u->low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    u->high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    return true;
}

static size_t skip_ascii(struct span run, size_t at)
{
    while (run.len - at >= 8) {
        uint64_t word;
        memcpy(&word, run.ptr + at, sizeof word);
        if (word & 0x8080808080808080u)
            break;
        at += 8;
    }
    while (at < run.len && run.ptr[at] < 0x80)
        at++;
    return at;
}

bool utf8_feed(struct utf8 *u, struct span run)
{
    size_t at = 0;
    while (at < run.len) {
        if (u->n_missing == 0) {
            at = skip_ascii(run, at);
            if (at == run.len)
                break;
            if (!begin_character(u, run.ptr[at++]))
                return false;
            continue;
        }
        const uint8_t byte = run.ptr[at++];
        if (byte < u->low || byte > u->high)
            return false;
        u->n_missing--;
        u->low = 0x80;
        u->high = 0xbf;
    }
    return true;
}

bool proto_utf8_ok(struct span text)
{
    struct utf8 u = {0};
    return utf8_feed(&u, text) && utf8_at_end(&u);
}
