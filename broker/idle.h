/* Objects kept from one request for the next, with the memory they have: what a usual request needs
 * is then allocated once. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_IDLE_H
#define BROKER_IDLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/lock.h"

enum { IDLE_MAX = 64 }; /* kept at most */

/* First in each object. */
struct idle_item {
    struct idle_item *next; /* of those that are idle */
};

struct idle {
    struct lock lock; /* LOCK_LEAF */
    /* guarded by lock */
    struct idle_item *first;
    unsigned n;
};

void idle_init(struct idle *idle);

/* Frees what is kept. */
void idle_fini(struct idle *idle, void (*free_item)(struct idle_item *item));

/* The one used last, whose memory is warm; NULL: none is idle. Thread: any. */
struct idle_item *idle_take(struct idle *idle);

/* Keeps it; false when there are enough, and it stays the caller's. Thread: any. */
bool idle_keep(struct idle *idle, struct idle_item *item);

/* Memory that such an object has. Zeroed: none. */
struct idle_room {
    void *memory;
    size_t bytes;
};

/* At least so many bytes; what was in them is lost. NULL: no memory. */
void *idle_room_get(struct idle_room *room, size_t bytes);

void idle_room_fini(struct idle_room *room);

#endif
