/* Reads an open store: scans a queue for matches, gets one record, finds a time.
 *
 * Tag codes are compared in the mapped queue; only for hits the record is looked at, in the
 * mapping, with its file pinned (I3). Hits that follow each other lie in one file most of the time:
 * the scan keeps a pin of its own on the file of the last one, so that the next is found without a
 * lock, and takes the pins of hits to come with it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "store/fetch.h"
#include "store/format.h"
#include "store/queue_mend.h"
#include "store/store_inner.h"
#include "store/tag_scan.h"

enum {
    STEP_ENTRIES = 4096, /* looked at for hits that are read from disk together */
    HITS_MAX = 32,       /* of these at most */
    PREFETCH_HITS = 4,   /* ahead of the one that is looked at */
    LINE_BYTES = 64,
    TAIL_LINES = 3, /* topic and properties */
    PREFETCH_BYTES = (TAIL_LINES + 2) * LINE_BYTES,
    PART_ENTRIES = 128, /* of a queue, between two looks at what is to be read of it from disk */
};

static void count_damaged(struct store *s)
{
    atomic_fetch_add_explicit(&s->n_damaged, 1, memory_order_relaxed); /* a count */
}

static int read_slice(struct store *s, const struct store_queue_entry *entry,
                      struct store_slice *ret, struct err *e)
{
    struct mapped_file *f;
    int rc = commit_log_read(&s->log, entry->log_off, entry->size, &ret->rec, &f, e);
    if (rc == 0)
        ret->pin = &f->pin;
    return rc;
}

/* The record of an entry that points at none of its queue; counted, though it may be found. */
static bool refind(struct store *s, struct consume_queue *q, uint64_t queue_off,
                   struct store_slice *ret)
{
    struct mapped_file *f;
    count_damaged(s);
    if (!queue_mend_find(&s->log, q, queue_off, &ret->rec, &f))
        return false;
    ret->pin = &f->pin;
    return true;
}

/* ---- scan ---- */

struct progress {
    struct store *s;
    struct consume_queue *q;
    const struct store_scan *scan;
    struct store_slice *slices;
    struct store_scanned done;
    uint64_t n_entries;       /* looked at */
    uint64_t n_bytes;         /* of matches */
    uint64_t n_fetched;       /* entries of the view before it were asked for */
    struct mapped_file *file; /* of the last hit, pinned; may be NULL */
    uint32_t n_pins;          /* on it: one to keep it, the others for hits to come */
};

/* ---- pins: a locked instruction each would be a fifth of a scan ---- */

static void drop_file(struct progress *p)
{
    if (p->file)
        mapped_file_unpin_some(p->file, p->n_pins);
    p->file = NULL;
    p->n_pins = 0;
}

static void keep_file(struct progress *p, struct mapped_file *pinned)
{
    drop_file(p);
    p->file = pinned;
    p->n_pins = 1;
}

static struct store_pin *take_pin(struct progress *p)
{
    if (p->n_pins == 1) {
        mapped_file_pin_more(p->file, HITS_MAX);
        p->n_pins += HITS_MAX;
    }
    p->n_pins--;
    return &p->file->pin;
}

/* ---- hits ---- */

/* The record of an entry, with a pin of its own. */
static int read_hit(struct progress *p, const struct store_queue_entry *entry,
                    struct store_slice *ret, struct err *e)
{
    struct mapped_file *f = p->file;
    if (!f || entry->log_off < f->start || entry->log_off - f->start >= f->bytes) {
        int rc = commit_log_read(&p->s->log, entry->log_off, entry->size, &ret->rec, &f, e);
        if (rc < 0)
            return rc;
        keep_file(p, f);
    } else {
        int rc = commit_log_look(&p->s->log, f, entry->log_off, entry->size, &ret->rec, e);
        if (rc < 0)
            return rc;
    }
    ret->pin = take_pin(p);
    return 0;
}

/* Whether the log began behind the entry's record since the scan found the entry. */
static bool is_expired(struct store *s, const struct store_queue_entry *entry)
{
    uint64_t first, end;
    mapped_files_bounds(&s->log.files, &first, &end);
    return consume_queue_is_real(entry) && entry->log_off < first;
}

/* The record of an entry, or of its number when the entry is damaged; false: it is lost, or went
 * with the log's oldest files, and is counted so. */
static bool find_hit(struct progress *p, const struct store_queue_entry *entry,
                     struct store_slice *ret)
{
    struct err e;
    if (consume_queue_is_real(entry) && read_hit(p, entry, ret, &e) == 0) {
        if (queue_mend_is_of(p->q, &ret->rec, p->done.next_queue_off))
            return true;
        store_unpin(ret->pin);
    }
    if (is_expired(p->s, entry)) {
        p->done.n_passed++;
        return false;
    }
    if (refind(p->s, p->q, p->done.next_queue_off, ret))
        return true;
    p->done.n_damaged++;
    return false;
}

/* Looks at an entry whose code may match; false when the scan is to end before it. */
static bool look_at(struct progress *p, const struct store_queue_entry *entry)
{
    const struct store_match *match = &p->scan->match;
    if (!consume_queue_is_real(entry) && !consume_queue_is_damaged(entry)) {
        p->done.n_passed++;
        return true;
    }
    if (consume_queue_is_real(entry) && p->done.n > 0 &&
        p->n_bytes + entry->size > p->scan->max_bytes)
        return false;
    struct store_slice *slice = &p->slices[p->done.n];
    if (!find_hit(p, entry, slice))
        return true;
    if (match->record && !match->record(match->arg, &slice->rec)) {
        store_unpin(slice->pin);
        p->done.n_passed++;
        return true;
    }
    p->n_bytes += slice->rec.size;
    p->done.n++;
    return true;
}

/* The first of the entries [from, to) whose code may match; `to` when none does. */
static uint64_t next_hit(struct progress *p, const struct queue_view *v, uint64_t from, uint64_t to)
{
    const struct store_match *match = &p->scan->match;
    while (from < to) {
        if (from >= p->n_fetched) {
            p->n_fetched = to - from < PART_ENTRIES ? to : from + PART_ENTRIES;
            consume_queue_fetch(v, from, p->n_fetched);
        }
        if (!match->tag_codes)
            return from;
        uint64_t part = p->n_fetched < to ? p->n_fetched : to;
        from = tag_scan_next(v->entries, from, part, match->tag_codes, match->n_tag_codes);
        if (from < part)
            return from;
    }
    return to;
}

static void advance(struct progress *p, uint64_t n)
{
    p->n_entries += n;
    p->done.next_queue_off += n;
}

struct hits {
    struct store_queue_entry entries[HITS_MAX];
    uint64_t at[HITS_MAX]; /* in the view */
    size_t n;
    uint64_t upto; /* looked at, from the step's beginning */
};

/* Finds hits in [from, to), as many as may still be taken. */
static void find_hits(struct progress *p, const struct queue_view *v, uint64_t from, uint64_t to,
                      struct hits *ret)
{
    size_t left = p->scan->max_messages - p->done.n;
    size_t max = left < HITS_MAX ? left : HITS_MAX;
    uint64_t n_bytes = p->n_bytes;
    ret->n = 0;
    ret->upto = from;
    while (ret->n < max && ret->upto < to && (ret->n == 0 || n_bytes <= p->scan->max_bytes)) {
        uint64_t at = next_hit(p, v, ret->upto, to);
        ret->upto = at;
        if (at == to)
            return;
        ret->entries[ret->n] = consume_queue_at(v, at);
        n_bytes += ret->entries[ret->n].size;
        ret->at[ret->n++] = at;
        ret->upto++;
    }
}

static void pass_over(struct progress *p, uint64_t n)
{
    p->done.n_passed += n;
    advance(p, n);
}

/* Fetches what is looked at of a record into the processor's cache: the fields in front of its
 * body, topic and properties behind it. An address without a page does nothing. (Inlined by force:
 * GCC 12 takes a function that only prefetches for one without effect, and drops the call.) */
static inline __attribute__((always_inline)) void prefetch(const struct progress *p,
                                                           const struct store_queue_entry *entry)
{
    const struct mapped_file *f = p->file;
    if (!f || entry->log_off < f->start || entry->log_off - f->start >= f->bytes ||
        entry->size < PREFETCH_BYTES || entry->size > f->bytes - (entry->log_off - f->start))
        return;
    const uint8_t *rec = f->base + (entry->log_off - f->start);
    __builtin_prefetch(rec);
    __builtin_prefetch(rec + LINE_BYTES);
    __builtin_prefetch(rec + FORMAT_HEAD_MIN_BYTES);
    for (int i = 1; i <= TAIL_LINES; i++)
        __builtin_prefetch(rec + entry->size - i * LINE_BYTES);
}

/* Goes on over entries [from, to) of the view. True when the scan has ended, its reason in
 * p->done.end. */
static bool look_at_step(struct progress *p, const struct queue_view *v, uint64_t from, uint64_t to)
{
    while (from < to) {
        struct hits hits;
        p->done.end = STORE_SCAN_FULL;
        if (p->done.n == p->scan->max_messages)
            return true;
        find_hits(p, v, from, to, &hits);
        fetch_hits(&p->s->log, hits.entries, hits.n, hits.upto - from);
        for (size_t i = 0; i < hits.n && i < PREFETCH_HITS; i++)
            prefetch(p, &hits.entries[i]);
        for (size_t i = 0; i < hits.n; i++) {
            if (i + PREFETCH_HITS < hits.n)
                prefetch(p, &hits.entries[i + PREFETCH_HITS]);
            pass_over(p, hits.at[i] - from);
            if (!look_at(p, &hits.entries[i]))
                return true;
            advance(p, 1);
            from = hits.at[i] + 1;
        }
        pass_over(p, hits.upto - from);
        from = hits.upto;
    }
    return false;
}

static bool look_at_view(struct progress *p, const struct queue_view *v)
{
    for (uint64_t i = 0; i < v->n;) {
        uint64_t left = p->scan->max_entries - p->n_entries;
        uint64_t n = v->n - i < STEP_ENTRIES ? v->n - i : STEP_ENTRIES;
        p->done.end = p->done.n == p->scan->max_messages ? STORE_SCAN_FULL : STORE_SCAN_MORE;
        if (left == 0)
            return true;
        n = n < left ? n : left;
        if (look_at_step(p, v, i, i + n))
            return true;
        i += n;
    }
    return false;
}

/* No entry before the queue's beginning is looked at; whether there was one to be. */
static bool pass_to_beginning(struct progress *p)
{
    uint64_t min_off = atomic_load_explicit(&p->q->min_off, memory_order_acquire);
    if (p->done.next_queue_off >= min_off)
        return false;
    p->done.next_queue_off = min_off;
    return true;
}

static int scan_queue(struct progress *p, struct err *e)
{
    (void)pass_to_beginning(p);
    for (;;) {
        struct queue_view v;
        int rc = consume_queue_view(p->q, p->done.next_queue_off, &v, e);
        if (rc == ERR_NOTFOUND && pass_to_beginning(p))
            continue; /* its file was removed meanwhile */
        if (rc < 0)
            return rc;
        if (v.n == 0) {
            p->done.end = p->done.n == p->scan->max_messages ? STORE_SCAN_FULL : STORE_SCAN_TAIL;
            return 0;
        }
        p->n_fetched = 0;
        bool is_over = look_at_view(p, &v);
        mapped_file_unpin(v.file);
        if (is_over)
            return 0;
    }
}

int store_scan(struct store *s, const struct store_scan *scan, struct store_slice *slices,
               struct store_scanned *ret, struct err *e)
{
    struct consume_queue *q = consume_queues_get(&s->queues, scan->topic, scan->queue_id);
    if (!q) {
        *ret = (struct store_scanned){.end = STORE_SCAN_NO_QUEUE,
                                      .next_queue_off = scan->from_queue_off};
        return 0;
    }
    struct progress p = {.s = s, .q = q, .scan = scan, .slices = slices};
    p.done.next_queue_off = scan->from_queue_off;
    int rc = scan_queue(&p, e);
    drop_file(&p);
    bool is_gone = consume_queue_is_gone(q);
    consume_queue_unref(q);
    if (rc < 0 && !is_gone) {
        for (size_t i = 0; i < p.done.n; i++)
            store_unpin(slices[i].pin);
        return rc;
    }
    if (rc < 0) /* dropped meanwhile: what was found is still good */
        p.done.end = STORE_SCAN_NO_QUEUE;
    *ret = p.done;
    return 0;
}

/* ---- one record ---- */

int store_get(struct store *s, struct span topic, int32_t queue_id, uint64_t queue_off,
              struct store_slice *ret, struct err *e)
{
    struct consume_queue *q = consume_queues_get(&s->queues, topic, queue_id);
    if (!q)
        return err_set(e, ERR_NOTFOUND, "get %" PRIu64 ": no such queue", queue_off);
    struct store_queue_entry entry;
    struct store_slice slice;
    size_t n = 0;
    int rc = 0;
    if (queue_off >= atomic_load_explicit(&q->min_off, memory_order_acquire))
        rc = consume_queue_read(q, queue_off, &entry, 1, &n, e);
    bool may_be_elsewhere =
        rc == 0 && n == 1 && (consume_queue_is_real(&entry) || consume_queue_is_damaged(&entry));
    if (rc == 0 && n == 1 && consume_queue_is_damaged(&entry))
        rc = err_set(e, ERR_CORRUPT, "get %" PRIu64 ": its entry is damaged", queue_off);
    else if (rc == 0 && (n == 0 || !consume_queue_is_real(&entry)))
        rc = err_set(e, ERR_NOTFOUND, "get %" PRIu64 ": no such entry", queue_off);
    else if (rc == 0)
        rc = read_slice(s, &entry, &slice, e);
    if (rc == 0 && !queue_mend_is_of(q, &slice.rec, queue_off)) {
        store_unpin(slice.pin);
        rc = err_set(e, ERR_CORRUPT, "get %" PRIu64 ": the record is of another queue", queue_off);
    }
    if (rc < 0 && may_be_elsewhere && !is_expired(s, &entry) && refind(s, q, queue_off, &slice))
        rc = 0;
    consume_queue_unref(q);
    if (rc == 0)
        *ret = slice;
    return rc;
}

void store_queue_bounds(struct store *s, struct span topic, int32_t queue_id, uint64_t *ret_min,
                        uint64_t *ret_max)
{
    struct consume_queue *q = consume_queues_get(&s->queues, topic, queue_id);
    *ret_min = q ? atomic_load_explicit(&q->min_off, memory_order_acquire) : 0;
    *ret_max = q ? atomic_load_explicit(&q->end_off, memory_order_acquire) : 0;
    consume_queue_unref(q);
}

int store_each_queue(struct store *s, store_queue_fn fn, void *arg, struct err *e)
{
    struct queue_list l;
    int rc = consume_queues_list(&s->queues, /* topic = */ (struct span){0}, &l, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < l.n; i++)
        rc = fn(arg, l.queues[i]->topic, l.queues[i]->queue_id, e);
    queue_list_fini(&l);
    return rc;
}

/* The store time of the first readable record at or behind entry `*at`, which moves there; `*at` is
 * `end` when there is none. */
static int time_at(struct store *s, struct consume_queue *q, uint64_t end, uint64_t *at,
                   uint64_t *ret_ms, struct err *e)
{
    for (; *at < end; ++*at) {
        struct store_queue_entry entry;
        struct store_slice slice;
        size_t n;
        int rc = consume_queue_read(q, *at, &entry, 1, &n, e);
        uint64_t min_off = atomic_load_explicit(&q->min_off, memory_order_acquire);
        if (rc == ERR_NOTFOUND && *at < min_off) { /* its file was removed meanwhile */
            *at = min_off - 1;
            continue;
        }
        if (rc < 0)
            return rc;
        if (n == 0 || !consume_queue_is_real(&entry) || read_slice(s, &entry, &slice, e) < 0)
            continue;
        *ret_ms = slice.rec.store_ms;
        store_unpin(slice.pin);
        return 0;
    }
    return 0;
}

int store_queue_off_by_time(struct store *s, struct span topic, int32_t queue_id, uint64_t ms,
                            uint64_t *ret_queue_off, struct err *e)
{
    struct consume_queue *q = consume_queues_get(&s->queues, topic, queue_id);
    if (!q) {
        *ret_queue_off = 0;
        return 0;
    }
    uint64_t lo = atomic_load_explicit(&q->min_off, memory_order_acquire);
    uint64_t end = atomic_load_explicit(&q->end_off, memory_order_acquire);
    int rc = 0;
    for (uint64_t hi = end; rc == 0 && lo < hi;) { /* store times rise along the log */
        uint64_t mid = lo + (hi - lo) / 2, at = mid, at_ms = UINT64_MAX;
        rc = time_at(s, q, end, &at, &at_ms, e);
        if (at_ms >= ms)
            hi = mid;
        else
            lo = at + 1;
    }
    consume_queue_unref(q);
    if (rc == 0)
        *ret_queue_off = lo;
    return rc;
}
