/* The commit log: where every record is appended, in one short critical section.
 *
 * Two engines write it. Mapped: the record is copied into the mapping, and published at once.
 * Written: it is queued for group_commit.h, which writes it and then publishes. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_COMMIT_LOG_H
#define STORE_COMMIT_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/allocator.h"
#include "store/consume_queues.h"
#include "store/handover.h"
#include "store/mapped_files.h"
#include "store/outgoing.h"
#include "store/recent_queues.h"
#include "store/timing.h"
#include "store/worker.h"

struct commit_log {
    /* set before start, then constant */
    struct io *io;
    uint64_t file_bytes;
    uint32_t max_message_bytes;
    bool is_written; /* the engine; false: mapped */
    struct store_host host;
    struct consume_queues *queues; /* may be NULL when each append names its queue_seq */
    struct worker *follower;       /* the dispatcher's; may be NULL */
    struct mapped_files files;
    struct allocator allocator;
    uint64_t begin_off;        /* what lies behind it was appended by this process; constant */
    struct idle spent;         /* outgoing records that were written, for the next */
    struct handover *handover; /* put to under lock, looked at by the dispatcher */
    struct lock lock;          /* LOCK_APPEND */
    /* guarded by lock */
    struct mapped_file *active; /* appended to; pinned */
    uint64_t tail;              /* log_off of the next record: reserved (I1) */
    struct recent_queues recent;
    uint64_t last_ms; /* store times never go back */
    bool is_closed;
    uint64_t n_appended, appended_bytes;
    struct outgoing *first_out; /* not yet taken by the committer, in order; owned */
    struct outgoing **end_out;  /* where the next is linked */
    /* atomic: stored under lock, or by the committer (seq_cst: see struct worker and struct
     * allocator), loaded by any reader (acquire or seq_cst) -- I2 */
    _Atomic uint64_t published;
    /* atomic: stored by flusher and committer (release), loaded by any thread (acquire) -- I5 */
    _Atomic bool is_failed;
    _Atomic uint64_t n_waits; /* relaxed: a count */
    struct timing stalls;     /* of appends: what they waited */
    struct timing syncs;      /* by flusher or committer */
};

struct commit_log_options {
    const char *folder;
    uint64_t file_bytes;
    uint32_t max_message_bytes;
    uint64_t window_bytes;
    bool is_written;
    struct store_host host;
    struct consume_queues *queues; /* where queues are found; see struct commit_log */
};

/* Makes the folder when absent and lists the files; nothing is mapped or started. */
int commit_log_init(struct commit_log *log, const struct commit_log_options *opt, struct io *io,
                    struct reclaimer *reclaimer, struct err *e) MUST_CHECK;
void commit_log_fini(struct commit_log *log); /* after stop; zeroed memory is fine */

/* Appending goes on at `tail`; files behind it are dropped, the one there is allocated whole and
 * made ready for its engine. ERR_NOSPACE. */
int commit_log_begin(struct commit_log *log, uint64_t tail, uint64_t last_ms,
                     struct err *e) MUST_CHECK;

/* Starts the allocator's threads. */
int commit_log_start(struct commit_log *log, struct err *e) MUST_CHECK;

/* Refuses further appends with ERR_CLOSED. */
void commit_log_close(struct commit_log *log);

/* Ends the allocator and gives back the active file. */
int commit_log_stop(struct commit_log *log, struct err *e) MUST_CHECK;

/* See store_append; written: the record is only queued, and its body must stay where it is until it
 * was written or the log has failed. `seq` NULL: that of the message's consume queue, which is made
 * when there is none. ERR_NOTFOUND: the queue's topic is being deleted. Locks: takes LOCK_APPEND,
 * LOCK_QUEUES. */
int commit_log_append(struct commit_log *log, struct queue_seq *seq, const struct store_message *m,
                      struct store_appended *ret, struct err *e) MUST_CHECK;

/* The records queued since the last time, in order, now the caller's; NULL: none. Locks: takes
 * LOCK_APPEND. */
struct outgoing *commit_log_take(struct commit_log *log);

/* What is below `upto` was written. Thread: the committer. */
void commit_log_publish(struct commit_log *log, uint64_t upto);

/* Has the dispatcher look: who appended and left that for later is going to wait. */
static inline void commit_log_rouse(const struct commit_log *log)
{
    if (log->follower)
        worker_wake(log->follower);
}

/* From here on nothing is appended (I5). Locks: LOCK_APPEND may be held, LOCK_LEAF not. */
void commit_log_fail(struct commit_log *log);

static inline bool commit_log_has_failed(const struct commit_log *log)
{
    return atomic_load_explicit(&log->is_failed, memory_order_acquire); /* see commit_log_fail */
}

/* The record at `log_off` of `size` bytes, its file pinned. ERR_NOTFOUND: not published, or gone;
 * ERR_CORRUPT: it fails its check (the body's CRC is not looked at). Thread: any. */
int commit_log_read(struct commit_log *log, uint64_t log_off, uint32_t size,
                    struct store_record *ret_rec, struct mapped_file **ret_file,
                    struct err *e) MUST_CHECK;

/* The same of a file that the caller has pinned and that holds `log_off`; no pin is added. */
int commit_log_look(struct commit_log *log, struct mapped_file *f, uint64_t log_off, uint32_t size,
                    struct store_record *ret_rec, struct err *e) MUST_CHECK;

static inline uint64_t commit_log_published(const struct commit_log *log)
{
    return atomic_load_explicit(&log->published, memory_order_acquire); /* pairs with publish() */
}

#endif
