/* A wall clock that is read once, and kept by the monotonic one. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/steady_clock.h"

uint64_t steady_clock_mono_ms(const struct steady_clock *c)
{
    return c->io->mono_ns(c->io) / 1000000;
}

void steady_clock_init(struct steady_clock *c, struct io *io)
{
    c->io = io;
    c->base_ms = io->now_ms(io) - steady_clock_mono_ms(c);
}

void steady_clock_not_before(struct steady_clock *c, uint64_t ms)
{
    uint64_t now_ms = steady_clock_now_ms(c);
    if (now_ms < ms)
        c->base_ms += ms - now_ms;
}

uint64_t steady_clock_now_ms(const struct steady_clock *c)
{
    return c->base_ms + steady_clock_mono_ms(c);
}
