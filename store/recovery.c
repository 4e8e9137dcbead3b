/* Walks the log at the start.
 *
 * Where the walk begins: after a clean stop at the last queued record, since everything was synced,
 * or at the start of its file when it is damaged or the checkpoint counted no queues, or at the
 * first record when it counted others; after a crash at the checkpoint, below which log and queues
 * are on disk (I1). When the queues turn out to lack entries, a record's before it or some of those
 * that the checkpoint counted, it begins again at the first record: queues are derived (I6). What a
 * walk writes below the checkpoint is synced by the flusher as all entries are; until then the
 * checkpoint is taken back to where the walk begins.
 * Records of a topic that was deleted since go into no queue, nor do those that lie before a
 * queue's last but would go behind it. A place where no whole record is: everything behind it in
 * the file is searched for the next one (a record names its own position, so stale or random bytes
 * do not pass), then the next file is looked at. Found: the bytes between are damaged and passed
 * over. Not found: the log ends there, and what is behind is zeroed, so that it can never be met
 * again. Nothing is changed in the log before the walk is done; a crash in the middle only repeats
 * it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/recovery.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "store/checkpoint.h"
#include "store/dispatch.h"
#include "store/format.h"
#include "store/queue_mend.h"
#include "store/queue_roll.h"
#include "store/reclaimer.h"
#include "store/record.h"

enum {
    PIECE_BYTES = 16 << 20, /* walked before page-table entries are given back and time is asked */
    ZEROS_BYTES = 1 << 20,  /* looked at before holes are asked for again */
    TELL_NS = 1000000000,
};

struct walk {
    const struct recovery_start *start;
    uint64_t began_ns, told_ns; /* monotonic */
    uint64_t piece;             /* where the present piece begins */
    struct commit_log *log;
    struct consume_queues *queues;
    struct store_recovery *report;
    struct consume_queue *q; /* of the record before; a reference */
    uint64_t first;          /* of the log */
    uint64_t end;            /* of the last file */
    uint64_t begin;          /* of this walk */
    uint64_t trusted_end;    /* zeros at or behind it are the end of a log that was closed well */
    uint64_t at;
    uint64_t tail; /* behind the last whole record or its filler */
    uint64_t last_ms;
    bool is_at_last; /* it begins at the last queued record, and no entry before that is written */
    bool is_counted; /* what the checkpoint counted was looked at, or nobody knows it */
    bool has_all;    /* it is there */
    bool is_lacking; /* entries are missing that a walk from the first record will bring */
};

/* ---- looking for records ---- */

static bool is_whole(struct span bytes, uint64_t log_off)
{
    struct store_record rec;
    return record_decode(bytes, log_off, &rec, /* ret_why = */ NULL) == RECORD_OK &&
           store_body_check(&rec, /* ret_crc = */ NULL);
}

bool recovery_find_record(struct span bytes, uint64_t log_off, uint64_t *ret_at)
{
    const uint8_t first = STORE_MAGIC_V1 >> 24;
    for (size_t at = 0; bytes.len - at >= FORMAT_RECORD_MIN_BYTES; at++) {
        const uint8_t *from = bytes.ptr + at + FORMAT_AT_MAGIC;
        const uint8_t *hit = memchr(from, first, bytes.len - at - FORMAT_AT_MAGIC);
        if (!hit)
            return false;
        at += (size_t)(hit - from);
        if (bytes.len - at < FORMAT_RECORD_MIN_BYTES)
            return false;
        if (be64_get(bytes.ptr + at + FORMAT_AT_LOG_OFF) == log_off + at &&
            is_whole(span_of(bytes.ptr + at, bytes.len - at), log_off + at)) {
            *ret_at = at;
            return true;
        }
    }
    return false;
}

/* How far from the start of `p` anything but zeros reaches. */
static uint64_t used_extent(const uint8_t *p, uint64_t len)
{
    while (len > 0 && p[len - 1] == 0) {
        if (len >= 64 && len % 8 == 0 && memcmp(p + len - 64, p + len - 56, 56) == 0 &&
            be64_get(p + len - 64) == 0)
            len -= 64;
        else
            len--;
    }
    return len;
}

/* The first place at or behind `in_file` that may hold something. Asking spares reading what was
 * allocated and never written, which is most of the last file. */
static uint64_t skip_hole(const struct mapped_file *f, int fd, uint64_t in_file)
{
    uint64_t data;
    int rc = fd < 0 ? -EIO : f->io->next_data(f->io, fd, in_file, &data);
    if (rc == -ENXIO)
        return f->bytes;
    if (rc < 0) /* unknown: it is looked at */
        return in_file;
    return data < f->bytes ? data : f->bytes;
}

/* Where behind `in_file` the last byte but zeros ends; `in_file` when there is none. */
static uint64_t find_used_end(const struct mapped_file *f, uint64_t in_file)
{
    uint64_t used = in_file;
    int fd = f->io->open(f->io, f->path, O_RDONLY, 0);
    for (uint64_t at = skip_hole(f, fd, in_file); at < f->bytes;) {
        uint64_t len = f->bytes - at < ZEROS_BYTES ? f->bytes - at : ZEROS_BYTES;
        uint64_t n = used_extent(f->base + at, len);
        used = n > 0 ? at + n : used;
        at = skip_hole(f, fd, at + len);
    }
    if (fd >= 0)
        (void)f->io->close(f->io, fd); /* read only: nothing to lose */
    return used;
}

/* ---- the walk ---- */

/* Whether the queue should have entries before this one and has not. */
static bool lacks_entries(struct walk *w, const struct store_record *rec)
{
    if (w->begin == w->first || !record_is_queued(rec))
        return false;
    if (w->has_all && w->report->n_damaged > 0) /* what was passed over had those numbers */
        return false;
    uint64_t end = w->q ? consume_queue_end(w->q) : 0;
    return rec->queue_off > end && !consume_queues_is_batch(w->queues, rec->topic);
}

/* Makes w->q the record's queue; NULL: there is none yet. */
static void find_queue(struct walk *w, const struct store_record *rec)
{
    if (w->q && w->q->queue_id == rec->queue_id && span_equal(w->q->topic, rec->topic))
        return;
    consume_queue_unref(w->q);
    w->q = consume_queues_get(w->queues, rec->topic, rec->queue_id);
}

/* Whether the record would go behind an entry whose record lies behind it: so it was its topic's
 * before that was deleted, though nobody says so any more: RocketMQ writes topics.json without what
 * we note there. A wrong last entry shuts out nothing. */
static bool is_of_earlier_life(const struct walk *w, const struct store_record *rec)
{
    return w->q && rec->queue_off >= consume_queue_end(w->q) && rec->log_off < w->q->last.log_off &&
           queue_mend_has_last(w->log, w->q);
}

/* Puts the record into its queue, unless it was its topic's before that was deleted. */
static int queue_record(struct walk *w, const struct store_record *rec, enum dispatch_one *ret,
                        struct err *e)
{
    find_queue(w, rec);
    if (consume_queues_is_deleted(w->queues, rec->topic, rec->log_off) ||
        is_of_earlier_life(w, rec)) {
        *ret = DISPATCH_NONE;
        return 0;
    }
    if (lacks_entries(w, rec)) {
        w->is_lacking = true;
        return 0;
    }
    int rc = dispatch_record(w->queues, rec, &w->q, ret, e);
    if (rc == 0 && *ret == DISPATCH_AHEAD) {
        rc = consume_queue_fill(w->q, rec->queue_off, e);
        if (rc == 0)
            rc = dispatch_record(w->queues, rec, &w->q, ret, e);
    }
    if (rc < 0 || *ret != DISPATCH_TAKEN)
        return rc;
    bool is_mended;
    rc = queue_mend_taken(w->log, w->q, rec, &is_mended, e);
    if (rc < 0)
        return rc;
    if (is_mended)
        consume_queues_note_dirty(w->queues, w->q);
    *ret = is_mended ? DISPATCH_NEW : DISPATCH_ALREADY;
    return 0;
}

static int take_record(struct walk *w, const struct store_record *rec, struct err *e)
{
    enum dispatch_one done = DISPATCH_NONE;
    int rc = queue_record(w, rec, &done, e);
    if (w->is_lacking)
        return 0;
    if (rc == ERR_CORRUPT || rc == ERR_INVAL) { /* a number or topic that cannot be */
        w->report->n_damaged++;
        w->report->damaged_bytes += rec->size;
        rc = 0;
    }
    if (rc < 0)
        return rc;
    w->report->n_records++;
    w->report->n_requeued += done == DISPATCH_NEW;
    w->last_ms = rec->store_ms;
    w->at = w->tail = rec->log_off + rec->size;
    return 0;
}

/* Goes over what is no record: to the next one in this file, or to the next file. */
static void pass_damage(struct walk *w, const struct mapped_file *f)
{
    uint64_t in_file = w->at - f->start, found;
    struct span rest = span_of(f->base + in_file, find_used_end(f, in_file) - in_file);
    if (recovery_find_record(rest, w->at, &found))
        w->at += found;
    else
        w->at = f->start + f->bytes;
}

/* Whether the log was closed here, so that nothing need be looked for behind. */
static bool is_closed_end(const struct walk *w, enum record_check check)
{
    return check == RECORD_ZERO && w->at >= w->trusted_end;
}

static void note_damage(struct walk *w)
{
    if (w->at == w->tail)
        return;
    w->report->n_damaged++;
    w->report->damaged_bytes += w->at - w->tail;
}

/* One record, filler or damaged place; false at the end of the log. */
static int walk_one(struct walk *w, const struct mapped_file *f, bool *ret_more, struct err *e)
{
    uint64_t in_file = w->at - f->start, file_end = f->start + f->bytes;
    struct store_record rec;
    enum record_check check = record_decode(span_of(f->base + in_file, f->bytes - in_file), w->at,
                                            &rec, /* ret_why = */ NULL);
    *ret_more = true;
    if (check == RECORD_OK && store_body_check(&rec, /* ret_crc = */ NULL)) {
        note_damage(w);
        return take_record(w, &rec, e);
    }
    if (check == RECORD_BLANK && rec.size == file_end - w->at) {
        note_damage(w);
        w->at = w->tail = file_end;
        return 0;
    }
    if (is_closed_end(w, check))
        *ret_more = false;
    else
        pass_damage(w, f);
    return 0;
}

/* Where the checkpoint is: whether the queues have what they had below it. */
static void check_count(struct walk *w)
{
    const struct store_checkpoint *cp = w->start->cp;
    uint64_t n_queues, n_entries;
    if (w->is_counted || w->at < cp->count_off)
        return;
    w->is_counted = true;
    consume_queues_totals(w->queues, &n_queues, &n_entries);
    w->has_all = n_queues >= cp->n_queues && n_entries >= cp->n_entries;
    w->is_lacking = w->is_lacking || !w->has_all;
}

static void tell_progress(struct walk *w)
{
    struct io *io = w->log->io;
    uint64_t now_ns = io->mono_ns(io);
    if (!w->start->on_progress || now_ns - w->told_ns < TELL_NS)
        return;
    struct store_progress p = {.done_bytes = w->at - w->begin,
                               .total_bytes = w->end - w->begin,
                               .elapsed_ms = (now_ns - w->began_ns) / 1000000};
    if (p.done_bytes > 0)
        p.left_ms = (uint64_t)((double)p.elapsed_ms * (double)(p.total_bytes - p.done_bytes) /
                               (double)p.done_bytes);
    w->told_ns = now_ns;
    w->start->on_progress(w->start->progress_arg, &p);
}

/* Has the disk read the piece from `in_file` on while those before it are walked: read-ahead of a
 * mapping alone leaves the disk idle most of the time. */
static void fetch(const struct mapped_file *f, uint64_t in_file)
{
    in_file -= in_file % MAPPED_PAGE_BYTES;
    if (in_file >= f->bytes)
        return;
    uint64_t len = f->bytes - in_file < PIECE_BYTES ? f->bytes - in_file : PIECE_BYTES;
    (void)f->io->advise(f->io, f->base + in_file, len, IO_WILLNEED); /* only speed */
}

/* Ends a piece: so that memory does not grow with a file, and somebody hears how far it is. */
static void end_piece(struct walk *w, const struct mapped_file *f)
{
    uint64_t from = w->piece > f->start ? w->piece - f->start : 0, upto = w->at - f->start;
    from -= from % MAPPED_PAGE_BYTES;
    upto -= upto % MAPPED_PAGE_BYTES;
    if (upto > from)
        (void)f->io->advise(f->io, f->base + from, upto - from, IO_DONTNEED); /* only memory */
    w->piece = w->at;
    queue_maps_trim(&w->queues->maps); /* nobody else is here yet */
    fetch(f, w->at - f->start + PIECE_BYTES);
    tell_progress(w);
}

/* Address space and tables of entries of what was walked: within the budget for mappings, but for
 * the file that comes next. */
static void unmap_walked(struct walk *w)
{
    struct reclaimer *r = w->log->files.reclaimer;
    while (r->budget_bytes > 0 && /* nothing is mapped writable yet: all may go */
           mapped_files_unmap_coldest(&w->log->files, w->end, r->budget_bytes))
        atomic_fetch_add_explicit(&r->n_unmapped, 1, memory_order_relaxed); /* a count */
}

static int walk_file(struct walk *w, bool *ret_more, struct err *e)
{
    struct mapped_file *f;
    int rc = mapped_files_pin(&w->log->files, w->at, &f, e);
    if (rc < 0)
        return rc;
    (void)f->io->advise(f->io, f->base, f->bytes, IO_SEQUENTIAL); /* only speed */
    fetch(f, w->at - f->start);
    fetch(f, w->at - f->start + PIECE_BYTES);
    while (rc == 0 && *ret_more && !w->is_lacking && w->at < f->start + f->bytes) {
        rc = walk_one(w, f, ret_more, e);
        check_count(w);
        if (w->at - w->piece >= PIECE_BYTES)
            end_piece(w, f);
    }
    (void)f->io->advise(f->io, f->base, f->bytes, IO_NORMAL);   /* only speed */
    (void)f->io->advise(f->io, f->base, f->bytes, IO_DONTNEED); /* only memory: walked once */
    w->piece = w->at;
    mapped_file_unpin(f);
    unmap_walked(w);
    return rc;
}

static int walk_from(struct walk *w, uint64_t begin, struct err *e)
{
    w->begin = w->at = w->tail = w->piece = begin;
    w->began_ns = w->told_ns = w->log->io->mono_ns(w->log->io);
    w->is_lacking = false;
    bool more = true;
    int rc = 0;
    check_count(w);
    while (rc == 0 && more && !w->is_lacking && w->at < w->end)
        rc = walk_file(w, &more, e);
    w->report->scanned_bytes += w->at - begin;
    consume_queue_unref(w->q);
    w->q = NULL;
    return rc;
}

/* ---- the end of the log ---- */

/* Counts and zeroes what is behind the tail in its file; whole files behind it are dropped later.
 */
static int clear_tail(struct walk *w, struct err *e)
{
    for (uint64_t at = w->tail; at < w->end && at < w->at;) {
        struct mapped_file *f;
        int rc = mapped_files_pin(&w->log->files, at, &f, e);
        if (rc < 0)
            return rc;
        uint64_t in_file = at - f->start;
        uint64_t used = find_used_end(f, in_file) - in_file;
        bool is_active = at == w->tail && in_file > 0;
        at = f->start + f->bytes;
        mapped_file_unpin(f);
        w->report->cut_bytes += used;
        if (!is_active || used == 0)
            continue;
        rc = mapped_file_map(f, MAPPED_WRITE, e); /* nobody else knows the file yet */
        if (rc == 0)
            rc = mapped_file_allocate(f, in_file + used, e); /* I4 */
        if (rc < 0)
            return rc;
        memset(f->base + in_file, 0, used);
        rc = mapped_file_sync(f, in_file, in_file + used, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- where to begin ---- */

static bool is_believable(struct commit_log *log, uint64_t log_off)
{
    struct mapped_file *f;
    struct err e;
    struct store_record rec;
    if (mapped_files_pin(&log->files, log_off, &f, &e) < 0)
        return false;
    uint64_t in_file = log_off - f->start;
    enum record_check check = record_decode(span_of(f->base + in_file, f->bytes - in_file), log_off,
                                            &rec, /* ret_why = */ NULL);
    mapped_file_unpin(f);
    return check == RECORD_OK || check == RECORD_BLANK || check == RECORD_ZERO;
}

/* The start of the file that holds `log_off`, or of the last one. */
static uint64_t file_start(const struct walk *w, uint64_t log_off)
{
    if (log_off < w->first || w->first == w->end)
        return w->first;
    uint64_t at = log_off < w->end ? log_off : w->end - 1;
    return at - (at - w->first) % w->log->file_bytes;
}

static uint64_t begin_after_crash(const struct walk *w, const struct store_checkpoint *cp)
{
    if (cp->queue_off <= 0 || (uint64_t)cp->queue_off < w->first)
        return w->first;
    uint64_t known = (uint64_t)cp->queue_off;
    return known < w->end && is_believable(w->log, known) ? known : file_start(w, known);
}

/* The entry of the last record that any queue points at; size 0: none does. */
static int find_last_queued(struct consume_queues *queues, struct store_queue_entry *ret,
                            struct err *e)
{
    struct queue_list l;
    int rc = consume_queues_list(queues, (struct span){0}, &l, e);
    if (rc < 0)
        return rc;
    *ret = (struct store_queue_entry){0};
    for (size_t i = 0; i < l.n; i++) {
        const struct store_queue_entry *last = &l.queues[i]->last;
        if (last->size > 0 && last->log_off >= ret->log_off)
            *ret = *last;
    }
    queue_list_fini(&l);
    return 0;
}

/* Whether the queues are those of the last clean stop, as far as was said of them then. */
static bool has_all_queues(struct consume_queues *queues, const struct store_checkpoint *cp)
{
    uint64_t n_queues, n_entries;
    consume_queues_totals(queues, &n_queues, &n_entries);
    return !checkpoint_has_count(cp) || (n_queues == cp->n_queues && n_entries == cp->n_entries);
}

/* Where to begin after a clean stop: at the last record that is in a queue, when the queues are
 * known to be all there; at the start of its file when nobody said so or it is damaged. */
static uint64_t begin_after_stop(const struct walk *w, const struct store_checkpoint *cp,
                                 const struct store_queue_entry *last)
{
    if (last->size == 0 || !has_all_queues(w->queues, cp))
        return w->first;
    if (checkpoint_has_count(cp) && queue_mend_is_whole(w->log, last))
        return last->log_off;
    return file_start(w, w->trusted_end - 1);
}

/* Whether a walk that begins there need not look at what the checkpoint counted: everything is
 * walked, or nothing was counted where the checkpoint is now. */
static bool is_uncounted(const struct walk *w, const struct store_checkpoint *cp, uint64_t begin)
{
    return begin == w->first || !checkpoint_has_count(cp);
}

static int load_queues(struct walk *w, const struct store_checkpoint *cp, uint64_t *ret_begin,
                       struct err *e)
{
    int rc = consume_queues_find_batches(w->queues, e);
    if (rc == 0 && !w->report->was_clean) {
        *ret_begin = begin_after_crash(w, cp);
        w->is_counted = is_uncounted(w, cp, *ret_begin);
        w->trusted_end = UINT64_MAX;
        rc = queue_roll_remove(w->queues, e);
        return rc < 0 ? rc : consume_queues_load(w->queues, *ret_begin, e);
    }
    struct store_queue_entry last = {0};
    bool is_taken = false;
    if (rc == 0)
        rc = queue_roll_take(w->queues, cp, &is_taken, e);
    if (rc == 0 && !is_taken)
        rc = consume_queues_load(w->queues, UINT64_MAX, e);
    if (rc == 0)
        rc = find_last_queued(w->queues, &last, e);
    if (rc < 0)
        return rc;
    w->is_counted = true; /* begin_after_stop looks at it */
    w->trusted_end = last.log_off + last.size;
    *ret_begin = begin_after_stop(w, cp, &last);
    w->is_at_last = last.size > 0 && *ret_begin == last.log_off;
    return 0;
}

/* Before entries are written again below the checkpoint: it vouches for no more than what is before
 * them until they are synced (I1), since of their pages a crash may leave any. */
static int take_back(const struct walk *w, uint64_t begin, struct store_checkpoint *cp,
                     struct err *e)
{
    if (cp->queue_off <= 0 || (uint64_t)cp->queue_off <= begin)
        return 0;
    cp->queue_off = cp->confirm_off = (int64_t)begin;
    cp->queue_ms = cp->n_queues = cp->n_entries = 0;
    return checkpoint_write(w->start->checkpoint_fd, w->log->io, cp, e);
}

/* From the first record, for entries that are missing. */
static int walk_again(struct walk *w, struct store_checkpoint *cp, struct err *e)
{
    struct store_recovery *report = w->report;
    *report = (struct store_recovery){.was_clean = report->was_clean,
                                      .scanned_bytes = report->scanned_bytes,
                                      .n_requeued = report->n_requeued};
    int rc = take_back(w, w->first, cp, e);
    return rc < 0 ? rc : walk_from(w, w->first, e);
}

/* The queues go from the log's first record to its last. What the last stop said of a queue is so
 * already, and its files are not listed for that. */
static int settle_queues(struct consume_queues *queues, uint64_t first, uint64_t tail,
                         struct err *e)
{
    struct queue_list l;
    int rc = consume_queues_list(queues, (struct span){0}, &l, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < l.n; i++) {
        rc = consume_queue_cut(l.queues[i], tail, e);
        if (consume_queue_is_cleared(l.queues[i]))
            consume_queues_note_dirty(queues, l.queues[i]);
        if (rc == 0 && consume_queue_has_listed(l.queues[i]))
            rc = consume_queue_trim(l.queues[i], first, e);
        /* nobody appends yet, so LOCK_APPEND is not needed */
        l.queues[i]->seq.next_off =
            atomic_load_explicit(&l.queues[i]->end_off, memory_order_acquire);
        consume_queues_count_in(queues, l.queues[i]);
    }
    queue_list_fini(&l);
    return rc;
}

int recovery_run(struct commit_log *log, struct consume_queues *queues,
                 const struct recovery_start *start, struct store_recovery *report,
                 struct recovered *ret, struct err *e)
{
    struct walk w = {.start = start, .log = log, .queues = queues, .report = report};
    mapped_files_bounds(&log->files, &w.first, &w.end);
    uint64_t begin = w.first;
    ret->cp = *start->cp;
    int rc = load_queues(&w, start->cp, &begin, e);
    ret->synced = begin; /* also when an earlier record is walked from then (I1) */
    report->is_new = report->was_clean && w.end == 0 && consume_queues_count(queues) == 0;
    if (rc == 0 && !w.is_at_last)
        rc = take_back(&w, begin, &ret->cp, e);
    if (rc == 0)
        rc = walk_from(&w, begin, e);
    if (rc == 0 && w.is_lacking)
        rc = walk_again(&w, &ret->cp, e);
    if (rc == 0)
        rc = clear_tail(&w, e);
    if (rc == 0)
        rc = settle_queues(queues, w.first, w.tail, e);
    if (rc < 0)
        return err_wrap(e, "recover the log at %" PRIu64, w.at);
    ret->tail = w.tail;
    ret->last_ms = w.last_ms;
    if (report->was_clean || ret->synced > w.tail) /* a clean stop has synced all */
        ret->synced = w.tail;
    return 0;
}
