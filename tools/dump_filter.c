/* Compares records and entries with what was asked for, the cheap questions first. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/dump_filter.h"

#include <string.h>

#include "base/jhash.h"

/* Store times follow the order of the log but for steps of the clock, for which this is left. */
enum { CLOCK_SLACK_MS = 60000 };

static const struct dump_range all = {.from = 0, .to = DUMP_ANY};

void dump_filter_init(struct dump_filter *f)
{
    *f = (struct dump_filter){.queue_id = DUMP_ANY, .log = all, .queue = all, .store_ms = all};
}

static bool is_within(const struct dump_range *range, uint64_t value)
{
    return value >= range->from && value < range->to;
}

bool dump_filter_has_range(const struct dump_range *range)
{
    return range->from != all.from || range->to != all.to;
}

bool dump_filter_is_open(const struct dump_filter *f)
{
    return !f->topic && !f->tag && !f->key && !f->unique_key && f->queue_id == DUMP_ANY &&
           !dump_filter_has_range(&f->log) && !dump_filter_has_range(&f->queue) &&
           !dump_filter_has_range(&f->store_ms);
}

static bool has_property(const struct store_record *rec, const char *name, const char *wanted)
{
    struct span value;
    return store_property_get(rec->properties, name, &value) && span_equal(value, span_str(wanted));
}

/* KEYS holds words with blanks between. */
static bool has_key(const struct store_record *rec, const char *wanted)
{
    const struct span key = span_str(wanted);
    struct span words;
    if (!store_property_get(rec->properties, "KEYS", &words))
        return false;
    while (words.len > 0) {
        const uint8_t *blank = memchr(words.ptr, ' ', words.len);
        size_t n = blank ? (size_t)(blank - words.ptr) : words.len;
        if (n > 0 && span_equal(span_of(words.ptr, n), key))
            return true;
        size_t used = blank ? n + 1 : n;
        words = span_of(words.ptr + used, words.len - used);
    }
    return false;
}

bool dump_filter_record(const struct dump_filter *f, const struct store_record *rec)
{
    if (!is_within(&f->log, rec->log_off) || !is_within(&f->queue, rec->queue_off) ||
        !is_within(&f->store_ms, rec->store_ms))
        return false;
    if (f->queue_id != DUMP_ANY && f->queue_id != (uint64_t)rec->queue_id)
        return false;
    if (f->topic && !span_equal(rec->topic, span_str(f->topic)))
        return false;
    if (f->tag && !has_property(rec, "TAGS", f->tag))
        return false;
    if (f->unique_key && !has_property(rec, "UNIQ_KEY", f->unique_key))
        return false;
    return !f->key || has_key(rec, f->key);
}

bool dump_filter_entry(const struct dump_filter *f, uint64_t queue_off,
                       const struct store_queue_entry *entry)
{
    return is_within(&f->queue, queue_off) && is_within(&f->log, entry->log_off) &&
           (!f->tag || entry->tag_code == jhash(span_str(f->tag)));
}

/* ---- where to start and to end ---- */

/* Whether the file at `log_off` begins with a record that is surely older than the range. */
static int is_older(const struct dump_filter *f, struct store_walk *walk, uint64_t log_off,
                    bool *ret, struct err *e)
{
    struct store_walk_item item;
    int rc = store_walk_look(walk, log_off, &item, e);
    if (rc < 0)
        return rc;
    *ret = item.kind == STORE_WALK_RECORD && item.rec.store_ms < f->store_ms.from &&
           f->store_ms.from - item.rec.store_ms > CLOCK_SLACK_MS;
    return 0;
}

int dump_filter_start(const struct dump_filter *f, struct store_walk *walk, uint64_t *ret_log_off,
                      struct err *e)
{
    struct store_walk_bounds bounds;
    store_walk_bounds(walk, &bounds);
    uint64_t start = bounds.begin > f->log.from ? bounds.begin : f->log.from;
    if (f->store_ms.from == 0 || bounds.file_bytes == 0 || start >= bounds.end) {
        *ret_log_off = start;
        return 0;
    }
    /* the last file that begins with an older record */
    uint64_t low = 0, high = (bounds.end - bounds.begin) / bounds.file_bytes;
    while (low + 1 < high) {
        uint64_t mid = low + (high - low) / 2;
        bool older;
        int rc = is_older(f, walk, bounds.begin + mid * bounds.file_bytes, &older, e);
        if (rc < 0)
            return rc;
        if (older)
            low = mid;
        else
            high = mid;
    }
    uint64_t by_time = bounds.begin + low * bounds.file_bytes;
    *ret_log_off = by_time > start ? by_time : start;
    return 0;
}

bool dump_filter_is_past(const struct dump_filter *f, const struct store_walk_item *item)
{
    if (item->log_off >= f->log.to)
        return true;
    return item->kind == STORE_WALK_RECORD && item->rec.store_ms > f->store_ms.to &&
           item->rec.store_ms - f->store_ms.to > CLOCK_SLACK_MS;
}
