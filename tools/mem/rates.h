/* Page faults of snapshots: those of no path, and what happened between two, by the second. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_MEM_RATES_H
#define TOOLS_MEM_RATES_H

#include "tools/mem/snapshot.h"

/* The process's faults, without those of the paths: on its other threads, and of appends and reads
 * that nobody sampled. */
struct mem_faults mem_faults_other(const struct mem_snapshot *snapshot);

struct mem_rate {
    double minor, major; /* page faults */
};

struct mem_rates {
    struct mem_rate total, other;
    struct mem_rate paths[MEM_PATHS_MAX]; /* in the order of the snapshot's faults */
    double appended, appended_bytes;
};

/* `before` and `after` are of one source. A count that fell, as of a broker that was started anew
 * or of faults that are extrapolated, rose by nothing. */
struct mem_rates mem_rates_between(const struct mem_snapshot *before,
                                   const struct mem_snapshot *after, double seconds);

#endif
