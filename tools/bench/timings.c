/* A list in the order of their ends. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/timings.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 65536 };

void timings_add(struct timings *t, uint64_t due_ns, uint64_t ns)
{
    if (t->n == t->capacity) {
        size_t capacity = t->capacity ? t->capacity * 2 : FIRST_CAPACITY;
        struct timing *items = realloc(t->items, capacity * sizeof *items);
        if (!items)
            return;
        t->items = items;
        t->capacity = capacity;
    }
    t->items[t->n++] = (struct timing){due_ns, ns};
}

void timings_sum(const struct timings *t, const struct pauses *p, struct latency *ret_all,
                 struct latency *ret_between)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct timing *one = &t->items[i];
        latency_add(ret_all, one->ns);
        if (!pauses_hit(p, one->due_ns, one->due_ns + one->ns))
            latency_add(ret_between, one->ns);
    }
}

void timings_free(struct timings *t)
{
    free(t->items);
    *t = (struct timings){.items = NULL};
}
