/* Objects kept from one request for the next, with the memory they have: what a usual request needs
 * is then allocated once. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_IDLE_H
#define BASE_IDLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/lock.h"

enum { IDLE_REQUESTS = 64 }; /* how many to keep of what a request has one of */

/* First in each object. */
struct idle_item {
    struct idle_item *next; /* of those that are idle */
};

struct idle {
    unsigned n_max;   /* kept at most; constant */
    struct lock lock; /* LOCK_LEAF */
    /* guarded by lock */
    struct idle_item *first;
    unsigned n;
};

void idle_init(struct idle *idle, unsigned n_max);

/* Frees what is kept. */
void idle_fini(struct idle *idle, void (*free_item)(struct idle_item *item));

/* The one used last, whose memory is warm; NULL: none is idle. Thread: any. */
struct idle_item *idle_take(struct idle *idle);

/* Keeps it; false when there are enough, and it stays the caller's. Thread: any. */
bool idle_keep(struct idle *idle, struct idle_item *item);

/* Keeps those of a list, which ends with NULL; what is left of it stays the caller's. Thread: any.
 */
struct idle_item *idle_keep_list(struct idle *idle, struct idle_item *first);

/* Memory that such an object has. Zeroed: none. */
struct idle_room {
    void *memory;
    size_t bytes;
};

/* At least so many bytes; what was in them is lost. NULL: no memory. */
void *idle_room_get(struct idle_room *room, size_t bytes);

/* Gives it back when it is larger than a usual request needs. */
void idle_room_trim(struct idle_room *room);

void idle_room_fini(struct idle_room *room);

#endif
