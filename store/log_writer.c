/* Writes the log with pwritev and fdatasync.
 *
 * Pieces of many records are gathered until the kernel takes no more in one call. A short count is
 * no failure: the rest is written by the next call, and if that fails, it says why. A failure is
 * never tried again: what a sync that failed had to write may be gone, and the next would succeed
 * without it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/log_writer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

void log_writer_init(struct log_writer *w, struct mapped_files *files)
{
    w->files = files;
    w->fd = -1;
    w->n_pieces = 0;
}

static void close_file(struct log_writer *w)
{
    if (w->fd >= 0)
        (void)w->files->io->close(w->files->io, w->fd); /* all that was written was synced */
    w->fd = -1;
}

void log_writer_fini(struct log_writer *w)
{
    if (w->files)
        close_file(w);
    w->files = NULL;
}

/* Has the file that holds `log_off` open. */
static int open_at(struct log_writer *w, uint64_t log_off, struct err *e)
{
    if (w->fd >= 0 && log_off >= w->start && log_off - w->start < w->files->file_bytes)
        return 0;
    close_file(w);
    struct mapped_file *f;
    int rc = mapped_files_pin(w->files, log_off, &f, e);
    if (rc < 0)
        return rc;
    w->fd = w->files->io->open(w->files->io, f->path, O_WRONLY, 0);
    w->start = f->start;
    if (w->fd < 0)
        rc = err_sys(e, -w->fd, "open '%s'", f->path);
    mapped_file_unpin(f);
    return rc;
}

/* ---- writing ---- */

/* Takes `n` bytes off the front of the pieces; returns how many whole ones that were. */
static int pass_pieces(struct iovec *pieces, uint64_t n)
{
    int i = 0;
    for (; n > 0 && n >= pieces[i].iov_len; i++)
        n -= pieces[i].iov_len;
    if (n > 0) {
        pieces[i].iov_base = (uint8_t *)pieces[i].iov_base + n;
        pieces[i].iov_len -= n;
    }
    return i;
}

/* Writes what is gathered. */
static int write_pieces(struct log_writer *w, struct err *e)
{
    struct io *io = w->files->io;
    for (int i = 0; i < w->n_pieces;) {
        int64_t n = io->pwritev(io, w->fd, w->pieces + i, w->n_pieces - i, w->off - w->start);
        if (n <= 0)
            return err_sys(e, n < 0 ? (int)-n : EIO, "write '%s/%020" PRIu64 "' at %" PRIu64,
                           w->files->folder, w->start, w->off - w->start);
        i += pass_pieces(w->pieces + i, (uint64_t)n);
        w->off += (uint64_t)n;
    }
    w->n_pieces = 0;
    return 0;
}

static int gather(struct log_writer *w, struct iovec piece, struct err *e)
{
    int rc = w->n_pieces == LOG_WRITER_PIECES ? write_pieces(w, e) : 0;
    if (rc == 0)
        w->pieces[w->n_pieces++] = piece;
    return rc;
}

static int sync_file(struct log_writer *w, struct err *e)
{
    int rc = w->files->io->sync_fd(w->files->io, w->fd);
    return rc < 0 ? err_sys(e, -rc, "sync '%s/%020" PRIu64 "'", w->files->folder, w->start) : 0;
}

/* Ends the file before the one that begins at `next_start`. */
static int end_file(struct log_writer *w, uint64_t next_start, uint32_t filler_bytes, struct err *e)
{
    uint8_t filler[FORMAT_FILLER_BYTES];
    record_write_filler(filler, filler_bytes);
    int rc = open_at(w, next_start - filler_bytes, e);
    if (rc < 0)
        return rc;
    w->off = next_start - filler_bytes;
    w->pieces[w->n_pieces++] = (struct iovec){.iov_base = filler, .iov_len = sizeof filler};
    rc = write_pieces(w, e);
    return rc < 0 ? rc : sync_file(w, e);
}

int log_writer_commit(struct log_writer *w, const struct outgoing *first,
                      const struct outgoing *end, struct err *e)
{
    int rc = 0;
    w->n_pieces = 0;
    if (first->filler_bytes > 0)
        rc = end_file(w, first->log_off, first->filler_bytes, e);
    if (rc == 0)
        rc = open_at(w, first->log_off, e);
    w->off = first->log_off;
    for (const struct outgoing *out = first; rc == 0 && out != end; out = out->next)
        for (size_t i = 0; rc == 0 && i < out->n_pieces; i++)
            rc = gather(w, out->pieces[i], e);
    if (rc == 0)
        rc = write_pieces(w, e);
    return rc < 0 ? rc : sync_file(w, e);
}

int log_writer_sync(struct log_writer *w, uint64_t from, uint64_t to, struct err *e)
{
    int rc = 0;
    for (uint64_t at = from; rc == 0 && at < to; at = w->start + w->files->file_bytes) {
        rc = open_at(w, at, e);
        if (rc == 0)
            rc = sync_file(w, e);
    }
    return rc;
}
