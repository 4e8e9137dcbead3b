/* The table of consume queues. Every user of a queue holds a reference, so one that is dropped
 * stays in memory until its last reader has left. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/consume_queues.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/format.h"
#include "store/reclaimer.h"
#include "store/record.h"

enum { KEY_MAX = FORMAT_TOPIC_MAX + 4, TAILS_MAX = QUEUE_MAPS_MAX / 4 };

#define BATCH_FOLDER "batchconsumequeue"

struct key {
    uint8_t bytes[KEY_MAX];
    size_t len;
};

/* False when no such queue can be: the topic is too long. */
static bool make_key(struct key *k, struct span topic, int32_t queue_id)
{
    if (topic.len == 0 || topic.len > FORMAT_TOPIC_MAX)
        return false;
    memcpy(k->bytes, topic.ptr, topic.len);
    be32_put(k->bytes + topic.len, (uint32_t)queue_id);
    k->len = topic.len + 4;
    return true;
}

int consume_queues_init(struct consume_queues *t, struct io *io, const char *root,
                        uint64_t file_bytes, struct reclaimer *reclaimer, struct err *e)
{
    char *folder;
    if (asprintf(&folder, "%s/" FORMAT_DIR_QUEUES, root) < 0)
        return err_set(e, ERR_NOMEM, "describe the queues of '%s'", root);
    *t = (struct consume_queues){
        .io = io, .folder = folder, .file_bytes = file_bytes, .reclaimer = reclaimer};
    lock_init(&t->lock, LOCK_QUEUES);
    queue_maps_init(&t->maps, QUEUE_MAPS_MAX, &reclaimer->worker);
    return 0;
}

static struct consume_queue *take_dirty(struct consume_queues *t)
{
    return atomic_exchange_explicit(&t->dirty, NULL,
                                    memory_order_acquire); /* pairs with note_dirty */
}

static void drop_first_tail(struct consume_queues *t)
{
    struct consume_queue *q = t->first_tail;
    t->first_tail = q->next_tail;
    t->last_tail = t->first_tail ? t->last_tail : NULL;
    t->n_tails--;
    q->has_tail = false;
    mapped_file_unpin(q->tail);
    q->tail = NULL;
    consume_queue_unref(q);
}

void consume_queues_note_tail(struct consume_queues *t, struct consume_queue *q)
{
    if (q->has_tail)
        return;
    q->has_tail = true;
    q->next_tail = NULL;
    consume_queue_ref(q);
    if (t->last_tail)
        t->last_tail->next_tail = q;
    else
        t->first_tail = q;
    t->last_tail = q;
    if (++t->n_tails > TAILS_MAX)
        drop_first_tail(t);
}

void consume_queues_fini(struct consume_queues *t)
{
    if (!t->folder)
        return;
    for (struct consume_queue *q = take_dirty(t), *next; q; q = next) {
        next = q->next_dirty;
        consume_queue_unref(q);
    }
    while (t->first_tail)
        drop_first_tail(t);
    queue_maps_fini(&t->maps);
    size_t pos = 0;
    for (const struct map_entry *at; (at = map_next(&t->queues, &pos));)
        consume_queue_unref(at->value);
    map_fini(&t->queues);
    map_fini(&t->batch_topics);
    pos = 0;
    for (const struct map_entry *at; (at = map_next(&t->deleted, &pos));)
        free(at->value);
    map_fini(&t->deleted);
    free(t->folder);
    lock_fini(&t->lock);
    *t = (struct consume_queues){0};
}

/* ---- look-up ---- */

struct consume_queue *consume_queues_get(struct consume_queues *t, struct span topic,
                                         int32_t queue_id)
{
    struct key k;
    if (!make_key(&k, topic, queue_id))
        return NULL;
    lock_take(&t->lock);
    struct consume_queue *q = map_get(&t->queues, span_of(k.bytes, k.len));
    if (q)
        consume_queue_ref(q);
    lock_drop(&t->lock);
    return q;
}

static int make_queue(struct consume_queues *t, struct span topic, int32_t queue_id,
                      struct consume_queue **ret_q, struct err *e)
{
    char *folder;
    if (asprintf(&folder, "%s/%.*s/%" PRId32, t->folder, (int)topic.len, (const char *)topic.ptr,
                 queue_id) < 0)
        return err_set(e, ERR_NOMEM, "describe queue %" PRId32, queue_id);
    int rc =
        consume_queue_new(ret_q, topic, queue_id, folder, t->file_bytes, t->io, t->reclaimer, e);
    free(folder);
    if (rc == 0)
        (*ret_q)->maps = &t->maps;
    return rc;
}

/* Puts `*q` into the table, or replaces it by the one that came before it. Takes over the caller's
 * reference; the table's own is added. */
static int enter(struct consume_queues *t, const struct key *k, struct consume_queue **q,
                 struct err *e)
{
    int rc = 0;
    lock_take(&t->lock);
    struct consume_queue *present = map_get(&t->queues, span_of(k->bytes, k->len));
    if (!present)
        rc = map_put(&t->queues, span_of(k->bytes, k->len), *q, e);
    if (rc == 0)
        consume_queue_ref(present ? present : *q);
    lock_drop(&t->lock);
    if (present || rc < 0)
        consume_queue_unref(*q);
    if (present)
        *q = present;
    return rc;
}

int consume_queues_get_or_make(struct consume_queues *t, struct span topic, int32_t queue_id,
                               struct consume_queue **ret_q, struct err *e)
{
    struct consume_queue *q = consume_queues_get(t, topic, queue_id);
    if (!q) {
        struct key k;
        if (queue_id < 0 || !record_topic_is_safe(topic) || !make_key(&k, topic, queue_id))
            return err_set(e, ERR_INVAL, "open queue %" PRId32 " of '%.*s'", queue_id,
                           (int)topic.len, (const char *)topic.ptr);
        int rc = make_queue(t, topic, queue_id, &q, e);
        if (rc < 0)
            return rc;
        rc = enter(t, &k, &q, e);
        if (rc < 0)
            return rc;
    }
    *ret_q = q;
    return 0;
}

bool consume_queues_is_batch(const struct consume_queues *t, struct span topic)
{
    return t->batch_topics.n_used > 0 && map_get(&t->batch_topics, topic) != NULL;
}

int consume_queues_note_deleted(struct consume_queues *t, const char *topic, uint64_t below_log_off,
                                struct err *e)
{
    uint64_t *below = map_get(&t->deleted, span_str(topic));
    if (below) {
        *below = below_log_off;
        return 0;
    }
    below = malloc(sizeof *below);
    if (!below)
        return err_set(e, ERR_NOMEM, "note that topic '%s' was deleted", topic);
    *below = below_log_off;
    int rc = map_put(&t->deleted, span_str(topic), below, e);
    if (rc < 0)
        free(below);
    return rc;
}

bool consume_queues_is_deleted(const struct consume_queues *t, struct span topic, uint64_t log_off)
{
    if (t->deleted.n_used == 0)
        return false;
    const uint64_t *below = map_get(&t->deleted, topic);
    return below && log_off < *below;
}

size_t consume_queues_count(struct consume_queues *t)
{
    lock_take(&t->lock);
    size_t n = t->queues.n_used;
    lock_drop(&t->lock);
    return n;
}

void consume_queues_totals(struct consume_queues *t, uint64_t *ret_queues, uint64_t *ret_entries)
{
    *ret_queues = *ret_entries = 0;
    size_t pos = 0;
    lock_take(&t->lock);
    for (const struct map_entry *at; (at = map_next(&t->queues, &pos));) {
        struct consume_queue *q = at->value;
        uint64_t end = atomic_load_explicit(&q->end_off, memory_order_acquire);
        *ret_queues += end > 0;
        *ret_entries += end;
    }
    lock_drop(&t->lock);
}

/* Stored by one thread at a time. */
static void add_to(_Atomic uint64_t *count, uint64_t n)
{
    uint64_t before = atomic_load_explicit(count, memory_order_relaxed); /* our own */
    atomic_store_explicit(count, before + n, memory_order_release);      /* see dispatcher_mark */
}

static void count_as(struct consume_queues *t, struct consume_queue *q, uint64_t end)
{
    add_to(&t->n_entries, end - q->counted_off);
    if ((end > 0) != (q->counted_off > 0))
        add_to(&t->n_filled, end > 0 ? 1 : UINT64_MAX); /* or one less */
    q->counted_off = end;
}

void consume_queues_count_in(struct consume_queues *t, struct consume_queue *q)
{
    count_as(t, q, consume_queue_end(q));
}

void consume_queues_count_out(struct consume_queues *t, struct consume_queue *q)
{
    count_as(t, q, 0);
}

void consume_queues_counted(const struct consume_queues *t, uint64_t *ret_queues,
                            uint64_t *ret_entries)
{
    *ret_queues = atomic_load_explicit(&t->n_filled, memory_order_acquire); /* pairs with add_to */
    *ret_entries = atomic_load_explicit(&t->n_entries, memory_order_acquire);
}

int consume_queues_list(struct consume_queues *t, struct span topic, struct queue_list *ret,
                        struct err *e)
{
    struct queue_list l = {0};
    lock_take(&t->lock);
    l.queues = calloc(t->queues.n_used + 1, sizeof(struct consume_queue *));
    size_t pos = 0;
    for (const struct map_entry *at; l.queues && (at = map_next(&t->queues, &pos));) {
        struct consume_queue *q = at->value;
        if (topic.len > 0 && !span_equal(topic, q->topic))
            continue;
        consume_queue_ref(q);
        l.queues[l.n++] = q;
    }
    lock_drop(&t->lock);
    if (!l.queues)
        return err_set(e, ERR_NOMEM, "list the queues");
    *ret = l;
    return 0;
}

void queue_list_fini(struct queue_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        consume_queue_unref(l->queues[i]);
    free(l->queues);
    *l = (struct queue_list){0};
}

int consume_queues_drop(struct consume_queues *t, struct consume_queue *q, struct err *e)
{
    struct key k;
    if (!make_key(&k, q->topic, q->queue_id))
        return err_set(e, ERR_INVAL, "drop a queue without a name");
    lock_take(&t->lock);
    bool was_there = map_get(&t->queues, span_of(k.bytes, k.len)) == q;
    atomic_store_explicit(&q->is_gone, true, memory_order_release); /* see struct consume_queue */
    if (was_there)
        (void)map_remove(&t->queues, span_of(k.bytes, k.len)); /* it is q */
    lock_drop(&t->lock);
    if (!was_there)
        return 0;
    int rc = consume_queue_need_files(q, e);
    lock_take(&q->lock); /* old files are not removed meanwhile */
    if (rc == 0)
        rc = mapped_files_drop_from(&q->files, 0, e);
    lock_drop(&q->lock);
    if (rc == 0) {
        rc = t->io->rmdir(t->io, q->files.folder);
        rc = rc < 0 && rc != -ENOENT ? err_sys(e, -rc, "remove folder '%s'", q->files.folder) : 0;
    }
    consume_queue_unref(q);
    return rc;
}

/* ---- dirty queues ---- */

void consume_queues_note_dirty(struct consume_queues *t, struct consume_queue *q)
{
    /* when it was set, the flusher's exchange comes later and shows it the entry that we wrote */
    if (atomic_exchange_explicit(&q->is_dirty, true, memory_order_acq_rel))
        return;
    consume_queue_ref(q);
    q->next_dirty = atomic_load_explicit(&t->dirty, memory_order_relaxed); /* only to compare */
    while (!atomic_compare_exchange_weak_explicit(&t->dirty, &q->next_dirty, q,
                                                  memory_order_release, memory_order_relaxed))
        ;
}

int consume_queues_flush(struct consume_queues *t, uint64_t *ret_bytes, struct err *e)
{
    int rc = 0;
    for (struct consume_queue *q = take_dirty(t), *next; q; q = next) {
        uint64_t bytes = 0;
        next = q->next_dirty; /* before the exchange: then it is the dispatcher's again */
        (void)atomic_exchange_explicit(&q->is_dirty, false, memory_order_acq_rel);
        if (rc == 0) {
            rc = consume_queue_flush(q, &bytes, e);
            if (rc < 0 && consume_queue_is_gone(q))
                rc = 0; /* dropped meanwhile: nothing of it is left to flush */
        }
        *ret_bytes += bytes;
        consume_queue_unref(q);
    }
    return rc;
}

/* ---- loading ---- */

typedef int (*folder_fn)(struct consume_queues *t, const char *path, const char *name, void *arg,
                         struct err *e);

/* Calls `fn` for each sub-folder of `path`; an absent folder has none. */
static int each_folder(struct consume_queues *t, const char *path, folder_fn fn, void *arg,
                       struct err *e)
{
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? 0 : err_sys(e, errno, "list folder '%s'", path);
    int rc = 0;
    for (struct dirent *at; rc == 0 && (at = readdir(dir));) {
        char *sub;
        if (at->d_type != DT_DIR || !strcmp(at->d_name, ".") || !strcmp(at->d_name, ".."))
            continue;
        if (asprintf(&sub, "%s/%s", path, at->d_name) < 0) {
            rc = err_set(e, ERR_NOMEM, "list folder '%s'", path);
            break;
        }
        rc = fn(t, sub, at->d_name, arg, e);
        free(sub);
    }
    (void)closedir(dir);
    return rc;
}

static int parse_queue_id(const char *name, int32_t *ret_id)
{
    char *end;
    errno = 0;
    long id = strtol(name, &end, 10);
    if (errno != 0 || *end != '\0' || name[0] < '0' || name[0] > '9' || id > INT32_MAX)
        return -EINVAL;
    *ret_id = (int32_t)id;
    return 0;
}

struct load_topic {
    struct span topic;
    uint64_t below_log_off;
};

static int load_queue(struct consume_queues *t, const char *path, const char *name, void *arg,
                      struct err *e)
{
    const struct load_topic *lt = arg;
    int32_t queue_id;
    if (parse_queue_id(name, &queue_id) < 0)
        return err_set(e, ERR_CORRUPT, "load '%s': its name is not a queue id", path);
    struct consume_queue *q = NULL;
    int rc = consume_queues_get_or_make(t, lt->topic, queue_id, &q, e);
    if (rc < 0)
        return rc;
    rc = consume_queue_load(q, lt->below_log_off, e);
    if (consume_queue_is_cleared(q))
        consume_queues_note_dirty(t, q);
    queue_maps_trim(&t->maps); /* nobody else is here yet */
    consume_queue_unref(q);
    return rc;
}

static int load_topic(struct consume_queues *t, const char *path, const char *name, void *arg,
                      struct err *e)
{
    struct load_topic lt = {.topic = span_str(name), .below_log_off = *(const uint64_t *)arg};
    return each_folder(t, path, load_queue, &lt, e);
}

int consume_queues_note_batch(struct consume_queues *t, const char *topic, struct err *e)
{
    return map_put(&t->batch_topics, span_str(topic), t, e); /* any value: it is a set */
}

static int note_batch_topic(struct consume_queues *t, const char *path, const char *name, void *arg,
                            struct err *e)
{
    (void)path;
    (void)arg;
    return consume_queues_note_batch(t, name, e);
}

int consume_queues_find_batches(struct consume_queues *t, struct err *e)
{
    char *batch;
    size_t root_len = strlen(t->folder) - strlen("/" FORMAT_DIR_QUEUES);
    if (asprintf(&batch, "%.*s/" BATCH_FOLDER, (int)root_len, t->folder) < 0)
        return err_set(e, ERR_NOMEM, "list '%s'", t->folder);
    int rc = each_folder(t, batch, note_batch_topic, /* arg = */ NULL, e);
    free(batch);
    return rc;
}

int consume_queues_load(struct consume_queues *t, uint64_t below_log_off, struct err *e)
{
    return each_folder(t, t->folder, load_topic, &below_log_off, e);
}
