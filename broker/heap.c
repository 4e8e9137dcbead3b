/* What the allocator holds. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/heap.h"

#include <stddef.h>

/* There when jemalloc is linked. */
extern int mallctl(const char *name, void *old, size_t *old_bytes, void *new_value,
                   size_t new_bytes) __attribute__((weak));

static bool read_bytes(const char *name, uint64_t *ret)
{
    size_t value = 0, len = sizeof value;
    if (mallctl(name, &value, &len, NULL, 0) != 0)
        return false; /* built without statistics */
    *ret = value;
    return true;
}

bool heap_stats(struct heap_stats *ret)
{
    struct heap_stats s;
    uint64_t epoch = 1; /* any write has the counts taken anew */
    if (!mallctl || mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) != 0)
        return false;
    if (!read_bytes("stats.allocated", &s.allocated_bytes) ||
        !read_bytes("stats.active", &s.active_bytes) ||
        !read_bytes("stats.metadata", &s.metadata_bytes) ||
        !read_bytes("stats.resident", &s.resident_bytes) ||
        !read_bytes("stats.retained", &s.retained_bytes))
        return false;
    *ret = s;
    return true;
}
