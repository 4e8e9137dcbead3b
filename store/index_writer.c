/* Writes one file of the key index.
 *
 * Slots are touched at random and items at their end, so the mapping is advised IO_RANDOM: reading
 * around would bring in megabytes for each. Blocks are allocated before they are written (I4): all
 * slots when the file is made, items a step ahead. An item is written before its slot, the slot
 * before the count; a crash may leave any of that undone, and after it index_writer_settle decides
 * by the items alone: the chain of each slot, replayed from the first item on, must be the one that
 * the items name, and positions in the log must not go back. A page that did not reach the disk
 * breaks one or the other. All of it is derived (I6). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/index_writer.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/format.h"
#include "store/guard.h"
#include "store/index_format.h"

enum {
    ALLOCATE_STEP_BYTES = 1 << 20,
    PAGE_BYTES = 4096,
    RELAX_ITEMS = 1 << 19, /* 10 MiB of items */
};

static char *path_of(const struct index_spec *spec)
{
    char *path = NULL;
    return asprintf(&path, "%s/%0*" PRIu64, spec->folder, FORMAT_INDEX_NAME_DIGITS, spec->name) < 0
               ? NULL
               : path;
}

static uint64_t spec_bytes(const struct index_spec *spec)
{
    return store_index_item_at(spec->n_slots, spec->n_items);
}

/* ---- opening ---- */

static int check_header(const struct index_spec *spec, const char *path, int fd,
                        struct store_index_header *ret, struct err *e)
{
    uint8_t bytes[STORE_INDEX_HEADER_BYTES];
    uint64_t len;
    int rc = spec->io->size(spec->io, fd, &len);
    if (rc < 0)
        return err_sys(e, -rc, "get the length of '%s'", path);
    if (len != spec_bytes(spec))
        return err_set(e, ERR_CORRUPT, "'%s' has %" PRIu64 " bytes, not %" PRIu64, path, len,
                       spec_bytes(spec));
    int64_t n = spec->io->pread(spec->io, fd, bytes, sizeof bytes, 0);
    if (n < 0)
        return err_sys(e, (int)-n, "read '%s'", path);
    struct store_index_header h;
    if (n < (int64_t)sizeof bytes || !store_index_header_decode(bytes, &h) ||
        h.n_next > spec->n_items || h.n_used_slots > spec->n_slots)
        return err_set(e, ERR_CORRUPT, "'%s' has no header of an index", path);
    *ret = h;
    return 0;
}

int index_writer_peek(const struct index_spec *spec, struct store_index_header *ret, struct err *e)
{
    char *path = path_of(spec);
    if (!path)
        return err_set(e, ERR_NOMEM, "name a file of '%s'", spec->folder);
    int fd = spec->io->open(spec->io, path, O_RDONLY, 0);
    int rc = fd < 0 ? err_sys(e, -fd, "open '%s'", path) : check_header(spec, path, fd, ret, e);
    if (fd >= 0)
        (void)spec->io->close(spec->io, fd); /* read only: nothing to lose */
    free(path);
    return rc;
}

static struct index_writer *describe(const struct index_spec *spec)
{
    struct index_writer *f = calloc(1, sizeof *f);
    char *path = path_of(spec);
    if (!f || !path) {
        free(f);
        free(path);
        return NULL;
    }
    f->io = spec->io;
    f->path = path;
    f->name = spec->name;
    f->n_slots = spec->n_slots;
    f->n_items = spec->n_items;
    f->bytes = spec_bytes(spec);
    return f;
}

static int map_file(struct index_writer *f, int fd, struct err *e)
{
    int rc = f->io->map(f->io, fd, f->bytes, /* writable = */ true, &f->base);
    if (rc < 0)
        return err_sys(e, -rc, "map '%s'", f->path);
    guard_add(f->base, f->bytes, &f->is_bad);                 /* I4 */
    (void)f->io->advise(f->io, f->base, f->bytes, IO_RANDOM); /* only speed */
    return 0;
}

int index_writer_open(struct index_writer **ret_file, const struct index_spec *spec, struct err *e)
{
    struct index_writer *f = describe(spec);
    if (!f)
        return err_set(e, ERR_NOMEM, "describe a file of '%s'", spec->folder);
    int fd = f->io->open(f->io, f->path, O_RDWR, 0);
    int rc = fd < 0 ? err_sys(e, -fd, "open '%s'", f->path) : 0;
    if (rc == 0)
        rc = check_header(spec, f->path, fd, &f->head, e);
    if (rc == 0)
        rc = map_file(f, fd, e);
    if (fd >= 0)
        (void)f->io->close(f->io, fd); /* the mapping keeps the file */
    if (rc < 0) {
        index_writer_close(f);
        return rc;
    }
    *ret_file = f;
    return 0;
}

static int fill_new(struct index_writer *f, int fd, const struct store_index_header *before,
                    struct err *e)
{
    uint8_t bytes[STORE_INDEX_HEADER_BYTES];
    struct io *io = f->io;
    f->head = (struct store_index_header){.n_next = 1};
    if (before) {
        f->head.begin_ms = f->head.end_ms = before->end_ms;
        f->head.begin_log_off = f->head.end_log_off = before->end_log_off;
    }
    index_header_encode(bytes, &f->head);
    uint64_t head = store_index_item_at(f->n_slots, 0) + ALLOCATE_STEP_BYTES;
    f->allocated = head < f->bytes ? head : f->bytes;
    int rc = io->truncate(io, fd, f->bytes);
    if (rc < 0)
        return err_sys(e, -rc, "give '%s' its length", f->path);
    rc = io->allocate(io, fd, 0, f->allocated); /* I4 */
    if (rc < 0)
        return err_sys(e, -rc, "allocate %" PRIu64 " bytes for '%s'", f->allocated, f->path);
    int64_t n = io->pwrite(io, fd, bytes, sizeof bytes, 0);
    if (n < (int64_t)sizeof bytes)
        return n < 0 ? err_sys(e, (int)-n, "write '%s'", f->path)
                     : err_set(e, ERR_IO, "write '%s': not all was taken", f->path);
    rc = io->sync_fd(io, fd);
    return rc < 0 ? err_sys(e, -rc, "sync '%s'", f->path) : map_file(f, fd, e);
}

int index_writer_create(struct index_writer **ret_file, const struct index_spec *spec,
                        const struct store_index_header *before, struct err *e)
{
    struct io *io = spec->io;
    struct index_writer *f = describe(spec);
    if (!f)
        return err_set(e, ERR_NOMEM, "describe a file of '%s'", spec->folder);
    int fd = io->open(io, f->path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    int rc = fd < 0 ? err_sys(e, -fd, "create '%s'", f->path) : fill_new(f, fd, before, e);
    if (fd >= 0)
        (void)io->close(io, fd); /* synced, or given up */
    if (rc == 0 && (rc = io->sync_dir(io, spec->folder)) < 0)
        rc = err_sys(e, -rc, "sync folder '%s'", spec->folder);
    if (rc < 0) {
        if (fd >= 0)
            (void)io->unlink(io, f->path); /* the error that led here is the one to tell */
        index_writer_close(f);
        return rc;
    }
    *ret_file = f;
    return 0;
}

void index_writer_close(struct index_writer *f)
{
    if (!f)
        return;
    if (f->base) {
        guard_drop(f->base);
        (void)f->io->unmap(f->io, f->base, f->bytes); /* fails only for a range that is not ours */
    }
    free(f->path);
    free(f);
}

/* ---- writing ---- */

static uint8_t *slot_of(const struct index_writer *f, uint32_t hash)
{
    return f->base + STORE_INDEX_HEADER_BYTES +
           (size_t)(hash % f->n_slots) * STORE_INDEX_SLOT_BYTES;
}

static uint8_t *item_of(const struct index_writer *f, uint32_t n)
{
    return f->base + store_index_item_at(f->n_slots, n);
}

/* Blocks for everything up to `upto` (I4). */
static int reserve(struct index_writer *f, uint64_t upto, struct err *e)
{
    if (upto <= f->allocated)
        return 0;
    upto = (upto / ALLOCATE_STEP_BYTES + 1) * ALLOCATE_STEP_BYTES;
    upto = upto < f->bytes ? upto : f->bytes;
    int fd = f->io->open(f->io, f->path, O_RDWR, 0);
    if (fd < 0)
        return err_sys(e, -fd, "open '%s'", f->path);
    int rc = f->io->allocate(f->io, fd, f->allocated, upto - f->allocated);
    (void)f->io->close(f->io, fd); /* nothing was written through it */
    if (rc < 0)
        return err_sys(e, -rc, "allocate bytes up to %" PRIu64 " for '%s'", upto, f->path);
    f->allocated = upto;
    return 0;
}

static void write_header(struct index_writer *f)
{
    index_header_encode(f->base, &f->head);
}

/* RocketMQ counts the first item of a later file from the end of the file before, and then changes
 * the beginning; what it writes there no reader can use. */
static uint32_t seconds_after(const struct store_index_header *head, uint64_t store_ms)
{
    if (head->n_next <= 1 || store_ms <= head->begin_ms)
        return 0;
    uint64_t seconds = (store_ms - head->begin_ms) / 1000;
    return seconds < INT32_MAX ? (uint32_t)seconds : INT32_MAX;
}

int index_writer_put(struct index_writer *f, uint32_t hash, uint64_t log_off, uint64_t store_ms,
                     struct err *e)
{
    assert(index_writer_room(f) > 0);
    uint32_t n = f->head.n_next;
    int rc = reserve(f, store_index_item_at(f->n_slots, n + 1), e);
    if (rc < 0)
        return rc;
    uint8_t *slot = slot_of(f, hash);
    uint32_t prev = be32_get(slot);
    if (prev >= n)
        prev = 0;
    const struct store_index_item item = {.hash = hash,
                                          .log_off = log_off,
                                          .seconds = seconds_after(&f->head, store_ms),
                                          .prev = prev};
    index_item_encode(item_of(f, n), &item);
    be32_put(slot, n);
    if (n == 1) {
        f->head.begin_log_off = log_off;
        f->head.begin_ms = store_ms;
    }
    f->head.n_used_slots += prev == 0 && f->head.n_used_slots < f->n_slots;
    f->head.n_next = n + 1;
    f->head.end_log_off = log_off;
    f->head.end_ms = store_ms > f->head.begin_ms ? store_ms : f->head.begin_ms;
    write_header(f);
    if (atomic_load_explicit(&f->is_bad, memory_order_acquire)) /* see guard.c */
        return err_set(e, ERR_IO, "write '%s': it was cut or cannot be read", f->path);
    return 0;
}

/* ---- after a crash ---- */

/* Takes the items of the last record out of their chains again. */
static void drop_last_record(struct index_writer *f, uint64_t n_whole)
{
    struct store_index_item item = {0};
    uint64_t last = f->head.end_log_off;
    while (f->head.n_next > 1 && f->head.n_next > n_whole) {
        uint32_t n = f->head.n_next - 1;
        if (!store_index_item_decode(item_of(f, n), &item) || item.log_off != last)
            break;
        be32_put(slot_of(f, item.hash), item.prev);
        f->head.n_used_slots -= item.prev == 0;
        f->head.n_next = n;
    }
    if (f->head.n_next > 1 && store_index_item_decode(item_of(f, f->head.n_next - 1), &item))
        f->head.end_log_off = item.log_off;
}

/* Whether item `n`, put into its chain, follows those before it. */
static bool replay(struct index_writer *f, uint32_t n, uint64_t below_log_off,
                   struct store_index_item *ret)
{
    if (!store_index_item_decode(item_of(f, n), ret) || ret->log_off >= below_log_off ||
        ret->log_off < f->head.end_log_off)
        return false;
    uint8_t *slot = slot_of(f, ret->hash);
    if (be32_get(slot) != ret->prev)
        return false;
    be32_put(slot, n);
    f->head.n_used_slots += ret->prev == 0;
    f->head.end_log_off = ret->log_off;
    f->head.n_next = n + 1;
    return true;
}

/* The latest that the last item's record may have been stored: items have whole seconds only. */
static uint64_t latest_ms(const struct store_index_header *head,
                          const struct store_index_item *last)
{
    uint64_t ms = head->begin_ms + UINT64_C(1000) * last->seconds + 999;
    return ms < head->end_ms ? ms : head->end_ms;
}

int index_writer_settle(struct index_writer *f, uint64_t below_log_off, uint64_t n_whole,
                        struct err *e)
{
    const struct store_index_header was = f->head;
    struct store_index_item item = {0};
    int rc = reserve(f, store_index_item_at(f->n_slots, was.n_next), e);
    if (rc < 0)
        return rc;
    memset(f->base + STORE_INDEX_HEADER_BYTES, 0, (size_t)f->n_slots * STORE_INDEX_SLOT_BYTES);
    f->head.n_next = 1;
    f->head.n_used_slots = 0;
    f->head.end_log_off = was.begin_log_off;
    (void)f->io->advise(f->io, f->base, f->bytes, IO_NORMAL); /* only speed: it is read through */
    for (uint32_t n = 1; n < was.n_next && replay(f, n, below_log_off, &item); n++)
        if (n % RELAX_ITEMS == 0)
            index_writer_relax(f);
    (void)f->io->advise(f->io, f->base, f->bytes, IO_RANDOM);
    drop_last_record(f, n_whole);
    if (f->head.n_next > 1 && store_index_item_decode(item_of(f, f->head.n_next - 1), &item))
        f->head.end_ms = latest_ms(&was, &item);
    write_header(f);
    if (atomic_load_explicit(&f->is_bad, memory_order_acquire)) /* see guard.c */
        return err_set(e, ERR_IO, "read '%s': it was cut or cannot be read", f->path);
    return 0;
}

/* ---- memory and disk ---- */

int index_writer_sync(struct index_writer *f, struct err *e)
{
    uint64_t upto = store_index_item_at(f->n_slots, f->head.n_next);
    upto = (upto + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    int rc = f->io->sync_map(f->io, f->base, upto < f->bytes ? upto : f->bytes);
    return rc < 0 ? err_sys(e, -rc, "sync '%s'", f->path) : 0;
}

void index_writer_relax(struct index_writer *f)
{
    (void)f->io->advise(f->io, f->base, f->bytes, IO_DONTNEED); /* only memory */
}
