/* The indexer: follows the dispatcher along the log and keeps the key index. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_INDEXER_H
#define STORE_INDEXER_H

#include <stdatomic.h>

#include "store/commit_log.h"
#include "store/key_index.h"
#include "store/worker.h"

struct indexer {
    struct worker worker;
    /* set before start, then constant */
    struct commit_log *log;
    const _Atomic uint64_t *dispatched; /* of the dispatcher; loaded with acquire */
    bool is_off;                        /* no index is kept */
    /* indexer only (the opener and closer when it does not run) */
    struct key_index index;
    bool is_settled;          /* of what was found at the start */
    struct mapped_file *file; /* of the log; pinned; may be NULL */
    uint64_t synced_off;      /* where in the log the index was synced last */
    struct lock lock;         /* LOCK_LEAF */
    /* guarded by lock */
    struct key_index_mark mark;
    /* atomic: stored by the indexer (release), loaded by any thread (acquire) */
    _Atomic uint64_t indexed; /* the index holds the keys of every record below it */
    _Atomic bool is_failed; /* a file cannot be written: what it had is indexed at the next open */
    _Atomic uint64_t n_dropped; /* files removed because they were damaged; relaxed: a count */
};

int indexer_init(struct indexer *ix, const struct store_options *opt, struct io *io,
                 struct commit_log *log, const _Atomic uint64_t *dispatched,
                 struct err *e) MUST_CHECK;

/* Before start: looks at what is there; quick. */
int indexer_begin(struct indexer *ix, const struct key_index_start *start,
                  struct err *e) MUST_CHECK;

/* The worker's step (`arg` is the indexer): a piece of the log, or one file of which the items are
 * in doubt. */
int indexer_step(void *arg);

/* Up to where the index is durable. Thread: any. */
struct key_index_mark indexer_mark(struct indexer *ix);

/* Ends the thread, takes in what little is left, and makes the index durable. */
void indexer_stop(struct indexer *ix);
void indexer_fini(struct indexer *ix); /* zeroed memory is fine */

#endif
