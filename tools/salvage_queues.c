/* Makes the consume queues of the saved records, each entry under the number it had.
 *
 * A record names its number in its queue, but no checksum covers it. The old queue bears witness:
 * when its entry with that number points at the record, the number is right. Without a witness a
 * number is believed that follows the one before, or leaves out no more messages than can have been
 * lost; 0 begins a queue anew, whose topic was deleted and made again. Other records stay in the
 * log without an entry.
 *
 * Numbers of lost messages are kept too: the entry of the next saved one stands in for them, at the
 * end of a queue that of the last one. A consumer that asks for a lost number gets that message
 * again, which at-least-once allows; Sluice passes over it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "tools/queue_writer.h"
#include "tools/salvage.h"

enum {
    STAND_INS_MAX = 1 << 20, /* a wider hole is a damaged number */
    FILE_ENTRIES = 300000,   /* RocketMQ's default */
};

struct out_queue {
    struct queue_writer writer;
    char *folder;
    uint64_t lost_before; /* bytes of the log lost when its last entry came */
};

struct salvage_queues {
    struct map queues;      /* "topic/id" to struct out_queue */
    uint64_t file_bytes[2]; /* of a queue, of a queue of batches */
};

/* ---- the table ---- */

/* The greatest length of the files of any queue: a file that was cut is shorter. */
static int measure_queue(void *arg, const char *path, bool is_batch, struct err *e)
{
    struct salvage *s = arg;
    const char *topic = strchr(path, '/') + 1, *id = strrchr(path, '/') + 1;
    struct queue_folder *folder;
    char *end;
    long queue_id = strtol(id, &end, 10);
    if (*end != '\0' || queue_id < 0 || queue_id > INT32_MAX)
        return 0;
    int rc = queue_files_get(s->files, span_of(topic, (size_t)(id - 1 - topic)), (int32_t)queue_id,
                             &folder, e);
    if (rc == 0 && folder->is_there && folder->is_batch == is_batch &&
        folder->file_bytes % queue_entry_bytes(is_batch) == 0 &&
        folder->file_bytes > s->queues->file_bytes[is_batch])
        s->queues->file_bytes[is_batch] = folder->file_bytes;
    return rc;
}

int salvage_queues_open(struct salvage *s, struct err *e)
{
    s->queues = calloc(1, sizeof *s->queues);
    if (!s->queues)
        return err_set(e, ERR_NOMEM, "write consume queues");
    int rc = queue_files_each(s->from, measure_queue, s, e);
    const uint64_t told[] = {s->queue_file_bytes, s->batch_file_bytes};
    for (int is_batch = 0; is_batch < 2; is_batch++) {
        uint64_t *file_bytes = &s->queues->file_bytes[is_batch];
        if (told[is_batch] > 0)
            *file_bytes = told[is_batch];
        else if (*file_bytes == 0)
            *file_bytes = FILE_ENTRIES * queue_entry_bytes(is_batch);
    }
    return rc;
}

void salvage_queues_close(struct salvage *s)
{
    if (!s->queues)
        return;
    size_t pos = 0;
    for (const struct map_entry *entry; (entry = map_next(&s->queues->queues, &pos));) {
        struct out_queue *q = entry->value;
        free(q->folder);
        free(q);
    }
    map_fini(&s->queues->queues);
    free(s->queues);
}

static int add_queue(struct salvage *s, const struct queue_folder *folder, struct out_queue **ret,
                     struct err *e)
{
    struct out_queue *q = calloc(1, sizeof *q);
    char *path = NULL;
    const char *kind = folder->is_batch ? "batchconsumequeue" : "consumequeue";
    if (!q || asprintf(&path, "%s/%s/%s", s->to, kind, folder->key) < 0) {
        free(q);
        return err_set(e, ERR_NOMEM, "write queue '%s'", folder->key);
    }
    q->folder = path;
    q->writer = (struct queue_writer){.io = s->io,
                                      .folder = path,
                                      .file_bytes = s->queues->file_bytes[folder->is_batch],
                                      .is_batch = folder->is_batch};
    int rc = map_put(&s->queues->queues, span_str(folder->key), q, e);
    if (rc < 0) {
        free(path);
        free(q);
        return rc;
    }
    s->n_queues++;
    *ret = q;
    return 0;
}

/* ---- numbers ---- */

enum verdict { NUMBER_NEXT, NUMBER_FIRST, NUMBER_AHEAD, NUMBER_AGAIN, NUMBER_WRONG };

static enum verdict judge(const struct salvage *s, const struct out_queue *q, uint64_t n,
                          bool has_witness)
{
    const struct queue_writer *w = &q->writer;
    if (!w->is_begun)
        return NUMBER_FIRST;
    if (n == w->next)
        return NUMBER_NEXT;
    if (n < w->next)
        return n == 0 || (has_witness && n >= w->begin) ? NUMBER_AGAIN : NUMBER_WRONG;
    uint64_t n_lost = n - w->next;
    uint64_t n_possible = (s->lost_bytes - q->lost_before) / STORE_COVER_MIN + 1;
    bool is_possible = has_witness || n_lost <= n_possible;
    return is_possible && n_lost <= STAND_INS_MAX ? NUMBER_AHEAD : NUMBER_WRONG;
}

static int stand_in(struct salvage *s, struct queue_writer *w, uint64_t upto,
                    const struct queue_entry *entry, struct err *e)
{
    int rc = 0;
    for (; rc == 0 && w->next < upto; s->n_stand_ins++)
        rc = queue_writer_add(w, entry, e);
    return rc;
}

/* Begins the queue, again when it was begun at a later number. */
static int begin_again(struct queue_writer *w, uint64_t n, struct err *e)
{
    if (w->is_begun && n >= w->begin)
        return queue_writer_cut(w, n, e);
    if (w->is_begun) {
        int rc = queue_writer_cut(w, w->begin, e);
        if (rc < 0)
            return rc;
    }
    return queue_writer_begin(w, n, e);
}

static int add_entry(struct salvage *s, struct out_queue *q, const struct store_record *rec,
                     const struct queue_entry *entry, bool has_witness, struct err *e)
{
    struct queue_writer *w = &q->writer;
    int rc = 0;
    switch (judge(s, q, rec->queue_off, has_witness)) {
    case NUMBER_NEXT:
        break;
    case NUMBER_FIRST:
    case NUMBER_AGAIN:
        rc = begin_again(w, rec->queue_off, e);
        break;
    case NUMBER_AHEAD:
        rc = stand_in(s, w, rec->queue_off, entry, e);
        break;
    case NUMBER_WRONG:
        s->n_unnumbered++;
        salvage_tell(s, rec->log_off,
                     "a record gets no entry: its number %" PRIu64 " in its queue cannot be",
                     rec->queue_off);
        return 0;
    }
    if (rc == 0)
        rc = queue_writer_add(w, entry, e);
    q->lost_before = s->lost_bytes;
    s->n_entries++;
    return rc;
}

/* ---- batches ---- */

static uint64_t number_of(const struct store_record *rec, const char *name, uint64_t fallback)
{
    struct span text;
    uint64_t n = 0;
    if (!store_property_get(rec->properties, name, &text) || text.len > 18)
        return fallback;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return fallback;
        n = 10 * n + (uint64_t)(text.ptr[i] - '0');
    }
    return n;
}

/* Entries of batches are numbered by themselves, from where the old queue begins. */
static int add_batch(struct salvage *s, struct out_queue *q, const struct queue_folder *folder,
                     const struct store_record *rec, struct queue_entry *entry, struct err *e)
{
    uint64_t n = number_of(rec, "INNER_NUM", 1);
    entry->store_ms = rec->store_ms;
    entry->base_off = rec->queue_off;
    entry->n = n > 0 && n <= INT16_MAX ? (uint32_t)n : 1;
    int rc =
        q->writer.is_begun
            ? 0
            : queue_writer_begin(&q->writer,
                                 folder->is_there ? folder->begin / QUEUE_BATCH_ENTRY_BYTES : 0, e);
    if (rc == 0)
        rc = queue_writer_add(&q->writer, entry, e);
    s->n_entries++;
    return rc;
}

/* ---- records ---- */

/* Whether a queue holds batches, when its old files are lost: a record of a batch says so. */
static bool is_of_batches(const struct queue_folder *folder, const struct store_record *rec)
{
    struct span ignored;
    return folder->is_there ? folder->is_batch
                            : store_property_get(rec->properties, "INNER_NUM", &ignored);
}

int salvage_queues_record(struct salvage *s, const struct store_record *rec, struct err *e)
{
    struct queue_folder *folder;
    if (!store_is_queued(rec))
        return 0;
    int rc = queue_files_get(s->files, rec->topic, rec->queue_id, &folder, e);
    if (rc < 0 || folder->key[0] == '/')
        return rc; /* the topic cannot name a folder */
    struct out_queue *q = map_get(&s->queues->queues, span_str(folder->key));
    if (!q) {
        folder->is_batch = is_of_batches(folder, rec);
        rc = add_queue(s, folder, &q, e);
    }
    if (rc < 0)
        return rc;
    struct queue_entry old,
        entry = {
            .n = 1,
            .at = {.log_off = rec->log_off, .size = rec->size, .tag_code = store_tag_code(rec)}};
    bool has_witness = false;
    if (q->writer.is_batch)
        return add_batch(s, q, folder, rec, &entry, e);
    rc = queue_files_find(s->files, folder, rec, &has_witness, &old, e);
    if (rc == 0 && has_witness)
        entry.at.tag_code = old.at.tag_code; /* also what only its writer knew: delivery times */
    return rc < 0 ? rc : add_entry(s, q, rec, &entry, has_witness, e);
}

/* ---- the end ---- */

/* One past the last entry of an old queue. */
static int old_end(struct salvage *s, struct queue_folder *folder, uint64_t *ret_end, struct err *e)
{
    uint64_t n = folder->end / STORE_QUEUE_ENTRY_BYTES;
    uint64_t begin = folder->begin / STORE_QUEUE_ENTRY_BYTES;
    for (; n > begin; n--) {
        const uint8_t *bytes;
        struct queue_entry entry;
        int rc = queue_files_entry(s->files, folder, n - 1, QUEUE_CACHED, &bytes, e);
        if (rc < 0)
            return rc;
        if (queue_entry_decode(bytes, /* is_batch = */ false, &entry))
            break;
    }
    *ret_end = n > begin ? n : 0;
    return 0;
}

static int finish_queue(void *arg, const char *path, bool is_batch, struct err *e)
{
    struct salvage *s = arg;
    const char *topic = strchr(path, '/') + 1, *id = strrchr(path, '/') + 1;
    struct queue_folder *folder;
    char *last;
    long queue_id = strtol(id, &last, 10);
    uint64_t end = 0;
    if (is_batch || *last != '\0' || queue_id < 0 || queue_id > INT32_MAX)
        return 0;
    int rc = queue_files_get(s->files, span_of(topic, (size_t)(id - 1 - topic)), (int32_t)queue_id,
                             &folder, e);
    if (rc == 0 && folder->is_there && !folder->is_batch)
        rc = old_end(s, folder, &end, e);
    if (rc < 0 || end == 0)
        return rc;
    struct out_queue *q = map_get(&s->queues->queues, span_str(folder->key));
    if (q && q->writer.is_begun && q->writer.next < end && end - q->writer.next <= STAND_INS_MAX) {
        const struct queue_entry entry = q->writer.last;
        return stand_in(s, &q->writer, end, &entry, e);
    }
    if (!q || !q->writer.is_begun) {
        s->n_lost_queues++;
        salvage_tell(s, s->log_end, "no message of queue '%s' is left: it begins anew",
                     folder->key);
    }
    return 0;
}

int salvage_queues_finish(struct salvage *s, struct err *e)
{
    int rc = queue_files_each(s->from, finish_queue, s, e);
    size_t pos = 0;
    for (const struct map_entry *entry; rc == 0 && (entry = map_next(&s->queues->queues, &pos));) {
        struct out_queue *q = entry->value;
        rc = queue_writer_flush(&q->writer, e);
    }
    return rc;
}
