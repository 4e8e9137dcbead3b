/* Loading and cutting a consume queue: where its entries begin and end on disk. A damaged entry in
 * the middle is no end. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "store/consume_queue.h"
#include "store/format.h"
#include "store/record.h"

/* Whether the file's entry at byte `at` of the queue is there and points below `below_log_off`. */
static int entry_holds(struct consume_queue *q, uint64_t at, uint64_t below_log_off,
                       bool *ret_holds, struct err *e)
{
    struct mapped_file *f;
    int rc = consume_queue_pin(q, at, &f, e);
    if (rc < 0)
        return rc;
    struct store_queue_entry entry;
    *ret_holds = store_queue_entry_decode(f->base + (at - f->start), &entry) &&
                 entry.log_off < below_log_off;
    mapped_file_unpin(f);
    return 0;
}

/* The end of the believed entries in [lo, hi): they come first, so leaps and halving find it. */
static int find_end(struct consume_queue *q, uint64_t lo, uint64_t hi, uint64_t below_log_off,
                    uint64_t *ret_end, struct err *e)
{
    uint64_t step =
        1; /* doubled while they hold: a short queue is found without touching the rest */
    while (lo < hi) {
        uint64_t mid = hi - lo > 2 * step ? lo + step : lo + (hi - lo) / 2;
        step *= 2;
        bool holds;
        int rc = entry_holds(q, mid * STORE_QUEUE_ENTRY_BYTES, below_log_off, &holds, e);
        if (rc < 0)
            return rc;
        if (holds)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret_end = lo;
    return 0;
}

/* Moves `*end` behind the last entry in the file that points below `below_log_off`. */
static int look_behind_in(struct mapped_file *f, uint64_t below_log_off, uint64_t *end,
                          struct err *e)
{
    uint64_t at =
        *end * STORE_QUEUE_ENTRY_BYTES > f->start ? *end * STORE_QUEUE_ENTRY_BYTES : f->start;
    struct io *io = f->io;
    int fd = io->open(io, f->path, O_RDONLY, 0);
    if (fd < 0)
        return err_sys(e, -fd, "open '%s'", f->path);
    int rc = 0;
    for (uint64_t data; at < f->start + f->bytes; at += STORE_QUEUE_ENTRY_BYTES) {
        struct store_queue_entry entry;
        uint64_t in_file = at - f->start;
        if (in_file % MAPPED_PAGE_BYTES < STORE_QUEUE_ENTRY_BYTES) { /* the first of a page */
            rc = io->next_data(io, fd, in_file, &data);
            if (rc < 0 || data >= f->bytes)
                break;
            if (data > in_file) /* no further than to the entry that reaches into it */
                at = f->start + data - data % STORE_QUEUE_ENTRY_BYTES;
        }
        if (store_queue_entry_decode(f->base + (at - f->start), &entry) &&
            entry.log_off < below_log_off)
            *end = at / STORE_QUEUE_ENTRY_BYTES + 1;
    }
    (void)io->close(io, fd); /* read only: nothing to lose */
    return rc < 0 && rc != -ENXIO ? err_sys(e, -rc, "look for data in '%s'", f->path) : 0;
}

/* Moves `*end` over damaged entries that a search took for the end. */
static int pass_damaged(struct consume_queue *q, uint64_t files_end, uint64_t below_log_off,
                        uint64_t *end, struct err *e)
{
    int rc = 0;
    for (uint64_t at = *end * STORE_QUEUE_ENTRY_BYTES; rc == 0 && at < files_end;) {
        struct mapped_file *f;
        rc = consume_queue_pin(q, at, &f, e);
        if (rc < 0)
            return rc;
        rc = look_behind_in(f, below_log_off, end, e);
        at = f->start + f->bytes;
        mapped_file_unpin(f);
    }
    return rc;
}

/* Moves `*first` over the entries of a first file that stand for numbers before the queue began. */
static int pass_pre_blanks(struct consume_queue *q, uint64_t *first, uint64_t end, struct err *e)
{
    for (; *first < end; ++*first) {
        struct store_queue_entry entry;
        size_t n;
        int rc = consume_queue_read(q, *first, &entry, 1, &n, e);
        if (rc < 0)
            return rc;
        if (consume_queue_is_real(&entry) || consume_queue_is_damaged(&entry))
            return 0;
    }
    return 0;
}

static bool is_zero(const uint8_t *p, uint64_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* Zeroes `f` from byte `from` on; `*ret_upto` is where the last changed page ends, 0 when none was.
 * Holes are passed over: looking at them would cache them. */
static int clear_file(struct mapped_file *f, int fd, uint64_t from, uint64_t *ret_upto,
                      struct err *e)
{
    struct io *io = f->io;
    *ret_upto = 0;
    while (from < f->bytes) {
        int rc = io->next_data(io, fd, from, &from);
        if (rc == -ENXIO)
            break;
        if (rc < 0)
            return err_sys(e, -rc, "look for data in '%s'", f->path);
        if (from >= f->bytes)
            break;
        uint64_t page_end = from - from % MAPPED_PAGE_BYTES + MAPPED_PAGE_BYTES;
        uint64_t upto = page_end < f->bytes ? page_end : f->bytes;
        if (!is_zero(f->base + from, upto - from)) {
            rc = mapped_file_allocate(f, f->bytes, e); /* I4 */
            if (rc < 0)
                return rc;
            memset(f->base + from, 0, upto - from);
            *ret_upto = upto;
        }
        from = upto;
    }
    return 0;
}

/* Zeroes the rest of the file that holds byte `at`, whose end is `*ret_end`. */
static int clear_rest(struct consume_queue *q, uint64_t at, uint64_t *ret_end, struct err *e)
{
    struct mapped_file *f;
    uint64_t upto;
    int rc = consume_queue_pin(q, at, &f, e);
    if (rc < 0)
        return rc;
    int fd = f->io->open(f->io, f->path, O_RDONLY, 0);
    if (fd < 0) {
        rc = err_sys(e, -fd, "open '%s'", f->path);
    } else {
        rc = clear_file(f, fd, at - f->start, &upto, e);
        (void)f->io->close(f->io, fd); /* read only: nothing to lose */
        if (upto > 0 && f->start + upto > q->cleared_upto)
            q->cleared_upto = f->start + upto;
    }
    *ret_end = f->start + f->bytes;
    mapped_file_unpin(f);
    return rc;
}

/* Zeroes what lies behind `end` in its file and drops the files behind that. */
static int clear_behind(struct consume_queue *q, uint64_t end, struct err *e)
{
    uint64_t at = end * STORE_QUEUE_ENTRY_BYTES, start, files_end, keep_to;
    mapped_file_unpin(q->tail);
    q->tail = NULL;
    mapped_files_bounds(&q->files, &start, &files_end);
    if (at >= files_end)
        return 0;
    int rc = clear_rest(q, at, &keep_to, e);
    if (rc < 0)
        return rc;
    q->has_dropped = q->has_dropped || keep_to < files_end;
    return mapped_files_drop_from(&q->files, keep_to, e);
}

/* The last entry below `end` that points at a record; size 0: none does. */
static int find_last(struct consume_queue *q, uint64_t end, struct store_queue_entry *ret,
                     struct err *e)
{
    uint64_t min_off = atomic_load_explicit(&q->min_off, memory_order_acquire);
    *ret = (struct store_queue_entry){0};
    while (end > min_off) {
        struct store_queue_entry entry;
        size_t n = 0;
        int rc = consume_queue_read(q, --end, &entry, 1, &n, e);
        if (rc < 0)
            return rc;
        if (n == 1 && consume_queue_is_real(&entry)) {
            *ret = entry;
            break;
        }
    }
    return 0;
}

void consume_queue_believe(struct consume_queue *q, const struct queue_ends *ends)
{
    q->last = ends->last;
    q->flushed_off = ends->end_off;
    consume_queue_set_bounds(q, ends->min_off, ends->end_off);
    atomic_store_explicit(&q->has_listed, false, memory_order_release); /* nobody uses it yet */
}

static int list_late(struct consume_queue *q, struct err *e)
{
    uint64_t start, end;
    int rc = mapped_files_load(&q->files, e);
    if (rc < 0)
        return rc;
    mapped_files_bounds(&q->files, &start, &end);
    if (end < consume_queue_end(q) * STORE_QUEUE_ENTRY_BYTES)
        return err_set(e, ERR_CORRUPT, "list '%s': it ends before number %" PRIu64, q->files.folder,
                       consume_queue_end(q));
    return 0;
}

int consume_queue_need_files(struct consume_queue *q, struct err *e)
{
    if (consume_queue_has_listed(q))
        return 0;
    int rc = 0;
    lock_take(&q->lock);
    if (!atomic_load_explicit(&q->has_listed, memory_order_relaxed)) { /* stored under the lock */
        rc = list_late(q, e);
        if (rc == 0)
            atomic_store_explicit(&q->has_listed, true, memory_order_release);
        else
            mapped_files_forget(&q->files); /* the next who comes tries again */
    }
    lock_drop(&q->lock);
    return rc;
}

int consume_queue_load(struct consume_queue *q, uint64_t below_log_off, struct err *e)
{
    int rc = mapped_files_load(&q->files, e);
    if (rc < 0)
        return rc;
    uint64_t start, files_end, end;
    mapped_files_bounds(&q->files, &start, &files_end);
    uint64_t first = start / STORE_QUEUE_ENTRY_BYTES;
    rc = find_end(q, first, files_end / STORE_QUEUE_ENTRY_BYTES, below_log_off, &end, e);
    if (rc == 0)
        rc = pass_damaged(q, files_end, below_log_off, &end, e);
    if (rc < 0)
        return rc;
    q->flushed_off = end;
    consume_queue_set_bounds(q, first, end);
    rc = clear_behind(q, end, e);
    if (rc == 0)
        rc = pass_pre_blanks(q, &first, end, e);
    if (rc < 0)
        return rc;
    consume_queue_set_bounds(q, first, end);
    return find_last(q, end, &q->last, e);
}

int consume_queue_cut(struct consume_queue *q, uint64_t log_off, struct err *e)
{
    uint64_t min_off = atomic_load_explicit(&q->min_off, memory_order_acquire), end;
    if (q->last.size > 0 && q->last.log_off < log_off)
        return 0; /* and a damaged entry before it is no end */
    int rc = find_end(q, min_off, consume_queue_end(q), log_off, &end, e);
    if (rc == 0)
        rc = pass_damaged(q, consume_queue_end(q) * STORE_QUEUE_ENTRY_BYTES, log_off, &end, e);
    if (rc < 0 || end == consume_queue_end(q))
        return rc;
    consume_queue_set_bounds(q, min_off, end);
    rc = clear_behind(q, end, e);
    return rc < 0 ? rc : find_last(q, end, &q->last, e);
}
