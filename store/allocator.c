/* Makes room in front of the writer, so that appending needs no system call (I7).
 *
 * Window: the pages [published, published + window) are populated before they are reserved (I1), on
 * into the next file where one ends. It is as wide as what is written in WINDOW_MS, within bounds.
 * What others write-protect of it, by a sync of the disk, or the kernel by its own writeback of a
 * file that was dirty for half a minute, is made writable again a stretch ahead of the writer, who
 * calls after each. A window that is used up sooner than these come is left alone.
 * Giving back pages only drops page-table entries, so a writer that raced with it meets a minor
 * fault and nothing worse.
 * Files: the current one is written to; the next is made (allocated, mapped, its first window
 * populated) once the current one is half full or would be full within FILL_AHEAD_S; it waits in
 * `ready` until an appender takes it. That takes as long as the disk likes, so a thread of its own
 * does it. A next file never used is removed at the stop; a crash leaves it as a file of zeros,
 * which recovery drops.
 * A file is populated by the maker until it is in `made`, then by the window, and beside it by an
 * appender that outran it: with two processors neither then waits for the other. Pieces are claimed
 * in order under the lock; the mark moves over what lies without a gap. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/allocator.h"

#include <assert.h>
#include <inttypes.h>

enum {
    POPULATE_STEP_BYTES = 1 << 20, /* waiting appenders go on after each */
    HELP_BYTES = 512 << 10,        /* what an appender populates at a time */
    WINDOW_MS = 100,
    FILL_AHEAD_S = 5,
    RATE_MIN_MS = 10, /* shorter than this tells nothing of the rate */
    RATE_STEP_MS = 1000,
    RATE_DECAY = 4,      /* a quarter of the way down at each step */
    RENEWALS_PER_S = 64, /* a stretch is what is written until the next one */
    RENEW_MIN_BYTES = 32 << 10,
    RENEW_MAX_BYTES = 256 << 10,
    RENEW_LEAD_MS = 250, /* a window that lasts no longer is left alone */
    IDLE_MS = 5000,      /* without an append, before the window shrinks */
    WAIT_MS = 1000,      /* only against a lost thread: every turn wakes the waiters */
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
    atomic_init(&a->due_off, ALLOCATOR_NOT_DUE);
    worker_init(&a->window, allocator_window_step, a);
    worker_init(&a->maker, allocator_maker_step, a);
    lock_init(&a->lock, LOCK_LEAF);
    lock_cond_init(&a->cond);
}

/* Bytes of a file, whole pages. */
struct piece {
    uint64_t from, to;
};

static uint64_t window_end(const struct mapped_file *f, uint64_t in_file, uint64_t window)
{
    uint64_t end = in_file + window;
    end += MAPPED_PAGE_BYTES - 1;
    end -= end % MAPPED_PAGE_BYTES;
    return end < f->bytes ? end : f->bytes;
}

/* Makes a file that nobody else knows ready to be written from `in_file` on. */
static int make_ready(struct mapped_file *f, uint64_t in_file, uint64_t window, struct err *e)
{
    /* pages behind the writer count as populated: they are not written again */
    uint64_t done = window > 0 ? in_file - in_file % MAPPED_PAGE_BYTES : f->bytes;
    atomic_store_explicit(&f->populated, done, memory_order_release);
    if (window == 0)
        return mapped_file_protect(f, e);
    return mapped_file_populate(f, window_end(f, in_file, window), e);
}

int allocator_begin(struct allocator *a, struct mapped_file *first, uint64_t off, struct err *e)
{
    int rc = make_ready(first, off - first->start, a->idle_window_bytes, e);
    if (rc < 0)
        return rc;
    atomic_store_explicit(&a->nudge_off, off, memory_order_seq_cst); /* see struct allocator */
    mapped_file_pin(first);
    a->current = first;
    a->seen_off = off;
    a->seen_ns = first->io->mono_ns(first->io);
    return 0;
}

int allocator_start(struct allocator *a, struct err *e)
{
    int rc = worker_start(&a->maker, "store-alloc", e);
    return rc == 0 ? worker_start(&a->window, "store-populate", e) : rc;
}

/* ---- the appender's side ---- */

struct mapped_file *allocator_take(struct allocator *a)
{
    /* pairs with the release in hand_out: the file is whole */
    return atomic_exchange_explicit(&a->ready, NULL, memory_order_acquire);
}

uint64_t allocator_ready_bytes(struct allocator *a)
{
    /* pairs with the release in hand_out; nobody takes it and drops its pin meanwhile */
    const struct mapped_file *f = atomic_load_explicit(&a->ready, memory_order_acquire);
    return f ? atomic_load_explicit(&f->populated, memory_order_acquire) : 0;
}

void allocator_nudge(struct allocator *a, uint64_t published)
{
    if (published >= atomic_load_explicit(&a->nudge_off, memory_order_seq_cst))
        worker_wake(&a->window);
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
    worker_wake(&a->window);
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

/* ---- telling who waits ---- */

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

void allocator_rouse(struct allocator *a)
{
    tell(a, 0, /* e = */ NULL);
}

/* ---- populating, by the window and by an appender that outran it ---- */

/* Takes the next piece of `f`, of `most` bytes at most; false when all up to `upto` is taken.
 * Locks: LOCK_LEAF. */
static bool claim(struct mapped_file *f, uint64_t most, uint64_t upto, struct piece *ret)
{
    uint64_t populated = atomic_load_explicit(&f->populated, memory_order_acquire);
    if (f->claimed < populated)
        f->claimed = populated;
    if (f->claimed >= upto)
        return false;
    ret->from = f->claimed;
    ret->to = upto - f->claimed > most ? f->claimed + most : upto;
    f->claimed = ret->to;
    return true;
}

/* Notes that a piece is there. Two populate at most, and pieces are taken in order: so what is
 * there behind one that is not lies in one stretch. Locks: LOCK_LEAF. */
static void settle(struct mapped_file *f, const struct piece *p)
{
    uint64_t populated = atomic_load_explicit(&f->populated, memory_order_acquire);
    if (p->from > populated) {
        f->ahead_from = f->ahead_to == p->from ? f->ahead_from : p->from;
        f->ahead_to = p->to;
        return;
    }
    uint64_t upto = p->to;
    if (f->ahead_from <= upto && f->ahead_to > upto)
        upto = f->ahead_to;
    if (upto > populated) /* pairs with find_place in commit_log.c */
        atomic_store_explicit(&f->populated, upto, memory_order_release);
}

static int populate_piece(struct allocator *a, struct mapped_file *f, const struct piece *p,
                          struct err *e)
{
    int rc = mapped_file_fill(f, p->from, p->to, e);
    lock_take(&a->lock);
    if (rc == 0)
        settle(f, p);
    else
        f->claimed = 0; /* all that is not there is anybody's again */
    lock_drop(&a->lock);
    return rc;
}

/* Not beyond the window: while a piece of another is late, more would be made without end. */
static uint64_t help_end(const struct allocator *a, const struct mapped_file *f)
{
    uint64_t published = atomic_load_explicit(a->published, memory_order_acquire);
    return window_end(f, published > f->start ? published - f->start : 0, a->window_bytes);
}

bool allocator_help(struct allocator *a, struct mapped_file *f, struct err *e)
{
    struct piece p;
    lock_take(&a->lock);
    bool is_mine = !a->is_helped && a->window_bytes > 0 && claim(f, HELP_BYTES, help_end(a, f), &p);
    a->is_helped |= is_mine;
    lock_drop(&a->lock);
    if (!is_mine)
        return false;
    /* the window is too small: see allocator_wait */
    atomic_store_explicit(&a->is_wanted, true, memory_order_seq_cst);
    worker_wake(&a->window);
    int rc = populate_piece(a, f, &p, e);
    lock_take(&a->lock);
    a->is_helped = false;
    lock_drop(&a->lock);
    tell(a, rc, e);
    return rc == 0;
}

/* ---- the maker ---- */

static int make_file(struct mapped_files *log, uint64_t start, uint64_t populate_bytes,
                     struct mapped_file **ret_file, struct err *e)
{
    struct mapped_file *f;
    int rc =
        mapped_file_create(&f, log->io, log->folder, start, log->file_bytes, log->file_bytes, e);
    if (rc < 0)
        return rc;
    rc = make_ready(f, 0, populate_bytes, e);
    if (rc == 0)
        rc = mapped_files_add(log, f, e);
    if (rc < 0) {
        (void)log->io->unlink(log->io, f->path); /* the failure before is the one to tell */
        mapped_file_free(f);
        return rc;
    }
    *ret_file = f;
    return 0;
}

static void hand_out(struct allocator *a, struct mapped_file *f)
{
    mapped_file_pin(f);                                        /* the window's */
    mapped_file_pin(f);                                        /* the taker's */
    atomic_store_explicit(&a->made, f, memory_order_release);  /* pairs with follow */
    atomic_store_explicit(&a->ready, f, memory_order_release); /* pairs with allocator_take */
    /* last: who sees that nothing is due sees `made`, and does not have the file made again */
    atomic_store_explicit(&a->due_off, ALLOCATOR_NOT_DUE, memory_order_seq_cst);
    worker_wake(&a->window);
}

int allocator_maker_step(void *arg)
{
    struct allocator *a = arg;
    struct err e;
    struct mapped_file *f;
    uint64_t due_off = atomic_load_explicit(&a->due_off, memory_order_seq_cst);
    if (due_off == ALLOCATOR_NOT_DUE)
        return WORKER_WHEN_WOKEN;
    int rc = make_file(a->log, due_off, a->idle_window_bytes, &f, &e);
    if (rc == 0)
        hand_out(a, f);
    tell(a, rc, &e);
    return rc < 0 ? RATE_STEP_MS : WORKER_WHEN_WOKEN;
}

/* ---- the window ---- */

/* Takes what was made, and moves on to it after an appender has. */
static void follow(struct allocator *a, uint64_t published)
{
    if (!a->next)
        a->next = atomic_exchange_explicit(&a->made, NULL, memory_order_acquire); /* hand_out */
    if (!a->next || published < a->next->start)
        return;
    mapped_file_unpin(a->current);
    a->current = a->next;
    a->next = NULL;
}

uint64_t allocator_rate(const struct allocator *a)
{
    return atomic_load_explicit(&a->bytes_per_s, memory_order_relaxed); /* only a measure */
}

static void measure(struct allocator *a, uint64_t published)
{
    uint64_t now_ns = a->log->io->mono_ns(a->log->io);
    uint64_t elapsed_ms = (now_ns - a->seen_ns) / 1000000;
    if (elapsed_ms < RATE_MIN_MS)
        return;
    uint64_t rate = (published - a->seen_off) * 1000 / elapsed_ms;
    uint64_t before = allocator_rate(a);
    uint64_t lower = before - (before + RATE_DECAY - 1) / RATE_DECAY;
    atomic_store_explicit(&a->bytes_per_s, rate > lower ? rate : lower, memory_order_relaxed);
    if (published != a->seen_off)
        a->idle_since_ns = 0;
    else if (a->idle_since_ns == 0)
        a->idle_since_ns = now_ns;
    a->seen_off = published;
    a->seen_ns = now_ns;
}

static bool is_idle(const struct allocator *a)
{
    return a->idle_since_ns > 0 && (a->seen_ns - a->idle_since_ns) / 1000000 >= IDLE_MS;
}

static uint64_t choose_window(const struct allocator *a, bool is_wanted)
{
    uint64_t bytes = allocator_rate(a) / 1000 * WINDOW_MS;
    if (is_wanted || bytes > a->window_bytes)
        return a->window_bytes;
    return bytes > a->idle_window_bytes ? bytes : a->idle_window_bytes;
}

/* Populates `f` up to `upto` in pieces, letting waiting appenders go on after each. */
static int populate_to(struct allocator *a, struct mapped_file *f, uint64_t upto, struct err *e)
{
    for (;;) {
        struct piece p;
        lock_take(&a->lock);
        bool is_left = claim(f, POPULATE_STEP_BYTES, upto, &p);
        lock_drop(&a->lock);
        if (!is_left)
            return 0;
        int rc = populate_piece(a, f, &p, e);
        if (rc < 0)
            return rc;
        tell(a, 0, e);
    }
}

static int populate(struct allocator *a, uint64_t published, uint64_t window, struct err *e)
{
    const struct mapped_file *f = a->current;
    uint64_t in_file = published - f->start;
    int rc = populate_to(a, a->current, window_end(f, in_file, window), e);
    if (rc < 0 || !a->next || f->bytes - in_file >= window)
        return rc;
    return populate_to(a, a->next, window_end(a->next, 0, window - (f->bytes - in_file)), e);
}

/* After how much writing pages are renewed; 0: never. */
static uint64_t renew_bytes(const struct allocator *a, uint64_t window)
{
    uint64_t rate = allocator_rate(a), bytes = rate / RENEWALS_PER_S;
    if (rate > window * 1000 / RENEW_LEAD_MS)
        return 0;
    if (bytes < RENEW_MIN_BYTES)
        return window > 0 ? RENEW_MIN_BYTES : 0;
    return bytes < RENEW_MAX_BYTES ? bytes : RENEW_MAX_BYTES;
}

static void renew_in(struct mapped_file *f, uint64_t from, uint64_t to)
{
    uint64_t populated = atomic_load_explicit(&f->populated, memory_order_acquire);
    from -= from % MAPPED_PAGE_BYTES;
    to = to < populated ? to : populated;
    if (from < to)
        (void)f->io->populate(f->io, f->base + from, to - from); /* else its writer meets a fault */
}

/* Makes what is populated just ahead of the writer writable again, for this stretch and the next.
 */
static void renew(struct allocator *a, uint64_t published, uint64_t window)
{
    uint64_t bytes = renew_bytes(a, window);
    uint64_t in_file = published - a->current->start, upto = in_file + 2 * bytes;
    if (bytes == 0)
        return;
    renew_in(a->current, in_file, upto);
    if (a->next && upto > a->current->bytes)
        renew_in(a->next, 0, upto - a->current->bytes);
}

static bool is_file_due(const struct allocator *a, uint64_t published, bool is_wanted)
{
    uint64_t in_file = published - a->current->start;
    uint64_t left = a->current->bytes - in_file;
    /* who waits with the whole window before it waits for a file */
    uint64_t populated = atomic_load_explicit(&a->current->populated, memory_order_acquire);
    if (is_wanted && populated == a->current->bytes)
        return true;
    return in_file > a->current->bytes / 2 || allocator_rate(a) * FILL_AHEAD_S > left;
}

static bool is_asked_for(struct allocator *a)
{
    return atomic_load_explicit(&a->due_off, memory_order_seq_cst) != ALLOCATOR_NOT_DUE;
}

/* Has the next file made when it is time, and once more for who waits after a failure. */
static void ask_for_file(struct allocator *a, uint64_t published, bool is_wanted)
{
    if (a->next || !is_file_due(a, published, is_wanted))
        return;
    if (!is_asked_for(a)) {
        /* only now: see hand_out */
        if (atomic_load_explicit(&a->made, memory_order_acquire))
            return;
        atomic_store_explicit(&a->due_off, a->current->start + a->log->file_bytes,
                              memory_order_seq_cst); /* see struct allocator */
    } else if (!is_wanted) {
        return;
    }
    worker_wake(&a->maker);
}

/* Gives back what is populated behind byte `keep`. */
static void shrink(struct allocator *a, struct mapped_file *f, uint64_t keep)
{
    uint64_t populated = atomic_load_explicit(&f->populated, memory_order_acquire);
    if (keep >= populated)
        return;
    /* first the mark, then the pages: see the head of this file */
    lock_take(&a->lock);
    atomic_store_explicit(&f->populated, keep, memory_order_release);
    f->claimed = keep;
    lock_drop(&a->lock);
    (void)a->log->io->advise(a->log->io, f->base + keep, populated - keep,
                             IO_DONTNEED); /* only memory */
}

/* Sets where the writer must call again: after `published`, seen before, or sooner than the window
 * ends; whether it is there already. */
static bool set_nudge(struct allocator *a, uint64_t published, uint64_t window)
{
    const struct mapped_file *f = a->current;
    uint64_t populated = atomic_load_explicit(&f->populated, memory_order_acquire);
    uint64_t off = UINT64_MAX; /* all is done until the maker wakes us */
    if (populated < f->bytes)
        off = f->start + (populated > window / 2 ? populated - window / 2 : 0);
    else if (a->next)
        off = f->start + f->bytes;
    uint64_t file_off = f->start + f->bytes / 2 + 1;
    if (!a->next && file_off < off && !is_asked_for(a))
        off = file_off;
    uint64_t renewed = renew_bytes(a, window);
    if (renewed > 0 && published + renewed < off) /* what is idle is surely write-protected */
        off = published + (is_idle(a) ? 1 : renewed);
    atomic_store_explicit(&a->nudge_off, off, memory_order_seq_cst);
    return atomic_load_explicit(a->published, memory_order_seq_cst) >= off;
}

int allocator_window_step(void *arg)
{
    struct allocator *a = arg;
    struct err e;
    bool is_wanted = atomic_exchange_explicit(&a->is_wanted, false, memory_order_seq_cst);
    uint64_t published = atomic_load_explicit(a->published, memory_order_seq_cst);
    follow(a, published);
    measure(a, published);
    uint64_t window = choose_window(a, is_wanted);
    ask_for_file(a, published, is_wanted); /* before populating: both go on at the same time */
    if (!is_wanted && !is_idle(a))         /* an idle log's pages stay clean */
        renew(a, published, window);
    int rc = populate(a, published, window, &e);
    if (rc < 0)
        tell(a, rc, &e);
    if (is_idle(a) && a->window_bytes > 0) {
        shrink(a, a->current,
               window_end(a->current, published - a->current->start, a->idle_window_bytes));
        if (a->next)
            shrink(a, a->next, window_end(a->next, 0, a->idle_window_bytes));
    }
    if (set_nudge(a, published, window) && rc == 0)
        return WORKER_AT_ONCE;
    return is_idle(a) && allocator_rate(a) == 0 ? WORKER_WHEN_WOKEN : RATE_STEP_MS;
}

int allocator_stop(struct allocator *a, struct err *e)
{
    worker_stop(&a->window);
    worker_stop(&a->maker);
    lock_take(&a->lock);
    atomic_store_explicit(&a->is_stopped, true, memory_order_release);
    (void)pthread_cond_broadcast(&a->cond);
    lock_drop(&a->lock);
    struct mapped_file *unused = allocator_take(a);
    mapped_file_unpin(a->current);
    mapped_file_unpin(a->next);
    mapped_file_unpin(atomic_exchange_explicit(&a->made, NULL, memory_order_acquire));
    a->current = a->next = NULL;
    if (!unused)
        return 0;
    uint64_t start = unused->start;
    mapped_file_unpin(unused);
    return mapped_files_drop_from(a->log, start, e);
}

void allocator_fini(struct allocator *a)
{
    worker_fini(&a->window);
    worker_fini(&a->maker);
    (void)pthread_cond_destroy(&a->cond);
    lock_fini(&a->lock);
}
