/* One consume queue. Entry n is at byte 20 n, in files of equal length made as they are needed.
 *
 * Entries in [min_off, end_off) never change and are read without a lock (I2); the dispatcher alone
 * writes behind end_off, into blocks allocated a step ahead (I4), and then publishes. Bytes behind
 * end_off are zero, which is how a load finds the end. All of it is derived from the log (I6): a
 * crash may lose any entry that was not flushed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/consume_queue.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/format.h"
#include "store/queue_maps.h"
#include "store/record.h"

enum {
    ALLOCATE_STEP_BYTES = 256 * 1024, /* 13,107 entries: one call to the file system for each */
    ALLOCATE_FIRST_BYTES = 4096,      /* doubled up to a step: most queues stay short */
    READ_AHEAD_BYTES = 128 * 1024,
    FILL_MAX = 1 << 20, /* a wider hole is a damaged number, not lost records */
};

int consume_queue_new(struct consume_queue **ret_q, struct span topic, int32_t queue_id,
                      const char *folder, uint64_t file_bytes, struct io *io,
                      struct reclaimer *reclaimer, struct err *e)
{
    struct consume_queue *q = calloc(1, sizeof *q);
    uint8_t *name = malloc(topic.len + 1);
    if (!q || !name) {
        free(q);
        free(name);
        return err_set(e, ERR_NOMEM, "describe queue '%s'", folder);
    }
    memcpy(name, topic.ptr, topic.len);
    name[topic.len] = '\0';
    q->topic = span_of(name, topic.len);
    q->queue_id = queue_id;
    q->seq.queue = q;
    atomic_init(&q->n_refs, 1);
    atomic_init(&q->has_listed, true); /* there is nothing to list, or it is loaded */
    int rc = mapped_files_init(&q->files, io, folder, file_bytes, MAPPED_WRITE, reclaimer, e);
    if (rc < 0) {
        free(name);
        free(q);
        return rc;
    }
    /* most queues hold little and are touched at their end: reading around would cache whole files
     */
    q->files.advice = IO_RANDOM;
    lock_init(&q->lock, LOCK_QUEUE);
    *ret_q = q;
    return 0;
}

void consume_queue_ref(struct consume_queue *q)
{
    atomic_fetch_add_explicit(&q->n_refs, 1, memory_order_relaxed); /* the caller has one */
}

void consume_queue_unref(struct consume_queue *q)
{
    if (!q || atomic_fetch_sub_explicit(&q->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    mapped_file_unpin(q->tail);
    mapped_files_fini(&q->files);
    lock_fini(&q->lock);
    free((void *)(uintptr_t)q->topic.ptr); /* ours; the span is const for its readers */
    free(q);
}

int consume_queue_pin(struct consume_queue *q, uint64_t at, struct mapped_file **ret_file,
                      struct err *e)
{
    int rc = consume_queue_need_files(q, e);
    if (rc == 0)
        rc = mapped_files_pin(&q->files, at, ret_file, e);
    if (rc == 0 && q->maps)
        queue_maps_note(q->maps, q);
    return rc;
}

/* ---- reading ---- */

int consume_queue_view(struct consume_queue *q, uint64_t queue_off, struct queue_view *ret,
                       struct err *e)
{
    uint64_t end = consume_queue_end(q);
    if (queue_off >= end) {
        *ret = (struct queue_view){0};
        return 0;
    }
    struct mapped_file *f;
    uint64_t at = queue_off * STORE_QUEUE_ENTRY_BYTES;
    int rc = consume_queue_pin(q, at, &f, e);
    if (rc < 0)
        return rc;
    uint64_t in_file = (f->start + f->bytes - at) / STORE_QUEUE_ENTRY_BYTES;
    *ret = (struct queue_view){
        .file = f,
        .entries = f->base + (at - f->start),
        .n = in_file < end - queue_off ? in_file : end - queue_off,
    };
    return 0;
}

struct store_queue_entry consume_queue_at(const struct queue_view *v, uint64_t i)
{
    struct store_queue_entry entry;
    if (!store_queue_entry_decode(v->entries + i * STORE_QUEUE_ENTRY_BYTES, &entry))
        entry = (struct store_queue_entry){.size = FORMAT_PRE_BLANK_SIZE, .log_off = UINT64_MAX};
    return entry;
}

/* Once for each block, and no further than the queue goes: IO_RANDOM leaves that to us. */
void consume_queue_fetch(const struct queue_view *v, uint64_t from, uint64_t to)
{
    struct mapped_file *f = v->file;
    uint64_t first = (uint64_t)(v->entries - f->base);
    uint64_t at = first + from * STORE_QUEUE_ENTRY_BYTES;
    uint64_t upto = first + to * STORE_QUEUE_ENTRY_BYTES;
    uint64_t end = first + v->n * STORE_QUEUE_ENTRY_BYTES;
    uint64_t block = upto / READ_AHEAD_BYTES * READ_AHEAD_BYTES;
    uint64_t block_end = block + READ_AHEAD_BYTES < end ? block + READ_AHEAD_BYTES : end;
    parts_use(f, at, upto);
    bool is_entered = at <= block && block < upto;
    if (is_entered && block_end > upto)
        (void)f->io->advise(f->io, f->base + block, block_end - block, IO_WILLNEED); /* speed */
}

int consume_queue_read(struct consume_queue *q, uint64_t queue_off,
                       struct store_queue_entry *entries, size_t n, size_t *ret_n, struct err *e)
{
    struct queue_view v;
    int rc = consume_queue_view(q, queue_off, &v, e);
    if (rc < 0)
        return rc;
    if (n > v.n)
        n = v.n;
    if (n > 0) {
        uint64_t at = (uint64_t)(v.entries - v.file->base);
        parts_use(v.file, at, at + n * STORE_QUEUE_ENTRY_BYTES);
    }
    for (size_t i = 0; i < n; i++)
        entries[i] = consume_queue_at(&v, i);
    mapped_file_unpin(v.file);
    *ret_n = n;
    return 0;
}

void consume_queue_set_bounds(struct consume_queue *q, uint64_t min_off, uint64_t end_off)
{
    atomic_store_explicit(&q->min_off, min_off, memory_order_release);
    atomic_store_explicit(&q->end_off, end_off, memory_order_release);
    if (q->flushed_off > end_off)
        q->flushed_off = end_off;
}

/* ---- writing ---- */

/* How far blocks are made for a file of which `need` bytes are used. */
static uint64_t allocate_upto(uint64_t need)
{
    uint64_t upto = ALLOCATE_FIRST_BYTES;
    while (upto <= need && upto < ALLOCATE_STEP_BYTES)
        upto *= 2;
    return upto > need ? upto : (need / ALLOCATE_STEP_BYTES + 1) * ALLOCATE_STEP_BYTES;
}

/* Makes q->tail the file that holds byte `at`, with blocks under the entry there. */
static int reach(struct consume_queue *q, uint64_t at, struct err *e)
{
    struct mapped_file *f = q->tail;
    uint64_t file_bytes = q->files.file_bytes;
    if (!f || at < f->start || at - f->start >= file_bytes) {
        uint64_t start, end;
        mapped_files_bounds(&q->files, &start, &end);
        if (at >= end) {
            int rc = io_make_dirs(q->files.io, q->files.folder, e);
            if (rc < 0)
                return rc;
            uint64_t step = file_bytes < ALLOCATE_FIRST_BYTES ? file_bytes : ALLOCATE_FIRST_BYTES;
            rc = mapped_file_create(&f, q->files.io, q->files.folder, at - at % file_bytes,
                                    file_bytes, step, e);
            if (rc == 0 && (rc = mapped_files_add(&q->files, f, e)) < 0)
                mapped_file_free(f);
            if (rc < 0)
                return rc;
        }
        int rc = consume_queue_pin(q, at, &f, e);
        if (rc < 0)
            return rc;
        mapped_file_unpin(q->tail);
        q->tail = f;
    }
    uint64_t need = at - f->start + STORE_QUEUE_ENTRY_BYTES;
    if (need <= atomic_load_explicit(&f->allocated, memory_order_acquire))
        return 0;
    uint64_t upto = allocate_upto(need);
    return mapped_file_allocate(f, upto < file_bytes ? upto : file_bytes, e); /* I4 */
}

static int write_entry(struct consume_queue *q, uint64_t queue_off,
                       const struct store_queue_entry *entry, struct err *e)
{
    uint64_t at = queue_off * STORE_QUEUE_ENTRY_BYTES;
    int rc = reach(q, at, e);
    if (rc < 0)
        return rc;
    uint64_t in_file = at - q->tail->start + STORE_QUEUE_ENTRY_BYTES;
    uint64_t page_end = (in_file + MAPPED_PAGE_BYTES - 1) / MAPPED_PAGE_BYTES * MAPPED_PAGE_BYTES;
    record_queue_entry_encode(q->tail->base + (at - q->tail->start), entry);
    parts_fill(q->tail, at - q->tail->start, in_file);
    if (page_end > q->tail->bytes)
        page_end = q->tail->bytes;
    atomic_store_explicit(&q->warm_upto, q->tail->start + page_end, memory_order_relaxed);
    return 0;
}

bool consume_queue_is_warm(const struct consume_queue *q, uint64_t queue_off)
{
    if (queue_off != consume_queue_end(q) || !q->tail)
        return false;
    uint64_t at = queue_off * STORE_QUEUE_ENTRY_BYTES;
    uint64_t warm_upto = atomic_load_explicit(&q->warm_upto, memory_order_relaxed); /* see there */
    return at >= q->tail->start && at + STORE_QUEUE_ENTRY_BYTES <= warm_upto;
}

/* An empty queue without files begins at `queue_off`: numbers before it in the first file are
 * marked as such (rocketmq-store 3.2). */
static int begin(struct consume_queue *q, uint64_t queue_off, struct err *e)
{
    static const struct store_queue_entry pre_blank = {.size = FORMAT_PRE_BLANK_SIZE};
    uint64_t per_file = q->files.file_bytes / STORE_QUEUE_ENTRY_BYTES;
    for (uint64_t at = queue_off - queue_off % per_file; at < queue_off; at++) {
        int rc = write_entry(q, at, &pre_blank, e);
        if (rc < 0)
            return rc;
    }
    consume_queue_set_bounds(q, queue_off, queue_off);
    return 0;
}

static int start_again(struct consume_queue *q, struct err *e)
{
    mapped_file_unpin(q->tail);
    q->tail = NULL;
    q->last = (struct store_queue_entry){0};
    lock_take(&q->lock); /* its beginning is not moved meanwhile */
    consume_queue_set_bounds(q, 0, 0);
    int rc = mapped_files_drop_from(&q->files, 0, e);
    lock_drop(&q->lock);
    return rc;
}

static bool has_files(struct consume_queue *q)
{
    uint64_t start, end;
    mapped_files_bounds(&q->files, &start, &end);
    return end != 0;
}

/* A number that the queue has: whether the entry is this one. */
static int look_again(struct consume_queue *q, uint64_t queue_off,
                      const struct store_queue_entry *entry, enum queue_put *ret, struct err *e)
{
    struct store_queue_entry old;
    size_t n = 0;
    *ret = QUEUE_PUT_ALREADY;
    if (queue_off < atomic_load_explicit(&q->min_off, memory_order_acquire))
        return 0;
    int rc = consume_queue_read(q, queue_off, &old, 1, &n, e);
    if (rc < 0)
        return rc;
    bool is_same =
        old.log_off == entry->log_off && old.size == entry->size && old.tag_code == entry->tag_code;
    *ret = is_same ? QUEUE_PUT_ALREADY : QUEUE_PUT_TAKEN;
    return 0;
}

/* The youngest record that an entry was written for. */
static void note_last(struct consume_queue *q, const struct store_queue_entry *entry)
{
    if (q->last.size == 0 || entry->log_off > q->last.log_off)
        q->last = *entry;
}

int consume_queue_mend(struct consume_queue *q, uint64_t queue_off,
                       const struct store_queue_entry *entry, struct err *e)
{
    assert(queue_off < consume_queue_end(q));
    int rc = write_entry(q, queue_off, entry, e);
    if (rc < 0)
        return err_wrap(e, "queue record %" PRIu64 " of '%s' again", entry->log_off,
                        q->files.folder);
    note_last(q, entry);
    if (q->flushed_off > queue_off)
        q->flushed_off = queue_off;
    return 0;
}

int consume_queue_put(struct consume_queue *q, uint64_t queue_off,
                      const struct store_queue_entry *entry, enum queue_put *ret, struct err *e)
{
    if (queue_off >= INT64_MAX / STORE_QUEUE_ENTRY_BYTES)
        return err_set(e, ERR_CORRUPT, "queue a record as number %" PRIu64, queue_off);
    int rc = consume_queue_need_files(q, e);
    if (rc < 0)
        return rc;
    if (queue_off < consume_queue_end(q)) {
        if (queue_off > 0 || q->last.size == 0 || entry->log_off <= q->last.log_off)
            return look_again(q, queue_off, entry, ret, e);
        rc = start_again(q, e); /* in the log, numbers of one life only rise */
    }
    if (rc == 0 && queue_off != consume_queue_end(q)) {
        if (has_files(q)) {
            *ret = QUEUE_PUT_AHEAD;
            return 0;
        }
        rc = begin(q, queue_off, e);
    }
    if (rc == 0)
        rc = write_entry(q, queue_off, entry, e);
    if (rc < 0)
        return err_wrap(e, "queue record %" PRIu64 " of '%s'", entry->log_off, q->files.folder);
    note_last(q, entry);
    /* pairs with the acquire in consume_queue_end of any reader (I2) */
    atomic_store_explicit(&q->end_off, queue_off + 1, memory_order_release);
    *ret = QUEUE_PUT_NEW;
    return 0;
}

int consume_queue_fill(struct consume_queue *q, uint64_t queue_off, struct err *e)
{
    static const struct store_queue_entry lost = {.size = FORMAT_PRE_BLANK_SIZE};
    uint64_t end = consume_queue_end(q);
    if (queue_off < end || queue_off - end > FILL_MAX)
        return err_set(e, ERR_CORRUPT,
                       "fill '%s' from %" PRIu64 " to %" PRIu64 ": too wide to be lost records",
                       q->files.folder, end, queue_off);
    for (; end < queue_off; end++) {
        int rc = write_entry(q, end, &lost, e);
        if (rc < 0)
            return rc;
        atomic_store_explicit(&q->end_off, end + 1, memory_order_release); /* see put */
    }
    return 0;
}

/* ---- flushing ---- */

int consume_queue_flush(struct consume_queue *q, uint64_t *ret_bytes, struct err *e)
{
    uint64_t end_off = consume_queue_end(q), end = end_off * STORE_QUEUE_ENTRY_BYTES;
    uint64_t at = q->flushed_off * STORE_QUEUE_ENTRY_BYTES, first, files_end;
    mapped_files_bounds(&q->files, &first, &files_end);
    at = at > first ? at : first; /* a queue that was lost begins again where the log does */
    end = end > q->cleared_upto ? end : q->cleared_upto;
    end = end < files_end ? end : files_end; /* what was cleared may be gone since */
    *ret_bytes = at < end ? end - at : 0;
    atomic_store_explicit(&q->warm_upto, 0, memory_order_relaxed); /* the sync protects its pages */
    while (at < end) {
        struct mapped_file *f;
        int rc = consume_queue_pin(q, at, &f, e);
        if (rc < 0)
            return rc;
        uint64_t upto = f->start + f->bytes < end ? f->start + f->bytes : end;
        rc = mapped_file_sync(f, at - f->start, upto - f->start, e);
        mapped_file_unpin(f);
        if (rc < 0)
            return rc;
        at = upto;
    }
    if (q->has_dropped) {
        int rc = q->files.io->sync_dir(q->files.io, q->files.folder);
        if (rc < 0)
            return err_sys(e, -rc, "sync folder '%s'", q->files.folder);
    }
    q->flushed_off = end_off;
    q->cleared_upto = 0;
    q->has_dropped = false;
    return 0;
}
