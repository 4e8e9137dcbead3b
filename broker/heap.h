/* What the allocator holds, by its own count. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_HEAP_H
#define BROKER_HEAP_H

#include <stdbool.h>
#include <stdint.h>

/* The names are jemalloc's. */
struct heap_stats {
    uint64_t allocated_bytes; /* asked for and not freed */
    uint64_t active_bytes;    /* pages that hold some of that */
    uint64_t metadata_bytes;  /* the allocator's own */
    uint64_t resident_bytes;  /* in memory: the two above, and freed pages not given back yet */
    uint64_t retained_bytes;  /* addresses without memory, kept for later */
};

/* False when the process allocates with something else, which keeps no such count. Thread: any. */
bool heap_stats(struct heap_stats *ret);

#endif
