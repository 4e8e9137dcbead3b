/* The latencies of a run, and what of them is the machine's: all, those that no pause of it met,
 * and how late a thread is that only sleeps and wakes. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_OBSERVED_H
#define TOOLS_BENCH_OBSERVED_H

#include "base/err.h"
#include "tools/bench/hiccups.h"
#include "tools/bench/timings.h"

struct observed {
    struct timings timings; /* filled by who measures */
    struct hiccups *hiccups;
    /* from observed_end on */
    struct latency all, between;
    double machine_ns;   /* p99.9 of those wakes; 0: there was no permission to watch */
    double paused_share; /* of the time, in which a processor stood still */
};

/* Begins to watch the machine. */
int observed_begin(struct observed **ret_observed, struct err *e) MUST_CHECK;

/* After the last latency was added. */
void observed_end(struct observed *o);

void observed_free(struct observed *o); /* NULL is fine */

#endif
