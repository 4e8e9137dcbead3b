/* Durations by the place of their highest bit and the STORE_TIMING_SHIFT bits below it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/timing.h"

/* Below 2^SHIFT each value has a bucket; above, each power of two has 2^SHIFT of them. */
static size_t bucket_of(uint64_t ns)
{
    if (ns >> STORE_TIMING_SHIFT == 0)
        return (size_t)ns;
    unsigned drop = 63 - STORE_TIMING_SHIFT - (unsigned)__builtin_clzll(ns);
    return ((size_t)drop << STORE_TIMING_SHIFT) + (size_t)(ns >> drop);
}

uint64_t store_timing_end_ns(size_t bucket)
{
    if (bucket >> (STORE_TIMING_SHIFT + 1) == 0)
        return bucket;
    unsigned drop = (unsigned)(bucket >> STORE_TIMING_SHIFT) - 1;
    uint64_t top = bucket - ((size_t)drop << STORE_TIMING_SHIFT);
    return (top << drop) + (UINT64_C(1) << drop) - 1;
}

void timing_add(struct timing *t, uint64_t ns)
{
    atomic_fetch_add_explicit(&t->counts[bucket_of(ns)], 1, memory_order_relaxed); /* a count */
}

void timing_read(const struct timing *t, struct store_timing *ret)
{
    for (size_t i = 0; i < STORE_TIMING_BUCKETS; i++)
        ret->counts[i] = atomic_load_explicit(&t->counts[i], memory_order_relaxed); /* counts */
}
