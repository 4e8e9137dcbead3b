/* Goes through the entries of every queue: are they in order, and does each have its record? */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/verify.h"

/* One queue on the way. */
struct queue_check {
    struct verify *v;
    struct queue_folder *folder;
    struct span topic;
    int32_t queue_id;
    uint64_t n_present;      /* entries of records that the log holds */
    uint64_t n_empty;        /* since the last entry */
    struct queue_entry last; /* size 0: none yet */
};

static struct verify_at at_entry(const struct queue_check *c, uint64_t n)
{
    return (struct verify_at){.has_queue = true,
                              .has_queue_off = true,
                              .topic = c->topic,
                              .queue_id = c->queue_id,
                              .queue_off = n};
}

/* ---- the first pass ---- */

static void check_order(struct queue_check *c, uint64_t n, const struct queue_entry *entry)
{
    struct verify_at at = at_entry(c, n);
    if (c->last.at.size == 0)
        return;
    if (entry->at.log_off < c->last.at.log_off)
        verify_finding(c->v, "order", &at,
                       "the entry points to %" PRIu64 ", the one before to %" PRIu64,
                       entry->at.log_off, c->last.at.log_off);
    if (c->folder->is_batch && entry->base_off < c->last.base_off + c->last.n)
        verify_finding(c->v, "order", &at, "the batch begins within the one before");
}

/* Counts an entry; true when the log should hold its record. */
static bool count_entry(struct queue_check *c, uint64_t n, const struct queue_entry *entry)
{
    struct verify *v = c->v;
    struct verify_at at = at_entry(c, n);
    v->n_entries++;
    if (entry->is_pre_blank) {
        v->n_pre_blank++;
        return false;
    }
    check_order(c, n, entry);
    bool is_repeated = c->last.at.size != 0 && entry->at.log_off == c->last.at.log_off;
    c->last = *entry;
    if (is_repeated) { /* in place of a message that is lost: `sluice salvage` */
        v->n_repeated++;
        return false;
    }
    if (entry->at.log_off < v->log_begin) {
        v->n_expired++;
        return false;
    }
    if (entry->at.log_off < v->log_end)
        return true;
    if (!v->is_live)
        verify_finding(v, "no-record", &at, "the entry points to %" PRIu64 ", behind the log",
                       entry->at.log_off);
    return false;
}

/* Not the end of the queue: an entry follows. */
static void tell_empty(struct queue_check *c, uint64_t n)
{
    struct verify_at at = at_entry(c, n - c->n_empty);
    if (c->n_empty > 0)
        verify_finding(c->v, "empty", &at, "%" PRIu64 " empty entries between others", c->n_empty);
    c->n_empty = 0;
}

static int first_pass(struct queue_check *c, struct err *e)
{
    const size_t entry_bytes = queue_entry_bytes(c->folder->is_batch);
    uint64_t end = c->folder->end / entry_bytes;
    for (uint64_t n = c->folder->begin / entry_bytes; n < end; n++) {
        const uint8_t *bytes;
        struct queue_entry entry;
        int rc = queue_files_entry(c->v->files, c->folder, n, QUEUE_CACHED, &bytes, e);
        if (rc < 0)
            return rc;
        if (!queue_entry_decode(bytes, c->folder->is_batch, &entry)) {
            c->n_empty++;
            continue;
        }
        tell_empty(c, n);
        c->n_present += count_entry(c, n, &entry);
    }
    return 0;
}

/* ---- the second pass: only where the numbers differ ---- */

/* Whether the entry of a record with another number stands in for a lost one: the record's own
 * entry is the same. */
static int is_stand_in(struct queue_check *c, const struct store_record *rec, bool *ret,
                       struct err *e)
{
    const uint8_t *bytes;
    struct queue_entry own;
    int rc = queue_files_entry(c->v->files, c->folder, rec->queue_off, QUEUE_CACHED, &bytes, e);
    if (rc == 0)
        *ret = queue_entry_decode(bytes, /* is_batch = */ false, &own) &&
               own.at.log_off == rec->log_off;
    return rc;
}

static int look_for_record(struct queue_check *c, uint64_t n, const struct queue_entry *entry,
                           struct err *e)
{
    struct verify_at at = at_entry(c, n);
    struct store_walk_item item;
    bool is_fine = true;
    at.has_log_off = true;
    at.log_off = entry->at.log_off;
    int rc = store_walk_look(c->v->look, entry->at.log_off, &item, e);
    if (rc < 0)
        return rc;
    const struct store_record *rec = &item.rec;
    if (item.kind != STORE_WALK_RECORD)
        verify_finding(c->v, "no-record", &at, "the entry points to no record: %s", item.why);
    else if (!span_equal(rec->topic, c->topic) || rec->queue_id != c->queue_id)
        verify_finding(c->v, "no-record", &at, "the entry points to a record of another queue");
    else if (!c->folder->is_batch && rec->queue_off != n)
        rc = is_stand_in(c, rec, &is_fine, e);
    if (rc == 0 && !is_fine)
        verify_finding(c->v, "no-record", &at,
                       "the entry points to the record with number %" PRIu64, rec->queue_off);
    return rc;
}

static int second_pass(struct queue_check *c, struct err *e)
{
    const size_t entry_bytes = queue_entry_bytes(c->folder->is_batch);
    uint64_t end = c->folder->end / entry_bytes, last_log_off = UINT64_MAX;
    for (uint64_t n = c->folder->begin / entry_bytes; n < end; n++) {
        const uint8_t *bytes;
        struct queue_entry entry;
        int rc = queue_files_entry(c->v->files, c->folder, n, QUEUE_CACHED, &bytes, e);
        if (rc < 0)
            return rc;
        bool is_wanted = queue_entry_decode(bytes, c->folder->is_batch, &entry) &&
                         !entry.is_pre_blank && entry.at.log_off >= c->v->log_begin &&
                         entry.at.log_off < c->v->log_end && entry.at.log_off != last_log_off;
        if (!is_wanted)
            continue;
        last_log_off = entry.at.log_off;
        rc = look_for_record(c, n, &entry, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- every queue ---- */

static void check_files(struct queue_check *c, const char *path)
{
    const size_t entry_bytes = queue_entry_bytes(c->folder->is_batch);
    struct verify_at at = {
        .has_queue = true, .topic = c->topic, .queue_id = c->queue_id, .file = path};
    if (c->folder->begin % entry_bytes != 0 || c->folder->end % entry_bytes != 0)
        verify_finding(c->v, "queue-files", &at, "a file begins or ends within an entry");
}

/* "consumequeue/T/0" */
static int check_queue(void *arg, const char *path, bool is_batch, struct err *e)
{
    struct verify *v = arg;
    const char *topic = strchr(path, '/') + 1;
    const char *queue = strrchr(path, '/') + 1;
    char *end;
    long id = strtol(queue, &end, 10);
    struct queue_check c = {.v = v, .topic = span_of(topic, (size_t)(queue - 1 - topic))};
    if (*queue == '\0' || *end != '\0' || id < 0 || id > INT32_MAX)
        return 0; /* no queue of ours */
    c.queue_id = (int32_t)id;
    int rc = queue_files_get(v->files, c.topic, c.queue_id, &c.folder, e);
    if (rc < 0 || !c.folder->is_there || c.folder->is_batch != is_batch)
        return rc;
    v->n_folders++;
    check_files(&c, path);
    rc = first_pass(&c, e);
    uint64_t n_matched = c.folder->number < v->n_queues ? v->queues[c.folder->number].n_matched : 0;
    /* a running broker may have added to both since the log was walked */
    if (rc == 0 && c.n_present != n_matched && !(v->is_live && c.n_present < n_matched))
        rc = second_pass(&c, e);
    return rc;
}

int verify_queues(struct verify *v, struct err *e)
{
    return queue_files_each(v->root, check_queue, v, e);
}
