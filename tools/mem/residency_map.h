/* Where in a file its pages are in the page cache: the file cut into cells of one size. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_MEM_RESIDENCY_MAP_H
#define TOOLS_MEM_RESIDENCY_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Bytes of one cell. */
struct residency_cell {
    uint64_t bytes; /* the last may be shorter */
    uint64_t resident_bytes;
    uint64_t dirty_bytes; /* of these; UINT64_MAX: the kernel does not tell */
};

struct residency_map {
    const char *name; /* the caller's */
    uint64_t bytes;   /* of the file */
    uint64_t cell_bytes;
    struct residency_cell *cells; /* owned */
    size_t n;
};

/* Of the file at `path`. `cell_bytes`: a multiple of 4096, or 0: so that there are at most `n_max`
 * cells. `name` is what the map is called by. */
int residency_map_read(struct residency_map *ret, const char *path, const char *name,
                       uint64_t cell_bytes, size_t n_max, struct err *e) MUST_CHECK;
void residency_map_free(struct residency_map *map); /* zeroed is fine */

/* How full a cell is. */
enum residency_shade {
    SHADE_NONE,
    SHADE_QUARTER, /* at most a quarter of it, and so on */
    SHADE_HALF,
    SHADE_MOST,
    SHADE_ALL,
    SHADE_N,
};

enum residency_shade residency_shade(const struct residency_cell *cell);

/* The map's cells together. */
struct residency_cell residency_map_sum(const struct residency_map *map);

#endif
