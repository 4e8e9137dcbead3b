/* Blocks of memory. Each is twice as large as the one before, so that soon one is enough: it alone
 * is kept. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

enum {
    FIRST_BYTES = 4096,
    KEPT_BYTES = 64 * 1024,
    ALIGN = alignof(max_align_t),
};

struct arena_block {
    struct arena_block *before;
    size_t used, room;
    alignas(max_align_t) uint8_t bytes[];
};

static void free_blocks(struct arena_block *b)
{
    while (b) {
        struct arena_block *before = b->before;
        free(b);
        b = before;
    }
}

static struct arena_block *add_block(struct arena *a, size_t bytes)
{
    size_t room = a->last ? 2 * a->last->room : FIRST_BYTES;
    if (room < bytes)
        room = bytes;
    struct arena_block *b = malloc(sizeof *b + room);
    if (!b)
        return NULL;
    b->before = a->last;
    b->used = 0;
    b->room = room;
    a->last = b;
    return b;
}

void *arena_take(struct arena *a, size_t bytes)
{
    struct arena_block *b = a->last;
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (!b || b->room - b->used < bytes)
        b = add_block(a, bytes);
    if (!b)
        return NULL;
    void *place = b->bytes + b->used;
    b->used += bytes;
    return place;
}

void arena_forget(struct arena *a)
{
    struct arena_block *last = a->last;
    if (!last)
        return;
    free_blocks(last->before);
    last->before = NULL;
    last->used = 0;
    if (last->room > KEPT_BYTES)
        arena_fini(a);
}

void arena_fini(struct arena *a)
{
    free_blocks(a->last);
    a->last = NULL;
}
