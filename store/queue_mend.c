/* Damaged entries of consume queues. Records of a queue lie in the log in the order of their
 * numbers: so the record of a damaged entry is between those of the entries before and behind, and
 * an entry that points before the one in front of it is wrong. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/queue_mend.h"

#include <inttypes.h>

#include "store/format.h"
#include "store/record.h"
#include "store/recovery.h"

enum {
    ENTRIES_MAX = 512,     /* looked at on either side for one that points somewhere */
    WALK_BYTES = 16 << 20, /* of the log: further away it is not looked for */
};

bool queue_mend_is_of(const struct consume_queue *q, const struct store_record *rec,
                      uint64_t queue_off)
{
    return rec->queue_id == q->queue_id && rec->queue_off == queue_off &&
           span_equal(rec->topic, q->topic);
}

/* Whether an entry points at its own record. */
static bool is_right(struct commit_log *log, struct consume_queue *q, uint64_t queue_off,
                     struct store_queue_entry *ret)
{
    size_t n = 0;
    struct err e;
    struct mapped_file *f;
    struct store_record rec;
    if (consume_queue_read(q, queue_off, ret, 1, &n, &e) < 0 || n == 0 ||
        !consume_queue_is_real(ret) ||
        commit_log_read(log, ret->log_off, ret->size, &rec, &f, &e) < 0)
        return false;
    bool is_its_own = queue_mend_is_of(q, &rec, queue_off);
    mapped_file_unpin(f);
    return is_its_own;
}

/* Behind the record of an entry before; false when none is near. */
static bool find_from(struct commit_log *log, struct consume_queue *q, uint64_t queue_off,
                      uint64_t *ret)
{
    struct store_queue_entry entry;
    uint64_t min_off = atomic_load_explicit(&q->min_off, memory_order_acquire);
    for (uint64_t n = 0; n < ENTRIES_MAX && queue_off-- > min_off; n++)
        if (is_right(log, q, queue_off, &entry)) {
            *ret = entry.log_off + entry.size;
            return true;
        }
    return false;
}

/* The record of an entry behind. */
static bool find_upto(struct commit_log *log, struct consume_queue *q, uint64_t queue_off,
                      uint64_t *ret)
{
    struct store_queue_entry entry;
    uint64_t end_off = atomic_load_explicit(&q->end_off, memory_order_acquire);
    for (uint64_t n = 0; n < ENTRIES_MAX && ++queue_off < end_off; n++)
        if (is_right(log, q, queue_off, &entry)) {
            *ret = entry.log_off;
            return true;
        }
    return false;
}

/* Where to walk, of what is published. Behind a record of the queue the first that fits is the one;
 * else the stretch may begin before the topic did. */
struct stretch {
    uint64_t from, upto;
    bool is_of_queue;
};

/* Without an entry before, a stretch ends where the entry behind has its record, or at the end. */
static struct stretch choose_stretch(struct commit_log *log, struct consume_queue *q,
                                     uint64_t queue_off)
{
    struct stretch s = {0};
    uint64_t first, end;
    s.is_of_queue = find_from(log, q, queue_off, &s.from);
    if (!find_upto(log, q, queue_off, &s.upto))
        s.upto = commit_log_published(log);
    mapped_files_bounds(&log->files, &first, &end);
    if (!s.is_of_queue)
        s.from = s.upto > first && s.upto - first > WALK_BYTES ? s.upto - WALK_BYTES : first;
    if (s.from < s.upto && s.upto - s.from > WALK_BYTES)
        s.upto = s.from + WALK_BYTES;
    return s;
}

/* Looks in one file from `*at` on, which moves behind what was looked at. */
static bool look_in_file(const struct mapped_file *f, const struct consume_queue *q,
                         uint64_t queue_off, uint64_t upto, uint64_t *at, struct store_record *ret)
{
    uint64_t file_end = f->start + f->bytes, end = upto < file_end ? upto : file_end, found;
    while (*at < end) {
        struct span rest = span_of(f->base + (*at - f->start), end - *at);
        switch (record_decode(rest, *at, ret, /* ret_why = */ NULL)) {
        case RECORD_OK:
            if (queue_mend_is_of(q, ret, queue_off))
                return true;
            *at += ret->size;
            break;
        case RECORD_BLANK:
            *at = file_end;
            break;
        case RECORD_ZERO:
        case RECORD_SHORT:
        case RECORD_BAD:
            *at = recovery_find_record(rest, *at, &found) ? *at + found : file_end;
            break;
        }
    }
    return false;
}

/* A topic that was deleted and made anew has had records of these numbers before: where those may
 * lie too, the last that fits is the one. */
bool queue_mend_find(struct commit_log *log, struct consume_queue *q, uint64_t queue_off,
                     struct store_record *ret, struct mapped_file **ret_file)
{
    struct stretch s = choose_stretch(log, q, queue_off);
    struct mapped_file *f, *found = NULL;
    struct store_record rec;
    struct err e;
    while (s.from < s.upto && mapped_files_pin(&log->files, s.from, &f, &e) == 0) {
        if (!look_in_file(f, q, queue_off, s.upto, &s.from, &rec)) {
            mapped_file_unpin(f);
            continue;
        }
        mapped_file_unpin(found);
        found = *ret_file = f;
        *ret = rec;
        s.from = s.is_of_queue ? s.upto : s.from + rec.size;
    }
    return found != NULL;
}

/* ---- recovery ---- */

/* The whole record that an entry points at, with its file pinned; false when none is there. Nothing
 * is published yet. */
static bool read_whole(struct commit_log *log, const struct store_queue_entry *entry,
                       struct store_record *ret, struct mapped_file **ret_file)
{
    struct mapped_file *f;
    struct err e;
    if (mapped_files_pin(&log->files, entry->log_off, &f, &e) < 0)
        return false;
    uint64_t in_file = entry->log_off - f->start;
    if (record_decode(span_of(f->base + in_file, f->bytes - in_file), entry->log_off, ret,
                      /* ret_why = */ NULL) == RECORD_OK &&
        ret->size == entry->size && store_body_check(ret, /* ret_crc = */ NULL)) {
        *ret_file = f;
        return true;
    }
    mapped_file_unpin(f);
    return false;
}

bool queue_mend_is_whole(struct commit_log *log, const struct store_queue_entry *entry)
{
    struct mapped_file *f;
    struct store_record rec;
    bool is_whole = read_whole(log, entry, &rec, &f);
    if (is_whole)
        mapped_file_unpin(f);
    return is_whole;
}

bool queue_mend_has_last(struct commit_log *log, const struct consume_queue *q)
{
    struct mapped_file *f;
    struct store_record rec;
    if (q->last.size == 0 || !read_whole(log, &q->last, &rec, &f))
        return false;
    bool is_of = rec.queue_off < consume_queue_end(q) && queue_mend_is_of(q, &rec, rec.queue_off);
    mapped_file_unpin(f);
    return is_of;
}

static bool is_its_own(struct commit_log *log, const struct consume_queue *q,
                       const struct store_queue_entry *entry, uint64_t queue_off)
{
    struct mapped_file *f;
    struct store_record rec;
    if (!consume_queue_is_real(entry) || !read_whole(log, entry, &rec, &f))
        return false;
    bool is_its_own = queue_mend_is_of(q, &rec, queue_off);
    mapped_file_unpin(f);
    return is_its_own;
}

/* Reads entry `queue_off`; one that does not point at a record when there is none. */
static int read_entry(struct consume_queue *q, uint64_t queue_off, struct store_queue_entry *ret,
                      struct err *e)
{
    size_t n = 0;
    int rc = consume_queue_read(q, queue_off, ret, 1, &n, e);
    if (rc == 0 && n == 0)
        *ret = (struct store_queue_entry){.size = FORMAT_PRE_BLANK_SIZE};
    return rc;
}

int queue_mend_taken(struct commit_log *log, struct consume_queue *q,
                     const struct store_record *rec, bool *ret_mended, struct err *e)
{
    uint64_t min_off = atomic_load_explicit(&q->min_off, memory_order_acquire);
    struct store_queue_entry old, before = {.size = FORMAT_PRE_BLANK_SIZE};
    int rc = read_entry(q, rec->queue_off, &old, e);
    if (rc == 0 && rec->queue_off > min_off)
        rc = read_entry(q, rec->queue_off - 1, &before, e);
    if (rc < 0)
        return rc;
    bool is_in_order = !consume_queue_is_real(&before) || before.log_off < old.log_off;
    bool is_right = is_in_order && is_its_own(log, q, &old, rec->queue_off);
    if (is_right && old.log_off < rec->log_off)
        return err_set(e, ERR_CORRUPT, "queue record %" PRIu64 ": number %" PRIu64 " is taken",
                       rec->log_off, rec->queue_off);
    if (!is_right) {
        const struct store_queue_entry entry = {
            .log_off = rec->log_off, .size = rec->size, .tag_code = record_tag_code(rec)};
        rc = consume_queue_mend(q, rec->queue_off, &entry, e);
    }
    if (rc == 0)
        *ret_mended = !is_right;
    return rc;
}
