/* What the machine itself makes late: on each processor a thread of real-time priority that only
 * sleeps and wakes, after jHiccup. Where the host of a virtual machine lends its processors to
 * others, no program on it is faster than that. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_HICCUPS_H
#define TOOLS_BENCH_HICCUPS_H

#include <stdint.h>

#include "base/err.h"
#include "tools/bench/latency.h"
#include "tools/bench/pauses.h"

enum {
    HICCUPS_PERIOD_NS = 500000,
    HICCUPS_PAUSE_NS = 500000, /* a thread that woke later than this was kept from it */
};

struct hiccups;

/* Starts the threads. Without permission for real-time priority they watch nothing. */
int hiccups_start(struct hiccups **ret_hiccups, struct err *e) MUST_CHECK;

/* Stops them. Before what follows is asked. */
void hiccups_stop(struct hiccups *h);

const struct latency *hiccups_wakes(const struct hiccups *h); /* how late they woke; n 0: unknown */
const struct pauses *hiccups_pauses(const struct hiccups *h); /* settled */
double hiccups_share(const struct hiccups *h);                /* of the time, that was paused */

/* Stops them too if need be. NULL is fine. */
void hiccups_free(struct hiccups *h);

#endif
