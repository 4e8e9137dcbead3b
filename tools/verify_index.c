/* Compares the key index with the keys of the records.
 *
 * While the log is walked, all keys that the index should hold are summed up, as numbers mixed from
 * hash and position; so are all items. Equal sums: the same keys. Only when they differ is each key
 * looked for, and each item's record looked at. RocketMQ 5.5 also indexes each tag; whether it did
 * is told by the sums too.
 *
 * The index may begin behind the log, after a rebuilding that did not reach back: what lies before
 * its first item is counted and no finding. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jhash.h"
#include "tools/index_file.h"
#include "tools/verify.h"

enum { NAME_DIGITS = 17 };

struct sum {
    uint64_t n, mixed;
};

struct verify_index {
    char **paths; /* in the order of their names */
    size_t n_files;
    uint64_t begin, end;    /* log_off of the first and of the last item */
    struct sum items;       /* of the files */
    struct sum keys;        /* of the records within begin and end */
    struct sum tags;        /* of what RocketMQ 5.5 adds */
    uint64_t n_before;      /* keys of records before the first item */
    uint64_t n_behind;      /* keys of records behind the last item */
    struct index_file file; /* the one being read */
};

/* ---- keys ---- */

/* Hash of `topic#key`, or of `topic#T#tag`, as items have it. */
static uint32_t hash_of(struct span topic, const char *mid, struct span key)
{
    int32_t h = jhash_more(jhash_more(jhash(topic), span_str(mid)), key);
    return h == INT32_MIN ? 0 : (uint32_t)(h < 0 ? -h : h);
}

static uint64_t mix(uint32_t hash, uint64_t log_off)
{
    uint64_t x =
        log_off * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)hash * UINT64_C(0xc2b2ae3d27d4eb4f);
    x ^= x >> 29;
    return x * UINT64_C(0xbf58476d1ce4e5b9);
}

static void add(struct sum *s, uint32_t hash, uint64_t log_off)
{
    s->n++;
    s->mixed += mix(hash, log_off);
}

static bool is_equal(const struct sum *items, const struct sum *a, const struct sum *b)
{
    return items->n == a->n + b->n && items->mixed == a->mixed + b->mixed;
}

/* Calls `fn` with the hash of each key of a record: the unique one and the words of KEYS. A rolled
 * back half has none. */
typedef int (*key_fn)(void *arg, const struct store_record *rec, uint32_t hash, struct err *e);

static int each_key(const struct store_record *rec, key_fn fn, void *arg, struct err *e)
{
    struct span value;
    int rc = 0;
    if ((rec->sys_flag & STORE_SYSFLAG_TRANSACTION_MASK) == STORE_SYSFLAG_ROLLBACK)
        return 0;
    if (store_property_get(rec->properties, "UNIQ_KEY", &value))
        rc = fn(arg, rec, hash_of(rec->topic, "#", value), e);
    if (!store_property_get(rec->properties, "KEYS", &value))
        return rc;
    while (rc == 0 && value.len > 0) {
        const uint8_t *blank = memchr(value.ptr, ' ', value.len);
        size_t n = blank ? (size_t)(blank - value.ptr) : value.len, used = blank ? n + 1 : n;
        if (n > 0)
            rc = fn(arg, rec, hash_of(rec->topic, "#", span_of(value.ptr, n)), e);
        value = span_of(value.ptr + used, value.len - used);
    }
    return rc;
}

static int count_key(void *arg, const struct store_record *rec, uint32_t hash, struct err *e)
{
    struct verify_index *x = arg;
    (void)e;
    if (rec->log_off < x->begin)
        x->n_before++;
    else if (rec->log_off > x->end)
        x->n_behind++;
    else
        add(&x->keys, hash, rec->log_off);
    return 0;
}

void verify_index_add(struct verify *v, const struct store_record *rec)
{
    struct verify_index *x = v->index;
    struct span tag;
    struct err e;
    if (!x)
        return;
    (void)each_key(rec, count_key, x, &e); /* count_key cannot fail */
    bool is_rolled_back =
        (rec->sys_flag & STORE_SYSFLAG_TRANSACTION_MASK) == STORE_SYSFLAG_ROLLBACK;
    if (!is_rolled_back && rec->log_off >= x->begin && rec->log_off <= x->end &&
        store_property_get(rec->properties, "TAGS", &tag))
        add(&x->tags, hash_of(rec->topic, "#T#", tag), rec->log_off);
}

/* ---- files ---- */

static int is_index_name(const struct dirent *entry)
{
    return strlen(entry->d_name) == NAME_DIGITS &&
           strspn(entry->d_name, "0123456789") == (size_t)NAME_DIGITS;
}

static int list_files(struct verify_index *x, const char *root, struct err *e)
{
    char dir[PATH_MAX];
    struct dirent **names;
    (void)snprintf(dir, sizeof dir, "%s/index", root);
    int n = scandir(dir, &names, is_index_name, alphasort), rc = 0;
    if (n < 0)
        return errno == ENOENT ? 0 : err_sys(e, errno, "open folder '%s'", dir);
    x->paths = calloc((size_t)n + 1, sizeof *x->paths);
    for (int i = 0; i < n; i++) {
        if (x->paths && asprintf(&x->paths[x->n_files], "%s/%s", dir, names[i]->d_name) >= 0)
            x->n_files++;
        else
            rc = err_set(e, ERR_NOMEM, "list the files of the index");
        free(names[i]);
    }
    free(names);
    return rc;
}

/* Reads one file's items; those that cannot be are findings. */
static int read_items(struct verify *v, const char *path, struct err *e)
{
    struct verify_index *x = v->index;
    struct verify_at at = {.file = path};
    for (uint32_t n = 1; n < x->file.n_items; n++) {
        struct store_index_item item;
        bool is_item;
        int rc = index_file_item(&x->file, n, &item, &is_item, e);
        if (rc < 0)
            return err_wrap(e, "read index '%s'", path);
        if (!is_item || item.prev >= n) {
            verify_finding(v, "index-item", &at, "item %" PRIu32 " holds numbers that cannot be",
                           n);
            continue;
        }
        v->n_items++;
        if (x->items.n == 0 || item.log_off < x->begin)
            x->begin = item.log_off;
        if (item.log_off > x->end)
            x->end = item.log_off;
        add(&x->items, item.hash, item.log_off);
    }
    return 0;
}

/* Calls `fn` for each file that can be opened; `tell` says whether another is a finding. */
typedef int (*index_fn)(struct verify *v, const char *path, struct err *e);

static int each_file(struct verify *v, index_fn fn, bool tell, struct err *e)
{
    struct verify_index *x = v->index;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < x->n_files; i++) {
        struct verify_at at = {.file = x->paths[i]};
        rc = index_file_open(&x->file, x->paths[i], 0, v->io, e);
        if (rc == ERR_CORRUPT) {
            if (tell)
                verify_finding(v, "index-file", &at, "%s", e->msg);
            rc = 0;
            continue;
        }
        if (rc < 0)
            return rc;
        rc = fn(v, x->paths[i], e);
        index_file_close(&x->file);
    }
    return rc;
}

int verify_index_open(struct verify *v, struct err *e)
{
    v->index = calloc(1, sizeof *v->index);
    if (!v->index)
        return err_set(e, ERR_NOMEM, "read the index");
    v->index->file.file.fd = -1;
    int rc = list_files(v->index, v->root, e);
    if (rc < 0)
        return rc;
    v->n_index_files = v->index->n_files;
    rc = each_file(v, read_items, true, e);
    if (rc == 0 && v->index->n_files == 0)
        verify_index_close(v);
    return rc;
}

void verify_index_close(struct verify *v)
{
    struct verify_index *x = v->index;
    if (!x)
        return;
    index_file_close(&x->file);
    for (size_t i = 0; i < x->n_files; i++)
        free(x->paths[i]);
    free(x->paths);
    free(x);
    v->index = NULL;
}

/* ---- where the sums differ ---- */

struct search {
    struct verify *v;
    uint32_t hash;
    uint64_t log_off;
    bool found;
};

/* Follows the chain of a hash in the open file. */
static int search_file(struct search *s, struct err *e)
{
    struct index_file *f = &s->v->index->file;
    uint32_t n = 0;
    int rc = index_file_slot(f, s->hash % f->n_slots, &n, e);
    while (rc == 0 && !s->found && n > 0 && n < f->n_items) {
        struct store_index_item item;
        bool is_item = false;
        rc = index_file_item(f, n, &item, &is_item, e);
        if (rc < 0 || !is_item || item.prev >= n)
            break;
        s->found = item.hash == s->hash && item.log_off == s->log_off;
        n = item.prev;
    }
    return rc;
}

static int search_key(void *arg, const struct store_record *rec, uint32_t hash, struct err *e)
{
    struct verify *v = arg;
    struct verify_index *x = v->index;
    struct search s = {.v = v, .hash = hash, .log_off = rec->log_off};
    if (rec->log_off < x->begin || rec->log_off > x->end)
        return 0;
    int rc = 0;
    for (size_t i = x->n_files; rc == 0 && !s.found && i-- > 0;) {
        rc = index_file_open(&x->file, x->paths[i], 0, v->io, e);
        if (rc == ERR_CORRUPT) {
            rc = 0;
            continue;
        }
        if (rc == 0 && rec->log_off >= x->file.header.begin_log_off &&
            rec->log_off <= x->file.header.end_log_off)
            rc = search_file(&s, e);
        index_file_close(&x->file);
    }
    struct verify_at at = verify_at_record(rec);
    if (rc == 0 && !s.found)
        verify_finding(v, "no-item", &at,
                       "the index does not find it by its key with hash %" PRIu32, hash);
    return rc;
}

static int search_keys(struct verify *v, struct err *e)
{
    struct store_walk_item item = {.kind = STORE_WALK_RECORD};
    int rc = store_walk_seek(v->walk, v->index->begin, e);
    while (rc == 0 && item.kind != STORE_WALK_END && item.log_off <= v->index->end) {
        rc = store_walk_next(v->walk, &item, e);
        if (rc == 0 && item.kind == STORE_WALK_RECORD)
            rc = each_key(&item.rec, search_key, v, e);
    }
    return rc;
}

static int match_key(void *arg, const struct store_record *rec, uint32_t hash, struct err *e)
{
    struct search *s = arg;
    (void)rec;
    (void)e;
    s->found |= hash == s->hash;
    return 0;
}

static int look_for_record(struct verify *v, const char *path, const struct store_index_item *item,
                           struct err *e)
{
    struct search s = {.hash = item->hash};
    struct verify_at at = {.has_log_off = true, .log_off = item->log_off, .file = path};
    struct store_walk_item found;
    struct span tag;
    if (verify_is_lost(v, item->log_off)) {
        v->n_lost_items++;
        return 0;
    }
    int rc = store_walk_look(v->look, item->log_off, &found, e);
    if (rc < 0)
        return rc;
    if (found.kind != STORE_WALK_RECORD) {
        verify_finding(v, "no-record", &at, "an index item points to no record: %s", found.why);
        return 0;
    }
    rc = each_key(&found.rec, match_key, &s, e);
    if (store_property_get(found.rec.properties, "TAGS", &tag))
        s.found |= hash_of(found.rec.topic, "#T#", tag) == item->hash;
    if (rc == 0 && !s.found)
        verify_finding(v, "no-record", &at,
                       "an index item has the hash %" PRIu32 ", which is no key of the record",
                       item->hash);
    return rc;
}

static int look_for_records(struct verify *v, const char *path, struct err *e)
{
    struct index_file *f = &v->index->file;
    uint64_t lost = UINT64_MAX; /* told already: a record has several keys */
    int rc = 0;
    for (uint32_t n = 1; rc == 0 && n < f->n_items; n++) {
        struct store_index_item item;
        bool is_item;
        uint64_t n_before = v->n_findings;
        rc = index_file_item(f, n, &item, &is_item, e);
        if (rc == 0 && is_item && item.log_off >= v->log_begin && item.log_off != lost)
            rc = look_for_record(v, path, &item, e);
        if (v->n_findings > n_before)
            lost = item.log_off;
    }
    return rc;
}

int verify_index_check(struct verify *v, struct err *e)
{
    static const struct sum none;
    const struct verify_index *x = v->index;
    if (!x)
        return 0;
    struct verify_at at = {.has_log_off = true, .log_off = x->end};
    if (x->n_behind > 0 && !v->is_live)
        verify_finding(v, "index-end", &at,
                       "the index ends here, and %" PRIu64 " keys of later records are not in it",
                       x->n_behind);
    if (is_equal(&x->items, &x->keys, &none) || is_equal(&x->items, &x->keys, &x->tags))
        return 0;
    int rc = search_keys(v, e);
    return rc < 0 ? rc : each_file(v, look_for_records, false, e);
}
