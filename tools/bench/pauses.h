/* Stretches of time in which the machine itself stood still, and what they made late. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_PAUSES_H
#define TOOLS_BENCH_PAUSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What waited during a pause is done after it: as long again at half the load, and once more to be
 * sure. */
enum { PAUSE_REACH = 2 };

struct pause {
    uint64_t from_ns, upto_ns;
};

/* All zero is empty. Thread: one at a time. */
struct pauses {
    struct pause *items;
    size_t n, capacity;
    uint64_t total_ns; /* once settled: in which at least one processor stood still */
};

/* Without memory for it a pause is left out. */
void pauses_add(struct pauses *p, uint64_t from_ns, uint64_t upto_ns);

/* Moves all of `from` over; it is empty then. */
void pauses_take(struct pauses *p, struct pauses *from);

/* After the last was added, once: gives each its reach and makes one of those that overlap. */
void pauses_settle(struct pauses *p);

/* Whether [from_ns, upto_ns) meets a pause or its reach. After pauses_settle. */
bool pauses_hit(const struct pauses *p, uint64_t from_ns, uint64_t upto_ns);

void pauses_free(struct pauses *p);

#endif
