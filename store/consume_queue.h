/* One consume queue: 20-byte entries that point at the records of one topic and queue id. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_CONSUME_QUEUE_H
#define STORE_CONSUME_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/mapped_files.h"
#include "store/store.h"

/* The appender's side of a queue. Guarded by LOCK_APPEND. */
struct queue_seq {
    uint64_t next_off;           /* queue_off of the next record */
    bool dropped;                /* its topic is being deleted: nothing is appended any more */
    struct consume_queue *queue; /* whose it is, constant; NULL: the dispatcher reads the log */
};

struct consume_queue {
    /* set before shared, then constant */
    struct span topic; /* owned */
    int32_t queue_id;
    struct mapped_files files; /* positions are bytes: 20 * queue_off */
    struct queue_maps *maps;   /* told of mappings; NULL: nobody is */
    /* LOCK_QUEUE: over the late listing of the files, what drops them, and what moves min_off */
    struct lock lock;
    /* atomic: release when the folder was listed, acquire by who needs the files; false until then
     * for a queue that the roll of the last stop tells about */
    _Atomic bool has_listed;
    struct queue_seq seq;
    /* dispatcher only (recovery before it starts) */
    struct mapped_file *tail;      /* the file written to, pinned; may be NULL */
    struct store_queue_entry last; /* the last that points at a record; size 0: there is none */
    /* atomic, relaxed: moved on by the dispatcher, to 0 by the flusher, whose sync protects pages
     * again. A stale value costs a page fault. Bytes below it were written to since. */
    _Atomic uint64_t warm_upto;
    uint64_t flushed_off;  /* flusher only: entries below it are on disk */
    uint64_t cleared_upto; /* likewise: bytes below it may be zeroed and not on disk; 0: none are */
    bool has_dropped;      /* likewise: files are gone that a crash could bring back */
    uint64_t counted_off;  /* dispatcher only: its end as the table's count has it */
    /* atomic: stored by the dispatcher, and min_off under the lock (release), loaded by any reader
     * (acquire) -- I2 */
    _Atomic uint64_t min_off; /* first entry */
    _Atomic uint64_t end_off; /* one past the last */
    /* atomic, acq_rel exchanges on both sides: set by the dispatcher after it moved end_off,
     * cleared by the flusher before it reads that -- see consume_queues_note_dirty */
    _Atomic bool is_dirty;
    /* atomic, see queue_maps.c: a file of it may be mapped, and it is on the list */
    _Atomic bool is_mapped;
    struct consume_queue *next_mapped; /* guarded by the list's lock */
    struct consume_queue *next_tail;   /* dispatcher only: see consume_queues_note_tail */
    bool has_tail;                     /* dispatcher only: on that list */
    struct consume_queue *next_dirty;  /* of who set is_dirty, then of who took the list */
    _Atomic bool is_gone;    /* release when it leaves the table, acquire by who kept a reference */
    _Atomic uint32_t n_refs; /* the table's, and each user's: relaxed up, acq_rel down */
};

/* `folder` is consumequeue/<topic>/<queue id>; nothing is made on disk. The caller has the one
 * reference. */
int consume_queue_new(struct consume_queue **ret_q, struct span topic, int32_t queue_id,
                      const char *folder, uint64_t file_bytes, struct io *io,
                      struct reclaimer *reclaimer, struct err *e) MUST_CHECK;

void consume_queue_ref(struct consume_queue *q);
void consume_queue_unref(struct consume_queue *q); /* NULL is fine */

/* One past the last entry. Thread: any. */
static inline uint64_t consume_queue_end(const struct consume_queue *q)
{
    return atomic_load_explicit(&q->end_off, memory_order_acquire);
}

/* What the last stop said of a queue: its files are listed when they are needed. */
struct queue_ends {
    uint64_t min_off, end_off;
    struct store_queue_entry last;
};

/* Takes that over instead of a load. */
void consume_queue_believe(struct consume_queue *q, const struct queue_ends *ends);

static inline bool consume_queue_has_listed(const struct consume_queue *q)
{
    return atomic_load_explicit(&q->has_listed, memory_order_acquire); /* see the struct */
}

/* Lists the files if nobody has. ERR_CORRUPT: they are not those that were believed in. Thread:
 * any. Locks: takes LOCK_QUEUE, LOCK_FILES. */
int consume_queue_need_files(struct consume_queue *q, struct err *e) MUST_CHECK;

/* Maps and pins the file that holds byte `at` of the queue. Thread: any. */
int consume_queue_pin(struct consume_queue *q, uint64_t at, struct mapped_file **ret_file,
                      struct err *e) MUST_CHECK;

/* Moves the queue's bounds, but for its files. Thread: dispatcher or recovery. */
void consume_queue_set_bounds(struct consume_queue *q, uint64_t min_off, uint64_t end_off);

/* Lists the files and finds the first entry and the end: entries at `below_log_off` and behind are
 * not believed and will be written again. What is cleared behind the end waits for a flush. */
int consume_queue_load(struct consume_queue *q, uint64_t below_log_off, struct err *e) MUST_CHECK;

/* Cuts off every entry at or behind `log_off`; what is cleared waits for a flush. Thread:
 * recovery. */
int consume_queue_cut(struct consume_queue *q, uint64_t log_off, struct err *e) MUST_CHECK;

/* Whether a load or a cut cleared something that is not on disk: entries that came back after a
 * crash would be believed once the log has grown over them. Thread: recovery. */
static inline bool consume_queue_is_cleared(const struct consume_queue *q)
{
    return q->cleared_upto > 0 || q->has_dropped;
}

/* Moves the beginning over the entries that point below `log_off`, where the log begins or is about
 * to; the end stays. Their files stay until consume_queue_drop_old. Thread: any, one at a time.
 * Locks: takes LOCK_QUEUE, LOCK_FILES. */
int consume_queue_trim(struct consume_queue *q, uint64_t log_off, struct err *e) MUST_CHECK;

/* Removes files that lie wholly before the beginning, but for the last. Thread and locks: as
 * consume_queue_trim. */
int consume_queue_drop_old(struct consume_queue *q, struct err *e) MUST_CHECK;

enum queue_put {
    QUEUE_PUT_NEW,     /* written */
    QUEUE_PUT_ALREADY, /* it was there: nothing written */
    QUEUE_PUT_AHEAD,   /* the entries before it are missing: nothing written */
    QUEUE_PUT_TAKEN,   /* the number has another entry: nothing written */
};

/* Writes the entry of `queue_off`; doing it twice is fine. An entry behind a hole yields AHEAD; the
 * first entry of an empty queue may have any number. When number 0 is in the queue but the record
 * lies behind all it points to, the topic was deleted and made anew: the queue starts again.
 * ERR_NOSPACE and other errors leave the queue as it was. Thread: dispatcher or recovery. */
int consume_queue_put(struct consume_queue *q, uint64_t queue_off,
                      const struct store_queue_entry *entry, enum queue_put *ret,
                      struct err *e) MUST_CHECK;

/* Writes the entry over another one, which was wrong. Thread: recovery. */
int consume_queue_mend(struct consume_queue *q, uint64_t queue_off,
                       const struct store_queue_entry *entry, struct err *e) MUST_CHECK;

/* Whether consume_queue_put of `queue_off` would go on at the end, in a page that is there: it then
 * waits for nothing. Thread: dispatcher. */
bool consume_queue_is_warm(const struct consume_queue *q, uint64_t queue_off);

/* Fills the numbers up to `queue_off` with entries that match no record (rocketmq-store 3.2): what
 * they pointed at is lost. ERR_CORRUPT over a bound. Thread: dispatcher or recovery. */
int consume_queue_fill(struct consume_queue *q, uint64_t queue_off, struct err *e) MUST_CHECK;

static inline bool consume_queue_is_gone(const struct consume_queue *q)
{
    return atomic_load_explicit(&q->is_gone, memory_order_acquire); /* see the struct */
}

/* Whether an entry points at a record. */
static inline bool consume_queue_is_real(const struct store_queue_entry *entry)
{
    return entry->size != 0x7fffffff; /* pre-blank: rocketmq-store 3.2 */
}

/* Entries as they lie in the mapping, decoded one at a time by consume_queue_at. */
struct queue_view {
    struct mapped_file *file; /* pinned: dropped by mapped_file_unpin */
    const uint8_t *entries;
    uint64_t n; /* up to the end of the file or of the queue; 0: nothing there, no file pinned */
};

int consume_queue_view(struct consume_queue *q, uint64_t queue_off, struct queue_view *ret,
                       struct err *e) MUST_CHECK;

static inline bool consume_queue_is_damaged(const struct store_queue_entry *entry)
{
    return entry->log_off == UINT64_MAX; /* see consume_queue_at */
}

/* The i-th entry; one that cannot be is damaged and not real. */
struct store_queue_entry consume_queue_at(const struct queue_view *v, uint64_t i);

/* Has what follows the entries [from, to) read from disk when they enter a new part of the file:
 * call it before they are looked at. */
void consume_queue_fetch(const struct queue_view *v, uint64_t from, uint64_t to);

/* Copies up to `n` entries from `queue_off` on, as many as lie in one file; 0 at the end. */
int consume_queue_read(struct consume_queue *q, uint64_t queue_off,
                       struct store_queue_entry *entries, size_t n, size_t *ret_n,
                       struct err *e) MUST_CHECK;

/* Makes every entry durable, and that nothing is behind the last. Thread: flusher. */
int consume_queue_flush(struct consume_queue *q, uint64_t *ret_bytes, struct err *e) MUST_CHECK;

#endif
