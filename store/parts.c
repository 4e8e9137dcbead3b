/* Parts of mappings, in the order in which they were last used.
 *
 * Who reads moves a part to the front at most once while a quarter of the list comes to the front:
 * most reads find their part there and take no lock. So the order is not exact, and need not be. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/parts.h"

#include <stdlib.h>

#include "store/mapped_file.h"

enum { FRESH_DIVISOR = 4 };

static uint64_t load(const _Atomic uint64_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed); /* see struct part */
}

static void store(_Atomic uint64_t *at, uint64_t value)
{
    atomic_store_explicit(at, value, memory_order_relaxed); /* see struct part */
}

void parts_init(struct parts *p)
{
    *p = (struct parts){.worker = NULL};
    atomic_init(&p->wake_n, UINT64_MAX);
    lock_init(&p->lock, LOCK_LEAF);
}

void parts_fini(struct parts *p)
{
    lock_fini(&p->lock);
}

void parts_watch(struct parts *p, struct worker *worker)
{
    p->worker = worker;
}

int parts_begin(struct parts *p, struct mapped_file *f, struct err *e)
{
    if (!p->worker)
        return 0;
    uint64_t n = (f->bytes + PART_BYTES - 1) / PART_BYTES;
    struct part *list = calloc(n, sizeof *list);
    if (!list)
        return err_set(e, ERR_NOMEM, "list the parts of '%s'", f->path);
    for (uint64_t i = 0; i < n; i++)
        list[i].file = f;
    f->parts = list;
    f->in = p;
    return 0;
}

/* ---- the list; caller holds the lock ---- */

static void take_out(struct parts *p, struct part *part)
{
    *(part->newer ? &part->newer->older : &p->newest) = part->older;
    *(part->older ? &part->older->newer : &p->oldest) = part->newer;
    part->newer = part->older = NULL;
    store(&part->used, 0);
    store(&p->n, load(&p->n) - 1);
}

static void put_first(struct parts *p, struct part *part)
{
    part->older = p->newest;
    *(p->newest ? &p->newest->newer : &p->oldest) = part;
    p->newest = part;
    store(&p->tick, load(&p->tick) + 1);
    store(&part->used, load(&p->tick));
    store(&p->n, load(&p->n) + 1);
}

/* ---- use ---- */

static bool is_fresh(const struct parts *p, const struct part *part)
{
    uint64_t used = load(&part->used);
    return used != 0 && load(&p->tick) - used <= load(&p->n) / FRESH_DIVISOR;
}

static void bring_forward(struct parts *p, struct part *part, bool was_cold)
{
    lock_take(&p->lock);
    bool is_new = load(&part->used) == 0;
    if (is_new)
        part->was_cold = was_cold;
    else
        take_out(p, part);
    put_first(p, part);
    bool is_enough = is_new && load(&p->n) >= load(&p->wake_n);
    lock_drop(&p->lock);
    if (is_enough)
        worker_wake(p->worker);
}

/* Whether what is read first is on disk only. */
static bool is_cold(const struct mapped_file *f, const struct part *part, uint64_t off)
{
    if (load(&part->used) != 0)
        return false; /* it is known already */
    return f->io->is_resident(f->io, f->base + (off - off % MAPPED_PAGE_BYTES)) == 0;
}

void parts_use(struct mapped_file *f, uint64_t from, uint64_t upto)
{
    if (!f->parts)
        return;
    for (uint64_t off = from; off < upto; off = (off / PART_BYTES + 1) * PART_BYTES) {
        struct part *part = &f->parts[off / PART_BYTES];
        if (!is_fresh(f->in, part))
            bring_forward(f->in, part, is_cold(f, part, off));
    }
}

void parts_fill(struct mapped_file *f, uint64_t from, uint64_t upto)
{
    if (!f->parts)
        return;
    for (uint64_t off = from; off < upto; off = (off / PART_BYTES + 1) * PART_BYTES) {
        struct part *part = &f->parts[off / PART_BYTES];
        if (!is_fresh(f->in, part))
            bring_forward(f->in, part, /* was_cold = */ false);
    }
}

void parts_drop(struct mapped_file *f, uint64_t from, uint64_t upto)
{
    if (!f->parts)
        return;
    uint64_t end = upto == f->bytes ? upto + PART_BYTES - 1 : upto; /* the last may be short */
    lock_take(&f->in->lock);
    for (uint64_t i = (from + PART_BYTES - 1) / PART_BYTES; i < end / PART_BYTES; i++)
        if (load(&f->parts[i].used) != 0)
            take_out(f->in, &f->parts[i]);
    lock_drop(&f->in->lock);
}

/* ---- the reclaimer's side ---- */

struct part *parts_take_oldest(struct parts *p, bool *ret_was_cold)
{
    lock_take(&p->lock);
    struct part *part = p->oldest;
    if (part) {
        take_out(p, part);
        *ret_was_cold = part->was_cold;
    }
    lock_drop(&p->lock);
    return part;
}

void parts_put_back(struct parts *p, struct part *part)
{
    lock_take(&p->lock);
    if (load(&part->used) == 0) /* else somebody used it meanwhile */
        put_first(p, part);
    lock_drop(&p->lock);
}
