/* Durations by the place of their highest bit and the LATENCY_SHIFT bits below it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/latency.h"

#include <stddef.h>

/* Below 2^SHIFT each value has a bucket; above, each power of two has 2^SHIFT of them. */
static size_t bucket_of(uint64_t ns)
{
    if (ns >> LATENCY_SHIFT == 0)
        return (size_t)ns;
    unsigned drop = 63 - LATENCY_SHIFT - (unsigned)__builtin_clzll(ns);
    return ((size_t)drop << LATENCY_SHIFT) + (size_t)(ns >> drop);
}

static uint64_t end_of(size_t bucket)
{
    if (bucket >> (LATENCY_SHIFT + 1) == 0)
        return bucket;
    unsigned drop = (unsigned)(bucket >> LATENCY_SHIFT) - 1;
    uint64_t top = bucket - ((size_t)drop << LATENCY_SHIFT);
    return (top << drop) + (UINT64_C(1) << drop) - 1;
}

void latency_add(struct latency *l, uint64_t ns)
{
    l->counts[bucket_of(ns)]++;
    l->n++;
    if (ns > l->worst_ns)
        l->worst_ns = ns;
}

void latency_merge(struct latency *l, const struct latency *other)
{
    for (size_t i = 0; i < LATENCY_BUCKETS; i++)
        l->counts[i] += other->counts[i];
    l->n += other->n;
    l->worst_ns = other->worst_ns > l->worst_ns ? other->worst_ns : l->worst_ns;
}

uint64_t latency_at(const struct latency *l, double share)
{
    uint64_t wanted = (uint64_t)((double)l->n * share);
    uint64_t seen = 0;
    if (wanted >= l->n)
        return l->worst_ns;
    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        seen += l->counts[i];
        if (seen > wanted)
            return end_of(i) < l->worst_ns ? end_of(i) : l->worst_ns;
    }
    return l->worst_ns;
}

uint64_t latency_over(const struct latency *l, uint64_t ns)
{
    uint64_t n = 0;
    for (size_t i = bucket_of(ns) + 1; i < LATENCY_BUCKETS; i++)
        n += l->counts[i];
    return n;
}
