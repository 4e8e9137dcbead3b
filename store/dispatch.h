/* The dispatcher: from the log to the consume queues, in order. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DISPATCH_H
#define STORE_DISPATCH_H

#include <stdatomic.h>

#include "store/commit_log.h"
#include "store/consume_queues.h"
#include "store/worker.h"

struct dispatcher {
    struct worker worker;
    /* set before start, then constant */
    struct commit_log *log;
    struct consume_queues *queues;
    void (*on_arrival)(void *arg, const struct store_arrival *a); /* may be NULL */
    void *arrival_arg;
    struct worker *follower; /* woken when `dispatched` moved; may be NULL */
    struct lock role;        /* LOCK_ROLE: who holds it is the dispatcher */
    /* guarded by role */
    struct mapped_file *file;   /* read from; pinned; may be NULL */
    struct consume_queue *last; /* of the record before; a reference; may be NULL */
    /* the worker only */
    uint64_t rate_ns; /* when the rate was measured last */
    unsigned n_since; /* records since */
    unsigned n_busy;  /* measurements in a row that said that much is appended */
    struct lock lock; /* LOCK_LEAF */
    pthread_cond_t moved;
    /* guarded by lock */
    unsigned n_waiting;
    struct err failure; /* code 0: the last step went well */
    bool is_stopped;    /* no step will come any more */
    /* atomic: stored by the dispatcher (release), loaded by any thread (acquire) */
    _Atomic uint64_t dispatched; /* the queues hold every record below it */
    _Atomic uint64_t last_ms;    /* store time of the last record dispatched */
    /* atomic: stored by the dispatcher (relaxed) before time and count change, loaded by the
     * flusher (relaxed) after it read that -- see dispatcher_mark */
    _Atomic uint64_t moving_to; /* what `dispatched` is or will be next */
    _Atomic uint64_t n_damaged; /* relaxed: a count */
};

void dispatcher_init(struct dispatcher *d, struct commit_log *log, struct consume_queues *queues,
                     const struct store_options *opt);

/* Dispatching goes on at `log_off`. Before start. */
void dispatcher_begin(struct dispatcher *d, uint64_t log_off, uint64_t last_ms);

/* Dispatches what is published; the worker's step (`arg` is the dispatcher). */
int dispatcher_step(void *arg);

/* Dispatches on the calling thread what is published, as far as that waits for nothing, unless
 * another thread is at it; the worker is woken for the rest. Locks: takes LOCK_ROLE, if free.
 */
void dispatcher_try(struct dispatcher *d);

/* Waits until everything below `log_off` is dispatched. An error: the queues cannot be written, or
 * the log has failed before it came to `log_off`. */
int dispatcher_wait(struct dispatcher *d, uint64_t log_off, struct err *e) MUST_CHECK;

/* What is dispatched at one moment. */
struct dispatcher_mark {
    uint64_t log_off, last_ms;
    uint64_t n_queues, n_entries; /* with entries below log_off, and the sum of their ends */
};

/* The counts may be torn while dispatcher_count_out is at it: then they are no more than there is,
 * since the files of those queues go only after the count was forgotten. Thread: any. Waits for
 * nobody who waits. */
void dispatcher_mark(const struct dispatcher *d, struct dispatcher_mark *ret);

/* Takes queues whose topic goes out of the count, once all their records are dispatched. Locks:
 * takes LOCK_ROLE. */
void dispatcher_count_out(struct dispatcher *d, const struct queue_list *l);

/* Ends the thread; what is left is dispatched on the next open. */
void dispatcher_stop(struct dispatcher *d);
void dispatcher_fini(struct dispatcher *d);

enum dispatch_one {
    DISPATCH_NEW,     /* an entry was written */
    DISPATCH_ALREADY, /* it was there */
    DISPATCH_NONE,    /* such a record has no entry */
    DISPATCH_AHEAD,   /* entries before it are missing: nothing was written */
    DISPATCH_TAKEN,   /* its number has another entry: nothing was written */
};

/* Writes the queue entry of one record; shared with recovery. `q` is the queue or NULL for "find
 * it"; the one used is left there with its reference. */
int dispatch_record(struct consume_queues *queues, const struct store_record *rec,
                    struct consume_queue **q, enum dispatch_one *ret, struct err *e) MUST_CHECK;

#endif
