/* Async flush.
 *
 * Order within a step: log, then queues, then checkpoint. So what the checkpoint names was durable
 * before (I1); queue entries may reach the disk before what they point at, and recovery cuts them
 * then. While the log moves only whole units behind the tail are synced: the kernel writes back
 * whole folios, and the tail's would be written again and again, and be write-protected under the
 * appender, who would wait for the disk. Only when no unit was filled for THOROUGH_STEPS steps the
 * tail is taken too.
 * Only queues that got entries since the last step are looked at; the dispatcher lists them.
 * When much is unflushed before the interval is over the log alone is flushed, in pieces: queues
 * are small and many. When the disk cannot follow appenders wait, at STORE_BEHIND_MAX times the
 * limit. The checkpoint also counts queues and entries, so that a start after a crash sees when
 * some were lost. Counted is no more than what is below its position on disk: else a start would
 * walk the whole log for nothing. After one failed sync nobody knows what the disk has: the log
 * refuses appends until it is reopened (I5). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/flush.h"

#include "store/checkpoint.h"
#include "store/reclaimer.h"

enum {
    UNIT_BYTES =
        2 << 20, /* the largest folio: with a device that reads far ahead they are so large */
    THOROUGH_STEPS = 4,
    WAIT_MS = 1000, /* only against a lost thread: what moves wakes the waiters */
    NS_PER_MS = 1000000,
};

int flusher_init(struct flusher *fl, const struct store_options *opt, struct io *io,
                 struct commit_log *log, struct consume_queues *queues,
                 struct dispatcher *dispatcher, struct err *e)
{
    int fd;
    int rc = checkpoint_open(opt->root, io, &fd, e);
    if (rc < 0)
        return rc;
    *fl = (struct flusher){
        .io = io,
        .log = log,
        .queues = queues,
        .dispatcher = dispatcher,
        .interval_ns = (uint64_t)opt->flush_interval_ms * NS_PER_MS,
        .limit_bytes = opt->flush_bytes,
        .checkpoint_fd = fd,
    };
    lock_init(&fl->lock, LOCK_LEAF);
    lock_cond_init(&fl->moved);
    worker_init(&fl->worker, flusher_step, fl);
    return 0;
}

/* ---- appenders ---- */

/* Sets where appenders call and where they wait; whether they are there already. */
static bool set_marks(struct flusher *fl)
{
    uint64_t flushed = atomic_load_explicit(&fl->flushed, memory_order_acquire);
    uint64_t wake_off = flushed + fl->limit_bytes;
    atomic_store_explicit(&fl->stop_off, flushed + STORE_BEHIND_MAX * fl->limit_bytes,
                          memory_order_release); /* pairs with flusher_wait */
    atomic_store_explicit(&fl->wake_off, wake_off, memory_order_seq_cst);
    return atomic_load_explicit(&fl->log->published, memory_order_seq_cst) >= wake_off;
}

/* After `stop_off` moved or the log failed. */
static void tell_waiters(struct flusher *fl)
{
    lock_take(&fl->lock);
    if (fl->n_waiting > 0)
        (void)pthread_cond_broadcast(&fl->moved);
    lock_drop(&fl->lock);
}

void flusher_nudge(struct flusher *fl, uint64_t published)
{
    if (published >= atomic_load_explicit(&fl->wake_off, memory_order_seq_cst))
        worker_wake(&fl->worker);
}

static bool is_too_far(const struct flusher *fl)
{
    /* pairs with set_marks */
    uint64_t stop_off = atomic_load_explicit(&fl->stop_off, memory_order_acquire);
    return commit_log_published(fl->log) >= stop_off;
}

int flusher_wait(struct flusher *fl, struct err *e)
{
    if (!is_too_far(fl))
        return 0;
    uint64_t begun_ns = fl->io->mono_ns(fl->io);
    atomic_fetch_add_explicit(&fl->log->n_waits, 1, memory_order_relaxed); /* a count */
    worker_wake(&fl->worker);
    commit_log_rouse(fl->log);
    lock_take(&fl->lock);
    fl->n_waiting++;
    while (is_too_far(fl) && !commit_log_has_failed(fl->log))
        lock_wait(&fl->lock, &fl->moved, WAIT_MS);
    fl->n_waiting--;
    lock_drop(&fl->lock);
    timing_add(&fl->log->stalls, fl->io->mono_ns(fl->io) - begun_ns);
    return commit_log_has_failed(fl->log)
               ? err_set(e, ERR_FAILED, "append: a sync failed while it waited")
               : 0;
}

void flusher_forget_count(struct flusher *fl)
{
    lock_take(&fl->lock);
    uint64_t asked = ++fl->n_asked;
    lock_drop(&fl->lock);
    worker_wake(&fl->worker);
    lock_take(&fl->lock);
    fl->n_waiting++;
    while (fl->n_forgotten < asked && !commit_log_has_failed(fl->log))
        lock_wait(&fl->lock, &fl->moved, WAIT_MS);
    fl->n_waiting--;
    lock_drop(&fl->lock);
}

/* ---- begin and end ---- */

void flusher_begin(struct flusher *fl, uint64_t log_off, const struct store_checkpoint *cp)
{
    fl->cp = *cp;
    uint64_t checkpoint = cp->queue_off > 0 ? (uint64_t)cp->queue_off : 0;
    checkpoint = checkpoint < log_off ? checkpoint : log_off;
    fl->queued = (struct dispatcher_mark){.log_off = checkpoint, .last_ms = cp->queue_ms};
    if (checkpoint_has_count(cp) && cp->count_off == checkpoint) {
        fl->queued.n_queues = cp->n_queues;
        fl->queued.n_entries = cp->n_entries;
    }
    atomic_store_explicit(&fl->flushed, log_off, memory_order_release);
    atomic_store_explicit(&fl->checkpoint, checkpoint, memory_order_release);
    (void)set_marks(fl); /* the first step comes at once */
}

void flusher_fini(struct flusher *fl)
{
    if (!fl->io)
        return;
    (void)fl->io->close(fl->io, fl->checkpoint_fd); /* every write to it was synced */
    worker_fini(&fl->worker);
    (void)pthread_cond_destroy(&fl->moved);
    lock_fini(&fl->lock);
    *fl = (struct flusher){0};
}

/* ---- the step ---- */

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
        to = to - at > fl->limit_bytes ? at + fl->limit_bytes : to;
        uint64_t begun_ns = fl->io->mono_ns(fl->io);
        rc = mapped_file_sync(f, at - f->start, to - f->start, e);
        mapped_file_unpin(f);
        if (rc < 0)
            return rc;
        timing_add(&fl->log->syncs, fl->io->mono_ns(fl->io) - begun_ns);
        atomic_fetch_add_explicit(&fl->n_flushes, 1, memory_order_relaxed); /* counts */
        atomic_fetch_add_explicit(&fl->flushed_bytes, to - at, memory_order_relaxed);
        at = to;
        atomic_store_explicit(&fl->flushed, at, memory_order_release); /* pairs with reclaimer.c */
        (void)set_marks(fl); /* the end of the step looks */
        tell_waiters(fl);
    }
    return 0;
}

/* Also when nothing was dispatched since: recovery may have written entries anew. */
static int flush_queues(struct flusher *fl, struct err *e)
{
    struct dispatcher_mark mark;
    dispatcher_mark(fl->dispatcher, &mark); /* before the entries: what it says is in them */
    uint64_t bytes = 0;
    int rc = consume_queues_flush(fl->queues, &bytes, e);
    atomic_fetch_add_explicit(&fl->flushed_bytes, bytes, memory_order_relaxed); /* a count */
    if (rc == 0)
        fl->queued = mark;
    return rc;
}

/* What the index says of itself, which need not be in step with the queues. */
static void take_index_mark(struct flusher *fl, struct store_checkpoint *cp)
{
    if (!fl->indexer)
        return;
    struct key_index_mark mark = indexer_mark(fl->indexer);
    cp->index_off = mark.log_off;
    cp->index_name = mark.name;
    cp->n_index_next = mark.n_next;
    if (mark.name != 0)
        cp->index_ms = mark.end_ms;
}

/* Writes what is known now; the queues' position is a record's start, which `flushed` need not be.
 */
static int write_checkpoint(struct flusher *fl, struct err *e)
{
    uint64_t flushed = atomic_load_explicit(&fl->flushed, memory_order_acquire);
    struct store_checkpoint cp = fl->cp;
    take_index_mark(fl, &cp);
    const struct dispatcher_mark *queued = &fl->queued;
    bool is_same = (uint64_t)cp.queue_off == queued->log_off && cp.index_off == fl->cp.index_off &&
                   cp.n_queues == queued->n_queues && cp.n_entries == queued->n_entries;
    if (queued->log_off > flushed || is_same)
        return 0;
    cp.n_queues = queued->n_queues;
    cp.n_entries = queued->n_entries;
    cp.count_off = queued->log_off;
    cp.log_ms = cp.queue_ms = queued->last_ms;
    cp.queue_off = (int64_t)queued->log_off;
    cp.confirm_off = cp.queue_off;
    int rc = checkpoint_write(fl->checkpoint_fd, fl->io, &cp, e);
    if (rc < 0)
        return rc;
    fl->cp = cp;
    atomic_store_explicit(&fl->checkpoint, queued->log_off, memory_order_release);
    return 0;
}

/* What was counted holds queues that are about to go. */
static int forget_count(struct flusher *fl, struct err *e)
{
    struct store_checkpoint cp = fl->cp;
    fl->queued.n_queues = fl->queued.n_entries = 0;
    if (cp.n_queues == 0)
        return 0;
    cp.n_queues = cp.n_entries = 0;
    int rc = checkpoint_write(fl->checkpoint_fd, fl->io, &cp, e);
    if (rc == 0)
        fl->cp = cp;
    return rc;
}

static int forget_when_asked(struct flusher *fl, struct err *e)
{
    lock_take(&fl->lock);
    uint64_t asked = fl->n_asked;
    bool is_asked = asked > fl->n_forgotten;
    lock_drop(&fl->lock);
    int rc = is_asked ? forget_count(fl, e) : 0;
    if (!is_asked || rc < 0)
        return rc;
    lock_take(&fl->lock);
    fl->n_forgotten = asked;
    (void)pthread_cond_broadcast(&fl->moved);
    lock_drop(&fl->lock);
    return 0;
}

static int flush_queues_too(struct flusher *fl, struct err *e)
{
    int rc = write_checkpoint(fl, e); /* what the step before flushed of the queues */
    if (rc == 0)
        rc = flush_queues(fl, e);
    return rc == 0 ? write_checkpoint(fl, e) : rc;
}

static void fail(struct flusher *fl)
{
    commit_log_fail(fl->log);
    tell_waiters(fl);
}

static int flush_upto(struct flusher *fl, uint64_t upto, bool is_due, struct err *e)
{
    int rc = fl->log->is_written ? 0 : flush_log(fl, upto, e); /* else the committer's */
    if (rc == 0 && is_due)
        rc = flush_queues_too(fl, e);
    if (rc == 0) {
        worker_wake(&fl->log->files.reclaimer->worker);
    } else {
        fail(fl);
    }
    return rc;
}

/* Where a step ends: with whole units while they come, else after a while with what there is. */
static uint64_t choose_end(struct flusher *fl, uint64_t flushed, uint64_t published, bool is_due)
{
    uint64_t whole = published - published % UNIT_BYTES;
    /* a limit below a unit would be reached again at once */
    if (fl->limit_bytes < UNIT_BYTES)
        return published;
    if (is_due)
        fl->n_resting = whole > flushed ? 0 : fl->n_resting + 1;
    if (fl->n_resting < THOROUGH_STEPS)
        return whole;
    fl->n_resting = 0;
    return published;
}

static int until_due_ms(const struct flusher *fl)
{
    uint64_t now_ns = fl->io->mono_ns(fl->io);
    return now_ns < fl->due_ns ? (int)((fl->due_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS) : 0;
}

int flusher_step(void *arg)
{
    struct flusher *fl = arg;
    struct err e;
    if (commit_log_has_failed(fl->log))
        return WORKER_WHEN_WOKEN;
    if (forget_when_asked(fl, &e) < 0) {
        fail(fl);
        return WORKER_WHEN_WOKEN;
    }
    bool is_due = until_due_ms(fl) == 0;
    uint64_t flushed = atomic_load_explicit(&fl->flushed, memory_order_acquire);
    uint64_t published = commit_log_published(fl->log); /* no less: it was loaded later */
    if (!is_due && published - flushed < fl->limit_bytes)
        return until_due_ms(fl); /* woken during the step before, which saw to it */
    if (flush_upto(fl, choose_end(fl, flushed, published, is_due), is_due, &e) < 0)
        return WORKER_WHEN_WOKEN;
    if (is_due)
        fl->due_ns = fl->io->mono_ns(fl->io) + fl->interval_ns;
    return set_marks(fl) ? WORKER_AT_ONCE : until_due_ms(fl);
}

/* The running count leaves out the queues that a failed drop did not come to, and the next open
 * wants it exact. The one that it failed at is no longer known here: a later open that lists the
 * folders finds what is left of it. */
static int write_totals(struct flusher *fl, struct err *e)
{
    struct store_checkpoint cp = fl->cp;
    consume_queues_totals(fl->queues, &cp.n_queues, &cp.n_entries);
    if (cp.n_queues == fl->cp.n_queues && cp.n_entries == fl->cp.n_entries)
        return 0;
    cp.count_off = (uint64_t)cp.queue_off;
    int rc = checkpoint_write(fl->checkpoint_fd, fl->io, &cp, e);
    if (rc == 0)
        fl->cp = cp;
    return rc;
}

int flusher_all(struct flusher *fl, struct err *e)
{
    if (commit_log_has_failed(fl->log))
        return err_set(e, ERR_FAILED, "flush: a sync failed earlier");
    int rc = flush_upto(fl, commit_log_published(fl->log), /* is_due = */ true, e);
    return rc < 0 ? rc : write_totals(fl, e);
}
