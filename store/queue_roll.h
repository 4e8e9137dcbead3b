/* The roll: what each consume queue had at a clean stop, in one file, so that the next start need
 * not open every queue. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_QUEUE_ROLL_H
#define STORE_QUEUE_ROLL_H

#include <time.h>

#include "store/consume_queues.h"

#define QUEUE_ROLL_FILE "sluiceQueues"

/* ---- the bytes ---- */

/* One queue as the roll tells it; `topic` points into the file. */
struct queue_roll_item {
    struct span topic;
    int32_t queue_id;
    struct timespec changed;       /* the queue's folder, last */
    struct timespec topic_changed; /* its topic's */
    struct queue_ends ends;
};

struct queue_roll {
    uint8_t *bytes;
    size_t len, n_room;
    uint64_t n_items;
};

/* What the roll as a whole is about. */
struct queue_roll_head {
    struct store_checkpoint cp;
    uint64_t file_bytes;     /* of a queue's files */
    struct timespec changed; /* the folder of all queues */
};

int queue_roll_begin(struct queue_roll *r, const struct queue_roll_head *head,
                     struct err *e) MUST_CHECK;
int queue_roll_add(struct queue_roll *r, const struct queue_roll_item *item,
                   struct err *e) MUST_CHECK;
int queue_roll_end(struct queue_roll *r, struct err *e) MUST_CHECK;
void queue_roll_fini(struct queue_roll *r);

typedef int (*queue_roll_fn)(void *arg, const struct queue_roll_item *item, struct err *e);

/* Reads the head, then calls `fn` for each queue; stops when that fails. ERR_CORRUPT: it is no
 * whole roll, and `fn` was not called. */
int queue_roll_parse(struct span file, struct queue_roll_head *ret_head, queue_roll_fn fn,
                     void *arg, struct err *e) MUST_CHECK;

/* ---- the file ---- */

/* Writes the roll of all queues, at a clean stop, when all of them are on disk. When that fails
 * there is none, and the next start takes longer. */
int queue_roll_write(struct consume_queues *t, const struct store_checkpoint *cp, struct err *e);

/* Removes the roll, and takes over what it says when nothing can have changed since: the checkpoint
 * is the same, and so are the times of all folders. False: no queue was entered; load them. */
int queue_roll_take(struct consume_queues *t, const struct store_checkpoint *cp, bool *ret_taken,
                    struct err *e) MUST_CHECK;

/* Removes it, after a crash. */
int queue_roll_remove(struct consume_queues *t, struct err *e) MUST_CHECK;

#endif
