/* The loop that a filter spends its time in: four bytes of each twenty are read, nothing is copied
 * out. A few codes, the usual filter, are compared at once; many are searched. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tag_scan.h"

#include "base/bytes.h"
#include "store/format.h"

enum { FEW = 4, AT_LOW_CODE = FORMAT_ENTRY_AT_TAG_CODE + 4 };

static int32_t code_at(const uint8_t *entries, uint64_t i)
{
    return (int32_t)be32_get(entries + i * STORE_QUEUE_ENTRY_BYTES + AT_LOW_CODE);
}

static uint64_t next_of_one(const uint8_t *entries, uint64_t from, uint64_t to, int32_t code)
{
    while (from < to && code_at(entries, from) != code)
        from++;
    return from;
}

static uint64_t next_of_few(const uint8_t *entries, uint64_t from, uint64_t to,
                            const int32_t *codes, size_t n_codes)
{
    int32_t c[FEW];
    for (size_t i = 0; i < FEW; i++)
        c[i] = codes[i < n_codes ? i : 0];
    for (; from < to; from++) {
        int32_t code = code_at(entries, from);
        if ((code == c[0]) | (code == c[1]) | (code == c[2]) | (code == c[3]))
            break;
    }
    return from;
}

static bool is_among(const int32_t *codes, size_t n_codes, int32_t code)
{
    size_t low = 0, high = n_codes;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (codes[middle] < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n_codes && codes[low] == code;
}

uint64_t tag_scan_next(const uint8_t *entries, uint64_t from, uint64_t to, const int32_t *codes,
                       size_t n_codes)
{
    if (n_codes == 0)
        return to;
    if (n_codes == 1)
        return next_of_one(entries, from, to, codes[0]);
    if (n_codes <= FEW)
        return next_of_few(entries, from, to, codes, n_codes);
    while (from < to && !is_among(codes, n_codes, code_at(entries, from)))
        from++;
    return from;
}
