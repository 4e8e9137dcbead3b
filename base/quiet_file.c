/* Reads without leaving a trace in the page cache.
 *
 * Before each piece the kernel is asked which of its pages are cached: with cachestat, which is
 * cheap and mostly says all or none, else page by page with mincore. Read-ahead is off, so that a
 * read brings in its own pages only; those are dropped at once, the bytes being in our buffer. A
 * page that somebody maps in between stays: the kernel does not drop mapped pages. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/quiet_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PAGE_BYTES = 4096,
    PIECE_PAGES = 256,
    PIECE_BYTES = PIECE_PAGES * PAGE_BYTES,
    CACHESTAT_NR = 451, /* the same on every architecture; not in Debian 12's headers */
};

struct cachestat_range {
    uint64_t off, len;
};

struct cachestat_counts {
    uint64_t n_cached, n_dirty, n_writeback, n_evicted, n_recently_evicted;
};

/* Which pages of a piece were cached before it was read. */
struct piece {
    uint64_t off; /* page-aligned */
    size_t n_pages;
    uint8_t is_cached[PIECE_PAGES];
};

/* ---- what is cached ---- */

static void ask_each_page(const struct quiet_file *f, struct piece *p)
{
    size_t len = p->n_pages * PAGE_BYTES;
    memset(p->is_cached, 1, p->n_pages); /* when it cannot be told, nothing is dropped */
    void *base = mmap(NULL, len, PROT_READ, MAP_SHARED, f->fd, (off_t)p->off);
    if (base == MAP_FAILED)
        return;
    if (mincore(base, len, p->is_cached) < 0)
        memset(p->is_cached, 1, p->n_pages);
    (void)munmap(base, len); /* ours, so it cannot fail */
}

static void ask_piece(const struct quiet_file *f, struct piece *p)
{
    struct cachestat_range range = {.off = p->off, .len = p->n_pages * PAGE_BYTES};
    struct cachestat_counts counts;
    bool has_counts = syscall(CACHESTAT_NR, f->fd, &range, &counts, 0) == 0;
    if (has_counts && counts.n_cached >= p->n_pages)
        memset(p->is_cached, 1, p->n_pages);
    else if (has_counts && counts.n_cached == 0)
        memset(p->is_cached, 0, p->n_pages);
    else
        ask_each_page(f, p);
}

/* Drops the runs of pages that were not cached. */
static void drop_piece(const struct quiet_file *f, const struct piece *p)
{
    for (size_t i = 0, n; i < p->n_pages; i += n) {
        for (n = 0; i + n < p->n_pages && !(p->is_cached[i + n] & 1); n++)
            continue;
        if (n > 0)
            (void)posix_fadvise(f->fd, (off_t)(p->off + i * PAGE_BYTES), (off_t)(n * PAGE_BYTES),
                                POSIX_FADV_DONTNEED); /* only memory */
        else
            n = 1;
    }
}

/* ---- files ---- */

int quiet_measure(struct quiet_file *f, struct err *e)
{
    uint64_t bytes;
    int rc = f->io->size(f->io, f->fd, &bytes);
    if (rc < 0)
        return err_sys(e, -rc, "get the length of a file");
    f->bytes = bytes;
    return 0;
}

int quiet_open(struct quiet_file *ret_f, struct io *io, const char *path, struct err *e)
{
    struct quiet_file f = {.io = io, .fd = io->open(io, path, O_RDONLY, 0)};
    if (f.fd < 0)
        return err_sys(e, -f.fd, "open '%s'", path);
    int rc = quiet_measure(&f, e);
    if (rc < 0) {
        quiet_close(&f);
        return err_wrap(e, "open '%s'", path);
    }
    (void)posix_fadvise(f.fd, 0, 0, POSIX_FADV_RANDOM); /* no read-ahead: only what is asked for */
    *ret_f = f;
    return 0;
}

void quiet_close(struct quiet_file *f)
{
    if (f->fd >= 0)
        (void)f->io->close(f->io, f->fd); /* read only: nothing to lose */
    f->fd = -1;
}

static int read_piece(struct quiet_file *f, uint64_t off, uint8_t *buf, size_t len, size_t *ret_n,
                      struct err *e)
{
    size_t done = 0;
    while (done < len) {
        int64_t n = f->io->pread(f->io, f->fd, buf + done, len - done, off + done);
        if (n == -EINTR)
            continue;
        if (n < 0)
            return err_sys(e, (int)-n, "read at %llu", (unsigned long long)(off + done));
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *ret_n = done;
    return 0;
}

int quiet_read(struct quiet_file *f, uint64_t off, void *buf, size_t len, size_t *ret_n,
               struct err *e)
{
    size_t done = 0;
    while (done < len) {
        struct piece p = {.off = (off + done) / PAGE_BYTES * PAGE_BYTES};
        size_t skip = (size_t)(off + done - p.off), n = 0;
        size_t want = len - done < PIECE_BYTES - skip ? len - done : PIECE_BYTES - skip;
        p.n_pages = (skip + want + PAGE_BYTES - 1) / PAGE_BYTES;
        ask_piece(f, &p);
        int rc = read_piece(f, off + done, (uint8_t *)buf + done, want, &n, e);
        drop_piece(f, &p);
        if (rc < 0)
            return rc;
        done += n;
        if (n < want)
            break;
    }
    *ret_n = done;
    return 0;
}

int quiet_read_whole(struct io *io, const char *path, uint64_t max_bytes, uint8_t **ret_buf,
                     size_t *ret_len, struct err *e)
{
    struct quiet_file f;
    int rc = quiet_open(&f, io, path, e);
    if (rc < 0)
        return rc;
    uint8_t *buf = f.bytes <= max_bytes ? malloc((size_t)f.bytes + 1) : NULL;
    size_t n = 0;
    if (buf)
        rc = quiet_read(&f, 0, buf, (size_t)f.bytes, &n, e);
    else if (f.bytes > max_bytes)
        rc = err_set(e, ERR_TOOBIG, "%llu bytes are over the limit of %llu",
                     (unsigned long long)f.bytes, (unsigned long long)max_bytes);
    else
        rc = err_set(e, ERR_NOMEM, "hold %llu bytes", (unsigned long long)f.bytes);
    quiet_close(&f);
    if (rc < 0) {
        free(buf);
        return err_wrap(e, "read '%s'", path);
    }
    buf[n] = '\0';
    *ret_buf = buf;
    *ret_len = n;
    return 0;
}
