/* How a limit of memory is shared out.
 *
 * Half of the limit is for what the process points at; the other half is left to the page cache.
 * Mapping costs address space and page tables, 2 MiB for each resident GiB, so much more may be
 * mapped than is resident.
 * Unflushed pages are in the page cache and cannot be given back: where writers wait at eight times
 * what starts a flush, half of that cache waits for the disk at most. Below a limit of 128 MiB the
 * least shares are more than that: eight times 4 MiB are all of the cache's share at 96 MiB, and at
 * 64 MiB it has none. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory_share.h"

enum {
    RESIDENT_DIVISOR = 2,
    RESIDENT_MIN_BYTES = 64 << 20,
    MAPPED_FACTOR = 16,
    MAPPED_MIN_FILES = 4, /* the one written to, the next, and two that are read */
    POPULATED_DIVISOR = 8,
    POPULATED_MIN_BYTES = 4 << 20,
    POPULATED_MAX_BYTES = 64 << 20, /* 100 ms at the highest rate measured */
    FLUSH_DIVISOR = 16,
    FLUSH_MIN_BYTES = 4 << 20, /* two units of a flush */
    FLUSH_MAX_BYTES = 64 << 20,
    PAGE_BYTES = 4096,
};

static uint64_t within(uint64_t value, uint64_t least, uint64_t most)
{
    return value < least ? least : value > most ? most : value;
}

uint64_t memory_share_resident(uint64_t limit_bytes)
{
    return within(limit_bytes / RESIDENT_DIVISOR, RESIDENT_MIN_BYTES, INT64_MAX);
}

uint64_t memory_share_mapped(uint64_t resident_bytes, uint64_t file_bytes)
{
    uint64_t bytes = within(resident_bytes, 0, INT64_MAX / MAPPED_FACTOR) * MAPPED_FACTOR;
    return within(bytes, MAPPED_MIN_FILES * file_bytes, INT64_MAX);
}

uint64_t memory_share_populated(uint64_t resident_bytes)
{
    uint64_t bytes =
        within(resident_bytes / POPULATED_DIVISOR, POPULATED_MIN_BYTES, POPULATED_MAX_BYTES);
    return bytes - bytes % PAGE_BYTES;
}

uint64_t memory_share_flush(uint64_t resident_bytes)
{
    return within(resident_bytes / FLUSH_DIVISOR, FLUSH_MIN_BYTES, FLUSH_MAX_BYTES);
}
