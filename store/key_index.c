/* Keeps the files of the key index.
 *
 * Items are in the order of the log, within a file and over files, so that adding a record twice is
 * seen by its position. A file that is full is synced before the next is made, and then `mark` says
 * so; the last one is synced now and then. After a crash nothing is believed of what came behind
 * the mark but what the items themselves prove (index_writer.c), and indexing goes on from there:
 * the index is derived (I6). Making, syncing and settling files is done by the owner's thread, the
 * indexer, under no lock: neither an append nor the dispatcher waits for it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/key_index.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/format.h"
#include "store/index_format.h"

enum { RELAX_ITEMS = 1 << 18 }; /* 5 MiB of items, and as much again of slots or more */

int key_index_init(struct key_index *ki, struct io *io, const char *root, uint32_t n_slots,
                   uint32_t n_items, struct err *e)
{
    char *folder = NULL;
    if (asprintf(&folder, "%s/" FORMAT_DIR_INDEX, root) < 0)
        return err_set(e, ERR_NOMEM, "name the index of '%s'", root);
    *ki = (struct key_index){
        .io = io,
        .folder = folder,
        .n_slots = n_slots ? n_slots : STORE_INDEX_SLOTS,
        .n_items = n_items ? n_items : STORE_INDEX_ITEMS,
    };
    return 0;
}

void key_index_fini(struct key_index *ki)
{
    index_writer_close(ki->active);
    free(ki->names);
    free(ki->folder);
    *ki = (struct key_index){0};
}

static struct index_spec spec_of(const struct key_index *ki, uint64_t name)
{
    return (struct index_spec){.io = ki->io,
                               .folder = ki->folder,
                               .name = name,
                               .n_slots = ki->n_slots,
                               .n_items = ki->n_items};
}

/* ---- listing ---- */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int add_name(uint64_t **names, size_t *n, uint64_t name, struct err *e)
{
    uint64_t *more = realloc(*names, (*n + 1) * sizeof **names);
    if (!more)
        return err_set(e, ERR_NOMEM, "list the files of an index");
    *names = more;
    more[(*n)++] = name;
    return 0;
}

int key_index_list(const char *folder, uint64_t **ret_names, size_t *ret_n, struct err *e)
{
    uint64_t *names = NULL;
    size_t n = 0;
    int rc = 0;
    DIR *dir = opendir(folder);
    if (!dir && errno != ENOENT)
        return err_sys(e, errno, "open folder '%s'", folder);
    for (struct dirent *entry = dir ? readdir(dir) : NULL; rc == 0 && entry; entry = readdir(dir)) {
        const char *name = entry->d_name;
        if (strlen(name) == FORMAT_INDEX_NAME_DIGITS &&
            strspn(name, "0123456789") == FORMAT_INDEX_NAME_DIGITS)
            rc = add_name(&names, &n, strtoull(name, /* endptr = */ NULL, 10), e);
    }
    if (dir)
        (void)closedir(dir);
    if (rc < 0) {
        free(names);
        return rc;
    }
    if (n > 0)
        qsort(names, n, sizeof *names, by_value);
    *ret_names = names;
    *ret_n = n;
    return 0;
}

/* Removes the files from number `i` on: what was in them is indexed again. */
static int drop_from(struct key_index *ki, size_t i, struct err *e)
{
    char path[4096];
    for (; ki->n_names > i; ki->n_names--) {
        (void)snprintf(path, sizeof path, "%s/%0*" PRIu64, ki->folder, FORMAT_INDEX_NAME_DIGITS,
                       ki->names[ki->n_names - 1]);
        int rc = ki->io->unlink(ki->io, path);
        if (rc < 0 && rc != -ENOENT)
            return err_sys(e, -rc, "remove '%s'", path);
    }
    if (ki->n_settled > i)
        ki->n_settled = i;
    return 0;
}

/* ---- loading ---- */

/* What the headers say, taken one after the other. */
struct headers {
    struct store_index_header last; /* of the last believed file */
    uint32_t n_next_at_mark;        /* of the file that the mark names; 0: it is not there */
};

static bool is_before_mark(const struct key_index_start *start, uint64_t name,
                           const struct store_index_header *h)
{
    if (start->mark.log_off > 0)
        return name < start->mark.name;
    return h->end_ms <= start->index_ms;
}

/* Believes the files from the first on whose headers fit together; the rest is removed. */
static int take_headers(struct key_index *ki, const struct key_index_start *start,
                        struct headers *ret, struct err *e)
{
    bool are_settled = true;
    for (size_t i = 0; i < ki->n_names; i++) {
        struct index_spec spec = spec_of(ki, ki->names[i]);
        struct store_index_header h;
        int rc = index_writer_peek(&spec, &h, e);
        if (rc < 0 && rc != ERR_CORRUPT && rc != ERR_IO)
            return rc;
        if (rc < 0 || h.n_next <= 1 || (i > 0 && h.begin_log_off < ret->last.end_log_off))
            return drop_from(ki, i, e);
        are_settled &= h.end_log_off < start->tail &&
                       (start->was_clean || is_before_mark(start, ki->names[i], &h));
        ki->n_settled += are_settled;
        if (ki->names[i] == start->mark.name)
            ret->n_next_at_mark = h.n_next;
        ret->last = h;
    }
    return 0;
}

/* The mark holds as long as what it tells of is there. */
static int check_mark(struct key_index *ki, const struct key_index_start *start,
                      const struct headers *h, struct err *e)
{
    const struct key_index_mark *mark = &start->mark;
    bool is_there = mark->name == 0 || h->n_next_at_mark >= mark->n_next;
    if (mark->log_off == 0 || mark->log_off > start->tail)
        return 0;
    if (is_there) {
        ki->mark = *mark;
        return 0;
    }
    size_t i = 0;
    while (i < ki->n_names && ki->names[i] < mark->name)
        i++;
    return drop_from(ki, i, e); /* behind it there may be holes */
}

static int drop_first(struct key_index *ki, struct err *e)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%0*" PRIu64, ki->folder, FORMAT_INDEX_NAME_DIGITS,
                   ki->names[0]);
    int rc = ki->io->unlink(ki->io, path);
    if (rc < 0 && rc != -ENOENT)
        return err_sys(e, -rc, "remove '%s'", path);
    ki->n_names--;
    memmove(ki->names, ki->names + 1, ki->n_names * sizeof *ki->names);
    ki->n_settled -= ki->n_settled > 0;
    return 0;
}

/* Removes the files that lie wholly before the log's first record, but for the last one. */
static int drop_old(struct key_index *ki, struct err *e)
{
    int rc = 0;
    while (rc == 0 && ki->n_names > 1) {
        struct index_spec spec = spec_of(ki, ki->names[0]);
        struct store_index_header h;
        rc = index_writer_peek(&spec, &h, e);
        if (rc < 0 || h.end_log_off >= ki->first_off)
            break;
        rc = drop_first(ki, e);
    }
    return rc;
}

void key_index_trim(struct key_index *ki, uint64_t first_off)
{
    struct err ignored;
    ki->first_off = first_off;
    (void)drop_old(ki, &ignored); /* only space is at stake */
}

int key_index_load(struct key_index *ki, const struct key_index_start *start, size_t *ret_n_dropped,
                   struct err *e)
{
    struct headers h = {0};
    ki->tail = start->tail;
    ki->first_off = start->first_off;
    int rc = key_index_list(ki->folder, &ki->names, &ki->n_names, e);
    size_t n_found = ki->n_names;
    if (rc == 0)
        rc = take_headers(ki, start, &h, e);
    if (rc == 0)
        rc = check_mark(ki, start, &h, e);
    size_t n_dropped = n_found - ki->n_names;
    if (rc == 0)
        rc = drop_old(ki, e);
    if (rc < 0)
        return err_wrap(e, "load the index");
    *ret_n_dropped = n_dropped;
    return 0;
}

/* ---- settling ---- */

/* Opens the last file to go on with it. */
static int open_last(struct key_index *ki, struct err *e)
{
    if (ki->active || ki->n_names == 0)
        return 0;
    struct index_spec spec = spec_of(ki, ki->names[ki->n_names - 1]);
    int rc = index_writer_open(&ki->active, &spec, e);
    if (rc < 0)
        return rc;
    ki->has_items = true;
    ki->last_log_off = ki->active->head.end_log_off;
    return 0;
}

/* Where indexing goes on: behind what the mark says, or at the newest item's record. */
static uint64_t choose_from(const struct key_index *ki)
{
    uint64_t from = ki->has_items ? ki->last_log_off : ki->first_off;
    if (ki->mark.log_off > from)
        from = ki->mark.log_off;
    return from < ki->first_off ? ki->first_off : from > ki->tail ? ki->tail : from;
}

/* Looks at the items of file `n_settled`. */
static int settle_one(struct key_index *ki, struct err *e)
{
    struct index_writer *f;
    size_t i = ki->n_settled;
    struct index_spec spec = spec_of(ki, ki->names[i]);
    int rc = index_writer_open(&f, &spec, e);
    if (rc < 0)
        return rc;
    uint32_t n_before = f->head.n_next;
    bool is_marked = ki->mark.log_off > 0 && ki->mark.name == f->name;
    rc = index_writer_settle(f, ki->tail, is_marked ? ki->mark.n_next : 1, e);
    uint32_t n_after = f->head.n_next;
    bool is_cut = i + 1 < ki->n_names && n_after < n_before;
    if (rc == 0 && n_after > 1)
        rc = index_writer_sync(f, e);
    index_writer_close(f);
    if (rc < 0)
        return rc;
    if (is_marked && n_after < ki->mark.n_next)
        ki->mark = (struct key_index_mark){0};
    ki->n_settled = i + 1;
    if (n_after <= 1)
        return drop_from(ki, i, e);
    return is_cut ? drop_from(ki, i + 1, e) : 0;
}

int key_index_settle(struct key_index *ki, bool *ret_more, uint64_t *ret_from, struct err *e)
{
    int rc = ki->n_settled < ki->n_names ? settle_one(ki, e) : open_last(ki, e);
    if (rc == ERR_CORRUPT || rc == ERR_IO) /* it went bad under us: what it had is indexed again */
        rc = drop_from(ki, ki->n_settled < ki->n_names ? ki->n_settled : ki->n_names - 1, e);
    if (rc < 0)
        return err_wrap(e, "settle the index");
    *ret_more = ki->n_settled < ki->n_names || (ki->n_names > 0 && !ki->active);
    *ret_from = choose_from(ki);
    return 0;
}

/* ---- adding ---- */

/* The name of a file made now: the local time to the millisecond, later than the one before. */
static uint64_t new_name(const struct key_index *ki)
{
    uint64_t ms = ki->io->now_ms(ki->io);
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm = {0};
    (void)localtime_r(&seconds, &tm); /* fails only for years that do not fit */
    uint64_t name = (uint64_t)tm.tm_year + 1900;
    const int parts[] = {tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        name = name * 100 + (uint64_t)parts[i];
    name = name * 1000 + ms % 1000;
    uint64_t last = ki->n_names > 0 ? ki->names[ki->n_names - 1] : 0;
    return name > last ? name : last + 1;
}

/* Leaves the full file, durable, for a new one. */
static int roll(struct key_index *ki, uint64_t log_off, struct err *e)
{
    struct index_writer *f;
    struct index_spec spec = spec_of(ki, new_name(ki));
    int rc = ki->active ? key_index_sync(ki, log_off, e) : io_make_dirs(ki->io, ki->folder, e);
    if (rc == 0)
        rc = index_writer_create(&f, &spec, ki->active ? &ki->active->head : NULL, e);
    if (rc < 0)
        return rc;
    rc = add_name(&ki->names, &ki->n_names, spec.name, e);
    if (rc < 0) {
        index_writer_close(f);
        return rc;
    }
    ki->n_settled = ki->n_names;
    index_writer_close(ki->active);
    ki->active = f;
    return 0;
}

static int put_key(struct key_index *ki, const struct store_record *rec, uint32_t hash,
                   struct err *e)
{
    int rc = 0;
    if (!ki->active || index_writer_room(ki->active) == 0)
        rc = roll(ki, rec->log_off, e);
    if (rc == 0)
        rc = index_writer_put(ki->active, hash, rec->log_off, rec->store_ms, e);
    if (rc == 0 && ++ki->n_unrelaxed >= RELAX_ITEMS)
        key_index_relax(ki);
    return rc;
}

int key_index_put(struct key_index *ki, const struct store_record *rec, struct err *e)
{
    bool is_pending = ki->n_pending > 0 && ki->pending_off == rec->log_off;
    if (!is_pending && ki->has_items && rec->log_off <= ki->last_log_off)
        return 0;
    unsigned n_skip = is_pending ? ki->n_pending : 0, n_done = 0;
    struct index_keys keys = index_keys_of(rec);
    const uint32_t n_keys = index_keys_count(keys);
    const int32_t topic_hash = n_keys > 0 ? index_hash_topic(rec->topic) : 0;
    struct span key;
    int rc = 0;
    /* a record's keys stay together, so that a mark is between records */
    if (!is_pending && n_keys > 1 && ki->active && index_writer_room(ki->active) < n_keys)
        rc = roll(ki, rec->log_off, e);
    for (; rc == 0 && index_keys_next(&keys, &key); n_done += rc == 0)
        if (n_done >= n_skip)
            rc = put_key(ki, rec, index_hash_key(topic_hash, key), e);
    if (n_done > 0) {
        ki->has_items = true;
        ki->last_log_off = rec->log_off;
    }
    ki->pending_off = rec->log_off;
    ki->n_pending = rc < 0 ? n_done : 0;
    return rc < 0 ? err_wrap(e, "index record %" PRIu64, rec->log_off) : 0;
}

int key_index_sync(struct key_index *ki, uint64_t log_off, struct err *e)
{
    struct key_index_mark mark = {.log_off = log_off};
    if (ki->active) {
        int rc = index_writer_sync(ki->active, e);
        if (rc < 0)
            return rc;
        mark.name = ki->active->name;
        mark.n_next = ki->active->head.n_next;
        mark.end_ms = ki->active->head.end_ms;
    }
    ki->mark = mark;
    return 0;
}

void key_index_relax(struct key_index *ki)
{
    if (ki->active && ki->n_unrelaxed > 0)
        index_writer_relax(ki->active);
    ki->n_unrelaxed = 0;
}
