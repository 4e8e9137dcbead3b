/* The flusher: makes log and queues durable behind the writer, then says so in the checkpoint. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_FLUSH_H
#define STORE_FLUSH_H

#include <stdatomic.h>

#include "store/dispatch.h"
#include "store/worker.h"

struct flusher {
    struct worker worker;
    /* set before start, then constant */
    struct io *io;
    struct commit_log *log;
    struct consume_queues *queues;
    struct dispatcher *dispatcher;
    int interval_ms;
    /* flusher only (the opener and closer when it does not run) */
    int checkpoint_fd;          /* owned; -1: none */
    struct store_checkpoint cp; /* as last written */
    uint64_t queues_off;        /* the queues are on disk for every record below it */
    uint64_t queues_ms;         /* store time of the last record below it */
    uint64_t dropped_off;       /* the log's page-table entries below it were given back */
    unsigned n_steps;
    /* atomic: stored by the flusher (release), loaded by any thread (acquire) -- I1 */
    _Atomic uint64_t flushed;
    _Atomic uint64_t checkpoint;
    _Atomic uint64_t n_flushes, flushed_bytes; /* relaxed: counts */
};

/* `log_off`: everything below is on disk. Opens the checkpoint file. */
int flusher_init(struct flusher *fl, const char *root, struct io *io, struct commit_log *log,
                 struct consume_queues *queues, struct dispatcher *dispatcher, int interval_ms,
                 struct err *e) MUST_CHECK;

/* Before start: `log_off` is where the log is known to be on disk, `cp` what the file says. */
void flusher_begin(struct flusher *fl, uint64_t log_off, const struct store_checkpoint *cp);

/* Flushes whole units behind the tail, every few steps all of it; the worker's step (`arg` is the
 * flusher). A failure latches the log into FAILED (I5) and ends the flushing. */
int flusher_step(void *arg);

/* Flushes all that is published and dispatched, and writes the checkpoint with the totals of the
 * queues. The worker is stopped. */
int flusher_all(struct flusher *fl, struct err *e) MUST_CHECK;

void flusher_fini(struct flusher *fl); /* zeroed memory is fine */

#endif
