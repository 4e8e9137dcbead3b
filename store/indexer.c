/* Follows the log, behind the dispatcher, and adds the keys of each record to the index.
 *
 * A thread of its own: settling, making and syncing index files takes time, and neither an append
 * nor the arrival of a message may wait for that. It may lag; look-ups then do not see the youngest
 * records yet. After a step it rests whatever comes, so that a dispatcher that is busy pays for no
 * wake, and a batch of records is met while it is still in the processor's cache. A full disk or a
 * failure of the index stops the indexer only. What it has not reached when the store closes it
 * goes on with at the next open: the index is derived (I6). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/indexer.h"

#include "store/record.h"
#include "store/recovery.h"

enum {
    PIECE_BYTES = 4 << 20,  /* of the log, in one step */
    DRAIN_BYTES = 64 << 20, /* left at a close: taken in; more waits for the next open */
    RETRY_MS = 1000,        /* after a full disk */
    SYNC_BYTES_SHIFT = 32,  /* of the log between syncs: 4 GiB, since each writes all slots */
    NICENESS = 10,          /* look-ups by key may lag; appends and deliveries may not */
};

int indexer_init(struct indexer *ix, const struct store_options *opt, struct io *io,
                 struct commit_log *log, const _Atomic uint64_t *dispatched, struct err *e)
{
    *ix = (struct indexer){.log = log, .dispatched = dispatched, .is_off = opt->without_index};
    int rc = key_index_init(&ix->index, io, opt->root, opt->index_slots, opt->index_items, e);
    if (rc < 0)
        return rc;
    lock_init(&ix->lock, LOCK_LEAF);
    worker_init(&ix->worker, indexer_step, ix);
    ix->worker.niceness = NICENESS;
    return 0;
}

void indexer_fini(struct indexer *ix)
{
    if (!ix->log)
        return;
    worker_fini(&ix->worker);
    lock_fini(&ix->lock);
    key_index_fini(&ix->index);
    *ix = (struct indexer){0};
}

/* ---- begin ---- */

static uint64_t load_indexed(const struct indexer *ix)
{
    return atomic_load_explicit(&ix->indexed, memory_order_relaxed); /* this thread stored it */
}

static void move_to(struct indexer *ix, uint64_t log_off)
{
    atomic_store_explicit(&ix->indexed, log_off, memory_order_release); /* pairs with statistics */
}

static void publish_mark(struct indexer *ix)
{
    lock_take(&ix->lock);
    ix->mark = ix->index.mark;
    lock_drop(&ix->lock);
}

struct key_index_mark indexer_mark(struct indexer *ix)
{
    lock_take(&ix->lock);
    struct key_index_mark mark = ix->mark;
    lock_drop(&ix->lock);
    return mark;
}

int indexer_begin(struct indexer *ix, const struct key_index_start *start, struct err *e)
{
    size_t n_dropped = 0;
    if (ix->is_off) {
        ix->mark = start->mark; /* what was kept before still holds */
        return 0;
    }
    int rc = key_index_load(&ix->index, start, &n_dropped, e);
    atomic_fetch_add_explicit(&ix->n_dropped, n_dropped, memory_order_relaxed); /* a count */
    publish_mark(ix);
    return rc;
}

/* ---- the step ---- */

/* Keeps the file that holds `log_off` pinned. */
static int open_at(struct indexer *ix, uint64_t log_off, struct err *e)
{
    struct mapped_file *f = ix->file;
    if (f && log_off >= f->start && log_off - f->start < f->bytes)
        return 0;
    mapped_file_unpin(f);
    ix->file = NULL;
    return mapped_files_pin(&ix->log->files, log_off, &ix->file, e);
}

/* The record, filler or damage at `log_off`, below `end`; what is damaged the dispatcher counted.
 */
static int index_next(struct indexer *ix, uint64_t log_off, uint64_t end, struct err *e)
{
    int rc = open_at(ix, log_off, e);
    if (rc < 0)
        return rc;
    struct mapped_file *f = ix->file;
    uint64_t file_end = f->start + f->bytes;
    uint64_t upto = end < file_end ? end : file_end, found;
    parts_use(f, log_off - f->start, log_off - f->start + 1);
    struct span rest = span_of(f->base + (log_off - f->start), upto - log_off);
    struct store_record rec;
    switch (record_decode(rest, log_off, &rec, /* ret_why = */ NULL)) {
    case RECORD_OK:
        rc = key_index_put(&ix->index, &rec, e);
        if (rc == 0)
            move_to(ix, log_off + rec.size);
        return rc;
    case RECORD_BLANK:
        move_to(ix, file_end);
        return 0;
    case RECORD_ZERO:
    case RECORD_SHORT:
    case RECORD_BAD:
        break;
    }
    move_to(ix, recovery_find_record(rest, log_off, &found) ? log_off + found : upto);
    return 0;
}

/* The page-table entries of the log that a piece of it left behind, when it is old. */
static void forget(struct indexer *ix, uint64_t from)
{
    const struct mapped_file *f = ix->file;
    if (!f || from < f->start)
        return;
    uint64_t at = from - f->start, upto = load_indexed(ix) - f->start;
    at -= at % MAPPED_PAGE_BYTES;
    upto -= upto % MAPPED_PAGE_BYTES;
    if (upto > at)
        (void)f->io->advise(f->io, f->base + at, upto - at, IO_DONTNEED); /* only memory */
    parts_drop(ix->file, at, upto);
}

/* Goes along with the beginning of the log when its oldest files are removed; whether records were
 * passed over. */
static bool follow_beginning(struct indexer *ix)
{
    uint64_t first, end;
    mapped_files_bounds(&ix->log->files, &first, &end);
    if (first > ix->index.first_off)
        key_index_trim(&ix->index, first);
    if (load_indexed(ix) >= first)
        return false;
    move_to(ix, first);
    return true;
}

/* Adds what is dispatched, one piece; whether more is there. */
static int follow(struct indexer *ix, bool *ret_more, struct err *e)
{
    (void)follow_beginning(ix);
    uint64_t from = load_indexed(ix), at = from;
    uint64_t end = atomic_load_explicit(ix->dispatched, memory_order_acquire); /* see move_to */
    uint64_t until = end - from > PIECE_BYTES ? from + PIECE_BYTES : end;
    uint64_t marked = ix->index.mark.log_off;
    int rc = 0;
    for (; rc == 0 && at < until; at = load_indexed(ix))
        rc = index_next(ix, at, end, e);
    if (rc == 0 && (at - ix->synced_off) >> SYNC_BYTES_SHIFT > 0) {
        rc = key_index_sync(&ix->index, at, e);
        ix->synced_off = at;
    }
    if (ix->index.mark.log_off != marked)
        publish_mark(ix);
    if (end - from > PIECE_BYTES)
        forget(ix, from);
    *ret_more = at < end;
    return rc;
}

static int settle(struct indexer *ix, struct err *e)
{
    bool has_more = false;
    uint64_t from = 0;
    int rc = key_index_settle(&ix->index, &has_more, &from, e);
    if (rc < 0 || has_more)
        return rc;
    ix->is_settled = true;
    ix->synced_off = from;
    move_to(ix, from);
    return 0;
}

/* A full disk may have room later; after anything else the index waits for the next open. */
static int give_up(struct indexer *ix, int rc)
{
    if (rc == ERR_NOSPACE)
        return RETRY_MS;
    atomic_store_explicit(&ix->is_failed, true, memory_order_release); /* read by statistics */
    mapped_file_unpin(ix->file);
    ix->file = NULL;
    return WORKER_WHEN_WOKEN;
}

static bool is_idle(const struct indexer *ix)
{
    return ix->is_off ||
           atomic_load_explicit(&ix->is_failed, memory_order_relaxed); /* ours alone */
}

int indexer_step(void *arg)
{
    struct indexer *ix = arg;
    struct err e;
    bool has_more = true;
    if (is_idle(ix))
        return WORKER_WHEN_WOKEN;
    uint64_t before = load_indexed(ix);
    int rc = ix->is_settled ? follow(ix, &has_more, &e) : settle(ix, &e);
    if (rc == ERR_NOTFOUND && follow_beginning(ix))
        return WORKER_AT_ONCE; /* the file went meanwhile */
    if (rc < 0)
        return give_up(ix, rc);
    if (has_more)
        return WORKER_AT_ONCE;
    if (load_indexed(ix) != before)
        return WORKER_REST;
    key_index_relax(&ix->index); /* nothing came while it rested */
    return WORKER_WHEN_WOKEN;
}

/* ---- end ---- */

static uint64_t behind(const struct indexer *ix)
{
    return atomic_load_explicit(ix->dispatched, memory_order_acquire) - load_indexed(ix);
}

void indexer_stop(struct indexer *ix)
{
    struct err e;
    bool has_more = true;
    worker_stop(&ix->worker);
    int rc = 0;
    if (!is_idle(ix) && ix->is_settled) {
        if (behind(ix) <= DRAIN_BYTES)
            while (rc == 0 && has_more)
                rc = follow(ix, &has_more, &e);
        if (key_index_sync(&ix->index, load_indexed(ix), &e) == 0) /* else it is done again */
            publish_mark(ix);
    }
    mapped_file_unpin(ix->file);
    ix->file = NULL;
}
