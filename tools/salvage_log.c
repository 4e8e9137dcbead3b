/* Writes good records into a new log, each where it was.
 *
 * Positions are kept: queues, index, timers, transactions and the message ids of clients name them.
 * So what is lost between two records must be filled exactly (store/cover.c): by covers, or when it
 * is too small for one by lengthening the record before it; up to the end of a file by a filler.
 * The last record is held back until it is known what follows. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/salvage.h"

enum { WRITE_BYTES = 1 << 20, PAD_MAX = STORE_COVER_MIN - 1 };

struct salvage_log {
    salvage_placed_fn placed;
    uint64_t begin, file_bytes;
    int fd; /* of the present file; < 0: none */
    uint64_t start;

    /* the record held back; size 0: none */
    uint8_t *held;
    size_t held_cap;
    uint32_t held_size;
    uint64_t held_off;

    uint64_t end; /* all before it is written or held */

    /* bytes on the way to the present file */
    uint8_t *buf;
    size_t n_buf;
    uint64_t buf_off; /* log_off of the first */

    uint8_t *cover; /* STORE_COVER_MAX bytes */
};

/* ---- files ---- */

static int put_at(struct salvage *s, struct salvage_log *l, const uint8_t *bytes, size_t len,
                  uint64_t log_off, struct err *e)
{
    for (size_t done = 0; done < len;) {
        int64_t n =
            s->io->pwrite(s->io, l->fd, bytes + done, len - done, log_off - l->start + done);
        if (n < 0)
            return err_sys(e, (int)-n, "write to the log of '%s'", s->to);
        done += (size_t)n;
    }
    return 0;
}

static int flush_buf(struct salvage *s, struct salvage_log *l, struct err *e)
{
    int rc = l->n_buf > 0 ? put_at(s, l, l->buf, l->n_buf, l->buf_off, e) : 0;
    l->n_buf = 0;
    return rc;
}

static int close_file(struct salvage *s, struct salvage_log *l, struct err *e)
{
    if (l->fd < 0)
        return 0;
    int rc = flush_buf(s, l, e);
    int synced = s->io->sync_fd(s->io, l->fd);
    if (rc == 0 && synced < 0)
        rc = err_sys(e, -synced, "sync the log of '%s'", s->to);
    (void)posix_fadvise(l->fd, 0, 0, POSIX_FADV_DONTNEED); /* only memory */
    (void)s->io->close(s->io, l->fd);                      /* it was synced */
    l->fd = -1;
    return rc;
}

/* Makes the file that holds `log_off`, unless it is open. */
static int enter_file(struct salvage *s, struct salvage_log *l, uint64_t log_off, struct err *e)
{
    uint64_t start = log_off - (log_off - l->begin) % l->file_bytes;
    if (l->fd >= 0 && start == l->start)
        return 0;
    int rc = close_file(s, l, e);
    if (rc < 0)
        return rc;
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/commitlog/%020" PRIu64, s->to, start);
    l->fd = s->io->open(s->io, path, O_RDWR | O_CREAT | O_EXCL, 0644);
    if (l->fd < 0)
        return err_sys(e, -l->fd, "make '%s'", path);
    l->start = start;
    rc = s->io->truncate(s->io, l->fd, l->file_bytes);
    return rc < 0 ? err_sys(e, -rc, "lengthen '%s'", path) : 0;
}

/* Bytes follow each other but for fillers, which reach to the end of a file. */
static int write_bytes(struct salvage *s, struct salvage_log *l, const uint8_t *bytes, size_t len,
                       uint64_t log_off, struct err *e)
{
    int rc = enter_file(s, l, log_off, e);
    if (rc == 0 && l->n_buf + len > WRITE_BYTES)
        rc = flush_buf(s, l, e);
    if (rc < 0 || len > WRITE_BYTES)
        return rc < 0 ? rc : put_at(s, l, bytes, len, log_off, e);
    if (l->n_buf == 0)
        l->buf_off = log_off;
    memcpy(l->buf + l->n_buf, bytes, len);
    l->n_buf += len;
    return 0;
}

/* ---- the record held back ---- */

static int hold(struct salvage *s, struct salvage_log *l, const struct store_record *rec,
                struct err *e)
{
    size_t need = (size_t)rec->size + PAD_MAX;
    if (need > l->held_cap) {
        uint8_t *held = realloc(l->held, need);
        if (!held)
            return err_set(e, ERR_NOMEM, "hold a record of %" PRIu32 " bytes", rec->size);
        l->held = held;
        l->held_cap = need;
    }
    memcpy(l->held, rec->raw.ptr, rec->size);
    l->held_size = rec->size;
    l->held_off = rec->log_off;
    l->end = rec->log_off + rec->size;
    s->last_ms = rec->store_ms;
    return 0;
}

static int release(struct salvage *s, struct salvage_log *l, struct err *e)
{
    struct store_record rec;
    if (l->held_size == 0)
        return 0;
    int rc = write_bytes(s, l, l->held, l->held_size, l->held_off, e);
    bool is_whole = store_record_decode(span_of(l->held, l->held_size), &rec);
    l->held_size = 0;
    if (rc < 0 || !is_whole) /* it was whole when it came */
        return rc;
    return l->placed(s, &rec, e);
}

/* ---- what is lost ---- */

static int write_filler(struct salvage *s, struct salvage_log *l, uint64_t left, struct err *e)
{
    uint8_t filler[STORE_FILLER_MIN];
    store_filler_write(filler, (uint32_t)left);
    int rc = write_bytes(s, l, filler, sizeof filler, l->end, e);
    if (rc == 0)
        rc = close_file(s, l, e); /* the next bytes do not adjoin */
    l->end += left;
    return rc;
}

/* Covers `n` bytes within a file, at least STORE_COVER_MIN. */
static int write_covers(struct salvage *s, struct salvage_log *l, uint64_t n, struct err *e)
{
    while (n > 0) {
        uint64_t part = n <= STORE_COVER_MAX                     ? n
                        : n - STORE_COVER_MAX >= STORE_COVER_MIN ? STORE_COVER_MAX
                                                                 : n - STORE_COVER_MIN;
        store_cover_write(l->cover, (uint32_t)part, l->end, s->last_ms);
        int rc = write_bytes(s, l, l->cover, (size_t)part, l->end, e);
        if (rc < 0)
            return rc;
        l->end += part;
        n -= part;
    }
    return 0;
}

/* Lengthens the record held back, which ends where the lost place of `n` bytes begins. */
static bool pad_held(struct salvage *s, struct salvage_log *l, uint64_t n)
{
    bool is_next = l->held_size > 0 && l->held_off + l->held_size == l->end;
    if (!is_next || !store_record_pad(l->held, l->held_size, (uint32_t)n))
        return false;
    l->held_size += (uint32_t)n;
    l->end += n;
    s->n_padded++;
    return true;
}

/* Ends every file before the one that holds `log_off`. */
static int fill_files(struct salvage *s, struct salvage_log *l, uint64_t log_off, struct err *e)
{
    int rc = 0;
    while (rc == 0) {
        uint64_t file_end = l->end - (l->end - l->begin) % l->file_bytes + l->file_bytes;
        if (file_end > log_off)
            break;
        rc = release(s, l, e);
        if (rc == 0 && file_end - l->end < STORE_FILLER_MIN)
            rc = err_set(e, ERR_UNSUPPORTED, "no filler fits into %" PRIu64 " bytes at %" PRIu64,
                         file_end - l->end, l->end);
        if (rc == 0)
            rc = write_filler(s, l, file_end - l->end, e);
    }
    return rc;
}

/* Fills what lies before `log_off`; false in `*ret_filled` when it is too small for anything. */
static int fill_gap(struct salvage *s, struct salvage_log *l, uint64_t log_off, bool *ret_filled,
                    struct err *e)
{
    int rc = fill_files(s, l, log_off, e);
    uint64_t n = log_off - l->end;
    *ret_filled = true;
    if (rc < 0 || n == 0)
        return rc < 0 ? rc : release(s, l, e);
    if (n < STORE_COVER_MIN) {
        *ret_filled = pad_held(s, l, n);
        return *ret_filled ? release(s, l, e) : 0;
    }
    rc = release(s, l, e);
    return rc < 0 ? rc : write_covers(s, l, n, e);
}

/* ---- the way through ---- */

int salvage_log_open(struct salvage *s, salvage_placed_fn placed, struct err *e)
{
    struct store_walk_bounds bounds;
    store_walk_bounds(s->walk, &bounds);
    struct salvage_log *l = calloc(1, sizeof *l);
    s->log = l;
    if (l)
        *l = (struct salvage_log){.placed = placed,
                                  .begin = bounds.begin,
                                  .end = bounds.begin,
                                  .file_bytes = bounds.file_bytes,
                                  .fd = -1,
                                  .buf = malloc(WRITE_BYTES),
                                  .cover = malloc(STORE_COVER_MAX)};
    if (!l || !l->buf || !l->cover)
        return err_set(e, ERR_NOMEM, "write a log");
    return 0;
}

int salvage_log_record(struct salvage *s, const struct store_record *rec, struct err *e)
{
    struct salvage_log *l = s->log;
    bool filled;
    int rc = fill_gap(s, l, rec->log_off, &filled, e);
    if (rc < 0)
        return rc;
    if (!filled) { /* the record goes too: with it the place is large enough */
        s->n_lost_places++;
        s->lost_bytes += rec->size;
        salvage_tell(s, rec->log_off, "a good record of %" PRIu32 " bytes behind a place too small",
                     rec->size);
        return 0;
    }
    s->n_saved++;
    s->saved_bytes += rec->size;
    return hold(s, l, rec, e);
}

int salvage_log_end_file(struct salvage *s, uint64_t log_off, struct err *e)
{
    return fill_files(s, s->log, log_off, e);
}

int salvage_log_finish(struct salvage *s, bool is_torn, struct err *e)
{
    struct salvage_log *l = s->log;
    int rc = release(s, l, e);
    uint64_t in_file = (l->end - l->begin) % (l->file_bytes ? l->file_bytes : 1);
    if (rc == 0 && is_torn && in_file > 0)
        rc = fill_files(s, l, l->end - in_file + l->file_bytes, e);
    if (rc == 0 && l->file_bytes > 0)
        rc = enter_file(s, l, l->end, e); /* the broker goes on in it */
    if (rc == 0)
        rc = close_file(s, l, e);
    s->log_end = l->end;
    return rc;
}

void salvage_log_close(struct salvage *s)
{
    struct salvage_log *l = s->log;
    if (!l)
        return;
    if (l->fd >= 0)
        (void)s->io->close(s->io, l->fd); /* only after a failure, which was told */
    free(l->held);
    free(l->buf);
    free(l->cover);
    free(l);
}
