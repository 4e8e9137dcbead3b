/* Stretches of time; once they are settled, sorted and disjoint. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/pauses.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 1024 };

void pauses_add(struct pauses *p, uint64_t from_ns, uint64_t upto_ns)
{
    if (p->n == p->capacity) {
        size_t capacity = p->capacity ? p->capacity * 2 : FIRST_CAPACITY;
        struct pause *items = realloc(p->items, capacity * sizeof *items);
        if (!items)
            return;
        p->items = items;
        p->capacity = capacity;
    }
    p->items[p->n++] = (struct pause){from_ns, upto_ns};
}

void pauses_take(struct pauses *p, struct pauses *from)
{
    for (size_t i = 0; i < from->n; i++)
        pauses_add(p, from->items[i].from_ns, from->items[i].upto_ns);
    pauses_free(from);
}

static int compare(const void *a, const void *b)
{
    const struct pause *x = a, *y = b;
    return (x->from_ns > y->from_ns) - (x->from_ns < y->from_ns);
}

/* They are sorted. */
static void join(struct pauses *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        struct pause *last = n > 0 ? &p->items[n - 1] : NULL;
        if (!last || p->items[i].from_ns > last->upto_ns)
            p->items[n++] = p->items[i];
        else if (p->items[i].upto_ns > last->upto_ns)
            last->upto_ns = p->items[i].upto_ns;
    }
    p->n = n;
}

void pauses_settle(struct pauses *p)
{
    if (p->n > 0)
        qsort(p->items, p->n, sizeof *p->items, compare);
    join(p);
    for (size_t i = 0; i < p->n; i++) {
        uint64_t ns = p->items[i].upto_ns - p->items[i].from_ns;
        p->total_ns += ns;
        p->items[i].upto_ns += PAUSE_REACH * ns;
    }
    join(p);
}

bool pauses_hit(const struct pauses *p, uint64_t from_ns, uint64_t upto_ns)
{
    size_t low = 0, high = p->n; /* those below `low` begin before upto_ns, the others do not */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->items[middle].from_ns < upto_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && p->items[low - 1].upto_ns > from_ns;
}

void pauses_free(struct pauses *p)
{
    free(p->items);
    *p = (struct pauses){.items = NULL};
}
