/* Which consume queues have files mapped: a bounded number, so that a hundred thousand queues stay
 * below the kernel's limit of mappings. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_QUEUE_MAPS_H
#define STORE_QUEUE_MAPS_H

#include "store/worker.h"

struct consume_queue;

enum { QUEUE_MAPS_MAX = 16384 }; /* a quarter of the kernel's default */

struct queue_maps {
    struct lock lock; /* LOCK_LEAF */
    /* set before shared, then constant */
    size_t max;
    struct worker *worker; /* woken when there are more: the reclaimer */
    /* guarded by lock: the queues, noted longest ago first; one reference each */
    struct consume_queue *first, *last;
    size_t n;
};

void queue_maps_init(struct queue_maps *m, size_t max, struct worker *worker);
void queue_maps_fini(struct queue_maps *m); /* zeroed memory is fine */

/* Puts a queue on the list that may have mapped a file, if it is not there. Thread: any, with a
 * reference. Locks: takes LOCK_LEAF. */
void queue_maps_note(struct queue_maps *m, struct consume_queue *q);

/* Unmaps the files of those noted longest ago, but for pinned ones, as long as there are too many.
 * Thread: the one that unmaps. Locks: takes LOCK_LEAF, and LOCK_FILES of the queues. */
void queue_maps_trim(struct queue_maps *m);

#endif
