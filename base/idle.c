/* Objects kept from one request for the next. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/idle.h"

#include <stdlib.h>

enum { KEPT_BYTES = 64 * 1024 }; /* of a room, from request to request */

void idle_init(struct idle *idle, unsigned n_max)
{
    *idle = (struct idle){.n_max = n_max};
    lock_init(&idle->lock, LOCK_LEAF);
}

void idle_fini(struct idle *idle, void (*free_item)(struct idle_item *item))
{
    struct idle_item *item;
    while ((item = idle_take(idle)) != NULL)
        free_item(item);
    lock_fini(&idle->lock);
}

struct idle_item *idle_take(struct idle *idle)
{
    lock_take(&idle->lock);
    struct idle_item *item = idle->first;
    if (item) {
        idle->first = item->next;
        idle->n--;
    }
    lock_drop(&idle->lock);
    return item;
}

struct idle_item *idle_keep_list(struct idle *idle, struct idle_item *first)
{
    lock_take(&idle->lock);
    while (first && idle->n < idle->n_max) {
        struct idle_item *next = first->next;
        first->next = idle->first;
        idle->first = first;
        idle->n++;
        first = next;
    }
    lock_drop(&idle->lock);
    return first;
}

bool idle_keep(struct idle *idle, struct idle_item *item)
{
    item->next = NULL;
    return idle_keep_list(idle, item) == NULL;
}

void *idle_room_get(struct idle_room *room, size_t bytes)
{
    if (bytes <= room->bytes)
        return room->memory;
    idle_room_fini(room);
    room->memory = malloc(bytes);
    room->bytes = room->memory ? bytes : 0;
    return room->memory;
}

void idle_room_trim(struct idle_room *room)
{
    if (room->bytes > KEPT_BYTES)
        idle_room_fini(room);
}

void idle_room_fini(struct idle_room *room)
{
    free(room->memory);
    *room = (struct idle_room){0};
}
