/* The one seam to the kernel: every call to disk, memory maps and clock goes through here, so that
 * tests can make the n-th one fail or lose power. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <time.h>

#include "base/err.h"

enum io_advice {
    IO_NORMAL,
    IO_SEQUENTIAL,
    IO_RANDOM,
    IO_WILLNEED, /* read ahead now */
    IO_DONTNEED, /* drop this process's page table entries; contents stay in the page cache */
};

/* Every function returns 0 (or a count or descriptor >= 0) or -errno, and may be called by any
 * thread. Descriptors are opened with O_CLOEXEC. */
struct io {
    int (*open)(struct io *io, const char *path, int flags, unsigned mode);
    int (*close)(struct io *io, int fd);
    int (*size)(struct io *io, int fd, uint64_t *ret_bytes);
    /* When a file or folder changed last. */
    int (*changed)(struct io *io, const char *path, struct timespec *ret);
    int (*truncate)(struct io *io, int fd, uint64_t len);
    /* Allocates blocks and extends the file; a later write there cannot fail for want of space. */
    int (*allocate)(struct io *io, int fd, uint64_t off, uint64_t len);
    /* The first byte at or behind `off` that may be other than zero. -ENXIO: a hole is all there
     * is.
     */
    int (*next_data)(struct io *io, int fd, uint64_t off, uint64_t *ret_off);
    int64_t (*pread)(struct io *io, int fd, void *buf, size_t len, uint64_t off);
    int64_t (*pwrite)(struct io *io, int fd, const void *buf, size_t len, uint64_t off);
    int64_t (*pwritev)(struct io *io, int fd, const struct iovec *iov, int n_iov, uint64_t off);
    int (*map)(struct io *io, int fd, uint64_t len, bool writable, uint8_t **ret_base);
    int (*unmap)(struct io *io, uint8_t *base, uint64_t len);
    /* Makes pages present and writable; page-aligned. */
    int (*populate)(struct io *io, uint8_t *base, uint64_t len);
    /* Whether the page-aligned page of a mapped file is in memory: 1 or 0. */
    int (*is_resident)(struct io *io, uint8_t *page);
    int (*advise)(struct io *io, uint8_t *base, uint64_t len, enum io_advice advice);
    /* Drops clean pages that no page table points at from the page cache: the next to read them
     * reads the disk. */
    int (*forget)(struct io *io, int fd, uint64_t off, uint64_t len);
    int (*rss)(struct io *io, uint64_t *ret_bytes); /* resident memory of this process */
    /* Durable once it returns 0; page-aligned start. */
    int (*sync_map)(struct io *io, uint8_t *base, uint64_t len);
    int (*sync_fd)(struct io *io, int fd);
    int (*sync_dir)(struct io *io, const char *path);
    int (*rename)(struct io *io, const char *from, const char *to);
    int (*unlink)(struct io *io, const char *path);
    int (*rmdir)(struct io *io, const char *path);
    int (*mkdir)(struct io *io, const char *path, unsigned mode);
    /* Exclusive, not waiting; the descriptor must be writable. -EWOULDBLOCK when another process
     * (or open) has it, a RocketMQ broker too. Gone with the last close of that open. */
    int (*lock_file)(struct io *io, int fd);
    int (*free_space)(struct io *io, const char *path, uint64_t *ret_free, uint64_t *ret_total);
    uint64_t (*now_ms)(struct io *io); /* since the Unix epoch */
    /* The same as of the kernel's last tick, up to 10 ms ago, for a seventh of the cost. */
    uint64_t (*tick_ms)(struct io *io);
    uint64_t (*mono_ns)(struct io *io); /* monotonic */
};

/* The real one; one instance, never freed. */
struct io *io_posix(void);

/* Reads a whole regular file of at most `max_bytes` into memory the caller frees; a NUL follows
 * the last byte. ERR_NOTFOUND when it is absent, ERR_TOOBIG over the limit. */
int io_read_file(struct io *io, const char *path, size_t max_bytes, uint8_t **ret_buf,
                 size_t *ret_len, struct err *e) MUST_CHECK;

/* Reads a file of /proc or /sys, whose length is not known before, as a text of at most size - 1
 * bytes; empty when it cannot be read. */
void io_read_text(struct io *io, const char *path, char *ret, size_t size);

/* Replaces `path` so that a crash at any instant leaves the old or the new content: writes
 * `path`.tmp, syncs it, copies the old content to `path`.bak when `keep_bak`, renames, syncs the
 * folder. A crash may leave the .tmp or cut the .bak; `path` itself is whole. A failure leaves the
 * old content, unless syncing the folder failed. */
int io_replace_file(struct io *io, const char *path, const void *buf, size_t len, bool keep_bak,
                    struct err *e) MUST_CHECK;

/* Makes the folder and its parents, durably; existing ones are fine. */
int io_make_dirs(struct io *io, const char *path, struct err *e) MUST_CHECK;

#endif
