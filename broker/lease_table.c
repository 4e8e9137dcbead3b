/* The table of leases: finding, counting references, dropping. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/lease_table.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

struct lease *lease_ref(struct lease *l)
{
    /* relaxed: the caller has a reference, so the count cannot reach zero meanwhile */
    (void)atomic_fetch_add_explicit(&l->n_refs, 1, memory_order_relaxed);
    return l;
}

void lease_unref(struct lease *l)
{
    if (l == NULL || atomic_fetch_sub_explicit(&l->n_refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < l->n_queues; i++) {
        if (l->queues[i] == NULL)
            continue;
        lease_queue_fini(l->queues[i]);
        free(l->queues[i]);
    }
    free(l->queues);
    lock_fini(&l->lock);
    free(l);
}

static struct lease *make_lease(struct lease_table *t, struct span group, struct span topic)
{
    struct lease *l = calloc(1, sizeof *l + group.len + topic.len);
    if (l == NULL)
        return NULL;
    uint8_t *bytes = (uint8_t *)(l + 1);
    memcpy(bytes, group.ptr, group.len);
    memcpy(bytes + group.len, topic.ptr, topic.len);
    l->group = span_of(bytes, group.len);
    l->topic = span_of(bytes + group.len, topic.len);
    l->table = t;
    lock_init(&l->lock, LOCK_LEASE);
    atomic_init(&l->n_refs, 1);
    return l;
}

/* "topic@group", RocketMQ's name for the pair; neither has an '@' when a client made it. */
static int make_key(uint8_t key[LEASE_KEY_MAX], struct span group, struct span topic,
                    struct span *ret_key, struct err *e)
{
    if (group.len == 0 || topic.len == 0 || group.len + topic.len + 1 > LEASE_KEY_MAX)
        return err_set(e, ERR_INVAL, "lease messages: group or topic name empty or too long");
    memcpy(key, topic.ptr, topic.len);
    key[topic.len] = '@';
    memcpy(key + topic.len + 1, group.ptr, group.len);
    *ret_key = span_of(key, topic.len + 1 + group.len);
    return 0;
}

int lease_table_get(struct lease_table *t, struct span group, struct span topic,
                    struct lease **ret_lease, struct err *e)
{
    uint8_t bytes[LEASE_KEY_MAX];
    struct span key;
    int rc = make_key(bytes, group, topic, &key, e);
    if (rc < 0)
        return rc;
    lock_take(&t->lock);
    struct lease *l = map_get(&t->leases, key);
    if (l == NULL) {
        l = make_lease(t, group, topic);
        rc = l ? map_put(&t->leases, key, l, e) : err_set(e, ERR_NOMEM, "lease messages");
        if (rc < 0) {
            lease_unref(l);
            l = NULL;
        }
    }
    if (l != NULL)
        *ret_lease = lease_ref(l);
    lock_drop(&t->lock);
    return rc;
}

int lease_table_find(struct lease_table *t, struct span group, struct span topic,
                     struct lease **ret_lease, struct err *e)
{
    uint8_t bytes[LEASE_KEY_MAX];
    struct span key;
    int rc = make_key(bytes, group, topic, &key, e);
    if (rc < 0)
        return rc;
    lock_take(&t->lock);
    struct lease *l = map_get(&t->leases, key);
    if (l != NULL)
        *ret_lease = lease_ref(l);
    else
        rc = err_set(e, ERR_NOTFOUND, "find lease '%.*s': not found",
                     (int)(key.len < 128 ? key.len : 128), (const char *)key.ptr);
    lock_drop(&t->lock);
    return rc;
}

int lease_get(struct lease_table *t, struct span group, struct span topic, enum lease_order order,
              struct lease **ret_lease, struct err *e)
{
    struct lease *l;
    int rc = lease_table_get(t, group, topic, &l, e);
    if (rc < 0)
        return rc;
    lock_take(&l->lock);
    l->order = order;
    lock_drop(&l->lock);
    *ret_lease = l;
    return 0;
}

int lease_table_refs(struct lease_table *t, struct lease ***ret_leases, size_t *ret_n,
                     struct err *e)
{
    size_t n = 0;
    const struct map_entry *at;
    lock_take(&t->lock);
    struct lease **leases = calloc(t->leases.n_used + 1, sizeof(struct lease *));
    for (size_t pos = 0; leases && (at = map_next(&t->leases, &pos)) != NULL;)
        leases[n++] = lease_ref(at->value);
    lock_drop(&t->lock);
    if (leases == NULL)
        return err_set(e, ERR_NOMEM, "list leases");
    *ret_leases = leases;
    *ret_n = n;
    return 0;
}

void lease_changed(struct lease *l)
{
    lock_assert_held(&l->lock);
    (void)atomic_fetch_add_explicit(&l->table->n_changes, 1, memory_order_release);
}

static void drop_lease(struct lease *l)
{
    lock_take(&l->lock);
    l->is_dropped = true;
    for (size_t i = 0; i < l->n_queues; i++)
        if (l->queues[i] != NULL)
            lease_queue_seek(l->queues[i], 0);
    lease_changed(l);
    lock_drop(&l->lock);
    lease_unref(l);
}

/* Which of a lease's two names is meant. */
enum name_kind { BY_GROUP, BY_TOPIC };

static bool is_named(const struct lease *l, enum name_kind kind, struct span name)
{
    return span_equal(kind == BY_GROUP ? l->group : l->topic, name);
}

/* Whether a key of consumerOffset.json is of the group or topic. */
static bool is_key_named(const char *key, enum name_kind kind, struct span name)
{
    const char *at = strchr(key, '@');
    if (at == NULL)
        return false;
    struct span part = kind == BY_GROUP ? span_str(at + 1) : span_of(key, (size_t)(at - key));
    return span_equal(part, name);
}

/* Takes the leases out of the table and their offsets out of the document. */
static void forget_named(struct lease_table *t, enum name_kind kind, struct span name)
{
    lock_assert_held(&t->saving);
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(t->offsets.table, next, key, value)
    {
        if (is_key_named(key, kind, name))
            (void)json_object_del(t->offsets.table, key);
    }
    const struct map_entry *at;
    lock_take(&t->lock);
    for (size_t pos = 0; (at = map_next(&t->leases, &pos)) != NULL;) {
        struct lease *l = at->value;
        if (!is_named(l, kind, name))
            continue;
        (void)map_remove(&t->leases, span_of(at->key, at->key_len));
        drop_lease(l);
    }
    lock_drop(&t->lock);
    /* release: as in lease_changed; a group known to the file alone has no lease to note it */
    (void)atomic_fetch_add_explicit(&t->n_changes, 1, memory_order_release);
}

/* Written at once: a position that came back after a crash would pass over the first messages of a
 * topic made anew under that name. */
static void drop_named(struct lease_table *t, enum name_kind kind, struct span name)
{
    struct err e;
    lock_take(&t->saving);
    forget_named(t, kind, name);
    if (lease_save_locked(t, &e) < 0)
        log_warn("forget positions: %s, trying again at the next saving", e.msg);
    lock_drop(&t->saving);
}

void lease_drop_group(struct lease_table *t, struct span group)
{
    drop_named(t, BY_GROUP, group);
}

void lease_drop_topic(struct lease_table *t, struct span topic)
{
    drop_named(t, BY_TOPIC, topic);
}

/* ---- queues ---- */

static int grow_queues(struct lease *l, size_t n, struct err *e)
{
    struct lease_queue **queues = realloc(l->queues, n * sizeof *queues);
    if (queues == NULL)
        return err_set(e, ERR_NOMEM, "lease messages of %zu queues", n);
    memset(queues + l->n_queues, 0, (n - l->n_queues) * sizeof *queues);
    l->queues = queues;
    l->n_queues = n;
    return 0;
}

int lease_queue_of(struct lease *l, int32_t queue_id, struct lease_queue **ret_queue, struct err *e)
{
    lock_assert_held(&l->lock);
    if (queue_id < 0 || queue_id >= LEASE_QUEUES_MAX)
        return err_set(e, ERR_INVAL, "lease messages: queue %d is not in 0..%d", (int)queue_id,
                       LEASE_QUEUES_MAX - 1);
    if ((size_t)queue_id >= l->n_queues) {
        int rc = grow_queues(l, (size_t)queue_id + 1, e);
        if (rc < 0)
            return rc;
    }
    if (l->queues[queue_id] == NULL)
        l->queues[queue_id] = calloc(1, sizeof **l->queues);
    if (l->queues[queue_id] == NULL)
        return err_set(e, ERR_NOMEM, "lease messages of queue %d", (int)queue_id);
    *ret_queue = l->queues[queue_id];
    return 0;
}
