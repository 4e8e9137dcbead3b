/* Async flush.
 *
 * Order within a step: log, then queues, then checkpoint. So what the checkpoint names was durable
 * before (I1); queue entries may reach the disk before what they point at, and recovery cuts them
 * then. While the log
 * moves only whole units behind the tail are synced: the kernel writes back whole folios, and the
 * tail's would be written again and again; every THOROUGH_STEPS-th step takes the tail too.
 * Only queues that got entries since the last step are looked at; the dispatcher lists them.
 * After one failed sync nobody knows what the disk has: the log refuses appends until it is
 * reopened (I5). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/flush.h"

#include "store/checkpoint.h"

enum {
    UNIT_BYTES = 256 * 1024, /* larger than the folios that populating makes */
    THOROUGH_STEPS = 4,
    KEEP_BEHIND_BYTES = 16 << 20, /* where those who read the tail are */
    DROP_BYTES = 4 << 20,         /* at a time */
};

int flusher_init(struct flusher *fl, const char *root, struct io *io, struct commit_log *log,
                 struct consume_queues *queues, struct dispatcher *dispatcher, int interval_ms,
                 struct err *e)
{
    int fd;
    int rc = checkpoint_open(root, io, &fd, e);
    if (rc < 0)
        return rc;
    *fl = (struct flusher){
        .io = io,
        .log = log,
        .queues = queues,
        .dispatcher = dispatcher,
        .interval_ms = interval_ms,
        .checkpoint_fd = fd,
    };
    worker_init(&fl->worker, flusher_step, fl);
    return 0;
}

void flusher_begin(struct flusher *fl, uint64_t log_off, const struct store_checkpoint *cp)
{
    fl->cp = *cp;
    fl->queues_ms = cp->queue_ms;
    uint64_t checkpoint = cp->queue_off > 0 ? (uint64_t)cp->queue_off : 0;
    fl->queues_off = checkpoint < log_off ? checkpoint : log_off;
    fl->dropped_off = log_off - log_off % MAPPED_PAGE_BYTES;
    atomic_store_explicit(&fl->flushed, log_off, memory_order_release);
    atomic_store_explicit(&fl->checkpoint, fl->queues_off, memory_order_release);
}

void flusher_fini(struct flusher *fl)
{
    if (!fl->io)
        return;
    (void)fl->io->close(fl->io, fl->checkpoint_fd); /* every write to it was synced */
    worker_fini(&fl->worker);
    *fl = (struct flusher){0};
}

/* Syncs the log from what is flushed up to `upto`. */
static int flush_log(struct flusher *fl, uint64_t upto, struct err *e)
{
    uint64_t at = atomic_load_explicit(&fl->flushed, memory_order_relaxed); /* ours alone */
    while (at < upto) {
        struct mapped_file *f;
        int rc = mapped_files_pin(&fl->log->files, at, &f, e);
        if (rc < 0)
            return rc;
        uint64_t file_end = f->start + f->bytes;
        uint64_t to = upto < file_end ? upto : file_end;
        rc = mapped_file_sync(f, at - f->start, to - f->start, e);
        mapped_file_unpin(f);
        if (rc < 0)
            return rc;
        atomic_fetch_add_explicit(&fl->n_flushes, 1, memory_order_relaxed); /* counts */
        atomic_fetch_add_explicit(&fl->flushed_bytes, to - at, memory_order_relaxed);
        at = to;
        atomic_store_explicit(&fl->flushed, at, memory_order_release); /* pairs with reclaimer.c */
    }
    return 0;
}

static int flush_queues(struct flusher *fl, struct err *e)
{
    /* before the entries: what is dispatched now is in them */
    uint64_t dispatched = atomic_load_explicit(&fl->dispatcher->dispatched, memory_order_acquire);
    uint64_t last_ms = atomic_load_explicit(&fl->dispatcher->last_ms, memory_order_acquire);
    if (dispatched == fl->queues_off)
        return 0;
    uint64_t bytes = 0;
    int rc = consume_queues_flush(fl->queues, &bytes, e);
    atomic_fetch_add_explicit(&fl->flushed_bytes, bytes, memory_order_relaxed); /* a count */
    if (rc == 0) {
        fl->queues_off = dispatched;
        fl->queues_ms = last_ms;
    }
    return rc;
}

/* Drops the page-table entries of what is flushed and dispatched: it stays in the page cache, and
 * who reads it maps it again. So what this process costs does not grow with what is written. */
static void drop_behind(struct flusher *fl)
{
    uint64_t upto = atomic_load_explicit(&fl->flushed, memory_order_relaxed); /* ours alone */
    uint64_t dispatched = atomic_load_explicit(&fl->dispatcher->dispatched, memory_order_acquire);
    struct err e;
    if (dispatched < upto)
        upto = dispatched;
    upto = upto > KEEP_BEHIND_BYTES ? upto - KEEP_BEHIND_BYTES : 0;
    upto -= upto % DROP_BYTES;
    while (fl->dropped_off < upto) {
        struct mapped_file *f;
        if (mapped_files_pin(&fl->log->files, fl->dropped_off, &f, &e) < 0)
            return; /* only memory is at stake: the next step tries again */
        uint64_t file_end = f->start + f->bytes;
        uint64_t to = upto < file_end ? upto : file_end;
        (void)f->io->advise(f->io, f->base + (fl->dropped_off - f->start), to - fl->dropped_off,
                            IO_DONTNEED);
        mapped_file_unpin(f);
        fl->dropped_off = to;
    }
}

/* Writes what is known now; queues_off is a record's start, which `flushed` need not be. */
static int write_checkpoint(struct flusher *fl, struct err *e)
{
    uint64_t flushed = atomic_load_explicit(&fl->flushed, memory_order_relaxed); /* ours alone */
    if (fl->queues_off > flushed || (uint64_t)fl->cp.queue_off == fl->queues_off)
        return 0;
    struct store_checkpoint cp = fl->cp;
    cp.n_queues = cp.n_entries = 0; /* known at the end only */
    cp.log_ms = cp.queue_ms = fl->queues_ms;
    cp.queue_off = (int64_t)fl->queues_off;
    cp.confirm_off = cp.queue_off;
    int rc = checkpoint_write(fl->checkpoint_fd, fl->io, &cp, e);
    if (rc < 0)
        return rc;
    fl->cp = cp;
    atomic_store_explicit(&fl->checkpoint, fl->queues_off, memory_order_release);
    return 0;
}

static int flush_upto(struct flusher *fl, uint64_t upto, struct err *e)
{
    int rc = flush_log(fl, upto, e);
    if (rc == 0)
        rc = write_checkpoint(fl, e); /* what the step before flushed of the queues */
    if (rc == 0)
        rc = flush_queues(fl, e);
    if (rc == 0)
        rc = write_checkpoint(fl, e);
    if (rc < 0)
        commit_log_fail(fl->log);
    else
        drop_behind(fl);
    return rc;
}

int flusher_step(void *arg)
{
    struct flusher *fl = arg;
    struct err e;
    if (atomic_load_explicit(&fl->log->is_failed, memory_order_acquire))
        return WORKER_WHEN_WOKEN;
    uint64_t published = commit_log_published(fl->log);
    bool is_thorough = ++fl->n_steps % THOROUGH_STEPS == 0;
    uint64_t upto = is_thorough ? published : published - published % UNIT_BYTES;
    return flush_upto(fl, upto, &e) < 0 ? WORKER_WHEN_WOKEN : fl->interval_ms;
}

/* So that the next open sees when a queue is lost that the end of the log does not name. */
static int write_totals(struct flusher *fl, struct err *e)
{
    struct store_checkpoint cp = fl->cp;
    consume_queues_totals(fl->queues, &cp.n_queues, &cp.n_entries);
    if (cp.n_queues == fl->cp.n_queues && cp.n_entries == fl->cp.n_entries)
        return 0;
    int rc = checkpoint_write(fl->checkpoint_fd, fl->io, &cp, e);
    if (rc == 0)
        fl->cp = cp;
    return rc;
}

int flusher_all(struct flusher *fl, struct err *e)
{
    if (atomic_load_explicit(&fl->log->is_failed, memory_order_acquire))
        return err_set(e, ERR_FAILED, "flush: a sync failed earlier");
    int rc = flush_upto(fl, commit_log_published(fl->log), e);
    return rc < 0 ? rc : write_totals(fl, e);
}
