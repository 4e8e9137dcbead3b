/* The seam to the kernel, as the kernel has it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static int posix_open(struct io *io, const char *path, int flags, unsigned mode)
{
    (void)io;
    int fd = open(path, flags | O_CLOEXEC, (mode_t)mode);
    return fd < 0 ? -errno : fd;
}

static int posix_close(struct io *io, int fd)
{
    (void)io;
    return close(fd) < 0 ? -errno : 0;
}

static int posix_size(struct io *io, int fd, uint64_t *ret_bytes)
{
    (void)io;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    *ret_bytes = (uint64_t)st.st_size;
    return 0;
}

static int posix_changed(struct io *io, const char *path, struct timespec *ret)
{
    (void)io;
    struct stat st;
    if (stat(path, &st) < 0)
        return -errno;
    *ret = st.st_mtim;
    return 0;
}

static int posix_truncate(struct io *io, int fd, uint64_t len)
{
    (void)io;
    return ftruncate(fd, (off_t)len) < 0 ? -errno : 0;
}

static int posix_allocate(struct io *io, int fd, uint64_t off, uint64_t len)
{
    (void)io;
    int rc;
    do
        rc = fallocate(fd, 0, (off_t)off, (off_t)len);
    while (rc < 0 && errno == EINTR); /* large ones notice signals */
    return rc < 0 ? -errno : 0;
}

static int posix_next_data(struct io *io, int fd, uint64_t off, uint64_t *ret_off)
{
    (void)io;
    off_t at = lseek(fd, (off_t)off, SEEK_DATA);
    if (at < 0 && errno != EINVAL)
        return -errno;
    *ret_off = at < 0 ? off : (uint64_t)at; /* a file system that cannot tell: all of it */
    return 0;
}

static int64_t posix_pread(struct io *io, int fd, void *buf, size_t len, uint64_t off)
{
    (void)io;
    ssize_t n = pread(fd, buf, len, (off_t)off);
    return n < 0 ? -errno : n;
}

static int64_t posix_pwrite(struct io *io, int fd, const void *buf, size_t len, uint64_t off)
{
    (void)io;
    ssize_t n = pwrite(fd, buf, len, (off_t)off);
    return n < 0 ? -errno : n;
}

static int64_t posix_pwritev(struct io *io, int fd, const struct iovec *iov, int n_iov,
                             uint64_t off)
{
    (void)io;
    ssize_t n = pwritev(fd, iov, n_iov, (off_t)off);
    return n < 0 ? -errno : n;
}

static int posix_map(struct io *io, int fd, uint64_t len, bool writable, uint8_t **ret_base)
{
    (void)io;
    void *base = mmap(NULL, len, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    *ret_base = base;
    return 0;
}

static int posix_unmap(struct io *io, uint8_t *base, uint64_t len)
{
    (void)io;
    return munmap(base, len) < 0 ? -errno : 0;
}

static int posix_populate(struct io *io, uint8_t *base, uint64_t len)
{
    (void)io;
    return madvise(base, len, MADV_POPULATE_WRITE) < 0 ? -errno : 0;
}

static int posix_is_resident(struct io *io, uint8_t *page)
{
    (void)io;
    unsigned char state;
    return mincore(page, 1, &state) < 0 ? -errno : state & 1;
}

static int posix_advise(struct io *io, uint8_t *base, uint64_t len, enum io_advice advice)
{
    (void)io;
    static const int native[] = {
        [IO_NORMAL] = MADV_NORMAL,     [IO_SEQUENTIAL] = MADV_SEQUENTIAL, [IO_RANDOM] = MADV_RANDOM,
        [IO_WILLNEED] = MADV_WILLNEED, [IO_DONTNEED] = MADV_DONTNEED,
    };
    return madvise(base, len, native[advice]) < 0 ? -errno : 0;
}

static int posix_forget(struct io *io, int fd, uint64_t off, uint64_t len)
{
    (void)io;
    return -posix_fadvise(fd, (off_t)off, (off_t)len, POSIX_FADV_DONTNEED);
}

static int posix_rss(struct io *io, uint64_t *ret_bytes)
{
    (void)io;
    char text[128]; /* pages: all, resident, ... */
    unsigned long long n_all, n_resident;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, text, sizeof text - 1);
    int rc = n < 0 ? -errno : 0;
    (void)close(fd); /* read only: nothing to lose */
    if (rc < 0)
        return rc;
    text[n] = '\0';
    if (sscanf(text, "%llu %llu", &n_all, &n_resident) != 2)
        return -EINVAL;
    *ret_bytes = n_resident * (uint64_t)sysconf(_SC_PAGESIZE);
    return 0;
}

static int posix_sync_map(struct io *io, uint8_t *base, uint64_t len)
{
    (void)io;
    return msync(base, len, MS_SYNC) < 0 ? -errno : 0;
}

static int posix_sync_fd(struct io *io, int fd)
{
    (void)io;
    return fdatasync(fd) < 0 ? -errno : 0;
}

static int posix_sync_dir(struct io *io, const char *path)
{
    (void)io;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = fsync(fd) < 0 ? -errno : 0;
    (void)close(fd); /* read only: nothing to lose */
    return rc;
}

static int posix_rename(struct io *io, const char *from, const char *to)
{
    (void)io;
    return rename(from, to) < 0 ? -errno : 0;
}

static int posix_unlink(struct io *io, const char *path)
{
    (void)io;
    return unlink(path) < 0 ? -errno : 0;
}

static int posix_rmdir(struct io *io, const char *path)
{
    (void)io;
    return rmdir(path) < 0 ? -errno : 0;
}

static int posix_mkdir(struct io *io, const char *path, unsigned mode)
{
    (void)io;
    return mkdir(path, (mode_t)mode) < 0 ? -errno : 0;
}

/* An open-file-description lock: unlike flock it is seen by a Java broker's record lock. */
static int posix_lock_file(struct io *io, int fd)
{
    (void)io;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
        return 0;
    return errno == EACCES ? -EWOULDBLOCK : -errno;
}

static int posix_free_space(struct io *io, const char *path, uint64_t *ret_free,
                            uint64_t *ret_total)
{
    (void)io;
    struct statvfs vfs;
    if (statvfs(path, &vfs) < 0)
        return -errno;
    *ret_free = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    *ret_total = (uint64_t)vfs.f_blocks * vfs.f_frsize;
    return 0;
}

static uint64_t read_ms(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t posix_now_ms(struct io *io)
{
    (void)io;
    return read_ms(CLOCK_REALTIME);
}

static uint64_t posix_tick_ms(struct io *io)
{
    (void)io;
    return read_ms(CLOCK_REALTIME_COARSE);
}

static uint64_t posix_mono_ns(struct io *io)
{
    (void)io;
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct io *io_posix(void)
{
    static struct io io = {
        .open = posix_open,
        .close = posix_close,
        .size = posix_size,
        .changed = posix_changed,
        .truncate = posix_truncate,
        .allocate = posix_allocate,
        .next_data = posix_next_data,
        .pread = posix_pread,
        .pwrite = posix_pwrite,
        .pwritev = posix_pwritev,
        .map = posix_map,
        .unmap = posix_unmap,
        .populate = posix_populate,
        .is_resident = posix_is_resident,
        .advise = posix_advise,
        .forget = posix_forget,
        .rss = posix_rss,
        .sync_map = posix_sync_map,
        .sync_fd = posix_sync_fd,
        .sync_dir = posix_sync_dir,
        .rename = posix_rename,
        .unlink = posix_unlink,
        .rmdir = posix_rmdir,
        .mkdir = posix_mkdir,
        .lock_file = posix_lock_file,
        .free_space = posix_free_space,
        .now_ms = posix_now_ms,
        .tick_ms = posix_tick_ms,
        .mono_ns = posix_mono_ns,
    };
    return &io;
}
