/* Memory that is taken bit by bit and given back all at once. What a usual request takes is kept
 * for the next. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_block;

/* Zeroed: nothing was taken. */
struct arena {
    struct arena_block *last; /* the largest */
};

/* So many bytes, aligned for anything, until arena_forget. NULL: no memory. */
void *arena_take(struct arena *a, size_t bytes);

/* Takes everything back; keeps memory, but no more than a usual request needs. */
void arena_forget(struct arena *a);

void arena_fini(struct arena *a);

#endif
