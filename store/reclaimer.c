/* Unmaps in the background. Nothing else in the store unmaps a file that others could have pinned;
 * a buried file is found by nobody, so its pins only go down (I3). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/reclaimer.h"

enum {
    BURIED_RETRY_MS = 100, /* an unpin wakes nobody: it must not block */
    BUDGET_CHECK_MS = 1000,
};

void reclaimer_init(struct reclaimer *r, struct mapped_files *log, uint64_t budget_bytes,
                    const _Atomic uint64_t *flushed)
{
    *r = (struct reclaimer){.log = log, .budget_bytes = budget_bytes, .flushed = flushed};
    worker_init(&r->worker, reclaimer_step, r);
    lock_init(&r->lock, LOCK_LEAF);
}

void reclaimer_bury(struct reclaimer *r, struct mapped_file *f)
{
    lock_take(&r->lock);
    f->next_dead = r->dead;
    r->dead = f;
    lock_drop(&r->lock);
    worker_wake(&r->worker);
}

static struct mapped_file *exhume_unpinned(struct reclaimer *r)
{
    struct mapped_file *found = NULL;
    lock_take(&r->lock);
    for (struct mapped_file **at = &r->dead; *at; at = &(*at)->next_dead) {
        if (mapped_file_is_pinned(*at))
            continue;
        found = *at;
        *at = found->next_dead;
        break;
    }
    lock_drop(&r->lock);
    return found;
}

static bool has_dead(struct reclaimer *r)
{
    lock_take(&r->lock);
    bool has = r->dead != NULL;
    lock_drop(&r->lock);
    return has;
}

int reclaimer_step(void *arg)
{
    struct reclaimer *r = arg;
    for (struct mapped_file *f; (f = exhume_unpinned(r));)
        mapped_file_free(f);
    if (r->budget_bytes > 0) {
        /* pairs with the release in flush.c: what lies below is on disk */
        uint64_t flushed = atomic_load_explicit(r->flushed, memory_order_acquire);
        while (mapped_files_unmap_coldest(r->log, flushed, r->budget_bytes))
            atomic_fetch_add_explicit(&r->n_unmapped, 1, memory_order_relaxed); /* a count */
    }
    if (has_dead(r))
        return BURIED_RETRY_MS;
    return r->budget_bytes > 0 ? BUDGET_CHECK_MS : WORKER_WHEN_WOKEN;
}

uint64_t reclaimer_n_pins(struct reclaimer *r)
{
    uint64_t n = 0;
    lock_take(&r->lock);
    for (struct mapped_file *f = r->dead; f; f = f->next_dead)
        n += atomic_load_explicit(&f->pin.n, memory_order_acquire);
    lock_drop(&r->lock);
    return n;
}

void reclaimer_fini(struct reclaimer *r)
{
    for (struct mapped_file *f; (f = exhume_unpinned(r));)
        mapped_file_free(f);
    worker_fini(&r->worker);
    lock_fini(&r->lock);
}
