/* Writes consume queues through a small buffer; files are open only while they are written. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/queue_writer.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

enum { PRE_BLANK_SIZE = 0x7fffffff };

static void encode(uint8_t *dst, bool is_batch, const struct queue_entry *entry)
{
    store_queue_entry_encode(dst, &entry->at);
    if (!is_batch)
        return;
    be64_put(dst + 20, entry->store_ms); /* rocketmq-store 3.5 */
    be64_put(dst + 28, entry->base_off);
    be16_put(dst + 36, (uint16_t)entry->n);
    be32_put(dst + 38, UINT32_MAX); /* no compacted position */
    be32_put(dst + 42, 0);
}

static void name_file(const struct queue_writer *w, uint64_t start, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%s/%020" PRIu64, w->folder, start);
}

/* Writes within one file, which is made at its full length. */
static int write_part(struct queue_writer *w, uint64_t pos, const uint8_t *bytes, size_t len,
                      struct err *e)
{
    char path[PATH_MAX];
    uint64_t start = pos - pos % w->file_bytes;
    name_file(w, start, path);
    int fd = w->io->open(w->io, path, O_WRONLY | O_CREAT, 0644);
    if (fd < 0)
        return err_sys(e, -fd, "make '%s'", path);
    int rc = w->io->truncate(w->io, fd, w->file_bytes);
    for (size_t done = 0; rc >= 0 && done < len;) {
        int64_t n = w->io->pwrite(w->io, fd, bytes + done, len - done, pos - start + done);
        rc = n < 0 ? (int)n : 0;
        done += n > 0 ? (size_t)n : 0;
    }
    int closed = w->io->close(w->io, fd);
    if (rc == 0)
        rc = closed;
    return rc < 0 ? err_sys(e, -rc, "write '%s'", path) : 0;
}

static int write_at(struct queue_writer *w, uint64_t pos, const uint8_t *bytes, size_t len,
                    struct err *e)
{
    int rc = 0;
    for (size_t done = 0; rc == 0 && done < len;) {
        size_t part = len - done;
        uint64_t left = w->file_bytes - (pos + done) % w->file_bytes;
        if (part > left)
            part = (size_t)left;
        rc = write_part(w, pos + done, bytes + done, part, e);
        done += part;
    }
    return rc;
}

int queue_writer_flush(struct queue_writer *w, struct err *e)
{
    const size_t entry_bytes = queue_entry_bytes(w->is_batch);
    if (w->n_buf == 0)
        return 0;
    int rc = write_at(w, (w->next - w->n_buf) * entry_bytes, w->buf, w->n_buf * entry_bytes, e);
    w->n_buf = 0;
    return rc;
}

int queue_writer_add(struct queue_writer *w, const struct queue_entry *entry, struct err *e)
{
    assert(w->is_begun);
    if (w->n_buf == QUEUE_WRITER_ENTRIES) {
        int rc = queue_writer_flush(w, e);
        if (rc < 0)
            return rc;
    }
    encode(w->buf + w->n_buf * queue_entry_bytes(w->is_batch), w->is_batch, entry);
    w->n_buf++;
    w->next++;
    w->last = *entry;
    return 0;
}

int queue_writer_begin(struct queue_writer *w, uint64_t n, struct err *e)
{
    static const struct queue_entry blank = {.at = {.size = PRE_BLANK_SIZE}};
    const size_t entry_bytes = queue_entry_bytes(w->is_batch);
    int rc = io_make_dirs(w->io, w->folder, e);
    w->is_begun = true;
    w->begin = n;
    w->next = w->is_batch ? n : n * entry_bytes / w->file_bytes * w->file_bytes / entry_bytes;
    while (rc == 0 && w->next < n)
        rc = queue_writer_add(w, &blank, e);
    return rc;
}

int queue_writer_cut(struct queue_writer *w, uint64_t n, struct err *e)
{
    const size_t entry_bytes = queue_entry_bytes(w->is_batch);
    assert(n >= w->begin);
    int rc = queue_writer_flush(w, e);
    uint64_t pos = n * entry_bytes, end = w->next * entry_bytes;
    for (uint64_t start = pos - pos % w->file_bytes; rc == 0 && start < end;
         start += w->file_bytes) {
        char path[PATH_MAX];
        name_file(w, start, path);
        if (start >= pos) {
            rc = w->io->unlink(w->io, path);
        } else {
            int fd = w->io->open(w->io, path, O_WRONLY, 0);
            rc = fd < 0 ? fd : w->io->truncate(w->io, fd, pos - start);
            if (rc == 0)
                rc = w->io->truncate(w->io, fd, w->file_bytes); /* zeros behind the cut */
            if (fd >= 0)
                (void)w->io->close(w->io, fd); /* lengths only */
        }
        if (rc < 0)
            return err_sys(e, -rc, "cut '%s'", path);
    }
    w->next = n;
    return rc;
}
