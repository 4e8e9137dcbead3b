/* The seam with power loss: passes calls on to the kernel and tells the model of the disk. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/crash_io.h"

#include <assert.h>
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/crash_disk.h"

enum { MAX_FDS = 4096, MAX_MAPS = 4096 };

struct mapping {
    const uint8_t *base; /* NULL: slot is free */
    uint64_t len;
    struct crash_node *node;
};

struct crash_io {
    struct io io; /* first, so that the seam's pointer is ours */
    struct io *inner;
    pthread_mutex_t mutex; /* not ranked: calls come from under any lock. Guards all below */
    struct crash_disk *disk;
    struct crash_node *by_fd[MAX_FDS];
    struct mapping maps[MAX_MAPS];
    uint64_t n_left; /* calls until the cut; 0: not armed */
    uint64_t seed;
    char *image;
    bool is_off;
    void (*watch)(void *arg); /* NULL: none */
    void *watch_arg;
};

static struct crash_io *crash_of(struct io *io)
{
    static_assert(offsetof(struct crash_io, io) == 0, "the seam's pointer is ours");
    return (struct crash_io *)(void *)io;
}

static void cut_now(struct crash_io *c)
{
    struct crash_tally tally = crash_disk_image(c->disk, c->seed, c->image);
    fprintf(stderr, "power cut with SLUICE_SEED=%" PRIu64 ": kept %zu unsynced pages, lost %zu\n",
            c->seed, tally.n_kept, tally.n_lost);
    c->is_off = true;
}

/* Takes the mutex and counts a call that changes something; whether there is still power. */
static bool begin_change(struct crash_io *c)
{
    pthread_mutex_lock(&c->mutex);
    if (!c->is_off && c->watch)
        c->watch(c->watch_arg);
    if (!c->is_off && c->n_left > 0 && --c->n_left == 0)
        cut_now(c);
    return !c->is_off;
}

static bool begin_look(struct crash_io *c)
{
    pthread_mutex_lock(&c->mutex);
    return !c->is_off;
}

static int end(struct crash_io *c, int rc)
{
    pthread_mutex_unlock(&c->mutex);
    return rc;
}

static int crash_open(struct io *io, const char *path, int flags, unsigned mode)
{
    struct crash_io *c = crash_of(io);
    if (!begin_change(c))
        return end(c, -EIO);
    int fd = c->inner->open(c->inner, path, flags, mode);
    if (fd >= 0) {
        ck_assert_int_lt(fd, MAX_FDS);
        c->by_fd[fd] = crash_disk_opened(c->disk, path, fd);
    }
    return end(c, fd);
}

static int crash_close(struct io *io, int fd)
{
    struct crash_io *c = crash_of(io);
    (void)begin_look(c);
    if (fd >= 0 && fd < MAX_FDS)
        c->by_fd[fd] = NULL;
    return end(c, c->inner->close(c->inner, fd));
}

static int crash_size(struct io *io, int fd, uint64_t *ret_bytes)
{
    struct crash_io *c = crash_of(io);
    bool is_on = begin_look(c);
    return end(c, is_on ? c->inner->size(c->inner, fd, ret_bytes) : -EIO);
}

static int crash_changed(struct io *io, const char *path, struct timespec *ret)
{
    struct crash_io *c = crash_of(io);
    bool is_on = begin_look(c);
    return end(c, is_on ? c->inner->changed(c->inner, path, ret) : -EIO);
}

static int crash_truncate(struct io *io, int fd, uint64_t len)
{
    struct crash_io *c = crash_of(io);
    bool is_on = begin_change(c);
    return end(c, is_on ? c->inner->truncate(c->inner, fd, len) : -EIO);
}

static int crash_allocate(struct io *io, int fd, uint64_t off, uint64_t len)
{
    struct crash_io *c = crash_of(io);
    bool is_on = begin_change(c);
    return end(c, is_on ? c->inner->allocate(c->inner, fd, off, len) : -EIO);
}

/* What is mapped may hold more than the file, so that nothing is called a hole. */
static int crash_next_data(struct io *io, int fd, uint64_t off, uint64_t *ret_off)
{
    struct crash_io *c = crash_of(io);
    uint64_t len = 0;
    bool is_on = begin_look(c);
    int rc = end(c, is_on ? c->inner->size(c->inner, fd, &len) : -EIO);
    if (rc < 0)
        return rc;
    if (off >= len)
        return -ENXIO;
    *ret_off = off;
    return 0;
}

static int64_t crash_pread(struct io *io, int fd, void *buf, size_t len, uint64_t off)
{
    struct crash_io *c = crash_of(io);
    bool is_on = begin_look(c);
    (void)end(c, 0);
    return is_on ? c->inner->pread(c->inner, fd, buf, len, off) : -EIO;
}

static int64_t crash_pwrite(struct io *io, int fd, const void *buf, size_t len, uint64_t off)
{
    struct crash_io *c = crash_of(io);
    int64_t n = begin_change(c) ? c->inner->pwrite(c->inner, fd, buf, len, off) : -EIO;
    (void)end(c, 0);
    return n;
}

static int64_t crash_pwritev(struct io *io, int fd, const struct iovec *iov, int n_iov,
                             uint64_t off)
{
    struct crash_io *c = crash_of(io);
    int64_t n = begin_change(c) ? c->inner->pwritev(c->inner, fd, iov, n_iov, off) : -EIO;
    (void)end(c, 0);
    return n;
}

static int crash_map(struct io *io, int fd, uint64_t len, bool writable, uint8_t **ret_base)
{
    struct crash_io *c = crash_of(io);
    if (!begin_look(c))
        return end(c, -EIO);
    int rc = c->inner->map(c->inner, fd, len, writable, ret_base);
    size_t slot = 0;
    while (rc == 0 && slot < MAX_MAPS && c->maps[slot].base)
        slot++;
    ck_assert_uint_lt(slot, MAX_MAPS);
    if (rc == 0)
        c->maps[slot] = (struct mapping){.base = *ret_base, .len = len, .node = c->by_fd[fd]};
    return end(c, rc);
}

/* The mapping an address is in; NULL for one that is not ours. */
static struct mapping *mapping_of(struct crash_io *c, const uint8_t *ptr)
{
    for (size_t i = 0; i < MAX_MAPS; i++) {
        struct mapping *map = &c->maps[i];
        if (map->base && ptr >= map->base && ptr < map->base + map->len)
            return map;
    }
    return NULL;
}

static int crash_unmap(struct io *io, uint8_t *base, uint64_t len)
{
    struct crash_io *c = crash_of(io);
    (void)begin_look(c);
    struct mapping *map = mapping_of(c, base);
    if (map)
        map->base = NULL;
    return end(c, c->inner->unmap(c->inner, base, len));
}

static int crash_populate(struct io *io, uint8_t *base, uint64_t len)
{
    struct crash_io *c = crash_of(io);
    bool is_on = begin_look(c);
    return end(c, is_on ? c->inner->populate(c->inner, base, len) : -EIO);
}

static int crash_is_resident(struct io *io, uint8_t *page)
{
    struct crash_io *c = crash_of(io);
    bool is_on = begin_look(c);
    return end(c, is_on ? c->inner->is_resident(c->inner, page) : -EIO);
}

static int crash_advise(struct io *io, uint8_t *base, uint64_t len, enum io_advice advice)
{
    struct crash_io *c = crash_of(io);
    bool is_on = begin_look(c);
    return end(c, is_on ? c->inner->advise(c->inner, base, len, advice) : -EIO);
}

static int crash_forget(struct io *io, int fd, uint64_t off, uint64_t len)
{
    struct crash_io *c = crash_of(io);
    bool is_on = begin_look(c);
    return end(c, is_on ? c->inner->forget(c->inner, fd, off, len) : -EIO);
}

static int crash_rss(struct io *io, uint64_t *ret_bytes)
{
    struct crash_io *c = crash_of(io);
    bool is_on = begin_look(c);
    return end(c, is_on ? c->inner->rss(c->inner, ret_bytes) : -EIO);
}

/* The syncs tell the model only: the test's own disk need not be waited for. */
static int crash_sync_map(struct io *io, uint8_t *base, uint64_t len)
{
    struct crash_io *c = crash_of(io);
    if (!begin_change(c))
        return end(c, -EIO);
    const struct mapping *map = mapping_of(c, base);
    if (map && map->node)
        crash_disk_sync(map->node, (uint64_t)(base - map->base), len);
    return end(c, map ? 0 : -ENOMEM);
}

static int crash_sync_fd(struct io *io, int fd)
{
    struct crash_io *c = crash_of(io);
    if (!begin_change(c))
        return end(c, -EIO);
    if (fd < 0 || fd >= MAX_FDS)
        return end(c, -EBADF);
    if (c->by_fd[fd])
        crash_disk_sync_all(c->by_fd[fd]);
    return end(c, 0);
}

static int crash_sync_dir(struct io *io, const char *path)
{
    struct crash_io *c = crash_of(io);
    if (!begin_change(c))
        return end(c, -EIO);
    int rc = c->inner->sync_dir(c->inner, path);
    if (rc == 0)
        crash_disk_sync_dir(c->disk, path);
    return end(c, rc);
}

static int crash_rename(struct io *io, const char *from, const char *to)
{
    struct crash_io *c = crash_of(io);
    if (!begin_change(c))
        return end(c, -EIO);
    int rc = c->inner->rename(c->inner, from, to);
    if (rc == 0)
        crash_disk_renamed(c->disk, from, to);
    return end(c, rc);
}

static int crash_unlink(struct io *io, const char *path)
{
    struct crash_io *c = crash_of(io);
    if (!begin_change(c))
        return end(c, -EIO);
    int rc = c->inner->unlink(c->inner, path);
    if (rc == 0)
        crash_disk_removed(c->disk, path);
    return end(c, rc);
}

static int crash_rmdir(struct io *io, const char *path)
{
    struct crash_io *c = crash_of(io);
    if (!begin_change(c))
        return end(c, -EIO);
    int rc = c->inner->rmdir(c->inner, path);
    if (rc == 0)
        crash_disk_removed(c->disk, path);
    return end(c, rc);
}

static int crash_mkdir(struct io *io, const char *path, unsigned mode)
{
    struct crash_io *c = crash_of(io);
    if (!begin_change(c))
        return end(c, -EIO);
    int rc = c->inner->mkdir(c->inner, path, mode);
    if (rc == 0)
        crash_disk_made_dir(c->disk, path);
    return end(c, rc);
}

static int crash_lock_file(struct io *io, int fd)
{
    struct crash_io *c = crash_of(io);
    bool is_on = begin_look(c);
    return end(c, is_on ? c->inner->lock_file(c->inner, fd) : -EIO);
}

static int crash_free_space(struct io *io, const char *path, uint64_t *ret_free,
                            uint64_t *ret_total)
{
    struct crash_io *c = crash_of(io);
    bool is_on = begin_look(c);
    return end(c, is_on ? c->inner->free_space(c->inner, path, ret_free, ret_total) : -EIO);
}

static uint64_t crash_now_ms(struct io *io)
{
    struct crash_io *c = crash_of(io);
    return c->inner->now_ms(c->inner);
}

static uint64_t crash_tick_ms(struct io *io)
{
    struct crash_io *c = crash_of(io);
    return c->inner->tick_ms(c->inner);
}

static uint64_t crash_mono_ns(struct io *io)
{
    struct crash_io *c = crash_of(io);
    return c->inner->mono_ns(c->inner);
}

static const struct io crashing_io = {
    .open = crash_open,
    .close = crash_close,
    .size = crash_size,
    .changed = crash_changed,
    .truncate = crash_truncate,
    .allocate = crash_allocate,
    .next_data = crash_next_data,
    .pread = crash_pread,
    .pwrite = crash_pwrite,
    .pwritev = crash_pwritev,
    .map = crash_map,
    .unmap = crash_unmap,
    .populate = crash_populate,
    .is_resident = crash_is_resident,
    .advise = crash_advise,
    .forget = crash_forget,
    .rss = crash_rss,
    .sync_map = crash_sync_map,
    .sync_fd = crash_sync_fd,
    .sync_dir = crash_sync_dir,
    .rename = crash_rename,
    .unlink = crash_unlink,
    .rmdir = crash_rmdir,
    .mkdir = crash_mkdir,
    .lock_file = crash_lock_file,
    .free_space = crash_free_space,
    .now_ms = crash_now_ms,
    .tick_ms = crash_tick_ms,
    .mono_ns = crash_mono_ns,
};

struct crash_io *crash_io_new(const char *live, const char *scratch)
{
    struct crash_io *c = calloc(1, sizeof *c);
    ck_assert_ptr_nonnull(c);
    c->io = crashing_io;
    c->inner = io_posix();
    ck_assert_int_eq(pthread_mutex_init(&c->mutex, NULL), 0);
    c->disk = crash_disk_new(live, scratch);
    return c;
}

void crash_io_free(struct crash_io *c)
{
    if (!c)
        return;
    crash_disk_free(c->disk);
    pthread_mutex_destroy(&c->mutex);
    free(c->image);
    free(c);
}

struct io *crash_io_seam(struct crash_io *c)
{
    return &c->io;
}

static void set_image(struct crash_io *c, uint64_t n, uint64_t seed, const char *image)
{
    free(c->image);
    c->image = strdup(image);
    ck_assert_ptr_nonnull(c->image);
    c->seed = seed;
    c->n_left = n;
}

void crash_io_cut(struct crash_io *c, uint64_t seed, const char *image)
{
    pthread_mutex_lock(&c->mutex);
    if (!c->is_off) {
        set_image(c, /* n = */ 0, seed, image);
        cut_now(c);
    }
    pthread_mutex_unlock(&c->mutex);
}

void crash_io_arm(struct crash_io *c, uint64_t n, uint64_t seed, const char *image)
{
    pthread_mutex_lock(&c->mutex);
    set_image(c, n, seed, image);
    pthread_mutex_unlock(&c->mutex);
}

void crash_io_watch(struct crash_io *c, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&c->mutex);
    c->watch = fn;
    c->watch_arg = arg;
    pthread_mutex_unlock(&c->mutex);
}

void crash_io_image(struct crash_io *c, uint64_t seed, const char *image)
{
    (void)crash_disk_image(c->disk, seed, image); /* counted by who cuts */
}

bool crash_io_is_off(struct crash_io *c)
{
    pthread_mutex_lock(&c->mutex);
    bool is_off = c->is_off;
    pthread_mutex_unlock(&c->mutex);
    return is_off;
}

uint64_t crash_io_seed(void)
{
    const char *text = getenv("SLUICE_SEED");
    if (text)
        return strtoull(text, NULL, 10);
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000003 + (uint64_t)t.tv_nsec;
}

/* splitmix64: any seed is as good as any other. */
uint64_t crash_io_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
