/* Finds messages by key, by unique key and by position.
 *
 * Everything is read through files, also in a store that is open: what its writer has mapped is the
 * same page cache, and a look-up of old messages costs the writer neither page-table entries nor
 * read-ahead. The index proposes positions; the record decides. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/format.h"
#include "store/index_format.h"
#include "store/index_search.h"
#include "store/record.h"
#include "store/store.h"

enum {
    ITEMS_MAX = 1000000, /* looked at unless asked for less: a second, where they are cached */
    ID_V4_DIGITS = 2 * (4 + 4 + 8),
    ID_V6_DIGITS = 2 * (16 + 4 + 8),
};

struct store_find {
    struct io *io;
    char *folder; /* of the index */
    uint32_t n_slots;
    struct store_walk *walk;
};

int store_find_open(struct store_find **ret_find, const char *root, uint32_t index_slots,
                    struct io *io, struct err *e)
{
    struct store_find *f = calloc(1, sizeof *f);
    if (!f || asprintf(&f->folder, "%s/" FORMAT_DIR_INDEX, root) < 0) {
        free(f);
        return err_set(e, ERR_NOMEM, "look into '%s'", root);
    }
    f->io = io;
    f->n_slots = index_slots ? index_slots : STORE_INDEX_SLOTS;
    int rc = store_walk_open(&f->walk, root, /* file_bytes = */ 0, io, e);
    if (rc < 0) {
        store_find_close(f);
        return rc;
    }
    *ret_find = f;
    return 0;
}

void store_find_close(struct store_find *f)
{
    if (!f)
        return;
    store_walk_close(f->walk);
    free(f->folder);
    free(f);
}

/* ---- by position ---- */

int store_find_at(struct store_find *f, uint64_t log_off, struct store_walk_item *ret,
                  struct err *e)
{
    struct store_walk_item item;
    int rc = store_walk_look(f->walk, log_off, &item, e);
    if (rc < 0)
        return rc;
    if (item.kind != STORE_WALK_RECORD)
        return err_set(e, ERR_NOTFOUND, "find a message at %" PRIu64 ": %s", log_off, item.why);
    *ret = item;
    return 0;
}

int store_item_decode(struct span record, struct store_walk_item *ret, struct err *e)
{
    struct store_walk_item item = {.kind = STORE_WALK_RECORD};
    const char *why = "it is cut";
    if (record_decode(record, RECORD_OFF_UNKNOWN, &item.rec, &why) != RECORD_OK)
        return err_set(e, ERR_CORRUPT, "decode a record: %s", why);
    item.log_off = item.rec.log_off;
    item.len = item.rec.size;
    item.body_ok = store_body_check(&item.rec, /* ret_crc = */ NULL);
    *ret = item;
    return 0;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool store_parse_id(struct span text, struct store_host *ret_host, uint64_t *ret_log_off)
{
    uint8_t bytes[ID_V6_DIGITS / 2];
    if (text.len != ID_V4_DIGITS && text.len != ID_V6_DIGITS)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_value(text.ptr[i]), low = hex_value(text.ptr[i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i / 2] = (uint8_t)(high << 4 | low);
    }
    struct store_host host = {.addr_len = text.len == ID_V4_DIGITS ? 4 : 16};
    memcpy(host.addr, bytes, host.addr_len);
    host.port = be32_get(bytes + host.addr_len);
    uint64_t log_off = be64_get(bytes + host.addr_len + 4);
    if (log_off > INT64_MAX)
        return false;
    *ret_host = host;
    *ret_log_off = log_off;
    return true;
}

/* ---- by key ---- */

struct lookup {
    struct store_find *f;
    const struct store_query *q;
    uint64_t end_ms;
    store_found_fn fn;
    void *arg;
};

/* Whether the record has the key, as what it was asked for. */
static bool has_key(const struct store_record *rec, const struct store_query *q)
{
    struct index_keys keys = index_keys_of(rec);
    struct span key;
    if (q->by != STORE_FIND_BY_KEY)
        return span_equal(keys.unique, q->key);
    keys.unique.len = 0;
    while (index_keys_next(&keys, &key))
        if (span_equal(key, q->key))
            return true;
    return false;
}

static bool is_wanted(const struct lookup *l, const struct store_record *rec)
{
    bool is_of_topic = l->q->topic.len == 0 || span_equal(rec->topic, l->q->topic);
    return is_of_topic && rec->store_ms >= l->q->begin_ms && rec->store_ms <= l->end_ms;
}

static int take(void *arg, uint64_t log_off, struct err *e)
{
    struct lookup *l = arg;
    struct store_walk_item item;
    int rc = store_walk_look(l->f->walk, log_off, &item, e);
    if (rc < 0)
        return rc;
    if (item.kind != STORE_WALK_RECORD || !is_wanted(l, &item.rec) || !has_key(&item.rec, l->q))
        return 0; /* of another key, deleted, or damaged */
    return l->fn(l->arg, &item) ? 1 : 0;
}

static bool is_same_host(const struct store_host *a, const struct store_host *b)
{
    return a->addr_len == b->addr_len && memcmp(a->addr, b->addr, a->addr_len) == 0 &&
           a->port == b->port;
}

/* The record at the position that an id tells, when it was stored by the host that it tells. */
static int take_by_id(struct lookup *l, bool *ret_found, struct err *e)
{
    struct store_host host;
    uint64_t log_off;
    struct store_walk_item item;
    *ret_found = false;
    if (!store_parse_id(l->q->key, &host, &log_off))
        return 0;
    int rc = store_walk_look(l->f->walk, log_off, &item, e);
    if (rc < 0 || item.kind != STORE_WALK_RECORD || !is_same_host(&item.rec.store_host, &host) ||
        !is_wanted(l, &item.rec))
        return rc;
    *ret_found = true;
    (void)l->fn(l->arg, &item); /* there is no other, so it ends anyway */
    return 0;
}

int store_query(struct store_find *f, const struct store_query *q, store_found_fn fn, void *arg,
                enum store_query_end *ret_end, struct err *e)
{
    struct lookup l = {
        .f = f, .q = q, .end_ms = q->end_ms ? q->end_ms : UINT64_MAX, .fn = fn, .arg = arg};
    const struct index_search s = {
        .io = f->io,
        .folder = f->folder,
        .n_slots = f->n_slots,
        .hash = index_hash(q->topic, q->key),
        .begin_ms = q->begin_ms,
        .end_ms = l.end_ms,
        .below_log_off = q->below_log_off ? q->below_log_off : UINT64_MAX,
        .max_items = q->max_items ? q->max_items : ITEMS_MAX,
    };
    if (q->key.len == 0 || (q->topic.len == 0 && q->by != STORE_FIND_BY_ID))
        return err_set(e, ERR_INVAL, "find a message without a topic or a key");
    enum index_search_end end = INDEX_SEARCH_ALL;
    bool is_found = false;
    int rc = q->by == STORE_FIND_BY_ID ? take_by_id(&l, &is_found, e) : 0;
    if (rc == 0 && !is_found && q->topic.len > 0)
        rc = index_search(&s, take, &l, &end, e);
    if (rc == 0)
        *ret_end = end == INDEX_SEARCH_ALL       ? STORE_QUERY_ALL
                   : end == INDEX_SEARCH_STOPPED ? STORE_QUERY_STOPPED
                                                 : STORE_QUERY_LIMIT;
    return rc;
}
