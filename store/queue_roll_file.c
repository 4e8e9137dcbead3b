/* The roll on disk. It is believed only when nothing can have changed since it was written: whoever
 * makes or removes a queue or a file of one changes the time of a folder, and whoever appends
 * changes the checkpoint. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/format.h"
#include "store/queue_roll.h"

enum { FILE_MAX = 256 << 20, PATH_BYTES = 4096 };

static int name_it(const struct consume_queues *t, char **ret_path, struct err *e)
{
    size_t root_len = strlen(t->folder) - strlen("/" FORMAT_DIR_QUEUES);
    if (asprintf(ret_path, "%.*s/" QUEUE_ROLL_FILE, (int)root_len, t->folder) < 0)
        return err_set(e, ERR_NOMEM, "name the roll of queues");
    return 0;
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* When the folders of queues and their topics changed; a topic's is looked at once in a row. */
struct looks {
    struct io *io;
    const char *folder;
    uint8_t topic[FORMAT_TOPIC_MAX];
    size_t topic_len;
    struct timespec topic_changed;
};

static int look_at_topic(struct looks *l, struct span topic)
{
    char path[PATH_BYTES];
    if (span_equal(topic, span_of(l->topic, l->topic_len)))
        return 0;
    (void)snprintf(path, sizeof path, "%s/%.*s", l->folder, (int)topic.len,
                   (const char *)topic.ptr);
    memcpy(l->topic, topic.ptr, topic.len); /* a topic that can be is no longer */
    l->topic_len = topic.len;
    return l->io->changed(l->io, path, &l->topic_changed);
}

static int look_at_queue(const struct looks *l, struct span topic, int32_t queue_id,
                         struct timespec *ret)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%.*s/%d", l->folder, (int)topic.len,
                   (const char *)topic.ptr, (int)queue_id);
    return l->io->changed(l->io, path, ret);
}

/* ---- writing ---- */

static int compare_topics(const void *a, const void *b)
{
    const struct consume_queue *x = *(const struct consume_queue *const *)a;
    const struct consume_queue *y = *(const struct consume_queue *const *)b;
    return strcmp((const char *)x->topic.ptr, (const char *)y->topic.ptr);
}

static int add_queue(struct queue_roll *r, struct looks *l, const struct consume_queue *q,
                     struct err *e)
{
    struct queue_roll_item item = {
        .topic = q->topic,
        .queue_id = q->queue_id,
        .ends = {.min_off = atomic_load_explicit(&q->min_off, memory_order_acquire),
                 .end_off = consume_queue_end(q),
                 .last = q->last}};
    int rc = look_at_queue(l, q->topic, q->queue_id, &item.changed);
    if (rc == -ENOENT && item.ends.end_off == 0)
        return 0; /* nothing was ever written to it */
    if (rc == 0)
        rc = look_at_topic(l, q->topic);
    if (rc < 0)
        return err_sys(e, -rc, "look at the folder of a queue");
    item.topic_changed = l->topic_changed;
    return queue_roll_add(r, &item, e);
}

static int add_all(struct queue_roll *r, struct consume_queues *t, struct err *e)
{
    struct queue_list list;
    struct looks looks = {.io = t->io, .folder = t->folder};
    int rc = consume_queues_list(t, (struct span){0}, &list, e);
    if (rc < 0)
        return rc;
    qsort(list.queues, list.n, sizeof(struct consume_queue *), compare_topics);
    for (size_t i = 0; rc == 0 && i < list.n; i++)
        rc = add_queue(r, &looks, list.queues[i], e);
    queue_list_fini(&list);
    return rc;
}

int queue_roll_write(struct consume_queues *t, const struct store_checkpoint *cp, struct err *e)
{
    struct queue_roll r = {0};
    struct queue_roll_head head = {.cp = *cp, .file_bytes = t->file_bytes};
    char *path = NULL;
    int rc = t->io->changed(t->io, t->folder, &head.changed);
    if (rc < 0) /* there is no queue yet */
        return rc == -ENOENT ? 0 : err_sys(e, -rc, "look at '%s'", t->folder);
    rc = queue_roll_begin(&r, &head, e);
    if (rc == 0)
        rc = add_all(&r, t, e);
    if (rc == 0)
        rc = queue_roll_end(&r, e);
    if (rc == 0)
        rc = name_it(t, &path, e);
    if (rc == 0)
        rc = io_replace_file(t->io, path, r.bytes, r.len, /* keep_bak = */ false, e);
    free(path);
    queue_roll_fini(&r);
    return rc;
}

/* ---- taking over ---- */

struct taking {
    struct consume_queues *t;
    struct looks looks;
    bool is_unchanged;
};

static int check_item(void *arg, const struct queue_roll_item *item, struct err *e)
{
    struct taking *k = arg;
    struct timespec changed = {0};
    (void)e;
    if (k->is_unchanged && look_at_topic(&k->looks, item->topic) == 0 &&
        look_at_queue(&k->looks, item->topic, item->queue_id, &changed) == 0 &&
        is_same_time(&changed, &item->changed) &&
        is_same_time(&k->looks.topic_changed, &item->topic_changed))
        return 0;
    k->is_unchanged = false;
    return 0;
}

static int enter_item(void *arg, const struct queue_roll_item *item, struct err *e)
{
    struct taking *k = arg;
    struct consume_queue *q = NULL;
    int rc = consume_queues_get_or_make(k->t, item->topic, item->queue_id, &q, e);
    if (rc < 0)
        return rc;
    consume_queue_believe(q, &item->ends);
    consume_queue_unref(q);
    return 0;
}

static bool is_same_checkpoint(const struct store_checkpoint *a, const struct store_checkpoint *b)
{
    return a->log_ms == b->log_ms && a->queue_ms == b->queue_ms && a->queue_off == b->queue_off &&
           a->n_queues == b->n_queues && a->n_entries == b->n_entries && a->n_queues > 0;
}

/* Whether all of the roll is as it was. */
static bool is_current(struct consume_queues *t, struct span file,
                       const struct store_checkpoint *cp)
{
    struct queue_roll_head head;
    struct timespec changed = {0};
    struct err e;
    struct taking k = {.t = t, .looks = {.io = t->io, .folder = t->folder}, .is_unchanged = true};
    return queue_roll_parse(file, &head, check_item, &k, &e) == 0 && k.is_unchanged &&
           head.file_bytes == t->file_bytes && is_same_checkpoint(&head.cp, cp) &&
           t->io->changed(t->io, t->folder, &changed) == 0 && is_same_time(&changed, &head.changed);
}

static int remove_at(struct consume_queues *t, const char *path, struct err *e)
{
    int rc = t->io->unlink(t->io, path);
    return rc < 0 && rc != -ENOENT ? err_sys(e, -rc, "remove '%s'", path) : 0;
}

int queue_roll_remove(struct consume_queues *t, struct err *e)
{
    char *path;
    int rc = name_it(t, &path, e);
    if (rc < 0)
        return rc;
    rc = remove_at(t, path, e);
    free(path);
    return rc;
}

int queue_roll_take(struct consume_queues *t, const struct store_checkpoint *cp, bool *ret_taken,
                    struct err *e)
{
    char *path;
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct err ignored; /* without it the queues are loaded */
    int rc = name_it(t, &path, e);
    if (rc < 0)
        return rc;
    bool is_there = io_read_file(t->io, path, FILE_MAX, &bytes, &len, &ignored) == 0;
    rc = remove_at(t, path, e);
    free(path);
    bool is_taken = rc == 0 && is_there && is_current(t, span_of(bytes, len), cp);
    if (is_taken) {
        struct queue_roll_head head;
        struct taking k = {.t = t};
        rc = queue_roll_parse(span_of(bytes, len), &head, enter_item, &k, e);
    }
    free(bytes);
    if (rc == 0)
        *ret_taken = is_taken;
    return rc;
}
