/* Follows the published end of the log and writes consume-queue entries.
 *
 * One thread at a time, in log order, so that numbers in a queue come one after the other: the
 * worker, or an appender that has just published and does the little there is to do itself. It does
 * no more than waits for nothing: pages of a queue are touched first by the worker. Doing a record
 * twice writes nothing the second time. A full disk stops the dispatcher at the record it has, and
 * it tries again; the log goes on, and so do reads of what was dispatched. `dispatched` moves over
 * a record only after its entry is readable, and arrival is told after that.
 *
 * A step follows each wake. Where so much is appended that a wake for each record would cost the
 * appenders more than the records, steps come after naps instead. A burst, however large a request
 * it is, does not make a rate: the dispatcher is there for its last record as for its first. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/dispatch.h"

#include <limits.h>
#include <sched.h>

#include "store/format.h"
#include "store/record.h"
#include "store/recovery.h"

enum {
    RETRY_MS = 100,
    RATE_NS = 1000000, /* a rate is measured over this time or longer */
    BUSY_RECORDS = 32, /* in that time */
    BUSY_IN_A_ROW = 2, /* measurements, to tell a stream from a burst */
    RUN_MAX = 256,     /* entries before `dispatched` moves over them */
    TRY_RECORDS = 128, /* one appender does in one go */
};

void dispatcher_init(struct dispatcher *d, struct commit_log *log, struct consume_queues *queues,
                     const struct store_options *opt)
{
    *d = (struct dispatcher){
        .log = log,
        .queues = queues,
        .on_arrival = opt->on_arrival,
        .arrival_arg = opt->arrival_arg,
    };
    worker_init(&d->worker, dispatcher_step, d);
    lock_init(&d->role, LOCK_ROLE);
    lock_init(&d->lock, LOCK_LEAF);
    lock_cond_init(&d->moved);
}

void dispatcher_begin(struct dispatcher *d, uint64_t log_off, uint64_t last_ms)
{
    atomic_store_explicit(&d->moving_to, log_off, memory_order_relaxed); /* no other thread yet */
    atomic_store_explicit(&d->dispatched, log_off, memory_order_release);
    atomic_store_explicit(&d->last_ms, last_ms, memory_order_release);
}

void dispatcher_mark(const struct dispatcher *d, struct dispatcher_mark *ret)
{
    for (;;) {
        ret->log_off = atomic_load_explicit(&d->dispatched, memory_order_acquire);
        ret->last_ms = atomic_load_explicit(&d->last_ms, memory_order_acquire);
        consume_queues_counted(d->queues, &ret->n_queues, &ret->n_entries);
        /* relaxed: a time or count stored behind it was read with acquire, which brings it along */
        if (atomic_load_explicit(&d->moving_to, memory_order_relaxed) == ret->log_off)
            return;
        (void)sched_yield(); /* it is about to store `dispatched`, if it is let run */
    }
}

/* ---- one record ---- */

static int find_queue(struct consume_queues *queues, const struct store_record *rec,
                      struct consume_queue **q, struct err *e)
{
    if (*q && (*q)->queue_id == rec->queue_id && span_equal((*q)->topic, rec->topic) &&
        !consume_queue_is_gone(*q))
        return 0;
    consume_queue_unref(*q);
    *q = NULL;
    return consume_queues_get_or_make(queues, rec->topic, rec->queue_id, q, e);
}

int dispatch_record(struct consume_queues *queues, const struct store_record *rec,
                    struct consume_queue **q, enum dispatch_one *ret, struct err *e)
{
    if (!record_is_queued(rec) || rec->sys_flag & RECORD_SYSFLAG_INNER_BATCH ||
        consume_queues_is_batch(queues, rec->topic)) {
        *ret = DISPATCH_NONE;
        return 0;
    }
    int rc = find_queue(queues, rec, q, e);
    if (rc < 0)
        return rc;
    struct store_queue_entry entry = {
        .log_off = rec->log_off,
        .size = rec->size,
        .tag_code = record_tag_code(rec),
    };
    enum queue_put put;
    rc = consume_queue_put(*q, rec->queue_off, &entry, &put, e);
    if (rc < 0)
        return rc;
    if (put == QUEUE_PUT_NEW) {
        consume_queues_note_dirty(queues, *q);
        consume_queues_note_tail(queues, *q);
    }
    static const enum dispatch_one told[] = {
        [QUEUE_PUT_NEW] = DISPATCH_NEW,
        [QUEUE_PUT_ALREADY] = DISPATCH_ALREADY,
        [QUEUE_PUT_AHEAD] = DISPATCH_AHEAD,
        [QUEUE_PUT_TAKEN] = DISPATCH_TAKEN,
    };
    *ret = told[put];
    return 0;
}

/* ---- the step ---- */

static void tell_arrival(const struct dispatcher *d, const struct store_record *rec)
{
    if (!d->on_arrival)
        return;
    struct store_arrival a = {
        .topic = rec->topic,
        .queue_id = rec->queue_id,
        .queue_off = rec->queue_off,
        .tag_code = record_tag_code(rec),
    };
    d->on_arrival(d->arrival_arg, &a);
}

static void tell_arrivals(const struct dispatcher *d, const struct handed *items, size_t n)
{
    for (size_t i = 0; d->on_arrival && i < n; i++) {
        struct store_arrival a = {
            .topic = items[i].queue->topic,
            .queue_id = items[i].queue->queue_id,
            .queue_off = items[i].queue_off,
            .tag_code = items[i].tag_code,
        };
        d->on_arrival(d->arrival_arg, &a);
    }
}

/* Moves over records, the last of them stored at `last_ms`, or over what is none (0), with entries
 * in `q`, or without (NULL). */
static void move_to(struct dispatcher *d, uint64_t log_off, uint64_t last_ms,
                    struct consume_queue *q)
{
    atomic_store_explicit(&d->moving_to, log_off, memory_order_relaxed); /* see dispatcher_mark */
    if (last_ms > 0)
        atomic_store_explicit(&d->last_ms, last_ms, memory_order_release); /* as the count */
    if (q)
        consume_queues_count_in(d->queues, q);
    /* pairs with the acquire in dispatcher_wait and the flusher */
    atomic_store_explicit(&d->dispatched, log_off, memory_order_release);
}

/* What a step may do. */
enum effort {
    EFFORT_ALL,
    EFFORT_LITTLE, /* nothing that may wait for a disk: such a record is left */
};

enum { LEFT = 1 }; /* by EFFORT_LITTLE */

/* Whether the record's entry goes where entries were written before. Makes d->last its queue. */
static bool is_little(struct dispatcher *d, const struct store_record *rec)
{
    struct err e;
    return record_is_queued(rec) && find_queue(d->queues, rec, &d->last, &e) == 0 &&
           consume_queue_is_warm(d->last, rec->queue_off);
}

static int dispatch(struct dispatcher *d, const struct store_record *rec, enum effort effort,
                    struct err *e)
{
    enum dispatch_one done = DISPATCH_NONE;
    uint64_t last_ms = rec->store_ms;
    if (effort == EFFORT_LITTLE && !is_little(d, rec))
        return LEFT;
    int rc = dispatch_record(d->queues, rec, &d->last, &done, e);
    if (rc == 0 && done == DISPATCH_AHEAD) { /* its file of entries was lost under us (I6) */
        rc = consume_queue_fill(d->last, rec->queue_off, e);
        if (rc == 0)
            rc = dispatch_record(d->queues, rec, &d->last, &done, e);
    }
    if (rc == ERR_CORRUPT || rc == ERR_INVAL) { /* the record's fault: pass it over */
        atomic_fetch_add_explicit(&d->n_damaged, 1, memory_order_relaxed); /* a count */
        last_ms = 0;
        rc = 0;
    }
    if (rc < 0)
        return rc;
    move_to(d, rec->log_off + rec->size, last_ms, done == DISPATCH_NEW ? d->last : NULL);
    if (done == DISPATCH_NEW)
        tell_arrival(d, rec);
    return 0;
}

/* ---- what was handed over ---- */

static bool put_handed(const struct handed *item, enum effort effort)
{
    if (effort == EFFORT_LITTLE && !consume_queue_is_warm(item->queue, item->queue_off))
        return false;
    struct err e;
    enum queue_put put;
    struct store_queue_entry entry = {
        .log_off = item->log_off, .size = item->size, .tag_code = item->tag_code};
    return consume_queue_put(item->queue, item->queue_off, &entry, &put, &e) == 0 &&
           put == QUEUE_PUT_NEW;
}

/* Writes the entries of records that were handed over from `log_off` on, as long as they follow
 * each other in one queue; returns how many. What cannot be done this way is left for the record's
 * own turn, which knows why. */
static size_t dispatch_handed(struct dispatcher *d, uint64_t log_off, uint64_t end,
                              enum effort effort)
{
    const struct handed *items;
    size_t n = handover_look(d->log->handover, log_off, &items), i = 0;
    if (n > RUN_MAX)
        n = RUN_MAX;
    for (; i < n && log_off < end && items[i].log_off == log_off; i++) {
        if (items[i].queue != items[0].queue || !put_handed(&items[i], effort))
            break;
        log_off += items[i].size;
    }
    if (i == 0)
        return 0;
    /* before `dispatched` moves: the flusher believes that it knows all queues below that */
    consume_queues_note_dirty(d->queues, items[0].queue);
    consume_queues_note_tail(d->queues, items[0].queue);
    move_to(d, log_off, items[i - 1].store_ms, items[0].queue);
    tell_arrivals(d, items, i);
    handover_done(d->log->handover, i);
    return i;
}

/* ---- what is read from the log ---- */

/* Keeps the file that holds `log_off` pinned. */
static int open_at(struct dispatcher *d, uint64_t log_off, struct err *e)
{
    struct mapped_file *f = d->file;
    if (f && log_off >= f->start && log_off - f->start < f->bytes)
        return 0;
    mapped_file_unpin(f);
    d->file = NULL;
    return mapped_files_pin(&d->log->files, log_off, &d->file, e);
}

/* The record, filler or damage at `log_off`, below `end`. */
static int dispatch_next(struct dispatcher *d, uint64_t log_off, uint64_t end, enum effort effort,
                         struct err *e)
{
    int rc = open_at(d, log_off, e);
    if (rc < 0)
        return rc;
    struct mapped_file *f = d->file;
    uint64_t file_end = f->start + f->bytes;
    uint64_t upto = end < file_end ? end : file_end;
    parts_use(f, log_off - f->start, log_off - f->start + 1);
    struct span rest = span_of(f->base + (log_off - f->start), upto - log_off);
    struct store_record rec;
    switch (record_decode(rest, log_off, &rec, /* ret_why = */ NULL)) {
    case RECORD_OK:
        return dispatch(d, &rec, effort, e);
    case RECORD_BLANK:
        move_to(d, file_end, /* last_ms = */ 0, /* q = */ NULL);
        mapped_file_unpin(f); /* what follows may be handed over, and this one be removed */
        d->file = NULL;
        return 0;
    case RECORD_ZERO:
    case RECORD_SHORT:
    case RECORD_BAD:
        break;
    }
    if (effort == EFFORT_LITTLE)
        return LEFT; /* finding the next may take long */
    /* we published it whole, so somebody else wrote here: go on with the next whole record (I6) */
    uint64_t found;
    bool has_more = recovery_find_record(rest, log_off, &found);
    atomic_fetch_add_explicit(&d->n_damaged, 1, memory_order_relaxed); /* a count */
    move_to(d, has_more ? log_off + found : upto, /* last_ms = */ 0, /* q = */ NULL);
    return 0;
}

static void tell_waiters(struct dispatcher *d, int rc, const struct err *e)
{
    lock_take(&d->lock);
    d->failure = rc < 0 ? *e : (struct err){0};
    if (d->n_waiting > 0)
        (void)pthread_cond_broadcast(&d->moved);
    lock_drop(&d->lock);
}

/* The failure of a step stays: only a step can do what failed. */
static void tell_progress(struct dispatcher *d)
{
    lock_take(&d->lock);
    if (d->n_waiting > 0)
        (void)pthread_cond_broadcast(&d->moved);
    lock_drop(&d->lock);
    if (d->follower)
        worker_wake(d->follower);
}

/* Whether records come so fast that a nap is better than a wake for each. */
static bool is_busy(struct dispatcher *d, unsigned n)
{
    uint64_t now_ns = d->log->io->mono_ns(d->log->io);
    uint64_t elapsed_ns = now_ns - d->rate_ns;
    d->n_since += n;
    if (elapsed_ns >= RATE_NS) {
        bool is_fast = d->n_since >= elapsed_ns / RATE_NS * BUSY_RECORDS;
        d->n_busy = is_fast ? d->n_busy + 1 : 0;
        d->n_since = 0;
        d->rate_ns = now_ns;
    }
    return d->n_busy >= BUSY_IN_A_ROW;
}

/* Dispatches up to `max` records of what is published, and counts them. */
static int dispatch_some(struct dispatcher *d, enum effort effort, unsigned max, unsigned *ret_n,
                         struct err *e)
{
    lock_assert_held(&d->role);
    int rc = 0;
    uint64_t at;
    unsigned n = 0;
    /* seq_cst with worker_wake and lock_try: what was published before is seen here */
    uint64_t end = atomic_load_explicit(&d->log->published, memory_order_seq_cst);
    /* relaxed: stored under the role */
    while (rc == 0 && n < max &&
           (at = atomic_load_explicit(&d->dispatched, memory_order_relaxed)) < end) {
        unsigned n_handed = (unsigned)dispatch_handed(d, at, end, effort);
        if (n_handed == 0)
            rc = dispatch_next(d, at, end, effort, e);
        n += n_handed > 0 ? n_handed : rc == 0;
    }
    *ret_n = n;
    return rc;
}

static bool has_more(const struct dispatcher *d)
{
    /* seq_cst: after the role was let go, so that whoever found it taken is not forgotten */
    return atomic_load_explicit(&d->log->published, memory_order_seq_cst) >
           atomic_load_explicit(&d->dispatched, memory_order_seq_cst);
}

int dispatcher_step(void *arg)
{
    struct dispatcher *d = arg;
    struct err e;
    unsigned n = 0;
    lock_take(&d->role);
    int rc = dispatch_some(d, EFFORT_ALL, UINT_MAX, &n, &e);
    lock_drop(&d->role);
    tell_waiters(d, rc, &e);
    if (n > 0 && d->follower)
        worker_wake(d->follower);
    if (rc < 0)
        return RETRY_MS;
    if (is_busy(d, n))
        return WORKER_NAP;
    return has_more(d) ? WORKER_AT_ONCE : WORKER_WHEN_WOKEN;
}

void dispatcher_try(struct dispatcher *d)
{
    struct err e;
    do {
        if (!lock_try(&d->role))
            return; /* who has it looks again when it is done */
        unsigned n = 0;
        int rc = dispatch_some(d, EFFORT_LITTLE, TRY_RECORDS, &n, &e);
        lock_drop(&d->role);
        if (n > 0)
            tell_progress(d);
        if (rc != 0 || n >= TRY_RECORDS) {
            worker_wake(&d->worker);
            return;
        }
    } while (has_more(d));
}

void dispatcher_count_out(struct dispatcher *d, const struct queue_list *l)
{
    lock_take(&d->role);
    for (size_t i = 0; i < l->n; i++)
        consume_queues_count_out(d->queues, l->queues[i]);
    lock_drop(&d->role);
    if (has_more(d)) /* who found the role taken went away */
        worker_wake(&d->worker);
}

/* An error when waiting for `log_off` is no use. */
static int why_never(const struct dispatcher *d, uint64_t log_off, struct err *e)
{
    lock_assert_held(&d->lock);
    if (d->failure.code < 0) {
        *e = d->failure;
        return d->failure.code;
    }
    if (d->is_stopped)
        return err_set(e, ERR_CLOSED, "wait for the queues: the store is closing");
    if (commit_log_has_failed(d->log) && commit_log_published(d->log) < log_off)
        return err_set(e, ERR_FAILED, "wait for the queues: the log has failed before");
    return 0;
}

int dispatcher_wait(struct dispatcher *d, uint64_t log_off, struct err *e)
{
    int rc = 0;
    worker_wake(&d->worker);
    lock_take(&d->lock);
    d->n_waiting++;
    while (atomic_load_explicit(&d->dispatched, memory_order_acquire) < log_off) {
        rc = why_never(d, log_off, e);
        if (rc < 0)
            break;
        lock_wait(&d->lock, &d->moved, RETRY_MS);
    }
    d->n_waiting--;
    lock_drop(&d->lock);
    return rc;
}

void dispatcher_stop(struct dispatcher *d)
{
    worker_stop(&d->worker);
    lock_take(&d->lock);
    d->is_stopped = true;
    (void)pthread_cond_broadcast(&d->moved);
    lock_drop(&d->lock);
    mapped_file_unpin(d->file);
    d->file = NULL;
    consume_queue_unref(d->last);
    d->last = NULL;
}

void dispatcher_fini(struct dispatcher *d)
{
    worker_fini(&d->worker);
    (void)pthread_cond_destroy(&d->moved);
    lock_fini(&d->lock);
    lock_fini(&d->role);
}
