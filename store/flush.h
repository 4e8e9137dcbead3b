/* The flusher: makes log and queues durable behind the writer, then says so in the checkpoint. A
 * log whose engine is written is left to group_commit.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_FLUSH_H
#define STORE_FLUSH_H

#include <stdatomic.h>

#include "store/dispatch.h"
#include "store/indexer.h"
#include "store/worker.h"

struct flusher {
    struct worker worker;
    /* set before start, then constant */
    struct io *io;
    struct commit_log *log;
    struct consume_queues *queues;
    struct dispatcher *dispatcher;
    struct indexer *indexer; /* tells how far the index is on disk; may be NULL */
    uint64_t interval_ns;
    uint64_t limit_bytes; /* unflushed: from here on it is flushed before its time */
    /* flusher only (the opener and closer when it does not run) */
    int checkpoint_fd;             /* owned; -1: none */
    struct store_checkpoint cp;    /* as last written */
    struct dispatcher_mark queued; /* the queues are on disk so far; n_queues 0: not counted */
    uint64_t due_ns;      /* when queues and checkpoint come again, on the monotonic clock */
    unsigned n_resting;   /* due steps since one found a whole unit, or took the tail */
    struct lock lock;     /* LOCK_LEAF */
    pthread_cond_t moved; /* `stop_off` or `n_forgotten` did, or the log failed */
    /* guarded by lock */
    unsigned n_waiting;            /* appenders, and who has the count forgotten */
    uint64_t n_asked, n_forgotten; /* requests to forget the count, and those done */
    /* atomic, seq_cst on both sides: an appender stores `published` and then loads `wake_off`, the
     * flusher stores `wake_off` and then loads `published`; with less, both could miss the other */
    _Atomic uint64_t wake_off;
    /* atomic: stored by the flusher (release), loaded by any thread (acquire) */
    _Atomic uint64_t stop_off; /* nothing is appended from here on until `flushed` moves */
    /* atomic: stored by the flusher, or by the committer when the engine is written (release),
     * loaded by any thread (acquire) -- I1 */
    _Atomic uint64_t flushed;
    /* atomic: stored by the flusher (release), loaded by any thread (acquire) -- I1 */
    _Atomic uint64_t checkpoint;
    _Atomic uint64_t n_flushes, flushed_bytes; /* relaxed: counts */
};

/* Opens the checkpoint file; `opt` has its defaults filled in and is not kept. */
int flusher_init(struct flusher *fl, const struct store_options *opt, struct io *io,
                 struct commit_log *log, struct consume_queues *queues,
                 struct dispatcher *dispatcher, struct err *e) MUST_CHECK;

/* Before start: `log_off` is where the log is known to be on disk, `cp` what the file says. */
void flusher_begin(struct flusher *fl, uint64_t log_off, const struct store_checkpoint *cp);

/* The worker's step (`arg` is the flusher). When the interval is over: whole units of the log
 * behind the tail, every few times all of it, then queues and checkpoint. Before that, for too many
 * unflushed bytes: the log alone. A failure latches the log into FAILED (I5) and ends flushing. */
int flusher_step(void *arg);

/* Wakes the flusher when the limit or more is unflushed below `published`, which was stored with
 * seq_cst; no system call unless it sleeps. Thread: any; not under LOCK_APPEND (I7). */
void flusher_nudge(struct flusher *fl, uint64_t published);

/* Before an append: waits while several times the limit is unflushed, so that neither memory nor
 * the time of a stop grows without bound. ERR_FAILED: a sync failed. Thread: any; not under
 * LOCK_APPEND. */
int flusher_wait(struct flusher *fl, struct err *e) MUST_CHECK;

/* Before files of queues are removed that consume_queues_count_out was called for: returns when the
 * checkpoint says nothing of how many there are, or the log has failed. The next one says it again.
 * Thread: any that may wait for the disk; the worker runs. */
void flusher_forget_count(struct flusher *fl);

/* Flushes all that is published and dispatched, and writes the checkpoint with the totals of the
 * queues. The worker is stopped. */
int flusher_all(struct flusher *fl, struct err *e) MUST_CHECK;

void flusher_fini(struct flusher *fl); /* zeroed memory is fine */

#endif
