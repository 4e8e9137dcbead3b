/* A hash map from byte strings to pointers; not locked. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stddef.h>

#include "base/bytes.h"
#include "base/err.h"

struct map_entry {
    uint8_t *key; /* owned by the map; followed by a NUL */
    size_t key_len;
    void *value;
    uint64_t hash;
};

/* Open addressing, XXH3. Zeroed memory is an empty map. */
struct map {
    struct map_entry *entries;
    size_t n_slots; /* a power of two, or 0 */
    size_t n_used;
    size_t n_dead; /* slots of removed entries, still part of probe chains */
};

void map_fini(struct map *m); /* values are the caller's */

/* The value, or NULL. */
void *map_get(const struct map *m, struct span key);

/* Adds or replaces; the key is copied, `value` is not NULL. ERR_NOMEM leaves the map as it was. */
int map_put(struct map *m, struct span key, void *value, struct err *e) MUST_CHECK;

/* Removes and returns the value, or NULL. */
void *map_remove(struct map *m, struct span key);

/* Iteration: `*pos` starts at 0; NULL at the end. No put in between; any entry may be removed. */
const struct map_entry *map_next(const struct map *m, size_t *pos);

#endif
