/* Walks the log: is every place a record, has every record its entry?
 *
 * An entry is matched by at most one record, the one that it points at. So when a queue has as many
 * entries as records matched, each entry has its record too, and the second pass need not look at
 * any of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/verify.h"

enum { WAIT_MS = 10, WAIT_MS_MAX = 2000 };
#define EXT_ADDRESS_MAX INT64_C(-2147483649) /* a tag code up to it is an address (3.4) */
#define SCHEDULE_TOPIC "SCHEDULE_TOPIC_XXXX"

struct verify_at verify_at_record(const struct store_record *rec)
{
    return (struct verify_at){.has_log_off = true,
                              .has_queue = true,
                              .has_queue_off = true,
                              .log_off = rec->log_off,
                              .topic = rec->topic,
                              .queue_id = rec->queue_id,
                              .queue_off = rec->queue_off};
}

/* ---- queues ---- */

static int queue_of(struct verify *v, const struct store_record *rec, struct verify_queue **ret,
                    struct err *e)
{
    struct queue_folder *folder;
    int rc = queue_files_get(v->files, rec->topic, rec->queue_id, &folder, e);
    if (rc < 0)
        return rc;
    if (folder->number >= v->n_queues) {
        unsigned n = 2 * folder->number + 16;
        struct verify_queue *queues = realloc(v->queues, n * sizeof *queues);
        if (!queues)
            return err_set(e, ERR_NOMEM, "remember %u queues", n);
        memset(queues + v->n_queues, 0, (n - v->n_queues) * sizeof *queues);
        v->queues = queues;
        v->n_queues = n;
    }
    v->queues[folder->number].folder = folder;
    *ret = &v->queues[folder->number];
    return 0;
}

/* The dispatcher of a running broker may be a moment behind; a lost entry is not waited for again
 * and again. */
static int find_entry(struct verify *v, struct queue_folder *folder, const struct store_record *rec,
                      bool *ret_found, struct queue_entry *ret, struct err *e)
{
    static const struct timespec pause = {.tv_nsec = WAIT_MS * 1000000};
    int rc = queue_files_find(v->files, folder, rec, ret_found, ret, e);
    while (rc == 0 && !*ret_found && v->is_live && ret->at.size == 0 &&
           v->waited_ms < WAIT_MS_MAX) {
        (void)nanosleep(&pause, NULL);
        v->waited_ms += WAIT_MS;
        rc = queue_files_find(v->files, folder, rec, ret_found, ret, e);
    }
    return rc;
}

/* The record that another record's entry belongs to: was the topic deleted and made anew, so that
 * its numbers began again? */
static int judge_other(struct verify *v, const struct store_record *rec,
                       const struct queue_entry *other, struct err *e)
{
    struct verify_at at = verify_at_record(rec);
    struct store_walk_item item;
    int rc = store_walk_look(v->look, other->at.log_off, &item, e);
    if (rc < 0)
        return rc;
    bool is_same = item.kind == STORE_WALK_RECORD && span_equal(item.rec.topic, rec->topic) &&
                   item.rec.queue_id == rec->queue_id && item.rec.queue_off == rec->queue_off;
    if (is_same && item.rec.log_off > rec->log_off)
        v->n_superseded++;
    else if (is_same)
        verify_finding(v, "two-records", &at,
                       "its number in the queue is that of the record at %" PRIu64 " too",
                       item.rec.log_off);
    else
        verify_finding(v, "no-entry", &at, "its entry points elsewhere, to %" PRIu64,
                       other->at.log_off);
    return 0;
}

static int judge_missing(struct verify *v, struct verify_queue *q, const struct store_record *rec,
                         const struct queue_entry *other, struct err *e)
{
    struct verify_at at = verify_at_record(rec);
    if (!q->folder->is_there) {
        q->n_missing++; /* told once for the queue */
        return 0;
    }
    if (other->at.size != 0 && !other->is_pre_blank && !q->folder->is_batch)
        return judge_other(v, rec, other, e);
    verify_finding(v, "no-entry", &at, "no entry in its queue points at it");
    return 0;
}

static void judge_entry(struct verify *v, const struct store_record *rec,
                        const struct queue_entry *entry)
{
    struct verify_at at = verify_at_record(rec);
    if (entry->at.size != rec->size)
        verify_finding(v, "wrong-entry", &at, "its entry says %" PRIu32 " bytes, it has %" PRIu32,
                       entry->at.size, rec->size);
    bool has_code = entry->at.tag_code > EXT_ADDRESS_MAX &&
                    !span_equal(rec->topic, span_str(SCHEDULE_TOPIC)); /* there it is a time */
    if (has_code && entry->at.tag_code != store_tag_code(rec))
        verify_finding(v, "wrong-entry", &at,
                       "its entry has the tag code %" PRId64 ", its tag %" PRId64,
                       entry->at.tag_code, store_tag_code(rec));
}

static int check_entry(struct verify *v, const struct store_record *rec, struct err *e)
{
    struct verify_queue *q = NULL;
    struct queue_entry entry;
    bool found = false;
    int rc = queue_of(v, rec, &q, e);
    if (rc == 0)
        rc = find_entry(v, q->folder, rec, &found, &entry, e);
    if (rc < 0)
        return rc;
    if (!found)
        return judge_missing(v, q, rec, &entry, e);
    q->n_matched++;
    judge_entry(v, rec, &entry);
    return 0;
}

/* Queues that are not there at all: deleted with their topic, or lost. */
static void tell_missing_queues(struct verify *v)
{
    for (unsigned i = 0; i < v->n_queues; i++) {
        const struct verify_queue *q = &v->queues[i];
        if (q->n_missing == 0)
            continue;
        const char *slash = strrchr(q->folder->key, '/');
        size_t len = (size_t)(slash - q->folder->key);
        if (v->topics && !json_object_getn(v->topics, q->folder->key, len)) {
            v->n_deleted += q->n_missing;
            continue;
        }
        struct verify_at at = {.has_queue = true,
                               .topic = span_of(q->folder->key, len),
                               .queue_id = (int32_t)atol(slash + 1)};
        verify_finding(v, "no-queue", &at,
                       "the queue has no files, and %" PRIu64 " records in the log", q->n_missing);
    }
}

/* ---- the log ---- */

static int add_range(struct verify *v, const struct store_walk_item *item, struct err *e)
{
    if ((v->n_ranges & (v->n_ranges - 1)) == 0) { /* full at each power of two */
        size_t n = v->n_ranges ? 2 * v->n_ranges : 1;
        struct verify_range *ranges = realloc(v->ranges, n * sizeof *ranges);
        if (!ranges)
            return err_set(e, ERR_NOMEM, "remember %zu places", n);
        v->ranges = ranges;
    }
    v->ranges[v->n_ranges++] =
        (struct verify_range){.begin = item->log_off, .end = item->log_off + item->len};
    return 0;
}

bool verify_is_lost(const struct verify *v, uint64_t log_off)
{
    size_t low = 0, high = v->n_ranges;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (v->ranges[mid].end <= log_off)
            low = mid + 1;
        else
            high = mid;
    }
    return low < v->n_ranges && v->ranges[low].begin <= log_off;
}

static int check_record(struct verify *v, const struct store_walk_item *item, struct err *e)
{
    if (span_equal(item->rec.topic, span_str(STORE_COVER_TOPIC))) {
        v->n_covers++;
        v->cover_bytes += item->len;
        return add_range(v, item, e);
    }
    v->n_records++;
    v->record_bytes += item->len;
    if (!item->body_ok) {
        struct verify_at at = verify_at_record(&item->rec);
        v->n_bad_bodies++;
        verify_finding(v, "checksum", &at, "its body does not have its checksum");
    }
    verify_index_add(v, &item->rec);
    return store_is_queued(&item->rec) ? check_entry(v, &item->rec, e) : 0;
}

static int check_item(struct verify *v, const struct store_walk_item *item, struct err *e)
{
    if (item->kind == STORE_WALK_RECORD)
        return check_record(v, item, e);
    if (item->kind == STORE_WALK_FILLER)
        return add_range(v, item, e);
    if (item->kind == STORE_WALK_DAMAGE) {
        struct verify_at at = {.has_log_off = true, .log_off = item->log_off};
        v->n_places++;
        v->place_bytes += item->len;
        verify_finding(v, "damage", &at, "%" PRIu64 " bytes are no record: %s", item->len,
                       item->why);
    }
    return 0;
}

int verify_log(struct verify *v, struct err *e)
{
    struct store_walk_bounds bounds;
    struct store_walk_item item = {.kind = STORE_WALK_RECORD};
    store_walk_bounds(v->walk, &bounds);
    v->log_begin = bounds.begin;
    if (bounds.end > bounds.begin)
        progress_start_bytes(&v->progress, bounds.end - bounds.begin);
    int rc = 0;
    while (rc == 0 && item.kind != STORE_WALK_END) {
        rc = store_walk_next(v->walk, &item, e);
        if (rc == 0)
            rc = check_item(v, &item, e);
        progress_set(&v->progress, item.log_off - v->log_begin);
    }
    progress_clear(&v->progress);
    if (rc < 0)
        return rc;
    v->log_end = item.log_off;
    tell_missing_queues(v);
    return 0;
}
