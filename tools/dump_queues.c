/* Shows the entries of consume queues, a piece at a time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/quiet_file.h"
#include "tools/dump.h"
#include "tools/dump_record.h"
#include "tools/hex.h"
#include "tools/json_line.h"
#include "tools/queue_files.h"

enum { PIECE_ENTRIES = 1024 };

/* ---- listing ---- */

struct listing {
    struct dump *d;
    const char *path;
    bool is_batch;
    uint64_t first;   /* number of the file's first entry */
    uint64_t n_empty; /* entries since the last one that was not */
};

/* "T" and 0 of ".../T/0/00000000000000000000", when the path has them. */
static json_t *queue_to_json(const char *path)
{
    json_t *object = json_object();
    struct span parts[3] = {0}; /* the last ones, the last first */
    const char *end = path + strlen(path);
    for (size_t i = 0; i < 3 && end > path; i++) {
        const char *begin = end;
        while (begin > path && begin[-1] != '/')
            begin--;
        parts[i] = span_of(begin, (size_t)(end - begin));
        end = begin > path ? begin - 1 : path;
    }
    if (!object || parts[1].len == 0 || parts[2].len == 0)
        return object;
    int rc = json_object_set_new(object, "topic", dump_text_to_json(parts[2]));
    rc |= json_object_set_new(object, "queueId", json_integer(atoll((const char *)parts[1].ptr)));
    if (rc < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *entry_to_json(const struct listing *l, const struct queue_entry *entry, uint64_t n)
{
    json_t *object = queue_to_json(l->path);
    json_t *more = json_pack("{s:I, s:I, s:I, s:I}", "queueOffset",
                             (json_int_t)(l->is_batch ? entry->base_off : n), "physicalOffset",
                             (json_int_t)entry->at.log_off, "storeSize", (json_int_t)entry->at.size,
                             "tagsCode", (json_int_t)entry->at.tag_code);
    int rc = object && more ? json_object_update(object, more) : -1;
    json_decref(more);
    if (rc == 0 && l->is_batch)
        rc = json_object_set_new(object, "batchNum", json_integer((json_int_t)entry->n)) |
             json_object_set_new(object, "storeTimestamp",
                                 json_integer((json_int_t)entry->store_ms));
    if (rc < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static void print_entry(const struct queue_entry *entry, uint64_t n, bool is_batch)
{
    if (entry->is_pre_blank)
        printf("%12" PRIu64 "  pre-blank: stands for a message that is gone\n", n);
    else if (is_batch)
        printf("%12" PRIu64 "  record at %" PRIu64 ", %" PRIu32 " bytes, %" PRIu32
               " messages, tag code %" PRId64 "\n",
               entry->base_off, entry->at.log_off, entry->at.size, entry->n, entry->at.tag_code);
    else
        printf("%12" PRIu64 "  record at %" PRIu64 ", %" PRIu32 " bytes, tag code %" PRId64 "\n", n,
               entry->at.log_off, entry->at.size, entry->at.tag_code);
}

static int show_entry(struct listing *l, const uint8_t *bytes, uint64_t n, struct err *e)
{
    struct dump *d = l->d;
    const size_t entry_bytes = queue_entry_bytes(l->is_batch);
    struct queue_entry entry;
    if (!queue_entry_decode(bytes, l->is_batch, &entry)) {
        l->n_empty++;
        return 0;
    }
    if (l->n_empty > 0) /* not the end: something follows */
        dump_finding(d, "%12" PRIu64 "  DAMAGED: %" PRIu64 " empty entries between others in '%s'",
                     n - l->n_empty, l->n_empty, l->path);
    l->n_empty = 0;
    if (!dump_filter_entry(&d->filter, l->is_batch ? entry.base_off : n, &entry.at))
        return 0;
    d->limit--;
    if (d->format == DUMP_JSON)
        return json_line(entry_to_json(l, &entry, n), e);
    print_entry(&entry, n, l->is_batch);
    if (d->format == DUMP_HEX)
        hex_print(span_of(bytes, entry_bytes), n * entry_bytes);
    return 0;
}

static int show_file(struct listing *l, struct quiet_file *f, struct err *e)
{
    static uint8_t piece[PIECE_ENTRIES * QUEUE_ENTRY_BYTES_MAX];
    const size_t entry_bytes = queue_entry_bytes(l->is_batch);
    uint64_t n_entries = f->bytes / entry_bytes;
    for (uint64_t i = 0; i < n_entries;) {
        size_t n = n_entries - i < PIECE_ENTRIES ? (size_t)(n_entries - i) : PIECE_ENTRIES, n_read;
        int rc = quiet_read(f, i * entry_bytes, piece, n * entry_bytes, &n_read, e);
        if (rc < 0)
            return rc;
        n = n_read / entry_bytes;
        for (size_t k = 0; rc == 0 && k < n && dump_goes_on(l->d); k++)
            rc = show_entry(l, piece + k * entry_bytes, l->first + i + k, e);
        if (rc < 0 || n == 0 || !dump_goes_on(l->d))
            return rc;
        i += n;
    }
    return 0;
}

int dump_queue_file(struct dump *d, const char *path, struct err *e)
{
    struct quiet_file f;
    const char *slash = strrchr(path, '/');
    uint64_t start = 0;
    struct listing l = {.d = d, .path = path, .is_batch = strstr(path, "batchconsumequeue/")};
    (void)store_parse_name(slash ? slash + 1 : path, &start);
    l.first = start / queue_entry_bytes(l.is_batch);
    int rc = quiet_open(&f, d->io, path, e);
    if (rc < 0)
        return rc;
    if (f.bytes % queue_entry_bytes(l.is_batch) != 0)
        dump_finding(d, "DAMAGED: '%s' ends within an entry", path);
    rc = show_file(&l, &f, e);
    quiet_close(&f);
    return rc < 0 ? err_wrap(e, "dump '%s'", path) : 0;
}

/* ---- folders ---- */

struct visit {
    struct dump *d;
    struct err *e;
};

/* Whether a file's path, "T/0/00..." with whatever is in front, is of the topic and queue asked
 * for. */
static bool is_wanted(const struct dump_filter *f, const char *path)
{
    char want[NAME_MAX + 32], queue[32] = "";
    if (f->queue_id != DUMP_ANY)
        (void)snprintf(queue, sizeof queue, "/%" PRIu64 "/", f->queue_id);
    if (f->topic) {
        int n = snprintf(want, sizeof want, "/%s/", f->topic);
        if (n < 0 || (size_t)n >= sizeof want || !strstr(path, want))
            return false;
    }
    return strstr(path, queue) != NULL;
}

static int visit_file(void *arg, const struct store_file_info *info)
{
    const struct visit *visit = arg;
    struct dump *d = visit->d;
    const char *slash = strrchr(info->path, '/');
    char path[PATH_MAX];
    uint64_t start;
    if (!store_parse_name(slash ? slash + 1 : info->path, &start) || !dump_goes_on(d))
        return 0;
    int n = snprintf(path, sizeof path, "%s/%s", d->path, info->path);
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(visit->e, ERR_TOOBIG, "path of '%s' is too long", info->path);
    if (!is_wanted(&d->filter, path))
        return 0;
    if (d->format != DUMP_JSON)
        printf("%s\n", info->path);
    return dump_queue_file(d, path, visit->e);
}

int dump_queue_folder(struct dump *d, struct err *e)
{
    struct visit visit = {.d = d, .e = e};
    *e = (struct err){0};
    int rc = store_each_file_at(d->path, visit_file, &visit, d->io, e);
    return rc < 0 && e->code == 0 ? err_set(e, ERR_NOMEM, "list the files of '%s'", d->path) : rc;
}
