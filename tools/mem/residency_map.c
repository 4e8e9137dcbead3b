/* Asks the kernel for each cell of a file. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mem/residency_map.h"

#include <stdlib.h>
#include <string.h>

#include <fcntl.h>

#include "base/io.h"
#include "store/store.h"

enum { PAGE_BYTES = 4096, CELLS_MAX = 1 << 20 };

static uint64_t divide_up(uint64_t n, uint64_t by)
{
    return n / by + (n % by > 0);
}

static int read_cells(struct residency_map *map, int fd, struct err *e)
{
    for (size_t i = 0; i < map->n; i++) {
        uint64_t off = i * map->cell_bytes;
        struct residency_cell *cell = &map->cells[i];
        struct store_residency found;
        cell->bytes = map->bytes - off < map->cell_bytes ? map->bytes - off : map->cell_bytes;
        int rc = store_residency(fd, off, cell->bytes, &found, e);
        if (rc < 0)
            return rc;
        cell->resident_bytes = found.resident_bytes;
        cell->dirty_bytes = found.dirty_bytes;
    }
    return 0;
}

static int make_cells(struct residency_map *map, size_t n_max, struct err *e)
{
    if (map->cell_bytes == 0)
        map->cell_bytes = divide_up(divide_up(map->bytes, n_max), PAGE_BYTES) * PAGE_BYTES;
    uint64_t n = map->bytes > 0 ? divide_up(map->bytes, map->cell_bytes) : 0;
    if (n > CELLS_MAX)
        return err_set(e, ERR_TOOBIG, "map '%s': it has over %d cells", map->name, CELLS_MAX);
    map->n = (size_t)n;
    map->cells = calloc(map->n + 1, sizeof *map->cells); /* never of length 0 */
    return map->cells ? 0 : err_set(e, ERR_NOMEM, "map '%s'", map->name);
}

int residency_map_read(struct residency_map *ret, const char *path, const char *name,
                       uint64_t cell_bytes, size_t n_max, struct err *e)
{
    struct io *io = io_posix();
    struct residency_map map = {.name = name, .cell_bytes = cell_bytes};
    int fd = io->open(io, path, O_RDONLY, 0);
    if (fd < 0)
        return err_sys(e, -fd, "open '%s'", path);
    int rc = io->size(io, fd, &map.bytes);
    rc = rc < 0 ? err_sys(e, -rc, "get the length of '%s'", path) : make_cells(&map, n_max, e);
    if (rc == 0)
        rc = read_cells(&map, fd, e);
    (void)io->close(io, fd); /* read only: nothing to lose */
    if (rc < 0)
        residency_map_free(&map);
    else
        *ret = map;
    return rc;
}

void residency_map_free(struct residency_map *map)
{
    free(map->cells);
    map->cells = NULL;
    map->n = 0;
}

enum residency_shade residency_shade(const struct residency_cell *cell)
{
    if (cell->resident_bytes == 0)
        return SHADE_NONE;
    if (cell->resident_bytes >= cell->bytes) /* whole pages: the last may reach behind the end */
        return SHADE_ALL;
    if (cell->resident_bytes <= cell->bytes / 4)
        return SHADE_QUARTER;
    return cell->resident_bytes <= cell->bytes / 2 ? SHADE_HALF : SHADE_MOST;
}

struct residency_cell residency_map_sum(const struct residency_map *map)
{
    struct residency_cell sum = {.bytes = map->bytes};
    for (size_t i = 0; i < map->n; i++) {
        uint64_t dirty = map->cells[i].dirty_bytes;
        sum.resident_bytes += map->cells[i].resident_bytes;
        sum.dirty_bytes = dirty == UINT64_MAX || sum.dirty_bytes == UINT64_MAX
                              ? UINT64_MAX
                              : sum.dirty_bytes + dirty;
    }
    return sum;
}
