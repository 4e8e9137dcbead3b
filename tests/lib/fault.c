/* The seam with a fault in it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/fault.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>

static struct fault *fault_of(struct io *io)
{
    static_assert(offsetof(struct fault, io) == 0, "the seam's pointer is the fault's");
    return (struct fault *)(void *)io;
}

/* Counts a call; whether it is the one to fail. */
static bool is_struck(struct fault *f, unsigned kind)
{
    if (!(f->kinds & kind))
        return false;
    uint64_t n = atomic_fetch_add_explicit(&f->n_calls, 1, memory_order_relaxed) + 1;
    uint64_t at = atomic_load_explicit(&f->fail_at, memory_order_relaxed);
    if (at == 0 || n < at || (n > at && f->span == FAULT_ONCE))
        return false;
    atomic_store_explicit(&f->has_fired, true, memory_order_relaxed);
    if (f->errno_value == FAULT_KILL)
        (void)raise(SIGKILL);
    return true;
}

/* Whether this call is to fail outright, not by half. */
static bool fails(struct fault *f, unsigned kind)
{
    return is_struck(f, kind) && f->errno_value != 0;
}

static int fault_open(struct io *io, const char *path, int flags, unsigned mode)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_OPEN) ? -f->errno_value : f->inner->open(f->inner, path, flags, mode);
}

static int fault_close(struct io *io, int fd)
{
    struct fault *f = fault_of(io);
    int rc = f->inner->close(f->inner, fd);
    return fails(f, FAULT_CLOSE) ? -f->errno_value : rc;
}

static int fault_size(struct io *io, int fd, uint64_t *ret_bytes)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_SIZE) ? -f->errno_value : f->inner->size(f->inner, fd, ret_bytes);
}

static int fault_changed(struct io *io, const char *path, struct timespec *ret)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_SIZE) ? -f->errno_value : f->inner->changed(f->inner, path, ret);
}

static int fault_truncate(struct io *io, int fd, uint64_t len)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_TRUNCATE) ? -f->errno_value : f->inner->truncate(f->inner, fd, len);
}

static int fault_allocate(struct io *io, int fd, uint64_t off, uint64_t len)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_ALLOCATE) ? -f->errno_value : f->inner->allocate(f->inner, fd, off, len);
}

static int fault_next_data(struct io *io, int fd, uint64_t off, uint64_t *ret_off)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_SIZE) ? -f->errno_value : f->inner->next_data(f->inner, fd, off, ret_off);
}

static int64_t fault_pread(struct io *io, int fd, void *buf, size_t len, uint64_t off)
{
    struct fault *f = fault_of(io);
    if (is_struck(f, FAULT_READ)) {
        if (f->errno_value != 0)
            return -f->errno_value;
        len = (len + 1) / 2;
    }
    return f->inner->pread(f->inner, fd, buf, len, off);
}

static int64_t fault_pwrite(struct io *io, int fd, const void *buf, size_t len, uint64_t off)
{
    struct fault *f = fault_of(io);
    if (is_struck(f, FAULT_WRITE)) {
        if (f->errno_value != 0)
            return -f->errno_value;
        len = (len + 1) / 2;
    }
    return f->inner->pwrite(f->inner, fd, buf, len, off);
}

static int64_t fault_pwritev(struct io *io, int fd, const struct iovec *iov, int n_iov,
                             uint64_t off)
{
    struct fault *f = fault_of(io);
    if (is_struck(f, FAULT_WRITE)) {
        if (f->errno_value != 0)
            return -f->errno_value;
        n_iov = (n_iov + 1) / 2;
    }
    return f->inner->pwritev(f->inner, fd, iov, n_iov, off);
}

static int fault_map(struct io *io, int fd, uint64_t len, bool writable, uint8_t **ret_base)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_MAP) ? -f->errno_value
                               : f->inner->map(f->inner, fd, len, writable, ret_base);
}

static int fault_unmap(struct io *io, uint8_t *base, uint64_t len)
{
    struct fault *f = fault_of(io);
    int rc = f->inner->unmap(f->inner, base, len);
    return fails(f, FAULT_UNMAP) ? -f->errno_value : rc;
}

static int fault_populate(struct io *io, uint8_t *base, uint64_t len)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_POPULATE) ? -f->errno_value : f->inner->populate(f->inner, base, len);
}

static int fault_is_resident(struct io *io, uint8_t *page)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_ADVISE) ? -f->errno_value : f->inner->is_resident(f->inner, page);
}

static int fault_advise(struct io *io, uint8_t *base, uint64_t len, enum io_advice advice)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_ADVISE) ? -f->errno_value : f->inner->advise(f->inner, base, len, advice);
}

static int fault_forget(struct io *io, int fd, uint64_t off, uint64_t len)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_ADVISE) ? -f->errno_value : f->inner->forget(f->inner, fd, off, len);
}

static int fault_rss(struct io *io, uint64_t *ret_bytes)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_ADVISE) ? -f->errno_value : f->inner->rss(f->inner, ret_bytes);
}

static int fault_sync_map(struct io *io, uint8_t *base, uint64_t len)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_SYNC) ? -f->errno_value : f->inner->sync_map(f->inner, base, len);
}

static int fault_sync_fd(struct io *io, int fd)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_SYNC) ? -f->errno_value : f->inner->sync_fd(f->inner, fd);
}

static int fault_sync_dir(struct io *io, const char *path)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_SYNC) ? -f->errno_value : f->inner->sync_dir(f->inner, path);
}

static int fault_rename(struct io *io, const char *from, const char *to)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_RENAME) ? -f->errno_value : f->inner->rename(f->inner, from, to);
}

static int fault_unlink(struct io *io, const char *path)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_UNLINK) ? -f->errno_value : f->inner->unlink(f->inner, path);
}

static int fault_rmdir(struct io *io, const char *path)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_UNLINK) ? -f->errno_value : f->inner->rmdir(f->inner, path);
}

static int fault_mkdir(struct io *io, const char *path, unsigned mode)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_MKDIR) ? -f->errno_value : f->inner->mkdir(f->inner, path, mode);
}

static int fault_lock_file(struct io *io, int fd)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_LOCK) ? -f->errno_value : f->inner->lock_file(f->inner, fd);
}

static int fault_free_space(struct io *io, const char *path, uint64_t *ret_free,
                            uint64_t *ret_total)
{
    struct fault *f = fault_of(io);
    return fails(f, FAULT_FREE_SPACE) ? -f->errno_value
                                      : f->inner->free_space(f->inner, path, ret_free, ret_total);
}

static uint64_t fault_now_ms(struct io *io)
{
    struct fault *f = fault_of(io);
    return f->inner->now_ms(f->inner);
}

static uint64_t fault_tick_ms(struct io *io)
{
    struct fault *f = fault_of(io);
    return f->inner->tick_ms(f->inner);
}

static uint64_t fault_mono_ns(struct io *io)
{
    struct fault *f = fault_of(io);
    return f->inner->mono_ns(f->inner);
}

static const struct io faulty_io = {
    .open = fault_open,
    .close = fault_close,
    .size = fault_size,
    .changed = fault_changed,
    .truncate = fault_truncate,
    .allocate = fault_allocate,
    .next_data = fault_next_data,
    .pread = fault_pread,
    .pwrite = fault_pwrite,
    .pwritev = fault_pwritev,
    .map = fault_map,
    .unmap = fault_unmap,
    .populate = fault_populate,
    .is_resident = fault_is_resident,
    .advise = fault_advise,
    .forget = fault_forget,
    .rss = fault_rss,
    .sync_map = fault_sync_map,
    .sync_fd = fault_sync_fd,
    .sync_dir = fault_sync_dir,
    .rename = fault_rename,
    .unlink = fault_unlink,
    .rmdir = fault_rmdir,
    .mkdir = fault_mkdir,
    .lock_file = fault_lock_file,
    .free_space = fault_free_space,
    .now_ms = fault_now_ms,
    .tick_ms = fault_tick_ms,
    .mono_ns = fault_mono_ns,
};

void fault_init(struct fault *f, struct io *inner)
{
    *f = (struct fault){.io = faulty_io, .inner = inner, .kinds = FAULT_ALL};
}

void fault_arm(struct fault *f, unsigned kinds, uint64_t n, int errno_value, enum fault_span span)
{
    f->kinds = kinds;
    f->errno_value = errno_value;
    f->span = span;
    atomic_store_explicit(&f->n_calls, 0, memory_order_relaxed);
    atomic_store_explicit(&f->has_fired, false, memory_order_relaxed);
    atomic_store_explicit(&f->fail_at, n, memory_order_relaxed);
}

void fault_disarm(struct fault *f)
{
    atomic_store_explicit(&f->fail_at, 0, memory_order_relaxed);
}

bool fault_fired(const struct fault *f)
{
    return atomic_load_explicit(&f->has_fired, memory_order_relaxed);
}

uint64_t fault_calls(const struct fault *f)
{
    return atomic_load_explicit(&f->n_calls, memory_order_relaxed);
}
