/* Group commit: the written append engine. What was appended since the last group goes to the disk
 * in one write and one sync, is published, and is acknowledged together. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_GROUP_COMMIT_H
#define STORE_GROUP_COMMIT_H

#include <stdatomic.h>

#include "store/commit_log.h"
#include "store/log_writer.h"
#include "store/worker.h"

struct group_commit {
    struct worker committer; /* writes and syncs */
    struct worker teller;    /* calls back, so that callers never delay the disk */
    /* set before start, then constant */
    struct commit_log *log;
    struct worker *dispatcher; /* woken when something was published; may be NULL */
    _Atomic uint64_t *flushed; /* stored by the committer (release), loaded by any thread */
    int64_t pending_max_bytes;
    /* committer only (the opener and closer when it does not run) */
    struct log_writer writer;
    struct outgoing *first; /* taken from the log, in order; owned */
    int64_t n_expected;     /* records of the last group, and those on their way at its end */
    uint64_t last_ns;       /* what the last group took */
    unsigned n_skipped;     /* groups that did not wait for others, the last time it was no use */
    unsigned n_to_skip;     /* groups that will not */
    /* atomic, relaxed: bounds, not an order; see pending_bytes */
    _Atomic int64_t n_pending;
    _Atomic int64_t pending_bytes; /* appended, and neither written nor given up; below 0 when
                                    * the committer was faster than the appender's count */
    struct lock lock;              /* LOCK_LEAF */
    pthread_cond_t moved;          /* pending_bytes fell, or the log failed */
    /* guarded by lock */
    unsigned n_waiting;           /* appenders, for `moved` */
    struct store_ticket *waiting; /* to be told; newest first */
    struct store_ticket *settled; /* the teller's */
    struct err failure;           /* code 0: none; why nothing is acknowledged any more */
    /* atomic, relaxed: counts */
    _Atomic uint64_t n_groups, n_grouped, max_grouped, written_bytes;
};

/* What a group may have; a larger record is a group of its own. */
enum { GROUP_MAX_BYTES = 4 << 20 };

/* Writes the records of `log`, whose engine is written. `pending_max_bytes`: appenders wait while
 * more is on its way. */
void group_commit_init(struct group_commit *g, struct commit_log *log, struct worker *dispatcher,
                       _Atomic uint64_t *flushed, int64_t pending_max_bytes);

/* Before start: makes [synced, tail) of the log durable, which an earlier run may have left in the
 * page cache only. */
int group_commit_begin(struct group_commit *g, uint64_t synced, uint64_t tail,
                       struct err *e) MUST_CHECK;

int group_commit_start(struct group_commit *g, struct err *e) MUST_CHECK;

/* Before an append: waits while too much is on its way. ERR_FAILED. Thread: any; not
 * under LOCK_APPEND (I7). */
int group_commit_wait_room(struct group_commit *g, struct err *e) MUST_CHECK;

/* After an append, made with `t`. */
void group_commit_note(struct group_commit *g, const struct store_appended *at,
                       struct store_ticket *t);

/* See store_settle. */
int group_commit_settle(struct group_commit *g, struct store_ticket *t, enum store_settled *ret,
                        struct err *e) MUST_CHECK;

/* Waits until what is below `end` is acknowledged; errors as store_settle. */
int group_commit_await(struct group_commit *g, uint64_t end, struct err *e) MUST_CHECK;

/* The steps of the two workers (`arg` is the group commit). One step commits one group. */
int group_commit_step(void *arg);
int group_commit_tell_step(void *arg);

/* Ends the threads; commits what is left and tells everybody. */
void group_commit_stop(struct group_commit *g);

void group_commit_fini(struct group_commit *g); /* after stop; zeroed memory is fine */

#endif
