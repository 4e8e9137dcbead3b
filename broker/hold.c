/* Parked receives: topics, in each the groups that have waiters, in each their queue. A group
 * stands in the map only while it has waiters.
 *
 * H1: n_parked is the number of entries in all lists.
 * H2: an entry is in the list of parked_in, or parked_in is NULL.
 *
 * No wake-up is lost: a parker adds to n_parked before it looks into the store again; a notifier
 * reads n_parked, by a read-modify-write, after the arrival is in the store. Whichever comes second
 * in the order of that variable's changes sees what the other did. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/hold.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/lock.h"
#include "base/map.h"

struct hold_topic;

struct hold_group {
    struct hold_topic *topic;
    struct hold_group *prev, *next;  /* in its topic */
    struct hold_entry *first, *last; /* oldest first */
    size_t n_parked;
    size_t name_len;
    uint8_t name[];
};

struct hold_topic {
    struct hold_group *groups;
};

struct hold_table {
    size_t max_parked;
    size_t max_per_group;
    struct lock lock;  /* LOCK_HOLD */
    struct map topics; /* guarded by `lock`: name to struct hold_topic */
    /* atomic: changed under `lock` (acq_rel), read without it by hold_notify* (acq_rel, see above)
     */
    _Atomic size_t n_parked;
};

int hold_table_open(struct hold_table **ret_table, size_t max_parked, size_t max_per_group,
                    struct err *e)
{
    struct hold_table *t = calloc(1, sizeof *t);
    if (t == NULL)
        return err_set(e, ERR_NOMEM, "open parked receives");
    t->max_parked = max_parked;
    t->max_per_group = max_per_group;
    lock_init(&t->lock, LOCK_HOLD);
    *ret_table = t;
    return 0;
}

void hold_table_close(struct hold_table *t)
{
    if (t == NULL)
        return;
    assert(t->topics.n_used == 0);
    map_fini(&t->topics);
    lock_fini(&t->lock);
    free(t);
}

static struct hold_group *find_group(const struct hold_topic *topic, struct span name)
{
    if (topic == NULL)
        return NULL;
    struct hold_group *group = topic->groups;
    while (group != NULL && !span_equal(span_of(group->name, group->name_len), name))
        group = group->next;
    return group;
}

static struct hold_group *add_group(struct hold_topic *topic, struct span name)
{
    struct hold_group *group = calloc(1, sizeof *group + name.len);
    if (group == NULL)
        return NULL;
    group->topic = topic;
    group->name_len = name.len;
    if (name.len > 0)
        memcpy(group->name, name.ptr, name.len);
    group->next = topic->groups;
    if (group->next != NULL)
        group->next->prev = group;
    topic->groups = group;
    return group;
}

static struct hold_topic *add_topic(struct hold_table *t, struct span name, struct err *e)
{
    struct hold_topic *topic = calloc(1, sizeof *topic);
    if (topic == NULL) {
        (void)err_set(e, ERR_NOMEM, "park a receive");
        return NULL;
    }
    if (map_put(&t->topics, name, topic, e) < 0) {
        free(topic);
        return NULL;
    }
    return topic;
}

/* Drops a group without waiters, and its topic when it was the last. `name` is the topic's. */
static void drop_empty(struct hold_table *t, struct hold_group *group, struct span name)
{
    struct hold_topic *topic = group->topic;
    if (group->n_parked > 0)
        return;
    if (group->prev != NULL)
        group->prev->next = group->next;
    else
        topic->groups = group->next;
    if (group->next != NULL)
        group->next->prev = group->prev;
    free(group);
    if (topic->groups == NULL)
        free(map_remove(&t->topics, name));
}

static void link_last(struct hold_group *group, struct hold_entry *entry)
{
    entry->prev = group->last;
    entry->next = NULL;
    if (group->last != NULL)
        group->last->next = entry;
    else
        group->first = entry;
    group->last = entry;
    group->n_parked++;
    entry->parked_in = group;
}

/* Takes the entry out of its list (H1, H2); the group may be left empty. */
static void unlink_entry(struct hold_table *t, struct hold_entry *entry)
{
    struct hold_group *group = entry->parked_in;
    assert(group != NULL);
    if (entry->prev != NULL)
        entry->prev->next = entry->next;
    else
        group->first = entry->next;
    if (entry->next != NULL)
        entry->next->prev = entry->prev;
    else
        group->last = entry->prev;
    group->n_parked--;
    entry->parked_in = NULL;
    (void)atomic_fetch_sub_explicit(&t->n_parked, 1, memory_order_acq_rel);
}

static int park_locked(struct hold_table *t, struct hold_entry *entry, struct err *e)
{
    lock_assert_held(&t->lock);
    /* relaxed: changed under the lock only */
    if (atomic_load_explicit(&t->n_parked, memory_order_relaxed) >= t->max_parked)
        return err_set(e, ERR_BUSY, "park a receive: %zu are waiting, which is maxParkedReceives",
                       t->max_parked);
    struct hold_topic *topic = map_get(&t->topics, entry->topic);
    struct hold_group *group = find_group(topic, entry->group);
    if ((group ? group->n_parked : 0) >= t->max_per_group)
        return err_set(e, ERR_BUSY,
                       "park a receive: %zu are waiting of this group and topic, which is "
                       "maxParkedReceivesPerGroup",
                       t->max_per_group);
    if (topic == NULL && (topic = add_topic(t, entry->topic, e)) == NULL)
        return e->code;
    if (group == NULL && (group = add_group(topic, entry->group)) == NULL) {
        if (topic->groups == NULL)
            free(map_remove(&t->topics, entry->topic));
        return err_set(e, ERR_NOMEM, "park a receive");
    }
    link_last(group, entry);
    (void)atomic_fetch_add_explicit(&t->n_parked, 1, memory_order_acq_rel);
    return 0;
}

int hold_park(struct hold_table *t, struct hold_entry *entry, struct err *e)
{
    lock_take(&t->lock);
    assert(entry->parked_in == NULL);
    int rc = park_locked(t, entry, e);
    lock_drop(&t->lock);
    return rc;
}

bool hold_remove(struct hold_table *t, struct hold_entry *entry)
{
    lock_take(&t->lock);
    struct hold_group *group = entry->parked_in;
    if (group != NULL) {
        unlink_entry(t, entry);
        drop_empty(t, group, entry->topic);
    }
    lock_drop(&t->lock);
    return group != NULL;
}

/* Whether anybody may wait; the read-modify-write of the head comment. */
static bool has_parked(struct hold_table *t)
{
    return atomic_fetch_add_explicit(&t->n_parked, 0, memory_order_acq_rel) > 0;
}

/* Takes the entry out and puts it in front of `woken`. */
static struct hold_entry *take_out(struct hold_table *t, struct hold_entry *entry,
                                   struct hold_entry *woken)
{
    unlink_entry(t, entry);
    entry->next = woken;
    return entry;
}

static size_t wake_all(struct hold_entry *woken)
{
    size_t n = 0;
    while (woken != NULL) {
        struct hold_entry *next = woken->next; /* the entry is its owner's once wake is called */
        woken->wake(woken->arg);
        woken = next;
        n++;
    }
    return n;
}

static struct hold_entry *first_match(const struct hold_group *group, int64_t tag_code)
{
    struct hold_entry *entry = group->first;
    while (entry != NULL && entry->match != NULL && !entry->match(entry->arg, tag_code))
        entry = entry->next;
    return entry;
}

size_t hold_notify(struct hold_table *t, struct span topic_name, int64_t tag_code)
{
    if (!has_parked(t))
        return 0;
    struct hold_entry *woken = NULL;
    lock_take(&t->lock);
    struct hold_topic *topic = map_get(&t->topics, topic_name);
    struct hold_group *next = NULL;
    for (struct hold_group *group = topic ? topic->groups : NULL; group != NULL; group = next) {
        next = group->next; /* NULL for the last, with which the topic may go */
        struct hold_entry *entry = first_match(group, tag_code);
        if (entry == NULL)
            continue;
        woken = take_out(t, entry, woken);
        drop_empty(t, group, topic_name);
    }
    lock_drop(&t->lock);
    return wake_all(woken);
}

size_t hold_notify_group(struct hold_table *t, struct span group_name, struct span topic_name)
{
    if (!has_parked(t))
        return 0;
    struct hold_entry *woken = NULL;
    lock_take(&t->lock);
    struct hold_group *group = find_group(map_get(&t->topics, topic_name), group_name);
    if (group != NULL) {
        woken = take_out(t, group->first, NULL);
        drop_empty(t, group, topic_name);
    }
    lock_drop(&t->lock);
    return wake_all(woken);
}

/* Takes out everyone of a group, which is then gone. */
static struct hold_entry *drain_group(struct hold_table *t, struct hold_group *group,
                                      struct hold_entry *woken)
{
    while (group->n_parked > 0)
        woken = take_out(t, group->first, woken);
    assert(woken != NULL); /* a group without anyone is gone already */
    drop_empty(t, group, woken->topic);
    return woken;
}

/* Takes out everyone at a topic, which is then gone; NULL is fine. */
static struct hold_entry *drain_topic(struct hold_table *t, struct hold_topic *topic,
                                      struct hold_entry *woken)
{
    struct hold_group *next = NULL;
    for (struct hold_group *group = topic ? topic->groups : NULL; group != NULL; group = next) {
        next = group->next;
        woken = drain_group(t, group, woken);
    }
    return woken;
}

size_t hold_notify_topic(struct hold_table *t, struct span topic_name)
{
    lock_take(&t->lock);
    struct hold_entry *woken = drain_topic(t, map_get(&t->topics, topic_name), /* woken = */ NULL);
    lock_drop(&t->lock);
    return wake_all(woken);
}

size_t hold_notify_whole_group(struct hold_table *t, struct span group_name)
{
    struct hold_entry *woken = NULL;
    const struct map_entry *at;
    lock_take(&t->lock);
    for (size_t pos = 0; (at = map_next(&t->topics, &pos)) != NULL;) {
        struct hold_group *group = find_group(at->value, group_name);
        if (group != NULL)
            woken = drain_group(t, group, woken);
    }
    lock_drop(&t->lock);
    return wake_all(woken);
}

size_t hold_notify_all(struct hold_table *t)
{
    struct hold_entry *woken = NULL;
    const struct map_entry *at;
    lock_take(&t->lock);
    for (size_t pos = 0; (at = map_next(&t->topics, &pos)) != NULL;)
        woken = drain_topic(t, at->value, woken);
    lock_drop(&t->lock);
    return wake_all(woken);
}

size_t hold_count(struct hold_table *t)
{
    return atomic_load_explicit(&t->n_parked, memory_order_acquire); /* a figure: orders nothing */
}
