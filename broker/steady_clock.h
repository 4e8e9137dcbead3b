/* The time that leases, sessions and alarms go by: the wall clock's when the broker started, or
 * that of its last save when the wall clock is behind it, and from then on as much later as the
 * monotonic clock says. A step of the wall clock, in either direction, neither hides a message nor
 * shows one early, and forgets no client. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_STEADY_CLOCK_H
#define BROKER_STEADY_CLOCK_H

#include <stdint.h>

#include "base/io.h"

struct steady_clock {
    /* set before it is shared, then constant */
    struct io *io;
    uint64_t base_ms; /* what the wall clock was ahead of the monotonic one; may wrap */
};

/* `io` outlives the clock. */
void steady_clock_init(struct steady_clock *c, struct io *io);

/* It is `ms` or later now: a time that this clock had in an earlier life. Before it is shared. */
void steady_clock_not_before(struct steady_clock *c, uint64_t ms);

uint64_t steady_clock_now_ms(const struct steady_clock *c); /* since the epoch; never goes back */

/* The same moment by the clock of timers and deadlines. */
uint64_t steady_clock_mono_ms(const struct steady_clock *c);

#endif
