/* Makes room in front of the writer, so that appending needs no system call (I7).
 *
 * Files: the current one is appended to; the next is made (allocated, mapped, its first window
 * populated) once the current one is half full or would be full within FILL_AHEAD_S; it waits in
 * `ready` until an appender takes it. A next file never used is removed at the stop; a crash leaves
 * it as a file of zeros, which recovery drops.
 * Window: pages [published, published + window) are populated before they are reserved (I1). It is
 * wide under load and narrow when little is written; giving back pages only drops page-table
 * entries, so a writer that raced with it meets a minor fault and nothing worse. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/allocator.h"

#include <assert.h>
#include <inttypes.h>

enum {
    POPULATE_STEP_BYTES = 4 << 20, /* waiting appenders go on after each */
    FILL_AHEAD_S = 5,
    RATE_STEP_MS = 1000,
    IDLE_STEPS = 5, /* without an append, before the window shrinks */
    WAIT_MS = 1000, /* only against a lost thread: every turn wakes the waiters */
};

void allocator_init(struct allocator *a, struct mapped_files *log,
                    const _Atomic uint64_t *published, uint64_t window_bytes,
                    uint64_t idle_window_bytes)
{
    *a = (struct allocator){
        .log = log,
        .published = published,
        .window_bytes = window_bytes,
        .idle_window_bytes = idle_window_bytes,
    };
    worker_init(&a->worker, allocator_step, a);
    lock_init(&a->lock, LOCK_LEAF);
    lock_cond_init(&a->cond);
}

static uint64_t window_end(const struct mapped_file *f, uint64_t in_file, uint64_t window)
{
    uint64_t end = in_file + window;
    end += MAPPED_PAGE_BYTES - 1;
    end -= end % MAPPED_PAGE_BYTES;
    return end < f->bytes ? end : f->bytes;
}

int allocator_begin(struct allocator *a, struct mapped_file *first, uint64_t off, struct err *e)
{
    uint64_t in_file = off - first->start;
    /* pages behind the writer count as populated: they are not written again */
    atomic_store_explicit(&first->populated, in_file - in_file % MAPPED_PAGE_BYTES,
                          memory_order_release);
    int rc = mapped_file_populate(first, window_end(first, in_file, a->idle_window_bytes), e);
    if (rc < 0)
        return rc;
    atomic_store_explicit(&a->nudge_off, off, memory_order_seq_cst); /* see struct allocator */
    mapped_file_pin(first);
    a->current = first;
    a->seen_off = off;
    a->seen_ns = first->io->mono_ns(first->io);
    return 0;
}

/* ---- the appender's side ---- */

struct mapped_file *allocator_take(struct allocator *a)
{
    /* pairs with the release in make_next: the file is whole */
    return atomic_exchange_explicit(&a->ready, NULL, memory_order_acquire);
}

void allocator_nudge(struct allocator *a, uint64_t published)
{
    if (published >= atomic_load_explicit(&a->nudge_off, memory_order_seq_cst))
        worker_wake(&a->worker);
}

struct allocator_turn allocator_turn(struct allocator *a)
{
    return (struct allocator_turn){
        .n_turns = atomic_load_explicit(&a->n_turns, memory_order_acquire), /* pairs with tell() */
        .n_failures = atomic_load_explicit(&a->n_failures, memory_order_acquire),
    };
}

int allocator_wait(struct allocator *a, struct allocator_turn seen, struct err *e)
{
    /* seq_cst with worker_wake: the step that it makes due sees the wish */
    atomic_store_explicit(&a->is_wanted, true, memory_order_seq_cst);
    worker_wake(&a->worker);
    int rc = 0;
    lock_take(&a->lock);
    while (atomic_load_explicit(&a->n_turns, memory_order_acquire) == seen.n_turns &&
           !atomic_load_explicit(&a->is_stopped, memory_order_acquire))
        lock_wait(&a->lock, &a->cond, WAIT_MS);
    if (atomic_load_explicit(&a->n_failures, memory_order_acquire) != seen.n_failures) {
        *e = a->failure;
        rc = e->code;
    } else if (atomic_load_explicit(&a->is_stopped, memory_order_acquire)) {
        rc = err_set(e, ERR_CLOSED, "append: the store is closing");
    }
    lock_drop(&a->lock);
    return rc;
}

/* ---- the step ---- */

static void tell(struct allocator *a, int rc, const struct err *e)
{
    lock_take(&a->lock);
    if (rc < 0) {
        a->failure = *e;
        atomic_fetch_add_explicit(&a->n_failures, 1, memory_order_release);
    }
    atomic_fetch_add_explicit(&a->n_turns, 1, memory_order_release);
    (void)pthread_cond_broadcast(&a->cond);
    lock_drop(&a->lock);
}

/* Populates `f` up to `upto` in pieces, letting waiting appenders go on after each. */
static int populate_to(struct allocator *a, struct mapped_file *f, uint64_t upto, struct err *e)
{
    for (;;) {
        uint64_t done = atomic_load_explicit(&f->populated, memory_order_acquire);
        if (done >= upto)
            return 0;
        uint64_t to = upto - done > POPULATE_STEP_BYTES ? done + POPULATE_STEP_BYTES : upto;
        int rc = mapped_file_populate(f, to, e);
        if (rc < 0)
            return rc;
        if (f == a->current)
            tell(a, 0, e);
    }
}

static int make_next(struct allocator *a, struct err *e)
{
    struct mapped_files *log = a->log;
    struct mapped_file *f;
    int rc = mapped_file_create(&f, log->io, log->folder, a->current->start + log->file_bytes,
                                log->file_bytes, log->file_bytes, e);
    if (rc < 0)
        return rc;
    rc = populate_to(a, f, window_end(f, 0, a->idle_window_bytes), e);
    if (rc == 0)
        rc = mapped_files_add(log, f, e);
    if (rc < 0) {
        (void)log->io->unlink(log->io, f->path); /* the failure before is the one to tell */
        mapped_file_free(f);
        return rc;
    }
    mapped_file_pin(f); /* ours */
    mapped_file_pin(f); /* the taker's */
    a->next = f;
    atomic_store_explicit(&a->ready, f, memory_order_release); /* pairs with allocator_take */
    tell(a, 0, e);
    return 0;
}

/* After an appender took the next file the window moves over to it. */
static void follow(struct allocator *a, uint64_t published)
{
    if (!a->next || published < a->next->start)
        return;
    mapped_file_unpin(a->current);
    a->current = a->next;
    a->next = NULL;
}

static void measure(struct allocator *a, uint64_t published)
{
    uint64_t now_ns = a->log->io->mono_ns(a->log->io);
    uint64_t elapsed_ms = (now_ns - a->seen_ns) / 1000000;
    if (elapsed_ms < RATE_STEP_MS / 10)
        return;
    uint64_t rate = (published - a->seen_off) * 1000 / elapsed_ms;
    a->n_idle_steps = published == a->seen_off ? a->n_idle_steps + 1 : 0;
    a->bytes_per_s = (a->bytes_per_s + rate) / 2;
    a->seen_off = published;
    a->seen_ns = now_ns;
}

static bool next_is_due(const struct allocator *a, uint64_t published, bool is_wanted)
{
    if (a->next)
        return false;
    uint64_t in_file = published - a->current->start;
    uint64_t left = a->current->bytes - in_file;
    /* who waits with the whole window before it waits for a file */
    uint64_t populated = atomic_load_explicit(&a->current->populated, memory_order_acquire);
    if (is_wanted && populated == a->current->bytes)
        return true;
    return in_file > a->current->bytes / 2 || a->bytes_per_s * FILL_AHEAD_S > left;
}

/* Gives back what is populated too far ahead of a writer that stopped. */
static void shrink(struct allocator *a, uint64_t published)
{
    struct mapped_file *f = a->current;
    uint64_t keep = window_end(f, published - f->start, a->idle_window_bytes);
    uint64_t populated = atomic_load_explicit(&f->populated, memory_order_acquire);
    if (a->n_idle_steps < IDLE_STEPS || keep >= populated)
        return;
    /* first the mark, then the pages: see the head of this file */
    atomic_store_explicit(&f->populated, keep, memory_order_release);
    (void)f->io->advise(f->io, f->base + keep, populated - keep, IO_DONTNEED); /* only memory */
}

/* Sets where the writer must call again; whether it is there already. */
static bool set_nudge(struct allocator *a, uint64_t window)
{
    const struct mapped_file *f = a->current;
    uint64_t populated = atomic_load_explicit(&f->populated, memory_order_acquire);
    uint64_t window_off = f->start + (populated > window / 2 ? populated - window / 2 : 0);
    uint64_t file_off = a->next ? f->start + f->bytes : f->start + f->bytes / 2 + 1;
    uint64_t off = populated == f->bytes || file_off < window_off ? file_off : window_off;
    atomic_store_explicit(&a->nudge_off, off, memory_order_seq_cst);
    return atomic_load_explicit(a->published, memory_order_seq_cst) >= off;
}

int allocator_step(void *arg)
{
    struct allocator *a = arg;
    struct err e;
    bool is_wanted = atomic_exchange_explicit(&a->is_wanted, false, memory_order_seq_cst);
    uint64_t published = atomic_load_explicit(a->published, memory_order_seq_cst);
    follow(a, published);
    measure(a, published);
    bool is_busy = is_wanted || a->bytes_per_s > a->idle_window_bytes;
    uint64_t window = is_busy ? a->window_bytes : a->idle_window_bytes;
    int rc = populate_to(a, a->current,
                         window_end(a->current, published - a->current->start, window), &e);
    if (rc == 0 && next_is_due(a, published, is_wanted))
        rc = make_next(a, &e);
    if (rc < 0 || is_wanted)
        tell(a, rc, &e);
    shrink(a, published);
    if (set_nudge(a, window) && rc == 0)
        return WORKER_AT_ONCE;
    bool is_idle = a->n_idle_steps >= IDLE_STEPS && a->bytes_per_s == 0;
    return is_idle ? WORKER_WHEN_WOKEN : RATE_STEP_MS;
}

int allocator_stop(struct allocator *a, struct err *e)
{
    worker_stop(&a->worker);
    lock_take(&a->lock);
    atomic_store_explicit(&a->is_stopped, true, memory_order_release);
    (void)pthread_cond_broadcast(&a->cond);
    lock_drop(&a->lock);
    struct mapped_file *unused = allocator_take(a);
    mapped_file_unpin(a->current);
    mapped_file_unpin(a->next);
    a->current = a->next = NULL;
    if (!unused)
        return 0;
    uint64_t start = unused->start;
    mapped_file_unpin(unused);
    return mapped_files_drop_from(a->log, start, e);
}

void allocator_fini(struct allocator *a)
{
    worker_fini(&a->worker);
    (void)pthread_cond_destroy(&a->cond);
    lock_fini(&a->lock);
}
