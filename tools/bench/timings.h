/* Durations with the times they count from, so that those that a pause of the machine made long can
 * be told from the others. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_TIMINGS_H
#define TOOLS_BENCH_TIMINGS_H

#include <stddef.h>
#include <stdint.h>

#include "tools/bench/latency.h"
#include "tools/bench/pauses.h"

struct timing {
    uint64_t due_ns, ns;
};

/* All zero is empty. Thread: one at a time. */
struct timings {
    struct timing *items;
    size_t n, capacity;
};

/* Without memory for it a duration is left out. */
void timings_add(struct timings *t, uint64_t due_ns, uint64_t ns);

/* All of them; and those that no pause met (pauses_hit). Both begin empty. */
void timings_sum(const struct timings *t, const struct pauses *p, struct latency *ret_all,
                 struct latency *ret_between);

void timings_free(struct timings *t);

#endif
