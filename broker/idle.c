/* Objects kept from one request for the next. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/idle.h"

#include <stdlib.h>

void idle_init(struct idle *idle)
{
    *idle = (struct idle){.n = 0};
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

bool idle_keep(struct idle *idle, struct idle_item *item)
{
    lock_take(&idle->lock);
    bool stays = idle->n < IDLE_MAX;
    if (stays) {
        item->next = idle->first;
        idle->first = item;
        idle->n++;
    }
    lock_drop(&idle->lock);
    return stays;
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

void idle_room_fini(struct idle_room *room)
{
    free(room->memory);
    *room = (struct idle_room){0};
}
