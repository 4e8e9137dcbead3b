/* Many durations in little room: a histogram whose buckets are 1.6 % wide. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_LATENCY_H
#define TOOLS_BENCH_LATENCY_H

#include <stdint.h>

enum { LATENCY_SHIFT = 6, LATENCY_BUCKETS = (64 - LATENCY_SHIFT + 1) << LATENCY_SHIFT };

/* All zero is empty. */
struct latency {
    uint64_t counts[LATENCY_BUCKETS];
    uint64_t n;
    uint64_t worst_ns;
};

void latency_add(struct latency *l, uint64_t ns);

void latency_merge(struct latency *l, const struct latency *other); /* adds all of `other` */

/* The duration that `share` (0 to 1) of all do not exceed: the upper end of its bucket, never more
 * than the worst. 0 when there is none. */
uint64_t latency_at(const struct latency *l, double share);

/* How many were longer: those of the same bucket were not. */
uint64_t latency_over(const struct latency *l, uint64_t ns);

#endif
