/* The append path.
 *
 * Under LOCK_APPEND: look whether the record fits into populated pages of the active file, roll to
 * the file made ready when it does not, number the record, copy or queue it. No system call but the
 * clock, no allocation, no I/O (I7); who finds no room leaves the lock and waits for the allocator.
 * tail is what is reserved. Mapped, it equals published outside the lock, and both stay at or below
 * the populated mark of the active file (I1), but for a window that shrinks at that moment.
 * Written, published follows when the group was written.
 *
 * A record is believed by recovery only with its own position in it, and that is stored last: a
 * process that dies at any instruction leaves a whole record or none (I5). A roll leaves the filler
 * at the end of the old file; a crash between the two leaves the filler alone, which is fine. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/commit_log.h"

#include <assert.h>
#include <inttypes.h>

#include "store/format.h"
#include "store/record.h"

int commit_log_init(struct commit_log *log, const struct commit_log_options *opt, struct io *io,
                    struct reclaimer *reclaimer, struct err *e)
{
    *log = (struct commit_log){
        .io = io,
        .file_bytes = opt->file_bytes,
        .max_message_bytes = opt->max_message_bytes,
        .is_written = opt->is_written,
        .host = opt->host,
        .queues = opt->queues,
    };
    log->end_out = &log->first_out;
    int rc =
        mapped_files_init(&log->files, io, opt->folder, opt->file_bytes, MAPPED_READ, reclaimer, e);
    if (rc < 0)
        return rc;
    log->files.written = &log->published;
    lock_init(&log->lock, LOCK_APPEND);
    idle_init(&log->spent, OUTGOING_SPENT_MAX);
    uint64_t record_max = (uint64_t)opt->max_message_bytes + FORMAT_RECORD_OVERHEAD;
    uint64_t window = opt->window_bytes > record_max ? opt->window_bytes : record_max;
    uint64_t idle_window = window / 8 > record_max ? window / 8 : record_max;
    if (log->is_written)
        window = idle_window = 0;
    allocator_init(&log->allocator, &log->files, &log->published, window, idle_window);
    rc = handover_new(&log->handover, e);
    if (rc == 0)
        rc = io_make_dirs(io, opt->folder, e);
    if (rc == 0)
        rc = mapped_files_load(&log->files, e);
    if (rc < 0)
        commit_log_fini(log);
    return rc;
}

void commit_log_fini(struct commit_log *log)
{
    if (!log->files.folder)
        return;
    allocator_fini(&log->allocator);
    recent_queues_fini(&log->recent);
    handover_free(log->handover);
    mapped_files_fini(&log->files);
    outgoing_free_spent(&log->spent);
    lock_fini(&log->lock);
}

/* ---- start and stop ---- */

static int find_active(struct commit_log *log, uint64_t tail, struct mapped_file **ret_file,
                       struct err *e)
{
    uint64_t start, end;
    mapped_files_bounds(&log->files, &start, &end);
    if (tail < end)
        return mapped_files_pin(&log->files, tail, ret_file, e);
    struct mapped_file *f;
    int rc = mapped_file_create(&f, log->io, log->files.folder, tail, log->file_bytes,
                                log->file_bytes, e);
    if (rc < 0)
        return rc;
    rc = mapped_files_add(&log->files, f, e);
    if (rc < 0) {
        (void)log->io->unlink(log->io, f->path); /* the failure before is the one to tell */
        mapped_file_free(f);
        return rc;
    }
    mapped_file_pin(f);
    *ret_file = f;
    return 0;
}

int commit_log_begin(struct commit_log *log, uint64_t tail, uint64_t last_ms, struct err *e)
{
    uint64_t file_end = tail - tail % log->file_bytes + log->file_bytes;
    struct mapped_file *f = NULL;
    int rc = mapped_files_drop_from(&log->files, tail % log->file_bytes ? file_end : tail, e);
    if (rc == 0)
        rc = find_active(log, tail, &f, e);
    if (rc < 0)
        return rc;
    assert(f);
    mapped_file_unpin(f); /* nobody else is here yet, and the mapping may have to change */
    if (!log->is_written)
        rc = mapped_file_map(f, MAPPED_WRITE, e);
    if (rc == 0)
        rc = mapped_file_allocate(f, f->bytes, e); /* RocketMQ leaves holes (I4) */
    if (rc == 0)
        rc = allocator_begin(&log->allocator, f, tail, e);
    if (rc < 0)
        return rc;
    mapped_file_pin(f);
    log->active = f;
    log->begin_off = tail;
    log->tail = tail;
    log->last_ms = last_ms;
    atomic_store_explicit(&log->published, tail, memory_order_seq_cst);
    return 0;
}

int commit_log_start(struct commit_log *log, struct err *e)
{
    return allocator_start(&log->allocator, e);
}

void commit_log_close(struct commit_log *log)
{
    lock_take(&log->lock);
    log->is_closed = true;
    lock_drop(&log->lock);
}

int commit_log_stop(struct commit_log *log, struct err *e)
{
    int rc = allocator_stop(&log->allocator, e);
    mapped_file_unpin(log->active);
    log->active = NULL;
    return rc;
}

void commit_log_fail(struct commit_log *log)
{
    /* pairs with commit_log_has_failed */
    atomic_store_explicit(&log->is_failed, true, memory_order_release);
    allocator_rouse(&log->allocator); /* published may never come to where room is made */
}

/* ---- appending ---- */

enum place { PLACE_FOUND, PLACE_WAIT, PLACE_NO_QUEUE };

/* A record that looks for its place. */
struct draft {
    struct queue_seq *seq;       /* NULL: look among the recent queues */
    struct mapped_file *file;    /* too short, pinned: who waits may populate it */
    struct consume_queue *queue; /* a reference: found in the table, then given up by `recent` */
    const struct store_message *message;
    struct record_plan plan;
    struct outgoing *out; /* written engine only, else NULL */
    struct handed item;   /* but for what the place says */
    bool is_coded;        /* `item` has the tag code; else the dispatcher is to read the record */
};

/* Moves the tail; mapped, what was copied below it is published with it. */
static void advance(struct commit_log *log, uint64_t tail)
{
    log->tail = tail;
    if (!log->is_written) /* what was copied is seen by who loads this (I2) */
        atomic_store_explicit(&log->published, tail, memory_order_seq_cst);
}

static void end_file(const struct commit_log *log, struct draft *d, uint32_t left)
{
    if (d->out)
        d->out->filler_bytes = left;
    else
        record_write_filler(log->active->base + (log->tail - log->active->start), left);
}

/* Ends the active file and goes on in the one made ready; false when there is none yet. */
static bool roll(struct commit_log *log, struct draft *d, uint64_t left)
{
    struct mapped_file *next = allocator_take(&log->allocator);
    if (!next)
        return false;
    struct mapped_file *sealed = log->active;
    if (left >= FORMAT_FILLER_BYTES) /* always, in files written by us */
        end_file(log, d, (uint32_t)left);
    log->active = next;
    advance(log, next->start);
    mapped_file_unpin(sealed);
    return true;
}

/* Makes sure that the record would lie in populated pages of the active file at the tail. */
static enum place find_place(struct commit_log *log, struct draft *d)
{
    uint64_t left = log->active->start + log->file_bytes - log->tail;
    if (!format_record_fits(d->plan.size, left)) {
        if (!roll(log, d, left))
            return PLACE_WAIT;
    }
    /* with room for the filler, so that a roll never waits for pages */
    uint64_t need = log->tail - log->active->start + d->plan.size + FORMAT_FILLER_BYTES;
    uint64_t populated = atomic_load_explicit(&log->active->populated, memory_order_acquire);
    if (need <= populated)
        return PLACE_FOUND;
    d->file = log->active;
    mapped_file_pin(d->file);
    return PLACE_WAIT;
}

static int check_open(const struct commit_log *log, const struct queue_seq *seq, struct err *e)
{
    if (log->is_closed)
        return err_set(e, ERR_CLOSED, "append: the store is closing");
    if (commit_log_has_failed(log))
        return err_set(e, ERR_FAILED, "append: a sync failed earlier, the store must be reopened");
    if (seq->dropped)
        return err_set(e, ERR_NOTFOUND, "append: the topic is being deleted");
    return 0;
}

static uint64_t stamp_ms(struct commit_log *log)
{
    uint64_t now_ms = log->io->tick_ms(log->io);
    if (now_ms > log->last_ms)
        log->last_ms = now_ms;
    return log->last_ms;
}

static void write_record(struct commit_log *log, const struct draft *d,
                         const struct store_appended *at)
{
    uint8_t *dst = log->active->base + (log->tail - log->active->start);
    record_write(dst, &d->plan, d->message);
    record_patch(dst, &d->plan, at->queue_off, at->log_off, at->store_ms);
}

static void queue_record(struct commit_log *log, struct outgoing *out,
                         const struct store_appended *at)
{
    outgoing_place(out, at);
    *log->end_out = out;
    log->end_out = &out->next;
}

/* Numbers that a record gets: halves of transactions have no place in a queue. */
static bool is_numbered(const struct store_message *m)
{
    int32_t type = m->sys_flag & STORE_SYSFLAG_TRANSACTION_MASK;
    return type != STORE_SYSFLAG_PREPARED && type != STORE_SYSFLAG_ROLLBACK;
}

/* What the dispatcher will need of the record, as far as it is known. */
static void draft_item(struct draft *d)
{
    const struct store_message *m = d->message;
    if (is_numbered(m) && !(m->sys_flag & RECORD_SYSFLAG_INNER_BATCH))
        d->is_coded = record_tag_code_ahead(m, &d->item.tag_code);
}

static void hand_over(struct commit_log *log, struct draft *d, struct consume_queue *q,
                      const struct store_appended *at)
{
    d->item.queue = q;
    d->item.log_off = at->log_off;
    d->item.size = at->size;
    d->item.queue_off = at->queue_off;
    d->item.store_ms = at->store_ms;
    handover_put(log->handover, &d->item);
}

/* The numbers to draw from; NULL: the queue must be found in the table first. */
static struct queue_seq *find_seq(struct commit_log *log, struct draft *d)
{
    struct consume_queue *q = d->queue;
    if (d->seq)
        return d->seq;
    if (q)
        d->queue = recent_queues_enter(&log->recent, q); /* it goes when the lock is dropped */
    else
        q = recent_queues_find(&log->recent, d->message->topic, d->message->queue_id);
    return q ? &q->seq : NULL;
}

/* One try under the lock. */
static int try_append(struct commit_log *log, struct draft *d, enum place *ret_place,
                      struct store_appended *ret, struct err *e)
{
    int rc = 0;
    lock_take(&log->lock);
    struct queue_seq *seq = find_seq(log, d);
    *ret_place = PLACE_NO_QUEUE;
    if (!seq)
        goto out;
    rc = check_open(log, seq, e);
    if (rc < 0)
        goto out;
    *ret_place = find_place(log, d);
    if (*ret_place == PLACE_WAIT)
        goto out;
    ret->log_off = log->tail;
    ret->size = d->plan.size;
    ret->queue_off = is_numbered(d->message) ? seq->next_off++ : 0;
    ret->store_ms = stamp_ms(log);
    if (!d->out)
        write_record(log, d, ret);
    if (atomic_load_explicit(&log->active->is_bad, memory_order_acquire)) { /* see guard.c */
        commit_log_fail(log);
        rc = err_set(e, ERR_FAILED, "append to '%s': it was cut or cannot be read",
                     log->active->path);
        goto out;
    }
    if (d->out)
        queue_record(log, d->out, ret);
    log->n_appended++;
    log->appended_bytes += d->plan.size;
    if (d->is_coded && seq->queue)
        hand_over(log, d, seq->queue, ret);
    advance(log, log->tail + d->plan.size);
out:
    lock_drop(&log->lock);
    return rc;
}

/* Waits, outside the lock, for what the try before lacked. */
static int wait_for(struct commit_log *log, struct draft *d, enum place place,
                    struct allocator_turn turn, struct err *e)
{
    if (place == PLACE_NO_QUEUE)
        return consume_queues_get_or_make(log->queues, d->message->topic, d->message->queue_id,
                                          &d->queue, e);
    struct mapped_file *f = d->file;
    d->file = NULL;
    commit_log_rouse(log);
    uint64_t begun_ns = log->io->mono_ns(log->io);
    atomic_fetch_add_explicit(&log->n_waits, 1, memory_order_relaxed); /* a count */
    bool is_helped = f && allocator_help(&log->allocator, f, e);
    mapped_file_unpin(f);
    int rc = is_helped ? 0 : allocator_wait(&log->allocator, turn, e);
    timing_add(&log->stalls, log->io->mono_ns(log->io) - begun_ns);
    return rc;
}

/* Tries until there is room. */
static int append_draft(struct commit_log *log, struct draft *d, struct store_appended *ret,
                        struct err *e)
{
    for (;;) {
        enum place place = PLACE_FOUND;
        struct allocator_turn turn = allocator_turn(&log->allocator);
        int rc = try_append(log, d, &place, ret, e);
        consume_queue_unref(d->queue); /* whose place in `recent` was taken */
        d->queue = NULL;
        if (rc < 0 || place == PLACE_FOUND)
            return rc;
        rc = wait_for(log, d, place, turn, e);
        if (rc < 0)
            return rc;
    }
}

int commit_log_append(struct commit_log *log, struct queue_seq *seq, const struct store_message *m,
                      struct store_appended *ret, struct err *e)
{
    struct draft d = {.seq = seq, .message = m};
    int rc = record_plan(m, &log->host, log->max_message_bytes, &d.plan, e);
    if (rc < 0)
        return rc;
    if (!format_record_fits(d.plan.size, log->file_bytes))
        return err_set(e, ERR_TOOBIG, "append: the record has %" PRIu32 " bytes, a file %" PRIu64,
                       d.plan.size, log->file_bytes);
    if (log->is_written && (rc = outgoing_new(&log->spent, &d.out, m, &d.plan, e)) < 0)
        return rc;
    draft_item(&d);
    struct store_appended at;
    rc = append_draft(log, &d, &at, e);
    if (rc < 0) {
        outgoing_drop(&log->spent, d.out, /* end = */ NULL);
        return rc;
    }
    if (!log->is_written)
        allocator_nudge(&log->allocator, at.log_off + at.size);
    *ret = at;
    return 0;
}

/* ---- the written engine's other side ---- */

struct outgoing *commit_log_take(struct commit_log *log)
{
    lock_take(&log->lock);
    struct outgoing *first = log->first_out;
    log->first_out = NULL;
    log->end_out = &log->first_out;
    lock_drop(&log->lock);
    return first;
}

void commit_log_publish(struct commit_log *log, uint64_t upto)
{
    /* what was written is seen by who loads this (I2) */
    atomic_store_explicit(&log->published, upto, memory_order_seq_cst);
    allocator_nudge(&log->allocator, upto);
}

/* ---- reading ---- */

static int check_published(struct commit_log *log, uint64_t log_off, uint32_t size, struct err *e)
{
    uint64_t end;
    if (__builtin_add_overflow(log_off, size, &end) || end > commit_log_published(log))
        return err_set(e, ERR_NOTFOUND, "read record at %" PRIu64 ": it is behind the end",
                       log_off);
    return 0;
}

int commit_log_look(struct commit_log *log, struct mapped_file *f, uint64_t log_off, uint32_t size,
                    struct store_record *ret_rec, struct err *e)
{
    int rc = check_published(log, log_off, size, e);
    if (rc < 0)
        return rc;
    const char *why = "it crosses the end of its file";
    uint64_t at = log_off - f->start;
    parts_use(f, at, at + size <= f->bytes ? at + size : at);
    struct store_record rec;
    enum record_check check = RECORD_BAD;
    if (at + size <= f->bytes)
        check = record_decode(span_of(f->base + at, size), log_off, &rec, &why);
    if (check != RECORD_OK || rec.size != size)
        return err_set(e, ERR_CORRUPT, "read record at %" PRIu64 ": %s", log_off,
                       check == RECORD_BAD ? why : "its size is not the queue's");
    *ret_rec = rec;
    return 0;
}

int commit_log_read(struct commit_log *log, uint64_t log_off, uint32_t size,
                    struct store_record *ret_rec, struct mapped_file **ret_file, struct err *e)
{
    struct mapped_file *f;
    int rc = check_published(log, log_off, size, e);
    if (rc == 0)
        rc = mapped_files_pin(&log->files, log_off, &f, e);
    if (rc < 0)
        return rc;
    rc = commit_log_look(log, f, log_off, size, ret_rec, e);
    if (rc < 0)
        mapped_file_unpin(f);
    else
        *ret_file = f;
    return rc;
}
