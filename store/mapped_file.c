/* One mapped file.
 *
 * It is made with its whole length at once. `allocated` and `populated` only grow while it is
 * written (but for a shrinking window, see allocator.c); 0 <= populated <= allocated <= bytes (I1).
 * The mapping exists from mapped_file_map to mapped_file_unmap and does not change while a pin is
 * held (I3). A crash may leave an empty file, or one
 * without blocks; neither was used. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/mapped_file.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/guard.h"

void store_unpin(struct store_pin *pin)
{
    if (!pin)
        return;
    uint32_t before = atomic_fetch_sub_explicit(&pin->n, 1, memory_order_release);
    assert(before > 0);
    (void)before; /* looked at in debug builds only */
}

struct store_pin *store_pin_again(struct store_pin *pin)
{
    atomic_fetch_add_explicit(&pin->n, 1, memory_order_relaxed); /* see struct store_pin */
    return pin;
}

int mapped_file_new(struct mapped_file **ret_file, struct io *io, const char *folder,
                    uint64_t start, uint64_t bytes, struct err *e)
{
    if (bytes > INT64_MAX || start > INT64_MAX - bytes) /* positions are signed on disk */
        return err_set(e, ERR_TOOBIG, "make a file at %" PRIu64 " in '%s': no position is left",
                       start, folder);
    struct mapped_file *f = calloc(1, sizeof *f);
    if (!f || asprintf(&f->path, "%s/%020" PRIu64, folder, start) < 0) {
        free(f);
        return err_set(e, ERR_NOMEM, "describe file %020" PRIu64 " in '%s'", start, folder);
    }
    f->io = io;
    f->start = start;
    f->bytes = bytes;
    *ret_file = f;
    return 0;
}

static int make_on_disk(struct mapped_file *f, const char *folder, uint64_t allocate_bytes,
                        struct err *e)
{
    struct io *io = f->io;
    int fd = io->open(io, f->path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        return err_sys(e, -fd, "create '%s'", f->path);
    int rc = io->truncate(io, fd, f->bytes); /* first: a crash leaves it empty or whole */
    if (rc < 0) {
        rc = err_sys(e, -rc, "give '%s' its length", f->path);
        goto fail;
    }
    rc = io->allocate(io, fd, 0, allocate_bytes);
    if (rc < 0) {
        rc = err_sys(e, -rc, "allocate %" PRIu64 " bytes for '%s'", allocate_bytes, f->path);
        goto fail;
    }
    rc = io->sync_fd(io, fd); /* a name on disk without its length would refuse the next open */
    if (rc < 0) {
        rc = err_sys(e, -rc, "sync '%s'", f->path);
        goto fail;
    }
    (void)io->close(io, fd); /* nothing was written through it */
    rc = io->sync_dir(io, folder);
    if (rc < 0) {
        (void)io->unlink(io, f->path);
        return err_sys(e, -rc, "sync folder '%s'", folder);
    }
    return 0;
fail:
    (void)io->close(io, fd);
    (void)io->unlink(io, f->path); /* the error that led here is the one to tell */
    return rc;
}

int mapped_file_create(struct mapped_file **ret_file, struct io *io, const char *folder,
                       uint64_t start, uint64_t bytes, uint64_t allocate_bytes, struct err *e)
{
    struct mapped_file *f;
    int rc = mapped_file_new(&f, io, folder, start, bytes, e);
    if (rc < 0)
        return rc;
    rc = make_on_disk(f, folder, allocate_bytes, e);
    if (rc < 0)
        goto fail;
    rc = mapped_file_map(f, MAPPED_WRITE, e);
    if (rc < 0) {
        (void)io->unlink(io, f->path);
        goto fail;
    }
    atomic_store_explicit(&f->allocated, allocate_bytes, memory_order_release);
    *ret_file = f;
    return 0;
fail:
    mapped_file_free(f);
    return rc;
}

void mapped_file_free(struct mapped_file *f)
{
    if (!f)
        return;
    assert(!mapped_file_is_pinned(f)); /* I3 */
    mapped_file_unmap(f);
    free(f->parts);
    free(f->path);
    free(f);
}

int mapped_file_map(struct mapped_file *f, enum mapped_access access, struct err *e)
{
    if (f->base && f->access >= access)
        return 0;
    struct io *io = f->io;
    int fd = io->open(io, f->path, access == MAPPED_WRITE ? O_RDWR : O_RDONLY, 0);
    if (fd < 0)
        return err_sys(e, -fd, "open '%s'", f->path);
    uint8_t *base = NULL;
    int rc = io->map(io, fd, f->bytes, access == MAPPED_WRITE, &base);
    (void)io->close(io, fd); /* the mapping keeps the file */
    if (rc < 0)
        return err_sys(e, -rc, "map '%s'", f->path);
    mapped_file_unmap(f);
    guard_add(base, f->bytes, &f->is_bad); /* I4 */
    f->base = base;
    f->access = access;
    return 0;
}

int mapped_file_protect(struct mapped_file *f, struct err *e)
{
    if (f->access == MAPPED_WRITE)
        mapped_file_unmap(f);
    return mapped_file_map(f, MAPPED_READ, e);
}

void mapped_file_unmap(struct mapped_file *f)
{
    if (!f->base)
        return;
    assert(!mapped_file_is_pinned(f)); /* I3 */
    parts_drop(f, 0, f->bytes);
    guard_drop(f->base);
    (void)f->io->unmap(f->io, f->base, f->bytes); /* fails only for a range that is not ours */
    f->base = NULL;
    f->access = MAPPED_READ;
}

int mapped_file_allocate(struct mapped_file *f, uint64_t upto, struct err *e)
{
    uint64_t from = atomic_load_explicit(&f->allocated, memory_order_acquire);
    if (upto <= from)
        return 0;
    struct io *io = f->io;
    int fd = io->open(io, f->path, O_RDWR, 0);
    if (fd < 0)
        return err_sys(e, -fd, "open '%s'", f->path);
    int rc = io->allocate(io, fd, from, upto - from);
    (void)io->close(io, fd); /* nothing was written through it */
    if (rc < 0)
        return err_sys(e, -rc, "allocate %" PRIu64 " bytes for '%s'", upto - from, f->path);
    atomic_store_explicit(&f->allocated, upto, memory_order_release);
    return 0;
}

int mapped_file_populate(struct mapped_file *f, uint64_t upto, struct err *e)
{
    uint64_t done = atomic_load_explicit(&f->populated, memory_order_acquire);
    if (upto <= done)
        return 0;
    int rc = mapped_file_fill(f, done - done % MAPPED_PAGE_BYTES, upto, e);
    if (rc == 0)
        atomic_store_explicit(&f->populated, upto, memory_order_release);
    return rc;
}

int mapped_file_fill(struct mapped_file *f, uint64_t from, uint64_t to, struct err *e)
{
    assert(to <= atomic_load_explicit(&f->allocated, memory_order_acquire)); /* I1, I4 */
    int rc = f->io->populate(f->io, f->base + from, to - from);
    if (rc < 0)
        return err_sys(e, -rc, "populate '%s' up to %" PRIu64, f->path, to);
    parts_fill(f, from, to);
    return 0;
}

int mapped_file_sync(const struct mapped_file *f, uint64_t from, uint64_t to, struct err *e)
{
    from -= from % MAPPED_PAGE_BYTES;
    int rc = f->io->sync_map(f->io, f->base + from, to - from);
    if (rc < 0)
        return err_sys(e, -rc, "sync '%s' from %" PRIu64 " to %" PRIu64, f->path, from, to);
    return 0;
}
