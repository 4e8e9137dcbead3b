/* The table of consume queues by topic and queue id, and the folder they lie in. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_CONSUME_QUEUES_H
#define STORE_CONSUME_QUEUES_H

#include "base/lock.h"
#include "base/map.h"
#include "store/consume_queue.h"
#include "store/queue_maps.h"

struct consume_queues {
    /* set before shared, then constant */
    struct io *io;
    char *folder; /* <root>/consumequeue */
    uint64_t file_bytes;
    struct reclaimer *reclaimer;
    struct map batch_topics; /* topics whose queues have another layout (rocketmq-store 3.5) */
    struct queue_maps maps;
    struct map deleted; /* topics that were deleted: name to uint64_t, freed with the table */
    struct lock lock;   /* LOCK_QUEUES */
    /* guarded by lock */
    struct map queues; /* key: topic and queue id; one reference each */
    /* dispatcher only (recovery before it starts): queues that keep their tail pinned, longest
     * first; one reference each */
    struct consume_queue *first_tail, *last_tail;
    size_t n_tails;
    /* atomic: pushed to by the dispatcher (release), taken whole by the flusher (acquire) */
    _Atomic(struct consume_queue *) dirty; /* with entries not flushed; one reference each */
    /* atomic: stored by the dispatcher (release), loaded by the flusher (acquire) */
    _Atomic uint64_t n_filled;  /* queues that have entries */
    _Atomic uint64_t n_entries; /* the sum of their ends */
};

int consume_queues_init(struct consume_queues *t, struct io *io, const char *root,
                        uint64_t file_bytes, struct reclaimer *reclaimer, struct err *e) MUST_CHECK;
void consume_queues_fini(struct consume_queues *t); /* zeroed memory is fine */

/* The topic's queues are in RocketMQ's batch layout. Before the queues are loaded. ERR_NOMEM. */
int consume_queues_note_batch(struct consume_queues *t, const char *topic,
                              struct err *e) MUST_CHECK;

/* The topic was deleted: records of it below `below_log_off` belong into no queue. Before recovery.
 * ERR_NOMEM. */
int consume_queues_note_deleted(struct consume_queues *t, const char *topic, uint64_t below_log_off,
                                struct err *e) MUST_CHECK;

/* Whether a record of this topic at this place is of a topic that was deleted. */
bool consume_queues_is_deleted(const struct consume_queues *t, struct span topic, uint64_t log_off);

/* Notes the topics of which RocketMQ has batch queues on disk. */
int consume_queues_find_batches(struct consume_queues *t, struct err *e) MUST_CHECK;

/* Lists what is on disk; see consume_queue_load. */
int consume_queues_load(struct consume_queues *t, uint64_t below_log_off, struct err *e) MUST_CHECK;

/* A new reference, or NULL when there is no such queue. Thread: any. */
struct consume_queue *consume_queues_get(struct consume_queues *t, struct span topic,
                                         int32_t queue_id);

/* The same, making it (in memory only) when there is none. */
int consume_queues_get_or_make(struct consume_queues *t, struct span topic, int32_t queue_id,
                               struct consume_queue **ret_q, struct err *e) MUST_CHECK;

/* Whether the topic's queues are in RocketMQ's batch layout, which is left alone. */
bool consume_queues_is_batch(const struct consume_queues *t, struct span topic);

struct queue_list {
    struct consume_queue **queues; /* one reference each */
    size_t n;
};

/* References to all queues, or to those of one topic (`topic.len` 0: all). Free with
 * queue_list_fini. */
int consume_queues_list(struct consume_queues *t, struct span topic, struct queue_list *ret,
                        struct err *e) MUST_CHECK;
void queue_list_fini(struct queue_list *l);

/* Puts a queue that got an entry on the list of those to be flushed, if it is not there. Thread:
 * dispatcher or recovery. */
void consume_queues_note_dirty(struct consume_queues *t, struct consume_queue *q);

/* Notes that the queue keeps its tail pinned; beyond a limit the one noted longest ago gives its
 * own up. Thread: dispatcher or recovery. */
void consume_queues_note_tail(struct consume_queues *t, struct consume_queue *q);

/* Makes the entries of all listed queues durable and empties the list; after a failure the rest is
 * off the list all the same. `ret_bytes` is added to. Thread: flusher. */
int consume_queues_flush(struct consume_queues *t, uint64_t *ret_bytes, struct err *e) MUST_CHECK;

/* Takes the queue out of the table and removes its files and folder. */
int consume_queues_drop(struct consume_queues *t, struct consume_queue *q,
                        struct err *e) MUST_CHECK;

size_t consume_queues_count(struct consume_queues *t);

/* How many queues have entries, and the sum of their ends: what a lost queue changes. Looks at each
 * queue. */
void consume_queues_totals(struct consume_queues *t, uint64_t *ret_queues, uint64_t *ret_entries);

/* Takes the queue's present end into the running count of the same. Thread: dispatcher or recovery.
 */
void consume_queues_count_in(struct consume_queues *t, struct consume_queue *q);

/* Takes the queue out of it; nothing comes into the queue any more. Thread: dispatcher. */
void consume_queues_count_out(struct consume_queues *t, struct consume_queue *q);

/* The running count; dispatcher_mark tells of what. */
void consume_queues_counted(const struct consume_queues *t, uint64_t *ret_queues,
                            uint64_t *ret_entries);

#endif
