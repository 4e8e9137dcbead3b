/* The consume queues appended to lately, found under the append lock without any other. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RECENT_QUEUES_H
#define STORE_RECENT_QUEUES_H

#include "store/consume_queue.h"

enum { RECENT_QUEUES = 64 };

/* Zeroed memory is empty. Locks: LOCK_APPEND guards it, but for fini. */
struct recent_queues {
    struct consume_queue *slots[RECENT_QUEUES]; /* each a reference, or NULL */
};

/* The queue, or NULL: it is not among the recent ones, or its topic is being deleted. No reference
 * comes with it: it is good for as long as the lock is held. */
struct consume_queue *recent_queues_find(const struct recent_queues *r, struct span topic,
                                         int32_t queue_id);

/* Takes over a reference to `q` and gives back that of the queue whose place it takes, or NULL. */
struct consume_queue *recent_queues_enter(struct recent_queues *r,
                                          struct consume_queue *q) MUST_CHECK;

void recent_queues_fini(struct recent_queues *r); /* drops the references */

#endif
