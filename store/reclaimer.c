/* Unmaps in the background. Nothing else in the store unmaps a file that others could have pinned;
 * a buried file is found by nobody, so its pins only go down (I3). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/reclaimer.h"

#include <fcntl.h>

#include "store/queue_maps.h"

enum {
    BURIED_RETRY_MS = 100, /* an unpin wakes nobody: it must not block */
    BUDGET_CHECK_MS = 1000,
    CLOSE_CHECK_MS = 100, /* with little left: what the list does not see grows, too */
    RELAX_MS = 1000,      /* between two times that all is dropped */
    IDLE_MS = 5000,       /* without an append, before the tail is given back too */
    AT_ONCE = 4,          /* parts dropped between two looks at what is resident */
    /* of the budget: it is exceeded by what comes between two steps, so a step begins below it */
    SHARES = 16,
    BEGIN_SHARES = 12,
    END_SHARES = 11,
};

void reclaimer_init(struct reclaimer *r, struct mapped_files *log, uint64_t budget_bytes,
                    const _Atomic uint64_t *flushed)
{
    *r = (struct reclaimer){.log = log, .budget_bytes = budget_bytes, .flushed = flushed};
    worker_init(&r->worker, reclaimer_step, r);
    lock_init(&r->lock, LOCK_LEAF);
    parts_init(&r->parts);
}

void reclaimer_bound(struct reclaimer *r, uint64_t resident_bytes, struct io *io)
{
    r->io = io;
    r->resident_bytes = resident_bytes;
    if (resident_bytes > 0)
        parts_watch(&r->parts, &r->worker);
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

/* ---- behind the tail ---- */

void reclaimer_follow(struct reclaimer *r, const _Atomic uint64_t *dispatched, uint64_t from)
{
    r->dispatched = dispatched;
    r->dropped_off = from - from % PART_BYTES;
}

/* Whether nothing was appended for a while. */
static bool is_resting(struct reclaimer *r, uint64_t tail)
{
    uint64_t now_ns = r->log->io->mono_ns(r->log->io);
    if (tail != r->tail_off) {
        r->tail_off = tail;
        r->tail_ns = now_ns;
    }
    return now_ns - r->tail_ns >= IDLE_MS * (uint64_t)1000000;
}

/* Drops the page-table entries of what was written and dispatched, on disk or not: it stays in the
 * page cache, and who reads it maps it again. So what this process costs does not grow with what is
 * written. */
static void drop_behind(struct reclaimer *r)
{
    uint64_t upto = atomic_load_explicit(r->dispatched, memory_order_acquire);
    struct err e;
    uint64_t first, end;
    r->is_resting = is_resting(r, upto);
    mapped_files_bounds(r->log, &first, &end);
    if (r->dropped_off < first) /* nothing of ours is mapped there any more */
        r->dropped_off = first;
    uint64_t keep = r->is_resting ? 0 : PARTS_KEEP_BYTES;
    upto = upto > keep ? upto - keep : 0;
    upto -= upto % PART_BYTES;
    while (r->dropped_off < upto) {
        struct mapped_file *f;
        if (mapped_files_pin(r->log, r->dropped_off, &f, &e) < 0)
            return; /* only memory is at stake: the next step tries again */
        uint64_t file_end = f->start + f->bytes, from = r->dropped_off - f->start;
        uint64_t to = (upto < file_end ? upto : file_end) - f->start;
        (void)f->io->advise(f->io, f->base + from, to - from, IO_DONTNEED);
        parts_drop(f, from, to);
        r->dropped_off = f->start + to;
        mapped_file_unpin(f);
    }
}

/* ---- what is resident ---- */

/* Whether more than so many shares of the budget are resident. */
static bool is_over(const struct reclaimer *r, unsigned n_shares)
{
    uint64_t bytes;
    return r->io->rss(r->io, &bytes) == 0 && bytes > r->resident_bytes / SHARES * n_shares;
}

static uint64_t part_off(const struct part *part)
{
    return (uint64_t)(part - part->file->parts) * PART_BYTES;
}

/* Whether a writer, or those who read what was just written, may be there. */
static bool is_at_tail(const struct mapped_file *f, uint64_t end)
{
    return f->written && f->start + end + PARTS_KEEP_BYTES >
                             atomic_load_explicit(f->written, memory_order_acquire);
}

/* What was read from disk is not kept in the page cache: others need that more. */
static void forget(struct reclaimer *r, const struct mapped_file *f, uint64_t off, uint64_t len)
{
    int fd = r->io->open(r->io, f->path, O_RDONLY, 0);
    if (fd < 0)
        return; /* only memory */
    if (r->io->forget(r->io, fd, off, len) == 0)
        atomic_fetch_add_explicit(&r->n_forgotten, 1, memory_order_relaxed); /* a count */
    (void)r->io->close(r->io, fd); /* read only: nothing to lose */
}

static void relax(struct reclaimer *r, struct part *part, bool was_cold)
{
    const struct mapped_file *f = part->file;
    uint64_t off = part_off(part);
    uint64_t len = f->bytes - off < PART_BYTES ? f->bytes - off : PART_BYTES;
    if (is_at_tail(f, off + len)) {
        parts_put_back(&r->parts, part);
        return;
    }
    (void)r->io->advise(r->io, f->base + off, len, IO_DONTNEED);       /* only memory */
    atomic_fetch_add_explicit(&r->n_relaxed, 1, memory_order_relaxed); /* a count */
    if (was_cold)
        forget(r, f, off, len);
}

/* Pages come in past the list, too: of slices sent late, and what recovery looked at. */
static void relax_all(struct reclaimer *r)
{
    uint64_t now_ns = r->io->mono_ns(r->io);
    if (r->relaxed_ns > 0 && now_ns - r->relaxed_ns < RELAX_MS * (uint64_t)1000000)
        return;
    r->relaxed_ns = now_ns;
    uint64_t end = atomic_load_explicit(r->log->written, memory_order_acquire);
    mapped_files_relax(r->log, end > PARTS_KEEP_BYTES ? end - PARTS_KEEP_BYTES : 0);
}

static void keep_resident(struct reclaimer *r)
{
    uint64_t n_left = atomic_load_explicit(&r->parts.n, memory_order_relaxed); /* each once */
    bool is_still_over = is_over(r, BEGIN_SHARES);
    while (is_still_over && n_left > 0) {
        for (int i = 0; i < AT_ONCE && n_left > 0; i++, n_left--) {
            bool was_cold;
            struct part *part = parts_take_oldest(&r->parts, &was_cold);
            if (part)
                relax(r, part, was_cold);
        }
        is_still_over = is_over(r, END_SHARES);
    }
    if (is_still_over)
        relax_all(r);
    uint64_t n = atomic_load_explicit(&r->parts.n, memory_order_relaxed); /* see struct part */
    atomic_store_explicit(&r->parts.wake_n, n + 1 + r->resident_bytes / SHARES / PART_BYTES,
                          memory_order_relaxed); /* late is late by one part */
}

/* All that is listed goes once when the log begins to rest; what is used again comes back by
 * faults, from the page cache. */
static void relax_at_rest(struct reclaimer *r)
{
    uint64_t n = atomic_load_explicit(&r->parts.n, memory_order_relaxed); /* each once */
    for (; r->is_resting && !r->has_rested && n > 0; n--) {
        bool was_cold;
        struct part *part = parts_take_oldest(&r->parts, &was_cold);
        if (part)
            relax(r, part, /* was_cold = */ false);
    }
    r->has_rested = r->is_resting;
}

static int until_next_ms(struct reclaimer *r)
{
    if (has_dead(r))
        return BURIED_RETRY_MS;
    if (r->resident_bytes > 0 && is_over(r, END_SHARES))
        return CLOSE_CHECK_MS;
    return r->budget_bytes > 0 || r->resident_bytes > 0 ? BUDGET_CHECK_MS : WORKER_WHEN_WOKEN;
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
    if (r->maps)
        queue_maps_trim(r->maps);
    if (r->dispatched)
        drop_behind(r);
    if (r->resident_bytes > 0) {
        relax_at_rest(r);
        keep_resident(r);
    }
    return until_next_ms(r);
}

static uint64_t count_pins(struct reclaimer *r, bool is_log_only)
{
    uint64_t n = 0;
    lock_take(&r->lock);
    for (struct mapped_file *f = r->dead; f; f = f->next_dead)
        if (f->written || !is_log_only)
            n += atomic_load_explicit(&f->pin.n, memory_order_acquire);
    lock_drop(&r->lock);
    return n;
}

uint64_t reclaimer_n_pins(struct reclaimer *r)
{
    return count_pins(r, /* is_log_only = */ false);
}

uint64_t reclaimer_n_log_pins(struct reclaimer *r)
{
    return count_pins(r, /* is_log_only = */ true);
}

void reclaimer_fini(struct reclaimer *r)
{
    for (struct mapped_file *f; (f = exhume_unpinned(r));)
        mapped_file_free(f);
    worker_fini(&r->worker);
    parts_fini(&r->parts);
    lock_fini(&r->lock);
}
