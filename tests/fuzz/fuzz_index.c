/* Fuzzes what reads a foreign file of the key index: a search in it, and settling and continuing
 * it. A search ends and its positions fall; what is settled is consistent. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/index_search.h"
#include "store/index_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { SLOTS = 4, NAME = 1, FD = 3, ITEMS_MAX = 1000 };

static struct span file; /* what the seam's calls read */
static char *folder;     /* with one name in it, which is all that is asked of it */

static void must(bool is_true)
{
    if (!is_true)
        abort();
}

/* ---- a seam with one file in memory ---- */

static int mem_open(struct io *io, const char *path, int flags, unsigned mode)
{
    (void)io, (void)path, (void)flags, (void)mode;
    return FD;
}

static int mem_close(struct io *io, int fd)
{
    (void)io, (void)fd;
    return 0;
}

static int mem_size(struct io *io, int fd, uint64_t *ret_bytes)
{
    (void)io, (void)fd;
    *ret_bytes = file.len;
    return 0;
}

static int64_t mem_pread(struct io *io, int fd, void *buf, size_t len, uint64_t off)
{
    (void)io, (void)fd;
    if (off >= file.len)
        return 0;
    size_t n = len < file.len - off ? len : (size_t)(file.len - off);
    memcpy(buf, file.ptr + off, n);
    return (int64_t)n;
}

static int mem_allocate(struct io *io, int fd, uint64_t off, uint64_t len)
{
    (void)io, (void)fd;
    must(off + len <= file.len);
    return 0;
}

static int mem_map(struct io *io, int fd, uint64_t len, bool writable, uint8_t **ret_base)
{
    (void)io, (void)fd, (void)writable;
    must(len == file.len);
    *ret_base = malloc(len);
    must(*ret_base != NULL);
    memcpy(*ret_base, file.ptr, len);
    return 0;
}

static int mem_unmap(struct io *io, uint8_t *base, uint64_t len)
{
    (void)io, (void)len;
    free(base);
    return 0;
}

static int mem_advise(struct io *io, uint8_t *base, uint64_t len, enum io_advice advice)
{
    (void)io, (void)base, (void)len, (void)advice;
    return 0;
}

static struct io mem = {
    .open = mem_open,
    .close = mem_close,
    .size = mem_size,
    .pread = mem_pread,
    .allocate = mem_allocate,
    .map = mem_map,
    .unmap = mem_unmap,
    .advise = mem_advise,
};

/* ---- searching ---- */

static int take(void *arg, uint64_t log_off, struct err *e)
{
    uint64_t *last = arg;
    (void)e;
    must(log_off < *last);
    *last = log_off;
    return 0;
}

static void check_search(uint32_t hash)
{
    uint64_t last = UINT64_MAX;
    enum index_search_end end;
    struct err e;
    const struct index_search s = {.io = &mem,
                                   .folder = folder,
                                   .n_slots = SLOTS,
                                   .hash = hash,
                                   .end_ms = UINT64_MAX,
                                   .below_log_off = UINT64_MAX,
                                   .max_items = ITEMS_MAX};
    must(index_search(&s, take, &last, &end, &e) == 0);
    must(end != INDEX_SEARCH_STOPPED);
}

/* ---- continuing ---- */

static void check_settled(const struct index_writer *f)
{
    struct store_index_item item;
    must(f->head.n_next >= 1 && f->head.n_next <= f->n_items);
    must(f->head.n_used_slots <= f->n_slots);
    for (uint32_t i = 0; i < SLOTS; i++)
        must(be32_get(f->base + STORE_INDEX_HEADER_BYTES + i * 4) < f->head.n_next);
    for (uint32_t n = 1; n < f->head.n_next; n++)
        must(store_index_item_decode(f->base + store_index_item_at(SLOTS, n), &item) &&
             item.prev < n && item.log_off < INT64_MAX / 2);
}

static void check_continued(const struct index_spec *spec)
{
    struct index_writer *f;
    struct err e;
    if (index_writer_open(&f, spec, &e) < 0)
        return;
    must(index_writer_settle(f, INT64_MAX / 2, 1, &e) == 0);
    check_settled(f);
    while (index_writer_room(f) > 0)
        must(index_writer_put(f, f->head.n_next, INT64_MAX / 4, 1, &e) == 0);
    index_writer_close(f);
}

static void remove_folder(void)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/00000000000000001", folder);
    (void)unlink(path); /* what is left is a folder in the scratch place */
    (void)rmdir(folder);
}

static void make_folder(void)
{
    static char made[] = "/tmp/sluice-fuzz-XXXXXX";
    char path[64];
    folder = mkdtemp(made);
    must(folder != NULL);
    (void)snprintf(path, sizeof path, "%s/00000000000000001", folder);
    FILE *out = fopen(path, "w");
    must(out != NULL && fclose(out) == 0);
    must(atexit(remove_folder) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (!folder)
        make_folder();
    file = span_of(data, len);
    for (uint32_t hash = 0; hash < 2 * SLOTS; hash++)
        check_search(hash);
    struct index_spec spec = {.io = &mem,
                              .folder = folder,
                              .name = NAME,
                              .n_slots = SLOTS,
                              .n_items = store_index_items(len, SLOTS)};
    if (spec.n_items > 0)
        check_continued(&spec);
    return 0;
}
